"""The viewer in use: zoom, scales, swipe, classes, directions, accessibility, and no traffic while hovering."""

from __future__ import annotations

import base64
import io
import itertools
import math
import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from viewer_host import (
    GAPS,
    HEIGHT,
    LABELS,
    MAPS,
    NARROW_GRID,
    NARROW_PEAKS,
    OTHER,
    PALETTE,
    PARTLY_SURE,
    PIXELS,
    SHARES,
    WIDTH,
    box,
    classes,
    config,
    data,
    hover,
    mount,
    open_host,
    pins,
    put,
    stage,
)

from segviz.attention.statistics import summarise
from segviz.benchmarks.viewer import SYNTHETIC, SYNTHETIC_PANELS, serve_script
from segviz.viewer import wire
from segviz.viewer.panel import PIN_COLOURS

PATIENCE = 300_000  # milliseconds that the server may take for its first page, on a busy machine


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page on a desktop."""
    with open_host(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    """A page on a phone."""
    with open_host(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as opened:
        yield opened


def two(page: Page, **more: Any) -> None:
    """Two maps side by side."""
    mount(page, data(config("dot", "attends_to", "dot"), config("bases", "attends_to", "bases"), **more))


def view(page: Page, title: str = "dot") -> list[float]:
    """A stage's zoom, and its left and top in fractions of the picture."""
    return [float(value) for value in (stage(page, title).get_attribute("data-view") or "").split(",")]


def zoom_in(page: Page, title: str, row: int, column: int, notches: int = 4) -> tuple[float, float]:
    """Ctrl and the wheel over the middle of a cell; returns where the pointer is."""
    place = hover(page, title, row, column)
    before = page.evaluate("document.querySelector('div').shadowRoot.querySelector('.stage').dataset.view")
    page.keyboard.down("Control")
    for _ in range(notches):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(page.locator(".stage").first).not_to_have_attribute("data-view", before)
    return place


def label(page: Page, name: str) -> Locator:
    return page.get_by_label(name, exact=True)


def pixels(page: Page, title: str, canvas: str = "canvas.map", side: int = 0) -> np.ndarray:
    """The RGBA pixels of one of a panel's canvases."""
    url = stage(page, title).locator(canvas).nth(side).evaluate("(canvas) => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


# ---- zoom and pan ---------------------------------------------------------------------------------------


def test_ctrl_and_the_wheel_zoom_all_panels_about_the_pointer(page: Page) -> None:
    two(page)
    zoom_in(page, "dot", 1, 5)
    zoom, left, top = view(page)
    assert zoom > 2
    assert view(page, "bases") == [zoom, left, top]
    assert left + 5.51 / 7 / zoom == pytest.approx(5.51 / 7, abs=0.01)
    assert top + 1.51 / 5 / zoom == pytest.approx(1.51 / 5, abs=0.01)
    expect(stage(page, "bases")).to_have_attribute("data-cell", "1,5")


def test_the_wheel_alone_scrolls_the_page(page: Page) -> None:
    mount(page, data(*(config(f"{number}", "attends_to", "dot") for number in range(8)), columns=1))
    hover(page, "0", 2, 3)
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0")
    assert view(page, "0") == [1, 0, 0]
    page.evaluate("scrollTo(0, 0)")


def test_a_drag_moves_the_picture_and_does_not_pin(page: Page) -> None:
    two(page)
    x, y = zoom_in(page, "dot", 2, 3)
    zoom, left, top = view(page)
    there = box(stage(page, "dot"))
    page.mouse.down()
    page.mouse.move(x - 40, y - 20, steps=4)
    page.mouse.up()
    expect(stage(page, "bases")).not_to_have_attribute("data-view", f"{zoom:g},{left:g},{top:g}")
    now = view(page, "bases")
    assert now[1] == pytest.approx(left + 40 / there["width"] / zoom, abs=2e-3)
    assert now[2] == pytest.approx(top + 20 / there["height"] / zoom, abs=2e-3)
    assert page.evaluate("edits") == []


def test_a_click_in_a_zoomed_picture_pins_what_is_seen_there(page: Page) -> None:
    two(page)
    x, y = zoom_in(page, "dot", 2, 3)
    page.mouse.down()
    page.mouse.move(x + 2, y + 1)  # a hand is never quite still
    page.mouse.up()
    assert pins(page)[0][:2] == pytest.approx([75, 105], abs=2)


def test_hovering_a_zoomed_picture_shows_the_pixel_under_the_pointer(page: Page) -> None:
    two(page)
    zoom_in(page, "dot", 0, 0)
    there, (zoom, left, top) = box(stage(page, "dot")), view(page)
    x, y = (1.5 / 7 - left) * zoom, (1.5 / 5 - top) * zoom  # where the middle of cell (1, 1) is now, in stages
    page.mouse.move(there["x"] + x * there["width"], there["y"] + y * there["height"])
    expect(page.locator(".where")).to_have_text(re.compile(r"y\s4[456]\s+x\s4[456]"))


@pytest.mark.parametrize(("key", "zoom"), [("+", 1.5), ("1", WIDTH), ("0", 1)])
def test_keys_zoom(page: Page, key: str, zoom: float) -> None:
    two(page)
    if key == "0":
        zoom_in(page, "dot", 2, 3, notches=2)
    here = stage(page, "dot")
    here.focus()
    page.keyboard.press(key)
    wanted = zoom if key != "1" else WIDTH / box(here)["width"]
    expect(here).to_have_attribute("data-view", re.compile(rf"^{re.escape(f'{wanted:.4f}'.rstrip('0').rstrip('.'))},"))


def test_buttons_zoom_and_announce_it(page: Page) -> None:
    two(page)
    for name, matches in (("Zoom in", "^1.5,"), ("Zoom out", "^1,"), ("Zoom in", "^1.5,"), ("Fit", "^1,0,0$")):
        page.get_by_role("button", name=name).click()
        expect(stage(page, "bases")).to_have_attribute("data-view", re.compile(matches))
    page.get_by_role("button", name="1:1, actual size").click()
    expect(page.get_by_role("status")).to_have_text("Zoom 100 %")


def test_pins_cells_and_boxes_keep_their_places_when_zoomed(page: Page) -> None:
    two(page, pins=[(75, 105, 0)])
    label(page, "Top 5").check()
    peak = stage(page, "dot").locator(".peak").first
    expect(peak).to_be_visible()
    row, column = (int(part) for part in (peak.get_attribute("data-cell") or "").split(","))
    page.get_by_role("button", name="Zoom in").click()
    expect(stage(page, "dot")).to_have_attribute("data-view", re.compile("^1.5,"))
    zoom, left, top = view(page)
    there = box(stage(page, "dot"))

    def seen(y: float, x: float) -> list[float]:
        return [there["x"] + (x - left) * zoom * there["width"], there["y"] + (y - top) * zoom * there["height"]]

    cell = box(stage(page, "dot").locator(".cell"))
    assert [cell["x"], cell["y"]] == pytest.approx(seen(2 / 5, 3 / 7), abs=1)
    assert cell["width"] == pytest.approx(zoom * there["width"] / 7, abs=1)
    lettered = box(peak)
    assert [lettered["x"], lettered["y"]] == pytest.approx(seen(row / 5, column / 7), abs=1)
    marker = (
        stage(page, "dot")
        .locator(".marker")
        .evaluate(
            "(one) => [one.parentElement.getBoundingClientRect().x + one.offsetLeft + 11,"
            " one.parentElement.getBoundingClientRect().y + one.offsetTop + 27]"
        )
    )
    assert marker == pytest.approx(seen(75.5 / HEIGHT, 105.5 / WIDTH), abs=1.5)
    picture = box(stage(page, "dot").locator(".picture"))
    assert [picture["x"], picture["y"]] == pytest.approx(seen(0, 0), abs=1)


def test_a_marker_outside_the_view_is_hidden(page: Page) -> None:
    two(page, pins=[(2, 2, 0)])
    zoom_in(page, "dot", 4, 6, notches=6)
    expect(stage(page, "dot").locator(".marker")).to_be_hidden()


def test_pins_outside_the_view_are_named_and_one_press_shows_them(page: Page) -> None:
    two(page, pins=[(2, 2, 4), (4, 2, 0), (75, 105, 2)])
    line = page.locator(".outside")
    expect(line.first).to_be_hidden()
    zoom_in(page, "dot", 2, 3, notches=6)
    expect(line.first).to_have_text("Pins 1 and 5 lie outside this part. Fit the whole picture")
    expect(line.locator("visible=true")).to_have_count(1)  # once, not on each picture
    sent = page.evaluate("edits.length")
    line.first.click()
    expect(stage(page, "dot")).to_have_attribute("data-view", "1,0,0")
    expect(line.first).to_be_hidden()
    assert "edit" not in [name for name, _ in page.evaluate(f"edits.slice({sent})")]  # the press pinned nothing


def test_the_line_on_pins_outside_works_by_the_keyboard(page: Page) -> None:
    two(page, pins=[(2, 2, 1)])
    zoom_in(page, "dot", 4, 6, notches=6)
    line = page.locator(".outside").first
    expect(line).to_have_text("Pin 2 lies outside this part. Fit the whole picture")
    line.focus()
    page.keyboard.press("Enter")
    expect(stage(page, "dot")).to_have_attribute("data-view", "1,0,0")
    expect(stage(page, "dot")).to_be_focused()
    assert [name for name, _ in page.evaluate("edits") if name == "edit"] == []


def test_pixels_are_squares_once_they_are_large(page: Page) -> None:
    mount(page, data(classes("labels"), config("dot", "attends_to", "dot")))
    layers = [stage(page, "labels").locator(name) for name in (".picture", ".map")]
    zoom_in(page, "dot", 2, 3, notches=1)
    page.get_by_role("button", name="1:1, actual size").click()
    expect(page.get_by_role("status")).to_have_text("Zoom 100 %")
    for one in layers:
        expect(one).to_have_css("image-rendering", "auto")
    zoom_in(page, "dot", 2, 3, notches=8)
    for one in layers:
        expect(one).to_have_css("image-rendering", "pixelated")


def test_an_arrow_key_keeps_its_point_in_sight(page: Page) -> None:
    two(page)
    zoom_in(page, "dot", 2, 3, notches=8)
    stage(page, "dot").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(stage(page, "dot")).to_have_attribute("data-cell", "2,6")
    zoom, left, _ = view(page)
    assert left <= 6.5 / 7 <= left + 1 / zoom


def test_escape_goes_back_to_the_whole_picture_and_the_last_pin(page: Page) -> None:
    two(page, pins=[(10, 10, 0)])
    zoom_in(page, "dot", 2, 3)
    stage(page, "dot").focus()
    page.keyboard.press("Escape")
    expect(stage(page, "bases")).to_have_attribute("data-view", "1,0,0")
    expect(stage(page, "bases")).to_have_attribute("data-cell", "0,0")


def pinch(page: Page, fingers: list[list[tuple[float, float]]]) -> None:
    """Moves two fingers through some places each, then lifts them."""
    session = page.context.new_cdp_session(page)
    for number, places in enumerate(zip(*fingers, strict=True)):
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_two_fingers_zoom_and_move_the_picture(phone: Page) -> None:
    two(phone)
    there = box(stage(phone, "dot"))
    x, y = there["x"] + there["width"] / 2, there["y"] + there["height"] / 2
    pinch(phone, [[(x - 20, y), (x - 40, y), (x - 60, y)], [(x + 20, y), (x + 40, y), (x + 60, y)]])
    expect(stage(phone, "bases")).to_have_attribute("data-view", re.compile(r"^3,"))
    assert view(phone)[1:] == pytest.approx([1 / 3, 1 / 3], abs=1e-3)
    pinch(phone, [[(x - 40 - step, y) for step in range(0, 40, 10)], [(x + 40 - step, y) for step in range(0, 40, 10)]])
    expect(stage(phone, "bases")).not_to_have_attribute("data-view", re.compile(",0.3333,"))
    assert view(phone) == pytest.approx([3, 1 / 3 + 30 / there["width"] / 3, 1 / 3], abs=5e-3)
    assert phone.evaluate("edits") == []


# ---- a gesture uses its own coordinates ------------------------------------------------------------------


def centre(locator: Locator, right: float = 0.5, down: float = 0.5) -> tuple[float, float]:
    """A place of an element on the page, in fractions of the element."""
    there = box(locator)
    return there["x"] + right * there["width"], there["y"] + down * there["height"]


def test_a_click_pins_its_own_place_after_a_chip_was_used(page: Page) -> None:
    two(page, pins=[(100, 100, 0)])
    page.get_by_label("Show pin 1").click()  # the press on the picture takes its focus away
    page.mouse.click(*centre(stage(page, "dot"), 0.25, 0.25))
    assert [pin[:2] for pin in pins(page)] == [[100, 100], pytest.approx([37, 52], abs=2)]
    expect(stage(page, "bases")).to_have_attribute("data-cell", "1,1")


def test_a_second_tap_pins_its_own_place_after_a_chip_was_used(phone: Page) -> None:
    two(phone, pins=[(100, 100, 0)])
    for _ in range(2):
        phone.get_by_label("Show pin 1").tap()
        expect(stage(phone, "dot")).to_have_attribute("data-cell", "3,3")
        phone.touchscreen.tap(*centre(stage(phone, "dot"), 0.25, 0.25))
    assert pins(phone)[1][:2] == pytest.approx([37, 52], abs=2)


def test_a_click_counts_where_python_replaces_the_panel_under_it(page: Page) -> None:
    two(page, pins=[(100, 100, 0)])
    place = centre(stage(page, "dot"), 0.25, 0.25)
    page.mouse.move(*place)
    page.mouse.down()
    changed = data(config("dot", "attended_by", "dot"), config("bases", "attends_to", "bases"), pins=[(100, 100, 0)])
    page.evaluate("(data) => show(data)", changed)
    expect(page.locator(".stage[data-ready='1']")).to_have_count(2)
    page.mouse.up()
    assert pins(page)[1][:2] == pytest.approx([37, 52], abs=2)


def test_a_press_on_a_marker_or_chip_counts_where_python_answers_meanwhile(page: Page) -> None:
    same = data(
        config("dot", "attends_to", "dot"), config("bases", "attends_to", "bases"), pins=[(75, 50, 0), (75, 150, 1)]
    )
    for target in (".marker", ".pins .remove"):
        mount(page, same)
        page.mouse.move(*centre(page.locator(target).first))
        page.mouse.down()
        page.evaluate("(data) => show(data)", same)
        page.mouse.up()
        assert pins(page) == [[75, 150, 1]]


@pytest.mark.parametrize("button", ["right", "middle"])
def test_only_the_first_button_removes_a_pin(page: Page, button: Literal["right", "middle"]) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), pins=[(75, 50, 0)]))
    page.locator(".marker").first.click(button=button)
    assert page.evaluate("edits") == []
    page.locator(".marker").first.click()
    assert pins(page) == []


