"""The viewer's maps, scales and statistics equal Python's on every cell, and its page behaves."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from viewer_host import (
    FEATURES,
    GRID,
    HEIGHT,
    LABELS,
    MAPS,
    PIXELS,
    PSA_FEATURES,
    SHARES,
    VALUES,
    WIDTH,
    classes,
    config,
    data,
    hover,
    mount,
    open_host,
    pins,
    put,
    random,
    sampled,
    stage,
)

from segviz.attention.direction import Direction
from segviz.attention.maps import OffsetMaskAttention, SpatialMap, StripAttention
from segviz.attention.statistics import summarise
from segviz.figures.colour import weight_scale
from segviz.figures.strongest import pool_strongest
from segviz.ui.viewer import latest_display, latest_pins
from segviz.viewer import wire
from segviz.viewer.display import CHOICES, Display
from segviz.viewer.panel import PIN_COLOURS, LabelMap, Panel, ScalarMap


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The host's page, with the functions of the viewer's modules in `maps`."""
    with open_host(browser) as opened:
        names = (
            "arithmetic",
            "cells",
            "view",
            "statistics",
            "choices",
            "numbers",
            "maps",
            "strips",
            "samples",
            "wire",
            "colour",
            "settings",
            "legend",
            "labels",
        )
        opened.evaluate(
            """async (names) => { window.maps = {};
            for (const name of names) Object.assign(maps, await import(`/modules/${name}.js`)); }""",
            names,
        )
        yield opened


LOAD = """async (given) => { const [name, wasm] = [given].flat();
    window.f = maps.unpack(await (await fetch('/' + name)).arrayBuffer(), wasm); }"""
EVERY_CELL = """(rule) => Array.from({length: f.grid[0]}, (_, r) => Array.from({length: f.grid[1]}, (_, c) =>
    Array.from(maps[rule](f, r, c))))"""


def every_cell(page: Page, rule: str) -> np.ndarray:
    """The map of every cell, (rows, columns, cells)."""
    return np.array(page.evaluate(EVERY_CELL, rule))


