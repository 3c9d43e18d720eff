"""The Attribution page with and without a browser: the backend's numbers, one job at a time, a cancel that ends it."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_server import LiveApp
from app_tables import only_table, tables
from browser import settles
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from streets import street

from segviz.attribution import METHODS, Attribution, Options, Target, agreement, attribute
from segviz.engine import (
    Answer,
    Attribute,
    Capacity,
    Engine,
    LeaseError,
    Runner,
    ThreadBackend,
    TooLargeError,
    engine,
)
from segviz.figures.attribution_table import HELP, completeness_warning, explained_score
from segviz.figures.interesting_places import telling_place
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor, load_predictor
from segviz.server.blobs import STORE
from segviz.server.launch import app_script
from segviz.ui.attribution_answers import FORWARD_GUESS_S, GRADIENT_GUESS_S, MEASURED, seconds_each
from segviz.ui.attribution_controls import QUICK, START
from segviz.ui.picture_sidebar import FIRST_SEED, OWN_PICTURE
from segviz.ui.state import STATE_KEY

PATH, MODEL = "pages/attribution.py", "spatial_nl"
HEIGHT, WIDTH = 360, 480
PATIENCE = 120  # seconds, on a busy machine

pytestmark = pytest.mark.timeout(600)


# ---- without a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[Engine]:
    """The engine of these tests alone, which keeps what they found."""
    backend = ThreadBackend(Runner(), Capacity())
    yield Engine(backend)
    backend.close()


@pytest.fixture
def app(own: Engine, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A session on the page, with what it computes by itself, of models that see pictures at 96 x 128 pixels."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", 96 * 128)  # not in the browser's tests: their server sees all
    monkeypatch.setattr("segviz.engine.client._engine", own)
    start = PagesManager.__init__

    def told(self: PagesManager, *args: Any, **more: Any) -> None:
        start(self, *args, **more)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", told)  # AppTest forgets what app.py says of the folder `pages`
    app = AppTest.from_file(str(app_script()), default_timeout=PATIENCE)
    app.session_state["inspect model"] = "fcn"
    app.session_state["attribution model"] = MODEL
    app.run()
    return settled(app.switch_page(PATH).run())


def settled(app: AppTest) -> AppTest:
    """The session when it has all answers, or was told why not."""
    for answer in app.session_state[STATE_KEY].attributions.values():
        wait([answer], PATIENCE)
    app.run()
    assert [one.message for one in app.exception] == []
    assert all(answer.done() for answer in app.session_state[STATE_KEY].attributions.values())
    return app


def panels(app: AppTest) -> dict[str, dict[str, Any]]:
    (given,) = (data for one in app.get("bidi_component") if "panels" in (data := json.loads(one.proto.json)[0]))
    return {one["title"]: one for one in given["panels"]}


def drawn(panel: dict[str, Any]) -> np.ndarray:
    """The values that the browser gets."""
    blob = STORE.get(panel["map"].rsplit("/", 1)[1])
    assert blob is not None
    length = int.from_bytes(blob.content[:4], "little")
    rows, columns = json.loads(blob.content[4 : 4 + length])["grid"]
    return np.frombuffer(blob.content[4 + length :], "<f4").reshape(rows, columns)


def scene() -> np.ndarray:
    return street(FIRST_SEED).image


@cache
def loaded() -> Predictor:
    return load_predictor(MODEL)


def predicted(model: str = MODEL) -> Prediction:
    return engine().predict(model, scene())


def first_point() -> tuple[int, int]:
    """The pixel that the page explains before a point is pinned."""
    return telling_place(predicted().labels, predicted().spatial_maps[0])


def expected(method: str, target: Target, options: Options = QUICK) -> Attribution:
    return attribute(loaded(), scene(), method, target, options=options)


def at(place: tuple[int, int]) -> Target:
    return Target(int(predicted().labels[place]), pixel=place)


def assert_close(found: np.ndarray, values: np.ndarray) -> None:
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-3 * float(np.abs(values).max()))


def test_a_visitor_sees_quick_methods_unasked_with_the_backends_numbers(app: AppTest) -> None:
    found = panels(app)
    assert list(found)[:2] == ["Prediction", "Attention (spatial)"]
    numbers = only_table(app)
    map_ = predicted().maps["spatial"]
    for row, name in enumerate(one for one in METHODS if one in START):
        answer, panel = expected(name, at(first_point())), found[METHODS[name].title]
        assert (panel["look"], panel["signed"], panel["at"]) == ("values", METHODS[name].signed, list(first_point()))
        assert_close(drawn(panel), answer.values)
        rho = agreement(answer, map_, *map_.cell(*first_point(), HEIGHT, WIDTH))  # type: ignore[union-attr, arg-type]
        assert numbers["ρ with spatial"][row] == pytest.approx(rho, abs=0.01)
        assert panel["note"] == f"rank correlation ρ with spatial: {rho:+.2f}".replace("-", "−")
    assert app.button(key="attribution compute").disabled


def test_a_pin_explains_its_own_class_at_its_own_pixel(app: AppTest) -> None:
    place = next((y, x) for y, x in ((300, 240), (60, 240), (100, 60)) if at((y, x)) != at(first_point()))
    app.session_state["attribution"] = {"edit": {"mount": "browser", "seq": 1, "pins": [[*place, 0]]}}
    settled(app.run())
    panel = panels(app)["Saliency"]
    assert panel["pin"]["number"] == 1 and panel["at"] == list(place)
    assert_close(drawn(panel), expected("saliency", at(place)).values)
    name = predicted().classes[at(place).class_index]
    assert any(f"**{name}** at y {place[0]}, x {place[1]}" in one.value for one in app.markdown)


def test_the_chosen_pin_is_the_one_that_is_explained(app: AppTest) -> None:
    places = [(300, 240), (100, 60), (60, 240)]
    pins = [[y, x, number] for number, (y, x) in enumerate(places)]
    edit = {"mount": "browser", "seq": 1, "pins": pins[:2]}
    app.session_state["attribution"] = {"edit": edit}
    settled(app.run())
    assert panels(app)["Saliency"]["pin"]["number"] == 2  # the newest
    choice = {"mount": "browser", "count": 1, "y": 300, "x": 240}
    app.session_state["attribution"] = {"edit": edit, "choice": choice}
    settled(app.run())
    panel = panels(app)["Saliency"]
    assert (panel["pin"]["number"], panel["at"]) == (1, [300, 240])
    assert panels(app)["Attention (spatial)"]["at"] == [300, 240]
    assert_close(drawn(panel), expected("saliency", at((300, 240))).values)
    app.session_state["attribution"] = {"edit": {"mount": "browser", "seq": 2, "pins": pins}, "choice": choice}
    settled(app.run())
    assert panels(app)["Saliency"]["at"] == [60, 240]  # a new pin is explained at once
    app.session_state["attribution"] = {"edit": {"mount": "browser", "seq": 3, "pins": pins[1:2]}, "choice": choice}
    settled(app.run())
    assert panels(app)["Saliency"]["at"] == [100, 60]  # the explained one was removed


def test_the_last_numbers_stay_until_the_next_are_there(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    before, sentence = only_table(app), next(one.value for one in app.markdown if one.value.startswith("Explained"))
    edit = {"mount": "browser", "seq": 1, "pins": [[210, 410, 0]]}  # a place that no other test has asked for
    app.session_state["attribution"] = {"edit": edit}
    hold = threading.Event()
    run = Attribute.run
    with monkeypatch.context() as patch:
        patch.setattr(Attribute, "run", lambda *args, **more: (hold.wait(PATIENCE), run(*args, **more))[1])
        app.run()
        assert panels(app)["Saliency"]["pending"] and only_table(app) == before
        last = sentence.replace("Explained:", "Computing; the last numbers are of:")
        assert [one.value for one in app.markdown if "the logit of" in one.value] == [last]
        assert app.get("download_button")[0].proto.disabled
        hold.set()
        settled(app)
    assert only_table(app) != before and not app.get("download_button")[0].proto.disabled
    assert any(one.value.startswith("Explained:") and "y 210, x 410" in one.value for one in app.markdown)


def test_a_method_without_an_answer_has_a_row_without_values(app: AppTest) -> None:
    app.pills(key="attribution methods").set_value(["integrated_gradients", "saliency"]).run()
    numbers = only_table(app)
    assert numbers["Method"] == ["Integrated Gradients", "Saliency"]
    assert numbers["Largest"][0] is numbers["Delta"][0] is None and numbers["Largest"][1] > 0


def test_a_class_region_and_the_whole_picture_are_explained(app: AppTest) -> None:
    road = predicted().classes.index("Road")
    app.selectbox(key="attribution class").set_value(road)
    settled(app.segmented_control(key="attribution where").set_value("Class region").run())
    answer = expected("grad_cam_output", Target(road, mask=predicted().labels == road))
    assert_close(drawn(panels(app)[answer.title]), answer.values)
    settled(app.segmented_control(key="attribution where").set_value("Whole picture").run())
    assert_close(drawn(panels(app)[answer.title]), expected("grad_cam_output", Target(road)).values)


def test_a_class_that_is_nowhere_gets_a_sentence_and_the_attention_stays(app: AppTest) -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    settled(app.segmented_control(key="source").set_value(OWN_PICTURE).run())
    settled(app.file_uploader(key="upload").set_value(("grey.png", buffer.getvalue(), "image/png")).run())
    labels = engine().predict(MODEL, grey).labels
    absent = next(index for index in range(len(predicted().classes)) if not (labels == index).any())
    app.selectbox(key="attribution class").set_value(absent)
    settled(app.segmented_control(key="attribution where").set_value("Class region").run())
    (message,) = (one.value for one in app.info if "no detail" not in one.value)
    assert message.startswith(f"No pixel is predicted as {predicted().classes[absent]}; choose another class")
    assert list(panels(app)) == ["Prediction", "Attention (spatial)", "Saliency", "Grad-CAM at the block's output"]
    assert tables(app) == []


def test_long_methods_wait_for_the_button_and_tell_their_error(app: AppTest) -> None:
    app.select_slider(key="attribution steps").set_value(8)
    app.pills(key="attribution methods").set_value(["integrated_gradients"]).run()
    assert panels(app)["Integrated Gradients"]["note"] == "not computed yet"
    assert any(re.fullmatch(r"About \d+ s on .+: Integrated Gradients\.", one.value) for one in app.caption)
    app.button(key="attribution compute").click().run()
    settled(app)
    answer = expected("integrated_gradients", at(first_point()), Options(baseline="blurred", steps=8))
    assert_close(drawn(panels(app)["Integrated Gradients"]), answer.values)
    numbers = only_table(app)
    assert answer.delta is not None
    assert numbers["Delta"][0] == pytest.approx(answer.delta, abs=0.02 * abs(answer.score))
    assert len(app.warning) == bool(completeness_warning(answer))


def test_what_is_known_is_not_computed_again(app: AppTest, own: Engine) -> None:
    before = own.health().counts["computed"]
    app.run()
    other = AppTest.from_file(str(app_script()), default_timeout=PATIENCE)
    other.session_state["inspect model"] = "fcn"
    other.session_state["attribution model"] = MODEL
    other.run()
    other.switch_page(PATH).run()
    assert panels(other)["Saliency"]["look"] == "values"
    assert own.health().counts["computed"] == before


def long_one(app: AppTest) -> Answer:
    """Integrated Gradients, which the visitor has asked for and which runs for a while."""
    app.select_slider(key="attribution steps").set_value(128)
    app.pills(key="attribution methods").set_value(["integrated_gradients"]).run()
    app.button(key="attribution compute").click().run()
    (answer,) = app.session_state[STATE_KEY].attributions.values()
    assert not answer.done() and app.button(key="attribution cancel")
    return answer  # type: ignore[no-any-return]


def test_another_look_at_the_page_goes_on_with_its_work(app: AppTest, own: Engine) -> None:
    before = long_one(app)
    app.pills(key="attribution methods").set_value(["integrated_gradients", "grad_cam_input"]).run()
    now = list(app.session_state[STATE_KEY].attributions.values())
    assert len(now) == 2 and own.health().running == 1
    while (status := now[0].status()).done < 2:
        time.sleep(0.02)
    assert before.status().done == status.done  # one and the same computation
    app.button(key="attribution cancel").click().run()
    assert all(one.cancelled() for one in now)
    assert any(re.match("Cancelled. About .*: Integrated Gradients", one.value) for one in app.caption)


def test_what_is_not_asked_any_more_is_taken_back(app: AppTest) -> None:
    answer = long_one(app)
    settled(app.pills(key="attribution methods").set_value(["saliency"]).run())
    assert answer.cancelled()
    assert len(app.session_state[STATE_KEY].attributions) == 1


def test_work_that_a_change_stopped_is_told_with_its_reason_and_the_cure(app: AppTest) -> None:
    answer = long_one(app)
    app.pills(key="attribution methods").set_value(["integrated_gradients", "saliency"]).run()
    app.session_state["attribution"] = {"edit": {"mount": "browser", "seq": 1, "pins": [[60, 100, 0]]}}
    app.run()
    assert answer.cancelled()
    settled(app)
    told = "Stopped, as the point changed: press Compute to begin anew. About "
    assert sum(one.value.startswith(told) for one in app.caption) == 1
    assert panels(app)["Integrated Gradients"]["note"] == "stopped, as the point changed"
    settled(app.segmented_control(key="attribution where").set_value("Whole picture").run())
    assert panels(app)["Integrated Gradients"]["note"] == "stopped, as the point changed"
    app.button(key="attribution compute").click().run()
    assert panels(app)["Integrated Gradients"]["note"] == "not computed yet"
    app.select_slider(key="attribution steps").set_value(8).run()
    assert panels(app)["Integrated Gradients"]["note"] == "stopped, as the settings changed"
    settled(app.button(key="attribution compute").click().run())
    assert not any("Stopped" in one.value for one in app.caption)


def test_the_time_that_is_left_is_told_once(app: AppTest) -> None:
    answer = long_one(app)
    while answer.status().done < 2:
        time.sleep(0.02)
    app.run()
    (progress,) = (one.proto.text for one in app.get("progress"))
    assert re.fullmatch(r"Integrated Gradients: step \d+ of 131", progress)
    assert sum("s left in all" in one.value for one in app.caption) == 1
    app.button(key="attribution cancel").click().run()


def test_menus_cover_the_page_with_no_words_of_their_own(app: AppTest) -> None:
    menus = [one.proto.popover for one in app.get("popover")]
    assert len(menus) > 2 and not any(one.help for one in menus)


def test_who_comes_back_after_a_while_gets_it_still(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("segviz.ui.attribution_answers.LEASE_S", 2.0)
        answer = long_one(app)
        assert isinstance(answer.exception(PATIENCE), LeaseError)
    app.run()
    (again,) = app.session_state[STATE_KEY].attributions.values()
    assert not again.done()
    app.button(key="attribution cancel").click().run()


def test_a_failure_is_a_sentence_and_can_be_tried_again(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise TooLargeError("the picture is too large; scale it down first")

    with monkeypatch.context() as patch:
        patch.setattr(Attribute, "run", failing)
        settled(app.pills(key="attribution methods").set_value(["grad_cam_input"]).run())
        settled(app.segmented_control(key="attribution where").set_value("Whole picture").run())
    assert [one.value for one in app.error] == [
        "Grad-CAM at the block's input: the picture is too large; scale it down first."
    ]
    settled(app.button(key="attribution compute").click().run())
    assert not app.error and panels(app)["Grad-CAM at the block's input"]["look"] == "values"


def test_how_long_it_takes_is_learnt(app: AppTest) -> None:
    each = MEASURED[MODEL, "saliency"]
    (answer,) = [
        one for one in app.session_state[STATE_KEY].attributions.values() if one.result().value.method == "saliency"
    ]
    assert each == answer.result().seconds > 0


def test_a_first_announcement_goes_by_the_machine_s_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.ui.attribution_answers.MEASURED", {})
    assert seconds_each("psa", "integrated_gradients") == GRADIENT_GUESS_S
    monkeypatch.setattr(
        "segviz.ui.attribution_answers.MEASURED",
        {("psa", "saliency"): 3 * GRADIENT_GUESS_S, ("fla", "saliency"): 9 * GRADIENT_GUESS_S},
    )
    assert seconds_each("psa", "integrated_gradients") == pytest.approx(3 * GRADIENT_GUESS_S)
    assert seconds_each("psa", "occlusion") == pytest.approx(3 * FORWARD_GUESS_S)
    assert seconds_each("ema", "occlusion") == pytest.approx(6 * FORWARD_GUESS_S)
    assert seconds_each("psa", "saliency") == 3 * GRADIENT_GUESS_S


def test_a_model_without_a_map_from_place_to_place_says_so(app: AppTest) -> None:
    settled(app.selectbox(key="attribution model").set_value("fcn").run())
    assert "Grad-CAM at the reduction's output (this model has no block)" in panels(app)
    assert any("has no map from place to place" in one.value for one in app.info)
    assert not any(head.startswith("ρ") for head in only_table(app))


def test_every_method_is_explained() -> None:
    assert list(HELP) == list(METHODS)


@pytest.mark.parametrize(("delta", "told"), [(0.05, False), (0.5, True), (-0.5, True), (None, False)])
def test_a_large_completeness_error_is_told(delta: float | None, told: bool) -> None:
    values = np.full((2, 2), 0.25 * (1 + (delta or 0)), np.float32)
    answer = Attribution("", "IG", "", Target(0), 1.0, values, "", True, delta, None, "")
    assert explained_score(answer) == (None if delta is None else pytest.approx(1))
    assert bool(completeness_warning(answer)) is told


# ---- in a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(live_app: LiveApp, browser: Browser) -> Iterator[tuple[str, Browser]]:
    """A server's address and a browser."""
    yield live_app.address, browser
    live_app.check_log()


