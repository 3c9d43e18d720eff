"""The app in a real browser: hovering draws Python's rows in silence, pins and pictures travel, nothing breaks."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from app_server import LiveApp
from browser import PATIENCE, settles, visiting
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from streets import street
from viewer_host import PHONE, unfold_toolbar

from segviz.data.classes import CAMVID
from segviz.engine import engine
from segviz.models.registry import MODELS
from segviz.prediction.similarity import STAGES
from segviz.ui.page_table import PAGES, ROWS, Group
from segviz.ui.picture_sidebar import FIRST_SEED

HEIGHT, WIDTH = 360, 480  # of a drawn scene
PLACES = ((47, 61), (200, 243), (331, 402))  # (y, x) that are hovered

pytestmark = pytest.mark.timeout(600)


@dataclass
class Visit:
    """One visitor's page; `sent` counts what the browser sent to the server over the websocket."""

    page: Page
    address: str
    sent: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: self.sent.append(frame)))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, page: str = "inspect") -> Visit:
        """A page by its address, ready and at rest."""
        self.page.goto(f"{self.address}/{ROWS[page].address}")
        return self.rest()

    def go(self, page: str) -> Visit:
        """A page by a click in the sidebar."""
        heading = self.page.get_by_role("heading", level=1).inner_text()
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=ROWS[page].title).click()
        expect(self.page.get_by_role("heading", level=1)).not_to_have_text(heading)
        return self.rest()

    def rest(self) -> Visit:
        """Returns when the script has run and every picture is drawn."""
        expect(self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
        expect(self.page.locator(".stage[data-ready='1']").first).to_be_visible()
        expect(self.page.locator(".stage:not([data-ready='1'])")).to_have_count(0)
        if (self.page.viewport_size or {"width": 0})["width"] > PHONE:
            unfold_toolbar(self.page)
        return self

    def told(self, before: int, link: str) -> Visit:
        """Returns when the server was told a setting, after `before` frames, and has answered with this link."""
        expect(self.page).to_have_url(re.compile(re.escape(link)))
        assert len(self.sent) > before
        return self.rest()

    def stage(self, title: str) -> Locator:
        return self.page.locator(f".stage[data-panel='{title}']")

    def hover(self, title: str, y: int, x: int) -> tuple[int, int]:
        """Moves the pointer to an image pixel and returns the one that the viewer says it is at."""
        self.stage(title).scroll_into_view_if_needed()
        box = self.stage(title).bounding_box()
        assert box is not None
        before = self.page.locator(".where").inner_text()
        self.page.mouse.move(box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"])
        expect(self.page.locator(".where")).not_to_have_text(before)
        found = re.findall(r"\d+", self.page.locator(".where").inner_text())
        assert abs(int(found[0]) - y) <= 1
        assert abs(int(found[1]) - x) <= 1
        return int(found[0]), int(found[1])

    def pin(self, title: str, y: int, x: int) -> tuple[int, int]:
        """Pins an image pixel with the mouse and returns the one that was pinned."""
        place = self.hover(title, y, x)
        self.page.mouse.down()
        self.page.mouse.up()
        return place

    def show_linear(self) -> Visit:
        """The linear scale in place of the one that each panel starts with."""
        self.page.get_by_label("linear", exact=True).check()
        return self

    def inspect(self, model: str) -> Visit:
        """The Inspect page with a model."""
        self.open()
        box = self.page.get_by_role("combobox", name="Model")
        box.click()
        box.fill(f"({model})")
        self.page.get_by_role("option", name=f"{MODELS[model].title} ({model})", exact=True).click()
        expect(self.page.get_by_text(f"{MODELS[model].title}, after {MODELS[model].paper}")).to_be_visible()
        return self.rest()


@pytest.fixture(scope="module")
def app(live_app: LiveApp, browser: Browser) -> Iterator[LiveApp]:
    yield live_app
    live_app.check_log()


@pytest.fixture
def visit(app: LiveApp, browser: Browser) -> Iterator[Visit]:
    """A new visitor at a desk. No error of the page may remain."""
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as page:
        visit = Visit(page, app.address)
        yield visit
    assert visit.errors == []


# ---- what is drawn --------------------------------------------------------------------------------------


def canvas_pixels(canvas: Locator) -> np.ndarray:
    """RGBA pixels (height, width, 4); a PNG travels a hundred times as fast as a list of numbers."""
    url = canvas.evaluate("(canvas) => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def table() -> np.ndarray:
    """1024 colours between 33 of viridis: what the viewer draws with."""
    anchors = np.round(matplotlib.colormaps["viridis"](np.linspace(0, 1, 33))[:, :3] * 255)
    steps = np.linspace(0, 32, 1024)
    return np.stack([np.round(np.interp(steps, np.arange(33), channel)) for channel in anchors.T], 1).astype(int)


def positions(stage: Locator) -> np.ndarray:
    """Where each drawn cell lies on the colour bar, in [0, 1]: its colour back through the table."""
    pixels = canvas_pixels(stage.locator("canvas.map")).astype(int)
    height, width, _ = pixels.shape
    colours, cells = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    assert (colours[:, 3] == 255).all()
    distance = np.abs(colours[:, None, :3] - table()).max(2)
    assert distance.min(1).max() <= 2, "a colour that is not viridis"
    return (distance.argmin(1) / 1023)[cells].reshape(height, width)


def check_drawn(stage: Locator, expected: Any, cell: tuple[int, int], top: float | None = None) -> None:
    """The panel shows this map for this cell, on a scale from 0 to `top`."""
    expect(stage).to_have_attribute("data-cell", f"{cell[0]},{cell[1]}")
    values = expected.numpy()
    largest = float(stage.get_attribute("data-max") or "nan")
    assert largest == pytest.approx(float(values.max()), rel=1e-3)
    drawn = positions(stage)
    assert drawn.shape == values.shape
    np.testing.assert_allclose(drawn, values / (top or values.max()), rtol=0, atol=5 / 1023)


def map_of(model: str, name: str) -> Any:
    """The map that Python computes for the first scene."""
    return engine().predict(model, street(FIRST_SEED).image).maps[name]


RULES: dict[str, Callable[[Any, int, int], Any]] = {
    "attends_to": lambda one, row, column: one.attends_to(row, column),
    "attended_by": lambda one, row, column: one.attended_by(row, column),
    "strip": lambda one, row, column: one.strip_map(column),
}


@pytest.mark.parametrize(
    ("page", "model", "panels"),
    [
        ("psa", "psa", {"Collect": ("collect", "attends_to"), "Distribute": ("distribute", "attended_by")}),
        ("inspect", "rcca", {"Attends to (all passes)": ("cross", "attends_to")}),
        # The quick test of one point in every block draws these too, except the bases.
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (
                ("snl", "snl", {"Who samples it": ("samples", "attended_by")}),
                ("sam", "sam", {"Column map": ("strip", "strip"), "Attends to": ("strip", "attends_to")}),
                ("inspect", "spatial_nl", {"Attends to (spatial)": ("spatial", "attends_to")}),
                ("inspect", "cs_nl", {"Attended by (spatial)": ("spatial", "attended_by")}),
                ("inspect", "ema", {"Attends to (bases)": ("bases", "attends_to")}),
            )
        ),
    ],
)
def test_hovering_draws_pythons_map(visit: Visit, page: str, model: str, panels: dict[str, tuple[str, str]]) -> None:
    (visit.inspect(model) if page == "inspect" else visit.open(page)).show_linear()
    for panel, (name, rule) in panels.items():
        expected = map_of(model, name)
        for y, x in PLACES:
            cell = expected.cell(*visit.hover(panel, y, x), HEIGHT, WIDTH)
            check_drawn(visit.stage(panel), RULES[rule](expected, *cell), cell)


def test_all_panels_follow_the_pointer_over_one_of_them(visit: Visit) -> None:
    visit.open("psa").show_linear()
    place = visit.hover("Prediction", *PLACES[2])
    for panel, name, rule in (("Collect", "collect", "attends_to"), ("Distribute", "distribute", "attended_by")):
        expected = map_of("psa", name)
        cell = expected.cell(*place, HEIGHT, WIDTH)
        check_drawn(visit.stage(panel), RULES[rule](expected, *cell), cell)


def test_the_samples_are_drawn_where_they_lie(visit: Visit) -> None:
    visit.open("snl")
    place = visit.hover("Samples", *PLACES[1])
    one = map_of("snl", "samples")
    cell = one.cell(*place, HEIGHT, WIDTH)
    stage = visit.stage("Samples")
    expect(stage).to_have_attribute("data-cell", f"{cell[0]},{cell[1]}")
    sampled, weights = one.samples(*cell)
    assert float(stage.get_attribute("data-max") or "nan") == pytest.approx(float(weights.max()), rel=1e-3)
    alpha = canvas_pixels(stage.locator("canvas.points"))[:, :, 3]
    grid = np.array(one.grid)
    at = ((sampled.numpy() + 0.5) / grid * alpha.shape).astype(int)
    inside = ((at >= 2) & (at < np.array(alpha.shape) - 2)).all(1)
    assert inside.sum() > 20
    assert (alpha[tuple(at[inside].T)] > 200).all()
    assert (alpha > 0).mean() < 0.5


# ---- silence --------------------------------------------------------------------------------------------


def test_hovering_sends_nothing_and_no_map_travels_twice(visit: Visit) -> None:
    fetched: list[str] = []
    visit.page.on("request", lambda request: fetched.append(request.url))
    visit.open("psa")
    assert [url for url in fetched if "/segviz/blob/" in url]  # so the count does count
    fetched.clear()
    visit.hover("Collect", 20, 20)
    seen, before = set(), len(visit.sent)
    for step in range(20):
        visit.hover(("Collect", "Distribute", "Prediction")[step % 3], 25 + 15 * step, 25 + 20 * step)
        seen.add(visit.stage("Collect").get_attribute("data-cell"))
    assert len(seen) > 10
    assert len(visit.sent) == before
    for label in ("one shared", "log", "cells"):
        visit.page.get_by_label(label, exact=True).check()
    visit.page.get_by_label("Colours").select_option("magma")
    visit.page.get_by_label("Opacity").fill("30")
    visit.told(before, "opacity=30")
    visit.hover("Distribute", *PLACES[0])
    visit.pin("Collect", *PLACES[1])
    expect(visit.stage("Collect of point 1")).to_have_attribute("data-ready", "1")
    assert [url for url in fetched if "/segviz/blob/" in url] == []


def test_settings_are_kept_when_the_page_changes_and_reach_the_session(visit: Visit) -> None:
    visit.open("psa")
    before = len(visit.sent)
    visit.page.get_by_label("percentile", exact=True).check()
    visit.page.get_by_label("Colours").select_option("cividis")
    visit.told(before, "colours=cividis")
    visit.go("snl")
    expect(visit.page.get_by_label("percentile", exact=True)).to_be_checked()
    expect(visit.page.get_by_label("Colours")).to_have_value("cividis")
    before = len(visit.sent)
    visit.page.get_by_label("log", exact=True).check()
    visit.told(before, "scale=log")
    visit.go("psa")
    expect(visit.page.get_by_label("log", exact=True)).to_be_checked()
    visit.rest()
    expect(visit.page.get_by_label("Colours")).to_have_value("cividis")


def test_choices_that_are_longer_than_their_box_can_be_read(visit: Visit) -> None:
    visit.open("inspect")
    visit.page.locator(".st-key-inspect-beside input").click()
    options = visit.page.get_by_role("option")
    expect(options).to_have_count(2 + len(STAGES))
    parts = "all.flatMap(one => [one, ...one.querySelectorAll('*')])"
    assert options.evaluate_all(f"all => {parts}.filter(one => one.scrollWidth > one.clientWidth + 1).length") == 0
    right = options.evaluate_all("all => Math.max(...all.map(one => one.getBoundingClientRect().right))")
    assert right <= visit.page.evaluate("innerWidth")
    longest = max(options.all_inner_texts(), key=len)
    options.filter(has_text=longest).click()
    chosen = visit.rest().page.locator(".st-key-inspect-beside input")
    expect(chosen).to_have_value(longest)
    before = visit.page.viewport_size
    assert before is not None
    visit.page.set_viewport_size({"width": 1280, "height": 900})
    room = chosen.evaluate("""(one) => { const pen = document.createElement("canvas").getContext("2d");
        const style = getComputedStyle(one); pen.font = style.font;
        const around = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
        return one.clientWidth - around - pen.measureText(one.value).width; }""")
    assert room >= 0
    visit.page.set_viewport_size(before)


def test_one_shared_scale_changes_bars_and_colours(visit: Visit) -> None:
    visit.open("psa").show_linear()
    place = visit.hover("Collect", *PLACES[1])
    stages = [visit.stage("Collect"), visit.stage("Distribute")]
    high = [visit.page.locator(".panel", has=stage).locator(".high") for stage in stages]
    own = [one.inner_text() for one in high]
    assert own[0] != own[1]
    visit.page.get_by_label("one shared").check()
    tops = [float(stage.get_attribute("data-max") or "nan") for stage in stages]
    larger = int(tops[1] > tops[0])
    expect(high[1 - larger]).to_have_text(own[larger])
    expect(high[larger]).to_have_text(own[larger])
    # The pointer went to the switch; the maps stay where it left them.
    name, rule = (("collect", "attends_to"), ("distribute", "attended_by"))[1 - larger]
    expected = map_of("psa", name)
    cell = expected.cell(*place, HEIGHT, WIDTH)
    visit.hover("Collect", place[0] + 40, place[1])
    place = visit.hover("Collect", *place)
    cell = expected.cell(*place, HEIGHT, WIDTH)
    top = max(float(stage.get_attribute("data-max") or "nan") for stage in stages)
    check_drawn(stages[1 - larger], RULES[rule](expected, *cell), cell, top)


def test_space_uncovers_the_picture_while_it_is_held(visit: Visit) -> None:
    visit.open("psa")
    visit.pin("Collect", *PLACES[1])
    visit.page.mouse.move(2, 2)
    visit.page.evaluate("document.activeElement.blur()")
    visit.hover("Collect", *PLACES[2])
    overlays = [visit.stage("Collect").locator(name) for name in ("canvas.map", ".marker", ".cell")]
    for overlay in overlays:
        expect(overlay).to_be_visible()
    visit.page.keyboard.down(" ")
    for overlay in overlays:
        expect(overlay).to_be_hidden()
    expect(visit.stage("Collect").locator(".picture")).to_be_visible()
    visit.page.keyboard.up(" ")
    for overlay in overlays:
        expect(overlay).to_be_visible()


# ---- pins -----------------------------------------------------------------------------------------------


def test_a_click_pins_at_once_and_python_answers_with_its_panels(visit: Visit) -> None:
    visit.open("psa").show_linear()
    place = visit.hover("Collect", *PLACES[1])
    box = visit.stage("Collect").bounding_box()
    marked = "(stage) => { stage.click(); return [...stage.querySelectorAll('.marker b')].map((b) => b.textContent) }"
    assert visit.stage("Collect").evaluate(marked) == ["1"]  # in the same task, before any answer can come
    for panel, name, rule in (("Collect", "collect", "attends_to"), ("Distribute", "distribute", "attended_by")):
        expected = map_of("psa", name)
        cell = expected.cell(*place, HEIGHT, WIDTH)
        stage = visit.stage(f"{panel} of point 1")
        expect(stage).to_have_attribute("data-ready", "1")
        check_drawn(stage, RULES[rule](expected, *cell), cell)
    assert visit.stage("Collect").bounding_box() == box  # the next click lands where the reader aims
    visit.pin("Distribute", *PLACES[2])
    expect(visit.stage("Distribute of point 2")).to_have_attribute("data-ready", "1")
    expect(visit.stage("Collect of point 1").locator(".marker b")).to_have_text(["1", "2"])


def test_pins_are_kept_when_the_page_changes(visit: Visit) -> None:
    visit.open("psa")
    place = visit.pin("Collect", *PLACES[0])
    expect(visit.stage("Collect of point 1")).to_be_visible()
    visit.go("snl")
    expect(visit.page.get_by_label(f"Show pin 1, y {place[0]}, x {place[1]}")).to_be_visible()
    expect(visit.stage("Samples").locator(".marker")).to_have_count(1)
    cell = map_of("snl", "samples").cell(*place, HEIGHT, WIDTH)
    expect(visit.stage("Samples of point 1")).to_have_attribute("data-cell", f"{cell[0]},{cell[1]}")
    visit.page.locator(".pins").get_by_label("Remove pin 1").click()
    expect(visit.stage("Samples of point 1")).to_have_count(0)
    visit.go("psa")
    expect(visit.page.locator(".marker")).to_have_count(0)
    expect(visit.stage("Collect of point 1")).to_have_count(0)


def test_the_keyboard_moves_pins_and_unpins(visit: Visit) -> None:
    visit.open("psa")
    stage = visit.stage("Collect")
    stage.focus()
    row, column = (int(part) for part in (stage.get_attribute("data-cell") or "").split(","))
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        visit.page.keyboard.press(key)
    expected = map_of("psa", "collect")
    check_drawn(stage, expected.attends_to(row + 1, column + 2), (row + 1, column + 2))
    visit.page.keyboard.press("Enter")
    pinned = visit.stage("Collect of point 1")
    expect(pinned).to_have_attribute("data-cell", f"{row + 1},{column + 2}")
    expect(stage).to_be_focused()
    visit.page.keyboard.press("Delete")
    expect(pinned).to_have_count(0)
    expect(visit.page.locator(".marker")).to_have_count(0)


@pytest.mark.slow  # a time limit; what is pinned is tested above
def test_a_mask_is_pinned_within_half_a_minute_of_opening_the_app(
    visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    start = time.monotonic()
    visit.open().go("psa")
    visit.pin("Collect", *PLACES[1])
    expect(visit.stage("Collect of point 1")).to_have_attribute("data-ready", "1")
    seconds = time.monotonic() - start
    record_property("seconds_to_a_pinned_mask", round(seconds, 1))
    assert seconds < 30


def box_of(stage: Locator) -> FloatRect:
    """A stage's box. A panel that is being replaced has none; its successor has one."""
    for _ in range(20):
        box = stage.bounding_box()
        if box is not None:
            return box
        stage.page.wait_for_timeout(50)
    raise AssertionError("the stage is not visible")


@pytest.mark.slow  # attributions take seconds each; that a pin moves nothing is tested above
def test_nothing_moves_while_clicks_are_explained(visit: Visit) -> None:
    visit.open("attribution")
    page = visit.page
    expect(page.get_by_text("Explained: the logit of")).to_be_visible()
    last, box = visit.rest().page.locator(".stage").last, None
    while box is None or box_of(last) != box:  # the first answers come one after the other
        page.get_by_test_id("stMain").evaluate("(main) => main.scrollTo(0, main.scrollHeight)")
        page.wait_for_timeout(1000)
        box = box_of(last)
        page.wait_for_timeout(1000)
    table = page.get_by_role("table", name="Each attribution's numbers")
    for number in range(3):  # the first one's maps are still being computed at the last
        x, y = box["x"] + (0.2 + 0.25 * number) * box["width"], box["y"] + 0.9 * box["height"]
        page.mouse.click(x, y)
        expect(page.locator(".pins .go")).to_have_count(number + 1)
        page.wait_for_timeout(700)
        expect(table).to_have_count(1)  # the last numbers stay until the next are there
        assert abs(box_of(last)["y"] - box["y"]) < 2
    expect(page.get_by_text("Explained: the logit of")).to_be_visible()
    visit.rest()
    assert abs(box_of(last)["y"] - box["y"]) < 2


# ---- links ----------------------------------------------------------------------------------------------


@contextmanager
def follow(visit: Visit, address: str) -> Iterator[Visit]:
    """A visitor with another browser, at an address that somebody sent."""
    browser = visit.page.context.browser
    assert browser is not None
    with visiting(browser, person="another", viewport={"width": 1400, "height": 1000}) as page:
        page.goto(address)
        yield Visit(page, visit.address, errors=visit.errors)


def test_a_copied_link_shows_another_visitor_the_same(visit: Visit) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open("psa")
    visit.page.get_by_test_id("stSidebar").get_by_role("button", name="Next").click()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED + 1}\b"))
    first, second = visit.rest().pin("Collect", *PLACES[1]), visit.pin("Distribute", *PLACES[2])
    visit.page.get_by_label("log", exact=True).check()
    visit.page.get_by_label("Opacity").fill("30")
    pins = [f"pin={y}-{x}-{number}" for number, (y, x) in enumerate((first, second))]
    expect(visit.page).to_have_url(f"{visit.address}/psa?seed={FIRST_SEED + 1}&{'&'.join(pins)}&opacity=30&scale=log")
    visit.page.get_by_role("button", name="Copy link").click()
    expect(visit.page.get_by_text("Link copied", exact=True)).to_be_visible()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    assert copied == visit.page.url

    with follow(visit, copied) as other:
        other.rest()
        expect(other.page.get_by_role("heading", level=1)).to_have_text("Point-wise spatial attention")
        expect(other.page.get_by_label("Street", exact=True)).to_have_value(str(FIRST_SEED + 1))
        for number, (y, x) in enumerate((first, second), start=1):
            expect(other.page.get_by_label(f"Show pin {number}, y {y}, x {x}")).to_be_visible()
        expect(other.page.get_by_label("log", exact=True)).to_be_checked()
        expect(other.page.get_by_label("Opacity")).to_have_value("30")
        cells = [stage.get_attribute("data-cell") for stage in visit.page.locator(".stage").all()]
        assert [stage.get_attribute("data-cell") for stage in other.page.locator(".stage").all()] == cells
        assert other.page.url == copied
        expect(other.page.get_by_test_id("stAlert")).to_have_count(0)
        other.go("snl")  # the session goes on from what the link said
        expect(other.page).to_have_url(re.compile(rf"/snl\?seed={FIRST_SEED + 1}&{pins[0]}"))
        expect(other.page.get_by_label("log", exact=True)).to_be_checked()


def test_pins_do_not_fill_the_way_back(visit: Visit) -> None:
    visit.open("psa").go("snl")
    visit.pin("Samples", *PLACES[1])
    expect(visit.page).to_have_url(re.compile("pin="))
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Point-wise spatial attention")


@pytest.mark.slow
def test_the_way_back_after_next_leads_to_the_street_before(visit: Visit) -> None:
    visit.open("psa").go("snl")
    street = visit.page.get_by_label("Street", exact=True)
    for seed in (FIRST_SEED + 1, FIRST_SEED + 2):
        visit.page.get_by_test_id("stSidebar").get_by_role("button", name="Next").click()
        expect(visit.page).to_have_url(re.compile(rf"/snl\?seed={seed}\b"))
    visit.rest().pin("Samples", *PLACES[1])
    expect(visit.page).to_have_url(re.compile("pin="))
    for seed in (FIRST_SEED + 1, FIRST_SEED):
        visit.page.go_back()
        expect(visit.page).to_have_url(re.compile(rf"/snl\?seed={seed}\b"))
        expect(street).to_have_value(str(seed))
    visit.rest()
    visit.page.go_forward()
    expect(street).to_have_value(str(FIRST_SEED + 1))
    for _ in range(2):
        visit.page.go_back()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Point-wise spatial attention")


def test_the_way_back_undoes_one_step_at_a_time(visit: Visit) -> None:
    visit.open("inspect")
    visit.page.get_by_test_id("stSidebar").get_by_role("button", name="Next").click()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED + 1}&model=ema"))
    visit.rest().page.get_by_label("log", exact=True).check(force=True)
    expect(visit.page).to_have_url(re.compile("scale=log"))
    model = visit.page.get_by_role("combobox", name="Model")
    model.click()
    visit.page.get_by_role("option", name="Strip attention").click()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED + 1}&model=sam"))
    visit.rest().page.go_back()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED + 1}&model=ema"))
    visit.rest().page.go_back()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED}&model=ema&scale=log"))  # no step, so it stays
    expect(visit.rest().page.get_by_label("Street", exact=True)).to_have_value(str(FIRST_SEED))
    expect(visit.page.get_by_label("log", exact=True)).to_be_checked()