@pytest.mark.parametrize("wasm", [False, True], ids=["plain", "wasm"])
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("rule", "method"), [("attendsTo", "attends_to"), ("attendedBy", "attended_by")])
def test_rows_and_columns_equal_pythons(page: Page, name: str, rule: str, method: str, wasm: bool) -> None:
    value = MAPS[name]
    page.evaluate(LOAD, [name, wasm])
    rows, columns = value.grid
    expected = np.array(
        [[getattr(value, method)(r, c).flatten().tolist() for c in range(columns)] for r in range(rows)]
    )
    np.testing.assert_allclose(every_cell(page, rule), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_comparison_covers_webassembly(page: Page) -> None:
    for name in ("dot", "vertical", "cross2", "bases"):
        page.evaluate(LOAD, [name, True])
        assert page.evaluate("(f.queries ?? f.responsibilities).buffer.byteLength") % 65536 == 0, (
            "no WebAssembly memory"
        )


def test_every_kind_of_map_is_compared() -> None:
    kinds = {type(value) for value in MAPS.values()}
    assert kinds == set(get_args(SpatialMap))
    offsets = [one for one in MAPS.values() if isinstance(one, OffsetMaskAttention)]
    assert {(one.direction, one.divisor is None) for one in offsets} == set(
        itertools.product(("collect", "distribute"), (True, False))
    )


@pytest.mark.parametrize("field", ["output", "context"])
def test_features_equal_pythons(page: Page, field: str) -> None:
    page.evaluate(LOAD, "features")
    found = page.evaluate("(field) => Array.from(f[field])", field)
    np.testing.assert_array_equal(np.array(found, np.float32).reshape(GRID), getattr(FEATURES, field))


@pytest.mark.parametrize("name", VALUES)
def test_scalar_maps_equal_pythons(page: Page, name: str) -> None:
    page.evaluate(LOAD, name)
    assert page.evaluate("f.grid") == list(VALUES[name].shape)
    found = page.evaluate("Array.from(f.values)")
    np.testing.assert_array_equal(np.array(found, np.float32).reshape(VALUES[name].shape), VALUES[name])


def test_labels_equal_pythons(page: Page) -> None:
    page.evaluate(LOAD, "labels")
    np.testing.assert_array_equal(np.array(page.evaluate("Array.from(f.labels)")).reshape(HEIGHT, WIDTH), LABELS)


def test_shares_equal_pythons(page: Page) -> None:
    page.evaluate(LOAD, "shares")
    found = np.array(page.evaluate("Array.from(f.shares, (step) => step / f.steps)")).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(found, SHARES, rtol=0, atol=1e-5)


@pytest.mark.parametrize("values", [[[0.0, 1.1]], [[-0.1, 1.0]], [[0.5, np.inf]]])
def test_numbers_that_are_not_shares_are_not_sent(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="give numbers from 0 to 1"):
        wire.pack_shares(np.array(values, np.float32))


@pytest.mark.parametrize("name", ["vertical", "horizontal"])
def test_strip_maps_equal_pythons(page: Page, name: str) -> None:
    value = MAPS[name]
    assert isinstance(value, StripAttention)
    page.evaluate(LOAD, name)
    strips = range(len(value.keys))
    found = np.array([page.evaluate("(j) => Array.from(maps.stripMap(f, j))", strip) for strip in strips])
    expected = np.array([value.strip_map(strip).flatten().tolist() for strip in strips])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_samples_equal_pythons(page: Page) -> None:
    value = sampled()
    page.evaluate(LOAD, "samples")
    for row, column in ((0, 0), (2, 3), (4, 6)):
        found = page.evaluate("([r, c]) => maps.samplesAt(f, r, c)", [row, column])
        positions, shares = value.samples(row, column)
        np.testing.assert_allclose([[s["y"], s["x"]] for s in found], positions)
        np.testing.assert_allclose([s["weight"] for s in found], shares)
        rest = [[s["restY"], s["restX"]] for s in found]
        np.testing.assert_allclose(rest, value.window_around(row, column), atol=1e-6)
        low, high = torch.tensor([-0.5, -0.5]), torch.tensor([4.5, 6.5])
        outside = ((positions < low) | (positions > high)).any(1)
        assert [s["outside"] for s in found] == outside.tolist()


@pytest.mark.parametrize("name", ["dot", "collect", "line", "corner"])
@pytest.mark.parametrize("size", [(37, 53), (30, 41), (60, 84), (7, 9)])
def test_pixels_fall_into_pythons_cells(page: Page, name: str, size: tuple[int, int]) -> None:
    height, width = size
    page.evaluate(LOAD, name)
    found = page.evaluate(
        """([h, w]) => Array.from({length: h}, (_, y) =>
        Array.from({length: w}, (_, x) => maps.cellOf(f, y, x, h, w)))""",
        size,
    )
    assert found == [[list(MAPS[name].cell(y, x, height, width)) for x in range(width)] for y in range(height)]


@pytest.mark.parametrize("name", ["dot", "collect", "line"])
def test_the_middle_of_a_cell_lies_in_the_cell(page: Page, name: str) -> None:
    page.evaluate(LOAD, name)
    lost = page.evaluate(
        """() => { const lost = []; for (let r = 0; r < f.grid[0]; r++) for (let c = 0; c < f.grid[1]; c++) {
        const back = maps.cellOf(f, ...maps.pixelOf(f, r, c, 37, 53), 37, 53);
        if (back[0] !== r || back[1] !== c) lost.push([r, c, back]); } return lost; }"""
    )
    assert lost == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"),
        (0.0132, "1.32 %"),
        (1, "100 %"),
        (0.000371, "0.0371 %"),
        (3.2e-7, "3.2·10⁻⁵ %"),
    ],
)
def test_weights_read_as_shares(page: Page, value: float, text: str) -> None:
    assert page.evaluate("(v) => maps.formatWeight(v)", value) == text


@pytest.mark.parametrize("form", ["formatNumber", "formatWeight"])
@pytest.mark.parametrize(
    "ends", [(0.1001, 0.1003), (2.6785e-5, 2.6789e-5), (1234.4, 1234.5), (0.5, 0.25), (0, 0), (7, 7)]
)
def test_ends_of_a_scale_read_differently_unless_they_are_equal(
    page: Page, form: str, ends: tuple[float, float]
) -> None:
    low, high = page.evaluate(f"([low, high]) => maps.formatEnds(low, high, maps.{form})", list(ends))
    assert (low == high) == (ends[0] == ends[1])
    assert page.evaluate(f"maps.{form}(0.25)") in page.evaluate(f"maps.formatEnds(0.25, 0.5, maps.{form})")


# ---- statistics of maps ----------------------------------------------------------------------------------

LINES = 40  # rows and columns of the maps whose statistics are compared
DRAWN_FROM = {"even": (12, 20), "shrunk, odd": (23, 39), "shrunk, even": (24, 40)}


def weights(*shape: int, sharp: float = 3.0) -> np.ndarray:
    return (sharp * random(*shape)).exp().numpy()


def javascript(page: Page, expression: str, values: np.ndarray, **more: Any) -> Any:
    """Evaluates an expression over `values`, a Float32Array, and the other arguments."""
    given = {"values": values.flatten().tolist(), **more}
    names = "{" + ", ".join(given) + "}"
    return page.evaluate(f"({names}) => {{ values = Float32Array.from(values); return {expression}; }}", given)


