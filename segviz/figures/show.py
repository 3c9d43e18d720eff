"""`segviz.show`: a figure of one prediction, for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from segviz.attention.maps import MapLook, SpatialMap
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import default_places
from segviz.figures.map_subplots import (
    Feature,
    confidence_subplot,
    feature_subplot,
    labels_subplot,
    map_subplots,
)
from segviz.figures.matplotlib_backend import draw
from segviz.figures.plotly_backend import draw_interactive
from segviz.figures.prediction_subplots import FEATURES, as_places, map_named
from segviz.figures.subplot import share_scale
from segviz.image import ImageError, ImageLike, Rgb, as_rgb
from segviz.prediction.prediction import Place, Prediction
from segviz.scales import ScaleKind


def show(
    prediction: Prediction,
    name: str = "labels",
    at: Place | Sequence[Place] | None = None,
    *,
    look: MapLook | None = None,
    scale: ScaleKind = "linear",
    colours: str = "viridis",
    image: ImageLike | None = None,
    backend: Literal["plotly", "matplotlib"] = "plotly",
) -> go.Figure | Figure:
    """A figure of one prediction, for a notebook: classes over the picture, or a map for chosen pixels.

    Args:
        prediction: a predictor's result.
        name: "labels", "confidence", "output" or "context" (the block's channel means), or the name of a map.
        at: the pixel (y, x) of the picture, or several, which share one scale; by default the innermost pixel of the
            largest class.
        look: "attends_to" is what the pixel draws from each place, "attended_by" what each place draws from the pixel,
            "strip" how much each place reads the pixel's strip, "points" the positions that the pixel samples; by
            default the look that the map's own page shows first.
        scale: "linear" from 0, "log" over three decades, or "percentile" from the 1st to the 99th percentile.
        colours: "viridis", "cividis", "magma" or "gray".
        image: the picture at its own size, to draw on; by default the picture as the model saw it.
        backend: "plotly" is interactive, "matplotlib" is for print; notebooks display both.

    Raises:
        KeyError: the model has no map of that name.
        TypeError: it is no `Prediction`, but for example the view of a network of one's own.
        ValueError: a pixel lies outside the picture, or the map has no such look.
        ImageError: the picture cannot be used, or its size is not that of the predicted picture.
    """
    if not isinstance(prediction, Prediction):
        raise TypeError(
            "segviz.show draws a Prediction, of a bundled model or of published weights; "
            f"a {type(prediction).__name__} was given. The view of another network shows itself where "
            "it ends a notebook's cell, and view.save('attention.html') writes it; "
            "view.maps[path].attends_to(row, column) has the numbers"
        )
    spec = prediction_figure_spec(prediction, name, at, look, scale, colours, None if image is None else as_rgb(image))
    return draw(spec, caption=False) if backend == "matplotlib" else draw_interactive(spec)


def prediction_figure_spec(
    prediction: Prediction,
    name: str,
    at: Place | Sequence[Place] | None,
    look: MapLook | None,
    kind: ScaleKind,
    colours: str,
    image: Rgb | None,
) -> FigureSpec:
    """The spec of the figure that `show` draws.

    Raises:
        KeyError: as in `show`.
        ValueError: as in `show`.
        ImageError: as in `show`.
    """
    picture = full_size_picture(prediction, image)
    if name == "labels":
        subplots = [labels_subplot(picture, prediction, outlined=False)]
    elif name == "confidence":
        subplots = [confidence_subplot(picture, prediction, colours)]
    elif name in FEATURES:
        feature: Feature = "output" if name == "output" else "context"
        subplots = [feature_subplot(picture, prediction.attended, feature, model=prediction.model, colours=colours)]
    else:
        one = map_named(prediction, name)
        places = default_places(prediction.labels, 1) if at is None else as_places(at)
        looks = (look or one.main_look,) if isinstance(one, SpatialMap) else ()
        maps = map_subplots(picture, one, places, looks, model=prediction.model, kind=kind, colours=colours)
        subplots = share_scale(list(maps))
        if not subplots:
            raise ValueError(f"map '{name}' has no look '{look}'; remove look= to see the map's own")
    title = f"{prediction.model}: {name}"
    return FigureSpec(title, tuple(tuple(subplots[first : first + 3]) for first in range(0, len(subplots), 3)))


def full_size_picture(prediction: Prediction, image: Rgb | None) -> Rgb:
    """The picture at the size of the labels, so (y, x) counts its own pixels.

    Raises:
        ImageError: the picture has another size, or the prediction carries none.
    """
    height, width = prediction.labels.shape
    if image is None:
        if prediction.image is None:
            raise ImageError("this prediction carries no picture; give it with image=")
        return np.asarray(cv2.resize(prediction.image, (width, height), interpolation=cv2.INTER_LINEAR))
    if image.shape[:2] != (height, width):
        raise ImageError(
            f"the picture has {image.shape[1]} x {image.shape[0]} pixels, the predicted picture {width} x {height}; "
            "give the picture that was predicted on"
        )
    return image
