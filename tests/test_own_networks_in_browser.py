"""Networks of one's own in a real browser: opened from the command line and from a script, hovered, and linked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from app_server import python_path, wait_until_healthy
from browser import WIDER, visiting
from own_networks import NET, write_published
from playwright.sync_api import Browser, Page, expect
from test_app_in_browser import HEIGHT, PLACES, WIDTH, Visit, check_drawn
from viewer_host import PHONE

from segviz.attention.head_map import HeadChoice, HeadMap
from segviz.benchmarks.viewer import find_free_port
from segviz.data.scenes import draw_scene
from segviz.ui.picture_sidebar import FIRST_SEED
from segviz.watch.load import open_predictor
from segviz.watch.network_predictor import NetworkPredictor

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
VIT = "vit_tiny_patch16_224"


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """A process that serves the app on the port that its arguments end with; yields its address."""
    address, log = f"http://127.0.0.1:{command[-1]}", folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command[:-1],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,  # a script that serves in the background waits for it
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_healthy(address, process, log)
        yield address
        assert "Traceback" not in log.read_text(errors="replace")
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a network's code, and weights of a ViT."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(NET)
    write_published(folder / "ccnet.pth")
    vit = open_predictor(f"timm:{VIT}", "cpu", "random")
    assert isinstance(vit, NetworkPredictor)
    from safetensors.torch import save_file

    save_file(vit.network.state_dict(), folder / "vit.safetensors")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The app as the command line starts it."""
    port = str(find_free_port())
    words = ["--model", "net.py:build", "--name", "net", "--classes", "road,sky,car"]
    words += ["--model", f"timm:{VIT}", "--weights", "vit.safetensors", "--name", "vit"]
    words += ["--model", "ccnet.pth", "--name", "published", "--classes", "road,sky,car", "--assume", "passes=1"]
    words += ["--model", "net.py:build_convolutions", "--name", "plain", "--model", "net.py:build_nothing"]
    command = [sys.executable, "-m", "segviz", "app", "--port", port, *words, "--", "--server.headless", "true"]
    with serving(folder, *command, port) as address:
        yield address


@pytest.fixture
def visit(address: str, browser: Browser) -> Iterator[Visit]:
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as page:
        visit = Visit(page, address)
        yield visit
    assert visit.errors == []


def choose(page: Page, control: str, option: str) -> None:
    box = page.get_by_role("combobox", name=control)
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def check_heads(visit: Visit, one: HeadMap, panels: dict[str, HeadChoice], place: tuple[int, int]) -> None:
    cell = one.cell(*place, HEIGHT, WIDTH)
    for panel, head in panels.items():
        check_drawn(visit.stage(panel), one.attends_to(*cell, head=head), cell)


def map_of(folder: Path, source: str, layer: str, weights: Path | None = None) -> HeadMap:
    """The map that Python computes for the first scene."""
    predictor = open_predictor(source.replace("net.py", str(folder / "net.py")), "cpu", weights)
    one = predictor(draw_scene(FIRST_SEED).image, layers=layer).maps[layer]
    assert isinstance(one, HeadMap)
    return one


def test_a_networks_layers_and_heads_are_hovered_and_linked(visit: Visit, browser: Browser, folder: Path) -> None:
    visit.page.goto(f"{visit.address}/inspect?model=net")
    visit.rest().show_linear()
    one = map_of(folder, "net.py:build", "second")
    place = visit.hover("Attends to (second)", *PLACES[0])
    check_heads(visit, one, {"Attends to (second)": "mean"}, place)
    choose(visit.page, "Layer", "first")
    expect(visit.stage("Attends to (first)")).to_be_visible()
    choose(visit.page, "Head", "head 1")
    visit.rest()
    one = map_of(folder, "net.py:build", "first")
    place = visit.hover("Attends to (first)", *PLACES[1])
    check_heads(visit, one, {"Attends to (first)": 1}, place)
    choose(visit.page, "Head", "each of 2 heads")
    expect(visit.stage("Head 1")).to_be_visible()
    visit.rest()
    place = visit.hover("Head 0", *PLACES[2])
    check_heads(visit, one, {"Head 0": 0, "Head 1": 1, "Mean of 2 heads (first)": "mean"}, place)
    visit.page.get_by_text("attended by", exact=True).first.click()
    expect(visit.stage("Head 1")).to_have_attribute("data-direction", "attended_by")
    visit.page.get_by_text("attends to", exact=True).first.click()
    link = visit.page.evaluate("() => location.href")
    assert "model=net" in link and "inspect-layer=first" in link and "inspect-head=each" in link
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as page:
        other = Visit(page, visit.address)
        page.goto(link)
        other.rest().show_linear()
        place = other.hover("Head 1", *PLACES[0])
        check_heads(other, one, {"Head 1": 1}, place)


