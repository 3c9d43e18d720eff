"""The charts that answer the Results page's questions: who needs its context, and what a block costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from statistics import stdev

import plotly.graph_objects as go

from segviz.catalogue.context_worth import NO_LOSS
from segviz.catalogue.record import Cost
from segviz.figures.charts import SERIES, escape_markup
from segviz.results.charts import DRAG
from segviz.results.seeds import Runs, context_change, context_changes, is_within_spread
from segviz.results.tables import training_title

NAME_WIDTH = 24  # characters of a model's title in a line beside a chart
ROW, AROUND = 32, 90  # pixels: the height of a model's row, and of a chart without rows
SURE, ONE_SEED = SERIES[0], "#8A8A8A"  # the colours of a mean over seeds, and of a single seed


def context_chart(runs: Runs) -> go.Figure | None:
    """The change of val mIoU, in points, when each block's context is switched off: largest loss first.

    The bar through a dot is the sample standard deviation over seeds; a grey dot is one seed, whose spread is not
    known. A hollow dot lies within its spread. None where nothing was measured.
    """
    means = {name: mean for name, seeds in runs.items() if (mean := context_change(seeds)) is not None}
    if not means:
        return None
    names = sorted(means, key=means.__getitem__, reverse=True)  # plotly draws the last one at the top
    by_seed = {name: context_changes(runs[name]) for name in names}
    spreads = [stdev(changes) if len(changes) > 1 else 0 for changes in by_seed.values()]
    dots = go.Scatter(
        x=[means[name] for name in names],
        y=row_titles(names),
        error_x={"array": spreads, "thickness": 1.5, "color": SURE},
        mode="markers",
        marker={
            "size": 10,
            "color": [SURE if len(changes) > 1 else ONE_SEED for changes in by_seed.values()],
            "symbol": ["circle-open" if is_within_spread(changes) else "circle" for changes in by_seed.values()],
        },
        customdata=[", ".join(f"{change:+z.2f}" for change in changes) for changes in by_seed.values()],
        hovertemplate="%{y}: %{x:+.2f} points<br>by seed: %{customdata}<extra></extra>",
    )
    figure = go.Figure([dots], row_layout(len(names), "change of val mIoU (points)"))
    figure.add_vline(0, line={"color": ONE_SEED, "width": 1})
    figure.add_vrect(-NO_LOSS, NO_LOSS, fillcolor=ONE_SEED, opacity=0.2, line_width=0, layer="below")
    return figure


def cost_chart(costs: Mapping[str, Cost]) -> go.Figure | None:
    """The operations of each network for one picture, fewest first; None where nothing was counted."""
    if not costs:
        return None
    names = sorted(costs, key=lambda name: costs[name].gflops, reverse=True)
    bars = go.Bar(
        x=[costs[name].gflops for name in names],
        y=row_titles(names),
        orientation="h",
        text=[f"{costs[name].gflops:.1f}" for name in names],
        marker={"color": SURE},
        customdata=[(costs[name].milliseconds, costs[name].peak_mb) for name in names],
        hovertemplate="%{y}: %{x:.1f} GFLOPs<br>%{customdata[0]:.0f} ms, %{customdata[1]:.0f} MiB<extra></extra>",
    )
    return go.Figure([bars], row_layout(len(names), "GFLOPs for one picture"))


def row_titles(names: list[str]) -> list[str]:
    """The models' titles, in lines that leave room for a chart on a phone."""
    return [
        "<br>".join(textwrap.wrap(escape_markup(training_title(name)), NAME_WIDTH, break_on_hyphens=False))
        for name in names
    ]


def row_layout(rows: int, axis: str) -> go.Layout:
    """The layout of a chart with a row for each model."""
    return go.Layout(
        height=AROUND + ROW * rows,
        margin={"l": 10, "r": 10, "t": 30, "b": 50},
        xaxis={"title": axis},
        yaxis={"automargin": True, "showgrid": False},
        showlegend=False,
        dragmode=DRAG,
    )