def transform(visit: Visit) -> list[float]:
    """The numbers in the first picture's transform: its scale, and its shift in percent."""
    style = visit.page.locator(".world").first.get_attribute("style") or ""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", style)]


@pytest.mark.slow  # every control's way into a link and back is tested without a browser
def test_a_link_restores_the_zoom(visit: Visit) -> None:
    visit.open("psa")
    before = transform(visit)
    visit.page.get_by_role("button", name="Zoom in").click()
    expect(visit.page).to_have_url(re.compile(r"zoom=1\.5-0\.\d+-0\.\d+"))
    seen = transform(visit)
    with follow(visit, visit.page.url) as other:
        other.rest()
        assert transform(other) == pytest.approx(seen, abs=0.01)  # a link has four decimals
        assert seen != before and other.page.url == visit.page.url
    visit.page.get_by_role("button", name="Fit").click()
    expect(visit.page).not_to_have_url(re.compile("zoom="))


def test_the_sidebar_has_the_order_and_the_heading_of_the_start_page(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1280, "height": 900})
    visit.page.goto(visit.address)
    visit.rest()
    links = visit.page.get_by_test_id("stMain").locator("a[data-testid=stPageLink-NavLink]")
    addresses = [str(one.get_attribute("href")).split("?")[0].strip("/") for one in links.all()]
    listed = [one for one in dict.fromkeys(addresses) if one and one != "results"]
    sidebar = visit.page.get_by_test_id("stSidebarNav")
    found = [str(one.get_attribute("href")).rpartition("/")[2] for one in sidebar.get_by_role("link").all()]
    assert found[0] == "" and [one for one in found[1:] if one != "results"] == listed
    heading = "(link) => getComputedStyle(link.closest('li'), '::before').content"
    heads = {str(one.get_attribute("href")): one.evaluate(heading) for one in sidebar.get_by_role("link").all()}
    assert [key.rpartition("/")[2] for key, text in heads.items() if text == f'"{Group.PAPER.value}"'] == ["psa"]
    expect(visit.page.get_by_text("Models run on:")).to_be_in_viewport()