def test_a_press_that_ends_in_another_panel_pins_nothing(page: Page) -> None:
    two(page)
    page.mouse.move(*centre(stage(page, "dot")))
    page.mouse.down()
    page.mouse.move(*centre(stage(page, "bases")))
    page.mouse.up()
    assert page.evaluate("edits") == []


def test_keys_move_the_point_while_the_mouse_lies_on_a_zoomed_picture(page: Page) -> None:
    two(page)
    zoom_in(page, "dot", 2, 3, notches=8)
    stage(page, "dot").focus()
    for column in (4, 5, 6):
        page.keyboard.press("ArrowRight")
        expect(stage(page, "bases")).to_have_attribute("data-cell", f"2,{column}")
    page.keyboard.press("-")
    expect(stage(page, "bases")).to_have_attribute("data-cell", "2,6")


def test_a_tap_after_the_page_has_scrolled_only_points(phone: Page) -> None:
    two(phone)
    x, y = centre(stage(phone, "dot"), 0.5, 0.2)
    phone.touchscreen.tap(x, y)
    phone.evaluate("document.body.style.paddingTop = '120px'")
    phone.touchscreen.tap(x, y + 40)  # near the first tap on the screen, far from it in the picture
    assert phone.evaluate("edits") == []
    phone.evaluate("document.body.style.paddingTop = ''")


# ---- crops ----------------------------------------------------------------------------------------------


def test_a_crop_s_map_lies_over_the_crop_and_has_no_answer_elsewhere(page: Page) -> None:
    region = [30, 60, 100, 140]  # rows 30 to 129 and columns 60 to 199, in cells of 20 x 20 pixels
    panels = [config("crop", "attends_to", "dot", region=region, stats=True), config("all", "attends_to", "dot")]
    mount(page, data(*panels))
    crop, canvas = stage(page, "crop"), stage(page, "crop").locator("canvas.map")
    hover(page, "crop", 2, 3)  # pixel (75, 105), which is (45, 45) in the crop
    expect(crop).to_have_attribute("data-cell", "2,2")
    assert float(crop.get_attribute("data-max") or 0) == pytest.approx(float(MAPS["dot"].attends_to(2, 2).max()))
    whole, part, frame = (box(one) for one in (crop, canvas, crop.locator(".crop")))
    for one in (part, frame):
        assert one["y"] - whole["y"] == pytest.approx(30 / HEIGHT * whole["height"], abs=2)
        assert one["x"] - whole["x"] == pytest.approx(60 / WIDTH * whole["width"], abs=2)
        assert one["width"] == pytest.approx(140 / WIDTH * whole["width"], abs=2)
    value = page.locator(".panel .value").first
    expect(value).to_contain_text("even share")
    hover(page, "all", 0, 1)
    expect(value).to_have_text("outside the crop that the network saw")
    expect(canvas).to_be_hidden()
    expect(crop.locator(".cell")).to_be_hidden()
    hover(page, "crop", 2, 3)
    expect(canvas).to_be_visible()
    crop.focus()
    for _ in range(3):
        page.keyboard.press("ArrowUp")  # from row 2 of the crop to above it
    expect(page.locator(".where")).to_have_text("y\u00a020  x\u00a0110")
    expect(canvas).to_be_hidden()


