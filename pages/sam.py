"""SAM: the maps of two clicked columns, as in AttaNet's Fig. 9."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from segviz.attention.maps import Gate, StripAttention
from segviz.figures.charts import gate_bars, strip_bars
from segviz.figures.figure_spec import Strips, Subplot
from segviz.figures.map_subplots import map_subplots
from segviz.text import pixel_text
from segviz.ui.charts import as_csv, chart
from segviz.ui.models import predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import pins
from segviz.ui.show import show
from segviz.viewer.panel import PIN_COLOURS, Pin
from segviz.viewer.panels_of_prediction import map_panels, pinned_panels

KEY = "sam"

st.title("Strip attention")
st.caption(
    "Every place reads whole columns. The map of a column shows who reads it: all columns' maps together are 1 "
    "everywhere. Click two columns to set them side by side. AttaNet, AAAI 2021, eq. 2, Fig. 9."
)
chosen = picture()
prediction = predict("sam", chosen)
strip, gate = prediction.map_of(StripAttention, "strip"), prediction.map_of(Gate, "gate")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    column_map, looks_at = map_panels(strip)
    kept = pins(KEY)
    newest = range(max(len(kept) - 2, 0), len(kept))
    pinned = pinned_panels([column_map], kept)
    panels = [column_map, looks_at, *(pinned[number] for number in newest)]
    bars = strips_of({number + 1: kept[number] for number in newest}) if kept else None
    weights = [Subplot("Weight of each strip", chosen.image, bars, "sam_strips", "sam")] if bars else []
    show(chosen, panels, key=KEY, columns=2, more=[*weights, *map_subplots(chosen.image, gate, (), (), model="sam")])
    if bars is None:
        return
    figure = strip_bars(list(bars.weights), bars.names, colours=bars.colours)
    chart(figure, "sam-strips", "Weight of each strip, a bar a point")
    columns = {name: row.tolist() for name, row in zip(bars.names, bars.weights, strict=True)}
    as_csv({"Grid column": list(range(bars.weights.shape[1])), **columns}, "sam-strips")


def strips_of(places: Mapping[int, Pin]) -> Strips:
    """The weights that points, by their numbers, give to the strips."""
    size = chosen.image.shape[0], chosen.image.shape[1]
    weights = [strip.strip_weights(*strip.cell(pin.y, pin.x, *size)).numpy() for pin in places.values()]
    names = tuple(f"point {number} ({pixel_text(pin.y, pin.x)})" for number, pin in places.items())
    return Strips(np.stack(weights), names, tuple(PIN_COLOURS[pin.colour] for pin in places.values()))


viewer()
st.header("The gate before it (AFM)")
st.caption("How much of each channel comes from the coarser level; the rest is the finer one's.")
chart(gate_bars(gate.alpha.numpy()), "sam-gate", "Share of the coarser level in each channel, from the least")