def test_the_way_back_after_a_reload_leads_to_what_was_there(visit: Visit) -> None:
    visit.open("psa")
    visit.page.get_by_test_id("stSidebar").get_by_role("button", name="Next").click()
    expect(visit.page).to_have_url(re.compile(rf"seed={FIRST_SEED + 1}\b"))
    y, x = visit.rest().pin("Collect", *PLACES[1])
    expect(visit.page).to_have_url(re.compile(rf"/psa\?seed={FIRST_SEED + 1}&pin={y}-{x}-0"))
    before = visit.page.url
    visit.page.get_by_test_id("stSidebarNav").get_by_role("link", name="Results").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Results")
    visit.page.reload()  # another session, which knows of nothing
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Results")
    expect(visit.page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Point-wise spatial attention")
    visit.rest()
    expect(visit.page.get_by_label("Street", exact=True)).to_have_value(str(FIRST_SEED + 1))
    expect(visit.page.get_by_label(f"Show pin 1, y {y}, x {x}")).to_be_visible()
    expect(visit.page).to_have_url(before)


def test_a_link_to_an_own_picture_asks_for_the_file(visit: Visit) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open("psa")
    choose(visit, "mine.png", picture())
    check_uploaded(visit)
    visit.rest()
    stage = visit.stage("Collect")
    stage.click(position={"x": 60, "y": 80})
    expect(visit.page).to_have_url(re.compile("picture=upload&pin="))
    visit.page.get_by_role("button", name="Copy link").click()
    expect(visit.page.get_by_text("It does not contain your picture")).to_be_visible()
    place = visit.page.locator(".pins").get_by_label("Show pin 1").get_attribute("aria-label") or "none"

    with follow(visit, visit.page.evaluate("navigator.clipboard.readText()")) as other:
        expect(other.page.get_by_text("which a link cannot carry")).to_be_visible()
        expect(other.page.locator(".stage")).to_have_count(0)
        with other.page.expect_file_chooser() as chooser:
            other.page.get_by_test_id("stFileUploader").get_by_role("button").last.click()
        chooser.value.set_files([{"name": "mine.png", "mimeType": "image/png", "buffer": picture()}])
        check_uploaded(other)
        expect(other.page.get_by_label(place, exact=True)).to_be_visible()


def test_a_malformed_link_gets_a_sentence_and_harms_nothing(visit: Visit) -> None:
    outside: list[str] = []
    visit.page.on("request", lambda request: outside.append(request.url))
    bad = "%3Cimg%20src%3Dhttp%3A%2F%2Fexample.org%2Fx%3E%FF![](http://example.org/x)"
    visit.page.goto(
        f"{visit.address}/psa?seed={bad}&pin=1e9-3&pin=40-50&pin={bad}&scale={bad}&hidden={bad}&{bad}={bad}"
    )
    visit.rest()
    alert = visit.page.get_by_test_id("stAlert")
    expect(alert).to_have_text(re.compile("Some of this link cannot be shown: points .*, scale .*, street .*shown: 3"))
    expect(visit.page.get_by_test_id("stException")).to_have_count(0)
    expect(visit.page.get_by_label("Show pin 1, y 40, x 50")).to_be_visible()
    assert [url for url in outside if "example.org" in url.split("?")[0]] == []


def test_a_link_is_copied_where_the_browser_has_no_clipboard(visit: Visit) -> None:
    visit.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    visit.open("psa").page.get_by_role("button", name="Copy link").click()
    expect(visit.page.get_by_text("Link copied", exact=True)).to_be_visible()


def test_former_addresses_lead_to_their_pages_with_the_link(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}/blocks?seed=3&pin=40-50-2&direction=attended_by")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Same pixel, every block")
    expect(visit.page.get_by_label("Show pin 3, y 40, x 50")).to_be_visible()
    expect(visit.page.get_by_label("attended by", exact=True)).to_be_checked()
    expect(visit.page).to_have_url(re.compile("/same_pixel\\?.*pin=40-50-2.*direction=attended_by"))
    visit.page.goto(f"{visit.address}/folder")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Many pictures")
    expect(visit.page).to_have_url(re.compile(r"/many_pictures(\?|$)"))  # the page adds its model


