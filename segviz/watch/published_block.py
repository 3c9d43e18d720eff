"""A published network as those want it that look into a network with a block: similarity, influence, attribution."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from segviz.attention.grid_map import Grid
from segviz.image import SeenSize, working_size
from segviz.models.segmenter import BlockNetwork

if TYPE_CHECKING:
    from segviz.watch.published_predictor import PublishedPredictor


@dataclass(frozen=True)
class PublishedBlock:
    """What `compare_features`, `measure_pixel_influence` and `attribute` read of a `Predictor`.

    Attributes:
        model: the network; it is only read.
        device: where it runs.
        record: the model's name, and its classes.
        size: the size at which it sees whole pictures, see `working_size`.
        of_crop: whether its picture is a crop, which it sees as it is.
    """

    model: BlockNetwork
    device: torch.device
    record: Any
    size: SeenSize
    of_crop: bool = False

    def seen_size(self, picture: Grid, shrink: int = 1) -> Grid:
        """The (height, width) at which the network sees a picture of (height, width)."""
        return picture if self.of_crop else working_size(*picture, shrink, self.size)


def look_into(predictor: PublishedPredictor, of_crop: bool = False) -> PublishedBlock:
    """A published network, shown whole pictures, also where its authors slide crops; or one such crop, as it is."""
    record = SimpleNamespace(model=predictor.name, classes=predictor.class_set.names)
    return PublishedBlock(predictor.network, predictor.device, record, predictor.rules.size or "own", of_crop)