def test_the_entropy_is_numpys(page: Page) -> None:
    for values in (weights(LINES, LINES), np.ones((LINES, LINES)), weights(LINES, LINES) * (weights(LINES, LINES) > 1)):
        share = values / values.sum()
        expected = -(share[share > 0] * np.log2(share[share > 0])).sum()
        assert javascript(page, "maps.entropyBits(values)", values) == pytest.approx(expected, abs=1e-3)


def test_weights_of_both_signs_have_no_entropy(page: Page) -> None:
    assert np.isnan(javascript(page, "maps.entropyBits(values)", np.array([0.5, -0.1])))
    assert np.isnan(javascript(page, "maps.entropyBits(values)", np.zeros(4)))


ENTROPIES = """({rule, look}) => Array.from({length: f.grid[0]}, (_, r) => Array.from({length: f.grid[1]}, (_, c) => {
    const {weights, count} = maps.choicesAt(f, look, r, c, maps[rule](f, r, c));
    return [maps.entropyBits(weights), Math.log2(count)]; }))"""


@pytest.mark.parametrize("name", [name for name, one in MAPS.items() if one.unit == "weight" and not one.signed])
@pytest.mark.parametrize(("rule", "look"), [("attendsTo", "attends_to"), ("attendedBy", "attended_by")])
def test_the_entropy_and_its_greatest_value_are_pythons(page: Page, name: str, rule: str, look: Direction) -> None:
    value = MAPS[name]
    page.evaluate(LOAD, name)
    found = page.evaluate(ENTROPIES, {"rule": rule, "look": look})
    for row, column in itertools.product(*map(range, value.grid)):
        bits, most = found[row][column]
        if float(getattr(value, look)(row, column).sum()) <= 0:
            continue
        expected = summarise(value, row, column, None, (HEIGHT, WIDTH), look)
        assert bits == pytest.approx(expected.entropy_bits, abs=2e-3)
        assert math.isnan(expected.relative_entropy) or bits / most == pytest.approx(
            expected.relative_entropy, abs=2e-3
        )


@pytest.mark.parametrize("features", DRAWN_FROM.values(), ids=DRAWN_FROM)
def test_the_mean_distance_is_numpys(page: Page, features: tuple[int, int]) -> None:
    values, (height, width), (row, column) = weights(12, 20), (96, 160), (3, 17)
    pitch = (height / features[0] * (features[0] - 1) / 11, width / features[1] * (features[1] - 1) / 19)
    down, along = np.meshgrid(np.arange(12) - row, np.arange(20) - column, indexing="ij")
    distance = np.hypot(down * pitch[0], along * pitch[1])
    expected = (values * distance).sum() / values.sum() / np.hypot(height, width)
    found = javascript(
        page,
        "maps.meanDistance({grid: [12, 20], features}, values, row, column, height, width)",
        values,
        features=list(features),
        row=row,
        column=column,
        height=height,
        width=width,
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 7, 100, 1601])
def test_percentiles_are_numpys(page: Page, count: int) -> None:
    for values in (random(count).numpy(), np.round(random(count).numpy()), np.zeros(count), np.arange(count)[::-1]):
        values = np.asarray(values, np.float32)
        found = javascript(page, "maps.percentiles(values, 0.01, 0.99)", values)
        np.testing.assert_allclose(found, np.percentile(values, [1, 99]), rtol=1e-5, atol=1e-6)


def bulk(value: float, *others: float, count: int = 1600) -> np.ndarray:
    """A map with one value in all but a few cells."""
    return np.array([*others, *[value] * (count - len(others))], np.float32).reshape(1, -1)


SCALED = {
    "weights": random(40, 45).flatten().softmax(0).reshape(40, 45).numpy(),
    "both signs": random(40, 45).numpy(),
    "negative": -1 - random(40, 45).abs().numpy(),
    "even": bulk(1 / 1600),
    "rounding": bulk(0.02, *(0.02 + 2e-9 * np.arange(100))),
    "nearly even": bulk(0.0268, *(0.0268 + 4e-8 * np.arange(100))),
    "barely uneven": bulk(0.0268, *(0.0268 + 4e-7 * np.arange(100)), count=200),
    "zeros": bulk(0),
    "zeros but a few": bulk(0, 0.4, 0.1),
    "one value but a few": bulk(0.02, 0.4, 0.1),
    "one value but a few below": bulk(0.02, 0.001, 0),
    "zeros but a few of both signs": bulk(0, 0.4, -0.1),
    "one cell": bulk(0.3, count=1),
}  # each a map's values
SCALE = """(all, mode) => {
    const limits = all.map((values) => { const one = Float32Array.from(values);
        return maps.scaleLimits(mode, one, ...maps.range(one)); });
    const [lows, highs] = [0, 1].map((end) => limits.map((ends) => ends[end]));
    const scale = maps.makeScale(mode, Math.min(...lows), Math.max(...highs));
    return [scale.low, scale.high, Boolean(scale.logarithmic)]; }"""


