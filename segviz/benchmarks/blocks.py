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
from segviz.models.registry import SPECS

PUBLISHED_SIZE = (96, 96, 512)
BLOCKS = tuple(row.name for row in SPECS.values() if row.maps)


def bench_blocks(
    size: tuple[int, int, int] = PUBLISHED_SIZE,
    rounds: int = 5,
    only: Sequence[str] | None = None,
    device: str = "auto",
) -> Report:
    """Each block alone in inference, its maps kept, on features of one picture.

    Args:
        size: (height, width, channels) of the features.
        rounds: timed runs, after one to warm up.
        only: names of BLOCKS; all by default.
        device: "auto" measures the CPU, and the GPU where there is one.

    Raises:
        ValueError: an unknown block, or a device that is not there.
    """
    names = select_names(only, BLOCKS)
    rows = tuple(block_row(name, size, rounds, place) for place in select_devices(device) for name in names)
    note = f"Features of {size[0]} x {size[1]} x {size[2]}; 2 operations a multiply-add, elementwise ones not counted."
    published = "Published: FLANet, Table 3; how its memory was measured is not said."
    return Report("blocks", describe_machine(), rows, {}, (note, published) if size == PUBLISHED_SIZE else (note,))


def block_row(name: str, size: tuple[int, int, int], rounds: int, device: torch.device) -> dict[str, Any]:
    """One block's figures."""
    spec, (height, width, channels) = SPECS[name], size
    torch.manual_seed(0)
    block = (spec.alone(height, width, channels) if spec.alone else spec.block(channels)).eval().to(device)
    features = torch.randn(1, channels, height, width, device=device)

    def call() -> object:
        with torch.inference_mode():
            return block(features)

    operations = count_gflops(call)  # which warms up, too
    (taken,) = time_calls([call], rounds, device)
    published = spec.published if size == PUBLISHED_SIZE else None
    return {
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
