"""Influence and similarity on the pages: beside the maps where the reader wants them, and not computed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from streets import street
from test_kinds import prediction
from test_pages import INSPECT, SAME_PIXEL, opened, viewer
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.attention.maps import DotProductAttention
from segviz.attention.rank_correlation import correlations_in_words
from segviz.data.classes import CAMVID
from segviz.engine import CompareFeatures, MeasureInfluence, engine
from segviz.prediction.influence import Influence, correlate_influence
from segviz.ui.influence_panel import influence_panel
from segviz.ui.picture_sidebar import FIRST_SEED
from segviz.viewer.panel import Pin

PLACE = (250, 240)
PINS = (Pin(14, 24, 0),)


@pytest.fixture
def pinned(app: AppTest) -> Iterator[AppTest]:
    """A session with a pinned point on Inspect."""
    app.session_state["inspect"] = {"edit": {"mount": "browser", "seq": 1, "pins": [[*PLACE, 0]]}}
    yield app


def panels(app: AppTest) -> dict[str, Any]:
    return {panel["title"]: panel for panel in viewer(app)["panels"]}


def is_known(model: str, op: Any) -> bool:
    return engine().is_cached(model, street(FIRST_SEED).image, op)


def test_a_block_without_a_map_of_places_shows_its_influence_at_a_kept_point(pinned: AppTest) -> None:
    pinned.session_state["inspect model"] = "fla"
    assert not any("Influence" in title for title in panels(opened(pinned, INSPECT)))
    assert not is_known("fla", MeasureInfluence(PLACE))
    pinned.selectbox(key="inspect beside").set_value("influence").run()
    shown = panels(pinned)["Influence on point 1"]
    assert shown["pin"]["number"] == 1 and shown["unit"] == "influence" and "on the answer “" in shown["note"]
    assert is_known("fla", MeasureInfluence(PLACE))
    pinned.selectbox(key="inspect beside").set_value("deep").run()
    shown = panels(pinned)["Similarity"]
    assert (shown["unit"], shown["signed"], shown["look"]) == ("cosine", True, "attends_to")
    assert shown["note"] == "cosine of features: backbone, last stage"
    assert "Similarity of point 1" in panels(pinned) and is_known("fla", CompareFeatures("deep"))


def test_no_panel_waits_for_an_influence_once_a_point_is_pinned(app: AppTest) -> None:
    app.session_state["inspect model"] = "sam"
    opened(app, INSPECT).selectbox(key="inspect beside").set_value("influence").run()
    waiting, columns = panels(app)["Influence"], viewer(app)["columns"]
    assert waiting["map"] is None and waiting["note"].endswith("pin one")
    app.session_state["inspect"] = {"edit": {"mount": "browser", "seq": 1, "pins": [[*PLACE, 0]]}}
    app.run()
    assert "Influence" not in panels(app) and panels(app)["Influence on point 1"]["map"]
    assert panels(app)["Point 1"]["leads"] and viewer(app)["columns"] == columns  # so that what stays keeps its place


def test_a_model_without_a_block_has_no_influence_to_offer(app: AppTest) -> None:
    app.session_state["inspect model"] = "fcn"
    opened(app, INSPECT)
    assert "influence at pinned points" not in app.selectbox(key="inspect beside").options


def test_same_pixel_shows_influence_where_there_is_no_map(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fcn", "sam", "fla"))
    app.session_state["same_pixel"] = {"edit": {"mount": "browser", "seq": 1, "pins": [[*PLACE, 0]]}}
    titles = [title for title in panels(opened(app, SAME_PIXEL)) if "influence" in title]
    assert titles == ["Fully attentional block: influence on point 1"]
    app.toggle(key="same_pixel influence").set_value(True).run()
    titles = {title: panel for title, panel in panels(app).items() if "influence" in title}
    assert list(titles) == ["Strip attention: influence on point 1", "Fully attentional block: influence on point 1"]
    assert "”; rank correlation ρ with strip: " in titles["Strip attention: influence on point 1"]["note"]


def test_ranks_are_those_of_the_weights() -> None:
    """An influence that rises with the weights agrees with them wholly, one that falls not at all."""
    generator = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(12, 3, generator=generator) for _ in range(2))
    map_ = DotProductAttention("spatial", (3, 4), queries, keys)
    whole = prediction({"spatial": map_})
    weights = map_.attends_to(1, 2).numpy()
    pixel = (14, 24)
    for values, words in ((weights**3, "with spatial: +1.00"), (1 - weights, "with spatial: −1.00")):
        influence = Influence("fcn", pixel, 1, 2.5, values.astype(np.float32))
        assert correlations_in_words(correlate_influence(influence, whole)) == f"rank correlation ρ {words}"
        assert influence_panel(influence, whole, PINS, 0).note.endswith(f"”; rank correlation ρ {words}")
    flat = Influence("fcn", pixel, 1, 2.5, np.zeros((3, 4), np.float32))
    assert correlations_in_words(correlate_influence(flat, whole)) == "rank correlation ρ with spatial: unknown"
    assert correlations_in_words({}) == ""
    several = correlations_in_words({"rows": -0.001, "columns": -0.5})
    assert several == "rank correlation ρ with rows: +0.00, with columns: −0.50"
    panel = influence_panel(flat, whole, PINS, 0)
    assert panel.map is influence_panel(flat, whole, PINS, 0).map  # packed once
    assert f"on the answer “{CAMVID.names[1]}”" in panel.note
