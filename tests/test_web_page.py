"""One HTML file with the live viewer: it works without a network, names stay text in it, and its size is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figure_cases import GRID, IMAGE, LABELS, SIZE, dots, one_of_each, prediction
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from viewer_host import unfold_toolbar
from watch_cases import IMAGE as STREET
from watch_cases import NonLocal, fused

import segviz
from segviz.attention.maps import DotProductAttention, MultiHeadAttention
from segviz.data.classes import ClassSet
from segviz.figures.viewer_figure import Viewer
from segviz.prediction.prediction import Prediction
from segviz.ui.export_button import PictureOptions, make_file
from segviz.version import VERSION
from segviz.viewer.display import Display
from segviz.viewer.page_content import shrink_pixels
from segviz.viewer.page_document import policy_of
from segviz.viewer.page_of_panels import page_of_panels
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.panels_of_maps import panels_of_map
from segviz.viewer.view import ZoomedView
from segviz.viewer.viewable import choose_maps
from segviz.viewer.web_page import PAGE_BYTES, page_html, page_that_fits

HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><!-- 'a' & <b>"
PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""


@contextmanager
def opened(browser: Browser, address: str = "", content: str = "") -> Iterator[Page]:
    """A page without a network; nothing may be asked for, and no script or policy may complain."""
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda one: None if one.url.startswith(("file:", "data:", "about:")) else faults.append(one.url))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    if content:
        page.set_content(content)
    else:
        page.goto(address)
    yield page
    assert page.evaluate("window.hacked") is None
    context.close()
    assert faults == []


def stage(page: Any, title: str) -> Locator:
    return page.locator(".stage").and_(page.locator(f"[data-panel='{title}']"))  # type: ignore[no-any-return]


def hover(page: Page, there: Locator, row: int, column: int) -> tuple[float, float]:
    """Moves the pointer to the middle of a cell of `GRID`; returns where that is."""
    there.scroll_into_view_if_needed()
    box = there.bounding_box()
    assert box is not None
    x = box["x"] + (column + 0.5) / GRID[1] * box["width"]
    y = box["y"] + (row + 0.5) / GRID[0] * box["height"]
    page.mouse.move(x, y)
    return x, y


def draw_gray(page: Page) -> None:
    """Draws the maps in gray, on linear scales from 0."""
    unfold_toolbar(page)
    page.get_by_label("Colours").select_option("gray")
    page.get_by_label("linear", exact=True).check()


def drawn_shares(there: Locator, shape: tuple[int, int]) -> np.ndarray:
    """The values of a map drawn in gray, as shares of the largest."""
    rgba = np.array(there.locator("canvas.map").evaluate(PIXELS)).reshape(*shape, 4)
    return rgba[..., 0] / 255


# ---- the picture's name -----------------------------------------------------------------------------------


def test_a_picture_given_as_a_path_is_named_without_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    Image.fromarray(STREET).save(path)
    network = NonLocal(fused).eval()
    for made in (segviz.load("fcn", "cpu")(path), segviz.load(network)(str(path)), segviz.watch(network, path)):
        made.save(tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text()
        assert ">street.png<" in text and str(tmp_path) not in text
        assert dict(made.web_page(picture="Our street").facts)["Picture"] == "Our street"
    assert dict(segviz.watch(network, STREET).web_page().facts)["Picture"] == ""


# ---- offline ----------------------------------------------------------------------------------------------


def test_a_saved_prediction_hovers_offline_with_python_s_rows(browser: Browser, tmp_path: Path) -> None:
    made = replace(one_of_each(), worth="mIoU without the context: val −1.05 points")
    made.save(tmp_path / "attention.html", picture="street.png")
    with opened(browser, (tmp_path / "attention.html").as_uri()) as page:
        there = stage(page, "Attends to (spatial)")
        expect(there).to_have_attribute("data-ready", "1")
        draw_gray(page)
        hover(page, there, 2, 1)
        expect(page.locator(".where")).to_have_text(re.compile(r"y.25"))
        row = made.map_of(DotProductAttention, "spatial").attends_to(2, 1).numpy()
        assert np.abs(drawn_shares(there, GRID) - row / row.max()).max() < 0.006
        hover(page, there, 0, 3)
        other = made.map_of(DotProductAttention, "spatial").attends_to(0, 3).numpy()
        expect(page.locator(".where")).to_have_text(re.compile(r"y.5"))
        assert np.abs(drawn_shares(there, GRID) - other / other.max()).max() < 0.006
        text = page.locator("body").inner_text()
        for said in (
            "Where model looks",
            "street.png",
            "40 x 30",
            "Point at any place",
            made.worth,
            f"segviz {VERSION}",
        ):
            assert said in text


def test_a_kept_point_gets_its_maps_and_loses_them(browser: Browser, tmp_path: Path) -> None:
    made = prediction(dots())
    made.save(tmp_path / "page.html")
    with opened(browser, (tmp_path / "page.html").as_uri()) as page:
        there, fixed = stage(page, "Attends to (spatial)"), stage(page, "Attends to (spatial) of point 1")
        expect(there).to_have_attribute("data-ready", "1")
        page.mouse.click(*hover(page, there, 1, 2))
        expect(fixed).to_have_attribute("data-ready", "1")
        weights = made.map_of(DotProductAttention, "spatial").attends_to(1, 2)
        hover(page, there, 2, 3)
        value = page.locator(".panel").filter(has=fixed).locator(".value")
        expect(value).to_contain_text(f"{100 * float(weights[2, 3]):.1f}"[:3])
        page.get_by_role("button", name="Remove pin 1").last.click()
        expect(fixed).to_have_count(0)


def test_an_export_begins_with_the_page_s_zoom(browser: Browser, tmp_path: Path) -> None:
    panels, zoomed = panels_of_map(dots(), "fcn"), ZoomedView(2.5, 0.25, 0.5)
    viewer = Viewer(IMAGE, (Pin(2, 2, 2),), Display(), 2, view=zoomed)
    file = make_file("psa", "street.png", viewer, panels, (), "html", PictureOptions())
    assert file is not None
    (tmp_path / "page.html").write_bytes(file[1])
    with opened(browser, (tmp_path / "page.html").as_uri()) as page:
        expect(page.locator(".stage").first).to_have_attribute("data-view", "2.5,0.5,0.25")
        expect(page.locator(".outside").first).to_have_text("Pin 3 lies outside this part. Fit the whole picture")
        page.locator(".outside").first.click()
        expect(page.locator(".stage").first).to_have_attribute("data-view", "1,0,0")


def test_a_watched_network_is_saved_with_what_was_found(browser: Browser, tmp_path: Path) -> None:
    view = segviz.watch(NonLocal(fused).eval(), STREET)
    view.save(tmp_path / "view.html", title="My network")
    (one,) = view.maps.values()
    with opened(browser, (tmp_path / "view.html").as_uri()) as page:
        there = stage(page, "Attends to (network)")
        expect(there).to_have_attribute("data-ready", "1")
        draw_gray(page)
        box = there.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.31 * box["width"], box["y"] + 0.42 * box["height"])
        expect(page.locator(".where")).to_have_text(re.compile(rf"y.{int(0.42 * STREET.shape[0])}"))
        height, width = STREET.shape[:2]
        row = one.attends_to(*one.cell(int(0.42 * height), int(0.31 * width), height, width)).numpy()  # type: ignore[union-attr]
        assert np.abs(drawn_shares(there, row.shape) - row / row.max()).max() < 0.01
        expect(page.get_by_role("heading", level=1)).to_have_text("My network")
        page.get_by_text("Details", exact=True).click()
        expect(page.locator("pre")).to_contain_text("recomputed to within")


def test_a_map_that_is_the_same_at_each_point_is_not_repeated_for_pins(browser: Browser, tmp_path: Path) -> None:
    one = MultiHeadAttention("attn", GRID, GRID, torch.randn(3, 13, 4), torch.randn(3, 13, 4), 0.5, 1, 1)
    page = page_of_panels("net", IMAGE, SIZE, panels_of_map(one))
    (tmp_path / "page.html").write_text(page_html(page), encoding="utf-8")
    with opened(browser, (tmp_path / "page.html").as_uri()) as shown:
        there = stage(shown, "Attends to (attn)")
        expect(there).to_have_attribute("data-ready", "1")
        there.click(position={"x": 40, "y": 30})
        expect(shown.locator(".panel.pinned")).to_have_count(2)
        expect(shown.locator(".title", has_text="off the picture")).to_have_count(1)


def test_any_head_is_chosen_in_the_page(browser: Browser, tmp_path: Path) -> None:
    one = MultiHeadAttention("attn", GRID, GRID, torch.randn(3, 12, 4), torch.randn(3, 12, 4), 0.5)
    page = page_of_panels("net", IMAGE, SIZE, panels_of_map(one))
    (tmp_path / "page.html").write_text(page_html(page), encoding="utf-8")
    with opened(browser, (tmp_path / "page.html").as_uri()) as shown:
        there = stage(shown, "Attends to (attn)")
        expect(there).to_have_attribute("data-ready", "1")
        draw_gray(shown)
        expect(shown.get_by_label("Head")).to_have_value("mean")
        shown.get_by_label("Head").select_option("2")
        expect(shown.locator(".panel").first.locator(".note")).to_contain_text("head 2 (0 to 2)")
        hover(shown, there, 1, 2)
        expect(shown.locator(".where")).to_have_text(re.compile(r"y.15"))
        row = one.attends_to(1, 2, head=2).numpy()
        assert np.abs(drawn_shares(there, GRID) - row / row.max()).max() < 0.006


# ---- untrusted names --------------------------------------------------------------------------------------


def hostile() -> Prediction:
    classes = ClassSet((HOSTILE, "road", "sky"), ((200, 0, 0), (0, 200, 0), (0, 0, 200)))
    one = replace(dots(), name=HOSTILE)
    return replace(prediction(one, model=HOSTILE), class_set=classes, worth=HOSTILE)


def test_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    hostile().save(tmp_path / "page.html", title=HOSTILE, picture=HOSTILE)
    with opened(browser, (tmp_path / "page.html").as_uri()) as page:
        expect(page.locator(".stage[data-ready='1']")).to_have_count(3)
        assert page.title() == HOSTILE
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        expect(page.locator(".title").nth(1)).to_have_text(f"Attends to ({HOSTILE})")
        expect(page.locator(".legend").first).to_contain_text(HOSTILE)
        assert (
            page.locator("img:not(.picture)").count() == 0
            and page.locator(":is(h1, dd, p, .title, .legend) b").count() == 0
        )


def test_a_file_name_of_odd_letters_is_written(tmp_path: Path) -> None:
    prediction(dots()).save(tmp_path / "page.html", picture="photo\udcff\x00\u202e.png")
    assert b"photo" in (tmp_path / "page.html").read_bytes()


def test_nothing_can_be_loaded_and_no_other_script_runs(tmp_path: Path) -> None:
    html = page_html(hostile().web_page())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert policy and script and style and policy[1] == policy_of(script[1], style[1])
    assert policy[1].startswith("default-src 'none';") and "unsafe-inline" not in policy[1] and "http" not in policy[1]
    assert not re.search(r"(src|href|action)=[\"']?(https?:|//)", html)
    assert html.count("<script") == 2 + len(re.findall(r"<script[^>]* data-map=", html))  # data, maps, and the module


# ---- size -------------------------------------------------------------------------------------------------


def eight_heads(name: str = "attn") -> MultiHeadAttention:
    queries, keys = torch.randn(2, 8, 45 * 60, 64)
    return MultiHeadAttention(name, (45, 60), (45, 60), queries, keys, 0.125)


def test_eight_heads_on_45_x_60_cells_go_by_mail() -> None:
    street = np.random.default_rng(0).integers(0, 256, (360, 480, 3), dtype=np.uint8)  # no picture takes more bytes
    smooth = np.repeat(np.repeat(street[::8, ::8], 8, 0), 8, 1)
    page = page_of_panels("network", smooth, (360, 480), panels_of_map(eight_heads()))
    assert len(page_html(page).encode()) <= PAGE_BYTES <= 8_000_000


def test_what_is_too_large_is_refused_or_left_out_and_said(tmp_path: Path) -> None:
    many = [
        replace(dots(), name=f"map {number}", queries=torch.randn(12, 3000), keys=torch.randn(12, 3000))
        for number in range(3)
    ]
    made = prediction(*many)
    with pytest.raises(ValueError, match=r'MB, more than 0\.8; choose fewer maps with maps="\.\.\."'):
        made.save(tmp_path / "page.html", most_megabytes=0.8)
    assert not list(tmp_path.iterdir())
    html = page_that_fits(made.web_page(), 800_000)
    assert len(html.encode()) <= 800_000
    told = html.partition("Left out")[2].partition("</p>")[0]
    assert "Attends to (map 2)" in told and "map 0" not in told
    made.save(tmp_path / "one.html", maps="map 0", most_megabytes=0.8)


def test_maps_are_chosen_by_pattern() -> None:
    assert choose_maps(("a.attn", "b.attn", "c"), "*.attn") == ["a.attn", "b.attn"]
    assert choose_maps(("a", "b"), ("b", "a")) == ["a", "b"]
    with pytest.raises(ValueError, match=r"maps='x' fits no map; maps are a, b"):
        choose_maps(("a", "b"), "x")


def test_a_large_picture_is_scaled_down_but_pixels_are_counted_as_before() -> None:
    labels = np.zeros((3000, 4000), np.uint8)
    page = shrink_pixels(prediction(dots(), labels=labels).web_page())
    shown = page.panels[0].map.labels  # type: ignore[union-attr]
    assert page.size == (3000, 4000) and shown.shape == (1254, 1672) and page.image.shape == IMAGE.shape


# ---- notebook, app ----------------------------------------------------------------------------------------


def test_a_notebook_shows_the_viewer_in_a_frame_of_its_own(browser: Browser) -> None:
    html = hostile()._repr_html_()
    assert html is not None and html.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in html
    height = re.search(r'height="(\d+)"', html)
    assert height is not None and 480 <= int(height[1]) <= 900
    with opened(browser, content=f"<!doctype html><body>{html}") as page:
        frame = page.frame_locator("iframe")
        expect(frame.locator(".stage[data-ready='1']")).to_have_count(3)
        expect(frame.get_by_role("heading", level=1)).to_contain_text(HOSTILE)


def test_a_value_without_a_picture_shows_its_text() -> None:
    assert replace(prediction(dots()), image=None)._repr_html_() is None


def test_the_app_s_file_has_its_panels_pins_and_settings() -> None:
    made = prediction(dots(), model="psa")
    panels = panels_of_map(made.maps["spatial"], "psa")
    viewer = Viewer(IMAGE, (Pin(4, 7, 0),), Display(opacity=40), 3)
    found = make_file("inspect", HOSTILE, viewer, panels, (), "html", PictureOptions())
    assert found is not None and found[0].startswith("segviz-inspect-psa-") and found[0].endswith(".html")
    html = found[1].decode()
    assert '"pins": [[4, 7, 0]]' in html and '"opacity": 40' in html and '"columns": 3' in html
    assert "hold Space to hide the maps" in html
    assert "mIoU without the context" in html and "<img src=x" not in html


def test_labels_and_plain_pictures_have_a_page_too() -> None:
    assert LABELS.shape == SIZE
    html = page_html(page_of_panels("net", IMAGE, SIZE, [Panel("Picture", None, "plain")]))
    assert "no map that depends on where you point" in html
