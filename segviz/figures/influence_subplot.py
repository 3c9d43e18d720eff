"""A picture of the influence on an answer (`segviz.prediction.influence`)."""

from __future__ import annotations

from segviz.figures.colour import weight_scale
from segviz.figures.content import Heat
from segviz.figures.subplot import Mark, Subplot
from segviz.image import Rgb
from segviz.prediction.influence import UNIT, Influence
from segviz.scales import ScaleKind
from segviz.text import pixel_text


def influence_subplot(
    image: Rgb, influence: Influence, answer: str, *, kind: ScaleKind = "linear", colours: str = "viridis"
) -> Subplot:
    """How strongly each cell moves the answer at a pixel.

    Args:
        image: the picture that was predicted on.
        influence: the influence.
        answer: the class that wins at the pixel.
        kind: kind of scale.
        colours: a name of COLOUR_MAPS.
    """
    (y, x), values = influence.pixel, influence.values
    title = f"influence on “{answer}” ({pixel_text(y, x)})"
    heat = Heat(values, weight_scale(values, kind=kind), UNIT, colours)
    return Subplot(title, image, heat, f"influence_{y}_{x}", influence.model, (y, x), (Mark(y, x, 0),))
