"""The first picture of a page: its point, its scale, and its model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segviz.attention.maps import AttendedFeatures, DotProductAttention, SampledAttention
from segviz.catalogue.bundled import bundled_worth
from segviz.catalogue.context_worth import NO_LOSS
from segviz.data.scenes import draw_scene
from segviz.figures.colour import weight_scale
from segviz.figures.interesting_places import (
    CLEAREST,
    LARGEST_CLASS,
    MOST_DISPUTED,
    default_places,
    disputed_place,
    telling_place,
    why_disputed,
    why_telling,
)
from segviz.figures.viewer_figure import Viewer, viewer_figure_spec
from segviz.models.registry import MODELS
from segviz.prediction.predictor import load_predictor
from segviz.scales import PEAKED
from segviz.ui import first_sight
from segviz.ui.cues import FIRST_NETWORK, answer_or_stop, cue_panels, first_pin
from segviz.ui.first_sight import FIRST_MODEL, first_seen, tell_first
from segviz.ui.same_pixel import folded_models, has_map_of_places, model_panels
from segviz.ui.state import SessionState
from segviz.viewer.display import Display
from segviz.viewer.panel import Panel, Pin, ScalarMap
from segviz.viewer.start_scale import panel_start, set_starts, start_scale

GRID, SIZE = (20, 20), (60, 60)
CELLS = GRID[0] * GRID[1]
IMAGE = np.zeros((*SIZE, 3), np.uint8)


def looking(rows: torch.Tensor) -> DotProductAttention:
    """A map whose rows are these weights (cells, cells)."""
    return DotProductAttention("dot", GRID, rows.clamp_min(1e-30).log(), torch.eye(CELLS))


def rows_of(share: float) -> torch.Tensor:
    """Rows that give a share to the first cell, and the rest evenly to the others."""
    rows = torch.full((CELLS, CELLS), (1 - share) / (CELLS - 1))
    rows[:, 0] = share
    return rows


# ---- scales ------------------------------------------------------------------------------------------------


def test_a_map_is_linear_up_to_fifty_times_the_even_share() -> None:
    values = np.full(1000, 1e-3)
    values[0] = 0.9999 * PEAKED / 1000
    assert start_scale(values, 1 / 1000) == "linear"
    values[0] = 1.0001 * PEAKED / 1000
    assert start_scale(values, 1 / 1000) == "log"


def test_a_peaked_map_begins_on_log_even_where_that_shows_one_cell_alone() -> None:
    falling = np.concatenate([[0.9], np.full(9, 1e-3), np.linspace(1e-9, 1e-8, 990)])
    assert start_scale(falling, 1e-3) == "log"
    nearly_one_hot = np.where(falling == 1e-3, 1e-20, falling)
    one_cell = np.where(falling == 0.9, 1.0, 0.0)
    assert start_scale(nearly_one_hot, 1e-3) == start_scale(one_cell, 1e-3) == "log"
    for values in (nearly_one_hot, one_cell):
        bright = weight_scale(values, kind=start_scale(values, 1e-3)).share(values) > 0
        assert bright.tolist() == [True] + 999 * [False]  # percentiles would paint places of no weight


def test_a_map_of_both_signs_is_clipped_only_where_that_hides_no_more_than_its_peak() -> None:
    values = np.full(1000, 1e-3)
    values[:3] = 0.9, -0.1, -0.02
    assert start_scale(values, 1e-3) == "percentile"
    assert start_scale(np.where(values == 1e-3, 1e-12, values), 1e-3) == "linear"


def test_signed_attributions_begin_on_percentile_and_features_on_linear() -> None:
    values = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    nearly_one_hot = np.full((40, 40), 1e-9, np.float32)
    nearly_one_hot[3, 4] = -1
    signed, positive, one_place = (
        Panel("values", ScalarMap(one, "unit", sign), "values")
        for one, sign in ((values, True), (np.abs(values), False), (nearly_one_hot, True))
    )
    features = AttendedFeatures("features", GRID, torch.randn(*GRID), torch.randn(*GRID))
    panels = (signed, positive, one_place, Panel("f", features, "output"))
    assert [panel_start(one, (3, 4), SIZE, Display()) for one in panels] == [
        "percentile",
        "linear",
        "linear",
        "linear",
    ]


def test_the_cues_page_opens_on_maps_whose_bright_cells_have_the_weight() -> None:
    block, kind = FIRST_NETWORK
    answers = answer_or_stop(block, kind, 0)
    pin, size = first_pin(answers.scene), answers.prediction.labels.shape
    for panel in set_starts(cue_panels(answers, [pin]), (pin.y, pin.x), [pin], size, Display()):
        assert panel.start != "percentile", panel.title


@pytest.mark.parametrize(("share", "start"), [(0.1, "linear"), (0.5, "log")])
def test_the_start_is_that_of_the_map_at_the_first_point(share: float, start: str) -> None:
    one, even = looking(rows_of(share)), looking(rows_of(1 / CELLS))
    panels = [Panel("own", one, "attends_to"), Panel("even", even, "either"), Panel("pin", one, "attends_to", pin=0)]
    started = set_starts(panels, (30, 30), (Pin(5, 5, 0),), SIZE, Display())
    assert [panel.start for panel in started] == [start, "linear", start]
    spec = viewer_figure_spec("title", Viewer(IMAGE, (), Display(), 2, (30, 30)), started)
    assert [one.scale.kind for one in spec.subplots if one.scale] == [start, "linear", start]
    chosen = viewer_figure_spec("title", Viewer(IMAGE, (), Display(scale="percentile"), 2), started)
    assert spec.subplots[0].place == (30, 30)
    assert "log" not in [one.scale.kind for one in chosen.subplots if one.scale]  # the reader's choice counts


def test_a_pin_s_panel_begins_as_the_panel_above_it_that_shows_the_same_map() -> None:
    rows, pin = rows_of(1 / CELLS), Pin(5, 5, 0)
    even = looking(rows.clone())
    at = even.cell(pin.y, pin.x, *SIZE)
    rows[at[0] * GRID[1] + at[1]] = rows_of(0.5)[0]
    peaked_there = looking(rows)
    fixed = Panel("pin", peaked_there, "attends_to", pin=0)
    (alone,) = set_starts([fixed], (30, 30), (pin,), SIZE, Display())
    below = set_starts([Panel("own", peaked_there, "attends_to"), fixed], (30, 30), (pin,), SIZE, Display())
    assert (alone.start, [panel.start for panel in below]) == ("log", ["linear", "linear"])


def test_samples_begin_on_log_where_one_has_nearly_all() -> None:
    window = torch.cartesian_prod(torch.arange(-4.0, 5), torch.arange(-4.0, 5))
    cells = torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0))
    for most, start in ((0.5, "linear"), (0.9, "log")):
        weights = torch.full((CELLS, 81), (1 - most) / 80)
        weights[:, 7] = most
        one = SampledAttention("samples", GRID, cells[:, None] + window, weights, window)
        assert panel_start(Panel("samples", one, "points"), (3, 4), SIZE, Display()) == start


def test_an_export_of_signed_values_has_the_percentiles_of_the_screen() -> None:
    values = np.linspace(-1, 3, 101, dtype=np.float32).reshape(1, 101)
    values[0, -1] = 1000
    panel = Panel("values", ScalarMap(values, "unit", True), "values", start="percentile")
    (subplot,) = viewer_figure_spec("title", Viewer(IMAGE, (), Display(), 1), [panel]).subplots
    assert subplot.scale is not None and subplot.scale.kind == "percentile"
    assert (subplot.scale.low, subplot.scale.high) == pytest.approx((-2.96, 2.96), abs=0.01)
    (subplot,) = viewer_figure_spec("title", Viewer(IMAGE, (), Display(scale="log"), 1), [panel]).subplots
    assert subplot.scale is not None and (subplot.scale.kind, subplot.scale.high) == ("linear", 1000)


# ---- points ------------------------------------------------------------------------------------------------


def labels_of_bands() -> np.ndarray:
    """Three classes in bands of 30, 18 and 12 rows."""
    return np.repeat(np.array([0, 1, 2], np.uint8), (30, 18, 12))[:, None] * np.ones((1, 60), np.uint8)


def test_a_page_begins_where_the_map_tells_most_of_its_class() -> None:
    labels = labels_of_bands()
    own = torch.from_numpy(labels[1::3, 1::3].reshape(-1).astype(np.int64))
    same = (own[:, None] == own).float()
    rows = torch.where(own[:, None] == 1, same, torch.ones_like(same))  # only the class 1 looks at its own
    assert labels[telling_place(labels, looking(rows / rows.sum(1, keepdim=True)))] == 1
    one_cell = 180 * (torch.arange(CELLS) == 230).float()  # of class 1, with 60 % of its rows
    peaked = torch.where(own[:, None] == 1, same + one_cell, 1 + same)
    assert labels[telling_place(labels, looking(peaked / peaked.sum(1, keepdim=True)))] == 0
    even, (largest,) = looking(rows_of(1 / CELLS)), default_places(labels, 1)
    assert telling_place(labels, even) == telling_place(labels, None) == largest


@pytest.mark.parametrize("size", [(7, 10), (32, 32), (60, 10)])
def test_a_picture_with_fewer_pixels_than_cells_begins_inside_its_largest_class(size: tuple[int, int]) -> None:
    labels = np.zeros(size, np.uint8)
    labels[:2] = 1
    even = torch.zeros(52 * 52, 1)
    place = telling_place(labels, DotProductAttention("dot", (52, 52), even, even))
    assert labels[place] == 0 and place == telling_place(labels, None)


def test_a_page_that_compares_begins_inside_the_largest_disagreement() -> None:
    labels, other = labels_of_bands(), labels_of_bands()
    other[40:43, 5:8], other[50:57, 30:37] = 7, 7
    assert disputed_place([labels, other]) == (53, 33)
    assert disputed_place([labels, labels]) == default_places(labels, 1)[0]


def test_a_page_says_why_it_begins_where_it_does() -> None:
    labels = labels_of_bands()
    own = torch.from_numpy(labels[1::3, 1::3].reshape(-1).astype(np.int64))
    rows = 1 + 9 * (own[:, None] == own).float()
    same_class, even = looking(rows / rows.sum(1, keepdim=True)), looking(torch.full((400, 400), 1 / 400))
    for one, why in ((same_class, CLEAREST), (even, LARGEST_CLASS), (None, LARGEST_CLASS)):
        assert why_telling(labels, one, telling_place(labels, one)) == why
    other = labels.copy()
    other[40:, :30] = 0
    for compared, why in (([labels, other], MOST_DISPUTED), ([labels, labels], LARGEST_CLASS)):
        assert why_disputed(compared, disputed_place(compared)) == why
    assert tell_first(CLEAREST) == (
        "No point is pinned. The page begins where this model's map is clearest for its own class; "
        "point or click elsewhere."
    )
    assert tell_first("") == ""


def test_a_caption_says_why_maps_are_taken_where_nobody_pinned_a_point() -> None:
    one = Panel("map", looking(torch.full((400, 400), 1 / 400)), "attends_to")
    first = Viewer(IMAGE, (), Display(), 1, (30, 30), why=CLEAREST)
    told = "; pixel chosen by the page, where this model's map is clearest for its own class; the end"
    for viewer in (first, replace(first, pins=(Pin(30, 30, 0),))):  # Start begins with a pin
        assert viewer_figure_spec("title", viewer, [one], note="the end").caption().endswith(told)
    pinned, fixed = replace(first, pins=(Pin(3, 4, 0),)), replace(one, at=(3, 4))
    for viewer, panel in ((pinned, one), (first, fixed), (replace(first, why=""), one)):
        assert "chosen" not in viewer_figure_spec("title", viewer, [panel]).caption()


def test_scales_stay_those_of_the_first_point_until_page_or_picture_change(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SessionState()
    monkeypatch.setattr(first_sight, "session", lambda: state)
    picture = SimpleNamespace(digest="a", size=SIZE)
    assert first_seen("psa", picture, (), (5, 6)) == (5, 6)  # type: ignore[arg-type]
    assert first_seen("psa", picture, (Pin(7, 8, 0),), (5, 6)) == (5, 6)  # type: ignore[arg-type]
    assert first_seen("sam", picture, (Pin(7, 8, 0),), (5, 6)) == (7, 8)  # type: ignore[arg-type]
    assert first_seen("psa", picture, (), None) == (30, 30)  # type: ignore[arg-type]


# ---- models ------------------------------------------------------------------------------------------------


def test_the_first_model_s_map_is_worth_showing() -> None:
    worth = bundled_worth(FIRST_MODEL)
    assert worth is not None and min(worth.changes.values()) < -NO_LOSS
    prediction = load_predictor(FIRST_MODEL)(draw_scene(3).image)
    (one,) = prediction.spatial_maps
    place = telling_place(prediction.labels, one)
    assert panel_start(Panel("map", one, "attends_to"), place, prediction.labels.shape, Display()) == "linear"  # type: ignore[arg-type]


def test_models_without_a_map_of_places_are_folded_into_a_line() -> None:
    folded = folded_models(list(MODELS), {})
    panels = model_panels(list(MODELS), {})
    assert [name for name in MODELS if not has_map_of_places(name)] == ["fcn", "channel_nl", "fla"]
    for name in MODELS:
        assert (MODELS[name].title in [panel.title for panel in panels]) != (f"{MODELS[name].title}" in folded)
    assert folded_models(["ema"], {}) == "" and all(replace(panel).worth for panel in panels)
