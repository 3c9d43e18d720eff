"""Networks of one's own in the engine and on the pages: their maps, their controls, and what one that fails says."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_tables import only_table
from own_networks import patch_network, write_networks
from PIL import Image
from streamlit.testing.v1 import AppTest
from streets import street
from test_attribution_page import settled
from test_own_forward import Net as OwnForward
from test_pages import (
    ATTRIBUTION,
    COMPARE,
    INSPECT,
    SAME_PIXEL,
    component,
    give_truth,
    healthy,
    opened,
    panel,
    pin,
    titles,
    viewer,
)
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran
from torch import nn

import segviz
from segviz.attention.maps import FeatureSimilarity
from segviz.catalogue.bundled import available_models
from segviz.catalogue.entry import CatalogueEntry
from segviz.catalogue.own_models import _live, add_live_network
from segviz.data.classes import CAMVID
from segviz.data.label_png import indexed_png
from segviz.engine import (
    BusyError,
    Capacity,
    CompareLayer,
    CompareStage,
    CrashError,
    DeadlineError,
    Engine,
    EngineError,
    Predict,
    Runner,
    ThreadBackend,
    TooLargeError,
    Watch,
)
from segviz.engine.bounded_memory import BoundedMemory
from segviz.image import Rgb, resize, to_tensor
from segviz.prediction.similarity import STAGES
from segviz.text import escape_markdown
from segviz.ui import explained_model, first_compared, serve_network
from segviz.ui.explained_model import detail_words
from segviz.ui.network_answer import list_notes
from segviz.ui.picture_sidebar import FIRST_SEED
from segviz.ui.state import STATE_KEY
from segviz.watch.load import open_predictor
from segviz.watch.network_view import NetworkView

pytestmark = pytest.mark.timeout(600)
START = ("channel_nl", "spatial_nl", "dual_nl", "fla")  # of Compare
PICTURE: Rgb = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def offered(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGVIZ_MODELS", str(models))


@pytest.fixture(scope="module")
def backend() -> Iterator[ThreadBackend]:
    backend = ThreadBackend(Runner(), Capacity())
    yield backend
    backend.close()


def ask(backend: ThreadBackend, name: str, op: Any = None, picture: Rgb = PICTURE) -> Any:
    return Engine(backend).ask(name, picture, op or Watch(), "session").result().value


def check_row(view: NetworkView, layer: str, other: NetworkView) -> None:
    for head in ("mean", "largest", 1):
        np.testing.assert_allclose(
            view.maps[layer].attends_to(2, 5, head=head), other.maps[layer].attends_to(2, 5, head=head), atol=1e-6
        )


def test_the_engine_watches_a_network_of_a_file(backend: ThreadBackend, models: Path) -> None:
    view = ask(backend, "net")
    assert list(view.maps) == ["second"] and [one.path for one in view.layers] == ["first", "second"]
    network = segviz.load(f"{models.parent}/net.py:build", "cpu").network
    check_row(view, "second", segviz.watch(network, PICTURE, layers="second"))
    assert view.prediction.class_set.names == ("road", "sky", "car")
    assert view.prediction.labels.shape == (96, 128) and not view.prediction.labels.flags.writeable
    first = ask(backend, "net", Watch(("first",)))
    assert list(first.maps) == ["first"]
    check_row(first, "first", segviz.watch(network, PICTURE, layers="first"))


def test_a_network_that_has_to_be_fetched_has_more_time(backend: ThreadBackend) -> None:
    engine = Engine(backend)
    watched, usual = (engine._request("net", PICTURE, op, None, 0) for op in (Watch(), Predict()))
    assert watched.deadline_s > 5 * usual.deadline_s


def test_an_answer_is_kept_for_each_layer(backend: ThreadBackend) -> None:
    engine = Engine(backend)
    ask(backend, "net", Watch(("first",)))
    assert engine.is_cached("net", PICTURE, Watch(("first",)))
    assert not engine.is_cached("net", PICTURE, Watch(("first", "second")))


def test_a_network_without_classes_has_maps_alone(backend: ThreadBackend) -> None:
    view = ask(backend, "features")
    assert view.prediction is None and list(view.maps) == ["second"]


def test_features_of_a_layer_are_compared(backend: ThreadBackend) -> None:
    found = ask(backend, "features", CompareLayer("second", (6, 8)))
    assert isinstance(found, FeatureSimilarity) and found.grid == (6, 8)
    row = found.attends_to(3, 4)
    assert float(row[3, 4]) == pytest.approx(1, abs=1e-5) and float(row.min()) < 0.99
    with pytest.raises(ValueError, match="no features on its grid of 5 x 5"):
        ask(backend, "features", CompareLayer("second", (5, 5)))
    with pytest.raises(ValueError, match="there is no module 'nowhere'"):
        ask(backend, "features", CompareLayer("nowhere", (6, 8)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", r"Broken failed in \w+\.py, line \d+, on an input of 1 x 3 .*: .*; correct the network"),
        ("missing", "somewhere"),
        ("lost", r"lost\.pth is missing; correct the source or the weights of 'lost'"),
        ("nobody", "'nobody' is not a model; the models are fcn"),
    ],
)
def test_a_network_that_fails_says_why_and_the_others_go_on(backend: ThreadBackend, name: str, said: str) -> None:
    before = backend.health().counts["crashed"]
    with pytest.raises(ValueError, match=said):
        ask(backend, name)
    assert backend.health().counts["crashed"] == before
    assert isinstance(ask(backend, "net"), NetworkView)


def test_a_live_network_is_offered_and_replaced(backend: ThreadBackend) -> None:
    entry = CatalogueEntry("live", "Live", "an object of Python")
    try:
        for heads in (2, 4):
            layer = nn.TransformerEncoderLayer(16, heads, 16, batch_first=True).eval()
            network = nn.Sequential(nn.Conv2d(3, 16, 16, 16), Tokens(), layer).eval()
            add_live_network(entry, network)
            (one,) = ask(backend, "live").maps.values()
            assert one.heads == heads
    finally:
        _live.clear()


class Tokens(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mT


# ---- memory ---------------------------------------------------------------------------------------------


def test_memory_is_counted_while_it_is_used() -> None:
    with torch.no_grad(), BoundedMemory(10**9) as bound:
        first = torch.ones(1000, 1000)
        second = first.reshape(-1)[:10]  # a view takes nothing
        assert bound.live == 4_000_000
        first += 1
        del first, second
        assert bound.live == 0 and bound.peak >= 4_000_000


def test_a_product_that_would_take_too_much_is_not_made() -> None:
    tall = torch.ones(40_000, 8)
    with torch.no_grad(), BoundedMemory(10**9) as bound:
        with pytest.raises(TooLargeError, match="needs more than the 953 MiB that are allowed; show it a smaller"):
            tall @ tall.mT
        with pytest.raises(TooLargeError):
            tall[:, None] - tall[None, :, :]
        assert bound.peak < 10**7


def test_a_picture_too_large_for_the_memory_is_seen_smaller() -> None:
    big = np.zeros((1024, 1024, 3), np.uint8)
    backend = ThreadBackend(Runner(), Capacity(memory_mb=96))
    try:
        result = Engine(backend).ask("net", big, Watch(), "session").result()
        assert "scale, because the server lacks the memory" in result.notes[0]
        assert result.value.prediction.labels.shape == (1024, 1024)
        assert result.value.maps["second"].grid < (64, 64)
    finally:
        backend.close()
    small = ThreadBackend(Runner(), Capacity(memory_mb=1))
    try:
        with pytest.raises(TooLargeError, match="needs more than the 1 MiB"):
            Engine(small).ask("net", big, Watch(), "session").result()
    finally:
        small.close()


# ---- pages ----------------------------------------------------------------------------------------------


def follow(app: AppTest, page: str, **parameters: Any) -> AppTest:
    for name, value in parameters.items():
        app.query_params[name.replace("__", "-")] = value
    app.switch_page(page)
    return app.run()


def heads_of(app: AppTest) -> list[Any]:
    return [panel.get("head") for panel in viewer(app)["panels"] if panel["map"] and panel["look"] != "labels"]


def test_inspect_shows_a_network_with_its_layers_and_heads(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="net"))
    assert titles(app) == ["Prediction", "Attends to (second)", "Attended by (second)"]
    assert app.selectbox(key="inspect layer").options == ["first", "second"]
    healthy(app.selectbox(key="inspect layer").set_value("first").run())
    assert titles(app)[1] == "Attends to (first)"
    healthy(app.selectbox(key="inspect head").set_value("1").run())
    assert heads_of(app) == [1, 1]
    healthy(app.selectbox(key="inspect head").set_value("each").run())
    assert titles(app) == ["Prediction", "Mean of 2 heads (first)", "Head 0", "Head 1"]
    assert heads_of(app) == ["mean", 0, 1]
    assert [one["look"] for one in viewer(app)["panels"][1:]] == ["either"] * 3  # what attends to a place is shown, too
    healthy(app.selectbox(key="inspect features").set_value("similarity").run())
    assert titles(app)[-1] == "Similarity"
    link = dict(component(app, "parameters")["parameters"])
    assert {
        "model": "net",
        "inspect-layer": "first",
        "inspect-head": "each",
        "inspect-features": "similarity",
    }.items() <= (link.items())


def test_a_link_restores_layer_and_head(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="net", inspect__layer="first", inspect__head="largest", pin="20-30-0"))
    assert titles(app)[1:5] == [
        "Attends to (first)", "Attended by (first)", "Point 1", "Attends to (first) of point 1",
    ]  # fmt: skip
    assert heads_of(app) == ["largest"] * 4
    link = dict(component(app, "parameters")["parameters"])
    assert (link["inspect-layer"], link["inspect-head"], link["model"]) == ("first", "largest", "net")
    assert len(app.warning) == 0


def test_a_link_names_nothing_but_entries_of_the_catalogue(app: AppTest, models: Path) -> None:
    healthy(follow(app, INSPECT, model=f"{models.parent}/net.py:build", inspect__layer="../first"))
    assert app.selectbox(key="inspect model").value == "net"  # the first one
    (warning,) = (one.value for one in app.warning)
    assert "cannot be shown: layer “../first” (shown: second), model “" in warning
    assert warning.endswith("(shown: My net).")


def test_a_wrong_layer_of_a_link_is_refused(app: AppTest) -> None:
    follow(app, INSPECT, model="net", inspect__layer="third", inspect__head="9")
    assert titles(app)[1] == "Attends to (second)"
    (warning,) = (one.value for one in app.warning)
    assert warning.endswith("cannot be shown: head “9” (shown: mean), layer “third” (shown: second).")


def test_inspect_verifies_the_places_of_a_layer(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="net", inspect__layer="first"))
    assert not any("verified" in one for one in captions(app))
    healthy(app.toggle(key="inspect verify").set_value(True).run())
    assert "first: places verified: changes at four places of the picture changed the cells there." in captions(app)
    healthy(app.selectbox(key="inspect layer").set_value("second").run())
    assert any(one.startswith("second: places ") for one in captions(app))


def captions(app: AppTest) -> list[str]:
    return [one.value for one in app.caption]


class Turned(nn.Module):
    """Patches column by column, and attention between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.attention = nn.Conv2d(3, 8, 8, 8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x).mT
        tokens = y.flatten(2).mT
        out: torch.Tensor = self.attention(tokens, tokens, tokens)[0].mT.unflatten(2, y.shape[2:]).mT
        return out


