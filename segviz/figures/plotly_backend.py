"""Draws figure specs with plotly: the same subplots, with zoom, pan, and values under the pointer."""

from __future__ import annotations

import base64
import math
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from segviz.attention.head_map import covered_size
from segviz.attention.region import Region
from segviz.figures.charts import channel_heatmap, escape_markup, gate_bars, strip_bars
from segviz.figures.colour import COLOUR_MAPS, Scale
from segviz.figures.colour_bars import bar_key, unit_text
from segviz.figures.content import Bars, Classes, Heat, Matrix, Points, Scaled, Scatter, Strips
from segviz.figures.draw_subplot import SHARES, compose_picture, small_labels
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.overlay import legend, pixel_of_cell
from segviz.figures.scale_text import format_number
from segviz.figures.strongest import pool_strongest, step_to_fit
from segviz.figures.subplot import Subplot
from segviz.text import percent_text

LONGEST = 1024  # pixels: the longer side of a picture
SUBPLOT_CELLS = (160, 160)  # down and along a map: each is sure of a pixel; of more cells, the strongest are drawn
HOVERED = 160  # cells along the longer side of the grid of class names under the pointer
SUBPLOT_PIXELS, ROOM = 420, 120


def draw_interactive(spec: FigureSpec) -> go.Figure:
    """Draws a figure spec as an interactive figure; axes count the picture's own pixels."""
    rows, columns = len(spec.rows), max(map(len, spec.rows))
    titles = [escape_markup(subplot.title) if subplot else "" for row in spec.rows for subplot in pad_row(row, columns)]
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.03, vertical_spacing=0.3 / max(rows, 4)
    )
    scales: list[tuple[object, ...]] = []
    for row, subplots in enumerate(spec.rows, 1):
        for column, subplot in enumerate(subplots, 1):
            if subplot is None:
                continue
            axis = None
            if isinstance(subplot.content, Heat | Points):
                key = bar_key(subplot.content)
                scales += [key] * (key not in scales)
                axis = f"coloraxis{scales.index(key) + 1}"
                figure.update_layout({axis: colour_axis(subplot.content, scales.index(key))})
            for trace in subplot_traces(subplot, spec.opacity, axis):
                figure.add_trace(trace, row, column)
            frame_subplot(figure, subplot, row, column)
    tall = max(subplot.image.shape[0] / subplot.image.shape[1] for subplot in spec.subplots)
    wide = SUBPLOT_PIXELS if columns > 1 else 1.5 * SUBPLOT_PIXELS
    size = {"height": round(rows * (wide * min(tall, 2) + ROOM / 2) + ROOM / 2)}
    margin = {"l": 10, "r": 10, "t": 60, "b": 10}
    figure.update_layout(title=escape_markup(spec.title), margin=margin, **size)
    return figure.update_layout(template="plotly")  # not the user's default, such as a dark one


def pad_row(row: tuple[Subplot | None, ...], columns: int) -> list[Subplot | None]:
    """Fills the row with empty cells."""
    return [*row, *[None] * (columns - len(row))]


def subplot_traces(subplot: Subplot, opacity: float, axis: str | None) -> list[Any]:
    """The traces of one subplot, from the lowest layer up."""
    match subplot.content:
        case Matrix() as matrix:
            heat = channel_heatmap(matrix.values, "", matrix.colours).data[0]
            return [heat.update(colorbar=None, showscale=False)]
        case Bars() as bars:
            return [gate_bars(bars.values).data[0]]
        case Strips() as strips:
            return list(strip_bars(list(strips.weights), strips.names, colours=strips.colours).data)
        case Scatter() as scatter:
            return scatter_traces(scatter)
        case Heat() as heat:
            own = [heat_trace(subplot, heat, opacity, axis)]
        case Points() as points:
            return [picture_trace(subplot, opacity), *points_traces(points, axis), *mark_traces(subplot)]
        case Classes() as classes:
            return [picture_trace(subplot, opacity), hover_trace(subplot, classes), *legend_traces(classes)]
        case _:
            own = []
    bare = Subplot(subplot.title, subplot.image)
    return [picture_trace(bare, opacity), *own, *mark_traces(subplot)]


