"""Figures for print, in the layouts of the papers: matplotlib's objects, without its global state.

Each layout takes pictures with their predictions and returns a figure; `save` writes it as PNG, SVG or PDF.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypeVar, assert_never

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from segviz.attention import (
    AttendedFeatures,
    AxisChannelAttention,
    BasesAttention,
    ChannelAttention,
    CrissCrossAttention,
    DotProductAttention,
    Gate,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.predict import Prediction
from segviz.views.colour import COLOUR_MAPS, Scale, attention_scale, span_scale
from segviz.views.overlay import label_overlay, pixel_of_cell, stretch_map

Rgb = UInt8[np.ndarray, "height width 3"]
Place = tuple[int, int]  # an image pixel (y, x)
Feature = Literal["output", "context", "both"]
FORMATS = ("png", "svg", "pdf")
PANEL_WIDTH = 2.5  # inches
OPACITY = 0.65
IN_ONE_ROW, WRAPPED = 6, 4  # up to so many panels stand side by side; more are wrapped
DOTS_PER_INCH = 200
MARK = "#FF3B30"
STRIP_COLOURS = ("#D55E00", "#56B4E9", "#F0E442", "#009E73")
_settings = Lock()  # matplotlib's settings are global; they are changed only while a file is written


@dataclass(frozen=True)
class Shown:
    """One picture of a figure, what each model made of it, and the pixels (y, x) that are asked about."""

    image: Rgb
    predictions: Mapping[str, Prediction]
    places: tuple[Place, ...] = ()


def attended_figure(shown: Sequence[Shown], feature: Feature = "output", colours: str = "viridis") -> Figure:
    """FLANet Fig. 6: attended features averaged over channels, min-max for each picture, over the picture.

    Args:
        shown: one row each; a column for each model.
        feature: "output" is F_o, the block's output; "context" is what it added, before gamma and residual.
        colours: a name of COLOUR_MAPS.
    """
    looks: tuple[Literal["output", "context"], ...] = ("output", "context") if feature == "both" else (feature,)
    models = list(shown[0].predictions)
    figure, axes = panels(len(shown), 1 + len(models) * len(looks), shown[0].image)
    for row, one in zip(axes, shown, strict=True):
        picture(row[0], one.image, "image" if row is axes[0] else "")
        columns = iter(row[1:])
        for model, prediction in one.predictions.items():
            for look in looks:
                values = getattr(prediction.attended, look).numpy()
                title = f"{model}, {look}" if row is axes[0] else ""
                heat(next(columns), one.image, prediction.attended, values, span_scale(values), title, colours)
    return figure


def strip_figure(shown: Sequence[Shown], colours: str = "viridis") -> Figure:
    """AttaNet Fig. 9: how much every pixel reads each chosen strip; the places choose the strips.

    Raises:
        ValueError: a model has no strips.
    """
    count = max(len(one.places) for one in shown)
    figure, axes = panels(len(shown), 1 + count, shown[0].image)
    for row, one in zip(axes, shown, strict=True):
        strips = only(one, StripAttention, "sam")
        picture(row[0], one.image, "image" if row is axes[0] else "")
        chosen = [strip_at(strips, place, one.image) for place in one.places]
        maps = [strips.strip_map(strip).numpy() for strip in chosen]
        for number, (strip, values) in enumerate(zip(chosen, maps, strict=True)):
            colour = STRIP_COLOURS[number % len(STRIP_COLOURS)]
            line = "column" if strips.axis == "vertical" else "row"
            panel = row[1 + number]
            heat(panel, one.image, strips, values, attention_scale(*maps), f"{line} {strip}", colours)
            for target in (row[0], panel):
                mark_strip(target, strips, strip, one.image, colour)
        blank(row[1 + len(chosen) :])
    return figure


def point_wise_figure(shown: Sequence[Shown], colours: str = "viridis") -> Figure:
    """PSANet Fig. 6: for each point, what it collects and to whom it distributes, each mask by its own maximum.

    Raises:
        ValueError: a model has no such masks.
    """
    rows = [(one, place) for one in shown for place in one.places]
    figure, axes = panels(len(rows), 3, shown[0].image)
    for row, (one, place) in zip(axes, rows, strict=True):
        picture(row[0], one.image, "image" if row is axes[0] else "")
        masks = [
            value
            for prediction in one.predictions.values()
            for value in prediction.maps.values()
            if isinstance(value, OffsetMaskAttention)
        ][:2]
        if not masks:
            only(one, OffsetMaskAttention, "psa")
        for panel, mask in zip(row[1:], masks, strict=False):
            cell = mask.cell(*place, *one.image.shape[:2])
            values = (mask.seen_from(*cell) if mask.direction == "collect" else mask.seen_by(*cell)).numpy()
            heat(
                panel,
                one.image,
                mask,
                values,
                attention_scale(values),
                f"{mask.direction}, max {values.max():.2g}",
                colours,
            )
        blank(row[1 + len(masks) :])
        for panel in row[: 1 + len(masks)]:
            mark_place(panel, place)
    return figure


def samples_figure(shown: Sequence[Shown], colours: str = "viridis") -> Figure:
    """SSANet's samples: for each point its K places coloured by weight, the undisplaced window faint.

    Raises:
        ValueError: a model has no samples.
    """
    width = max(len(one.places) for one in shown)
    figure, axes = panels(len(shown), width, shown[0].image, wide=1.5)
    for row, one in zip(axes, shown, strict=True):
        for panel, place in zip(row, one.places, strict=False):
            scatter_samples(panel, one.image, only(one, SampledAttention, "snl"), place, colours)
        blank(row[len(one.places) :])
    return figure


def sampled_figure(image: Rgb, sampled: SampledAttention, place: Place, colours: str = "viridis") -> Figure:
    """The samples of one place alone."""
    figure, axes = panels(1, 1, image, wide=2.0)
    scatter_samples(axes[0][0], image, sampled, place, colours)
    return figure


def compare_figure(shown: Sequence[Shown], colours: str = "viridis", shared: bool = False) -> Figure:
    """The same pixel's attention in every model, above it each model's classes.

    Grids differ in size, so weights are given as multiples of the even share, 1 / cells.

    Args:
        shown: for each picture a row of labels, then a row for each place.
        colours: a name of COLOUR_MAPS.
        shared: one scale for all models of a row, from 0 to the largest; each model's own if not.
    """
    count = 1 + len(shown[0].predictions)
    columns = count if count <= IN_ONE_ROW else WRAPPED
    rows = math.ceil(count / columns)
    blocks = sum(1 + len(one.places) for one in shown)
    figure, axes = panels(blocks * rows, columns, shown[0].image)
    lines = [axes[first : first + rows] for first in range(0, blocks * rows, rows)]
    for one in shown:
        first, *rest = flat(lines.pop(0))
        picture(first, one.image, "image")
        for panel, (name, prediction) in zip(rest, one.predictions.items(), strict=False):
            picture(panel, label_overlay(one.image, prediction.labels, prediction.class_set), name)
        blank(rest[count - 1 :])
        for place in one.places:
            compare_place(flat(lines.pop(0)), one, place, colours, shared)
    return figure


def flat(rows: Sequence[Sequence[Axes]]) -> list[Axes]:
    """Panels row by row."""
    return [panel for row in rows for panel in row]


def compare_place(axes: Sequence[Axes], one: Shown, place: Place, colours: str, shared: bool) -> None:
    """One place's attention in every model, beside the picture with the place."""
    found: dict[str, tuple[SpatialMap, np.ndarray]] = {}
    for name, prediction in one.predictions.items():
        spatial = first_spatial(prediction)
        if spatial is not None:
            cells = spatial.grid[0] * spatial.grid[1]
            weights = spatial.seen_from(*spatial.cell(*place, *one.image.shape[:2])).numpy()
            found[name] = (spatial, weights * cells)
    common = attention_scale(*(values for _, values in found.values()))
    picture(axes[0], one.image, f"place ({place[0]}, {place[1]})")
    for panel, name in zip(axes[1:], one.predictions, strict=False):
        if name in found:
            spatial, values = found[name]
            scale = common if shared else attention_scale(values)
            heat(panel, one.image, spatial, values, scale, f"{name}: {spatial.name}, x even share", colours)
        else:
            picture(panel, one.image, f"{name}: no map over places")
    used = 1 + len(one.predictions)
    for panel in axes[:used]:
        mark_place(panel, place)
    blank(axes[used:])