def wait_until_tab_remembers(page: Page, files: bool) -> None:
    """Returns once the tab remembers files, or none; the page's policy forbids Playwright's own waiting."""
    while ("names" in page.evaluate("Object.values(sessionStorage).join()")) != files:
        page.wait_for_timeout(50)


@pytest.mark.slow
def test_a_reload_of_many_pictures_names_the_files_that_it_lost(visit: Visit) -> None:
    page, warning = visit.page, visit.page.get_by_test_id("stAlert")
    chip, chooser = page.get_by_test_id("stFileChip"), page.locator("[data-testid=stFileUploader] input[type=file]")
    file: Any = {"name": "street.zip", "mimeType": "application/zip", "buffer": b"PK"}
    page.goto(f"{visit.address}/many_pictures")
    chooser.set_input_files([file])
    expect(chip).to_have_count(1)
    wait_until_tab_remembers(page, True)
    page.reload()
    expect(warning).to_contain_text("street.zip is no longer on the server")
    page.reload()  # as one does who wonders
    expect(warning).to_contain_text("street.zip is no longer on the server")
    chooser.set_input_files([file])
    expect(warning).to_have_count(0)
    chip.get_by_role("button").click()
    wait_until_tab_remembers(page, False)
    page.reload()
    expect(chooser).to_be_attached()
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(warning).to_have_count(0)  # the reader took it away