def picture_trace(subplot: Subplot, opacity: float) -> go.Image:
    """The picture, blended with its classes if it has any, and scaled down if it is large."""
    picture = compose_picture(subplot, opacity, LONGEST)
    height, width = subplot.image.shape[:2]
    step_x, step_y = width / picture.shape[1], height / picture.shape[0]
    ok, data = cv2.imencode(".png", picture[:, :, ::-1])
    assert ok
    return go.Image(
        source="data:image/png;base64," + base64.b64encode(data.tobytes()).decode(),
        x0=step_x / 2 - 0.5, dx=step_x, y0=step_y / 2 - 0.5, dy=step_y, hoverinfo="skip",
    )  # fmt: skip


def heat_trace(subplot: Subplot, heat: Heat, opacity: float, axis: str | None) -> go.Heatmap:
    """Values at cell centres, interpolated between them; the pointer shows the exact value."""
    region = heat.region or Region(0, 0, subplot.image.shape[0], subplot.image.shape[1])
    size = covered_size(region.size, heat.covers)
    grid = (heat.values.shape[0], heat.values.shape[1])
    first, second = pixel_of_cell(np.array([[0.0, 0.0], [1.0, 1.0]]), size, grid, heat.features)
    (y0, x0), (dy, dx) = (first + np.array([region.top, region.left])).tolist(), (second - first).tolist()
    step = 1 if heat.unit in SHARES else step_to_fit(grid, SUBPLOT_CELLS)
    values = pool_strongest(np.asarray(heat.values, np.float32), step).values
    y0, x0, dy, dx = y0 + dy * (step - 1) / 2, x0 + dx * (step - 1) / 2, dy * step, dx * step  # the blocks' centres
    return go.Heatmap(
        z=on_axis(values, heat.scale), customdata=values, x0=x0, dx=dx or 1, y0=y0, dy=dy or 1, zsmooth="best",
        opacity=opacity, coloraxis=axis,
        hovertemplate="y %{y:.0f}, x %{x:.0f}: %{customdata:.3g}<extra>" + escape_markup(subplot.title) + "</extra>",
    )  # fmt: skip


def points_traces(points: Points, axis: str | None) -> list[Any]:
    """The sampled positions and, faintly, where they would lie undisplaced."""
    faint = {"size": 5, "color": "rgba(0,0,0,0)", "line": {"color": "rgba(85,85,85,0.6)", "width": 1}}
    weights = np.asarray(points.weights, np.float32)
    size = 4 + 10 * np.sqrt(weights / max(float(weights.max(initial=0)), 1e-12))
    marks = {"color": on_axis(weights, points.scale), "coloraxis": axis, "size": size, "line": {"width": 0.5}}
    common: Any = {"mode": "markers", "showlegend": False}
    return [
        go.Scatter(
            x=points.undisplaced[:, 1], y=points.undisplaced[:, 0], marker=faint, hoverinfo="skip", **common
        ),
        go.Scatter(
            x=points.at[:, 1], y=points.at[:, 0], marker=marks, customdata=weights, **common,
            hovertemplate="y %{y:.1f}, x %{x:.1f}: %{customdata:.3g}<extra>sample</extra>",
        ),
    ]  # fmt: skip


def scatter_traces(scatter: Scatter) -> list[go.Scatter]:
    """The dots of each group, their names under the pointer."""
    return [
        go.Scatter(
            x=[dot.x for dot in scatter.dots if dot.group == group],
            y=[dot.y for dot in scatter.dots if dot.group == group],
            text=[escape_markup(dot.name) for dot in scatter.dots if dot.group == group],
            mode="markers", name=escape_markup(group), marker={"color": colour},
            hovertemplate="%{text}: %{x:.4g}, %{y:.4g}<extra></extra>",
        )
        for group, colour in scatter.colours.items()
    ]  # fmt: skip


