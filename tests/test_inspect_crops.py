"""The app shows a published network's crops: classes of all, maps of the one around the last pinned point."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import network_cases as cases
import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_pages import ATTRIBUTION, INSPECT, SAME_PIXEL, encoded, healthy, pin, upload
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.engine import CompareFeatures, Engine, MeasureInfluence, Predict, engine
from segviz.engine.memory_budget import fitting_shrink, forward_need
from segviz.image import working_size
from segviz.ui import picture as picture_module
from segviz.ui.picture import Picture

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def offered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PSANet of semseg's layout whose crops are 225 x 225 pixels."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("networks")
    torch.save(cases.psanet_of_semseg((29, 29)), folder / "psanet.pth")
    (folder / "models.toml").write_text('[[model]]\nname = "psanet"\nsource = "psanet.pth"\n')
    monkeypatch.setenv("SEGVIZ_MODELS", str(folder / "models.toml"))


@pytest.fixture(scope="module")
def small_pictures() -> None:
    """These tests are about the size that a model sees."""


def viewers(app: AppTest) -> list[dict[str, Any]]:
    """What the page gave to its viewers."""
    found = [json.loads(one.proto.json)[0] for one in app.get("bidi_component")]
    return [one for one in found if "panels" in one]


def test_a_kept_point_chooses_the_crop_whose_maps_are_shown(app: AppTest) -> None:
    app.query_params["model"] = "psanet"
    app.switch_page(INSPECT)
    healthy(app.run())
    (viewer,) = viewers(app)
    assert [one["title"] for one in viewer["panels"]] == ["Prediction", "Collect", "Distribute"]
    assert (viewer["height"], viewer["width"]) == (360, 480) and "region" not in viewer["panels"][0]
    middle = viewer["panels"][1]["region"]
    assert any("saw the picture in 6 crops" in one.value for one in app.caption)
    assert [one.label for one in app.expander if "notes" in one.label] == ["What to know about psanet: 7 notes"]
    healthy(pin(app, INSPECT, (5, 470), (350, 5)))
    (viewer,) = viewers(app)
    assert viewer["pins"] == [[5, 470, 0], [350, 5, 1]]  # of the picture, so that a link restores them
    regions = {one["title"]: one.get("region") for one in viewer["panels"]}
    assert regions["Collect"] == regions["Collect of point 2"] == [135, 0, 225, 225]
    assert regions["Collect of point 1"] == [0, 255, 225, 225] != middle and regions["Point 1"] is None
    assert any("last pin: rows 135 to 359, columns 0 to 224" in one.value for one in app.caption)
    healthy(app.selectbox(key="inspect features").set_value("block_input").run())
    (viewer,) = viewers(app)
    regions = {one["title"]: one.get("region") for one in viewer["panels"]}
    assert regions["Similarity"] == [135, 0, 225, 225] and regions["Similarity of point 1"] == [0, 255, 225, 225]
    (control,) = (one for one in app.segmented_control if one.label == "Sees the picture")
    healthy(control.set_value("whole").run())
    (whole,) = viewers(app)
    assert whole["panels"][0]["title"] == "Prediction" and "Distribute" in [one["title"] for one in whole["panels"]]
    assert not any("region" in one for one in whole["panels"])


def test_same_pixel_shows_the_crop_around_the_point_kept_last(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("spatial_nl",))
    app.query_params["same_pixel-networks"] = "psanet"
    app.switch_page(SAME_PIXEL)
    healthy(app.run())
    healthy(pin(app, SAME_PIXEL, (5, 470)))
    (viewer,) = viewers(app)
    regions = {one["title"]: one.get("region") for one in viewer["panels"]}
    assert regions["psanet: distribute"] == [0, 255, 225, 225] and regions["Spatial non-local"] is None
    assert any("psanet saw the picture in crops, as its authors show it" in one.value for one in app.caption)


def test_attribution_explains_the_crop_at_a_point_and_the_whole_picture_else(app: AppTest) -> None:
    app.query_params["model"] = "psanet"
    app.switch_page(ATTRIBUTION)
    healthy(app.run())
    healthy(pin(app, ATTRIBUTION, (5, 470)))
    (viewer,) = viewers(app)
    regions = {one["title"]: one.get("region") for one in viewer["panels"]}
    seen = ("Attention (collect)", "Attention (distribute)", "Saliency")
    assert {str(regions[one]) for one in seen} == {"[0, 255, 225, 225]"} and regions["Prediction"] is None
    assert any("are those of the crop around it: rows 0 to 224" in one.value for one in app.caption)
    (where,) = (one for one in app.segmented_control if one.label == "Score taken at")
    healthy(where.set_value("Whole picture").run())
    (viewer,) = viewers(app)
    assert not any("region" in one for one in viewer["panels"])
    assert any("sees the picture whole here, not in crops" in one.value for one in app.caption)


def test_a_model_sees_an_upload_at_the_size_that_the_visitor_chooses(app: AppTest) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 900, 3), dtype=np.uint8)
    app.query_params["model"] = "fcn"  # the quickest
    app.switch_page(INSPECT)
    app.run()
    upload(app, "street.png", encoded(Image.fromarray(pixels), "PNG"))
    (choice,) = (one for one in app.selectbox if one.label == "Models see it at")
    height, width = working_size(400, 900)
    assert choice.options == [f"{width} x {height}, the size of training", "900 x 400, its own size"]
    healthy(choice.set_value("own").run())
    assert app.session_state["segviz"].picture.own_size


def test_reruns_of_a_page_do_not_look_through_an_upload_again(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, ranges, digests = np.random.default_rng(0).integers(0, 256, (400, 900, 3), dtype=np.uint8), [0], [0]

    def count(calls: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(array: np.ndarray, *args: Any, **options: Any) -> Any:
            calls[0] += array.shape == pixels.shape
            return function(array, *args, **options)

        return counted

    monkeypatch.setattr(np, "ptp", count(ranges, np.ptp))
    monkeypatch.setattr(picture_module, "digest", count(digests, picture_module.digest))
    app.query_params["model"] = "fcn"
    app.switch_page(INSPECT)
    app.run()
    upload(app, "street.png", encoded(Image.fromarray(pixels), "PNG"))
    for size, pictures in (("trained", 1), ("own", 2)):
        healthy(next(one for one in app.selectbox if one.label == "Models see it at").set_value(size).run())
        healthy(app.run())
        assert (*ranges, *digests) == (pictures, pictures)


def test_the_engine_answers_at_the_picture_s_own_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    trained, own = Picture("street", pixels), Picture("street", pixels, own_size=True)
    assert trained.digest == own.digest and trained.seen_digest != own.seen_digest
    first, second = (engine().predict("fla", one).attended.grid for one in (trained, own))
    assert first != second == (12, 20)
    ask: Engine = engine()
    assert ask.ask("fla", own, CompareFeatures("block_input")).result().value.grid == (12, 20)
    assert ask.ask("fla", own, MeasureInfluence((40, 50))).result().value.values.shape == (12, 20)


def test_memory_is_asked_for_the_size_that_is_seen() -> None:
    size = (1024, 2048)
    assert Predict(own_size=True).need(size, 2**40) == forward_need(size, 1, "own") > 5 * Predict().need(size, 2**40)
    assert fitting_shrink(size, 2**30, wanted="own") == 2
