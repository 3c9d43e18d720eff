"""A page with eleven linked panels over random factors of realistic sizes, for the viewer's benchmark and its tests.

`streamlit run segviz/ui/benchmark_page.py`; `?rows=128&columns=256` in the address sets the grid. `?heads=12` shows the
mean of so many heads of a network instead, and `?heads=12&strip=1` a panel for each head. No model runs.
"""

import numpy as np
import streamlit as st
import torch
from jaxtyping import Bool
from torch import Tensor

from segviz.attention.maps import (
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    MultiHeadAttention,
    OffsetMaskAttention,
    SampledAttention,
    StripAttention,
)
from segviz.data.classes import CAMVID
from segviz.server import blobs
from segviz.ui.viewer import latest_display, latest_pins, show_panels
from segviz.viewer.display import Display
from segviz.viewer.network_panels import head_panels, panels_of_network_map
from segviz.viewer.panel import LabelMap, Panel

BENCH = "bench"
STRIDE = 8  # pixels per cell
DIM, STRIP_DIM, BASES, WINDOW = 32, 64, 64, 9  # sizes of the bundled models: queries, strip queries, bases, samples
REACH = (22, 29)  # how far PSA's masks reach in cells, down and across
HEAD_DIM, PREFIX_TOKENS = 64, 5  # sizes of a vision transformer: channels of a head, class and register tokens
SMALLEST, LARGEST = 2, 256  # grid lines


def show_benchmark() -> None:
    """The viewer, and what it sent."""
    st.set_page_config("segviz: the viewer alone", layout="wide")
    grid = read_lines("rows", 45), read_lines("columns", 60)
    heads = read_lines("heads", 0)
    image, panels = make_head_panels(grid, heads, "strip" in st.query_params) if heads else make_panels(grid)
    viewer(image, panels)


@st.fragment
def viewer(image: np.ndarray, panels: list[Panel]) -> None:
    """A pin or a setting runs this part alone."""
    pins = show_panels(image, panels, latest_pins(BENCH, ()), key=BENCH, columns=4, display=Display())
    st.caption(f"{len(pins)} pins; settings unlike the defaults: {latest_display(BENCH).changes()}")


def read_lines(name: str, default: int) -> int:
    """A number of grid lines from the address."""
    text = st.query_params.get(name, "")
    return min(max(int(text), SMALLEST), LARGEST) if text.isascii() and text.isdigit() else default


@st.cache_resource(max_entries=2, show_spinner=False)
def make_panels(grid: tuple[int, int]) -> tuple[np.ndarray, list[Panel]]:
    """A picture and panels of every kind, the same ones each time."""
    torch.manual_seed(0)
    (rows, columns), cells = grid, grid[0] * grid[1]
    dot = DotProductAttention("dot", grid, torch.randn(cells, DIM), torch.randn(cells, DIM))
    strip = StripAttention("strip", grid, torch.randn(cells, STRIP_DIM), torch.randn(columns, STRIP_DIM), "vertical")
    cross = CrissCrossAttention("cross", grid, torch.randn(2, cells, DIM), torch.randn(2, cells, DIM))
    bases = BasesAttention("bases", grid, torch.randn(cells, BASES).softmax(1), torch.randn(BASES, DIM))
    samples, masks = random_samples(grid), random_masks(((rows - 1) // 2 + 1, (columns - 1) // 2 + 1))
    picture = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    labels = np.arange(cells, dtype=np.uint8).reshape(grid) // 5 % len(CAMVID.names)
    image, labels = (one.repeat(STRIDE, 0).repeat(STRIDE, 1) for one in (picture, labels))
    return image, [
        Panel("Attends to", dot, "attends_to"),
        Panel("Attended by", dot, "attended_by"),
        Panel("Column map", strip, "strip"),
        Panel("Strips", strip, "attends_to"),
        Panel("Criss-cross", cross, "attends_to"),
        Panel("Criss-cross, attended by", cross, "attended_by"),
        Panel("Bases", bases, "either"),
        Panel("Samples", samples, "points"),
        Panel("Who samples it", samples, "attended_by"),
        Panel("Collect", masks, "either"),
        Panel("Classes", LabelMap(labels, CAMVID.names, CAMVID.colours), "labels"),
    ]


@st.cache_resource(max_entries=2, show_spinner=False)
def make_head_panels(grid: tuple[int, int], heads: int, strip: bool) -> tuple[np.ndarray, list[Panel]]:
    """A picture, and a network's map: its heads' mean from both sides, or what the point attends to in each head."""
    torch.manual_seed(0)
    tokens = grid[0] * grid[1] + PREFIX_TOKENS
    factors = torch.randn(2, heads, tokens, HEAD_DIM)
    one = MultiHeadAttention("heads", grid, grid, factors[0], factors[1], HEAD_DIM**-0.5, PREFIX_TOKENS, PREFIX_TOKENS)
    picture = np.random.default_rng(0).integers(0, 256, (*grid, 3), np.uint8)
    panels = head_panels(one) if strip else panels_of_network_map(one)[:2]
    return picture.repeat(STRIDE, 0).repeat(STRIDE, 1), list(panels)


def random_samples(grid: tuple[int, int]) -> SampledAttention:
    """A window of samples for each cell, each moved at random."""
    places = torch.arange(WINDOW) - WINDOW // 2
    window = torch.cartesian_prod(places, places).float()
    cells = torch.cartesian_prod(*(torch.arange(size) for size in grid)).float()
    positions = cells[:, None] + window + torch.randn(len(cells), len(window), 2)
    return SampledAttention("samples", grid, positions, torch.randn(positions.shape[:2]).softmax(1), window)


def random_masks(grid: tuple[int, int]) -> OffsetMaskAttention:
    """Random masks with the bundled model's reach."""
    logits = torch.randn(grid[0] * grid[1], DIM) @ torch.randn(DIM, grid[0] * grid[1]) / 4
    return OffsetMaskAttention("collect", grid, logits.masked_fill_(~in_reach(grid), -torch.inf), "collect")


def in_reach(grid: tuple[int, int]) -> Bool[Tensor, "cells cells"]:
    """Which cells are within reach of which."""
    near = [
        (torch.arange(size)[:, None] - torch.arange(size)).abs() <= far for size, far in zip(grid, REACH, strict=True)
    ]
    return (near[0][:, None, :, None] & near[1][None, :, None, :]).reshape(grid[0] * grid[1], -1)


if __name__ == "__main__":
    show_benchmark()
else:
    app = st.App(__file__, routes=blobs.blob_routes())
