"""What SNL's K samples cost beside dense non-local attention, as the grid grows: O(N K C) beside O(N^2 C) (SSANet)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segviz.benchmarks.blocks import PUBLISHED_SIZE, BlockSize
from segviz.benchmarks.measure import (
    EQUAL_WITHIN,
    MEGA,
    Report,
    count_gflops,
    describe_machine,
    difference_share,
    measure_peak_memory,
    select_devices,
    time_calls,
)
from segviz.models.block_kinds import SNL_WINDOWS
from segviz.models.blocks import SparseNonLocal
from segviz.models.blocks.layers import attention_softmax
from segviz.models.blocks.non_local import QUERIES_PER_STEP

GRID_DIVISORS = (4, 2, 1)  # the grids are the given one, its half and its quarter
MOST_WRITTEN_OUT = 2**31  # of an N x N matrix that is written out, 8 GiB in float32
SPARSE_NOTES = (
    "snl gather: K keys and values are read for each query. snl products: all products, then K of them; the same "
    "numbers. dense: SSANet's eq. 1-3 with the same layers, a block of queries at a time; dense, whole: the N x N "
    "matrix is written out.",
    "Operations and time per cell stay as they are where the cost is O(N K C), and grow with N where it is O(N^2 C).",
    "differs: the largest difference between the results of two ways that give the same numbers, as a share of the "
    f"largest value; up to {EQUAL_WITHIN:g} they count as equal.",
)


class TimedWay(NamedTuple):
    """One way to compute a block.

    Attributes:
        name: its name.
        samples: K; None if dense.
        call: from features to the block's features.
        like: the way before it that gives the same numbers; None if there is none.
    """

    name: str
    samples: int | None
    call: Callable[[Tensor], Tensor]
    like: Callable[[Tensor], Tensor] | None = None


def bench_sparse(
    size: BlockSize = PUBLISHED_SIZE, samples: Sequence[int] = (81,), rounds: int = 5, device: str = "auto"
) -> Report:
    """SNL at each K beside dense attention, on grids of a quarter, half and the whole of a height and width.

    Args:
        size: (height, width, channels) of the largest features.
        samples: values of K, keys of SNL_WINDOWS.
        rounds: timed runs of each way, in turns, after one to warm up.
        device: "auto" measures the CPU, and the GPU where there is one.

    Raises:
        ValueError: a K is unknown, or this machine has no such device.
    """
    unknown = [count for count in samples if count not in SNL_WINDOWS]
    if unknown:
        raise ValueError(f"K = {unknown[0]} is unknown; use {', '.join(map(str, SNL_WINDOWS))}")
    grids = [(max(1, size[0] // shrink), max(1, size[1] // shrink)) for shrink in GRID_DIVISORS]
    rows = tuple(
        row
        for place in select_devices(device)
        for grid in dict.fromkeys(grids)
        for row in grid_rows(grid, size[2], samples, rounds, place)
    )
    return Report(
        "sparse", describe_machine(), rows, {}, (f"Features of {size[2]} channels, one picture.", *SPARSE_NOTES)
    )


def grid_rows(
    grid: tuple[int, int], channels: int, samples: Sequence[int], rounds: int, device: torch.device
) -> list[dict[str, Any]]:
    """A row for each way on one grid."""
    torch.manual_seed(0)
    features = torch.randn(1, channels, *grid, device=device)
    ways = list(make_ways(grid, channels, samples, device))

    def bind(way: TimedWay) -> Callable[[], object]:
        def call() -> object:
            with torch.inference_mode():
                return way.call(features)

        return call

    calls = [bind(way) for way in ways]
    operations = [count_gflops(call) for call in calls]  # which warms up, too
    taken = time_calls(calls, rounds, device)
    differences = [compare_ways(way, features) for way in ways]
    cells = grid[0] * grid[1]
    return [
        {
            "device": device.type,
            "grid": f"{grid[0]} x {grid[1]}",
            "cells": cells,
            "way": way.name,
            "samples": way.samples,
            "gflops": gflops,
            "mflops_per_cell": 1000 * gflops / cells,
            "peak_mib": measure_peak_memory(call, device) / MEGA,
            "median_ms": median(times),
            "us_per_cell": 1000 * median(times) / cells,
            "differs": differs,
        }
        for way, call, gflops, times, differs in zip(ways, calls, operations, taken, differences, strict=True)
    ]


@torch.inference_mode()
def compare_ways(way: TimedWay, features: Tensor) -> float | None:
    """How far a way differs from the one that gives the same numbers, see `difference_share`."""
    return None if way.like is None else difference_share(way.call(features), way.like(features))


def make_ways(grid: tuple[int, int], channels: int, samples: Sequence[int], device: torch.device) -> Sequence[TimedWay]:
    """SNL's two ways at each K, and dense attention; with the matrix written out where it is not too large."""
    ways: list[TimedWay] = []

    def attend(block: SparseNonLocal) -> Callable[[Tensor], Tensor]:
        return lambda x: block(x).features

    for count in samples:
        gathering = SparseNonLocal(channels, SNL_WINDOWS[count], zero_start=False, sampling="gather").eval().to(device)
        multiplying = copy(gathering)  # with the same weights
        multiplying.sampling = "products"
        ways.append(TimedWay("snl gather", count, attend(gathering)))
        ways.append(TimedWay("snl products", count, attend(multiplying), attend(gathering)))
    dense = SparseNonLocal(channels, (1, 1), zero_start=False).eval().to(device)
    ways.append(TimedWay("dense", None, lambda x: attend_densely(dense, x, QUERIES_PER_STEP)))
    cells = grid[0] * grid[1]
    if cells**2 <= MOST_WRITTEN_OUT:
        ways.append(TimedWay("dense, whole", None, lambda x: attend_densely(dense, x, cells), ways[-1].call))
    return ways


def attend_densely(block: SparseNonLocal, x: Tensor, queries: int) -> Tensor:
    """SSANet's eq. 1-3 with a sparse block's layers, all but its offsets; `queries` of them at a time."""
    query, key, value = (layer(x).flatten(2).mT for layer in (block.query, block.key, block.value))
    parts = [attention_softmax(part @ key.mT) @ value for part in query.split(queries, 1)]
    result: Tensor = block.gamma(torch.cat(parts, 1).mT.unflatten(2, x.shape[2:])) + x
    return result