def test_a_vit_of_timm_is_hovered_with_all_of_its_heads_at_once(visit: Visit, folder: Path) -> None:
    visit.page.goto(f"{visit.address}/inspect?model=vit&inspect-layer=blocks.5.attn&inspect-head=each")
    visit.rest().show_linear()
    one = map_of(folder, f"timm:{VIT}", "blocks.5.attn", folder / "vit.safetensors")
    place = visit.hover("Picture", *PLACES[1])
    check_heads(visit, one, {f"Head {head}": head for head in range(one.heads)}, place)
    visit.page.get_by_text("Attention that was found: 12 layers with maps, 0 passed over").click()
    table = visit.page.get_by_role("table", name="Attention that was found in the network")
    expect(table.get_by_role("row")).to_have_count(13)
    expect(table.get_by_role("columnheader")).to_contain_text(["Layer", "Map", "Heads", "Found as", "Check", "Reason"])
    expect(table.get_by_text("recomputed to within")).to_have_count(12)
    visit.page.goto(f"{visit.address}/inspect?model=vit&pin=60-60-0&pin=90-120-1")
    visit.rest()
    expect(visit.page.locator(".panel.pinned")).to_have_count(6)
    expect(visit.page.locator(".title", has_text="off the picture")).to_have_count(1)


def test_published_weights_are_shown_on_every_page_and_linked(visit: Visit, browser: Browser, folder: Path) -> None:
    """A file that its tensors tell, opened with `segviz app --model ccnet.pth`."""
    page, title = visit.page, "Attends to"
    one = open_predictor(folder / "ccnet.pth", "cpu", assume={"passes": 1})(draw_scene(FIRST_SEED).image).maps["cross"]
    page.goto(f"{visit.address}/inspect?model=published")
    visit.rest().show_linear()
    cell = one.cell(*visit.hover(title, *PLACES[0]), HEIGHT, WIDTH)
    check_drawn(visit.stage(title), one.attends_to(*cell), cell)
    choose(page, "Beside the maps", "similarity: block's output")
    expect(visit.stage("Similarity")).to_be_visible()
    visit.rest()
    link = page.evaluate("() => location.href")
    assert "model=published" in link and "inspect-features=block_output" in link
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as again:
        page = again
        again.goto(link)
        expect(Visit(again, visit.address).rest().stage("Similarity")).to_be_visible()
        again.goto(f"{visit.address}/same_pixel?same_pixel-networks=published")
        expect(Visit(again, visit.address).stage("published: cross")).to_be_visible()
        again.goto(f"{visit.address}/compare?model=published&model=net")
        expect(Visit(again, visit.address).stage("published")).to_be_visible()
        again.goto(f"{visit.address}/attribution?model=published")
        expect(again.locator('.stage[data-panel^="Grad-CAM at the block"][data-ready]')).to_be_visible()
        again.goto(f"{visit.address}/many_pictures?model=published")
        expect(again.get_by_role("combobox", name="Model")).to_have_value("published")


def test_what_fails_is_a_sentence_and_the_others_go_on(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}/inspect?model=net-build_nothing")
    expect(visit.page.get_by_role("alert")).to_contain_text("net-build_nothing cannot run:")
    visit.page.goto(f"{visit.address}/inspect?model=plain")
    expect(visit.page.get_by_text("no attention was found in it")).to_be_visible()
    visit.page.goto(f"{visit.address}/inspect?model=net")
    visit.rest()


def test_a_phone_shows_a_network(address: str, browser: Browser) -> None:
    with visiting(browser, viewport={"width": 390, "height": 844}) as page:
        assert (page.viewport_size or {})["width"] <= PHONE
        visit = Visit(page, address)
        page.goto(f"{address}/inspect?model=net&inspect-head=each")
        visit.rest()
        assert page.evaluate(WIDER) == []
        wide, left, right = (visit.stage(name).bounding_box() for name in ("Prediction", "Head 0", "Head 1"))
        assert wide and left and right and left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
        assert wide["width"] == pytest.approx(right["x"] + right["width"] - left["x"], abs=1)


def test_a_phone_shows_all_words_of_the_links_to_other_pages(address: str, browser: Browser) -> None:
    with visiting(browser, viewport={"width": 390, "height": 844}) as page:
        page.goto(address)
        link = page.get_by_test_id("stMainBlockContainer").get_by_role("link", name="Your networks: ")
        expect(link).to_contain_text("Inspect")
        Visit(page, address).rest()
        cut = "all => all.filter(p => p.scrollWidth > p.clientWidth + 1 || getComputedStyle(p).whiteSpace == 'nowrap')"
        words = page.get_by_test_id("stPageLink-NavLink").locator("p")
        assert words.count() > 8 and words.evaluate_all(f"all => ({cut})(all).map(p => p.textContent)") == []
        assert page.evaluate(WIDER) == []


SCRIPT = """
import sys
import segviz
from net import build

block = sys.argv[2] == "block"
segviz.app(build(), classes=["road", "sky", "car"], title="Mine", port=int(sys.argv[1]), block=block)
segviz.app(build(), name="again")  # reached in the background alone: the same server takes it
sys.stdin.read()
"""


@pytest.mark.parametrize(("how", "name"), [("block", "net"), ("background", "again")])
def test_a_script_opens_the_app_over_its_own_object(browser: Browser, folder: Path, how: str, name: str) -> None:
    (folder / "script.py").write_text(SCRIPT)
    port = str(find_free_port())
    with (
        serving(folder, sys.executable, "script.py", port, how, port) as address,
        visiting(browser, viewport={"width": 1400, "height": 1000}) as page,
    ):
        visit = Visit(page, address)
        page.goto(f"{address}/inspect?model={name}")
        visit.rest().show_linear()
        one = map_of(folder, "net.py:build", "second")
        place = visit.hover("Attends to (second)", *PLACES[0])
        check_heads(visit, one, {"Attends to (second)": "mean"}, place)
        assert np.isfinite(float(visit.stage("Attends to (second)").get_attribute("data-max") or "nan"))
