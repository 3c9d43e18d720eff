"""Interactive charts for the app: affinities between channels, IoU by class, strips, and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from segviz.figures.colour import largest, plotly_scale

# Okabe and Ito's colours, told apart with any common colour blindness.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
CHART_MARGIN = {"l": 50, "r": 10, "t": 40, "b": 40}


def channel_heatmap(
    matrix: Float[np.ndarray, "channels channels"], title: str, colours: str = "viridis", top: float | None = None
) -> go.Figure:
    """An affinity matrix A[j, i] with its true values: channel j (down) draws from channel i (across).

    Args:
        matrix: rows sum to 1.
        title: the heading.
        colours: a name of COLOUR_MAPS.
        top: the upper end of the scale, to share it between figures; the matrix's largest value by default.
    """
    heat = go.Heatmap(
        z=np.asarray(matrix, np.float32),
        colorscale=plotly_scale(colours),
        zmin=0,
        zmax=largest(matrix) if top is None else top,
        colorbar={"orientation": "h", "y": -0.3, "yanchor": "top", "thickness": 10, "title": {"text": "weight"}},
        hovertemplate="channel %{y} draws %{z:.3g} from channel %{x}<extra></extra>",
    )
    layout = go.Layout(
        title=title,
        margin=CHART_MARGIN,
        height=460,
        xaxis={"title": "from channel i", "constrain": "domain"},
        yaxis={"title": "channel j", "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
    )
    return go.Figure([heat], layout)


def iou_bars(scores: Mapping[str, Mapping[str, float | None]], title: str = "IoU by class") -> go.Figure:
    """IoU of each class, a bar for each model; "-" in place of a bar where the class does not occur.

    Args:
        scores: model title -> class name -> IoU in [0, 1], or None.
        title: the heading.
    """
    bars = []
    for number, (model, by_class) in enumerate(scores.items()):
        known = [0.0 if value is None else value for value in by_class.values()]
        texts = ["-" if value is None else f"{value:.2f}" for value in by_class.values()]
        told = ["does not occur" if value is None else f"{value:.4f}" for value in by_class.values()]
        bars.append(
            go.Bar(
                name=escape_markup(model),
                x=[escape_markup(name) for name in by_class],
                y=known,
                text=texts,
                textposition="outside",
                customdata=told,
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
        weights: for each place, one weight a strip; each sums to 1.
        names: of the places.
        axis: "vertical" strips are the grid's columns, "horizontal" ones its rows.
        colours: of the places.
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
    """AFM's gate: the share of the coarser level in each channel, from the least to the largest."""
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
    """A name as plain text where plotly would read markup."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
