"""Charts of the Results page: IoU by class, confusions, and learning curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from segviz.catalogue.curve import Curve
from segviz.catalogue.record import Shares
from segviz.figures.charts import SERIES, escape_markup, iou_bars
from segviz.figures.colour import Scale, colour_values, plotly_scale, text_colour
from segviz.models.registry import MODELS
from segviz.results.folder import BASELINE_TITLES
from segviz.results.tables import rounded_percent, training_title
from segviz.text import NONE

PAPER_FOUR = ("channel_nl", "spatial_nl", "dual_nl", "fla")  # the models in FLANet's Fig. 2
ORDER = (*PAPER_FOUR, *(name for name in MODELS if name not in PAPER_FOUR))
# Those of SERIES that contrast with both white and black, and six that differ most from them, by colour-blind eyes too.
MODEL_COLOURS = (*SERIES[:6], "#7800FC", "#A80C60", "#844800", "#8478FC", "#D800C0", "#90B478")
PLAIN_COLOURS = 6  # colours without a pattern: the others cannot all be told apart by every eye
PATTERNS, DASHES = ("", "/", "x"), ("solid", "dot", "dash", "dashdot")
PATTERN = {"fillmode": "overlay", "fgcolor": "white", "fgopacity": 0.9, "size": 5, "solidity": 0.4}
DRAG = False  # otherwise a finger that scrolls past a chart zooms it; the toolbar can enable zooming
GREY = "#8A8A8A"
MUCH_LONGER = 3  # times the steps of the longest other run
CONFUSIONS = "cividis"  # colour map of confusions
MOST_WITH_GAPS = 40  # classes: on a phone, the cells of more would be as narrow as the gaps between them
CHART_HEIGHT, LEGEND_LINE = 430, 20  # pixels
LEGEND = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "title": {"text": ""}}


def model_styles(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Each model's colour, and the number of its pattern or dash.

    A bundled model has the same in every chart. A network of one's own has the next colour that no other of these
    models has; colours repeat, with other patterns, only where there are more models than colours.
    """
    names, colours = list(names), len(MODEL_COLOURS)
    places = {name: ORDER.index(name) for name in names if name in ORDER}
    for name in names:
        if name in places:
            continue
        taken = Counter(place % colours for place in places.values())
        start = sum(name.encode())
        free = min(range(colours), key=lambda step: (taken[(start + step) % colours], step))
        colour = (start + free) % colours
        places[name] = colour + colours * taken[colour]
    return {
        name: (MODEL_COLOURS[places[name] % colours], places[name] // PLAIN_COLOURS % len(PATTERNS)) for name in names
    }


def class_bars(scores: Mapping[str, Shares], classes: Sequence[str], axis: str) -> go.Figure:
    """IoU of each class in percent, one bar per model, as in FLANet's Fig. 2; "–" if a class does not occur.

    Args:
        scores: model name -> class name -> IoU in [0, 1], or None.
        classes: the classes, in the order of the axis.
        axis: title of the axis: the metric and its data.
    """
    ordered = {name: {one: shares.get(one) for one in classes} for name, shares in scores.items()}
    figure = iou_bars({training_title(name): shares for name, shares in ordered.items()}, "")
    for (name, (colour, pattern)), bar in zip(model_styles(scores).items(), figure.data, strict=True):
        bar.text = [NONE if ordered[name][one] is None else "" for one in classes]
        bar.y = [rounded_percent(ordered[name][one]) or 0 for one in classes]
        bar.customdata = [NONE if value is None else f"{100 * value:.1f} %" for value in ordered[name].values()]
        bar.hovertemplate = f"{escape_markup(training_title(name))}: %{{customdata}}<extra></extra>"
        bar.marker = {"color": colour, "pattern": {"shape": PATTERNS[pattern], **PATTERN}}
    figure.update_layout(
        height=CHART_HEIGHT + LEGEND_LINE * len(scores),
        yaxis={"title": axis, "range": [0, 101]},
        legend=LEGEND,
        showlegend=True,
        bargap=0.25,
        hovermode="x unified",
        dragmode=DRAG,
    )
    return figure


def confusion_heatmap(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """The predicted classes (across) of each true class (down), in percent of its pixels; "–" if it has none."""
    matrix = np.array(counts, np.int64)
    totals = matrix.sum(1, keepdims=True)
    share = np.divide(100.0 * matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    names = [escape_markup(one) for one in classes]
    hover = [
        [
            f"true {true}<br>predicted {predicted}<br>"
            + (f"{count:,} pixels, {part:.2f} % of {true}" if total else f"{true} does not occur")
            for predicted, count, part in zip(names, row, parts, strict=True)
        ]
        for true, row, parts, total in zip(names, matrix, share, totals[:, 0], strict=True)
    ]
    gap = 1 if len(classes) <= MOST_WITH_GAPS else 0
    heat = go.Heatmap(
        z=share,
        x=names,
        y=names,
        zmin=0,
        zmax=100,
        colorscale=plotly_scale(CONFUSIONS),
        showscale=False,
        hovertext=hover,
        hoverinfo="text",
        xgap=gap,
        ygap=gap,
    )
    layout = go.Layout(
        height=560,
        dragmode=DRAG,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        xaxis={"title": "predicted", "tickangle": -90, "automargin": True, "showgrid": False},
        yaxis={"title": "true", "autorange": "reversed", "automargin": True, "showgrid": False},
    )
    figure = go.Figure([heat, percent_labels(share, names)], layout)
    for row in np.flatnonzero(totals[:, 0] == 0):
        for column in names:
            figure.add_annotation(x=column, y=names[row], text=NONE, showarrow=False)
    return figure


def percent_labels(share: Float[np.ndarray, "classes classes"], names: Sequence[str]) -> go.Scatter:
    """The percentages on a heatmap's cells, from 0.5 up; plotly's own labels are too faint in mid-scale."""
    cells = np.argwhere(share >= 0.5).tolist()
    colours = colour_values(share, Scale(0, 100), CONFUSIONS)[share >= 0.5]
    return go.Scatter(
        x=[names[column] for _, column in cells],
        y=[names[row] for row, _ in cells],
        text=[f"{part:.0f}" for part in share[share >= 0.5]],
        mode="text",
        textfont={"color": list(text_colour(colours))},
        hoverinfo="skip",
        showlegend=False,
    )


def val_curves(curves: Mapping[str, Curve]) -> Mapping[str, Curve]:
    """The training runs whose val mIoU was measured at several steps: one point is no curve."""
    return {name: curve for name, curve in curves.items() if sum(row.val_miou is not None for row in curve) > 1}


def curve_lines(curves: Mapping[str, Curve], field: Literal["loss", "val_miou"], axis: str) -> go.Figure:
    """One line per training run over its steps; baselines are grey and dashed.

    Beside much shorter runs that started from it, a baseline is a level line at its last value, so that its many steps
    do not squeeze theirs.
    """
    lines, styles = [], model_styles(name for name in curves if name not in BASELINE_TITLES)
    end = max((curve[-1].step for name, curve in curves.items() if name not in BASELINE_TITLES), default=0)
    for name, curve in curves.items():
        known = [(row.step, getattr(row, field)) for row in curve if getattr(row, field) is not None]
        level = name in BASELINE_TITLES and known and 0 < MUCH_LONGER * end < curve[-1].step
        if level:
            known = [(0, known[-1][1]), (end, known[-1][1])]
        colour, dash = styles.get(name) or (GREY, 2 + [*BASELINE_TITLES].index(name))
        scored: dict[str, Any] = {"mode": "lines+markers" if field == "val_miou" and not level else "lines"}
        where = f"after {curve[-1].step:,} steps" if level else "step %{x}"
        lines.append(
            go.Scatter(
                name=escape_markup(training_title(name)),
                x=[step for step, _ in known],
                y=[100 * value if field == "val_miou" else value for _, value in known],
                line={"color": colour, "dash": DASHES[dash], "width": 2},
                hovertemplate=f"{escape_markup(training_title(name))}<br>{where}: %{{y:.4~g}}<extra></extra>",
                **scored,
            )
        )
    layout = go.Layout(
        height=CHART_HEIGHT + LEGEND_LINE * len(lines),
        margin={"l": 50, "r": 10, "t": 40, "b": 40},
        xaxis={"title": "step", "rangemode": "tozero"},
        yaxis={"title": axis},
        legend=LEGEND,
        showlegend=True,
        dragmode=DRAG,
    )
    return go.Figure(lines, layout)
