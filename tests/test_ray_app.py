"""The app with SEGVIZ_BACKEND=ray in a real browser: it answers from a replica, also where that is killed meanwhile."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
from app_server import app_server
from browser import settles, visiting
from own_networks import NET
from playwright.sync_api import Browser, expect
from test_app_in_browser import HEIGHT, PLACES, WIDTH, Visit, check_drawn

from segviz.attribution import Target, attribute
from segviz.catalogue.location import bundled_path
from segviz.data.scenes import draw_scene
from segviz.figures.interesting_places import telling_place
from segviz.prediction.predictor import load_predictor
from segviz.ui.attribution_controls import QUICK
from segviz.ui.picture_sidebar import FIRST_SEED
from segviz.watch.load import open_predictor

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MODEL, DAMAGED, OWN = "spatial_nl", "fla", "net"
START_WITHIN = 240  # seconds, of a replica, also of one that takes a killed one's place
MODELS = f'[[model]]\nname = "{OWN}"\nsource = "net.py:build"\nclasses = ["road", "sky", "car"]\n'
STEPS = 8
IG = f"attribution-methods=integrated_gradients&attribution-steps={STEPS}"


@dataclass(frozen=True)
class RayApp:
    """A running app, its process, and its log."""

    address: str
    process: psutil.Process
    log: Path

    def ask(self, path: str) -> str:
        """What the server answers, with status 200."""
        with urlopen(f"{self.address}/{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def replica(self) -> psutil.Process | None:
        """The process of the replica, if there is one."""
        for one in self.process.children(recursive=True):
            try:
                if one.cmdline()[0].startswith("ray::ServeReplica"):
                    return one
            except (psutil.Error, IndexError):
                pass  # it has just ended
        return None


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayApp]:
    """The app, with a network of its user's own and a damaged checkpoint."""
    folder = tmp_path_factory.mktemp("ray app")
    for name in (MODEL, DAMAGED):
        shutil.copy(bundled_path(name), folder)
    damaged = folder / f"{DAMAGED}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100_000])
    (folder / "net.py").write_text(NET)
    (folder / "models.toml").write_text(MODELS)
    settings = {"CHECKPOINTS": str(folder), "MODELS": str(folder / "models.toml"), "BACKEND": "ray"}
    before = set(psutil.Process().children())
    with app_server(folder / "log", **{f"SEGVIZ_{name}": value for name, value in settings.items()}) as address:
        (process,) = set(psutil.Process().children()) - before
        found = RayApp(address, process, folder / "log")
        end = time.monotonic() + START_WITHIN
        while "segviz_replicas 1.0\n" not in found.ask("metrics"):
            assert time.monotonic() < end, found.log.read_text(errors="replace")[-2000:]
            time.sleep(0.5)
        yield found


@pytest.fixture
def visit(app: RayApp, browser: Browser) -> Iterator[Visit]:
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as page:
        visit = Visit(page, app.address)
        yield visit
    assert visit.errors == []


def check_hovered(visit: Visit, panel: str, place: tuple[int, int], expected: Any) -> None:
    """The map under the pointer is the one that Python computes in this process."""
    visit.rest().show_linear()
    cell = expected.cell(*visit.hover(panel, *place), HEIGHT, WIDTH)
    check_drawn(visit.stage(panel), expected.attends_to(*cell), cell)


def expected_attribution() -> np.ndarray:
    """What Python computes for the point that the page explains at first."""
    predictor, image = load_predictor(MODEL), draw_scene(FIRST_SEED).image
    prediction = predictor(image)
    place = telling_place(prediction.labels, prediction.spatial_maps[0])
    target = Target(int(prediction.labels[place]), pixel=place)
    return attribute(predictor, image, "integrated_gradients", target, options=replace(QUICK, steps=STEPS)).values


def test_a_bundled_model_answers_with_the_map_under_the_pointer(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}/inspect?model={MODEL}")
    expected = load_predictor(MODEL)(draw_scene(FIRST_SEED).image).maps["spatial"]
    check_hovered(visit, "Attends to (spatial)", PLACES[0], expected)


def test_a_network_of_one_s_own_answers_too(visit: Visit, app: RayApp) -> None:
    visit.page.goto(f"{visit.address}/inspect?model={OWN}")
    expected = open_predictor(f"{app.log.parent}/net.py:build", "cpu")(draw_scene(FIRST_SEED).image).maps["second"]
    check_hovered(visit, "Attends to (second)", PLACES[1], expected)


def test_a_damaged_checkpoint_is_named(visit: Visit) -> None:
    visit.page.goto(f"{visit.address}/inspect?model={DAMAGED}")
    expect(visit.page.get_by_role("alert")).to_contain_text(f"{DAMAGED}.safetensors")


def test_the_server_is_well_and_counts_its_replica(app: RayApp) -> None:
    assert '"ok"' in app.ask("healthz")
    assert "segviz_replicas 1.0\n" in app.ask("metrics")


def test_a_killed_replica_s_question_is_answered_by_the_next_one_and_the_page_says_so(
    visit: Visit, app: RayApp
) -> None:
    visit.page.goto(f"{visit.address}/attribution?model={MODEL}&{IG}")
    visit.page.get_by_role("button", name="Compute").click()
    expect(visit.page.get_by_text(re.compile(r"Integrated Gradients: step [2-9] of"))).to_be_visible()
    killed = app.replica()
    assert killed is not None
    killed.kill()
    expect(visit.page.get_by_text(re.compile("failed once; (waiting for a replica|running again)"))).to_be_visible()
    largest = float(expected_attribution().max())  # while the next replica starts
    expect(visit.page.get_by_text("All chosen methods are computed.")).to_be_visible(timeout=1000 * START_WITHIN)
    stage = visit.page.locator(".stage[data-panel='Integrated Gradients']")
    settles(lambda: stage.get_attribute("data-max"), largest, 2e-3 * largest)
    assert app.replica() not in (None, killed)


def test_sigterm_ends_the_server_and_all_of_ray(app: RayApp) -> None:
    """The last test of this file."""
    processes = [app.process, *app.process.children(recursive=True)]
    assert len(processes) > 5
    app.process.terminate()
    _, left = psutil.wait_procs(processes, timeout=30)
    assert left == []