# ---- the same pixel -------------------------------------------------------------------------------------


def test_one_point_shows_where_every_block_looks_or_who_looks_at_it(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}/same_pixel")
    expect(visit.stage("Point-wise spatial attention: distribute")).to_be_visible()  # the last model has run
    expect(visit.page.locator(".note").filter(has_text="as soon as")).to_have_count(0)
    visit.rest()
    for label in ("one shared", "log"):
        expect(visit.page.get_by_label(label, exact=True)).to_be_checked()
    place = visit.hover("Spatial non-local", *PLACES[1])
    shown = {
        "Spatial non-local": ("spatial_nl", "spatial"),
        "Channel-spatial non-local": ("cs_nl", "spatial"),
        "Strip attention": ("sam", "strip"),
        "Sparse non-local": ("snl", "samples"),
        "Point-wise spatial attention: distribute": ("psa", "distribute"),
    }
    maps = {title: map_of(*names) for title, names in shown.items()}
    for direction, label in (("attends_to", "attends to"), ("attended_by", "attended by")):
        visit.page.get_by_label(label, exact=True).check()
        visit.page.get_by_label("linear", exact=True).check()
        stages = visit.page.locator(".stage[data-direction]")
        expect(stages).to_have_count(9)
        expect(visit.page.locator(f".stage[data-direction={direction}]")).to_have_count(9)
        top = max(float(stage.get_attribute("data-max") or "nan") for stage in stages.all())
        highs = visit.page.locator(".panel", has=stages).locator(".high")
        assert len(set(highs.all_inner_texts())) == 1  # one scale
        for title, one in maps.items():
            cell = one.cell(*place, HEIGHT, WIDTH)
            check_drawn(visit.stage(title), RULES[direction](one, *cell), cell, top)
        expect(visit.page.get_by_role("heading", name="in numbers")).to_have_text(
            {"attends_to": "Where the point looks, in numbers", "attended_by": "Who looks at it, in numbers"}[direction]
        )
    visit.pin("Spatial non-local", *PLACES[0])
    expect(visit.page).to_have_url(re.compile("pin=.*direction=attended_by"))
    visit.rest()
    with visit.page.expect_download() as download:
        visit.page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    rows = download.value.path().read_text().splitlines()
    assert len(rows) == 1 + 2 * 9 and rows[1].startswith("1,Spatial non-local,")