def hover_trace(subplot: Subplot, classes: Classes) -> go.Heatmap:
    """An invisible heatmap that names the class under the pointer."""
    height, width = classes.labels.shape
    share = min(1.0, HOVERED / max(height, width))
    size = (max(1, round(height * share)), max(1, round(width * share)))
    names = np.array([*map(escape_markup, classes.class_set.names), *["no class"] * 256])[:256]
    step_y, step_x = height / size[0], width / size[1]
    small = small_labels(classes.labels, size)
    return go.Heatmap(
        z=small, text=names[small], x0=step_x / 2 - 0.5, dx=step_x, y0=step_y / 2 - 0.5, dy=step_y, opacity=0,
        showscale=False,
        hovertemplate="y %{y:.0f}, x %{x:.0f}: %{text}<extra>" + escape_markup(subplot.model) + "</extra>",
    )  # fmt: skip


def legend_traces(classes: Classes) -> list[go.Scatter]:
    """A legend entry for each class that occurs, with its share of the picture."""
    return [
        go.Scatter(
            x=[None], y=[None], mode="markers", name=f"{escape_markup(entry.name)} {percent_text(entry.share, 1)}",
            marker={"size": 12, "symbol": "square", "color": "rgb({},{},{})".format(*entry.colour)},
        )
        for entry in legend(classes.labels, classes.class_set)
        if entry.share > 0
    ]  # fmt: skip


def mark_traces(subplot: Subplot) -> list[go.Scatter]:
    """The marked pixels."""
    if not subplot.marks:
        return []
    colours = [mark.colour for mark in subplot.marks]
    ring = {"size": 12, "symbol": "circle-open", "color": colours, "line": {"width": 2.5}}
    return [
        go.Scatter(
            x=[mark.x for mark in subplot.marks], y=[mark.y for mark in subplot.marks], marker=ring, showlegend=False,
            mode="markers+text", text=[str(mark.number or "") for mark in subplot.marks], textposition="top right",
            textfont={"color": colours},
            hovertemplate="y %{y}, x %{x}<extra>queried pixel</extra>",
        )
    ]  # fmt: skip


def on_axis(values: Float[np.ndarray, "*shape"], scale: Scale) -> Float[np.ndarray, "*shape"]:
    """Values on the colour axis: their logarithm on a log scale."""
    if scale.kind != "log":
        return values
    logarithm: np.ndarray = np.log10(np.maximum(values, scale.low or np.finfo(np.float32).tiny))
    return logarithm


def colour_axis(content: Scaled, index: int) -> dict[str, Any]:
    """A colour bar on the right, with ticks in the unit of the values."""
    low, high = (float(on_axis(np.array([end]), content.scale)[0]) for end in (content.scale.low, content.scale.high))
    bar: dict[str, Any] = {"title": {"text": escape_markup(unit_text(content)), "side": "right"}, "thickness": 14}
    bar["x"] = 1.01 + 0.11 * index
    if content.scale.kind == "log" and high > low:
        ticks = [high - step for step in range(math.ceil(high - low) + 1)]
        bar |= {"tickvals": ticks, "ticktext": [format_number(10**tick) for tick in ticks]}
    top = high if high > low else low + 1
    return {"colorscale": COLOUR_MAPS[content.colours], "cmin": low, "cmax": top, "colorbar": bar}


def frame_subplot(figure: go.Figure, subplot: Subplot, row: int, column: int) -> None:
    """Sets the subplot's axes: the whole picture, its own aspect ratio, no ticks."""
    if isinstance(subplot.content, Bars | Strips | Scatter):
        return
    height, width = subplot.image.shape[:2]
    if isinstance(subplot.content, Matrix):
        height = width = len(subplot.content.values)
    bare: Any = {"visible": isinstance(subplot.content, Matrix), "constrain": "domain"}
    figure.update_xaxes(range=[-0.5, width - 0.5], row=row, col=column, **bare)
    across = next(figure.select_xaxes(row=row, col=column)).plotly_name.replace("axis", "")
    figure.update_yaxes(range=[height - 0.5, -0.5], scaleanchor=across, row=row, col=column, **bare)
