"""What every context block has: `forward`, which returns its maps, and a way to switch its context off."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from segviz.attention.maps import Attended

SLOW = 0.05  # the factor on the learning rate of queries, keys and offsets


class ContextBlock(nn.Module, ABC):
    """A block that a `Segmenter` can have between its reduction and its decoder."""

    @abstractmethod
    def forward(self, x: Tensor, residual: Tensor | None = None) -> Attended:
        """Features, context and maps of (batch, channels, height, width) features.

        Args:
            x: the features.
            residual: what the context is joined with, x by default. Given a copy of x that is cut off from the graph,
                gradients reach x through the context alone (`segviz.models.influence`).
        """

    @property
    def only_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the only features that it takes; None, as by default, if it takes others too."""
        return None

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """The block's own layers that make attention weights, and the factor on their learning rate; by default none.

        They learn slowly: at the block's rate an unscaled dot product becomes one-hot within a few dozen steps, and a
        one-hot softmax passes no gradient on.
        """
        return {}

    @abstractmethod
    def switch_off(self) -> None:
        """Set the weights by which the context enters to zero, in place.

        Afterwards no cell of the output depends on another cell of the input.
        """


class QueryKeyValueBlock(ContextBlock):
    """A block with a convolution each for queries, keys and values, and a factor gamma on its context, 0 at first.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; `channels // 8` by default.
    """

    def __init__(self, channels: int, reduced: int | None = None) -> None:
        super().__init__()
        reduced = reduced or max(channels // 8, 1)
        self.query, self.key = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero((self.gamma,))


def silence(layer: nn.Module) -> None:
    """Make a layer return zeros: its BatchNorm's weight and bias, or its convolution's where it has no BatchNorm."""
    last = [one for one in layer.modules() if isinstance(one, nn.Conv2d | nn.BatchNorm2d)][-1]
    zero(last.parameters())


@torch.no_grad()
def zero(parameters: Iterable[nn.Parameter]) -> None:
    """Set parameters to zero."""
    for parameter in parameters:
        parameter.zero_()
