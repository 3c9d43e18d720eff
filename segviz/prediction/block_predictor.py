"""What those need of a predictor that look into a network with a block."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from segviz.models.segmenter import BlockNetwork


@runtime_checkable
class BlockPredictor(Protocol):
    """A predictor of a network around a block: a `Predictor`, or a published network."""

    @property
    def model(self) -> BlockNetwork:
        """The network; it is only read."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def record(self) -> Any:
        """Has the model's name, `model`, and the names of its `classes`."""

    def seen_size(self, picture: tuple[int, int], shrink: int = 1) -> tuple[int, int]:
        """The (height, width) at which the network sees a picture of (height, width)."""