def test_a_map_whose_point_lies_outside_its_crop_counts_for_no_shared_range(page: Page) -> None:
    mount(
        page,
        data(
            config("crop", "attends_to", "dot", region=[30, 60, 100, 140]),
            config("flat", "attends_to", "flat"),
        ),
    )
    label(page, "one shared").check()
    hover(page, "crop", 2, 3)
    highs = page.locator(".panel .high")
    expect(highs.nth(1)).not_to_have_text("2.86 %")
    expect(highs.nth(1)).to_have_text(highs.nth(0).inner_text())
    hover(page, "crop", 0, 0)  # outside the crop: its map is hidden
    expect(highs.nth(1)).to_have_text("2.86 %")


# ---- scales ---------------------------------------------------------------------------------------------


def test_a_percentile_scale_shows_where_it_cuts_values_off(page: Page) -> None:
    two(page)
    hover(page, "dot", 1, 1)
    label(page, "percentile").check()
    hover(page, "dot", 1, 2)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "1,2")
    values = MAPS["dot"].attends_to(1, 2).numpy()
    high = np.percentile(values, 99)
    panel = page.locator(".panel").first
    expect(panel.locator(".high")).to_have_text(f"≥ {100 * high:#.3g} %")
    expect(panel.locator(".low")).to_have_text(re.compile("^≤ "))
    expect(panel.locator(".bar")).to_have_class(re.compile("cut-low cut-high"))
    drawn = pixels(page, "dot").reshape(-1, 4)
    assert len(np.unique(drawn[values.flatten() >= high], axis=0)) == 1
    label(page, "linear").check()
    expect(panel.locator(".bar")).not_to_have_class(re.compile("cut"))
    expect(panel.locator(".high")).not_to_have_text(re.compile("≥"))


def test_a_flat_map_has_no_percentiles_to_spread(page: Page) -> None:
    mount(page, data(config("flat", "attends_to", "flat")))
    label(page, "percentile").check()
    expect(page.locator(".panel .low")).to_have_text("0 %")
    expect(page.locator(".panel .high")).to_have_text("2.86 %")
    assert len(np.unique(pixels(page, "flat").reshape(-1, 4), axis=0)) == 1


def test_one_shared_percentile_scale_spans_the_maps_of_a_unit(page: Page) -> None:
    mount(
        page,
        data(
            config("dot", "attends_to", "dot"),
            config("flat", "attends_to", "flat"),
            config("output", "output", "features"),
        ),
    )
    label(page, "percentile").check()
    label(page, "one shared").check()
    highs = page.locator(".panel .high")
    expect(highs.nth(1)).to_have_text(highs.nth(0).inner_text().removeprefix("≥ "))
    assert "%" not in highs.nth(2).inner_text()


