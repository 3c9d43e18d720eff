"""What every context block has: `forward`, which returns its maps, and a way to switch its context off."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from segviz.attention.maps import Attended


class ContextBlock(nn.Module, ABC):
    """A block that a `Segmenter` can have between its reduction and its decoder."""

    @abstractmethod
    def forward(self, x: Tensor) -> Attended:
        """Features, context and maps of (batch, channels, height, width) features."""

    @abstractmethod
    def switch_off(self) -> None:
        """Set the weights by which the context enters to zero, in place.

        Afterwards no cell of the output depends on another cell of the input.
        """


def silence(layer: nn.Module) -> None:
    """Make a layer return zeros: its BatchNorm's weight and bias, or its convolution's where it has no BatchNorm."""
    last = [one for one in layer.modules() if isinstance(one, nn.Conv2d | nn.BatchNorm2d)][-1]
    zero(last.parameters())


@torch.no_grad()
def zero(parameters: Iterable[nn.Parameter]) -> None:
    """Set parameters to zero."""
    for parameter in parameters:
        parameter.zero_()
