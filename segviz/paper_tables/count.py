"""Parameters and operations of a row's network, counted on torch's meta device, which takes neither time nor memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from segviz.benchmarks.blocks import make_block
from segviz.benchmarks.measure import count_gflops
from segviz.catalogue.unfilled import Unfilled
from segviz.models.options import OptionValue
from segviz.models.registry import build
from segviz.models.size import count_parameters
from segviz.paper_tables.description import NetworkChoice


@dataclass(frozen=True)
class CountedCost:
    """What was counted.

    Attributes:
        parameters: number of trained numbers.
        gflops: 10^9 operations, two for a multiply-add; elementwise operations and sampling are not counted.
    """

    parameters: int
    gflops: float


def count_choice(choice: NetworkChoice, classes: int, size: tuple[int, int]) -> CountedCost:
    """Count a network in inference on one picture of (height, width).

    Raises:
        KeyError, ValueError: there is no such network or option.
    """
    return _count_options(choice.model, tuple(sorted(choice.options.items())), classes, size)


@cache
def _count_options(
    model: str, options: tuple[tuple[str, OptionValue], ...], classes: int, size: tuple[int, int]
) -> CountedCost:
    with torch.device("meta"), Unfilled():
        network = build(model, classes, options=dict(options)).eval()
        return count_module(network, torch.empty(1, 3, *size))


def count_block(name: str, size: tuple[int, int, int]) -> CountedCost:
    """Count a block alone on features of (height, width, channels).

    Raises:
        KeyError: there is no such block.
    """
    height, width, channels = size
    with torch.device("meta"), Unfilled():
        return count_module(make_block(name, size), torch.empty(1, channels, height, width))


def count_module(module: nn.Module, given: torch.Tensor) -> CountedCost:
    """Count a module in inference on an input."""

    def call() -> object:
        with torch.inference_mode():
            return module(given)

    return CountedCost(count_parameters(module), count_gflops(call))