def overlay_figure(
    image: Rgb,
    one: SpatialMap | AttendedFeatures,
    values: Float[np.ndarray, "rows columns"],
    title: str,
    place: Place | None = None,
    colours: str = "viridis",
) -> Figure:
    """One map over the picture with its colour bar: weights from 0, attended features from least to largest."""
    figure, axes = panels(1, 1, image, wide=2.0)
    scale = span_scale(values) if isinstance(one, AttendedFeatures) else attention_scale(values)
    heat(axes[0][0], image, one, values, scale, title, colours)
    if place is not None:
        mark_place(axes[0][0], place)
    return figure


def matrix_figure(
    one: ChannelAttention | AxisChannelAttention, line: int | None = None, colours: str = "viridis"
) -> Figure:
    """The affinities between channels with their true values; for FLA those of one row or column of the grid."""
    match one:
        case ChannelAttention():
            matrix, title = one.matrix.numpy(), one.name
        case AxisChannelAttention():
            matrix, title = one.matrix(line or 0).numpy(), f"{one.name} {line or 0}"
        case _:
            assert_never(one)
    figure = Figure((5.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    scale = attention_scale(matrix)
    axes.imshow(matrix, cmap=COLOUR_MAPS[colours], vmin=scale.low, vmax=scale.high or 1, interpolation="nearest")
    axes.set(xlabel="from channel i", ylabel="channel j", title=title)
    colour_bar(axes, scale, colours, "weight")
    return figure


def gate_figure(gate: Gate) -> Figure:
    """AFM's gate: the share of the coarser level in each channel, from the least to the largest."""
    figure = Figure((5.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    alpha = np.sort(gate.alpha.numpy())
    axes.bar(np.arange(len(alpha)), alpha, width=1.0, color="#0072B2")
    axes.axhline(0.5, color="gray", linestyle="--", linewidth=0.8)
    axes.set(xlabel="channel, ordered by its gate", ylabel="share of the coarser level", ylim=(0, 1))
    axes.set_title(f"{gate.name}, mean {alpha.mean():.2f}")
    return figure


def default_places(labels: UInt8[np.ndarray, "height width"], count: int) -> tuple[Place, ...]:
    """Places worth asking about when nobody named one: the innermost pixel of each of the largest classes."""
    sizes = np.bincount(labels.ravel(), minlength=256)
    places = []
    for index in np.argsort(-sizes, kind="stable")[:count]:
        if not sizes[index]:
            break
        inside = np.pad((labels == index).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(np.argmax(depth)), labels.shape)
        places.append((int(y), int(x)))
    return tuple(places)


def save(figure: Figure, form: str) -> bytes:
    """The figure as a file of the form "png", "svg" or "pdf": the same figure, the same bytes; text stays text.

    Raises:
        ValueError: another form.
    """
    if form not in FORMATS:
        raise ValueError(f"'{form}' is no form of figure; use {', '.join(FORMATS)}")
    settings: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "segviz"}
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
    buffer = io.BytesIO()
    with _settings, matplotlib.rc_context(settings):
        figure.savefig(buffer, format=form, dpi=DOTS_PER_INCH, metadata=undated)
    return buffer.getvalue()


# ---- the parts of a figure ---------------------------------------------------------------------------------


def panels(rows: int, columns: int, image: Rgb, wide: float = 1.0) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of panels of the picture's shape, `wide` times as wide as usual."""
    width = PANEL_WIDTH * wide
    height = width * min(max(image.shape[0] / image.shape[1], 0.2), 3.0)
    figure = Figure((columns * (width + 0.35), rows * (height + 0.25)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(row) for row in grid]


def picture(axes: Axes, image: Rgb, title: str = "") -> None:
    """The picture without ticks; pixel centres lie on whole numbers."""
    axes.imshow(image)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)


def heat(
    axes: Axes,
    image: Rgb,
    one: SpatialMap | AttendedFeatures,
    values: Float[np.ndarray, "rows columns"],
    scale: Scale,
    title: str,
    colours: str,
) -> None:
    """A map over the picture, with a colour bar of its values."""
    picture(axes, image, title)
    stretched = stretch_map(one, values, (image.shape[0], image.shape[1]))
    axes.imshow(stretched, cmap=COLOUR_MAPS[colours], norm=norm(scale), alpha=OPACITY)
    colour_bar(axes, scale, colours)


def norm(scale: Scale) -> Normalize:
    """The scale as matplotlib knows it; on a flat one everything has the lowest colour."""
    return Normalize(scale.low, scale.high if scale.high > scale.low else scale.low + 1)


def colour_bar(axes: Axes, scale: Scale, colours: str, label: str = "") -> None:
    """The colour bar beside a panel, with the values at its ends."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    bar = figure.colorbar(ScalarMappable(norm(scale), COLOUR_MAPS[colours]), ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(label, size=7)
    ends = [scale.low, scale.high] if scale.high > scale.low else [scale.low]
    bar.set_ticks(ends, labels=[f"{end:.3g}" for end in ends])
    bar.ax.tick_params(labelsize=6)


def mark_place(axes: Axes, place: Place) -> None:
    """A ring around a pixel."""
    y, x = place
    axes.plot(x, y, "o", markersize=6, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2.2)
    axes.plot(x, y, "o", markersize=6, markerfacecolor="none", markeredgecolor=MARK, markeredgewidth=1.2)


def mark_strip(axes: Axes, strips: StripAttention, strip: int, image: Rgb, colour: str) -> None:
    """The borders of a strip of the grid, in image pixels."""
    vertical = strips.axis == "vertical"
    pitch = image.shape[1] / strips.grid[1] if vertical else image.shape[0] / strips.grid[0]
    draw = axes.axvspan if vertical else axes.axhspan
    draw(strip * pitch - 0.5, (strip + 1) * pitch - 0.5, facecolor="none", edgecolor=colour, linewidth=1.2)


def strip_at(strips: StripAttention, place: Place, image: Rgb) -> int:
    """The number of the strip that a pixel lies in."""
    row, column = strips.cell(*place, *image.shape[:2])
    return column if strips.axis == "vertical" else row


def scatter_samples(axes: Axes, image: Rgb, sampled: SampledAttention, place: Place, colours: str) -> None:
    """The K samples of a place; crosses on the border stand for those that fell outside the picture."""
    size = (image.shape[0], image.shape[1])
    cell = sampled.cell(*place, *size)
    positions, weights = (part.numpy() for part in sampled.samples(*cell))
    at = pixel_of_cell(positions, size, sampled.grid)
    plain = pixel_of_cell(sampled.undisplaced(*cell).numpy(), size, sampled.grid)
    outside = ((at < -0.5) | (at > np.array(size) - 0.5)).any(1)
    picture(axes, image, f"{len(weights)} samples of ({place[0]}, {place[1]}), {int(outside.sum())} outside")
    scale = attention_scale(weights)
    axes.scatter(plain[:, 1], plain[:, 0], s=9, facecolors="none", edgecolors="white", linewidths=0.5, alpha=0.5)
    shown = at.clip(-0.5, np.array(size) - 0.5)
    look: Any = {"cmap": COLOUR_MAPS[colours], "norm": norm(scale)}
    axes.scatter(
        shown[~outside, 1], shown[~outside, 0], c=weights[~outside], s=13, edgecolors="black", linewidths=0.3, **look
    )
    axes.scatter(shown[outside, 1], shown[outside, 0], c=weights[outside], s=13, marker="x", clip_on=False, **look)
    axes.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))
    mark_place(axes, place)
    colour_bar(axes, scale, colours, "weight")


def blank(axes: Sequence[Axes]) -> None:
    """Panels that hold nothing."""
    for one in axes:
        one.set_axis_off()


SPATIAL = (
    DotProductAttention, StripAttention, CrissCrossAttention, BasesAttention, SampledAttention, OffsetMaskAttention,
)  # fmt: skip


def first_spatial(prediction: Prediction) -> SpatialMap | None:
    """The model's first map over places, or None where it attends over channels or not at all."""
    return next((one for one in prediction.maps.values() if isinstance(one, SPATIAL)), None)


Kind = TypeVar("Kind", bound=SpatialMap)


def only(one: Shown, kind: type[Kind], usual: str) -> Kind:
    """The first map of a kind among a picture's predictions.

    Raises:
        ValueError: no model has one.
    """
    for prediction in one.predictions.values():
        for value in prediction.maps.values():
            if isinstance(value, kind):
                return value
    raise ValueError(
        f"{', '.join(one.predictions)} has no map of the kind that this figure shows; use --models {usual}"
    )
