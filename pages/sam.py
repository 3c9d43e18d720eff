"""SAM: the maps of two clicked columns, as in AttaNet's Fig. 9."""

import streamlit as st

from segviz.attention import Gate, StripAttention
from segviz.ui.charts import as_csv, chart
from segviz.ui.panel import PIN_COLOURS
from segviz.ui.panels import map_panels, pinned_panels
from segviz.ui.picture import picture
from segviz.ui.session import pins, predict, show
from segviz.views.figures import gate_bars, strip_bars
from segviz.views.map_panels import map_panels as sheets

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
    show(chosen, panels, key=KEY, columns=2, more=list(sheets(chosen.image, gate, (), (), model="sam")))
    height, width = chosen.image.shape[:2]
    if kept:
        places = [kept[number] for number in newest]
        weights = [strip.strips_from(*strip.cell(pin.y, pin.x, height, width)).numpy() for pin in places]
        names = [f"point {number + 1}" for number in newest]
        colours = [PIN_COLOURS[pin.colour] for pin in places]
        chart(strip_bars(weights, names, colours=colours), "sam-strips", "Weight of each strip, a bar a point")
        columns = {
            f"{name} (y {pin.y}, x {pin.x})": [float(value) for value in one]
            for name, pin, one in zip(names, places, weights, strict=True)
        }
        as_csv({"Grid column": list(range(len(weights[0]))), **columns}, "sam-strips")


viewer()
with st.expander("The gate before it: how much of each channel comes from the coarse level (AFM)"):
    chart(gate_bars(gate.alpha.numpy()), "sam-gate", "Share of the coarser level in each channel, from the least")
