"""Colours, overlays and figures: data in, pictures out."""

from __future__ import annotations

import json
import re
from typing import get_args

import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from figure_cases import CELLS, GRID, IMAGE, LABELS, PSA_FEATURES, SIZE, masks, strips
from matplotlib.figure import Figure

from segviz.data.classes import CAMVID
from segviz.figures.charts import MOST_CELLS, channel_heatmap, gate_bars, iou_bars, strip_bars
from segviz.figures.colour import (
    COLOUR_MAPS,
    NOT_A_NUMBER,
    Scale,
    colour_table,
    colour_values,
    signed_scale,
    span_scale,
    text_colour,
    weight_scale,
)
from segviz.figures.content import Heat, Matrix
from segviz.figures.draw_charts import draw_matrix
from segviz.figures.overlay import (
    blend,
    disagreement,
    label_overlay,
    label_picture,
    legend,
    pixel_of_cell,
    stretch,
)
from segviz.figures.plotly_backend import heat_trace
from segviz.figures.subplot import Subplot
from segviz.scales import ScaleKind
from segviz.text import (
    escape_markdown,
    format_json,
    format_percent,
    format_table,
    percent_text,
    plain_text,
    whole_sentences,
)


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_colour_tables_are_matplotlibs(name: str) -> None:
    listed = matplotlib.colormaps[COLOUR_MAPS[name]](np.arange(256))[:, :3]
    assert np.abs(colour_table(name) / 255 - listed).max() <= 0.5 / 255 + 1e-9


def test_an_unknown_colour_map_is_named_with_its_cure() -> None:
    with pytest.raises(ValueError, match="'jet' is unknown; use viridis"):
        colour_table("jet")