@pytest.mark.parametrize("mode", ["linear", "log", "percentile"])
@pytest.mark.parametrize(
    "names",
    [*((name,) for name in SCALED), ("weights", "zeros but a few"), ("weights", "both signs"), ("zeros", "even")],
)
def test_a_scale_is_pythons(page: Page, names: tuple[str, ...], mode: Any) -> None:
    values = [SCALED[name] for name in names]
    low, high, logarithmic = page.evaluate(
        f"([one, two]) => ({SCALE})(one, two)", [[v.flatten().tolist() for v in values], mode]
    )
    expected = weight_scale(*values, kind=mode)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-5)
    assert logarithmic == (expected.kind == "log")


def test_where_the_bulk_is_one_value_a_percentile_scale_reaches_the_largest(page: Page) -> None:
    for name in ("zeros but a few", "one value but a few", "zeros but a few of both signs"):
        values = SCALED[name]
        found = page.evaluate(f"([one, two]) => ({SCALE})(one, two)", [[values.flatten().tolist()], "percentile"])
        assert found[1] == pytest.approx(0.4)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (6, 9), (11, 19)])
def test_the_strongest_cells_leave_out_the_places_neighbourhood(page: Page, row: int, column: int) -> None:
    values = weights(12, 20)
    down, along = np.meshgrid(np.arange(12), np.arange(20), indexing="ij")
    away = np.where(np.maximum(abs(down - row), abs(along - column)) > 2, values, -1)
    expected = np.argsort(-away, axis=None)[:5]
    found = javascript(page, "maps.strongestCells(values, [12, 20], row, column)", values, row=row, column=column)
    assert found == expected.tolist()


ROOM = {"height": 120, "width": 160}
LABEL_SIZE = {"wide": 14.5, "high": 14}


def rectangle(row: int, column: int, side: int = 8) -> dict[str, float]:
    top, left = side * row, side * column
    return {"top": top, "left": left, "bottom": top + side, "right": left + side, **LABEL_SIZE}


def are_apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        abs(one["left"] - other["left"]) >= LABEL_SIZE["wide"] or abs(one["top"] - other["top"]) >= LABEL_SIZE["high"]
    )


@pytest.mark.parametrize(
    "cells",
    [
        [(5, 5), (5, 6), (6, 5), (6, 6), (4, 5)],
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)],
        [(14, 19), (13, 19), (12, 19), (14, 18), (13, 18)],
        [(7, 8), (7, 9), (7, 10), (7, 11), (7, 12)],
    ],
    ids=["heap", "corner", "last corner", "row"],
)
def test_labels_of_neighbouring_cells_cover_neither_each_other_nor_a_marker(
    page: Page, cells: list[tuple[int, int]]
) -> None:
    marker = {"top": 20, "left": 70, "bottom": 46, "right": 98}
    places = page.evaluate(
        "([boxes, taken, size]) => maps.placeLabels(boxes, taken, size)",
        [[rectangle(*cell) for cell in cells], [marker], ROOM],
    )
    assert len(places) == len(cells)
    for one, other in itertools.combinations(places, 2):
        assert are_apart(one, other)
    for one in places:
        assert 0 <= one["top"] <= ROOM["height"] - 14 and 0 <= one["left"] <= ROOM["width"] - 14.5
        beside = one["left"] >= marker["right"] or one["left"] + 14.5 <= marker["left"]
        assert beside or one["top"] >= marker["bottom"] or one["top"] + 14 <= marker["top"]


def test_a_label_that_is_not_in_the_way_stands_at_its_box(page: Page) -> None:
    (place,) = page.evaluate("([boxes, size]) => maps.placeLabels(boxes, [], size)", [[rectangle(5, 5)], ROOM])
    assert place == {"top": 40 + 2 - 14, "left": 49, "isAway": False}


