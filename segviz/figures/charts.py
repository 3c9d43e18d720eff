"""Interactive charts of the app: channel affinities, IoU by class, strip weights, and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from segviz.figures.colour import largest, plotly_scale
from segviz.figures.strongest import Strongest, pool_strongest, step_to_fit

# Okabe and Ito's colours, distinguishable with any common colour blindness.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
# Along a side of a drawn matrix. Each is sure of a pixel, even where a browser shows a page at a quarter of its size: a
# matrix is then 50 pixels wide.
MOST_CELLS = 48
CHART_MARGIN = {"l": 50, "r": 10, "t": 40, "b": 40}


def channel_heatmap(
    matrix: Float[np.ndarray, "channels channels"], title: str, colours: str = "viridis", top: float | None = None
) -> go.Figure:
    """An affinity matrix A[j, i]: channel j (down) draws from channel i (across).

    A cell of the drawing is a block of channels with the largest of their weights: browsers draw one of several cells
    that share a pixel, and leave out the others.

    Args:
        matrix: the affinity; its rows sum to 1.
        title: the heading.
        colours: name of a colour map in COLOUR_MAPS.
        top: upper end of the scale, for figures that share one; by default the largest value of the matrix.
    """
    drawn = pool_strongest(np.asarray(matrix, np.float32), channels_in_block(len(matrix)))
    place = {"x0": (drawn.step - 1) / 2, "dx": drawn.step, "y0": (drawn.step - 1) / 2, "dy": drawn.step}
    heat = go.Heatmap(
        z=drawn.values,
        **place,
        colorscale=plotly_scale(colours),
        zmin=0,
        zmax=largest(matrix) if top is None else top,
        colorbar={"orientation": "h", "y": -0.3, "yanchor": "top", "thickness": 10, "title": {"text": "weight"}},
        hovertext=channel_texts(drawn, len(matrix)),
        hoverinfo="text",
    )
    layout = go.Layout(
        title=title,
        margin=CHART_MARGIN,
        height=460,
        xaxis={"title": "from channel i", "constrain": "domain"},
        yaxis={"title": "channel j", "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
    )
    return go.Figure([heat], layout)


def channels_in_block(channels: int) -> int:
    """How many channels a cell of `channel_heatmap` stands for along a side."""
    return step_to_fit((channels, channels), (MOST_CELLS, MOST_CELLS))


def channel_texts(drawn: Strongest, channels: int) -> list[list[str]]:
    """What each cell of a matrix of channels shows, for the pointer."""
    ranges = [channel_range(first, drawn.step, channels) for first in range(0, channels, drawn.step)]
    return [
        [
            f"channel {j} draws {value:.3g} from channel {i}"
            + (f"<br>the largest weight of {down} from {across}" if drawn.step > 1 else "")
            for j, i, value, across in zip(*cells, ranges, strict=True)
        ]
        for down, *cells in zip(ranges, drawn.rows, drawn.columns, drawn.values, strict=True)
    ]


def channel_range(first: int, step: int, channels: int) -> str:
    """The channels of a block, such as "204 to 209"."""
    last = min(first + step, channels) - 1
    return f"{first} to {last}" if last > first else str(first)


def iou_bars(scores: Mapping[str, Mapping[str, float | None]], title: str = "IoU by class") -> go.Figure:
    """IoU of each class, one bar per model; "-" replaces the bar of a class that does not occur.

    Args:
        scores: model title -> class name -> IoU in [0, 1], or None.
        title: the heading.
    """
    bars = []
    for number, (model, by_class) in enumerate(scores.items()):
        known = [0.0 if value is None else value for value in by_class.values()]
        texts = ["-" if value is None else f"{value:.2f}" for value in by_class.values()]
        hover = ["does not occur" if value is None else f"{value:.4f}" for value in by_class.values()]
        bars.append(
            go.Bar(
                name=escape_markup(model),
                x=[escape_markup(name) for name in by_class],
                y=known,
                text=texts,
                textposition="outside",
                customdata=hover,
                hovertemplate="%{x}: %{customdata}<extra>" + escape_markup(model) + "</extra>",
                marker={"color": SERIES[number % len(SERIES)]},
            )
        )
    layout = go.Layout(
        title=title,
        margin=CHART_MARGIN,
        barmode="group",
        yaxis={"title": "IoU", "range": [0, 1.08]},
        showlegend=len(bars) > 1,
    )
    return go.Figure(bars, layout)


def strip_bars(
    weights: Sequence[Float[np.ndarray, " strips"]],
    names: Sequence[str],
    axis: str = "vertical",
    colours: Sequence[str] = SERIES,
) -> go.Figure:
    """The weights that places give to each strip, and the even share as a dashed line.

    Args:
        weights: for each place, one weight per strip; they sum to 1.
        names: name of each place.
        axis: "vertical" strips are columns of the grid, "horizontal" strips are rows.
        colours: colour of each place.
    """
    line = "column" if axis == "vertical" else "row"
    bars = [
        go.Bar(
            name=escape_markup(name),
            x=list(range(len(one))),
            y=np.asarray(one, np.float64),
            marker={"color": colours[number % len(colours)]},
            hovertemplate=line + " %{x}: %{y:.3g}<extra>" + escape_markup(name) + "</extra>",
        )
        for number, (name, one) in enumerate(zip(names, weights, strict=True))
    ]
    layout = go.Layout(
        title="Weight of each strip",
        margin=CHART_MARGIN,
        barmode="group",
        xaxis={"title": f"grid {line}"},
        yaxis={"title": "weight", "rangemode": "tozero"},
        showlegend=len(bars) > 1,
    )
    figure = go.Figure(bars, layout)
    if weights:
        figure.add_hline(1 / len(weights[0]), line={"dash": "dash", "color": "gray"}, annotation_text="even share")
    return figure


def gate_bars(alpha: Float[np.ndarray, " channels"]) -> go.Figure:
    """AFM's gate: the share of the coarser level in each channel, sorted."""
    order = np.argsort(alpha, kind="stable")
    bar = go.Bar(
        x=list(range(len(alpha))),
        y=np.asarray(alpha, np.float64)[order],
        customdata=order,
        marker={"color": SERIES[0]},
        hovertemplate="channel %{customdata}: %{y:.3f} from the coarser level<extra></extra>",
    )
    layout = go.Layout(
        title=f"Gate: mean share of the coarser level {float(np.mean(alpha)):.2f}",
        margin=CHART_MARGIN,
        xaxis={"title": "channel, ordered by its gate"},
        yaxis={"title": "share of the coarser level", "range": [0, 1]},
    )
    figure = go.Figure([bar], layout)
    figure.add_hline(0.5, line={"dash": "dash", "color": "gray"})
    return figure


def escape_markup(name: str) -> str:
    """Escapes the characters that plotly would read as markup."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
