"""Several processes that train one network: who they are, sums over all of them, and how they end together."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from tqdm import tqdm

from segviz.data.sample import DataError
from segviz.runtime.interrupts import hold_interrupt
from segviz.text import count_words
from segviz.training.process_group import LONGEST_WAIT, SECONDS_BETWEEN_LOOKS, ProcessGroup


class Total(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Sum it."""
        return sum_in_place(value.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """Sum the slopes."""
        return sum_in_place(slope.clone(memory_format=torch.contiguous_format))


def sum_in_place(value: Tensor) -> Tensor:
    """Replace a tensor by its sum over all processes."""
    dist.all_reduce(value)
    return value


@dataclass(frozen=True)
class Processes:
    """The processes of one training; `ALONE` is a training in one process.

    Each has its part of every batch. Losses are sums over them, gradients too, and BatchNorm sees all parts, so that
    the weights are those of one process with the whole batch.

    Attributes:
        index: which of them this is, from 0; the first writes files and shows progress.
        count: how many there are.
        store: what they share beside tensors; None in a training in one process.
        group: their connections; None in a training in one process.
    """

    index: int = 0
    count: int = 1
    store: Store | None = None
    group: ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.index == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes, with gradients."""
        return value if self.count == 1 else Total.apply(value)

    def gather(self, value: Tensor) -> Tensor:
        """The values of all processes, joined along the first axis, without gradients; all have the same shape."""
        if self.count == 1:
            return value
        parts = [torch.empty_like(value) for _ in range(self.count)]
        dist.all_gather(parts, value.contiguous())
        return torch.cat(parts)

    def do_together(self, work: Callable[[], Tensor]) -> Tensor:
        """Do work with sums over all processes, either in all of them or in none.

        Raises:
            OutOfMemoryError: one of them ran out of memory; it is raised in all, and all can try again.
        """
        return work() if self.group is None else self.group.do_together(work)

    def own_part(self, whole: Tensor) -> Tensor:
        """This process's part of a batch; the parts of all, one after the other, are the batch."""
        return whole.chunk(self.count)[self.index]

    @torch.no_grad()
    def average(self, value: Tensor) -> None:
        """Replace a tensor by its mean over all processes."""
        if self.count > 1:
            sum_in_place(value).div_(self.count)

    @torch.no_grad()
    def sum_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum the gradients over all processes, in one message, and return the sum of the loss."""
        if self.count == 1:
            return loss
        slopes = [one.grad for one in parameters if one.grad is not None]
        for dtype in {one.dtype for one in slopes}:
            some = [one for one in slopes if one.dtype == dtype]
            flat = sum_in_place(torch.cat([one.flatten() for one in some]))
            for one, summed in zip(some, flat.split([one.numel() for one in some]), strict=True):
                one.copy_(summed.view_as(one))
        return sum_in_place(loss.clone())

    @torch.no_grad()
    def copy_from_first(self, network: nn.Module) -> None:
        """Start from the first process's weights."""
        for value in (*network.parameters(), *network.buffers()) if self.count > 1 else ():
            whole = value.detach().contiguous()
            dist.broadcast(whole, 0)
            value.copy_(whole)

    def agree(self, minutes: float, interrupted: bool) -> tuple[float, bool]:
        """What holds for all: the longest time, and whether a signal came to any of them."""
        if self.count == 1:
            return minutes, interrupted
        seen = torch.tensor([minutes, float(interrupted)], dtype=torch.float64)
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return float(seen[0]), bool(seen[1])

    @contextmanager
    def hold_signals(self) -> Iterator[Callable[[], bool]]:
        """Hold Ctrl-C and SIGTERM back, where there are several processes, until all have ended the same step.

        Yields a function that says whether a signal came.
        """
        if self.count == 1:
            yield lambda: False
            return
        with hold_interrupt() as interrupted:
            yield interrupted

    def say(self, text: str) -> None:
        """Write a line on stderr, once for all processes."""
        if self.is_first:
            tqdm.write(f"segviz: {text}", file=sys.stderr)

    def tell(self, key: str, text: str) -> None:
        """Tell the others a text."""
        if self.store is not None:
            self.store.set(key, text)

    def hear(self, key: str) -> str:
        """Wait for a text that another process tells."""
        assert self.store is not None
        while not self.store.check([key]):  # a wait inside the store would not notice signals
            time.sleep(SECONDS_BETWEEN_LOOKS)
        told: bytes = self.store.get(key)
        return told.decode()


ALONE = Processes()


def process_count() -> int:
    """How many processes `torchrun` has started; 1 without it.

    Raises:
        DataError: its variables are no numbers.
    """
    return read_variable("WORLD_SIZE", 1)


def process_index() -> int:
    """Which of `torchrun`'s processes this is, from 0; 0 without it.

    Raises:
        DataError: its variables are no numbers.
    """
    return read_variable("RANK", 0) if process_count() > 1 else 0


def read_variable(name: str, default: int) -> int:
    """A whole number that `torchrun` sets in the environment.

    Raises:
        DataError: it is not a whole number.
    """
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise DataError(f"{name} is '{text}', not a whole number; unset it, or start with torchrun, which sets it")
    return int(text)


@contextmanager
def join_processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that `torchrun` has started; without it, a training in one process.

    Yields the processes, and this one's own device. If one of them fails, only the first error is raised as it is; the
    others end with exit code 1, without a word.

    Raises:
        DataError: there are more processes than GPUs, or `torchrun`'s variables are missing.
    """
    if process_count() == 1:
        yield ALONE, device
        return
    missing = [one for one in ("RANK", "MASTER_ADDR", "MASTER_PORT") if one not in os.environ]
    if missing:
        raise DataError(f"WORLD_SIZE is set, but {' and '.join(missing)} not; start with torchrun, or unset WORLD_SIZE")
    store, index, count = next(rendezvous("env://", timeout=LONGEST_WAIT))
    group: ProcessGroup | None = None
    try:
        own = device
        if device.type == "cuda":
            own = torch.device("cuda", choose_gpu())
            torch.cuda.set_device(own)
        group = ProcessGroup(store, index, count, own)
        yield Processes(index, count, PrefixStore("words", store), group), own
    except BaseException:
        if not is_first_error(store):
            raise SystemExit(1) from None
        raise
    finally:
        if group is not None:
            group.leave()


def choose_gpu() -> int:
    """This process's GPU.

    Raises:
        DataError: there are fewer GPUs than processes on this machine.
    """
    local, here = read_variable("LOCAL_RANK", 0), read_variable("LOCAL_WORLD_SIZE", 1)
    found = torch.cuda.device_count()
    if here > found:
        raise DataError(
            f"torchrun started {here} processes, but this machine has {count_words(found, 'GPU')}; use "
            f"--nproc_per_node {found}, or --device cpu"
        )
    return local


def is_first_error(store: Store) -> bool:
    """Whether no other process has failed before; false where they cannot be asked any more."""
    try:
        number: int = store.add("errors", 1)
        return number == 1
    except Exception:  # what a broken connection raises is not documented
        return False