def test_cells_without_weight_are_never_the_strongest(page: Page) -> None:
    values = np.zeros((4, 8))
    values[0, 7] = 1
    assert javascript(page, "maps.strongestCells(values, [4, 8], 0, 0)", values) == [7]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_cells_that_share_a_pixel_show_the_strongest_and_hide_none_that_is_no_number(page: Page, step: int) -> None:
    values = np.random.default_rng(5).standard_normal((7, 10))
    values[2, 3], values[6, 9] = np.nan, -9
    expected = pool_strongest(values, step).values.ravel()
    texts = [str(one) for one in values.ravel()]  # JSON has no number for NaN
    call = "(texts) => Array.from(maps.strongestOfBlocks(Float64Array.from(texts, Number), [7, 10], %d), String)"
    found = [float(one) for one in page.evaluate(call % step, texts)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(expected).sum() == 1


@pytest.mark.parametrize("value", [0.0, -0.3, -1.0, -20.0, -80.0, 3.5, -5000.0, -np.inf])
def test_the_quick_exponential_is_numpys(page: Page, value: float) -> None:
    found = page.evaluate("(x) => maps.exponential(x ?? -Infinity)", None if np.isinf(value) else value)
    assert found == pytest.approx(np.exp(value), rel=1e-9)


# ---- zoom and settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zoom", [1.5, 4.0, 30.0])
def test_zooming_leaves_the_place_under_the_pointer(page: Page, zoom: float) -> None:
    view = {"zoom": 2.0, "left": 0.25, "top": 0.1}
    now = page.evaluate("([view, zoom]) => maps.zoomView(view, zoom, 0.4, 0.7, 1)", [view, zoom])
    if zoom > 2:
        assert now["left"] + 0.4 / now["zoom"] == pytest.approx(view["left"] + 0.4 / 2)
        assert now["top"] + 0.7 / now["zoom"] == pytest.approx(view["top"] + 0.7 / 2)
    assert 0 <= now["left"] <= 1 - 1 / now["zoom"]


def test_a_view_never_leaves_the_picture(page: Page) -> None:
    view = {"zoom": 4.0, "left": 0.5, "top": 0.5}
    for x, y in ((9, 9), (-9, -9), (0, 9)):
        now = page.evaluate("([view, x, y]) => maps.panView(view, x, y)", [view, x, y])
        assert 0 <= now["left"] <= 0.75
        assert 0 <= now["top"] <= 0.75


def test_a_picture_smaller_than_its_stage_lies_in_the_middle(page: Page) -> None:
    now = page.evaluate("maps.zoomView(maps.WHOLE, 0.5, 0.9, 0.1, 0.5)")
    assert now == {"zoom": 0.5, "left": -0.5, "top": -0.5}


def test_both_sides_know_the_same_choices(page: Page) -> None:
    assert page.evaluate("maps.CHOICES") == {name: list(choices) for name, choices in CHOICES.items()}
    assert page.evaluate("maps.readSettings(null)") == Display().as_dict()


GIVEN = {
    "fine": {"colours": "magma", "opacity": 30, "scale": "percentile", "outlines": True, "hidden": ["sky", "road"]},
    "unknown": {"colours": "jet", "opacity": 101, "range": None, "cells": 3, "strongest": "yes", "more": 1},
    "odd": {"opacity": 1.5, "hidden": ["b", 3, "a", "a"], "direction": ["attended_by"], "scale": "__proto__"},
    "not lists": {"hidden": "sky", "outlines": 1},
}


@pytest.mark.parametrize("name", GIVEN)
def test_both_sides_read_settings_alike(page: Page, name: str) -> None:
    assert page.evaluate("(given) => maps.readSettings(given)", GIVEN[name]) == Display.of(GIVEN[name]).as_dict()


# ---- the component, mounted as Streamlit mounts it ------------------------------------------------------


def viridis(page: Page) -> list[int]:
    found = page.evaluate("Array.from(maps.colourTable('viridis'))")
    assert isinstance(found, list)
    return found


def test_hovering_draws_every_linked_panel_and_sends_nothing(page: Page) -> None:
    kinds = ["dot", "vertical", "cross2", "bases", "samples", "distribute"]
    mount(page, data(*(config(kind, "attended_by", kind) for kind in kinds)))
    hover(page, "dot", 3, 2)
    for kind in kinds:
        # the pixel (105, 75) of 150 x 210 is cell (2.9, 2.1) of the distribute map
        expect(stage(page, kind)).to_have_attribute("data-cell", "3,2")
        expected = MAPS[kind].attended_by(3, 2)
        assert float(stage(page, kind).get_attribute("data-max")) == pytest.approx(expected.max().item(), rel=1e-5)
        pixels = np.array(stage(page, kind).locator("canvas.map").evaluate(PIXELS)).reshape(*GRID, 4)
        table = viridis(page)
        steps = (expected / expected.max() * 1023).round().int().flatten().tolist()
        wanted = np.array([table[step] for step in steps], "<u4").view(np.uint8).reshape(*GRID, 4)
        assert np.abs(pixels.astype(int) - wanted).max() <= 2
    assert page.evaluate("window.edits") == []


def test_a_flat_map_looks_flat_and_shows_its_value(page: Page) -> None:
    mount(page, data(config("flat", "attends_to", "flat")))
    pixels = np.array(stage(page, "flat").locator("canvas.map").evaluate(PIXELS)).reshape(-1, 4)
    assert (pixels == pixels[0]).all()
    expect(page.locator(".panel .high")).to_have_text("2.86 %")
    expect(page.locator(".panel .low")).to_have_text("0 %")
    expect(page.locator(".panel .value")).to_have_text("2.86 %, 1.00 × the even share")


def test_one_shared_scale_spans_all_weights(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), config("flat", "attends_to", "flat")))
    page.get_by_label("one shared").check()
    top = page.locator(".panel .high").first.inner_text()
    expect(page.locator(".panel .high").nth(1)).to_have_text(top)
    page.get_by_label("each map").check()
    expect(page.locator(".panel .high").nth(1)).to_have_text("2.86 %")


