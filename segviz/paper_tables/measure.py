"""Time and memory of a row's network or block on this machine, as `bench models` and `bench blocks` measure them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from segviz.benchmarks.blocks import time_block
from segviz.benchmarks.measure import MEGA
from segviz.benchmarks.networks import Protocol, time_network
from segviz.paper_tables.description import NetworkChoice, PaperTable

MEASURED_ROUNDS = 5


@dataclass(frozen=True)
class MeasuredCost:
    """What was measured.

    Attributes:
        milliseconds: median time of a batch.
        megabytes: most memory alive at once beyond weights and input, in 10^6 bytes.
    """

    milliseconds: float
    megabytes: float


def measure_choice(
    choice: NetworkChoice, table: PaperTable, size: tuple[int, int], device: torch.device
) -> MeasuredCost:
    """Measure a network with random weights, which cost the same, on pictures of (height, width) as the table says.

    Raises:
        KeyError, ValueError: there is no such network or option.
    """
    protocol = Protocol(table.source, size, table.batch, scale_inner(table, size))
    row = time_network(choice.model, protocol, choice.options, MEASURED_ROUNDS, device)
    return MeasuredCost(row["latency_ms"], row["peak_mib"] * MEGA * 1e-6)


def scale_inner(table: PaperTable, size: tuple[int, int]) -> tuple[int, int] | None:
    """The (height, width) that the network sees of pictures of a size, where the table resizes them; else None."""
    if table.resized is None or table.size is None:
        return None
    return size[0] * table.resized[0] // table.size[0], size[1] * table.resized[1] // table.size[1]


def measure_block(name: str, size: tuple[int, int, int], device: torch.device) -> MeasuredCost:
    """Measure a block alone on features of (height, width, channels)."""
    row = time_block(name, size, MEASURED_ROUNDS, device)
    return MeasuredCost(row["median_ms"], row["peak_mib"] * MEGA * 1e-6)
