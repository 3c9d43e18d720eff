"""What the attention blocks cost, each alone, beside FLANet's Table 3. Figures are of the machine that they name."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from segviz.benchmarks.measure import (
    MEGA,
    Report,
    count_gflops,
    count_parameters,
    describe_machine,
    measure_peak_memory,
    select_devices,
    select_names,
    time_calls,
)
from segviz.benchmarks.plain_blocks import run_plainly
from segviz.models.blocks import ContextBlock
from segviz.models.registry import SPECS

BlockSize = tuple[int, int, int]  # height, width and channels of a block's input
PUBLISHED_SIZE: BlockSize = (96, 96, 512)
BLOCKS = tuple(row.name for row in SPECS.values() if row.maps)
PLAIN_NOTE = (
    "plain: the same numbers in the plainest torch, every affinity written out, no map kept; plain over ours is the "
    "median over pairs of rounds."
)


def bench_blocks(
    size: BlockSize = PUBLISHED_SIZE,
    rounds: int = 5,
    only: Sequence[str] | None = None,
    device: str = "auto",
    plain: bool = False,
) -> Report:
    """Each block alone in inference, its maps kept, on features of one picture.

    Args:
        size: (height, width, channels) of the features.
        rounds: timed runs, after one to warm up.
        only: names of BLOCKS; all by default.
        device: "auto" measures the CPU, and the GPU where there is one.
        plain: whether to measure a plain formulation of each block beside ours, in turns.

    Raises:
        ValueError: an unknown block, or a device that is not there.
    """
    names = select_names(only, BLOCKS)
    rows = tuple(time_block(name, size, rounds, place, plain) for place in select_devices(device) for name in names)
    shape = " x ".join(map(str, size))
    notes = [f"Features of {shape}; 2 operations a multiply-add, elementwise ones not counted."]
    if size == PUBLISHED_SIZE:
        notes.append("Published: FLANet, Table 3; how its memory was measured is not said.")
    return Report("blocks", describe_machine(), rows, {}, (*notes, *((PLAIN_NOTE,) if plain else ())))


def make_block(name: str, size: BlockSize) -> ContextBlock:
    """A block of the registry with random weights, in eval mode, for features of (height, width, channels)."""
    spec, (height, width, channels) = SPECS[name], size
    torch.manual_seed(0)
    return (spec.alone(height, width, channels) if spec.alone else spec.block(channels)).eval()


def time_block(name: str, size: BlockSize, rounds: int, device: torch.device, plain: bool = False) -> dict[str, Any]:
    """One block's figures."""
    block = make_block(name, size).to(device)
    features = torch.randn(1, size[2], *size[:2], device=device)

    def call() -> object:
        with torch.inference_mode():
            return block(features)

    def call_plainly() -> object:
        with torch.inference_mode():
            return run_plainly(block, features)

    operations = count_gflops(call)  # which warms up, too
    if plain:
        call_plainly()
    taken, *others = time_calls([call, call_plainly] if plain else [call], rounds, device)
    published = SPECS[name].published if size == PUBLISHED_SIZE else None
    row = {
        "device": device.type,
        "block": name,
        "gflops": operations,
        "published_gflops": published.gflops if published else None,
        "parameters": count_parameters(block),
        "peak_mib": measure_peak_memory(call, device) / MEGA,
        "published_mb": published.megabytes if published else None,
        "median_ms": median(taken),
        "min_ms": min(taken),
    }
    for beside in others:
        row |= {
            "plain_ms": median(beside),
            "plain_over_ours": median(other / own for other, own in zip(beside, taken, strict=True)),
            "plain_peak_mib": measure_peak_memory(call_plainly, device) / MEGA,
        }
    return row
