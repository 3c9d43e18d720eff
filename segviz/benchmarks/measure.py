"""The benchmarks' instruments: clock, memory and machine, and the report of the results.

Calls are timed in turns, so other load on the machine affects all of them alike; times are given as median and
minimum, and on a GPU end when it has finished. Peak memory is the most that a call allocates beyond what was allocated
before, so without input and parameters: on a CPU from torch's profiler, which does not see what libraries allocate
themselves; on a GPU from CUDA's allocator.
"""

from __future__ import annotations

import gc
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from segviz.prediction.predictor import choose_device
from segviz.runtime.cores import available_cores
from segviz.text import format_table

MEGA = 2**20
GIGA = 1e9
EQUAL_WITHIN = 1e-3  # of the largest value: two ways to compute one thing differ by rounding, TF32's too
CUDA_WARM_UPS = 2  # runs that are not timed: counting operations runs other kernels than a plain call
Call = Callable[[], object]
Interrupted = Callable[[], bool]  # whether the user has stopped the benchmark


@dataclass(frozen=True)
class Report:
    """The results of a benchmark.

    Attributes:
        subject: what was measured.
        machine: the machine it ran on, see `describe_machine`.
        rows: one mapping per line, all with the same keys; None where there is no value.
        totals: values over all rows.
        notes: sentences for the reader.
        stopped: whether the user ended it before its time.
        failures: how many of its measurements failed; the notes say which.
    """

    subject: str
    machine: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    stopped: bool = False
    failures: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {field.name: to_json_value(getattr(self, field.name)) for field in fields(self)}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The rows as people read them: titles, and the cells of each line."""
        heads = list(self.rows[0]) if self.rows else []
        body = [[format_measurement(row[head]) for head in heads] for row in self.rows]
        return [head.replace("_", " ") for head in heads], body

    def remarks(self) -> list[str]:
        """Totals and notes, a line each."""
        return [*(f"{name}: {format_measurement(value)}" for name, value in self.totals.items()), *self.notes]

    def describe_machine(self) -> str:
        """The machine in a line."""
        return ", ".join(f"{name} {value}" for name, value in self.machine.items())

    def as_text(self) -> str:
        """Machine, table, totals and notes as text."""
        return "\n".join([self.describe_machine(), "", format_table(*self.table()), "", *self.remarks()]).rstrip()

    def as_markdown(self) -> str:
        """The same in Markdown, with the machine below the table."""
        titles, body = self.table()
        lines = [titles, ["---"] * len(titles), *body]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        remarks = "\n".join(f"- {one}" for one in (f"Machine: {self.describe_machine()}.", *self.remarks()))
        return f"{table}\n\n{remarks}"


def to_json_value(value: Any) -> Any:
    """Convert mappings and tuples to JSON's objects and arrays."""
    if isinstance(value, Mapping):
        return {name: to_json_value(one) for name, one in value.items()}
    return [to_json_value(one) for one in value] if isinstance(value, tuple) else value


def format_measurement(value: Any) -> str:
    """Format a value with about four digits; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def describe_machine() -> dict[str, str]:
    """Describe this machine: processor, cores, threads, torch, and the GPU with its arithmetic if there is one."""
    found = {
        "CPU": cpu_name(),
        "cores": str(available_cores()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        found |= {"GPU": torch.cuda.get_device_name(), "CUDA": str(torch.version.cuda)}
        found["GPU arithmetic"] = describe_arithmetic()
    return found


def describe_arithmetic() -> str:
    """The precision of float32 on the GPU: torch rounds what enters convolutions to TF32 unless it is told not to."""
    kinds = (("convolutions", torch.backends.cudnn), ("matrix products", torch.backends.cuda.matmul))
    return " and ".join(f"{name} in {'TF32' if allows_tf32(kind) else 'float32'}" for name, kind in kinds)


def allows_tf32(kind: Any) -> bool:
    """Whether torch rounds what enters these operations of a GPU to TF32."""
    try:
        return bool(kind.allow_tf32)
    except RuntimeError:  # set by torch's newer names, beside which it does not read the older one
        return "tf32" in (getattr(getattr(kind, "conv", kind), "fp32_precision", ""), kind.fp32_precision)


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def select_devices(device: str) -> list[torch.device]:
    """Select the devices to measure: for "auto" the CPU, and the GPU if there is one; else the named one.

    Raises:
        ValueError: this machine has no such device.
    """
    if device != "auto":
        place = choose_device(device)
        if place.type == "cuda" and place.index is not None:
            torch.cuda.set_device(place)  # so that the machine's description names this GPU
        return [place]
    return [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])


def select_names(only: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Select the names to measure; all known ones if `only` is None.

    Raises:
        ValueError: a name is unknown.
    """
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is unknown; use {', '.join(known)}")
    return [name for name in known if only is None or name in only]


def time_calls(calls: Sequence[Call], rounds: int, device: torch.device) -> list[list[float]]:
    """Time calls in turns, in alternating order; the caller warms up, and on a GPU each runs again before.

    Args:
        calls: the functions to time.
        rounds: how often each is called.
        device: the device to wait for before the clock is read.

    Returns:
        For each call its time in each round, in milliseconds.
    """
    for call in (*calls,) * CUDA_WARM_UPS if device.type == "cuda" else ():
        call()
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(rounds):
        order = range(len(calls)) if number % 2 == 0 else range(len(calls) - 1, -1, -1)
        for which in order:
            synchronise(device)
            started = time.perf_counter()
            calls[which]()
            synchronise(device)
            taken[which].append((time.perf_counter() - started) * 1000)
    return taken


def count_gflops(call: Call) -> float:
    """Count a call's operations in 10^9, two per multiply-add; elementwise ones are not counted.

    Counted are convolutions, matrix products, and the weighted sums of rows by which SNL samples keys and values.
    """
    with FlopCounterMode(display=False, custom_mapping=SUMS_OF_ROWS) as counter:
        call()
    return float(counter.get_total_flops() / GIGA)


def count_sum_of_rows(rows: torch.Size, index: torch.Size, *_: object, **__: object) -> int:
    """The operations of `embedding_bag` with weights: a multiply-add for each channel of each row that is read."""
    return 2 * index.numel() * rows[1]


SUMS_OF_ROWS: dict[Any, Any] = {
    torch.ops.aten._embedding_bag: count_sum_of_rows,
    torch.ops.aten._embedding_bag_forward_only: count_sum_of_rows,
}


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def difference_share(one: Tensor, other: Tensor) -> float:
    """The largest difference of two results, as a share of the largest value."""
    return float((one - other).abs().max() / other.abs().max())


def measure_peak_memory(call: Call, device: torch.device) -> int:
    """Measure the most bytes alive at once during a call, beyond those alive before it."""
    gc.collect()
    if device.type == "cuda":
        synchronise(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        kept = call()
        synchronise(device)
        del kept
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        kept = call()
    del kept
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