def test_an_end_of_a_log_scale_says_smaller_values_only_where_there_are_some(page: Page) -> None:
    names = "dot", "bases"
    mount(page, data(*(config(name, "attends_to", name) for name in names), settings=DEFAULTS | {"scale": "log"}))
    marked = {}
    for name, panel in zip(names, page.locator(".panel").all(), strict=True):
        expect(panel.locator(".kind")).to_have_text("log")
        one = MAPS[name]
        values = one.attends_to(*one.cell(HEIGHT // 2, WIDTH // 2, HEIGHT, WIDTH)).numpy()
        marked[name] = bool(values.min() < values.max() / 1000)
        assert panel.locator(".low").inner_text().startswith("≤ ") == marked[name], name
    assert set(marked.values()) == {True, False}


def test_a_peaked_map_starts_as_python_says_and_offers_what_one_cell_hides(page: Page) -> None:
    panels = config("peaked", "attends_to", "peaked", start="log"), config("dot", "attends_to", "dot")
    mount(page, data(*panels, settings=DEFAULTS | {"scale": "auto"}))
    first, second = page.locator(".panel").all()
    expect(first.locator(".kind")).to_have_text("log")
    expect(second.locator(".kind")).to_have_text("")
    expect(first.locator(".most")).to_have_text("96.0 % lies in one cell: show the rest")
    expect(second.locator(".most span")).to_have_text(re.compile(r"^largest [\d.]+ %, [\d.]+ × the even share$"))
    expect(second.get_by_role("button", name="show the rest")).to_be_hidden()
    crest = box(first.locator(".crest"))
    there = box(stage(page, "peaked"))
    assert (crest["x"] + crest["width"] / 2 - there["x"]) / there["width"] == pytest.approx(4.5 / 21, abs=0.01)
    assert (crest["y"] + crest["height"] / 2 - there["y"]) / there["height"] == pytest.approx(3.5 / 15, abs=0.01)
    expect(second.locator(".crest")).to_be_hidden()

    label(page, "linear").check()
    expect(first.locator(".kind")).to_have_text("")
    first.get_by_role("button", name="show the rest").click()
    expect(label(page, "percentile")).to_be_checked()
    expect(first.locator(".most")).to_have_text(re.compile("^96.0 % lies in one cell, 302 × the even share"))
    expect(second.locator(".kind")).to_have_text("percentile")
    page.wait_for_function("edits.some(([name, value]) => name === 'settings' && value.scale === 'percentile')")


@pytest.mark.parametrize("row", [3.5, 3.05, 3.95])
def test_the_label_of_the_largest_weight_moves_clear_of_pins(page: Page, row: float) -> None:
    panels = [config(str(at), "attends_to", "peaked", start="log") for at in range(5)]
    more: dict[str, Any] = {"settings": DEFAULTS | {"scale": "auto"}, "columns": len(panels)}
    mount(page, data(*panels, **more))
    crest, words = box(page.locator(".crest").first), page.locator(".crest b").first
    assert box(words)["y"] < crest["y"]
    pins = [(int(row * HEIGHT / 15), int(4.5 * WIDTH / 21), 0)]
    page.evaluate("(data) => window.show(data)", data(*panels, pins=pins, **more))
    expect(page.locator(".marker")).to_have_count(len(panels))
    mark, text, picture = box(page.locator(".marker").first), box(words), box(stage(page, "0"))
    middle = [mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2]
    corner = [text["x"], text["y"]], [text["x"] + text["width"], text["y"] + text["height"]]
    nearest = [min(max(at, low), high) for at, low, high in zip(middle, *corner, strict=True)]
    assert np.hypot(nearest[0] - middle[0], nearest[1] - middle[1]) >= 12  # the radius of a marker with its rim
    assert picture["x"] <= corner[0][0] and corner[1][1] <= picture["y"] + picture["height"]


def test_below_small_maps_nothing_is_cut_off(page: Page) -> None:
    kinds = ("log", "percentile", "linear", "log", "linear")
    panels = [config(str(at), "attends_to", "peaked", start=kind) for at, kind in enumerate(kinds)]
    mount(page, data(*panels, columns=5, settings=DEFAULTS | {"scale": "auto"}))
    parts = page.locator(".scale, .low, .high, .value, .most")
    cut = """(parts) => parts.filter((one) => one.checkVisibility() && (one.scrollWidth > one.clientWidth + 1 ||
        one.scrollHeight > one.clientHeight + 1)).map((one) => `${one.className}: ${one.textContent}`)"""
    assert parts.evaluate_all(cut) == []
    for panel in page.locator(".panel").all():
        assert box(panel)["width"] < 200 and box(panel.locator(".bar"))["width"] > 0.9 * box(panel)["width"]


def test_a_cell_with_a_small_share_hides_nothing(page: Page) -> None:
    panels = config("faint", "attends_to", "faint", start="log"), config("peaked", "attends_to", "peaked", start="log")
    mount(page, data(*panels, settings=DEFAULTS | {"scale": "auto"}))
    first, second = page.locator(".panel").all()
    expect(first.locator(".most")).to_have_text(re.compile(r"^largest 19.0 %, 59.\d × the even share"))
    expect(first.get_by_role("button", name="show the rest")).to_be_hidden()
    expect(first.locator(".crest")).to_be_hidden()
    expect(second.get_by_role("button", name="show the rest")).to_be_visible()


@pytest.mark.parametrize("look", ["attends_to", "attended_by"])
def test_the_largest_weight_is_in_the_bar_s_measure_whatever_the_sum(page: Page, look: str) -> None:
    names = [name for name, one in MAPS.items() if look in one.looks and one.unit == "weight" and not one.signed]
    mount(page, data(*(config(name, look, name) for name in names), settings=DEFAULTS | {"scale": "linear"}))
    for name, panel in zip(names, page.locator(".panel").all(), strict=True):
        one = MAPS[name]
        values = getattr(one, look)(*one.cell(HEIGHT // 2, WIDTH // 2, HEIGHT, WIDTH))
        end = panel.locator(".high").inner_text()
        assert float(end.removesuffix(" %")) == pytest.approx(100 * float(values.max()), rel=0.006), name
        expect(panel.locator(".most")).to_contain_text(end)


def test_a_scale_that_no_map_can_have_is_disabled_and_says_why(page: Page) -> None:
    features = (
        config("output", "output", "features"),
        config("signed", "values", "signed", signed=True, start="percentile"),
    )
    mount(page, data(*features, settings=DEFAULTS | {"scale": "auto"}))
    expect(label(page, "log")).to_be_disabled()
    expect(label(page, "log")).to_have_attribute("title", re.compile("can be negative"))
    expect(label(page, "percentile")).to_be_enabled()
    expect(page.locator(".panel .kind").nth(1)).to_have_text("percentile")
    mount(page, data(*features, config("dot", "attends_to", "dot"), settings=DEFAULTS | {"scale": "log"}))
    expect(label(page, "log")).to_be_enabled()
    expect(page.locator(".panel .kind")).to_have_text(["", "", "log"])
    mount(page, data(config("samples", "points", "samples"), settings=DEFAULTS))
    expect(label(page, "percentile")).to_be_disabled()


def test_a_page_begins_at_python_s_point_until_the_reader_moves_it(page: Page) -> None:
    panels = config("dot", "attends_to", "dot"), config("bases", "attends_to", "bases")
    mount(page, data(*panels, rest=[5, 200]))
    expect(stage(page, "dot")).to_have_attribute("data-cell", "0,6")
    page.evaluate("(data) => window.show(data)", data(*panels, rest=[140, 5]))
    expect(stage(page, "dot")).to_have_attribute("data-cell", "4,0")
    hover(page, "dot", 2, 3)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "2,3")
    page.mouse.move(1, 899)
    page.evaluate("(data) => window.show(data)", data(*panels, rest=[5, 200]))
    page.wait_for_timeout(300)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "2,3")


def test_why_a_page_begins_where_it_does_is_told_until_the_reader_points_or_pins(page: Page) -> None:
    panels = [config(str(at), "attends_to", "dot") for at in range(8)]
    told = page.locator(".begins")
    mount(page, data(*panels, rest=[5, 200], first="The page begins here."))
    expect(told).to_have_text("The page begins here.")
    expect(told).to_be_in_viewport()
    there, height = box(stage(page, "0")), page.evaluate("document.body.scrollHeight")
    hover(page, "0", 2, 3)
    expect(told).to_be_hidden()
    assert box(stage(page, "0")) == there and page.evaluate("document.body.scrollHeight") == height
    mount(page, data(*panels, rest=[5, 200], first="The page begins here."))
    expect(told).to_be_visible()
    page.evaluate("(data) => window.show(data)", data(*panels, rest=[5, 200], first="Here.", pins=[(75, 105, 0)]))
    expect(told).to_be_hidden()
    assert box(stage(page, "0")) == there and page.evaluate("document.body.scrollHeight") == height
    mount(page, data(*panels, rest=[5, 200]))
    expect(stage(page, "0")).to_have_attribute("data-cell", "0,6")
    expect(told).to_be_hidden()


def test_a_panel_shows_statistics_if_it_is_asked_to(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot", stats=True), config("bases", "attends_to", "bases")))
    hover(page, "dot", 3, 2)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "3,2")
    share = MAPS["dot"].attends_to(3, 2).double().numpy()
    entropy = -(share * np.log2(share)).sum()
    down, along = np.meshgrid(np.arange(5) - 3, np.arange(7) - 2, indexing="ij")
    distance = (share * np.hypot(down * HEIGHT / 5, along * WIDTH / 7)).sum() / np.hypot(HEIGHT, WIDTH)
    figures = page.locator(".figures")
    expect(figures.first).to_have_text(
        f"Entropy {entropy:.2f} of {np.log2(35):.2f} bits · mean distance {distance:.1%}".replace("%", " %")
    )
    expect(figures.nth(1)).to_be_hidden()


def test_a_panels_entropy_has_the_base_of_the_table(page: Page) -> None:
    mount(page, data(config("strips", "either", "vertical", stats=True)))
    hover(page, "strips", 3, 2)
    expect(stage(page, "strips")).to_have_attribute("data-cell", "3,2")
    for direction, control in (("attends_to", "attends to"), ("attended_by", "attended by")):
        label(page, control).check()
        found = summarise(MAPS["vertical"], 3, 2, None, (HEIGHT, WIDTH), direction)  # type: ignore[arg-type]
        most = found.entropy_bits / found.relative_entropy
        expect(page.locator(".figures")).to_contain_text(f"Entropy {found.entropy_bits:.2f} of {most:.2f} bits")


def test_no_strong_cell_vanishes_where_cells_share_a_pixel(page: Page) -> None:
    mount(page, data(config("narrow", "attends_to", "narrow")))
    canvas = stage(page, "narrow").locator(".map")
    wide = box(stage(page, "narrow"))["width"]
    assert wide < NARROW_GRID[1]
    step = math.ceil(NARROW_GRID[1] / wide)
    pixels = np.array(canvas.evaluate(PIXELS)).reshape(-1, -(-NARROW_GRID[1] // step), 4)
    assert {*np.flatnonzero((pixels[0] != pixels[0, 0]).any(1)).tolist()} == {one // step for one in NARROW_PEAKS}
    across = box(canvas)["width"] / wide * NARROW_GRID[1]
    assert across == pytest.approx(pixels.shape[1] * step, abs=0.5)  # each block lies over its own cells
    for _ in range(20):
        page.get_by_role("button", name="Zoom in").click()
    expect(canvas).to_have_js_property("width", NARROW_GRID[1])  # enlarged, each has pixels of its own


def test_the_strongest_cells_are_lettered_but_not_those_around_the_point(page: Page) -> None:
    two(page)
    expect(page.locator(".peak").first).to_be_hidden()
    label(page, "Top 5").check()
    hover(page, "dot", 0, 0)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "0,0")
    values = MAPS["dot"].attends_to(0, 0).numpy().copy()
    values[:3, :3] = -1
    best = np.argsort(-values, axis=None)[:5]
    boxes = stage(page, "dot").locator(".peak")
    assert [one.get_attribute("data-cell") for one in boxes.all()] == [f"{at // 7},{at % 7}" for at in best]
    listed = page.locator(".strongest").first
    for rank, at in enumerate(best):
        expect(listed).to_contain_text(f"{'abcde'[rank]}: {100 * values.flat[at]:#.3g} %")


def test_no_letter_of_a_strongest_cell_covers_another(page: Page) -> None:
    mount(page, data(*(config(str(at), "attends_to", "dot") for at in range(8)), columns=8))  # small ones
    label(page, "Top 5").check()
    for row, column in itertools.product(range(5), range(0, 7, 2)):
        hover(page, "0", row, column)
        expect(stage(page, "0")).to_have_attribute("data-cell", f"{row},{column}")
        letters = [one.bounding_box() for one in stage(page, "0").locator(".peak b").all()]
        assert len(letters) == 5
        for one, other in itertools.combinations(filter(None, letters), 2):
            beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert beside or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]


# ---- directions -----------------------------------------------------------------------------------------


def test_one_switch_turns_all_panels_that_have_both_directions(page: Page) -> None:
    mount(
        page,
        data(config("a", "either", "dot"), config("b", "either", "cross2"), config("attends_to", "attends_to", "dot")),
    )
    hover(page, "a", 1, 4)
    label(page, "attended by").check()
    for title, name, rule in (
        ("a", "dot", "attended_by"),
        ("b", "cross2", "attended_by"),
        ("attends_to", "dot", "attends_to"),
    ):
        expected = float(getattr(MAPS[name], rule)(1, 4).max())
        expect(stage(page, title)).to_have_attribute("data-cell", "1,4")
        assert float(stage(page, title).get_attribute("data-max") or "nan") == pytest.approx(expected, rel=1e-4)
    expect(page.locator(".direction").first).to_have_text("what attends to the point")
    expect(page.locator(".direction").nth(2)).to_be_hidden()


def test_a_panels_title_ends_without_a_mark_where_its_note_has_a_line_of_its_own(page: Page) -> None:
    mount(page, data(config("dot", "either", "dot", note="a note so long that it has a line of its own " * 3)))
    expect(page.locator(".direction")).to_be_visible()
    after = page.locator(".direction").evaluate("(one) => getComputedStyle(one, '::after').content")
    assert after in ("none", "normal")


def test_controls_that_do_nothing_are_hidden(page: Page) -> None:
    two(page)
    expect(label(page, "attended by")).to_be_hidden()
    expect(label(page, "Outlines")).to_be_hidden()
    mount(page, data(classes("labels")))
    expect(label(page, "percentile")).to_be_hidden()
    expect(label(page, "Outlines")).to_be_visible()


# ---- the toolbar ----------------------------------------------------------------------------------------


def test_the_toolbar_stays_in_sight(page: Page) -> None:
    mount(page, data(*(config(f"{number}", "attends_to", "dot") for number in range(6)), columns=1))
    page.evaluate("scrollTo(0, 1500)")
    bar = box(page.locator(".toolbar"))
    assert abs(bar["y"]) < 1 and bar["height"] < 90
    page.get_by_role("button", name="Zoom in").click()
    expect(stage(page, "4")).to_have_attribute("data-view", re.compile("^1.5,"))


@pytest.mark.parametrize(("width", "folded"), [(1300, False), (1000, True), (390, True)])
def test_settings_are_folded_where_one_row_has_no_room_for_them(browser: Browser, width: int, folded: bool) -> None:
    with open_host(browser, viewport={"width": width, "height": 900}) as page:
        put(page, data(config("dot", "either", "dot"), classes("labels")))
        expect(page.locator(".stage[data-ready='1']")).to_have_count(2)
        fold, bar = page.get_by_role("button", name="Display"), page.locator(".toolbar")
        expect(fold).to_be_visible(visible=folded)
        expect(page.get_by_label("Colours")).to_be_visible(visible=not folded)
        assert box(bar)["height"] < 45  # one row
        expect(label(page, "attended by")).to_be_visible(visible=width > 640)  # outside of the settings
        if folded:
            fold.click()
            expect(page.get_by_label("Colours")).to_be_visible()
            expect(page.get_by_role("button", name="Fit")).to_be_visible()
            page.set_viewport_size({"width": 1300, "height": 900})
            expect(fold).to_be_hidden()


def test_the_toolbar_leaves_room_for_the_page_s_own_buttons(page: Page) -> None:
    page.evaluate("document.documentElement.style.setProperty('--viewer-actions', '200px')")
    mount(page, data(config("dot", "attends_to", "dot")))
    bar, where = box(page.locator(".toolbar")), box(page.locator(".where"))
    assert where["x"] + where["width"] <= bar["x"] + bar["width"] - 200 + 0.5
    expect(page.get_by_role("button", name="Display")).to_be_visible()
    page.evaluate("document.documentElement.style.removeProperty('--viewer-actions')")


@pytest.mark.parametrize("width", [900, 390])
def test_open_settings_begin_below_the_page_s_own_buttons(browser: Browser, width: int) -> None:
    with open_host(browser, viewport={"width": width, "height": 900}) as page:
        sizes = "document.documentElement.style.cssText = '--viewer-bar: 44px; --viewer-actions: 120px'"
        page.evaluate(sizes)  # a page's buttons are 32 pixels high, in the middle of a bar of 44
        put(page, data(config("dot", "either", "dot"), classes("labels")))
        page.get_by_role("button", name="Display").click()
        top = box(page.locator(".toolbar"))["y"]
        below = [box(page.get_by_label(name))["y"] for name in ("Colours", "Opacity")]
        below += [box(one)["y"] for one in page.locator(".display > :is(fieldset, .toggles):visible").all()]
        assert min(below) >= top + 22 + 16


@pytest.mark.parametrize("height", [900, 450], ids=["100 %", "200 %"])
def test_a_portrait_and_its_value_fit_into_the_window(browser: Browser, height: int) -> None:
    with open_host(browser, viewport={"width": 1000, "height": height}) as page:
        put(page, data(config("dot", "attends_to", "dot"), height=1600, width=900))
        expect(page.locator(".stage[data-ready='1']")).to_have_count(1)
        page.locator(".panel").evaluate("(panel) => scrollTo(0, panel.getBoundingClientRect().top - 48)")
        value = box(page.locator(".value"))
        assert value["y"] + value["height"] <= height
        if height == 900:
            assert value["y"] + value["height"] <= height - 150  # which leaves a page room for a title and its controls


# ---- the window's bottom --------------------------------------------------------------------------------


def tall(page: Page, **more: Any) -> None:
    """Predictions with one legend, one below the other."""
    names = ["a class of a long name", "another class of a long name", "tree"]
    mount(page, data(*(classes(f"{one}", classes=names, legend=False) for one in range(6)), columns=1, **more))


def seen(page: Page, locator: Locator) -> bool:
    """Whether an element is wholly in the window, and on top there."""
    there, size = box(locator), page.viewport_size or {"width": 0, "height": 0}
    inside = there["x"] >= -1 and there["x"] + there["width"] <= size["width"] + 1
    inside &= there["y"] >= -1 and there["y"] + there["height"] <= size["height"] + 1
    return inside and locator.evaluate("""(one) => { const {x, y, width, height} = one.getBoundingClientRect();
        return one.contains(one.getRootNode().elementFromPoint(x + width / 2, y + height / 2)); }""")


@pytest.mark.parametrize("device", ["page", "phone"])
def test_a_pin_is_listed_in_sight_and_moves_nothing(device: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(device)
    tall(page)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 3)")
    tops = [box(one)["y"] for one in page.locator(".stage").all()]
    place = 200, next(top for top in tops if top > 60) + 40
    before = page.locator(".stage").evaluate_all(PLACED)
    for _ in range(2 if device == "phone" else 1):
        (page.touchscreen.tap if device == "phone" else page.mouse.click)(*place)
        page.wait_for_timeout(50)
    expect(page.locator(".pins .go")).to_have_count(1)
    assert seen(page, page.locator(".pins .go")) and seen(page, page.locator(".pins .remove"))
    assert page.locator(".stage").evaluate_all(PLACED) == before


def test_the_legend_of_all_panels_and_the_pins_stay_in_sight_together(page: Page) -> None:
    tall(page)
    page.evaluate("scrollTo(0, 300)")
    legend, height = page.locator(".shared-legend"), (page.viewport_size or {"height": 0})["height"]
    assert seen(page, legend.locator(".toggle").first)
    assert box(legend)["y"] + box(legend)["height"] == pytest.approx(height, abs=1)  # no gap without pins
    page.mouse.click(500, 200)
    expect(page.locator(".pins .go")).to_have_count(1)
    assert seen(page, legend.locator(".toggle").first) and seen(page, page.locator(".pins .go"))
    assert box(legend)["y"] + box(legend)["height"] <= box(page.locator(".pins"))["y"]


def test_a_phone_lists_pins_in_one_line_and_shows_the_newest(phone: Page) -> None:
    listed, heights = phone.locator(".pins"), []
    for count in (1, 5):
        tall(phone, maxPins=8, pins=[[20 * one, 20 * one, one] for one in range(count)])
        expect(listed.locator(".go")).to_have_count(count)
        heights.append(box(listed)["height"])
        assert seen(phone, listed.locator(".remove").last)
    assert heights[0] == heights[1]
    assert shade(phone, listed, right=False) > 20
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def shade(page: Page, locator: Locator, right: bool) -> float:
    """How much darker than its middle an element's edge is, in its lowest pixels, where there is no text."""
    there = box(locator)
    clip = {"x": there["x"], "y": there["y"] + there["height"] - 4, "width": there["width"], "height": 3}
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")).astype(float)
    edge = pixels[:, -5:] if right else pixels[:, :5]
    return float(pixels.max() - edge.mean())


def test_a_line_that_can_be_scrolled_has_a_shadow_at_the_edge_where_it_goes_on(phone: Page) -> None:
    tall(phone)
    legend = phone.locator(".shared-legend")
    assert legend.evaluate("(one) => one.scrollWidth > one.clientWidth")
    assert shade(phone, legend, right=True) > 20 > shade(phone, legend, right=False)
    legend.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    assert shade(phone, legend, right=False) > 20 > shade(phone, legend, right=True)


# ---- swipe ----------------------------------------------------------------------------------------------


def swipe(page: Page) -> Locator:
    """A panel with two label maps; returns its divider."""
    sides = [classes("before"), classes("after", "other")]
    mount(page, data(config("swipe", "swipe", None, sides=sides), config("dot", "attends_to", "dot")))
    return page.get_by_role("slider", name="Divider: before on the left, after on the right")


def drawn_at(page: Page, x: float, y: float) -> list[int]:
    """The colour on the screen at a place of the swipe panel, in fractions of it."""
    there = box(stage(page, "swipe"))
    clip = {"x": there["x"] + x * there["width"], "y": there["y"] + y * there["height"], "width": 1, "height": 1}
    return list(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB").getpixel((0, 0)))


def test_a_swipe_panel_shows_one_map_on_each_side(page: Page) -> None:
    swipe(page)
    label(page, "Opacity").fill("100")
    page.mouse.move(1, 899)
    row = int(0.9 * HEIGHT)
    for x, labels in ((0.3, LABELS), (0.7, OTHER)):
        assert drawn_at(page, x, 0.9) == pytest.approx(PALETTE[labels[row, int(x * WIDTH)]], abs=3)
    expect(stage(page, "swipe").locator(".name")).to_have_text(["before", "after"])


def test_the_divider_is_dragged_and_does_not_pin(page: Page) -> None:
    divider = swipe(page)
    label(page, "Opacity").fill("100")
    there, handle = box(stage(page, "swipe")), box(divider)
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 20)
    page.mouse.down()
    page.mouse.move(there["x"] + 0.2 * there["width"], handle["y"] + 20, steps=3)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "20")
    page.mouse.move(1, 899)
    row, column = int(0.9 * HEIGHT), int(0.3 * WIDTH)
    assert LABELS[row, column] != OTHER[row, column]
    assert drawn_at(page, 0.3, 0.9) == pytest.approx(PALETTE[OTHER[row, column]], abs=3)
    assert page.evaluate("edits") == []


def test_the_divider_moves_by_the_keyboard_and_announces_its_position(page: Page) -> None:
    divider = swipe(page)
    cell = stage(page, "dot").get_attribute("data-cell")
    divider.focus()
    for key, text in (
        ("ArrowLeft", "49 % before, 51 % after"),
        ("Shift+ArrowRight", "59 % before, 41 % after"),
        ("PageDown", "49 % before, 51 % after"),
        ("Home", "0 % before, 100 % after"),
        ("End", "100 % before, 0 % after"),
    ):
        page.keyboard.press(key)
        expect(divider).to_have_attribute("aria-valuetext", text)
    assert stage(page, "dot").get_attribute("data-cell") == cell


def test_the_divider_follows_a_finger(phone: Page) -> None:
    divider = swipe(phone)
    there, handle = box(stage(phone, "swipe")), box(divider)
    assert handle["width"] >= 44
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    pinch(phone, [[(x, y), (there["x"] + 0.6 * there["width"], y), (there["x"] + 0.8 * there["width"], y)]])
    expect(divider).to_have_attribute("aria-valuenow", "80")


def test_a_swipe_panel_shows_the_value_of_both_sides(page: Page) -> None:
    swipe(page)
    hover(page, "swipe", 4, 1)
    expect(page.locator(".panel").first.locator(".value")).to_have_text(["before: road", "after: tree"])


def test_two_weight_maps_beside_a_divider_have_one_scale(page: Page) -> None:
    sides = [config("one", "attends_to", "dot"), config("two", "attended_by", "dot")]
    mount(page, data(config("swipe", "swipe", None, sides=sides)))
    highs = page.locator(".panel .high")
    expect(highs).to_have_count(2)
    assert highs.nth(0).inner_text() == highs.nth(1).inner_text()


# ---- classes --------------------------------------------------------------------------------------------


def shown(page: Page, title: str) -> set[int]:
    """The classes that a panel of LABELS shows."""
    visible = pixels(page, title)[:, :, 3] > 0
    return set(np.unique(LABELS[visible]).tolist())


def legend(page: Page, title: str) -> Locator:
    return page.locator(".panel", has=stage(page, title)).locator(".legend")


def test_only_this_class_leaves_it_alone_in_all_panels(page: Page) -> None:
    mount(page, data(classes("a"), classes("b"), classes("others", classes=["x", "y", "z"])))
    legend(page, "a").get_by_role("button", name="Only tree").click()
    expect(legend(page, "b").locator(".toggle[aria-pressed='false']")).to_have_count(2)
    assert (shown(page, "a"), shown(page, "b"), shown(page, "others")) == ({1}, {1}, {0, 1, 2})
    legend(page, "b").get_by_role("button", name="Show all classes").click()
    expect(legend(page, "a").locator(".toggle[aria-pressed='false']")).to_have_count(0)
    assert shown(page, "a") == {0, 1, 2}
    expect(legend(page, "a").get_by_role("button", name="Show all classes")).to_be_hidden()


def test_a_class_is_hidden_in_all_panels(page: Page) -> None:
    mount(page, data(classes("a"), classes("b")))
    legend(page, "a").locator(".toggle", has_text="sky").click()
    expect(legend(page, "b").locator(".toggle", has_text="sky")).to_have_attribute("aria-pressed", "false")
    assert (shown(page, "a"), shown(page, "b")) == ({1, 2}, {1, 2})


RARE = np.zeros((HEIGHT, WIDTH), np.uint8)
RARE[0, 0] = 1

PLACED = """(stages) => stages.flatMap((one) => [one, one.closest('.panel').querySelector('.bar')])
    .map((one) => one.getBoundingClientRect()).filter(({width}) => width)
    .map(({left, top, width, height}) => [left + scrollX, top + scrollY, width, height])"""


def test_nothing_jumps_during_use(page: Page) -> None:
    names = ["sky", "tree", "a class of a long name"]  # leaves no room beside it in a narrow panel
    maps = [config(of, "attended_by", of) for of in ("dot", "bases", "samples", "cross2", "collect", "vertical")]
    mount(page, data(classes("a", classes=names), classes("b", classes=names), *maps, columns=4))
    for scale, hidden in (("linear", "false"), ("log", "true"), ("percentile", "false")):
        label(page, scale).check()
        hover(page, "dot", 0, 0)
        expect(stage(page, "dot")).to_have_attribute("data-cell", "0,0")
        before = page.locator(".stage").evaluate_all(PLACED)
        for row, column in ((2, 3), (4, 6), (1, 5), (3, 0), (0, 6), (2, 1)):
            hover(page, "dot", row, column)
            expect(stage(page, "dot")).to_have_attribute("data-cell", f"{row},{column}")
            assert page.locator(".stage").evaluate_all(PLACED) == before
        page.mouse.down()
        page.mouse.up()
        legend(page, "a").locator(".toggle", has_text="sky").click()
        expect(legend(page, "b").locator(".toggle", has_text="sky")).to_have_attribute("aria-pressed", hidden)
        assert page.locator(".stage").evaluate_all(PLACED) == before


def test_a_map_that_comes_later_moves_nothing(page: Page) -> None:
    titles = ("dot", "bases", "cross2")
    panels = [config(title, "plain", None, stats=True, note="a map is to come") for title in titles]
    mount(page, data(*panels))
    before = [box(one) for one in page.locator(".stage").all()]
    expect(page.locator(".readout .bar").first).to_be_hidden()
    for number, title in enumerate(titles):
        panels[number] = config(title, "either", title, stats=True, note="5 x 7 cells")
        mount(page, data(*panels))
        expect(page.locator(".panel").nth(number).locator(".figures")).to_have_text(re.compile("^Entropy "))
        assert [box(one) for one in page.locator(".stage").all()] == before


def test_a_map_without_statistics_that_comes_later_moves_nothing(page: Page) -> None:
    mount(page, data(config("dot", "plain", None, pending=True), config("last", "attends_to", "bases"), columns=1))
    before = box(stage(page, "last"))
    expect(label(page, "Top 5")).to_be_visible()
    mount(
        page, data(config("dot", "values", "positive", unit="logits"), config("last", "attends_to", "bases"), columns=1)
    )
    expect(page.locator(".panel .high").first).to_be_visible()
    assert box(stage(page, "last")) == before


def test_a_panel_whose_pin_or_point_changes_stays_in_place(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot", at=[75, 105])))
    stage(page, "dot").evaluate("(stage) => { stage.mark = 1; }")
    pin = {"number": 2, "colour": "#56B4E9"}
    page.evaluate("(data) => show(data)", data(config("new", "attends_to", "dot", at=[5, 5], pin=pin, note="a note")))
    expect(stage(page, "new")).to_have_attribute("data-cell", "0,0")
    assert stage(page, "new").evaluate("(stage) => stage.mark") == 1
    expect(page.locator("figcaption")).to_have_text("2newa note")
    expect(page.locator(".panel")).to_have_class("panel pinned")
    expected = float(MAPS["dot"].attends_to(0, 0).max())
    assert float(stage(page, "new").get_attribute("data-max") or "nan") == pytest.approx(expected, rel=1e-4)
    page.evaluate("(data) => show(data)", data(config("new", "attended_by", "dot", at=[5, 5])))
    expect(stage(page, "new")).to_have_attribute("data-ready", "1")
    assert stage(page, "new").evaluate("(stage) => stage.mark") is None  # another map


def test_a_page_that_becomes_shorter_does_not_slide_under_the_pointer(page: Page) -> None:
    panels = [config(f"{number}", "attends_to", "dot") for number in range(3)]
    mount(page, data(*panels, columns=1))
    page.evaluate(
        """() => { const table = document.createElement('div');
        Object.assign(table, { id: 'table' }).style.height = '400px';
        document.body.append(table); scrollTo(0, document.documentElement.scrollHeight); }"""
    )
    place, before = centre(stage(page, "2"), 0.5, 0.9), box(stage(page, "2"))
    page.mouse.click(*place)
    page.evaluate("scrollBy(0, -1); scrollBy(0, 1)")  # before Python's answer, such as for a new pin in the list
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate("document.getElementById('table').style.height = '0'")  # while Python computes it anew
    assert box(stage(page, "2")) == before
    page.mouse.click(place[0] + 60, place[1])
    assert len(pins(page)) == 2
    page.mouse.wheel(0, -500)  # what is left of it is no longer in sight
    page.wait_for_function("document.body.style.minHeight === ''")


def test_the_legend_is_one_stop_of_tab_and_arrows_move_inside(page: Page) -> None:
    mount(page, data(classes("a"), columns=1))
    stage(page, "a").focus()
    page.keyboard.press("Tab")
    expect(legend(page, "a").locator(".toggle").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(legend(page, "a").locator(".only").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(legend(page, "a").locator(".toggle[aria-pressed='false']")).to_have_count(2)
    page.keyboard.press("End")
    expect(legend(page, "a").locator(".everything")).to_be_focused()
    page.keyboard.press("Enter")
    expect(legend(page, "a").locator(".toggle").first).to_be_focused()


@pytest.mark.parametrize(("height", "width"), [(10, 400), (400, 10)])
def test_pictures_of_any_shape_stay_within_their_panels(page: Page, height: int, width: int) -> None:
    panels = [
        config(name, "attends_to", "dot", note="some words beside the title, as long as they may be") for name in "abc"
    ]
    mount(page, data(*panels, height=height, width=width, columns=3))
    stages = [box(stage(page, name)) for name in "abc"]
    for own, panel in zip(stages, page.locator(".panel").all(), strict=True):
        around = box(panel)
        assert around["width"] < 1000 / 3
        assert own["x"] >= around["x"] and own["x"] + own["width"] <= around["x"] + around["width"] + 0.5
        assert own["height"] <= 0.85 * 900 + 0.5
        assert own["width"] / own["height"] == pytest.approx(width / height, rel=0.1)


def test_outlines_are_drawn_where_classes_meet(page: Page) -> None:
    mount(page, data(classes("labels")))
    borders = stage(page, "labels").locator("canvas.borders")
    expect(borders).to_be_hidden()
    label(page, "Outlines").check()
    expect(borders).to_be_visible()
    lines = pixels(page, "labels", "canvas.borders")
    marked = np.flatnonzero((lines[:, :, 3] > 0).all(1))  # rows that are lines from side to side
    high = len(lines)
    for border in (high / 3, 2 * high / 3):
        near = [row for row in marked if abs(row + 0.5 - border) <= 1.5]
        colours = {int(lines[row, high // 2, 0]) for row in near}
        assert len(near) == 2
        assert max(colours) > 240 and min(colours) < 30, "light and dark, to be seen on any colour"
    assert (lines[:, :, 3] > 0).mean() == pytest.approx(4 / high, rel=0.01)
    legend(page, "labels").get_by_role("button", name="Only sky").click()
    expect(legend(page, "labels").locator(".toggle[aria-pressed='false']")).to_have_count(2)
    assert (pixels(page, "labels", "canvas.borders")[:, :, 3] > 0).mean() == pytest.approx(2 / high, rel=0.01)


def test_levels_keep_their_order_and_are_always_outlined(page: Page) -> None:
    names = ["all agree", "2 answers", "3 answers"]
    mount(page, data(classes("levels", "other", classes=names, levels=True), classes("labels", "other")))
    expect(legend(page, "levels").locator(".toggle span")).to_have_text(names)
    expect(legend(page, "labels").locator(".toggle span").first).to_have_text("tree")
    expect(stage(page, "levels").locator("canvas.borders")).to_be_visible()
    expect(stage(page, "labels").locator("canvas.borders")).to_be_hidden()
    lines = pixels(page, "levels", "canvas.borders")
    marked, below = lines[:, :, 3] > 0, OTHER[np.ix_(*(np.arange(count) * side // count for count, side in zip(
        lines.shape[:2], OTHER.shape, strict=True
    )))] == 0  # fmt: skip
    assert marked.any() and below[marked].all(), "a line hides what disagrees"
    assert lines[marked][:, 0].min() > 240


def test_rare_classes_are_not_shown_as_0_percent(page: Page) -> None:
    page.route("**/rare", lambda route: route.fulfill(body=wire.pack_labels(RARE)))
    mount(page, data(classes("rare", "rare")))
    expect(legend(page, "rare").locator(".toggle small")).to_have_text(["100.0 %", "<0.1 %"])


# ---- shares ---------------------------------------------------------------------------------------------


def test_shares_keep_a_scale_from_0_to_1_whatever_is_set(page: Page) -> None:
    mount(page, data(config("sure", "shares", "shares"), config("dot", "attends_to", "dot")))
    scale = page.locator(".panel", has=stage(page, "sure")).locator(".scale")
    alone = pixels(page, "sure")
    for setting in ("one shared", "log", "percentile"):
        label(page, setting).check()
        expect(scale.locator(".low")).to_have_text("0")
        expect(scale.locator(".high")).to_have_text("1")
        np.testing.assert_array_equal(pixels(page, "sure"), alone)
    page.get_by_label("Colours").select_option("gray")
    expect(stage(page, "sure")).to_have_attribute("data-ready", "1")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    np.testing.assert_allclose(pixels(page, "sure")[:, :, 0] / 255, SHARES, atol=1 / 255)
    there = box(stage(page, "sure"))
    page.mouse.move(there["x"] + there["width"] / 2, there["y"] + there["height"] / 2)
    expect(page.locator(".panel", has=stage(page, "sure")).locator(".value")).to_have_text(re.compile(r"^0\.45"))


def test_nans_stand_out(page: Page) -> None:
    gaps = config("gaps", "values", "gaps", unit="logits", signed=False)
    mount(page, data(gaps, config("partly", "shares", "partly")))
    for setting in ("linear", "log", "percentile"):
        label(page, setting).check()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        for name, values in (("gaps", GAPS), ("partly", PARTLY_SURE)):
            drawn = pixels(page, name)
            assert ((drawn[:, :, :3] == (255, 0, 255)).all(axis=-1) == np.isnan(values)).all()
            assert len(np.unique(drawn[~np.isnan(values)], axis=0)) > 3


def test_scales_are_only_offered_where_they_do_something(page: Page) -> None:
    mount(page, data(config("sure", "shares", "shares")))
    expect(page.get_by_label("Colours")).to_be_visible()
    for name in ("one shared", "log", "cells"):
        expect(label(page, name)).to_be_hidden()
    stage(page, "sure").focus()
    before = page.locator(".where").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".where")).not_to_have_text(before)
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^y \d+, x 112: 0\.\d+$"))  # 8 pixels on, not one


# ---- settings to and from Python ------------------------------------------------------------------------

DEFAULTS = {
    "colours": "viridis",
    "opacity": 65,
    "range": "own",
    "scale": "linear",
    "cells": "smooth",
    "direction": "attends_to",
    "outlines": False,
    "strongest": False,
    "hidden": [],
}
CHANGE_TWICE = """() => { const root = document.querySelector('div').shadowRoot;
    const press = (value) => root.querySelector(`input[value=${value}]`).click();
    press('log'); press('percentile'); press('shared');
    return window.edits.length; }"""


def test_settings_reach_python_once_after_a_pause(page: Page) -> None:
    two(page, settings=DEFAULTS)
    assert page.evaluate(CHANGE_TWICE) == 0
    page.wait_for_function("edits.length > 0")
    page.get_by_label("Colours").select_option("magma")
    page.wait_for_function("edits.length > 1")
    first, second = page.evaluate("edits")
    assert first == ["settings", DEFAULTS | {"scale": "percentile", "range": "shared"}]
    assert second == ["settings", DEFAULTS | {"scale": "percentile", "range": "shared", "colours": "magma"}]


def test_a_page_that_gives_no_settings_is_sent_none(page: Page) -> None:
    two(page)
    page.evaluate(CHANGE_TWICE)
    page.evaluate("new Promise((done) => setTimeout(done, 600))")
    assert page.evaluate("edits") == []


def test_a_viewer_begins_with_pythons_settings(page: Page) -> None:
    given = DEFAULTS | {"scale": "log", "opacity": 20, "outlines": True, "hidden": ["road"], "colours": "jet"}
    mount(page, data(classes("labels"), config("dot", "attends_to", "dot"), settings=given))
    expect(label(page, "log")).to_be_checked()
    expect(label(page, "Outlines")).to_be_checked()
    expect(label(page, "Opacity")).to_have_value("20")
    expect(page.get_by_label("Colours")).to_have_value("viridis")
    expect(legend(page, "labels").locator(".toggle", has_text="road")).to_have_attribute("aria-pressed", "false")
    label(page, "linear").check()
    page.evaluate("(data) => show(data)", data(classes("labels"), config("dot", "attends_to", "dot"), settings=given))
    expect(label(page, "linear")).to_be_checked()  # an answer does not undo what the reader did since


# ---- what can go wrong ----------------------------------------------------------------------------------


def test_a_failing_panel_shows_its_error_and_the_others_go_on(page: Page) -> None:
    put(
        page,
        data(
            config("bad", "attends_to", "garbage"), config("wrong", "points", "dot"), config("dot", "attends_to", "dot")
        ),
    )
    expect(page.get_by_role("alert")).to_have_count(2)
    expect(stage(page, "dot")).to_have_attribute("data-ready", "1")
    hover(page, "dot", 1, 1)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "1,1")
    assert page.evaluate("edits") == []  # Python cannot help


def test_python_is_asked_once_for_maps_that_the_server_lost(page: Page) -> None:
    lost = data(
        config("lost", "attends_to", "gone"), config("also", "attended_by", "gone"), config("dot", "attends_to", "dot")
    )
    put(page, lost)
    page.wait_for_function("edits.length > 0")
    ((name, token),) = page.evaluate("edits")
    assert name == "lost"
    page.evaluate("(data) => show(data)", {**lost, "lost": token})
    expect(page.get_by_role("alert")).to_have_count(2)
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert len(page.evaluate("edits")) == 1
    found = data(
        config("lost", "attends_to", "dot"), config("also", "attended_by", "dot"), config("dot", "attends_to", "dot")
    )
    page.evaluate("(data) => show(data)", found)
    expect(page.locator(".stage[data-ready='1']")).to_have_count(3)


def test_panels_out_of_sight_wait_until_the_pointer_rests(page: Page) -> None:
    mount(page, data(*(config(f"{number}", "attends_to", "dot") for number in range(8)), columns=1))
    page.evaluate("scrollTo(0, 0)")
    there = box(stage(page, "0"))
    in_one_frame = """([x, y]) => new Promise((done) => {
        const stages = [...document.querySelector('div').shadowRoot.querySelectorAll('.stage')];
        stages[0].dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: x, clientY: y}));
        requestAnimationFrame(() => done(stages.map((one) => one.dataset.cell)));
    })"""
    cells = page.evaluate(in_one_frame, [there["x"] + 5, there["y"] + 5])
    assert (cells[0], cells[7]) == ("0,0", "2,3")
    expect(stage(page, "7")).to_have_attribute("data-cell", "0,0")


# ---- for everybody --------------------------------------------------------------------------------------

THEMES = {
    "light": {"text-color": "#31333F", "background-color": "#ffffff", "primary-color": "#0072B2"},
    "dark": {"text-color": "#FAFAFA", "background-color": "#0E1117", "primary-color": "#56B4E9"},
}
COLOURS = """(selector) => { const root = document.querySelector('div').shadowRoot;
    const parts = (colour) => { const canvas = document.createElement('canvas').getContext('2d');
        canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    return [...root.querySelectorAll(selector)].filter((one) => one.checkVisibility())
        .map((one) => parts(getComputedStyle(one).color)); }"""
TEXTS = (
    ".title, .note, .direction, .low, .high, .value, .figures, .strongest, .where, .status, "
    ".toolbar label, .zoom button, .toggle, .toggle small, .only, .pins button"
)


def luminance(colour: list[int]) -> float:
    parts = [value / 255 for value in colour[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[int], other: list[int]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_can_be_read_in_both_themes(page: Page, theme: str) -> None:
    panels = (classes("labels", note="a note"), config("dot", "either", "dot", stats=True, note="another"))
    mount(page, data(*panels, pins=[(5, 5, 0), (9, 9, 5)]))
    page.evaluate(
        """(theme) => { for (const [name, value] of Object.entries(theme))
        document.body.style.setProperty(`--st-${name}`, value); }""",
        THEMES[theme],
    )
    label(page, "Top 5").check()
    legend(page, "labels").locator(".toggle", has_text="sky").click()
    ground = [int(THEMES[theme]["background-color"][at : at + 2], 16) for at in (1, 3, 5)]
    found = page.evaluate(COLOURS, TEXTS)
    assert len(found) > 25
    assert min(contrast(colour, ground) for colour in found) >= 4.5


def test_numbers_can_be_read_on_every_pins_colour(page: Page) -> None:
    two(page, pins=[(10 * number, 10, number) for number in range(len(PIN_COLOURS))], maxPins=8)
    inks = page.evaluate(COLOURS, ".panel:first-child .marker")
    assert len(inks) == len(PIN_COLOURS)
    for ink, colour in zip(inks, PIN_COLOURS, strict=True):
        assert contrast(ink, [int(colour[at : at + 2], 16) for at in (1, 3, 5)]) >= 4.5


SMALL = """(least) => [...document.querySelector('div').shadowRoot.querySelectorAll(
    'button, select, input[type=range], label:has(input[type=radio], input[type=checkbox]), [role=slider]')]
    .filter((one) => one.checkVisibility() && !one.classList.contains('marker'))
    .map((one) => [one.textContent.trim() || one.className, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < least - 0.01 || box.height < least - 0.01).map(([name]) => name)"""


def everything(page: Page) -> None:
    sides = [classes("before"), classes("after", "other")]
    panels = (config("swipe", "swipe", None, sides=sides), config("dot", "either", "dot"))
    mount(page, data(*panels, pins=[(5, 5, 0), (100, 100, 1)]))


def test_controls_are_large_enough_for_a_pointer(page: Page) -> None:
    everything(page)
    assert page.evaluate(SMALL, 24) == []


def test_controls_are_large_enough_for_a_finger(phone: Page) -> None:
    everything(phone)
    phone.get_by_role("button", name="Display").tap()
    expect(phone.get_by_label("Colours")).to_be_visible()
    assert phone.evaluate(SMALL, 44) == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_phone_shows_the_display_settings_on_demand(phone: Page) -> None:
    two(phone)
    more = phone.get_by_role("button", name="Display")
    expect(phone.get_by_label("Colours")).to_be_hidden()
    more.tap()
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(phone.get_by_label("Colours")).to_be_visible()


def test_on_a_phone_the_toolbar_leaves_room_above_the_first_title(phone: Page) -> None:
    two(phone)
    above, below = box(phone.get_by_role("button", name="Display")), box(phone.locator(".title").first)
    assert below["y"] - (above["y"] + above["height"]) >= 12


@pytest.mark.parametrize("scrolled", [0, 900])
def test_on_a_phone_open_display_settings_leave_the_map_in_sight(phone: Page, scrolled: int) -> None:
    panels = [config(str(at), "either", "dot") for at in range(6)]
    mount(phone, data(classes("labels"), *panels, pins=[(5, 5, 0)]))
    page_css = "document.documentElement.style.scrollPaddingBlock = '4rem'; document.body.style.paddingTop = '350px'"
    phone.evaluate(f"(down) => {{ {page_css}; scrollTo(0, down); }}", scrolled)
    phone.get_by_role("button", name="Display").tap()
    expect(phone.get_by_label("Colours")).to_be_visible()
    bar, foot = box(phone.locator(".toolbar")), box(phone.locator(".foot"))
    assert bar["height"] < 260
    free = [one for one in map(box, phone.locator(".stage").all()) if one["y"] >= bar["y"] + bar["height"] - 1]
    assert any(one["y"] + one["height"] <= foot["y"] + 1 for one in free)


def test_on_a_phone_the_first_map_that_follows_comes_before_the_prediction(phone: Page, page: Page) -> None:
    panels = [classes("labels"), config("dot", "attends_to", "dot"), config("bases", "attends_to", "bases")]
    pinned = config("dot of point 1", "attends_to", "dot", at=[10, 10], pin={"number": 1, "colour": "#D55E00"})

    def order(visit: Page) -> list[str]:
        mount(visit, data(*panels, pinned, pins=[(10, 10, 0)]))
        tops = {one["title"]: box(stage(visit, one["title"])) for one in [*panels, pinned]}
        return sorted(tops, key=lambda title: (tops[title]["y"], tops[title]["x"]))

    assert order(phone) == ["dot", "labels", "bases", "dot of point 1"]
    stage(phone, "dot").focus()
    reached: list[str] = []
    while len(reached) < 3:
        phone.keyboard.press("Tab")
        title = phone.evaluate("document.querySelector('div').shadowRoot.activeElement?.dataset.panel ?? ''")
        reached += [title] if title else []
    assert reached == ["labels", "bases", "dot of point 1"]
    assert order(page) == ["labels", "dot", "bases", "dot of point 1"]


def test_what_the_keyboard_moves_to_is_read_out(page: Page) -> None:
    mount(page, data(config("dot", "attends_to", "dot"), classes("labels")))
    label(page, "Top 5").check()
    stage(page, "labels").focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("status")).to_have_text("y 45, x 105: sky")
    stage(page, "dot").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("status")).to_contain_text(
        re.compile(r"^y 75, x 105: .* %, .* × the even share\. Strongest cells away from the point: a:\s")
    )


def test_the_arrows_move_where_there_are_only_classes(page: Page) -> None:
    mount(page, data(classes("labels")))
    stage(page, "labels").focus()
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_role("status")).to_have_text(re.compile("^y 11[0-9], x 10[0-9]: road"))


# ---- with Streamlit -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(browser: Browser) -> Iterator[tuple[Page, list[int]]]:
    """The eleven panels from a real server, and the sizes of the websocket's frames."""
    with serve_script(SYNTHETIC) as address:
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        frames: list[int] = []

        def count(connection: Any) -> None:
            for way in ("framesent", "framereceived"):
                connection.on(way, lambda payload: frames.append(len(payload)))

        page.on("websocket", count)
        page.goto(f"{address}/?rows=18&columns=24", timeout=PATIENCE)
        expect(page.locator(".stage[data-ready='1']")).to_have_count(SYNTHETIC_PANELS, timeout=PATIENCE)
        expect(page.get_by_text("settings unlike the defaults: {}")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
        yield page, frames
        page.close()


@pytest.mark.slow  # as the app's tests, which hover and set on a server that runs anyway
@pytest.mark.timeout(900)
def test_hovering_and_zooming_send_nothing(served: tuple[Page, list[int]]) -> None:
    page, frames = served
    there = box(stage(page, "Attends to"))
    frames.clear()
    cells = set()
    for step in range(20):
        page.mouse.move(there["x"] + (5 + 4 * step) % there["width"], there["y"] + (9 + 7 * step) % there["height"])
        page.keyboard.down("Control")
        page.mouse.wheel(0, -60 if step < 10 else 60)
        page.keyboard.up("Control")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        cells.add(stage(page, "Attended by").get_attribute("data-cell"))
    assert len(cells) > 5
    assert frames == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_settings_and_pins_reach_the_script(served: tuple[Page, list[int]]) -> None:
    page, frames = served
    page.get_by_label("percentile", exact=True).check()
    page.get_by_label("attended by", exact=True).check()
    expect(page.get_by_text("'scale': 'percentile', 'direction': 'attended_by'")).to_be_visible(timeout=PATIENCE)
    stage(page, "Attends to").click()
    expect(page.get_by_text("1 pins; ")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("percentile", exact=True)).to_be_checked()
    assert frames