# ---- pictures -------------------------------------------------------------------------------------------


def choose(visit: Visit, name: str, content: bytes) -> None:
    """A file by way of the sidebar's file chooser."""
    mine = visit.page.get_by_test_id("stSidebar").get_by_text("My picture")
    mine.click()
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_test_id("stFileUploader").get_by_role("button").last.click()
    chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": content}])


def picture() -> bytes:
    """96 x 120 pixels: red above, blue below; so small that the viewer shows it exactly."""
    pixels = np.full((96, 120, 3), (180, 30, 30), np.uint8)
    pixels[48:] = (30, 40, 170)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


SEEN = """async (img) => { await img.decode(); const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight);
    const context = canvas.getContext('2d'); context.drawImage(img, 0, 0);
    const at = (x, y) => Array.from(context.getImageData(x, y, 1, 1).data).slice(0, 3);
    return [img.naturalHeight, img.naturalWidth, at(5, 5), at(5, 90)]; }"""


def check_uploaded(visit: Visit) -> None:
    stage = visit.stage("Collect")
    expect(stage).to_have_attribute("style", re.compile(r"aspect-ratio: 120 / 96"))
    expect(stage).to_have_attribute("data-ready", "1")
    assert stage.locator("img.picture").evaluate(SEEN) == [96, 120, [180, 30, 30], [30, 40, 170]]


def test_an_uploaded_picture_is_shown_and_can_be_hovered(visit: Visit) -> None:
    visit.open("psa")
    choose(visit, "mine.png", picture())
    check_uploaded(visit)
    expect(visit.page.get_by_test_id("stAlert")).to_have_count(0)
    visit.rest().show_linear()
    pixels = np.asarray(Image.open(io.BytesIO(picture())))
    expected = engine().predict("psa", pixels).maps["collect"]
    box = visit.stage("Collect").bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.3 * box["height"])
    cell = expected.cell(28, 96, 96, 120)  # type: ignore[union-attr]
    check_drawn(visit.stage("Collect"), expected.attends_to(*cell), cell)  # type: ignore[union-attr]


DROP = """([selector, name, bytes, kinds = ["dragenter", "dragover", "drop"]]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
    const target = selector ? document.querySelector(selector) : document.body;
    for (const kind of kinds) {
      target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true, composed: true }));
    } }"""


def test_a_picture_dropped_onto_the_page_is_uploaded(visit: Visit) -> None:
    visit.open("psa")
    visit.page.evaluate(DROP, ["", "mine.png", list(picture()), ["dragenter", "dragover"]])
    assert visit.page.locator(".drop").evaluate("(sign) => sign.matches(':popover-open')")  # above the sidebar too
    visit.page.evaluate(DROP, ["", "mine.png", list(picture())])
    expect(visit.page.locator(".drop")).to_be_hidden()
    check_uploaded(visit)
    visit.page.evaluate(DROP, ["[data-testid=stMain] h1", "notes.png", list(b"this is no picture")])
    expect(visit.page.get_by_test_id("stAlert").filter(has_text="cannot be used")).to_have_count(1)
    visit.page.evaluate(DROP, ["", "mine.png", list(picture())])
    check_uploaded(visit)


