"""Prediction: a model's labels, confidence and maps of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from segviz.attention.maps import AttendedFeatures, AttentionMap, ChannelMap, SpatialMap, cell_of_pixel
from segviz.data.classes import ClassSet

Kind = TypeVar("Kind")
Place = tuple[int, int]  # an image pixel (y, x)


@dataclass(frozen=True)
class Prediction:
    """A model's labels, confidence and maps of one picture.

    Attributes:
        model: the model's name.
        labels: class indices at the picture's own size.
        confidence: the softmax of the winning class, in [0, 1].
        class_set: names and colours of the classes.
        maps: the attention maps by name; none for `fcn`.
        attended: channel means of the block's output and context.
        image: the picture as the model saw it, at most 1024 pixels a side, for `show`; None if it was not kept.
    """

    model: str
    labels: UInt8[np.ndarray, "height width"]
    confidence: Float[np.ndarray, "height width"]
    class_set: ClassSet
    maps: Mapping[str, AttentionMap]
    attended: AttendedFeatures
    image: UInt8[np.ndarray, "rows columns 3"] | None = None

    def map_of(self, kind: type[Kind], name: str) -> Kind:
        """The map of a name and kind.

        Raises:
            KeyError: the model has no map of that name and kind.
        """
        attention = self.maps.get(name)
        if not isinstance(attention, kind):
            raise KeyError(f"model '{self.model}' has no {kind.__name__} '{name}'; its maps are {list(self.maps)}")
        return attention

    @property
    def spatial_maps(self) -> tuple[SpatialMap, ...]:
        """The maps that give weights to places."""
        return tuple(one for one in self.maps.values() if isinstance(one, SpatialMap))

    @property
    def channel_maps(self) -> tuple[ChannelMap, ...]:
        """The maps that relate or weigh channels."""
        return tuple(one for one in self.maps.values() if not isinstance(one, SpatialMap))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.class_set.names

    @property
    def palette(self) -> UInt8[np.ndarray, "classes 3"]:
        """The RGB colour of each class."""
        return self.class_set.colours

    def cell(self, y: int, x: int) -> tuple[int, int]:
        """The cell of the block's feature grid that covers an image pixel.

        PSA works on a shrunk grid of its own; ask its maps: `maps["collect"].cell(y, x, height, width)`.
        """
        height, width = self.labels.shape
        return cell_of_pixel(y, x, (height, width), self.attended.grid)