def test_inspect_says_that_a_layer_s_tokens_are_not_row_by_row(app: AppTest) -> None:
    try:
        add_live_network(CatalogueEntry("turned", "Turned", "an object of Python"), Turned().eval())
        healthy(follow(app, INSPECT, model="turned"))
        healthy(app.toggle(key="inspect verify").set_value(True).run())
        (said,) = (one.value for one in app.warning)
        assert said.startswith("attention: changes at four places of the picture changed cells elsewhere")
    finally:
        _live.clear()


def test_a_network_without_classes_shows_its_maps(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="features"))
    assert titles(app)[0] == "Picture"
    assert "Point 1" in titles(pin(app, INSPECT, (10, 10)))


def test_a_network_without_attention_says_so(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="plain"))
    assert titles(app) == ["Prediction"]
    (info,) = (one.value for one in app.info)
    assert "plain has no map: no attention was found in it" in info
    assert not any("the maps follow" in one.value for one in app.caption)


def test_a_network_that_fails_is_one_sentence_at_its_place(app: AppTest) -> None:
    follow(app, INSPECT, model="broken")
    assert [one.message for one in app.exception] == []
    (error,) = (one.value for one in app.error)
    assert error.startswith("broken cannot run: Broken failed in ") and "correct the network" in error
    healthy(app.selectbox(key="inspect model").set_value("net").run())
    assert titles(app)[0] == "Prediction"


