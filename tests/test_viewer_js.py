"""The viewer in a real browser: its rules agree with Python's on every cell, and its page keeps its word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from browser import chromium
from playwright.sync_api import Page, expect

from segviz.attention import (
    AttendedFeatures,
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.ui.viewer import PIN_COLOURS, WEB, LabelMap, Panel, encode, latest_pins, script
from segviz.web import wire

GRID = (5, 7)
CELLS = GRID[0] * GRID[1]
HEIGHT, WIDTH = 150, 210  # of the picture: 30 pixels for a cell


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def sampled() -> SampledAttention:
    window = torch.cartesian_prod(torch.arange(-1.0, 2), torch.arange(-1.0, 2))
    cells = torch.cartesian_prod(torch.arange(5.0), torch.arange(7.0))
    positions = cells[:, None] + window + 0.7 * random(CELLS, 9, 2)  # some of them outside
    positions[3, 0] = torch.tensor([2.0, 4.0])  # and one exactly on a cell
    return SampledAttention("samples", GRID, positions, random(CELLS, 9).softmax(1), window)


def masks(direction: Any) -> OffsetMaskAttention:
    logits = random(CELLS, CELLS)
    logits[0, 5:20] = -torch.inf  # beyond a mask's reach
    return OffsetMaskAttention(direction, GRID, logits, direction)


MAPS: dict[str, SpatialMap] = {
    "dot": DotProductAttention("dot", GRID, random(CELLS, 6), random(CELLS, 6) + 0.3),
    "vertical": StripAttention("strip", GRID, random(CELLS, 9), random(GRID[1], 9), "vertical"),
    "horizontal": StripAttention("strip", GRID, random(CELLS, 9), random(GRID[0], 9), "horizontal"),
    "cross1": CrissCrossAttention("cross", GRID, random(1, CELLS, 5), random(1, CELLS, 5) + 0.2),
    "cross2": CrissCrossAttention("cross", GRID, random(2, CELLS, 5), random(2, CELLS, 5) - 0.2),
    "cross3": CrissCrossAttention("cross", GRID, random(3, CELLS, 5), random(3, CELLS, 5) * 0.5),
    "bases": BasesAttention("bases", GRID, random(CELLS, 4).softmax(1), random(4, 3)),
    "samples": sampled(),
    "collect": masks("collect"),
    "distribute": masks("distribute"),
    "line": DotProductAttention("line", (1, 4), random(4, 3), random(4, 3)),
    "corner": OffsetMaskAttention("corner", (1, 4), random(4, 4), "collect"),
}


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A blank page of a host that serves the modules, the maps and a picture, and nothing else."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    labels = np.repeat(np.arange(3, dtype=np.uint8), HEIGHT * WIDTH // 3).reshape(HEIGHT, WIDTH)
    features = AttendedFeatures("features", GRID, random(*GRID), random(*GRID).abs())
    flat = DotProductAttention("flat", GRID, torch.zeros(CELLS, 2), torch.zeros(CELLS, 2))
    files: dict[str, tuple[str, bytes]] = {
        "/": ("text/html", b"<!doctype html><title>viewer</title><body></body>"),
        "/viewer.js": ("text/javascript", script().encode()),
        "/picture": encode(picture)[::-1],
        "/labels": ("application/octet-stream", wire.pack_labels(labels)),
        "/features": ("application/octet-stream", wire.pack(features)),
        "/flat": ("application/octet-stream", wire.pack(flat)),
    }
    for name in ("maps.js", "viewer_colour.js"):
        files[f"/{name}"] = ("text/javascript", (WEB / name).read_bytes())
    for name, value in MAPS.items():
        files[f"/{name}"] = ("application/octet-stream", wire.pack(value))

    def serve(route: Any) -> None:
        kind, body = files.get(route.request.url.removeprefix("http://viewer.test"), ("", b""))
        route.fulfill(status=200 if kind else 404, content_type=kind or "text/plain", body=body)

    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1000, "height": 900})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.route("**/*", serve)
        opened.goto("http://viewer.test/")
        opened.evaluate("async () => { window.maps = await import('/maps.js') }")
        yield opened
        assert errors == []


LOAD = "async (name) => { window.f = maps.unpack(await (await fetch('/' + name)).arrayBuffer()) }"
EVERY_CELL = """(rule) => Array.from({length: f.grid[0]}, (_, r) => Array.from({length: f.grid[1]}, (_, c) =>
    Array.from(maps[rule](f, r, c))))"""


def every_cell(page: Page, rule: str) -> np.ndarray:
    """The map of every cell, (rows, columns, cells)."""
    return np.array(page.evaluate(EVERY_CELL, rule))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("rule", "method"), [("seenFrom", "seen_from"), ("seenBy", "seen_by")])
def test_rows_and_columns_equal_pythons(page: Page, name: str, rule: str, method: str) -> None:
    value = MAPS[name]
    page.evaluate(LOAD, name)
    rows, columns = value.grid
    expected = np.array(
        [[getattr(value, method)(r, c).flatten().tolist() for c in range(columns)] for r in range(rows)]
    )
    np.testing.assert_allclose(every_cell(page, rule), expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize("name", ["vertical", "horizontal"])
def test_strip_maps_equal_pythons(page: Page, name: str) -> None:
    value = MAPS[name]
    assert isinstance(value, StripAttention)
    page.evaluate(LOAD, name)
    strips = range(len(value.keys))
    found = np.array([page.evaluate("(j) => Array.from(maps.stripMap(f, j))", strip) for strip in strips])
    expected = np.array([value.strip_map(strip).flatten().tolist() for strip in strips])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_samples_equal_pythons(page: Page) -> None:
    value = sampled()
    page.evaluate(LOAD, "samples")
    for row, column in ((0, 0), (2, 3), (4, 6)):
        found = page.evaluate("([r, c]) => maps.samplesAt(f, r, c)", [row, column])
        positions, shares = value.samples(row, column)
        np.testing.assert_allclose([[s["y"], s["x"]] for s in found], positions)
        np.testing.assert_allclose([s["weight"] for s in found], shares)
        np.testing.assert_allclose([[s["restY"], s["restX"]] for s in found], value.undisplaced(row, column), atol=1e-6)
        low, high = torch.tensor([-0.5, -0.5]), torch.tensor([4.5, 6.5])
        outside = ((positions < low) | (positions > high)).any(1)
        assert [s["outside"] for s in found] == outside.tolist()


@pytest.mark.parametrize("name", ["dot", "collect", "line", "corner"])
@pytest.mark.parametrize("size", [(37, 53), (30, 41), (150, 210), (7, 9)])
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
    assert page.evaluate("async (v) => (await import('/viewer_colour.js')).share(v)", value) == text


# ---- the component, mounted as Streamlit mounts it ------------------------------------------------------

MOUNT = """async ({html, css, data}) => {
  const component = (await import('/viewer.js')).default;
  window.unmount?.();
  document.body.replaceChildren(document.createElement('div'));
  const root = document.body.firstChild.attachShadow({mode: 'open'});
  root.innerHTML = html;
  const style = document.createElement('style');
  style.textContent = css;
  root.append(style);
  window.edits = [];
  window.show = (data) => { window.unmount = component({data, parentElement: root,
    setStateValue: (name, value) => window.edits.push([name, value])}); };
  window.show(data);
}"""
PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""

VIRIDIS = "async () => Array.from((await import('/viewer_colour.js')).colourTable('viridis'))"


def config(title: str, look: str, of: str | None, **more: Any) -> dict[str, Any]:
    return {"title": title, "note": "", "look": look, "at": None, "map": of and f"/{of}", **more}


def data(*panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "picture": "/picture",
        "height": HEIGHT,
        "width": WIDTH,
        "columns": 2,
        "panels": panels,
        "pins": [],
        "echo": None,
        "colours": PIN_COLOURS,
        "maxPins": 3,
        **more,
    }


def mount(page: Page, content: dict[str, Any]) -> None:
    html, css = ((WEB / name).read_text() for name in ("viewer.html", "viewer.css"))
    page.mouse.move(1, 899)
    page.evaluate(MOUNT, {"html": html, "css": css, "data": content})
    expect(page.locator(".stage[data-ready='1']")).to_have_count(len(content["panels"]))


def stage(page: Page, title: str) -> Any:
    return page.locator(f".stage[data-panel='{title}']")


def hover(page: Page, title: str, row: int, column: int) -> None:
    """Moves the pointer to the middle of a cell of the 5 x 7 grid."""
    box = stage(page, title).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + (column + 0.51) / 7 * box["width"], box["y"] + (row + 0.51) / 5 * box["height"])


def pins(page: Page) -> Any:
    return page.evaluate("window.edits.at(-1)[1].pins")


def test_hovering_draws_every_linked_panel_and_sends_nothing(page: Page) -> None:
    kinds = ["dot", "vertical", "cross2", "bases", "samples", "distribute"]
    mount(page, data(*(config(kind, "by", kind) for kind in kinds)))
    hover(page, "dot", 3, 2)
    for kind in kinds:
        # align_corners: the pixel (105, 75) of 150 x 210 is cell (2.8, 2.1) of the distribute map
        expect(stage(page, kind)).to_have_attribute("data-cell", "3,2")
        expected = MAPS[kind].seen_by(3, 2)
        assert float(stage(page, kind).get_attribute("data-max")) == pytest.approx(expected.max().item(), rel=1e-5)
        pixels = np.array(stage(page, kind).locator("canvas.map").evaluate(PIXELS)).reshape(*GRID, 4)
        table = page.evaluate(VIRIDIS)
        steps = (expected / expected.max() * 1023).round().int().flatten().tolist()
        wanted = np.array([table[step] for step in steps], "<u4").view(np.uint8).reshape(*GRID, 4)
        assert np.abs(pixels.astype(int) - wanted).max() <= 2
    assert page.evaluate("window.edits") == []


def test_a_flat_map_looks_flat_and_says_its_value(page: Page) -> None:
    mount(page, data(config("flat", "from", "flat")))
    pixels = np.array(stage(page, "flat").locator("canvas.map").evaluate(PIXELS)).reshape(-1, 4)
    assert (pixels == pixels[0]).all()
    expect(page.locator(".panel .high")).to_have_text("2.86 %")
    expect(page.locator(".panel .low")).to_have_text("0 %")
    expect(page.locator(".panel .value")).to_have_text("2.86 %, 1.00 × the even share")


def test_one_shared_scale_spans_all_weights(page: Page) -> None:
    mount(page, data(config("dot", "from", "dot"), config("flat", "from", "flat")))
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


def test_a_click_pins_at_once_and_a_marker_unpins(page: Page) -> None:
    mount(page, data(config("dot", "from", "dot"), config("bases", "from", "bases")))
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
    page.locator(".pins").get_by_label("Remove pin 1").click()
    assert pins(page) == []
    assert [edit[1]["seq"] for edit in page.evaluate("window.edits")] == [1, 2, 3, 4]


def test_a_stale_answer_does_not_undo_a_newer_pin(page: Page) -> None:
    content = data(config("dot", "from", "dot"))
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
    mount(page, data(config("dot", "from", "dot"), pins=[(10, 10, 1)]))
    for column in (1, 3, 5):
        hover(page, "dot", 2, column)
        page.mouse.down()
        page.mouse.up()
    expect(page.get_by_role("status")).to_contain_text("All 3 pins are set")
    assert [pin[2] for pin in pins(page)] == [1, 0, 2]


def test_the_keyboard_moves_pins_and_unpins_and_keeps_its_keys(page: Page) -> None:
    mount(page, data(config("dot", "from", "dot")))
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


def test_the_query_rests_on_the_last_pin(page: Page) -> None:
    fixed = config("fixed", "from", "dot", at=(15, 15))
    mount(page, data(config("dot", "from", "dot"), fixed, pins=[(10, 10, 0), (140, 200, 1)]))
    expect(stage(page, "dot")).to_have_attribute("data-cell", "4,6")
    hover(page, "fixed", 2, 2)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "2,2")
    expect(stage(page, "fixed")).to_have_attribute("data-cell", "0,0")
    page.mouse.move(1, 899)
    expect(stage(page, "dot")).to_have_attribute("data-cell", "4,6")


def test_labels_name_the_class_and_names_are_text(page: Page) -> None:
    labels = {"classes": ["sky", "<img src=x onerror=alert(1)>", "road"], "palette": [[1, 2, 3]] * 3}
    mount(page, data(config("<b>labels</b>", "labels", "labels", **labels)))
    expect(page.locator(".title")).to_have_text("<b>labels</b>")
    box = page.locator(".stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    expect(page.locator(".value")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator(".legend img").count() == 0
    page.locator(".legend button").filter(has_text="sky").click()
    pixels = np.array(page.locator("canvas.map").evaluate(PIXELS)).reshape(HEIGHT, WIDTH, 4)
    assert pixels[0, 0, 3] == 0
    assert pixels[-1, -1].tolist() == [1, 2, 3, 255]


def test_an_align_corners_map_lies_with_its_corners_on_the_pictures(page: Page) -> None:
    mount(page, data(config("collect", "from", "collect")))
    outer, inner = stage(page, "collect").bounding_box(), page.locator("canvas.map").bounding_box()
    assert outer is not None
    assert inner is not None
    pitch = (WIDTH - 1) / (GRID[1] - 1)
    scale = outer["width"] / WIDTH
    assert inner["x"] - outer["x"] == pytest.approx((0.5 - pitch / 2) * scale, abs=0.1)
    assert inner["width"] == pytest.approx(GRID[1] * pitch * scale, abs=0.1)


def test_a_lost_blob_is_said_and_fetched_again_by_the_next_run(page: Page) -> None:
    lost = data(config("lost", "from", "nowhere"))
    html, css = ((WEB / name).read_text() for name in ("viewer.html", "viewer.css"))
    page.evaluate(MOUNT, {"html": html, "css": css, "data": lost})
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.evaluate("(data) => window.show(data)", data(config("lost", "from", "dot")))
    expect(stage(page, "lost")).to_have_attribute("data-ready", "1")


# ---- Python's side --------------------------------------------------------------------------------------


def test_a_panel_refuses_a_look_that_its_map_does_not_have() -> None:
    labels = LabelMap(np.zeros((2, 2), np.uint8), ("a",), np.zeros((1, 3), np.uint8))
    for value, look in ((MAPS["dot"], "strip"), (MAPS["dot"], "labels"), (labels, "from"), (None, "by")):
        with pytest.raises(ValueError, match="has no look"):
            Panel("panel", value, look)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [[1, 2], [1, 2, 99], [-1, 2, 0], ["1", 2, 0], [1.5, 2, 0], [True, 2, 0], None, {}])
def test_what_is_no_pin_is_dropped(entry: object, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = {"mount": "m", "seq": 1, "pins": [entry, [3, 4, 1]]}
    monkeypatch.setattr("streamlit.session_state", {"viewer": {"edit": json.loads(json.dumps(edit))}})
    assert [(pin.y, pin.x, pin.colour) for pin in latest_pins("viewer", ())] == [(3, 4, 1)]
