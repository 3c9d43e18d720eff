"""FLA: attended features beside channel non-local's, as in FLANet's Fig. 6, and a line's channel affinities."""

import streamlit as st

from segviz.attention import AxisChannelAttention, ChannelAttention
from segviz.ui.panels import attended_panels
from segviz.ui.session import picture, pins, predict, show
from segviz.views.figures import channel_heatmap

KEY = "fla"

st.title("Fully attentional: attended features")
st.caption(
    "The means over channels of what each block puts out (FLANet, AAAI 2022, Fig. 6), and of its context before "
    "gamma and residual. Channel non-local blurs all places into one matrix; FLA keeps one for every row and column."
)
chosen = picture()
baseline, prediction = predict("channel_nl", chosen), predict("fla", chosen)


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panels = [*attended_panels(baseline, "Channel non-local"), *attended_panels(prediction, "FLA")]
    show(chosen, panels, key=KEY, columns=2)
    affinities()


def affinities() -> None:
    """The C x C matrices of the last pin's row and column, beside channel non-local's only one."""
    rows, columns = (prediction.map_of(AxisChannelAttention, axis) for axis in ("rows", "columns"))
    whole = baseline.map_of(ChannelAttention, "channel")
    height, width = chosen.image.shape[:2]
    pinned = pins(KEY)
    st.header("Channel affinity of a row and a column")
    centre = rows.grid[0] // 2, rows.grid[1] // 2
    row, column = rows.cell(pinned[-1].y, pinned[-1].x, height, width) if pinned else centre
    st.caption(
        f"{'Of the last point' if pinned else 'Of the middle; click a point for another place'}: "
        f"row {row} of {rows.grid[0]}, column {column} of {rows.grid[1]}. "
        "Channel j (down) draws from channel i (across)."
    )
    figures = (
        (rows.matrix(row), f"FLA, row {row}"),
        (columns.matrix(column), f"FLA, column {column}"),
        (whole.matrix, "Channel non-local, everywhere"),
    )
    for number, (place, (matrix, title)) in enumerate(zip(st.columns(3), figures, strict=True)):
        place.plotly_chart(channel_heatmap(matrix.numpy(), title), key=f"affinity {number}")
        largest = float(matrix.max(1).values.mean())
        place.caption(
            f"Largest weight of a channel, on average: {largest:.2f} (1 is one-hot, {1 / len(matrix):.4f} even)."
        )


viewer()