def test_own_networks_come_first_and_bundled_models_carry_no_layer(app: AppTest) -> None:
    opened(app, INSPECT)
    options = app.selectbox(key="inspect model").options
    assert options[:6] == ["My net (net)", "features", "plain", "broken", "missing", "lost"]
    assert options[6] == "CCNet of its authors (published)"
    assert len(options) == 7 + len(available_models())
    healthy(app.selectbox(key="inspect model").set_value("net").run())
    healthy(app.selectbox(key="inspect head").set_value("each").run())
    healthy(app.selectbox(key="inspect model").set_value("ema").run())
    assert not any(name.startswith("inspect-") for name, _ in component(app, "parameters")["parameters"])


@pytest.mark.parametrize(
    ("page", "key"),
    [(INSPECT, "inspect model"), (ATTRIBUTION, "attribution model"), ("pages/many_pictures.py", "many_pictures model")],
)
def test_pages_of_one_model_begin_with_ones_own_network(app: AppTest, page: str, key: str) -> None:
    healthy(opened(app, page))
    assert app.selectbox(key=key).value == "net"


def test_compare_begins_with_networks_that_can_be_compared(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(follow(app, COMPARE))
    assert app.multiselect(key="compare models").value == ["net", "published"]
    assert [one.value for one in app.info] == []
    (told,) = (one.value for one in app.caption if one.value.startswith("The page begins with"))
    reasons = "plain (other classes), features (no classes), broken (cannot run), missing (cannot run)"
    assert reasons in told and "models of the classes of My net" in told
    healthy(app.multiselect(key="compare models").set_value(["fcn", "psa"]).run())
    assert not any(one.value.startswith("The page begins with") for one in app.caption)
    monkeypatch.setenv("SEGVIZ_MODELS", "")
    other = opened(AppTest.from_file(app._script_path, default_timeout=240), COMPARE)
    assert "net" not in other.multiselect(key="compare models").value


@pytest.mark.parametrize(
    ("error", "reason"),
    [(BusyError("too many wait"), "the server is busy"), (DeadlineError("no answer in time"), "gave no answer")],
)
@pytest.mark.parametrize("chosen", [None, ["fcn", "psa"]])
def test_compare_asks_a_network_again_that_gave_no_answer_at_first(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, error: EngineError, reason: str, chosen: list[str] | None
) -> None:
    wait, lacking = first_compared.wait_for, {"My net: its classes"}

    def wait_or_fail(answer: Any, title: str) -> Any:
        if title in lacking:
            raise error
        return wait(answer, title)

    monkeypatch.setattr(first_compared, "wait_for", wait_or_fail)
    healthy(follow(app, COMPARE))
    models = app.multiselect(key="compare models")
    assert "net" not in models.value
    assert any(f"My net ({reason})" in one.value for one in app.caption)
    lacking.clear()
    if chosen is not None:  # by the reader, so they stay
        assert healthy(models.set_value(chosen).run()).multiselect(key="compare models").value == chosen
        return
    healthy(app.button(key="again first models").click().run())
    assert app.multiselect(key="compare models").value == ["net", "published"]
    assert not any(reason in one.value for one in app.caption)
    assert not [one for one in app.button if one.label == "Ask again"]
    lacking.add("My net: its classes")
    healthy(app.run())
    assert app.multiselect(key="compare models").value == ["net", "published"]


def test_compare_begins_with_the_bundled_models_until_networks_that_gave_no_answer_are_asked_again(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(answer: Any, title: str) -> Any:
        raise CrashError("it failed twice")

    with monkeypatch.context() as patched:
        patched.setattr(first_compared, "wait_for", fail)
        healthy(follow(app, COMPARE))
        healthy(app.run())
        assert app.multiselect(key="compare models").value == [*START]
    healthy(app.run())
    assert app.multiselect(key="compare models").value == [*START]  # each try may take long
    healthy(app.button(key="again first models").click().run())
    assert app.multiselect(key="compare models").value == ["net", "published"]


@pytest.mark.parametrize(("classes", "beside"), [("classes = 'camvid'", True), ("", False)])
def test_compare_begins_with_bundled_models_only_beside_a_network_of_their_classes(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: str, beside: bool
) -> None:
    (tmp_path / "net.py").write_text(patch_network(("attention",), 11))
    (tmp_path / "models.toml").write_text(f"[[model]]\nname = 'alone'\nsource = 'net.py:Net'\n{classes}\n")
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))
    follow(app, COMPARE)
    assert [one.message for one in app.exception] == [] and not app.error
    assert app.multiselect(key="compare models").value == ["alone", *(START if beside else ())]


