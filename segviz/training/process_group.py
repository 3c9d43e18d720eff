"""The connections of several processes, and how all leave a step together where one of them runs out of memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store

from segviz.data.sample import DataError
from segviz.runtime.out_of_memory import is_out_of_memory

LONGEST_WAIT = timedelta(hours=12)  # others wait while the first scores val; torchrun ends those of a dead one
LONGEST_MEETING = 600.0  # seconds until all have noticed that one ran out of memory
SECONDS_BETWEEN_LOOKS = 0.2


class ProcessGroup:
    """The connections over which the processes of a training exchange tensors; torch has one such group at a time.

    A process that runs out of memory in the middle of a step cannot do its part of the sums for which the others wait.
    It says so in the store and cuts its connections. The others notice, cut theirs, and all meet in a new group.

    Args:
        store: what the processes share beside tensors.
        index: which of them this is, from 0.
        count: how many there are.
        device: this one's own; NCCL connects GPUs, gloo everything else.
    """

    def __init__(self, store: Store, index: int, count: int, device: torch.device) -> None:
        self._store, self._index, self._count, self._device = PrefixStore("groups", store), index, count, device
        self._number = 0  # of groups before this one
        self._begin()

    def _begin(self) -> None:
        backend = "cpu:gloo,cuda:nccl" if self._device.type == "cuda" else "gloo"
        store = PrefixStore(str(self._number), self._store)
        dist.init_process_group(backend, store=store, rank=self._index, world_size=self._count, timeout=LONGEST_WAIT)

    def leave(self) -> None:
        """Cut the connections; those who wait at the other end notice."""
        with suppress(Exception):  # another process may have gone
            dist.destroy_process_group()

    def do_together(self, work: Callable[[], Tensor]) -> Tensor:
        """Do work with sums over all processes, either in all of them or in none.

        Args:
            work: what to do; it may be done again.

        Raises:
            OutOfMemoryError: one of them ran out of memory. It is raised in all, and all can work together again.
            DataError: so it was, but the others did not notice.
        """
        watch = release_when(self._is_told, self._abort) if self._device.type == "cuda" else nullcontext()
        try:
            with watch:
                result = work()
                dist.all_reduce(torch.zeros(1))  # on the CPU, so that nobody goes on before all have come as far
            return result
        except Exception as error:  # what a cut connection raises is not documented
            if is_out_of_memory(error):
                self._store.set(self._no_room, str(self._index))
            elif not self._is_told():
                raise
        culprit = self._store.get(self._no_room).decode()
        self._meet_again(culprit)  # here, where no traceback keeps the tensors of the step
        raise torch.OutOfMemoryError(f"process {culprit} ran out of memory")

    @property
    def _no_room(self) -> str:
        """Where a process of this group says that it ran out of memory."""
        return f"no room {self._number}"

    def _is_told(self) -> bool:
        try:
            return bool(self._store.check([self._no_room]))
        except Exception:  # what a broken connection raises is not documented
            return False

    def _abort(self) -> None:
        """End what a GPU waits for; a sum over gloo ends when the connections are cut."""
        dist.group.WORLD._get_backend(self._device).abort()  # type: ignore[union-attr]

    def _meet_again(self, culprit: str) -> None:
        """Leave this group, wait for all, and join a new one with them."""
        if self._device.type == "cuda":
            with suppress(Exception):
                self._abort()
        self.leave()
        met, end = f"met {self._number}", time.monotonic() + LONGEST_MEETING
        self._store.add(met, 1)
        while self._store.add(met, 0) < self._count:
            if time.monotonic() > end:
                raise DataError(
                    f"process {culprit} ran out of memory, and the others did not stop; use --parts 2 or more"
                )
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._number += 1
        self._begin()


@contextmanager
def release_when(is_told: Callable[[], bool], release: Callable[[], object]) -> Iterator[None]:
    """While the block runs, look whether something is told; if so, release the block from what it waits for, once.

    A process that waits for a GPU's sum does not notice that another has cut its connections.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            if is_told():
                release()
                return

    thread = threading.Thread(target=look, name="segviz-others", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
