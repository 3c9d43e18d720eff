"""SAM: the maps of two clicked columns, as in AttaNet's Fig. 9."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from segviz.attention.maps import Gate, StripAttention
from segviz.figures.charts import gate_bars, strip_bars
from segviz.figures.content import Strips
from segviz.figures.map_subplots import map_subplots
from segviz.figures.subplot import Subplot
from segviz.text import pixel_text
from segviz.ui.charts import csv_button, show_chart
from segviz.ui.first_sight import first_place, why_first
from segviz.ui.map_help import show_worth
from segviz.ui.models import predict_or_stop
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import PIN_COLOURS, Pin
from segviz.viewer.panels_of_maps import panels_of_map, pin_panels

PAGE = "sam"

st.title("Column attention: strips")
st.caption(
    "Every place reads whole columns. The map of a column shows how much every place reads it; the maps of all columns "
    "add up to 1 everywhere. Pin two points to compare their columns. AttaNet, AAAI 2021, Fig. 9."
)
picture = current_picture()
prediction = predict_or_stop("sam", picture)
strip, gate = prediction.map_of(StripAttention, "strip"), prediction.map_of(Gate, "gate")
show_worth("sam")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    column_map, attends_to = panels_of_map(strip, "sam")
    pins = current_pins(PAGE)
    newest = pins[-2:]
    pinned = pin_panels([column_map], pins)
    panels = [column_map, attends_to, *pinned[-2:]]
    weights = weights_of_strips(newest) if newest else None
    more = [Subplot("Weight of each strip", picture.image, weights, "sam_strips", "sam")] if weights else []
    more += map_subplots(picture.image, gate, (), (), model="sam")
    rest, why = first_place(prediction, picture), why_first(prediction, picture)
    show_viewer(picture, panels, page=PAGE, more=more, rest=rest, why=why)
    if weights is not None:
        show_weights(weights)


def weights_of_strips(pins: Sequence[Pin]) -> Strips:
    """The weights that points give to the strips."""
    cells = [strip.cell(pin.y, pin.x, *picture.size) for pin in pins]
    names = tuple(f"point {pin.number} ({pixel_text(pin.y, pin.x)})" for pin in pins)
    weights = np.stack([strip.strip_weights(*cell).numpy() for cell in cells])
    return Strips(weights, names, tuple(PIN_COLOURS[pin.colour] for pin in pins))


def show_weights(weights: Strips) -> None:
    """The weights as bars, and as a file."""
    figure = strip_bars(list(weights.weights), weights.names, colours=weights.colours)
    show_chart(figure, "sam-strips", "Weight of each strip, one bar per point")
    columns = {name: row.tolist() for name, row in zip(weights.names, weights.weights, strict=True)}
    csv_button({"Grid column": list(range(weights.weights.shape[1])), **columns}, "sam-strips")


viewer()
st.header("The gate before it (AFM)")
st.caption("How much of each channel comes from the coarser level; the rest comes from the finer one.")
show_chart(gate_bars(gate.alpha.numpy()), "sam-gate", "Share of the coarser level in each channel, from the least")
