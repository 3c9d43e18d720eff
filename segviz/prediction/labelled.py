"""What predictions of any model have in common: classes for the picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from segviz.data.classes import ClassSet


class Labelled(Protocol):
    """The classes and confidence of a picture's pixels; `Prediction` and `PixelLabels` both have them."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def labels(self) -> UInt8[np.ndarray, "height width"]:
        """Class indices at the picture's own size."""

    @property
    def confidence(self) -> Float[np.ndarray, "height width"]:
        """The softmax of the winning class, in [0, 1]."""

    @property
    def class_set(self) -> ClassSet:
        """Names and colours of the classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""


@dataclass(frozen=True, eq=False)
class PixelLabels:
    """Classes and confidence alone, without maps; see `Labelled`.

    Attributes:
        model: the model's name.
        labels: class indices at the picture's own size.
        confidence: the softmax of the winning class, in [0, 1].
        class_set: names and colours.
    """

    model: str
    labels: UInt8[np.ndarray, "height width"]
    confidence: Float[np.ndarray, "height width"]
    class_set: ClassSet

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.class_set.names