def test_signed_features_have_zero_in_the_middle(page: Page) -> None:
    mount(page, data(config("output", "output", "features"), config("context", "context", "features")))
    output = random(*GRID)
    ends = page.locator(".panel .low").all_inner_texts(), page.locator(".panel .high").all_inner_texts()
    top = float(output.abs().max())
    assert ends[0][0] == f"−{top:#.3g}"
    assert ends[1][0] == f"{top:#.3g}"
    assert ends[0][1] == "0"


def scalar(name: str, *, signed: bool = True, unit: str = "logits", **more: Any) -> dict[str, Any]:
    """A panel of a scalar map."""
    return config(name, "values", name, unit=unit, signed=signed, **more)


@pytest.mark.parametrize("name", ["signed", "positive"])
def test_a_signed_scalar_map_is_drawn_around_0_and_shows_its_value_with_its_unit(page: Page, name: str) -> None:
    mount(page, data(scalar(name)))
    hover(page, name, 3, 2)
    values = VALUES[name]
    top = float(np.abs(values).max())
    table = np.array(page.evaluate("Array.from(maps.colourTable('signed'))"), "<u4")
    wanted = table[np.round((values / top + 1) / 2 * 1023).astype(int)].view(np.uint8).reshape(*GRID, 4)
    pixels = np.array(stage(page, name).locator("canvas.map").evaluate(PIXELS)).reshape(*GRID, 4)
    assert np.abs(pixels.astype(int) - wanted).max() <= 4
    if name == "signed":
        red, _, blue, _ = pixels[values < -top / 2].mean(0)
        assert blue > red
    expect(page.locator(".panel .low")).to_have_text(f"−{top:#.3g}")
    expect(page.locator(".panel .high")).to_have_text(f"{top:#.3g}")
    expect(page.locator(".panel .value")).to_have_text(f"{values[3, 2]:#.3g} logits".replace("-", "−"))


def test_a_scalar_map_without_signs_starts_at_0(page: Page) -> None:
    mount(page, data(scalar("positive", signed=False)))
    expect(page.locator(".panel .low")).to_have_text("0")
    assert page.evaluate("document.body.firstChild.shadowRoot.querySelector('.bar').classList.contains('signed')") is (
        False
    )


def test_scalar_maps_share_a_scale_with_those_of_their_unit_alone(page: Page) -> None:
    mount(
        page,
        data(scalar("signed"), scalar("fine"), scalar("positive", unit="metres"), config("dot", "attends_to", "dot")),
    )
    own = page.locator(".panel .high").all_inner_texts()
    page.get_by_label("one shared").check()
    largest = max(float(np.abs(VALUES[name]).max()) for name in ("signed", "fine"))
    for index, text in enumerate((f"{largest:#.3g}", f"{largest:#.3g}", own[2], own[3])):
        expect(page.locator(".panel .high").nth(index)).to_have_text(text)
    page.get_by_label("each map").check()


def test_infinite_values_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="none infinite"):
        wire.pack_values(np.full(GRID, np.inf, np.float32))


def test_a_click_pins_at_once_and_a_marker_unpins(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), config("bases", "attends_to", "bases")))
    hover(page, "dot", 1, 1)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(".marker")).to_have_count(2)  # on both pictures, before any answer
    assert pins(page)[0] == pytest.approx([45, 45, 0], abs=1)  # a click's coordinates are whole CSS pixels
    hover(page, "bases", 3, 5)
    page.mouse.down()
    page.mouse.up()
    assert pins(page)[1] == pytest.approx([105, 165, 1], abs=1)
    stage(page, "dot").get_by_label("Remove pin 1").click()
    assert pins(page)[0] == pytest.approx([105, 165, 1], abs=1)
    page.locator(".pins").get_by_label("Remove pin 2").click()
    assert pins(page) == []
    assert [edit[1]["seq"] for edit in page.evaluate("window.edits")] == [1, 2, 3, 4]


