"""What the attention blocks cost, each alone, beside FLANet's Table 3. Figures are of the machine that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

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
from segviz.models import blocks


@dataclass(frozen=True)
class BlockRow:
    """How a block is made for (height, width, channels), and FLANet Table 3's figures at 96 x 96 x 512."""

    make: Callable[[int, int, int], nn.Module]
    gflops: float | None = None
    megabytes: float | None = None


PUBLISHED_SIZE = (96, 96, 512)
BLOCKS: Mapping[str, BlockRow] = {
    "channel_nl": BlockRow(lambda h, w, c: blocks.ChannelNonLocal(), 9.66, 40),
    "spatial_nl": BlockRow(lambda h, w, c: blocks.SpatialNonLocal(c), 103.90, 1320),
    "dual_nl": BlockRow(lambda h, w, c: blocks.DualNonLocal(c), 113.56, 1378),
    "cs_nl": BlockRow(lambda h, w, c: blocks.ChannelSpatialNonLocal(c), 113.56, 1378),
    "ema": BlockRow(lambda h, w, c: blocks.ExpectationMaximization(c), 13.91, 98),
    "rcca": BlockRow(lambda h, w, c: blocks.RecurrentCrissCross(c), 16.18, 174),
    "fla": BlockRow(lambda h, w, c: blocks.FullyAttentional(c), 19.37, 436),
    "sam": BlockRow(lambda h, w, c: blocks.StripAttentionModule(c)),
    "snl": BlockRow(lambda h, w, c: blocks.SparseNonLocal(c)),
    "psa": BlockRow(lambda h, w, c: blocks.PointWiseSpatialAttention(c, c, shrunk_mask(h, w))),
}


def shrunk_mask(height: int, width: int) -> tuple[int, int]:
    """PSA's over-completed mask for a grid that is shrunk by 2."""
    rows, columns = (height - 1) // 2 + 1, (width - 1) // 2 + 1
    return 2 * rows - 1, 2 * columns - 1


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
    names = select_names(only, tuple(BLOCKS))
    rows = tuple(block_row(name, size, rounds, place) for place in select_devices(device) for name in names)
    note = f"Features of {size[0]} x {size[1]} x {size[2]}; 2 operations a multiply-add, elementwise ones not counted."
    published = "Published: FLANet, Table 3; how its memory was measured is not said."
    return Report("blocks", describe_machine(), rows, {}, (note, published) if size == PUBLISHED_SIZE else (note,))


def block_row(name: str, size: tuple[int, int, int], rounds: int, device: torch.device) -> dict[str, Any]:
    """One block's figures."""
    spec, (height, width, channels) = BLOCKS[name], size
    torch.manual_seed(0)
    block = spec.make(height, width, channels).eval().to(device)
    features = torch.randn(1, channels, height, width, device=device)

    def call() -> object:
        with torch.inference_mode():
            return block(features)

    operations = count_gflops(call)  # which warms up, too
    (taken,) = time_calls([call], rounds, device)
    published = size == PUBLISHED_SIZE
    return {
        "device": device.type,
        "block": name,
        "gflops": operations,
        "published_gflops": spec.gflops if published else None,
        "parameters": count_parameters(block),
        "peak_mib": measure_peak_memory(call, device) / MEGA,
        "published_mb": spec.megabytes if published else None,
        "median_ms": median(taken),
        "min_ms": min(taken),
    }