def test_a_flat_map_stays_flat() -> None:
    noisy = np.full(GRID, 1 / CELLS, np.float32) * (1 + 1e-8 * np.random.default_rng(0).normal(size=GRID))
    assert len(np.unique(colour_values(noisy, weight_scale(noisy)).reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(colour_values(noisy, span_scale(noisy)).reshape(-1, 3), axis=0)) == 1
    assert span_scale(noisy).low == span_scale(noisy).high


def test_weight_scales_start_at_zero_and_are_shared() -> None:
    low, high = np.array([[0.2, 0.3]]), np.array([[0.1, 0.8]])
    scale = weight_scale(low, high)
    assert (scale.low, scale.high) == (0, 0.8)
    assert scale.share(low)[0] == pytest.approx([0.25, 0.375])


def test_a_log_scale_spans_three_decades() -> None:
    values = np.array([[0.0, 1e-4, 1e-3, 0.1, 1.0]])
    assert weight_scale(values, kind="log").share(values)[0] == pytest.approx([0, 0, 0, 2 / 3, 1])


def test_signed_scales_have_zero_in_the_middle() -> None:
    values = np.array([[-1.0, 0.0, 3.0]])
    assert signed_scale(values).share(values)[0] == pytest.approx([1 / 3, 0.5, 1])


def test_a_percentile_scale_spans_the_bulk() -> None:
    values = np.append(np.arange(100.0), 1e6)[None]
    scale = weight_scale(values, kind="percentile")
    assert (scale.low, scale.high, scale.kind) == (1, 99, "percentile")
    assert scale.share(np.array([1.0, 50, 99, 1e6])) == pytest.approx([0, 0.5, 1, 1])


def test_a_percentile_scale_of_nearly_all_zeros_is_the_linear_one() -> None:
    values = np.zeros((1, 1000))
    values[0, 0] = 0.4
    assert weight_scale(values, kind="percentile") == weight_scale(values)
    assert weight_scale(np.zeros((2, 2)), kind="percentile").high == 0


@pytest.mark.parametrize("spread", [0, 3e-6, 1.4e-4])
def test_a_nearly_flat_map_looks_flat(spread: float) -> None:
    values = np.linspace(0.0268, 0.0268 * (1 + spread), 2700, dtype=np.float32).reshape(45, 60)
    scales = [span_scale(values), span_scale(-values), span_scale(values, values + np.float32(1e-7))]
    for scale in (*scales, *(weight_scale(values, kind=kind) for kind in get_args(ScaleKind))):
        drawn = colour_values(values if scale.high > 0 else -values, scale).astype(int)
        assert np.ptp(drawn, (0, 1)).max() <= 1, scale
    assert span_scale(np.array([1.0, 1.002])) == Scale(1.0, 1.002)


@pytest.mark.parametrize("kind", ["linear", "log", "percentile"])
def test_weights_of_both_signs_have_zero_in_the_middle(kind: str) -> None:
    scale = weight_scale(np.linspace(-3, 1, 101)[None], kind=kind)  # type: ignore[arg-type]
    assert scale.low == -scale.high < 0
    assert scale.share(np.array([0.0])) == pytest.approx([0.5])


def test_values_that_are_no_numbers_stand_out() -> None:
    values = np.array([[np.nan, 0.5]])
    picture = colour_values(values, weight_scale(values))
    assert tuple(picture[0, 0]) == NOT_A_NUMBER
    assert tuple(picture[0, 1]) == tuple(colour_table("viridis")[-1])


def test_stretching_follows_the_grids_rule() -> None:
    values = np.arange(CELLS, dtype=np.float32).reshape(GRID)
    assert stretch(values, GRID) == pytest.approx(values)
    plain, shrunk = stretch(values, SIZE), stretch(values, SIZE, PSA_FEATURES)
    assert plain[14:16, 14:16].mean() == pytest.approx(values[1, 1])  # around the centre of cell (1, 1)
    assert shrunk[[0, 0, -1, -1], [0, -1, 0, -1]] == pytest.approx(values[[0, 0, -1, -1], [0, -1, 0, -1]])
    assert (shrunk[:3, :2] == values[0, 0]).all() and shrunk[3, 0] > values[0, 0]  # centres lie half a feature inside
    assert stretch(values, SIZE, PSA_FEATURES, smooth=False).shape == SIZE
    assert masks()[0].feature_grid == PSA_FEATURES and strips().feature_grid == GRID


def test_shrinking_features_and_stretching_them_again_leaves_a_ramp_in_its_place() -> None:
    features = (45, 60)
    ramp = np.arange(features[0], dtype=np.float32)[:, None] + np.zeros(features[1], np.float32)
    small = F.interpolate(torch.from_numpy(ramp)[None, None], (23, 30), mode="bilinear", align_corners=True)[0, 0]
    assert stretch(small.numpy(), (360, 480), features) == pytest.approx(stretch(ramp, (360, 480)), abs=1e-4)


@pytest.mark.parametrize("features", [None, (5, 5), (9, 9), (10, 10)], ids=str)
def test_a_cells_place_is_where_its_value_is_drawn(features: tuple[int, int] | None) -> None:
    ramp = np.broadcast_to(np.arange(5, dtype=np.float32)[:, None], (5, 5))
    y = pixel_of_cell(np.array([[2.0, 2.0]]), (50, 50), (5, 5), features)[0, 0]
    stretched = stretch(ramp, (50, 50), features)[:, 25]
    assert np.interp(y, np.arange(50), stretched) == pytest.approx(2, abs=1e-5)


def test_blending_runs_from_one_picture_to_the_other() -> None:
    other = 255 - IMAGE
    assert (blend(IMAGE, other, 0) == IMAGE).all()
    assert (blend(IMAGE, other, 1) == other).all()
    with pytest.raises(ValueError, match="use 0 to 1"):
        blend(IMAGE, other, 1.2)


def test_void_is_black_and_left_bare_over_the_picture() -> None:
    labels = LABELS.copy()
    labels[0] = 255
    assert (label_picture(labels, CAMVID)[0] == 0).all()
    assert tuple(label_picture(labels, CAMVID)[15, 0]) == CAMVID.palette[1]
    assert (label_overlay(IMAGE, labels, CAMVID)[0] == IMAGE[0]).all()


def test_only_the_shown_classes_are_laid_over() -> None:
    over = label_overlay(IMAGE, LABELS, CAMVID, 1.0, shown=[2])
    assert (over[:20] == IMAGE[:20]).all()
    assert (over[20:] == CAMVID.palette[2]).all()


def test_the_legend_gives_each_classes_share() -> None:
    entries = legend(LABELS, CAMVID)
    assert [entry.name for entry in entries] == list(CAMVID.names)
    assert [entry.share for entry in entries[:4]] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_disagreement_counts_votes() -> None:
    votes = [np.array([[one]], np.uint8) for one in (1, 1, 2, 5)]
    found = disagreement(votes)
    assert found.distinct[0, 0] == 3
    assert found.agreement[0, 0] == 0.5
    alone = disagreement([LABELS])
    assert (alone.distinct == 1).all() and (alone.agreement == 1).all()


def test_iou_bars_show_an_absent_class_as_a_dash() -> None:
    figure = iou_bars({"<b>one</b>": {"Sky": 0.5, "Pole": None}})
    assert list(figure.data[0].text) == ["0.50", "-"]
    assert "<b>" not in figure.to_json()


def test_charts_hold_the_true_values() -> None:
    matrix = torch.rand(6, 6).softmax(1).numpy()
    heat = channel_heatmap(matrix, "channels").data[0]
    assert np.array(heat.z) == pytest.approx(matrix)
    assert (heat.zmin, heat.zmax) == (0, pytest.approx(matrix.max()))
    weights = strips().strip_weights(0, 0).numpy()
    assert np.array(strip_bars([weights], ["pin 1"]).data[0].y) == pytest.approx(weights)
    alpha = torch.rand(7).numpy()
    assert np.array(gate_bars(alpha).data[0].y) == pytest.approx(np.sort(alpha))


def test_no_strong_channel_vanishes_from_a_drawn_matrix() -> None:
    """A browser draws one of several cells that share a pixel; each of 256 channels has its weight in the drawing."""
    for channel in range(256):
        matrix = np.full((256, 256), 1e-4, np.float32)
        matrix[7, channel] = 0.9
        heat = channel_heatmap(matrix, "channels").data[0]
        assert len(heat.z) <= MOST_CELLS and np.max(heat.z) == pytest.approx(0.9)
        row, column = np.unravel_index(np.argmax(heat.z), heat.z.shape)
        assert heat.hovertext[row][column].startswith(f"channel 7 draws 0.9 from channel {channel}<br>")
        assert abs(heat.x0 + column * heat.dx - channel) <= (heat.dx - 1) / 2


@pytest.mark.parametrize("strong", [1.0, -1.0])
def test_no_strong_cell_vanishes_from_a_picture_with_fewer_pixels(strong: float) -> None:
    for features in (None, (96, 96)):
        for at in range(48):
            values = np.zeros((48, 48), np.float32)
            values[at, 47 - at] = strong
            found = stretch(values, (19, 23), features, strongest=True)
            assert found.shape == (19, 23) and found[np.unravel_index(np.abs(found).argmax(), found.shape)] == strong


def test_no_strong_cell_vanishes_from_a_small_subplot() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    for at in range(0, 256, 7):
        values = np.zeros((256, 256), np.float32)
        values[255 - at, at] = 1
        axes = Figure().add_axes((0, 0, 1, 1))
        draw_matrix(axes, Matrix(values, Scale(0, 1)), 40)
        drawn = np.asarray(axes.images[0].get_array())
        assert len(drawn) <= 40 and (drawn == colour_values(np.ones((1, 1)), Scale(0, 1), "viridis")[0, 0]).all(2).any()
        heat = heat_trace(Subplot("t", image), Heat(values, Scale(0, 1), "weight"), 0.5, None)
        row, column = np.unravel_index(np.argmax(heat.z), heat.z.shape)
        assert len(heat.z) <= 160 and heat.z[row][column] == 1
        found = (heat.y0 + row * heat.dy, heat.x0 + column * heat.dx)
        assert found == pytest.approx(((255.5 - at) * 90 / 256 - 0.5, (at + 0.5) * 120 / 256 - 0.5), abs=heat.dx / 2)


def test_tables_put_numbers_to_the_right_and_dashes_for_nothing() -> None:
    assert (
        format_table(["name", "IoU"], [["Sky", format_percent(0.915)], ["Fence", format_percent(None)]])
        == "name    IoU\nSky    91.5\nFence     -"
    )
    assert format_percent(float("nan")) == "-"


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_ink_can_be_read_on_every_colour(name: str) -> None:
    colours = colour_table(name)
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    written = np.where(text_colour(colours) == "#fff", 1.05 / (linear + 0.05), (linear + 0.05) / 0.05)
    assert written.min() >= 4.5


def test_a_text_of_unknown_origin_becomes_markdown_that_shows_it_as_it_is() -> None:
    assert escape_markdown("![a](http://x) <b>*1*_2_`3`~4~ $5$ &amp;") == (
        "!\\[a\\](http:\u2060//x) " r"\<b\>\*1\*\_2\_\`3\`\~4\~ \$5\$ \&amp;"
    )
    assert escape_markdown("a_b_c _d_ __e") == r"a_b_c \_d\_ \_\_e"
    assert escape_markdown("a\\[b]\n\n# c") == r"a\\\[b\] # c"


@pytest.mark.parametrize(
    "text",
    ["see HTTPS://evil.example/x", "www.evil.example", "mail me@evil.example", "_a.b-c@evil.example", ":material/home:",
     "a :smile: b", "http://evil.example/me@there.example"],
)  # fmt: skip
def test_addresses_and_shortcodes_stay_text(text: str) -> None:
    shown = escape_markdown(text)
    assert not re.search(r"https?://|www\.|\w@\w|:[\w/]+:", shown, re.IGNORECASE)
    assert shown.replace("\u2060", "").replace("\\", "") == text


def test_plain_words_have_no_control_characters_and_an_end() -> None:
    assert plain_text("a\x00b\nc\ud800") == "a b c "
    assert plain_text("x" * 300) == "x" * 199 + "…"


def test_foreign_text_ends_with_a_sentence() -> None:
    text = (
        "We could not connect to 'https://hub.example' with v. 2.\n"
        + "Check your connection. " * 8
        + "See https://"
        + "x" * 80
    )
    shown = whole_sentences(text)
    assert shown.startswith("We could not") and shown.endswith("Check your connection.") and 150 < len(shown) <= 200
    assert "\n" not in shown
    assert whole_sentences("a.\x00b") == "a. b"
    assert whole_sentences("x" * 300) == "x" * 199 + "…"


def test_a_percentage_and_its_sign_stay_together() -> None:
    assert [percent_text(0.336), percent_text(0.336, 1)] == ["34\N{NO-BREAK SPACE}%", "33.6\N{NO-BREAK SPACE}%"]


def test_numbers_of_a_json_list_stand_on_one_line() -> None:
    value = {"confusion": [[1, -2.5e-07], [None, 4]], "names": ["[\n1\n]", "b"], "empty": [], "mixed": [1, "a"]}
    text = format_json(value)
    assert json.loads(text) == value
    assert "[1, -2.5e-07]" in text and "[null, 4]" in text
    assert len(format_json({"rows": [list(range(150))] * 150}).splitlines()) == 154