def test_compare_begins_with_the_bundled_models_where_no_network_can_be_compared(
    app: AppTest, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = f"[[model]]\nname = 'broken'\nsource = '{models.parent / 'net.py'}:build_broken'"
    monkeypatch.setenv("SEGVIZ_MODELS", broken)
    healthy(follow(app, COMPARE))
    assert app.multiselect(key="compare models").value == [*START]
    assert any("None of your networks can be compared: broken (cannot run)." in one.value for one in app.caption)


@pytest.mark.parametrize(
    ("chosen", "others", "same"),
    [
        (["fcn", "net", "psa"], ["My net"], ["fcn", "psa", "Truth"]),
        (["net", "fcn"], ["My net"], ["fcn", "Truth"]),
        (["net", "published", "fcn", "psa"], ["My net", "CCNet of its authors"], ["fcn", "psa", "Truth"]),
        (["net", "published", "fcn"], ["FCN (no context)", "Truth"], ["net", "published"]),  # the first of two equals
        (["net", "plain"], [], ["net"]),
    ],
)
def test_compare_names_those_of_other_classes_and_those_that_can_disagree(
    app: AppTest, chosen: list[str], others: list[str], same: list[str]
) -> None:
    """The truth is one of those with the classes of CamVid."""
    app.session_state["compare models"] = chosen
    healthy(opened(app, COMPARE))
    between = app.multiselect(key="compare between")
    assert len(between.options) == len(same)
    assert between.value == [name for name in same if name != "Truth"]
    (told,) = (one.value for one in app.caption if "have the same classes" in one.value or "other classes" in one.value)
    if not others:
        assert told == "No two of these models have the same classes, so no panel shows where they differ."
        return
    verb = "has" if len(others) == 1 else "have"
    can = " and ".join(filter(None, (", ".join(between.options[:-1]), between.options[-1])))
    words = f"{' and '.join(others)} {verb} other classes, so disagreement can be shown only among {can}."
    assert told == escape_markdown(words)


def test_attention_in_a_network_s_own_forward_is_told_in_words_where_layers_are_chosen(app: AppTest) -> None:
    try:
        add_live_network(CatalogueEntry("live", "Live", "an object of Python"), OwnForward().eval())
        healthy(follow(app, INSPECT, model="live"))
        choices = [app.selectbox(key="inspect layer")]
        opened(app, ATTRIBUTION)
        healthy(app.selectbox(key="attribution model").set_value("live").run())
        choices.append(app.selectbox(key="attribution layer"))
        for choice in choices:
            assert choice.options == ["network (its own forward)"] and "outside of its modules" in choice.help
    finally:
        _live.clear()


def test_same_pixel_compares_layers_and_heads(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("spatial_nl",))
    opened(app, SAME_PIXEL)
    assert app.multiselect(key="same_pixel networks").value == ["net"] and titles(app)[0] == "My net: second"
    healthy(app.multiselect(key="same_pixel networks").set_value(["net", "features"]).run())
    healthy(app.multiselect(key="same_pixel layers net").set_value(["first", "second"]).run())
    healthy(app.multiselect(key="same_pixel heads net second").set_value(["1", "3"]).run())
    healthy(app.multiselect(key="same_pixel heads net first").set_value(["largest"]).run())
    seconds = ["My net: second, head 1", "My net: second, head 3"]
    assert titles(app)[:-1] == ["My net: first", *seconds, "features: second"]  # before the bundled models
    assert [panel.get("head") for panel in viewer(app)["panels"][:-1]] == ["largest", 1, 3, "mean"]
    pin(app, SAME_PIXEL, (100, 200))
    table, own = only_table(app), titles(app)[:-1]
    assert table["Model"][: len(own)] == own and table["Point"][: len(own)] == ["1"] * len(own)
    for head in ("Entropy (bits)", "Entropy (% of even)", "Distance (%)", "Even distance (%)", "Distance (px)"):
        assert all(value is not None and value > 0 for value in table[head][: len(own)])
    assert [name is not None for name in table["Class"][: len(own)]] == [
        True,
        True,
        True,
        False,
    ]  # features: no classes
    assert table["Depends (%)"][: len(own)] == [None] * len(own)
    assert not {*own} & {*table["Model"][len(own) :]}  # no means over the picture and val
    assert any("Networks of your own have numbers at pinned points" in one.value for one in app.caption)
    notes = [panel["note"] for panel in viewer(app)["panels"][:-1]]  # the titles of heads name them already
    assert ["head" in note for note in notes] == [True, False, False, True]
    link: dict[str, list[str]] = {}
    for name, value in component(app, "parameters")["parameters"]:
        link.setdefault(name, []).append(value)
    assert link["same_pixel-layers-net"] == ["first", "second"]
    assert link["same_pixel-heads-net-second"] == ["1", "3"] and link["same_pixel-heads-net-first"] == ["largest"]
    again = AppTest.from_file(app._script_path, default_timeout=240)
    for name, values in link.items():
        again.query_params[name] = values
    again.switch_page(SAME_PIXEL)
    healthy(again.run())
    assert titles(again) == titles(app)
    healthy(again.multiselect(key="same_pixel networks").set_value(["features"]).run())
    assert not any("-net-" in f"{name}-" for name, _ in component(again, "parameters")["parameters"])


def test_same_pixel_tells_of_a_network_on_the_page_and_not_in_a_closed_menu(app: AppTest) -> None:
    follow(app, SAME_PIXEL, same_pixel__networks="plain")
    (told,) = (one for one in app.info if "plain has no map" in one.value)
    (menu,) = (one for one in app.get("popover") if one.proto.popover.label == "Networks of your own")
    assert not any(one is told or one.value == told.value for one in menu.get("info"))


def test_compare_takes_networks_with_classes(app: AppTest) -> None:
    app.session_state["compare models"] = ["fcn"]
    opened(app, COMPARE)
    app.multiselect(key="compare models").set_value(["fcn", "net", "features"]).run()
    assert [one.message for one in app.exception] == []
    assert {"My net"} <= set(titles(app))
    assert any("features has no classes, so it takes no part" in one.value for one in app.info)
    assert any("Inspect" in one.proto.label for one in app.get("page_link"))


def test_compare_reads_labels_by_the_classes_of_any_of_its_models(app: AppTest) -> None:
    app.session_state["compare models"] = ["net", "fcn"]
    healthy(opened(app, COMPARE))
    assert {app.selectbox(key=f"compare side {side}").value for side in (0, 1)} == {"net", "fcn"}
    give_truth(app, indexed_png(street(FIRST_SEED).labels, CAMVID.colours, {}))
    healthy(app)
    assert panel(app, "Truth")["note"].startswith("anything.dat, read as colours")
    assert any("A file is read with the first of these that fits it" in one.value for one in app.caption)
    give_truth(app, b"no picture")
    (message,) = (one.value for one in app.error)
    assert message.startswith("anything.dat cannot be used as ground truth: ")


def test_attribution_reads_any_layer_of_a_network(backend: ThreadBackend) -> None:
    from segviz.attribution import Options, Target
    from segviz.engine import Attribute

    def explain(method: str, layer: str) -> Any:
        return ask(backend, "net", Attribute(method, Target(1, pixel=(40, 50)), Options(), layer))

    saliency = explain("saliency", "first")
    assert saliency.values.shape[0] >= 96 and float(saliency.values.max()) > 0
    assert np.isfinite(saliency.score)
    found = [explain("grad_cam_output", layer) for layer in ("first", "second")]
    assert [one.title for one in found] == ["Grad-CAM at first's output", "Grad-CAM at second's output"]
    assert not np.allclose(found[0].values, found[1].values)
    assert np.abs(found[0].values).max() > 0
    with pytest.raises(ValueError, match="no classes for pixels"):
        ask(backend, "features", Attribute("saliency", Target(0), Options(), "first"))


def test_the_attribution_page_explains_a_network(app: AppTest) -> None:
    healthy(follow(app, ATTRIBUTION, model="net", attribution__layer="first"))
    assert titles(app)[:2] == ["Prediction", "Attention (first)"]
    assert "Grad-CAM at first's output" in titles(app)
    assert dict(component(app, "parameters")["parameters"])["attribution-layer"] == "first"
    note = panel(settled(app), "Grad-CAM at first's output")["note"]
    (told,) = re.findall(r"^rank correlation ρ with first: ([+−]\d\.\d\d)$", note)
    rho = only_table(app)["ρ with first"]
    assert [round(one, 2) for one in rho][-1] == float(told.replace("−", "-")) and all(-1 <= one <= 1 for one in rho)
    assert any("the rank correlation ρ says how far they do" in one.value for one in app.caption)


def test_no_correlation_is_promised_where_there_is_no_map(app: AppTest) -> None:
    captions = [one.value for one in healthy(follow(app, ATTRIBUTION, model="plain")).caption]
    assert any(one.startswith("**Attention** is") for one in captions)
    assert not any("ρ" in one for one in captions)


@pytest.mark.parametrize("smaller", [False, True])
def test_the_attribution_page_says_that_a_network_sees_more_detail(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, smaller: bool
) -> None:
    if not smaller:  # than the picture of the page, as the methods' picture is there
        monkeypatch.setattr(explained_model, "working_size", lambda *size: (2000, 3000))
    captions = [one.value for one in healthy(follow(app, ATTRIBUTION, model="net")).caption]
    assert any("finer detail" in one for one in captions) is smaller


def test_detail_that_attributions_do_not_see_is_told() -> None:
    words = detail_words("My net", (1024, 2048), (294, 588))
    assert words.startswith("My net predicts on the picture at 2048 x 1024 pixels. Attributions are computed")
    assert "at 588 x 294: finer detail affects neither" in words
    assert detail_words("My net", (352, 480), (360, 480)) == "" != detail_words("My net", (416, 480), (360, 480))


def test_methods_that_need_a_layer_are_left_out_with_a_word_where_there_is_none(app: AppTest) -> None:
    healthy(follow(app, ATTRIBUTION, model="plain"))
    assert titles(app) == ["Prediction", "Saliency"]
    assert "Methods: 1 of 2" in [one.proto.popover.label for one in app.get("popover")]
    left_out = "Left out, as no attention layer was found that could be read: "
    assert any(one.value.startswith(f"{left_out}Grad-CAM") for one in app.caption)


# ---- published weights ----------------------------------------------------------------------------------


def test_published_weights_answer_as_bundled_models_do(backend: ThreadBackend, models: Path) -> None:
    prediction = ask(backend, "published")
    predictor = open_predictor(models.parent / "ccnet.pth", "cpu", assume={"passes": 2})
    own = predictor(PICTURE)
    assert list(prediction.maps) == ["cross"] and prediction.classes == ("road", "sky", "car")
    np.testing.assert_array_equal(prediction.labels, own.labels)
    np.testing.assert_allclose(prediction.maps["cross"].attends_to(2, 5), own.maps["cross"].attends_to(2, 5), atol=1e-6)
    found = {stage: ask(backend, "published", CompareStage(stage)) for stage in STAGES}
    assert all(isinstance(one, FeatureSimilarity) for one in found.values())
    assert found["block_output"].grid == prediction.maps["cross"].grid
    with pytest.raises(ValueError, match="its layers have no paths; compare the features of one of its stages"):
        ask(backend, "published", CompareLayer("cross", (12, 16)))
    with pytest.raises(ValueError, match="it has no stages; compare the features of one of its layers"):
        ask(backend, "net", CompareStage("deep"))


def test_attribution_of_published_weights_is_their_gradient(backend: ThreadBackend, models: Path) -> None:
    from segviz.attribution import METHODS, Options, Target
    from segviz.engine import Attribute
    from segviz.image import working_size

    options = Options(steps=2, window=64, stride=64)
    found = {name: ask(backend, "published", Attribute(name, Target(2), options)) for name in METHODS}
    assert all(np.isfinite(one.values).all() and np.abs(one.values).max() > 0 for one in found.values())
    assert found["grad_cam_output"].title == METHODS["grad_cam_output"].title  # the block is read
    assert {one.model for one in found.values()} == {"ccnet"}
    network = open_predictor(models.parent / "ccnet.pth", "cpu", assume={"passes": 2}).network
    seen = to_tensor(resize(PICTURE, working_size(96, 128))).requires_grad_()
    network(network.expects.from_signed(seen)).logits[0, 2].mean().backward()
    assert seen.grad is not None
    slope, saliency = seen.grad[0].numpy(), found["saliency"].values
    spread = 2 * np.array(network.expects.std, np.float32)[:, None, None]  # the method's picture is the network's input
    expected = np.abs(slope * spread).max(0)
    assert np.corrcoef(saliency.ravel(), expected.ravel())[0, 1] > 0.999


def test_inspect_shows_published_weights_with_the_similarity_of_a_stage(app: AppTest) -> None:
    healthy(follow(app, INSPECT, model="published", inspect__features="block_output"))
    assert titles(app)[:2] == ["Prediction", "Attends to (last pass)"] and titles(app)[-1] == "Similarity"
    assert dict(component(app, "parameters")["parameters"])["inspect-features"] == "block_output"


def test_the_attribution_page_explains_published_weights(app: AppTest) -> None:
    healthy(follow(app, ATTRIBUTION, model="published"))
    assert titles(app)[:2] == ["Prediction", "Attention (cross)"]
    assert "Grad-CAM at the block's output" in titles(app)
    assert "attribution-layer" not in dict(component(app, "parameters")["parameters"])


# ---- many pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net", "published"])
def test_many_pictures_takes_a_network_of_ones_own(models: Path, name: str) -> None:
    from segviz.batch.inputs import Source
    from segviz.ui.batch import make_work

    output = make_work(name, ["labels", "overlay", "confidence"], None)(Source("a.png", "a", lambda: PICTURE), PICTURE)
    files = dict(output.files)
    assert set(files) == {"a_labels.png", "a_overlay.png", "a_confidence.npz"}
    weights = models.parent / ("ccnet.pth" if name == "published" else "net.py:build")
    answer = open_predictor(str(weights), "cpu", classes=("road", "sky", "car"))(PICTURE)
    own = getattr(answer, "prediction", answer)
    written = np.array(Image.open(io.BytesIO(files["a_labels.png"])))
    np.testing.assert_array_equal(written, own.labels)
    assert output.summary["image"] == "a.png"
    with pytest.raises(ValueError, match="no classes, so there is nothing to write"):
        make_work("features", ["labels"], None)(Source("a.png", "a", lambda: PICTURE), PICTURE)


def test_many_pictures_tells_of_a_network_without_classes_before_a_start(app: AppTest) -> None:
    healthy(opened(app, "pages/many_pictures.py"))
    assert not app.info
    app.session_state[STATE_KEY].picture = None  # as where this is the first page
    healthy(app.selectbox(key="many_pictures model").set_value("features").run())
    (told,) = app.info
    assert told.value.startswith("features has no classes for pixels, so there is nothing to write.")
    assert any("Inspect" in one.proto.label for one in app.get("page_link"))
    picture = ("a.png", indexed_png(PICTURE[..., 0], CAMVID.colours, {}), "image/png")
    healthy(app.file_uploader(key="many_pictures files").set_value([picture]).run())
    assert next(one for one in app.button if one.label == "Start").disabled
    healthy(app.selectbox(key="many_pictures model").set_value("plain").run())
    assert not app.info and not next(one for one in app.button if one.label == "Start").disabled


# ---- segviz.app -----------------------------------------------------------------------------------------


class Recorded:
    """In place of a server."""

    def __init__(self, port: int) -> None:
        self.port, self.runs = port, 0

    def run(self) -> None:
        self.runs += 1


def test_an_object_is_served_until_the_end_and_offered_by_its_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    servers: list[Recorded] = []

    def make(port: int) -> Recorded:
        servers.append(Recorded(port))
        return servers[-1]

    monkeypatch.setattr(serve_network, "make_server", make)
    monkeypatch.setattr("streamlit.runtime.exists", lambda: False)
    network = nn.Sequential(nn.Conv2d(3, 2, 1)).eval()
    try:
        address = segviz.app(network, classes=["a", "b"], mean=(0, 0, 0), std=(1, 1, 1), title="Mine", block=True)
        (server,) = servers
        assert server.runs == 1 and address == f"http://localhost:{server.port}/inspect?model=sequential"
        assert capsys.readouterr().out == f"Mine: {address}\n"
        entry, live = _live["sequential"]
        assert live.network is network and (entry.title, entry.classes, entry.std) == ("Mine", ("a", "b"), (1, 1, 1))
    finally:
        _live.clear()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "psa"}, "'psa' is a bundled model's"),
        ({"name": "net"}, "'net' is another model's of SEGVIZ_MODELS; choose another name"),
        ({"mean": [0, 0, 0]}, "mean and std belong together"),
        ({"fit": "crop"}, "fit is 'crop'"),
    ],
)
def test_what_an_app_cannot_use_is_refused_before_it_starts(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        segviz.app(nn.Sequential(nn.Conv2d(3, 2, 1)).eval(), **options)
    with pytest.raises(ValueError, match="training mode"):
        segviz.app(nn.Sequential(nn.Conv2d(3, 2, 1)))
    with pytest.raises(TypeError, match=r"needs an nn\.Module"):
        segviz.app("net")  # type: ignore[arg-type]
    assert not _live


def test_several_notes_on_a_network_stand_in_one_list() -> None:
    assert list_notes("net", ["its weights are random"]) == "net: its weights are random."
    assert list_notes("net", ["one is assumed", "two."]) == "net:\n\n- one is assumed.\n- two."


def show_notes_of_an_answer(about: int) -> None:
    from segviz.engine import Result
    from segviz.ui.network_answer import show_network_notes

    notes = ("3 values are not finite (NaN or infinite)",)
    sentences = tuple(f"number {one} is assumed not finite, and shown at 1/2 scale" for one in range(about))
    show_network_notes("psa", Result(None, notes, True, "", 0.0, sentences))


@pytest.mark.parametrize(("about", "warnings", "folded"), [(0, 1, 0), (2, 3, 0), (3, 1, 1)])
def test_notes_on_the_network_are_told_from_those_on_its_answer_whatever_they_say(
    about: int, warnings: int, folded: int
) -> None:
    app = AppTest.from_function(show_notes_of_an_answer, kwargs={"about": about}).run()
    assert not app.exception
    assert (len(app.warning), len(app.expander)) == (warnings, folded)
    assert "3 values are not finite" in app.warning[0].value