def test_a_stale_answer_does_not_undo_a_newer_pin(page: Page) -> None:
    content = data(config("dot", "attends_to", "dot"))
    mount(page, content)
    for column in (1, 4):
        hover(page, "dot", 2, column)
        page.mouse.down()
        page.mouse.up()
    first, second = (edit[1] for edit in page.evaluate("window.edits"))
    for stale in (None, {"mount": first["mount"], "seq": 1}, {"mount": "another", "seq": 9}):
        page.evaluate("(data) => window.show(data)", {**content, "pins": first["pins"], "echo": stale})
        expect(page.locator(".marker")).to_have_count(2)
    echo = {"mount": second["mount"], "seq": 2}
    page.evaluate("(data) => window.show(data)", {**content, "pins": [], "echo": echo})
    expect(page.locator(".marker")).to_have_count(0)  # Python cleared them, knowing of both


def test_pins_are_bounded_and_get_colours_of_their_own(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), pins=[(10, 10, 1)]))
    for column in (1, 3, 5):
        hover(page, "dot", 2, column)
        page.mouse.down()
        page.mouse.up()
    expect(page.get_by_role("status")).to_contain_text("All 3 pins are set")
    assert [pin[2] for pin in pins(page)] == [1, 2, 3]


def test_a_pin_keeps_its_number_when_others_go_and_a_removed_number_returns_last(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), maxPins=len(PIN_COLOURS)))
    numbers, chips = page.locator(".marker b"), page.locator(".pins .badge")

    def add(column: int, row: int = 2) -> None:
        hover(page, "dot", row, column)
        page.mouse.down()
        page.mouse.up()

    for column in (0, 2, 4):
        add(column)
    page.locator(".pins").get_by_label("Remove pin 1").click()
    expect(page.get_by_role("status")).to_have_text("Pin 1 removed.")
    for shown in (numbers, chips):
        expect(shown).to_have_text(["2", "3"])
    add(6)
    expect(page.get_by_role("status")).to_contain_text("Pin 4 set")
    for column in (0, 2, 4, 6):
        add(column, row=4)
    for shown in (numbers, chips):
        expect(shown).to_have_text(["2", "3", "4", "5", "6", "7", "8"])
    add(1, row=0)
    expect(chips.last).to_have_text("1")  # no other number is left


def test_the_keyboard_moves_pins_and_unpins_and_keeps_its_keys(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot")))
    page.evaluate("() => { window.leaked = []; document.addEventListener('keydown', (e) => leaked.push(e.key)); }")
    here = stage(page, "dot")
    here.focus()
    expect(here).to_have_attribute("data-cell", "2,3")
    for key in ("ArrowUp", "ArrowLeft", "Shift+ArrowRight", "r", "c"):
        page.keyboard.press(key)
    expect(here).to_have_attribute("data-cell", "1,6")
    expect(page.get_by_role("status")).to_contain_text("%")
    page.keyboard.press("Enter")
    assert pins(page) == [[45, 195, 0]]
    page.keyboard.down(" ")
    expect(here.locator("canvas.map")).to_be_hidden()
    page.keyboard.up(" ")
    expect(here.locator("canvas.map")).to_be_visible()
    page.keyboard.press("Delete")
    assert pins(page) == []
    assert page.evaluate("leaked") == []


def test_the_point_rests_on_the_last_pin(page: Page) -> None:
    fixed = config("fixed", "attends_to", "dot", at=(15, 15))
    mount(page, data(config("dot", "attends_to", "dot"), fixed, pins=[(10, 10, 0), (140, 200, 1)]))
    expect(stage(page, "dot")).to_have_attribute("data-cell", "4,6")
    hover(page, "fixed", 2, 2)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "2,2")
    expect(stage(page, "fixed")).to_have_attribute("data-cell", "0,0")
    page.mouse.move(1, 899)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "4,6")


