"""What the attention blocks cost, each alone, beside FLANet's Table 3. Figures are of the machine that they name."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from segviz.benchmarks.measure import (
    EQUAL_WITHIN,
    MEGA,
    Report,
    count_gflops,
    describe_machine,
    difference_share,
    measure_peak_memory,
    select_devices,
    select_names,
    time_calls,
)
from segviz.benchmarks.plain_blocks import run_plainly
from segviz.models.blocks import ContextBlock
from segviz.models.registry import MODELS
from segviz.models.size import count_parameters

BlockSize = tuple[int, int, int]  # height, width and channels of a block's input
PUBLISHED_SIZE: BlockSize = (96, 96, 512)
BLOCKS = tuple(row.name for row in MODELS.values() if row.maps)
PLAIN_NOTE = (
    "plain: the same numbers in the plainest torch, every affinity written out, no map kept; plain over ours is the "
    "median over pairs of rounds. plain differs: the largest difference of the results with random weights, gamma too, "
    f"as a share of the largest value; up to {EQUAL_WITHIN:g} they count as equal."
)
UNEQUAL_NOTE = "The plain formulations of {} give other results on {}, so their times compare different things."


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
    notes += [PLAIN_NOTE] if plain else []
    for place in dict.fromkeys(row["device"] for row in rows):
        own = [row for row in rows if row["device"] == place]
        if unequal := [row["block"] for row in own if not row.get("plain_differs", 0.0) <= EQUAL_WITHIN]:
            notes.append(UNEQUAL_NOTE.format(", ".join(unequal), place))
    return Report("blocks", describe_machine(), rows, {}, tuple(notes))


def make_block(name: str, size: BlockSize) -> ContextBlock:
    """A block of the registry with random weights, in eval mode, for features of (height, width, channels)."""
    row, (height, width, channels) = MODELS[name], size
    torch.manual_seed(0)
    return (row.alone(height, width, channels) if row.alone else row.block(channels)).eval()


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
    published = MODELS[name].published if size == PUBLISHED_SIZE else None
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
            "plain_differs": compare_plainly(block, features),
        }
    return row


def compare_plainly(block: ContextBlock, features: Tensor) -> float:
    """How far the block and its plain formulation differ, see `difference_share`, where its context counts."""
    awake = wake(deepcopy(block))
    with torch.inference_mode():
        return difference_share(run_plainly(awake, features), awake(features).features)


@torch.no_grad()
def wake(block: ContextBlock) -> ContextBlock:
    """The block with random numbers in place of zeros, in place: as built, a gamma of 0 hides the whole context."""
    torch.manual_seed(0)
    for parameter in block.parameters():
        if not parameter.any():
            fan = parameter[0].numel()
            nn.init.constant_(parameter, 1.0) if parameter.numel() == 1 else nn.init.normal_(parameter, std=fan**-0.5)
    return block
