"""FLA: attended features beside channel non-local's, as in FLANet's Fig. 6, and a line's channel affinities."""

from dataclasses import replace

import streamlit as st

from segviz.attention.maps import AxisChannelAttention, ChannelAttention
from segviz.figures.charts import channel_heatmap
from segviz.figures.figure_spec import Matrix, Subplot
from segviz.figures.map_subplots import map_subplots
from segviz.text import pixel_text
from segviz.ui.charts import chart
from segviz.ui.models import predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import display_of, pins
from segviz.ui.show import show
from segviz.viewer.panels_of_prediction import attended_panels

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
    matrices = affinities(display_of(KEY).colours)
    show(chosen, panels, key=KEY, columns=2, more=matrices)
    st.header("Channel affinity of a row and a column")
    which = "Of the last point" if pins(KEY) else "Of the middle; click a point for another place"
    st.caption(f"{which}, {pixel_text(*point())}. Channel j (down) draws from channel i (across).")
    for number, (place, one) in enumerate(zip(st.columns(3), matrices, strict=True)):
        assert isinstance(one.content, Matrix)
        matrix = one.content.values
        with place:
            heat = channel_heatmap(matrix, one.title, one.content.colours)
            chart(heat, f"affinity-{number}", f"{one.title}: {len(matrix)} channels")
            st.caption(
                f"Largest weight of a channel, on average: {matrix.max(1).mean():.2f} "
                f"(1 is one-hot, {1 / len(matrix):.4f} even)."
            )


def point() -> tuple[int, int]:
    """The pixel (y, x) of the last pin, or the middle."""
    kept = pins(KEY)
    height, width = chosen.image.shape[:2]
    return (kept[-1].y, kept[-1].x) if kept else (height // 2, width // 2)


def affinities(colours: str) -> list[Subplot]:
    """The C x C matrices of the point's row and column, and channel non-local's only one."""
    rows, columns = (prediction.map_of(AxisChannelAttention, axis) for axis in ("rows", "columns"))
    whole = baseline.map_of(ChannelAttention, "channel")
    row, column = rows.cell(*point(), *chosen.image.shape[:2])
    titles = f"FLA, row {row}", f"FLA, column {column}", "Channel non-local, everywhere"
    found = [
        subplot
        for one, model in ((rows, "fla"), (columns, "fla"), (whole, "channel_nl"))
        for subplot in map_subplots(chosen.image, one, [point()], (), model=model, colours=colours)
    ]
    return [replace(subplot, title=title) for subplot, title in zip(found, titles, strict=True)]


viewer()