def visitor(address: str, context: BrowserContext, errors: list[str]) -> Page:
    """A new visitor on the page."""
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/{Path(PATH).stem}?model={MODEL}")
    expect(page.locator(".stage[data-panel='Attention (spatial)'][data-ready='1']")).to_be_visible()
    return page


@pytest.mark.slow
def test_cancel_ends_the_work_and_the_map_is_the_backends(served: tuple[str, Browser]) -> None:
    errors: list[str] = []
    answer = expected("saliency", at(first_point()))
    address, browser = served
    context = browser.new_context(viewport={"width": 1400, "height": 1200})
    first = visitor(address, context, errors)
    saliency = first.locator(".panel", has=first.locator(".stage[data-panel='Saliency']"))
    expect(first.get_by_text("All chosen methods are computed.")).to_be_visible()  # unasked
    stage = saliency.locator(".stage")
    largest = float(answer.values.max())
    settles(lambda: stage.get_attribute("data-max"), largest, 1e-3 * largest)
    shown = float(saliency.locator(".value").inner_text().split()[0])
    assert shown == pytest.approx(float(answer.values[first_point()]), rel=0.01)

    first.get_by_role("button", name="Methods: 2").click()
    slider = first.get_by_role("slider", name="Integrated Gradients: steps")
    slider.focus()
    first.keyboard.press("End")  # 128 steps: a minute and more
    first.locator(".st-key-attribution-methods").get_by_text("Integrated Gradients").click()
    first.keyboard.press("Escape")
    expect(first.get_by_text(re.compile("About .*: Integrated Gradients"))).to_be_visible()
    first.get_by_role("button", name="Compute").click()
    told = first.get_by_text(re.compile(r"Integrated Gradients: step [2-9] of 131"))
    expect(told).to_be_visible()

    second = visitor(address, context, errors)  # whose own, quick computation has to wait for the first one's
    second.get_by_role("button", name="Next").click()
    expect(second.get_by_text(re.compile(r"Saliency: number \d in the queue"))).to_be_visible()
    left = int(re.findall(r"about (\d+) s left in all", first.locator(".st-key-compute").inner_text())[0])
    start = time.monotonic()
    first.get_by_role("button", name="Cancel").click()
    expect(first.get_by_text("Cancelled.")).to_be_visible()
    expect(second.get_by_text("All chosen methods are computed.")).to_be_visible()
    assert time.monotonic() - start < 0.6 * left, "the cancelled computation went on"
    expect(first.locator(".stage[data-panel='Integrated Gradients']")).to_be_visible()  # the bare picture
    expect(first.get_by_role("button", name="Compute")).to_be_enabled()
    assert errors == []
    context.close()
