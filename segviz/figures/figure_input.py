"""What a figure of a paper starts from: pictures with their predictions and places, and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import UInt8

from segviz.attention.cells import Labels
from segviz.attention.maps import OffsetMaskAttention, SpatialMap
from segviz.data.classes import ClassSet
from segviz.figures.map_subplots import Feature
from segviz.image import Rgb
from segviz.prediction.over_complete import OverCompleteMap
from segviz.prediction.prediction import Place, Prediction
from segviz.scales import ScaleKind


@dataclass(frozen=True)
class FigureInput:
    """One picture of a figure, and what the figure shows of it.

    Attributes:
        image: the picture.
        predictions: the prediction of each model, by the model's name.
        places: queried pixels (y, x).
        labels: the ground truth, or None if unknown.
        label_classes: the classes of its indices; None for those of the models.
        over_complete: for psa-3, PSA's over-complete maps of each place, by direction.
    """

    image: Rgb
    predictions: Mapping[str, Prediction]
    places: tuple[Place, ...] = ()
    labels: UInt8[np.ndarray, "height width"] | None = None
    label_classes: ClassSet | None = None
    over_complete: tuple[Mapping[str, OverCompleteMap], ...] = ()


@dataclass(frozen=True)
class Style:
    """The options of a figure.

    Attributes:
        feature: for fla-6: "output" is F_o, the block's output; "context" is the output before gamma and residual.
        colours: name of a colour map in COLOUR_MAPS.
        kind: kind of scale for weights.
        shared: whether the maps of a row share one scale.
    """

    feature: Feature | Literal["both"] = "output"
    colours: str = "viridis"
    kind: ScaleKind = "linear"
    shared: bool = False


DEFAULT_STYLE = Style()


def classes_of_labels(item: FigureInput) -> ClassSet:
    """The classes of the ground truth's indices.

    Raises:
        ValueError: the labels come without classes, and the models differ in theirs.
    """
    if item.label_classes is not None:
        return item.label_classes
    first, *others = (one.class_set for one in item.predictions.values())
    if any(one.names != first.names for one in others):
        raise ValueError("the models have different classes, so labels need their own; give them with `label_classes`")
    return first


def comparable_labels(item: FigureInput) -> list[Labels]:
    """The label maps that have the classes of the first model: indices of other classes cannot disagree."""
    first, *_ = predictions = list(item.predictions.values())
    return [one.labels for one in predictions if one.classes == first.classes]


def first_spatial(prediction: Prediction) -> SpatialMap | None:
    """The model's first map over places, or None."""
    return next((one for one in prediction.maps.values() if isinstance(one, SpatialMap)), None)


def masks_of(item: FigureInput) -> list[tuple[str, OffsetMaskAttention]]:
    """PSA's masks, each with the name of its model.

    Raises:
        ValueError: no model has such masks.
    """
    first_map_of(item, OffsetMaskAttention, "psa")
    return [
        (name, value)
        for name, prediction in item.predictions.items()
        for value in prediction.maps.values()
        if isinstance(value, OffsetMaskAttention)
    ]


MapKind = TypeVar("MapKind", bound=SpatialMap)


def first_map_of(item: FigureInput, kind: type[MapKind], usual: str) -> tuple[str, MapKind]:
    """The first map of a kind, with the name of its model.

    Raises:
        ValueError: no model has a map of that kind.
    """
    for name, prediction in item.predictions.items():
        for value in prediction.maps.values():
            if isinstance(value, kind):
                return name, value
    raise ValueError(
        f"no model of {', '.join(item.predictions)} has the map that this figure shows; use --models {usual}"
    )
