"""The charts of where the blocks look: each number of each map, beside its range and two maps that learned nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from segviz.figures.charts import escape_markup
from segviz.results.answer_charts import NAME_WIDTH, ONE_SEED, SURE, row_layout
from segviz.results.map_ranges import MapRange
from segviz.results.where_blocks_look import WEIGHTS_IN_WORDS, BlockMap

MARKERS: dict[str, dict[str, Any]] = {
    "trained": {"symbol": "circle", "size": 10, "color": SURE},
    "even": {"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": ONE_SEED}},
    "random": {"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": ONE_SEED}},
}
RANGE_COLOUR = "#2CA02C"


def map_chart(maps: Sequence[BlockMap], limits: MapRange) -> go.Figure:
    """One number of every map, as trained, with even weights and with random ones; the range to reach is shaded."""
    factor, unit = (100, " %") if limits.percent else (1, " times")
    ordered = list(reversed(maps))  # plotly draws the last one at the top
    figure = go.Figure(layout=row_layout(len(ordered), f"{limits.title.lower()} ({unit.strip()})"))
    for field, words in WEIGHTS_IN_WORDS.items():
        values = [limits.of(getattr(one.measured, field)) for one in ordered]
        known = [(one, value) for one, value in zip(ordered, values, strict=True) if value is not None]
        figure.add_scatter(
            name=words,
            x=[factor * value for _, value in known],
            y=[wrap_title(one.title) for one, _ in known],
            mode="markers",
            marker=MARKERS[field],
            hovertemplate=f"%{{y}}, {words}: %{{x:.1f}}{unit}<extra></extra>",
        )
    low = None if limits.low is None else factor * limits.low
    high = None if limits.high is None else factor * limits.high
    for end in (low, high):
        if end is not None:
            figure.add_vline(end, line={"color": RANGE_COLOUR, "width": 1, "dash": "dot"})
    top = max((float(x) for trace in figure.data for x in trace.x), default=1.0)
    figure.add_vrect(
        low or 0, top if high is None else high, fillcolor=RANGE_COLOUR, opacity=0.1, line_width=0, layer="below"
    )
    figure.update_xaxes(rangemode="tozero")
    return figure


def wrap_title(title: str) -> str:
    """A map's title in lines that leave room for the chart on a phone."""
    return "<br>".join(textwrap.wrap(escape_markup(title), NAME_WIDTH, break_on_hyphens=False))
