"""A checkpoint of a paper's network in the engine and on the pages, as one of the app's own models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from test_own_networks import follow
from test_pages import ATTRIBUTION, INSPECT, healthy, titles
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.record import Record
from segviz.data.classes import CAMVID
from segviz.engine import Capacity, Engine, Predict, Runner, ThreadBackend
from segviz.models.options import OptionValue
from segviz.models.registry import build

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
OPTIONS: dict[str, OptionValue] = {"points": 9, "pooling": False, "decoder": False}
MODELS = '[[model]]\nname = "variant"\ntitle = "SSANet with K of 9"\nsource = "variant.safetensors"\n'


@pytest.fixture(autouse=True, scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("variants")
    torch.manual_seed(0)
    network = build("ssanet_mbv2", len(CAMVID.names), options=OPTIONS).eval()
    record = Record("ssanet_mbv2", CAMVID.names, network.backbone_name, 16, data="cityscapes train", steps=1200)
    record = replace(record, options=dict(network.options))
    write_checkpoint(folder / "variant.safetensors", network, record)
    (folder / "models.toml").write_text(MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGVIZ_MODELS", str(folder / "models.toml"))
        yield folder


def test_the_engine_predicts_with_a_variant() -> None:
    backend = ThreadBackend(Runner(), Capacity())
    picture = np.full((64, 96, 3), 100, np.uint8)
    prediction = Engine(backend).ask("variant", picture, Predict(), "session").result().value
    assert list(prediction.maps) == ["samples"] and prediction.maps["samples"].positions.shape[1] == 9
    backend.close()


def test_inspect_shows_a_variant(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="variant", inspect__features="decoder"))
    assert titles(app)[:2] == ["Prediction", "Samples"] and titles(app)[-1] == "Similarity"
    assert any("trained on Cityscapes train" in one.value for one in app.caption)


def test_the_attribution_page_explains_a_variant(app: AppTest) -> None:
    healthy(follow(app, ATTRIBUTION, model="variant"))
    assert titles(app)[:2] == ["Prediction", "Attention (samples)"]