def test_labels_name_the_class_and_names_are_text(page: Page) -> None:
    names = ["sky", "<img src=x onerror=alert(1)>", "road"]
    mount(page, data(classes("<b>labels</b>", classes=names, palette=[[1, 2, 3]] * 3)))
    expect(page.locator(".title")).to_have_text("<b>labels</b>")
    box = page.locator(".stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    expect(page.locator(".value")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator(".legend img").count() == 0
    sky = page.locator(".legend .toggle").filter(has_text="sky")
    sky.click()
    expect(sky).to_have_attribute("aria-pressed", "false")  # the next frame draws it
    pixels = np.array(page.locator("canvas.map").evaluate(PIXELS)).reshape(HEIGHT, WIDTH, 4)
    assert pixels[0, 0, 3] == 0
    assert pixels[-1, -1].tolist() == [1, 2, 3, 255]


def test_a_shrunk_map_lies_with_its_corners_on_those_of_its_features(page: Page) -> None:
    mount(page, data(config("collect", "attends_to", "collect")))
    outer, inner = stage(page, "collect").bounding_box(), page.locator("canvas.map").bounding_box()
    assert outer is not None
    assert inner is not None
    feature = WIDTH / PSA_FEATURES[1]
    pitch = feature * (PSA_FEATURES[1] - 1) / (GRID[1] - 1)
    scale = outer["width"] / WIDTH
    assert inner["x"] - outer["x"] == pytest.approx((feature - pitch) / 2 * scale, abs=0.1)
    assert inner["width"] == pytest.approx(GRID[1] * pitch * scale, abs=0.1)


def test_a_lost_blob_is_reported_and_fetched_again_by_the_next_run(page: Page) -> None:
    put(page, data(config("lost", "attends_to", "nowhere")))
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.evaluate("(data) => window.show(data)", data(config("lost", "attends_to", "dot")))
    expect(stage(page, "lost")).to_have_attribute("data-ready", "1")


# ---- Python's side --------------------------------------------------------------------------------------


def test_a_panel_refuses_a_look_that_its_map_does_not_have() -> None:
    labels = LabelMap(np.zeros((2, 2), np.uint8), ("a",), np.zeros((1, 3), np.uint8))
    scalar_map = ScalarMap(VALUES["signed"], "logits", True)
    for value, look in (
        (MAPS["dot"], "strip"),
        (MAPS["dot"], "labels"),
        (labels, "attends_to"),
        (None, "attended_by"),
        (scalar_map, "attends_to"),
        (labels, "values"),
    ):
        with pytest.raises(ValueError, match="has no look"):
            Panel("panel", value, look)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [[1, 2], [1, 2, 99], [-1, 2, 0], ["1", 2, 0], [1.5, 2, 0], [True, 2, 0], None, {}])
def test_invalid_pins_are_dropped(entry: object, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = {"mount": "m", "seq": 1, "pins": [entry, [3, 4, 1]]}
    monkeypatch.setattr("streamlit.session_state", {"viewer": {"edit": json.loads(json.dumps(edit))}})
    assert [(pin.y, pin.x, pin.colour) for pin in latest_pins("viewer", ())] == [(3, 4, 1)]


@pytest.mark.parametrize(
    ("look", "sides"), [("swipe", None), ("plain", ("plain", "plain")), ("swipe", ("points", "plain"))]
)
def test_a_swipe_panel_refuses_what_cannot_lie_beside_a_divider(look: Any, sides: Any) -> None:
    maps = {"plain": None, "points": MAPS["samples"]}
    both = sides and tuple(Panel(name, maps[name], name) for name in sides)
    with pytest.raises(ValueError, match=r"go together|cannot be one side"):
        Panel("panel", None, look, sides=both)


def test_settings_from_an_address_are_text() -> None:
    display = Display(colours="gray", opacity=5, scale="log", strongest=True, hidden=("Road", "Sky"))
    assert Display.of(display.changes()) == display
    assert Display().changes() == {}


def test_the_browsers_settings_come_before_the_stored_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "streamlit.session_state", {"told": {"settings": {"scale": "log", "opacity": "x"}}, "odd": {"settings": 3}}
    )
    assert latest_display("told", Display(colours="gray")) == Display(scale="log")
    assert latest_display("odd", Display(colours="gray")) == Display(colours="gray")
    assert latest_display("none") == Display()


def test_a_legend_gives_a_class_no_share_of_a_map_that_cannot_have_it(page: Page) -> None:
    entries = page.evaluate(
        """() => {
            const factors = { labels: Array(10) }, palette = Array(3).fill([0, 0, 0]);
            const layer = (title, classes, counts) => ({ config: { title, classes, palette }, counts, factors });
            const layers = [layer("a", ["road", "sky"], [4, 6]), layer("b", ["road", "sky"], [10, 0]),
                layer("own", ["class 0", "sky"], [7, 3])];
            return maps.listClasses(layers).map((one) => [one.name, maps.formatAreas(one.areas), one.owner]);
        }"""
    )
    assert entries == [["road", "40.0 · 100.0", ""], ["class 0", "70.0", "own"], ["sky", "0.0–60.0", ""]]


def test_a_panel_of_classes_marks_the_first_point_until_somebody_points(page: Page) -> None:
    mount(page, data(classes("labels", classes=["sky", "car", "road"], palette=[[1, 2, 3]] * 3)))
    mark, box = page.locator(".cell"), page.locator(".stage").bounding_box()
    expect(mark).to_be_visible()
    where = mark.bounding_box()
    assert box is not None and where is not None
    assert abs(where["x"] + where["width"] / 2 - box["x"] - box["width"] / 2) < 0.05 * box["width"]
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    expect(mark).to_be_hidden()
