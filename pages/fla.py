"""FLA: attended features beside channel non-local's, as in FLANet's Fig. 6, and a line's channel affinities."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from jaxtyping import Float

from segviz.attention.maps import AxisChannelAttention, ChannelAttention
from segviz.figures.charts import channel_heatmap, channels_in_block
from segviz.figures.content import Matrix
from segviz.figures.map_subplots import map_subplots
from segviz.figures.subplot import Subplot
from segviz.text import join_with_commas, pixel_text
from segviz.ui.charts import show_chart
from segviz.ui.display_settings import current_display
from segviz.ui.map_help import show_worth
from segviz.ui.models import predict_or_stop
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.prediction_panels import feature_panels
from segviz.ui.show_viewer import show_viewer

PAGE = "fla"
SOURCES = 3  # channels that are named below a matrix
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
    st.caption(f"{which} Channel j (down) draws from channel i (across).{block_words(matrices)}")
    row = st.container(key="affinities")  # page.css keeps each wide enough for its cells
    for number, subplot in enumerate(matrices):
        matrix = matrix_of(subplot)
        sources = source_words(matrix)
        with row.container():
            heat = channel_heatmap(matrix, subplot.title, current_display(PAGE).colours)
            show_chart(heat, f"affinity-{number}", f"{subplot.title}: {len(matrix)} channels. {sources}")
            st.caption(
                f"{sources} Largest weight of a channel, on average: {matrix.max(1).mean():.2f} "
                f"(1 is one-hot, {1 / len(matrix):.4f} even)."
            )


def matrix_of(subplot: Subplot) -> Float[np.ndarray, "channels channels"]:
    """The matrix of a subplot that has one."""
    assert isinstance(subplot.content, Matrix)
    return subplot.content.values


def block_words(subplots: Sequence[Subplot]) -> str:
    """A sentence on what a cell of the drawing is; "" where it is one channel."""
    channels = max(len(matrix_of(subplot)) for subplot in subplots)
    block = channels_in_block(channels)
    if block == 1:
        return ""
    words = f"A cell shows the largest weight among {block} x {block} channels, so that no strong one is lost"
    return f" {words}; point at a cell for its channels."


def source_words(matrix: Float[np.ndarray, "channels channels"]) -> str:
    """The channels that most is drawn from, with the sum of what all channels draw from each."""
    sums = matrix.sum(0)
    first, *others = np.argsort(-sums, kind="stable")[:SOURCES].tolist()
    most = [f"{first} ({sums[first]:.1f} of {len(matrix)})", *(f"{one} ({sums[one]:.1f})" for one in others)]
    return f"Most is drawn from channels {join_with_commas(most)}."


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