def test_what_the_browser_refuses_does_not_pile_up(visit: Visit, tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(21 * 2**20)
    visit.open("psa").page.get_by_test_id("stSidebar").get_by_text("My picture").click()
    chips = visit.page.get_by_test_id("stFileChip")
    for count in (1, 2, 3):
        with visit.page.expect_file_chooser() as chooser:
            visit.page.get_by_test_id("stFileUploader").get_by_role("button").last.click()
        chooser.value.set_files(tmp_path / "large.png")
        expect(chips).to_have_count(count)
        expect(chips.filter(visible=True)).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_what_the_drop_zone_holds_is_in_its_middle(browser: Browser, app: LiveApp, width: int) -> None:
    with visiting(browser, viewport={"width": width, "height": 844}) as page:
        visit = Visit(page, app.address).open("psa")
        if width <= PHONE:
            page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_test_id("stSidebar").get_by_text("My picture").click()
        zone = page.get_by_test_id("stFileUploaderDropzone")
        button = zone.get_by_role("button").last
        told = zone.get_by_text("20MB per file")
        for part in (button, told):
            settles(lambda part=part: str(middle_of(part) - middle_of(zone)), 0, within=2)
        assert box_of(told)["y"] < box_of(button)["y"] + box_of(button)["height"] + 20, "below the button"
        with page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files([{"name": "notes.png", "mimeType": "image/png", "buffer": b"this is no picture"}])
        settles(lambda: str(middle_of(zone.get_by_test_id("stFileChips")) - middle_of(zone)), 0, within=2)
        assert visit.errors == []


def middle_of(part: Locator) -> float:
    """Where the middle of a part of the page is, in pixels from the left."""
    box = box_of(part)
    return box["x"] + box["width"] / 2


def test_menus_open_beside_the_sidebar(browser: Browser, app: LiveApp) -> None:
    with visiting(browser, viewport={"width": 1280, "height": 900}) as page:
        for name, menu in (("attribution", "Methods: 2"), ("inspect", "How to read a map")):
            Visit(page, app.address).open(name)
            page.get_by_test_id("stPopoverButton").filter(has_text=menu).click()
            edge = box_of(page.get_by_test_id("stSidebar"))["width"]
            body = page.get_by_test_id("stPopoverBody")
            settles(lambda body=body, edge=edge: str(min(0, box_of(body)["x"] - edge)), 0, within=0)


def test_a_bad_upload_is_answered_by_one_sentence_and_the_app_goes_on(visit: Visit) -> None:
    visit.open("psa")
    choose(visit, "notes.png", b"this is no picture")
    alert = visit.page.get_by_test_id("stAlert").filter(has_text="cannot be used")
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text("cannot be used: this is not a picture of a known format")
    expect(visit.page.get_by_test_id("stException")).to_have_count(0)
    expect(visit.page.locator(".stage")).to_have_count(0)
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_test_id("stFileUploader").get_by_role("button").last.click()
    chooser.value.set_files([{"name": "mine.png", "mimeType": "image/png", "buffer": picture()}])
    check_uploaded(visit)
    expect(visit.page.get_by_test_id("stAlert")).to_have_count(0)
    visit.page.get_by_test_id("stSidebar").get_by_text("Drawn scene").click()
    expect(visit.stage("Collect")).to_have_attribute("style", re.compile(r"aspect-ratio: 480 / 360"))


# ---- Compare --------------------------------------------------------------------------------------------

ROAD = CAMVID.names.index("Road")


def pick(visit: Visit, label: str, option: str) -> None:
    """Chooses in one of the page's select boxes."""
    visit.page.get_by_role("combobox", name=label).click()
    visit.page.get_by_role("option", name=option, exact=True).click()


def drawn(stage: Locator, side: int = 0) -> np.ndarray:
    """The RGBA pixels of a panel's map."""
    return canvas_pixels(stage.locator("canvas.map").nth(side))


def visible(stage: Locator, side: int = 0) -> np.ndarray:
    """Which pixels of a panel's labels are drawn; a panel is drawn once it is in sight."""
    stage.scroll_into_view_if_needed()
    stage.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found: np.ndarray = drawn(stage, side)[:, :, 3] > 0
    return found


def legend(visit: Visit, title: str) -> Locator:
    """The legend of one panel."""
    return visit.page.locator(".panel", has=visit.stage(title)).locator(".legend")


def shared_legend(visit: Visit) -> Locator:
    """The one legend of all panels of classes."""
    return visit.page.locator(".shared-legend")


def open_settings(visit: Visit, name: str) -> None:
    """Unfolds a part of the page's settings, or folds it."""
    visit.page.get_by_test_id("stPopover").get_by_role("button", name=name).click()


def labels_by(model: str) -> np.ndarray:
    """What a model makes of the first scene."""
    return engine().predict(model, street(FIRST_SEED).image).labels


def check_only_road(visit: Visit) -> None:
    """All panels of classes show the road alone; that of levels shows all."""
    titles = [MODELS[name].title for name in ("channel_nl", "spatial_nl", "dual_nl", "fla")]
    expect(shared_legend(visit).locator(".toggle[aria-pressed='true']")).to_have_text([re.compile("^Road")])
    for title in (*titles, "Truth", "Swipe"):
        expect(legend(visit, title)).to_be_hidden()
    np.testing.assert_array_equal(visible(visit.stage(titles[3])), labels_by("fla") == ROAD)
    np.testing.assert_array_equal(visible(visit.stage("Truth")), street(FIRST_SEED).labels == ROAD)
    right = visit.stage("Swipe").locator(".name.second").inner_text()
    shown = [name for name in MODELS if MODELS[name].title == right]
    np.testing.assert_array_equal(visible(visit.stage("Swipe"), 1), labels_by(shown[0]) == ROAD)
    assert visible(visit.stage("Disagreement")).all()


def test_a_prediction_and_the_truth_are_compared_by_a_divider(visit: Visit) -> None:
    visit.open("compare")
    open_settings(visit, "Panels")
    pick(visit, "Left of the divider", MODELS["fla"].title)
    stage = visit.stage("Swipe")
    expect(stage.locator(".name.first")).to_have_text(MODELS["fla"].title)
    pick(visit, "Right of the divider", "Truth")
    visit.page.keyboard.press("Escape")
    expect(stage.locator(".name.second")).to_have_text("Truth")
    visit.rest()
    divider = stage.get_by_role("slider")
    expect(divider).to_have_attribute("aria-valuetext", f"50 % {MODELS['fla'].title}, 50 % Truth")
    divider.focus()
    visit.page.keyboard.press("End")
    expect(stage.locator(".side").nth(1)).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    expect(visit.page.locator(".marker")).to_have_count(0)
    colours = CAMVID.colours[street(FIRST_SEED).labels]
    np.testing.assert_array_equal(drawn(stage, 1)[:, :, :3], colours)


def test_only_this_class_is_for_all_panels_by_mouse_and_by_keyboard(visit: Visit) -> None:
    visit.open("compare")
    shared_legend(visit).locator(".toggle", has_text="Road").hover()
    shared_legend(visit).get_by_role("button", name="Only Road").click()
    check_only_road(visit)
    shared_legend(visit).get_by_role("button", name="Show all classes").click()
    expect(visit.page.locator(".toggle[aria-pressed='false']")).to_have_count(0)
    assert visible(visit.stage("Truth")).all()
    visit.stage("Truth").focus()
    visit.page.keyboard.press("Tab")
    first = shared_legend(visit).locator(".toggle").first
    expect(first).to_be_focused()
    expect(first).to_contain_text("Road")
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("Enter")
    check_only_road(visit)
    legend(visit, "Disagreement").locator(".toggle", has_text="all agree").click()
    expect(legend(visit, "Disagreement").locator(".toggle[aria-pressed='false']")).to_have_count(1)
    votes = [labels_by(name) for name in ("channel_nl", "spatial_nl", "dual_nl", "fla")]
    differ = np.any([one != votes[0] for one in votes], 0)
    np.testing.assert_array_equal(visible(visit.stage("Disagreement")), differ)
    expect(visit.stage("Disagreement").locator("canvas.borders")).to_be_visible()


@pytest.mark.slow  # the viewer's tests draw shares on this scale, those of pages hand them over
def test_confidence_is_drawn_on_a_scale_from_0_to_1(visit: Visit) -> None:
    visit.open("compare")
    open_settings(visit, "Panels")
    visit.page.get_by_role("button", name="Confidence", exact=True).click()
    visit.page.keyboard.press("Escape")
    title = f"Confidence: {MODELS['fla'].title}"
    stage = visit.stage(title)
    expect(stage).to_have_attribute("data-ready", "1")
    scale = visit.page.locator(".panel", has=stage).locator(".scale")
    expect(scale.locator(".low")).to_have_text("0")
    expect(scale.locator(".high")).to_have_text("1")
    confidence = engine().predict("fla", street(FIRST_SEED).image).confidence
    y, x = visit.hover(title, *PLACES[0])
    value = visit.page.locator(".panel", has=stage).locator(".value")
    expect(value).to_have_text(re.compile(r"^[01]\.\d+$"))
    settles(value.inner_text, float(confidence[y, x]), 2e-3)
    np.testing.assert_allclose(drawn(stage)[:, :, :3], table()[np.round(confidence * 1023).astype(int)], atol=2)


def give_labels(visit: Visit, name: str, content: bytes) -> None:
    """A file of labels by way of the page's file chooser."""
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_test_id("stPopoverBody").get_by_test_id("stFileUploader").get_by_role("button").last.click()
    chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": content}])


def test_the_example_is_labels_that_can_be_given_back(visit: Visit) -> None:
    visit.open("compare")
    open_settings(visit, "Ground truth")
    with visit.page.expect_download() as saved:
        visit.page.get_by_role("button", name="Example: this street's labels").click()
    assert saved.value.suggested_filename == f"segviz-street-{FIRST_SEED}-labels.png"
    example = Path(saved.value.path()).read_bytes()
    labels = np.asarray(Image.open(io.BytesIO(example)))
    np.testing.assert_array_equal(labels, street(FIRST_SEED).labels)
    give_labels(visit, "mine.png", example)
    note = visit.page.locator(".panel", has=visit.stage("Truth")).locator(".note")
    expect(note).to_have_text("mine.png, read as colours; 0.0 % void")
    expect(visit.page.get_by_test_id("stPopoverBody")).to_have_count(0)  # it covered what is said of the file
    wrong = CAMVID.colours[labels]
    wrong[2, 5] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(wrong).save(buffer, "PNG")
    open_settings(visit, "Ground truth")
    visit.page.get_by_test_id("stPopoverBody").get_by_role("button", name="Remove mine.png").click()
    expect(note).to_have_text("exact labels of the drawn scene")
    give_labels(visit, "![](http://x.test/y).png", buffer.getvalue())
    alert = visit.page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("no class has the colour #FF0000 (1 pixel, first at x 5, y 2)")
    visit.rest()
    expect(note).to_have_text("exact labels of the drawn scene")


# ---- ways in --------------------------------------------------------------------------------------------


def test_the_first_visitor_of_a_page_by_its_address_gets_the_whole_app(app: LiveApp) -> None:
    assert app.first_heading == "Point-wise spatial attention"
    for text in (*(row.title for row in PAGES), "Drawn scene", "My picture", "Models run on:"):
        assert text in app.first_sidebar


@pytest.fixture
def phone(app: LiveApp, browser: Browser) -> Iterator[Visit]:
    """A visitor with a phone."""
    phone: Any = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with visiting(browser, **phone, device_scale_factor=2) as page:
        visit = Visit(page, app.address)
        yield visit
    assert visit.errors == []


@pytest.mark.slow  # as by mouse and by keyboard
def test_only_this_class_is_for_all_panels_on_a_phone(phone: Visit) -> None:
    phone.open("compare")
    only = shared_legend(phone).get_by_role("button", name="Only Road")
    only.scroll_into_view_if_needed()
    only.tap()
    check_only_road(phone)
    shared_legend(phone).get_by_role("button", name="Show all classes").tap()
    expect(phone.page.locator(".toggle[aria-pressed='false']")).to_have_count(0)


def test_a_first_tap_looks_and_a_second_one_pins(phone: Visit) -> None:
    phone.open("psa")
    stage = phone.stage("Collect")
    stage.scroll_into_view_if_needed()
    before = stage.get_attribute("data-cell")
    box = stage.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"]
    phone.page.touchscreen.tap(x, y)
    expect(stage).not_to_have_attribute("data-cell", before or "")
    expect(phone.page.locator(".marker")).to_have_count(0)
    phone.page.touchscreen.tap(x, y)
    expect(stage.locator(".marker")).to_have_count(1)
    expect(phone.stage("Collect of point 1")).to_have_attribute("data-ready", "1")


def test_a_choice_closes_a_phone_s_sidebar_and_a_street_s_slider_leaves_it_open(phone: Visit) -> None:
    phone.open("home")
    page, sidebar = phone.page, phone.page.get_by_test_id("stSidebar")
    page.get_by_role("button", name="Expand sidebar").tap()
    page.get_by_text("Change the street").tap()
    before = page.locator(".picture").first.get_attribute("src") or ""
    page.get_by_role("slider", name="Crowding").focus()
    page.keyboard.press("End")  # a single step may draw the same street
    expect(page.locator(".picture").first).not_to_have_attribute("src", before)
    phone.rest()
    expect(sidebar).to_have_attribute("data-collapsed", "false")
    page.get_by_role("button", name="Next").tap()
    expect(sidebar).to_have_attribute("data-collapsed", "true")
    choices = (
        page.get_by_test_id("stSidebarNav").get_by_role("link", name="Inspect"),
        page.get_by_text("My picture"),
        page.get_by_test_id("stSidebarNav").get_by_role("link", name="Results"),
    )
    for choice in choices:
        page.get_by_role("button", name="Expand sidebar").tap()
        expect(sidebar).to_have_attribute("data-collapsed", "false")
        choice.tap()
        expect(sidebar).to_have_attribute("data-collapsed", "true")


def test_attribution_begins_with_its_maps(visit: Visit, phone: Visit) -> None:
    for visitor, top, bottom in ((visit, 256, 1000), (phone, 450, 844)):
        first = ".stage" if visitor is visit else ".ahead .stage"  # on a phone, where the block looks is seen first
        box = box_of(visitor.open("attribution").page.locator(first).first)
        assert box["y"] < top and box["y"] + box["height"] <= bottom


def test_the_toolbar_and_the_link_stay_in_sight(visit: Visit, phone: Visit) -> None:
    for visitor, top in ((visit, 0), (phone, 44)):  # on a phone, Streamlit's header is above
        page = visitor.open("psa").page
        for x, y in ((0.3, 0.4), (0.6, 0.7)):
            visitor.stage("Collect").evaluate("(stage) => stage.scrollIntoView({ block: 'center' })")
            box = box_of(visitor.stage("Collect"))
            for _ in range(1 if visitor is visit else 2):
                place = (box["x"] + x * box["width"], box["y"] + y * box["height"])
                page.mouse.click(*place) if visitor is visit else page.touchscreen.tap(*place)
        expect(visitor.stage("Collect of point 2")).to_have_attribute("data-ready", "1")
        visitor.stage("Collect of point 2").evaluate("(stage) => stage.scrollIntoView({ block: 'end' })")
        parts = [page.locator(".where"), page.get_by_role("button", name="Copy link")]
        parts.append(page.get_by_role("button", name="Export"))
        boxes = [part.bounding_box() for part in parts]
        for left, right in pairwise(boxes):
            assert left is not None and right is not None
            assert top <= right["y"] < top + 20 and left["x"] + left["width"] <= right["x"]  # one row, side by side
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_text("Link copied", exact=True)).to_be_visible()


def test_a_page_is_saved_as_a_file_that_hovers_without_the_app(visit: Visit, browser: Browser, tmp_path: Path) -> None:
    page = visit.open("psa").page
    page.get_by_role("button", name="Export").click()
    page.get_by_test_id("stButtonGroup").get_by_text("Web page (HTML)").click()
    visit.rest()
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save HTML").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name.startswith("segviz-psa-psa-") and path.stat().st_size < 8_000_000
    context = browser.new_context(offline=True)
    alone = context.new_page()
    alone.goto(path.as_uri())
    stage = alone.locator(".stage[data-panel='Collect']")
    expect(stage).to_have_attribute("data-ready", "1")
    where = alone.locator(".where").inner_text()
    stage.hover(position={"x": 30, "y": 40})
    expect(alone.locator(".where")).not_to_have_text(where)
    expect(alone.locator("footer")).to_contain_text("mIoU without the context")
    context.close()
