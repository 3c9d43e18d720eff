"""The chart of IoU by class on an axis that shows differences between models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import plotly.graph_objects as go

from segviz.catalogue.record import Shares
from segviz.figures.charts import CHART_MARGIN, escape_markup
from segviz.results.charts import CHART_HEIGHT, DRAG, GREY, LEGEND, LEGEND_LINE, class_bars, model_styles
from segviz.results.tables import training_title
from segviz.text import NONE

SYMBOLS = ("circle", "diamond", "x")  # as many as charts.PATTERNS


def class_differences(scores: Mapping[str, Shares], classes: Sequence[str], axis: str) -> go.Figure:
    """Each model's IoU less the mean of the models shown, by class, in points; the mean is below the class's name.

    Bars from 0 would all look equal, and bars from elsewhere would not be honest. One model alone gets bars.

    Args:
        scores: model name -> class name -> IoU in [0, 1], or None.
        classes: the classes, in the order of the axis.
        axis: title of the axis: the metric and its data.
    """
    if len(scores) < 2:
        return class_bars(scores, classes, axis)
    columns = {one: [by_class.get(one) for by_class in scores.values()] for one in classes}
    known = {one: [share for share in shares if share is not None] for one, shares in columns.items()}
    means = {one: fmean(shares) for one, shares in known.items() if shares}
    ticks = [f"{escape_markup(one)}<br>{f'{100 * means[one]:.1f}' if one in means else NONE}" for one in classes]
    figure = go.Figure(
        layout=go.Layout(
            height=CHART_HEIGHT + LEGEND_LINE * len(scores),
            margin=CHART_MARGIN,
            scattermode="group",
            xaxis={"tickvals": list(range(len(classes))), "ticktext": ticks, "range": [-0.5, len(classes) - 0.5]},
            yaxis={"title": f"{axis}, less the models' mean"},
            legend=LEGEND,
            showlegend=True,
            dragmode=DRAG,
        )
    )
    styles = model_styles(scores)
    for name, by_class in scores.items():
        colour, number = styles[name]
        shares = [(place, one, by_class.get(one)) for place, one in enumerate(classes)]
        there = [(place, one, share) for place, one, share in shares if share is not None]
        figure.add_scatter(
            name=escape_markup(training_title(name)),
            x=[place for place, _, _ in there],
            y=[100 * (share - means[one]) for _, one, share in there],
            customdata=[f"{escape_markup(one)}: {100 * share:.1f} %" for _, one, share in there],
            hovertemplate=f"{escape_markup(training_title(name))}<br>%{{customdata}} (%{{y:+.2f}})<extra></extra>",
            mode="markers",
            marker={"color": colour, "symbol": SYMBOLS[number], "size": 9},
        )
    figure.add_hline(0, line={"color": GREY, "width": 1})
    return figure
