"""FLA: attended features beside channel non-local's, as in FLANet's Fig. 6, and a line's channel affinities."""

from dataclasses import replace

import streamlit as st

from segviz.attention.maps import AxisChannelAttention, ChannelAttention
from segviz.figures.charts import channel_heatmap
from segviz.figures.content import Matrix
from segviz.figures.map_subplots import map_subplots
from segviz.figures.subplot import Subplot
from segviz.text import pixel_text
from segviz.ui.charts import show_chart
from segviz.ui.display_settings import current_display
from segviz.ui.map_help import show_worth
from segviz.ui.models import predict_or_stop
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.prediction_panels import feature_panels
from segviz.ui.show_viewer import show_viewer

PAGE = "fla"
PIN_ELSEWHERE = "Pin a point to look elsewhere."

st.title("Attended features: fully attentional")
st.caption(
    "The channel means of each block's output (FLANet, AAAI 2022, Fig. 6), and of its context before gamma and "
    "residual. Channel non-local has one matrix for all places; FLA has one for every row and every column."
)
picture = current_picture()
baseline, prediction = predict_or_stop("channel_nl", picture), predict_or_stop("fla", picture)
show_worth("channel_nl", "fla")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panels = [*feature_panels(baseline, "Channel non-local"), *feature_panels(prediction, "FLA")]
    matrices = affinities(current_display(PAGE).colours)
    show_viewer(picture, panels, page=PAGE, more=matrices)
    st.header("Channel affinity of a row and a column")
    where = f"({pixel_text(*point())})"
    which = f"At the last pin {where}." if current_pins(PAGE) else f"Showing the centre {where}. {PIN_ELSEWHERE}"
    st.caption(f"{which} Channel j (down) draws from channel i (across).")
    for number, (column, subplot) in enumerate(zip(st.columns(3), matrices, strict=True)):
        assert isinstance(subplot.content, Matrix)
        matrix = subplot.content.values
        with column:
            heat = channel_heatmap(matrix, subplot.title, subplot.content.colours)
            show_chart(heat, f"affinity-{number}", f"{subplot.title}: {len(matrix)} channels")
            st.caption(
                f"Largest weight of a channel, on average: {matrix.max(1).mean():.2f} "
                f"(1 is one-hot, {1 / len(matrix):.4f} even)."
            )


def point() -> tuple[int, int]:
    """The pixel (y, x) of the last pin, or the middle."""
    pins, (height, width) = current_pins(PAGE), picture.size
    return (pins[-1].y, pins[-1].x) if pins else (height // 2, width // 2)


def affinities(colours: str) -> list[Subplot]:
    """The C x C matrices of the point's row and column, and channel non-local's only one."""
    rows, columns = (prediction.map_of(AxisChannelAttention, axis) for axis in ("rows", "columns"))
    whole = baseline.map_of(ChannelAttention, "channel")
    row, column = rows.cell(*point(), *picture.size)
    titles = f"FLA, row {row}", f"FLA, column {column}", "Channel non-local, everywhere"
    subplots = [
        subplot
        for attention, model in ((rows, "fla"), (columns, "fla"), (whole, "channel_nl"))
        for subplot in map_subplots(picture.image, attention, [point()], (), model=model, colours=colours)
    ]
    return [replace(subplot, title=title) for subplot, title in zip(subplots, titles, strict=True)]


viewer()
