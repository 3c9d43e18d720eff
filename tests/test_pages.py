"""Every page run without a browser: what it shows, what it costs, and what it says when it cannot."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_tables import only_table, tables
from PIL import Image
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from streets import street

from segviz.attention.cells import spread_places
from segviz.attention.maps import AxisChannelAttention
from segviz.attention.statistics import query_dependence
from segviz.catalogue.bundled import bundled_worth
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.data.classes import CAMVID, ClassSet
from segviz.data.label_png import indexed_png
from segviz.engine import Capacity, Engine, Runner, ThreadBackend, engine
from segviz.figures.disagreement_panel import MEASURES, disagreement_panel
from segviz.figures.interesting_places import CLEAREST, LARGEST_CLASS, MOST_DISPUTED, telling_place
from segviz.models.registry import MODELS
from segviz.prediction.predictor import Predictor
from segviz.server.blobs import STORE
from segviz.server.launch import app_script
from segviz.text import escape_markdown, percent_text
from segviz.ui import page_table
from segviz.ui.first_sight import FIRST_MODEL, tell_first
from segviz.ui.map_help import mean_words
from segviz.ui.picture_sidebar import DRAWN, FIRST_SEED, OWN_PICTURE
from segviz.ui.state import ModelProgress, session
from segviz.viewer import wire
from segviz.viewer.panel import LabelMap
from segviz.viewer.panels_of_maps import labels_panel, select_same_classes

PAGES = [row.script for row in page_table.PAGES if row.has_picture]
HOME, INSPECT, PSA, SNL, SAM, FLA, COMPARE, SAME_PIXEL, ATTRIBUTION = (
    page_table.ROWS[key].script
    for key in ("home", "inspect", "psa", "snl", "sam", "fla", "compare", "same_pixel", "attribution")
)
HEIGHT, WIDTH = 96, 120  # of uploads; so few pixels reach the viewer as PNG, exactly
PATIENCE = 240  # seconds for a run on a busy machine

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def pages_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest forgets before every run what app.py says of the folder `pages`; a server is told once."""
    start = PagesManager.__init__

    def told(self: PagesManager, *args: Any, **more: Any) -> None:
        start(self, *args, **more)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", told)


@pytest.fixture(scope="module")
def ran(small_pictures: None) -> Iterator[list[str]]:
    """The models in the order of their forwards, by an engine of these tests alone."""
    models: list[str] = []
    forward = Predictor.__call__

    def counted(self: Predictor, image: Any) -> Any:
        models.append(self.record.model)
        return forward(self, image)

    backend = ThreadBackend(Runner(), Capacity())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "__call__", counted)
        patch.setattr("segviz.engine.client._engine", Engine(backend))
        yield models
    backend.close()  # a thread that computes at the interpreter's end aborts it


@pytest.fixture
def app(ran: list[str]) -> AppTest:
    """A new session of the app, not run yet; what models made of a picture is kept between sessions."""
    return AppTest.from_file(str(app_script()), default_timeout=PATIENCE)


def opened(app: AppTest, page: str) -> AppTest:
    """The session on a page, where it must not have failed."""
    if not len(app):
        app.run()
    return healthy(app.switch_page(page).run())


def healthy(app: AppTest) -> AppTest:
    assert [one.message for one in app.exception] == []
    assert [one.value for one in app.error] == []
    return app


def viewer(app: AppTest) -> dict[str, Any]:
    """What the page gave to its only viewer."""
    return component(app, "panels")


def component(app: AppTest, field: str) -> dict[str, Any]:
    """What the page gave to its only component that has this field."""
    (found,) = (data for one in app.get("bidi_component") if field in (data := json.loads(one.proto.json)[0]))
    assert isinstance(found, dict)
    return found


def has_viewer(app: AppTest) -> bool:
    """Whether the page shows a viewer, beside the sidebar's own component."""
    return any("panels" in json.loads(one.proto.json)[0] for one in app.get("bidi_component"))


def titles(app: AppTest) -> list[str]:
    return [panel["title"] for panel in viewer(app)["panels"]]


def blob(url: str) -> bytes:
    """What the browser gets for a URL of the viewer."""
    found = STORE.get(url.rsplit("/", 1)[1])
    assert found is not None, f"{url} is not served"
    return found.content


def shown(app: AppTest) -> np.ndarray:
    """The picture as the viewer shows it."""
    return np.asarray(Image.open(io.BytesIO(blob(viewer(app)["picture"]))).convert("RGB"))


def pin(app: AppTest, page: str, *places: tuple[int, int]) -> AppTest:
    """The session after its reader pinned places (y, x) on a page, as the browser reports it."""
    key, pins = Path(page).stem, [[y, x, number] for number, (y, x) in enumerate(places)]
    app.session_state[key] = {"edit": {"mount": f"browser {places}", "seq": 1, "pins": pins}}
    return healthy(app.run())


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    if app.segmented_control(key="source").value != OWN_PICTURE:
        app.segmented_control(key="source").set_value(OWN_PICTURE).run()
    return app.file_uploader(key="upload").set_value((name, content, "image/unknown")).run()


# ---- what every page and model owes ---------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs_and_shows_its_viewer(app: AppTest, page: str) -> None:
    opened(app, page)
    data = viewer(app)
    assert len(app.title) == 1
    assert (data["height"], data["width"]) == shown(app).shape[:2] == (360, 480)
    assert len(data["panels"]) >= (1 if page == HOME else 2)
    for panel in data["panels"]:
        assert panel["map"] is None or blob(panel["map"])


def test_all_bundled_models_are_offered(app: AppTest) -> None:
    assert len(opened(app, INSPECT).selectbox(key="inspect model").options) == len(MODELS)
    assert len(opened(app, COMPARE).multiselect(key="compare models").options) == len(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_inspected(app: AppTest, model: str) -> None:
    opened(app, INSPECT)
    healthy(app.selectbox(key="inspect model").set_value(model).run())
    prediction = engine().predict(model, street(FIRST_SEED).image)
    first, *others = viewer(app)["panels"]
    assert first["title"] == "Prediction"
    assert blob(first["map"]).endswith(prediction.labels.tobytes())
    assert others, "nothing but the prediction is shown"
    spatial = any(hasattr(one, "attends_to") for one in prediction.maps.values())
    assert {panel["look"] for panel in others} <= (
        {"attends_to", "attended_by", "strip", "points"} if spatial else {"output", "context"}
    )
    assert len(app.info) == (0 if spatial else 1)


# ---- what runs a model, and what does not ---------------------------------------------------------------

KNOBS = {
    "pole_width": 0.5,
    "vehicle_size": 1.7,
    "vehicle_distance": 8.0,
    "fence_length": 0.0,
    "crowding": 0.0,
}


@pytest.mark.parametrize("knob", KNOBS)
def test_turning_a_knob_changes_the_picture_and_runs_the_model_once(app: AppTest, ran: list[str], knob: str) -> None:
    app.session_state["inspect model"] = "fcn"
    before = shown(opened(app, INSPECT))
    ran.clear()
    healthy(app.slider(key=knob).set_value(KNOBS[knob]).run())
    assert (shown(app) != before).any()
    assert ran == ["fcn"]


def test_the_street_and_its_knobs_are_kept_while_uploads_show(app: AppTest) -> None:
    opened(app, INSPECT)
    app.number_input(key="seed").set_value(7)
    app.slider(key="crowding").set_value(0.9)
    before = shown(healthy(app.run()))
    app.segmented_control(key="source").set_value(OWN_PICTURE).run()
    assert not has_viewer(app)
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())
    assert app.number_input(key="seed").value == 7 and app.slider(key="crowding").value == 0.9
    np.testing.assert_array_equal(shown(app), before)


def test_the_next_street_runs_each_compared_model_once(app: AppTest, ran: list[str]) -> None:
    before = shown(opened(app, COMPARE))
    ran.clear()
    (following,) = (button for button in app.sidebar.button if button.label == "Next")
    healthy(following.click().run())
    assert app.sidebar.number_input(key="seed").value == FIRST_SEED + 1
    assert (shown(app) != before).any()
    assert sorted(ran) == sorted(app.multiselect(key="compare models").value)


def test_changing_pages_and_pinning_run_no_model_again(app: AppTest, ran: list[str]) -> None:
    for page in PAGES:
        opened(app, page)
    ran.clear()
    for page in PAGES:
        opened(app, page)
        pin(app, page, (100, 200))
        assert len(viewer(app)["pins"]) == 1, page
    assert ran == []


def test_models_run_once_for_all_sessions(app: AppTest, ran: list[str]) -> None:
    opened(app, PSA)
    ran.clear()
    opened(AppTest.from_file(str(app_script()), default_timeout=PATIENCE), PSA)
    assert ran == []


@pytest.mark.parametrize(
    ("page", "why"),
    [(PSA, CLEAREST), (SNL, CLEAREST), (SAM, CLEAREST), (INSPECT, CLEAREST), (ATTRIBUTION, CLEAREST),
     (SAME_PIXEL, LARGEST_CLASS), (COMPARE, MOST_DISPUTED)],
)  # fmt: skip
def test_each_page_says_why_it_begins_where_it_does(app: AppTest, page: str, why: str) -> None:
    assert viewer(opened(app, page))["first"] == tell_first(why)


def test_the_start_page_says_below_its_street_why_it_begins_where_it_does(app: AppTest) -> None:
    opened(app, HOME)
    assert f"The page begins {CLEAREST}; point or click elsewhere." in [one.value for one in app.caption]


# ---- pins -----------------------------------------------------------------------------------------------


def test_the_start_page_rests_on_a_pin_that_stays_there_until_the_visitor_sets_one(app: AppTest) -> None:
    prediction = engine().predict(FIRST_MODEL, street(FIRST_SEED).image)
    place = telling_place(prediction.labels, prediction.spatial_maps[0])
    assert viewer(opened(app, HOME))["pins"] == [[*place, 0]]
    assert viewer(opened(app, SNL))["pins"] == []
    pin(opened(app, HOME), HOME, place, (20, 30))
    assert viewer(opened(app, SNL))["pins"] == [[*place, 0], [20, 30, 1]]
    pin(opened(app, SNL), SNL)
    assert viewer(opened(app, HOME))["pins"] == []


def test_the_start_page_leads_to_every_other_page(app: AppTest) -> None:
    links = [link.proto.page for link in opened(app, HOME).main.get("page_link")]
    more = ["results"] * 2  # from what the map's context is worth, and from the map's help
    assert sorted(links) == sorted([*(row.key for row in page_table.PAGES[1:]), *more])


def test_pins_survive_a_change_of_page(app: AppTest) -> None:
    pin(opened(app, PSA), PSA, (100, 200), (300, 50))
    assert titles(app)[-3:] == ["Collect of point 2", "Distribute of point 2", "Prediction"]
    for page in (SNL, COMPARE, PSA):
        assert viewer(opened(app, page))["pins"] == [[100, 200, 0], [300, 50, 1]]
    assert "Samples of point 2" in titles(opened(app, SNL))
    assert viewer(app)["panels"][-1]["at"] == [300, 50]


@pytest.mark.parametrize("page", PAGES)
def test_pins_outside_a_smaller_picture_are_dropped(app: AppTest, page: str) -> None:
    app.session_state["source"] = OWN_PICTURE
    large = drawing().resize((480, 360))
    pin(healthy(upload(opened(app, page), "large.png", encoded(large, "PNG"))), page, (350, 470), (50, 60))
    healthy(upload(app, "small.png", encoded(drawing(), "PNG")))
    assert viewer(app)["height"] == HEIGHT
    assert viewer(app)["pins"] == [[50, 60, 1]]
    pinned = [panel["pin"]["number"] for panel in viewer(app)["panels"] if "pin" in panel]
    known = {HOME: 0, INSPECT: 2, PSA: 2, SNL: 1, SAM: 1, FLA: 0, COMPARE: 0, SAME_PIXEL: 2, ATTRIBUTION: 1}
    assert pinned == [2] * known[page]  # the number that it had beside the other


def test_points_stay_with_the_streets_or_with_the_own_pictures(app: AppTest) -> None:
    pin(opened(app, PSA), PSA, (50, 60))
    healthy(upload(app, "own.png", encoded(drawing(), "PNG")))
    assert viewer(app)["pins"] == []
    app.session_state[Path(PSA).stem] = {"edit": {"mount": "browser", "seq": 2, "pins": [[7, 8, 0]]}}
    healthy(app.run())
    healthy(opened(app, SAM))
    assert viewer(app)["pins"] == [[7, 8, 0]]
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())
    healthy(app.sidebar.button[0].click().run())  # another street
    assert viewer(app)["pins"] == [[50, 60, 0]]
    healthy(app.segmented_control(key="source").set_value(OWN_PICTURE).run())
    assert viewer(app)["pins"] == [[7, 8, 0]]


def test_a_click_in_the_run_that_changes_the_picture_stays_with_the_old_one(app: AppTest) -> None:
    healthy(upload(opened(app, PSA), "own.png", encoded(drawing(), "PNG")))
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())
    app.session_state[Path(PSA).stem] = {"edit": {"mount": "browser", "seq": 1, "pins": [[50, 60, 0]]}}
    healthy(app.segmented_control(key="source").set_value(OWN_PICTURE).run())
    assert viewer(app)["pins"] == []
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())
    assert viewer(app)["pins"] == [[50, 60, 0]]


# ---- uploads --------------------------------------------------------------------------------------------


def drawing() -> Image.Image:
    """Four flat quarters, so that turning, mirroring and wrong colours all show."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (200, 40, 40))
    picture.paste((40, 160, 60), (WIDTH // 2, 0, WIDTH, HEIGHT // 2))
    picture.paste((50, 60, 190), (0, HEIGHT // 2, WIDTH // 2, HEIGHT))
    picture.paste((230, 230, 230), (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    return picture


def encoded(picture: Image.Image, kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


def turned_jpeg() -> bytes:
    """Lying on its side, with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    return encoded(drawing().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def half_transparent() -> Image.Image:
    picture = drawing().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, WIDTH // 2, HEIGHT // 2))
    return picture


def deep_grey() -> Image.Image:
    """16 bits a pixel; a plain conversion to 8 would clip nearly all of it to white."""
    return Image.fromarray(np.asarray(drawing().convert("L")).astype(np.uint16) * 257)


def over_white() -> np.ndarray:
    expected = np.array(drawing())
    expected[: HEIGHT // 2, : WIDTH // 2] = 255
    return expected


def grey() -> np.ndarray:
    return np.asarray(drawing().convert("L").convert("RGB"))


PLAIN = np.asarray(drawing())
GOOD: dict[str, tuple[bytes, np.ndarray, int]] = {
    "plain.png": (encoded(drawing(), "PNG"), PLAIN, 0),
    "transparent.png": (encoded(half_transparent(), "PNG"), over_white(), 0),
    "sixteen bits.png": (encoded(deep_grey(), "PNG"), grey(), 0),
    "palette.png": (encoded(drawing().quantize(16), "PNG"), PLAIN, 2),
    "turned.jpg": (turned_jpeg(), PLAIN, 12),
    "print.jpg": (encoded(drawing().convert("CMYK"), "JPEG", quality=95), PLAIN, 12),
    "web.webp": (encoded(drawing(), "WEBP", lossless=True), PLAIN, 0),
    "bitmap.bmp": (encoded(drawing(), "BMP"), PLAIN, 0),
    "scan.tiff": (encoded(drawing(), "TIFF"), PLAIN, 0),
    "saved by Windows.jfif": (encoded(drawing(), "JPEG", quality=95), PLAIN, 12),
    "without an ending": (encoded(drawing(), "PNG"), PLAIN, 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_upload_is_shown_as_it_looks(app: AppTest, name: str) -> None:
    content, expected, tolerance = GOOD[name]
    app.session_state["inspect model"] = "fcn"
    healthy(upload(opened(app, INSPECT), name, content))
    difference = np.abs(shown(app).astype(int) - expected)
    inside = [slice(4, HEIGHT // 2 - 4), slice(HEIGHT // 2 + 4, -4)]  # JPEG blurs the quarters' borders
    across = [slice(4, WIDTH // 2 - 4), slice(WIDTH // 2 + 4, -4)]
    assert max(int(difference[rows, columns].max()) for rows in inside for columns in across) <= tolerance


def marked(orientation: int) -> bytes:
    """A PNG of the same picture in every orientation: stored turned, with the tag that turns it back."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's number of the transposition that stores it so
    picture = drawing()
    picture.putpixel((70, 30), (255, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture if orientation == 1 else picture.transpose(Image.Transpose(back[orientation]))
    return encoded(stored, "PNG", exif=exif)


def test_a_click_lands_on_the_same_pixel_in_every_orientation(app: AppTest, ran: list[str]) -> None:
    app.session_state["inspect model"] = "sam"
    opened(app, INSPECT)
    ran.clear()
    seen = []
    for orientation in range(1, 9):
        healthy(upload(app, f"{orientation}.png", marked(orientation)))
        pin(app, INSPECT, (30, 70))
        data = viewer(app)
        assert data["pins"] == [[30, 70, 0]]
        assert (shown(app)[30, 70] == (255, 0, 255)).all() and (shown(app)[30, 69] != (255, 0, 255)).any()
        seen.append([blob(panel["map"]) for panel in data["panels"] if panel["map"]])
    assert seen[0] and all(one == seen[0] for one in seen)
    assert ran == ["sam"]  # to the model all eight are one picture


def test_an_upload_stays_while_pages_change(app: AppTest) -> None:
    upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0])
    for page in (SAM, FLA):
        assert (shown(opened(app, page)) == PLAIN).all()


def huge_png() -> bytes:
    """A header of 20,000 x 20,000 pixels, and no pixels: to be refused before anything is unpacked."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "text.png": (b"no picture at all\n" * 50, "not a picture of a known format"),
    "half.jpg": (encoded(drawing(), "JPEG")[:-300], "damaged or incomplete"),
    "huge.png": (huge_png(), "megapixels"),
    "nothing.png": (b"", "the file is empty"),
    "animation [1].png": (encoded(drawing(), "GIF"), "GIF is not supported; use PNG, JPEG, WebP, BMP or TIFF"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_gets_one_sentence_and_the_session_goes_on(app: AppTest, ran: list[str], name: str) -> None:
    content, cause = BAD[name]
    app.session_state["inspect model"] = "fcn"
    opened(app, INSPECT)
    ran.clear()
    upload(app, name, content)
    assert len(app.exception) == 0
    (message,) = (one.value for one in app.error)
    assert len(app.main.error) == 1  # not in the sidebar, which a phone folds away
    assert message.startswith(f"{escape_markdown(name)} cannot be used: ")
    assert cause in message
    assert message.endswith(".")
    assert not has_viewer(app)
    assert ran == []

    healthy(upload(app, "plain.png", GOOD["plain.png"][0]))
    assert (shown(app) == PLAIN).all()
    upload(app, name, content)
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())
    assert shown(app).shape == (360, 480, 3)


# ---- checkpoints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["missing", "damaged"])
@pytest.mark.parametrize("page", PAGES)
def test_a_checkpoint_that_cannot_be_used_gets_a_sentence(
    app: AppTest, page: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if state == "damaged":
        for name in MODELS:
            (tmp_path / f"{name}.safetensors").write_bytes(b"no tensors")
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("segviz.engine.client._engine", Engine())
    app.run()
    app.switch_page(page).run()
    assert [one.message for one in app.exception] == []
    (message,) = (one.value for one in app.error)
    assert "checkpoint" in message or "safetensors" in message
    assert not has_viewer(app)


# ---- Compare --------------------------------------------------------------------------------------------


def panel(app: AppTest, title: str) -> dict[str, Any]:
    """A panel of the page's viewer, by its title."""
    (found,) = (one for one in viewer(app)["panels"] if one["title"] == title)
    assert isinstance(found, dict)
    return found


def labels_of(app: AppTest, title: str) -> np.ndarray:
    """The labels that the browser gets for a panel."""
    return np.frombuffer(blob(panel(app, title)["map"])[-360 * 480 :], np.uint8).reshape(360, 480)


def test_compare_without_a_model_says_what_to_do(app: AppTest) -> None:
    opened(app, COMPARE)
    healthy(app.multiselect(key="compare models").set_value([]).run())
    (message,) = (one.value for one in app.info)
    assert message == "Choose at least one model."
    assert not has_viewer(app)
    healthy(app.multiselect(key="compare models").set_value(["fcn"]).run())
    assert titles(app) == ["Swipe", MODELS["fcn"].title, "Truth"]
    assert [side["title"] for side in panel(app, "Swipe")["sides"]] == [MODELS["fcn"].title, "Truth"]


def test_compare_shows_every_chosen_model_the_truth_and_where_they_disagree(app: AppTest) -> None:
    opened(app, COMPARE)
    healthy(app.multiselect(key="compare models").set_value(list(MODELS)).run())
    assert titles(app) == ["Swipe", "Disagreement", *(row.title for row in MODELS.values()), "Truth"]
    assert [one["title"] for one in viewer(app)["panels"] if one.get("wide")] == ["Swipe", "Disagreement"]
    own_legend = [one["title"] for one in viewer(app)["panels"] if one.get("legend", True)]
    assert own_legend == ["Disagreement"]  # its levels are no classes
    scene = street(FIRST_SEED)
    np.testing.assert_array_equal(labels_of(app, "Truth"), scene.labels)
    votes = np.stack([engine().predict(name, scene.image).labels for name in MODELS])
    distinct = np.array([(votes == label).any(0) for label in range(len(CAMVID.names))]).sum(0)
    np.testing.assert_array_equal(labels_of(app, "Disagreement"), distinct - 1)
    assert panel(app, "Disagreement")["levels"] is True
    assert panel(app, "Disagreement")["classes"][:2] == ["all agree", "2 different classes"]
    assert panel(app, "Disagreement")["note"] == "where the 11 models give different classes, outlined"


def test_disagreement_is_of_any_set_and_by_majority_too(app: AppTest) -> None:
    opened(app, COMPARE)
    app.segmented_control(key="compare measure").set_value("Share against the majority").run()
    chosen = ["channel_nl", "fla", "Truth"]
    healthy(app.multiselect(key="compare between").set_value(chosen).run())
    scene = street(FIRST_SEED)
    maps = np.stack([*(engine().predict(name, scene.image).labels for name in chosen[:2]), scene.labels])
    most = np.array([(maps == label).sum(0) for label in range(len(CAMVID.names))]).max(0)
    np.testing.assert_array_equal(labels_of(app, "Disagreement"), 3 - most)
    assert panel(app, "Disagreement")["classes"] == [
        "all agree",
        "1 of 3 differ (33\N{NO-BREAK SPACE}%)",
        "2 of 3 differ (67\N{NO-BREAK SPACE}%)",
    ]
    told = "how many of the 2 models and the truth differ from the most frequent class, outlined"
    assert panel(app, "Disagreement")["note"] == told
    healthy(app.multiselect(key="compare models").set_value(["fla", "psa"]).run())  # a new one is of the set
    assert app.multiselect(key="compare between").value == ["fla", "psa", "Truth"]
    for page in (SAM, COMPARE):
        opened(app, page)
    assert app.multiselect(key="compare between").value == ["fla", "psa", "Truth"]
    healthy(app.multiselect(key="compare between").set_value(["psa"]).run())
    assert "Disagreement" not in titles(app)


def test_void_is_no_answer() -> None:
    one, other = np.array([[0, 0, 1]], np.uint8), np.array([[0, 1, 255]], np.uint8)
    for measure in MEASURES:
        levels = disagreement_panel([one, other], measure).map
        assert isinstance(levels, LabelMap)
        assert levels.labels.tolist() == [[0, 1, 255]]
        assert len(levels.classes) == len(levels.palette) == 2


def test_a_number_of_different_classes_has_one_colour_whichever_maps_are_compared() -> None:
    maps = [np.full((1, 2), number, np.uint8) for number in range(16)]
    palettes = [disagreement_panel(maps[:count], MEASURES[0]).map.palette for count in (2, 6, 16)]  # type: ignore[union-attr]
    for palette in palettes[:2]:
        np.testing.assert_array_equal(palette, palettes[2][: len(palette)])
    assert len(np.unique(palettes[2][:12], axis=0)) == 12
    thirds, sixths = (disagreement_panel(maps[:count], MEASURES[1]).map.palette for count in (3, 6))  # type: ignore[union-attr]
    np.testing.assert_array_equal(thirds, sixths[::2])


def test_only_maps_of_the_same_classes_can_disagree() -> None:
    labels, others = np.zeros((2, 2), np.uint8), ClassSet(("cat", "dog"), ((1, 2, 3), (4, 5, 6)))
    panels = {"a": labels_panel(labels, CAMVID, "a"), "b": labels_panel(labels, others, "b")}
    assert list(select_same_classes({**panels, "c": panels["a"]})) == ["a", "c"]
    assert list(select_same_classes({**panels, "c": panels["b"]})) == ["b", "c"]  # most have these
    assert list(select_same_classes(panels)) == ["a"]
    assert select_same_classes({}) == {}


def test_any_two_maps_lie_beside_the_divider(app: AppTest) -> None:
    opened(app, COMPARE)
    app.selectbox(key="compare side 0").set_value("fla").run()
    healthy(app.selectbox(key="compare side 1").set_value("Truth").run())
    left, right = panel(app, "Swipe")["sides"]
    assert left["map"] == panel(app, MODELS["fla"].title)["map"]
    assert right["map"] == panel(app, "Truth")["map"]
    healthy(app.multiselect(key="compare models").set_value(["psa", "dual_nl"]).run())  # fla is gone
    assert [side["title"] for side in panel(app, "Swipe")["sides"]] == [MODELS["psa"].title, "Truth"]


def test_confidence_is_a_map_of_each_model(app: AppTest) -> None:
    opened(app, COMPARE)
    assert not any(title.startswith("Confidence") for title in titles(app))
    healthy(app.button_group(key="compare parts").set_value(["Confidence"]).run())
    shown = app.multiselect(key="compare models").value
    assert titles(app) == [f"Confidence: {MODELS[name].title}" for name in shown]
    for name, one in zip(shown, viewer(app)["panels"], strict=True):
        confidence = engine().predict(name, street(FIRST_SEED).image).confidence
        steps = np.frombuffer(blob(one["map"])[-2 * 360 * 480 :], "<u2").reshape(360, 480)
        np.testing.assert_allclose(steps / wire.SHARE_STEPS, confidence, atol=1e-5)
        assert one["look"] == "shares"


def shares_of(truth: np.ndarray, labels: np.ndarray) -> list[float | None]:
    """IoU by class in percent, counted here; None where neither has the class."""
    counted = truth < len(CAMVID.names)
    found: list[float | None] = []
    for label in range(len(CAMVID.names)):
        is_true, is_said = (truth == label) & counted, (labels == label) & counted
        union = (is_true | is_said).sum()
        found.append(100 * float((is_true & is_said).sum() / union) if union else None)
    return found


def check_scores(app: AppTest, model: str, truth: np.ndarray) -> None:
    """Table, note, bars and confusions of a model are those of the truth."""
    labels = engine().predict(model, street(FIRST_SEED).image).labels
    expected = shares_of(truth, labels)
    mean = float(np.mean([share for share in expected if share is not None]))
    table = only_table(app)
    assert table["Class"] == [*CAMVID.names, "Mean"]
    column = table[MODELS[model].title]
    assert [share is None for share in column] == [share is None for share in [*expected, mean]]
    known = [(one, other) for one, other in zip(column, [*expected, mean], strict=True) if one is not None]
    np.testing.assert_allclose(*zip(*known, strict=True), atol=0.006)
    assert panel(app, MODELS[model].title)["note"] == f"mIoU {percent_text(mean / 100, 1)} on this picture"
    bars, heat = (json.loads(one.proto.spec)["data"] for one in app.get("plotly_chart"))
    (bar,) = (one for one in bars if one["name"] == MODELS[model].title)
    assert [text == "–" for text in bar["text"]] == [share is None for share in expected]
    app.selectbox(key="compare confusion").set_value(model).run()
    heat = json.loads(healthy(app).get("plotly_chart")[1].proto.spec)["data"][0]
    road, building = CAMVID.names.index("Road"), CAMVID.names.index("Building")
    count = int(((truth == building) & (labels == road)).sum())
    assert f"true Building<br>predicted Road<br>{count:,} pixels" in heat["hovertext"][building][road]


def test_tables_explain_their_columns_without_a_pointer(app: AppTest) -> None:
    healthy(opened(app, SAME_PIXEL))
    (told,) = (one for one in app.expander if one.label == "What the columns mean")
    (words,) = (one.value for one in told.markdown)
    assert words.count("\n") > 5 and "- **Distance (px)**: Mean distance of the weight from the point" in words


def test_compare_scores_scenes_by_their_labels(app: AppTest) -> None:
    check_scores(opened(app, COMPARE), "fla", street(FIRST_SEED).labels)


def give_truth(app: AppTest, content: bytes) -> AppTest:
    """A file of labels, by the page's uploader."""
    (uploader,) = (one for one in app.main.get("file_uploader"))
    return uploader.set_value(("anything.dat", content, "text/plain")).run()


def test_labels_by_upload_count_instead_and_void_does_not(app: AppTest) -> None:
    scene, bicyclist = street(FIRST_SEED), CAMVID.names.index("Bicyclist")
    truth = scene.labels.copy()
    truth[(truth == bicyclist) | (engine().predict("fla", scene.image).labels == bicyclist)] = 255
    truth[250:] = 255
    healthy(give_truth(opened(app, COMPARE), indexed_png(truth, CAMVID.colours, {})))
    np.testing.assert_array_equal(labels_of(app, "Truth"), truth)
    void = percent_text((truth == 255).mean(), 1)
    assert panel(app, "Truth")["note"] == f"anything.dat, read as colours; {void} void"
    check_scores(app, "fla", truth)
    assert only_table(app)[MODELS["fla"].title][bicyclist] is None  # absent, so no 0
    for page in (SAM, COMPARE):  # the uploader forgets its file; the labels are still there
        opened(app, page)
    np.testing.assert_array_equal(labels_of(app, "Truth"), truth)
    (remove,) = (one for one in app.button if one.label == "Remove my labels")
    healthy(remove.click().run())
    assert panel(app, "Truth")["note"] == "exact labels of the drawn scene"


def test_labels_are_of_one_picture_alone(app: AppTest) -> None:
    truth = np.full((360, 480), 3, np.uint8)
    healthy(give_truth(opened(app, COMPARE), indexed_png(truth, CAMVID.colours, {})))
    healthy(app.number_input(key="seed").set_value(FIRST_SEED + 1).run())
    np.testing.assert_array_equal(labels_of(app, "Truth"), street(FIRST_SEED + 1).labels)


def test_labels_that_cannot_be_used_get_one_sentence_and_the_page_goes_on(app: AppTest) -> None:
    truth = street(FIRST_SEED).labels.copy()
    truth[4, 7:9] = 77
    give_truth(opened(app, COMPARE), encoded(Image.fromarray(truth), "PNG"))
    assert len(app.exception) == 0
    (message,) = (one.value for one in app.error)
    assert message == (
        "anything.dat cannot be used as ground truth: no class has the index 77 (2 pixels, first at x 7, y 4); "
        "classes are 0 to 10, void is 255. The scores below use the drawn scene's labels."
    )
    assert panel(app, "Truth")["note"] == "exact labels of the drawn scene"
    truth[4, 7:9] = 5
    give_truth(app, encoded(Image.fromarray(truth), "PNG"))
    assert app.warning[0].value.endswith("with these models. The scores below use the drawn scene's labels.")
    healthy(give_truth(app, indexed_png(street(FIRST_SEED).labels, CAMVID.colours, {})))
    assert "anything.dat" in panel(app, "Truth")["note"]


def test_compare_scores_an_upload_once_it_has_labels_of_its_own_size(app: AppTest) -> None:
    large = drawing().resize((1600, 1280), Image.Resampling.NEAREST)
    app.session_state["compare models"] = ["fcn"]
    upload(opened(app, COMPARE), "large.png", encoded(large, "PNG"))
    healthy(app)
    assert len(tables(app)) == len(app.get("plotly_chart")) == 0
    assert "Truth" not in titles(app)
    assert not any("IoU" in one["note"] for one in viewer(app)["panels"])
    assert "Scores need labels" in app.main.caption[-1].value
    truth = np.zeros((1280, 1600), np.uint8)
    truth[:, 800:] = 5
    give_truth(app, encoded(Image.fromarray(truth[::2, ::2].copy()), "PNG"))
    assert "the labels are 800 x 640 pixels, but the picture is 1600 x 1280" in app.error[0].value
    assert "scores" not in app.error[0].value, "there are none"
    assert "anything.dat cannot be used: the labels are 800 x 640 pixels" in app.main.caption[-1].value
    healthy(give_truth(app, encoded(Image.fromarray(truth), "PNG")))
    assert "Truth" not in titles(app) and len(tables(app)) == 0  # bare numbers count once their classes are confirmed
    (question,) = (one.value for one in app.warning)
    assert "0 Sky (50.0 %), 5 Tree (50.0 %)" in question
    assert app.main.caption[-1].value == "Scores need labels: answer the question above, and yours are used."
    (yes,) = (one for one in app.button if one.label == "Yes, use these labels")
    healthy(yes.click().run())
    assert not app.warning
    assert (viewer(app)["height"], viewer(app)["width"]) == (1024, 1280)
    told = [one.value for one in app.sidebar.caption]
    assert "It has 1600 x 1280 pixels, and is shown at 1280 x 1024; points are counted in these." in told
    shown = np.frombuffer(blob(panel(app, "Truth")["map"])[-1024 * 1280 :], np.uint8).reshape(1024, 1280)
    assert (shown[:, :640] == 0).all() and (shown[:, 640:] == 5).all()
    assert len(tables(app)) == 1 and len(app.get("plotly_chart")) == 2


# ---- FLA and SAM: the charts below the viewer -----------------------------------------------------------


def heatmaps(app: AppTest) -> list[tuple[str, np.ndarray]]:
    """The charts' titles and values."""
    figures = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    return [(figure["layout"]["title"]["text"], numbers(figure["data"][0]["z"])) for figure in figures]


def blocks(matrix: Any) -> np.ndarray:
    """The largest weight of every 6 x 6 channels, as the charts show."""
    padded = np.pad(np.asarray(matrix), (0, -len(matrix) % 6))
    return padded.reshape(len(padded) // 6, 6, -1, 6).max((1, 3))


def numbers(value: Any) -> np.ndarray:
    """plotly writes arrays as base64, or as lists."""
    if isinstance(value, dict):
        flat = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return flat.reshape([int(size) for size in str(value.get("shape", flat.size)).split(",")])
    return np.asarray(value, np.float32)


def test_fla_affinities_have_the_viewers_colours(app: AppTest) -> None:
    opened(app, FLA)
    app.session_state[Path(FLA).stem] = {"settings": {"colours": "magma"}}
    charts = [json.loads(one.proto.spec) for one in healthy(app.run()).get("plotly_chart")]
    assert len(charts) == 3
    for chart in charts:
        stops = chart["data"][0]["colorscale"]
        # not in hexadecimal: Streamlit takes #000001 to #000019 for its theme's, and magma begins with #000004
        assert [stops[0], stops[-1]] == [[0, "rgb(0, 0, 4)"], [1, "rgb(252, 253, 191)"]]
        assert [float(place) for place, _ in stops] == pytest.approx(np.linspace(0, 1, len(stops)))


def test_fla_says_which_point_its_affinities_are_of(app: AppTest) -> None:
    opened(app, FLA)
    assert any(one.value.startswith("Showing the centre (y 180, x 240). Pin a point to look") for one in app.caption)
    pin(app, FLA, (20, 400))
    assert any(one.value.startswith("At the last pin (y 20, x 400). ") for one in app.caption)


def test_fla_affinities_are_those_of_the_pinned_row_and_column(app: AppTest) -> None:
    opened(app, FLA)
    scene = street(FIRST_SEED)
    prediction = engine().predict("fla", scene.image)
    rows, columns = (prediction.map_of(AxisChannelAttention, axis) for axis in ("rows", "columns"))
    height, width = rows.grid
    middle = heatmaps(app)
    np.testing.assert_allclose(middle[0][1], blocks(rows.matrix(height // 2)), rtol=1e-5)
    np.testing.assert_allclose(middle[1][1], blocks(columns.matrix(width // 2)), rtol=1e-5)

    pin(app, FLA, (20, 400))
    row, column = int(20.5 * height / 360), int(400.5 * width / 480)
    by_row, by_column, whole = heatmaps(app)
    assert (by_row[0], by_column[0]) == (f"FLA, row {row}", f"FLA, column {column}")
    np.testing.assert_allclose(by_row[1], blocks(rows.matrix(row)), rtol=1e-5)
    np.testing.assert_allclose(by_column[1], blocks(columns.matrix(column)), rtol=1e-5)
    expected = engine().predict("channel_nl", scene.image).maps["channel"].matrix  # type: ignore[union-attr]
    np.testing.assert_allclose(whole[1], blocks(expected), rtol=1e-5)
    sums = rows.matrix(row).sum(0)
    assert any(f"from channels {int(sums.argmax())} ({float(sums.max()):.1f} of" in one.value for one in app.caption)


def test_sam_sets_the_newest_two_points_side_by_side(app: AppTest) -> None:
    pin(opened(app, SAM), SAM, (100, 60), (100, 240), (100, 420))
    assert titles(app) == ["Column map", "Attends to", "Column map of point 2", "Column map of point 3"]
    bars = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert [bar["name"] for bar in bars] == ["point 2 (y 100, x 240)", "point 3 (y 100, x 420)"]
    strip = engine().predict("sam", street(FIRST_SEED).image).maps["strip"]
    weights = strip.strip_weights(*strip.cell(100, 420, 360, 480))  # type: ignore[union-attr]
    np.testing.assert_allclose(numbers(bars[1]["y"]), weights, rtol=1e-5)


# ---- Same pixel -----------------------------------------------------------------------------------------


def test_every_block_shows_its_map_or_says_why_it_has_none(app: AppTest) -> None:
    panels = {panel["title"]: panel for panel in viewer(opened(app, SAME_PIXEL))["panels"]}
    assert (viewer(app)["settings"]["range"], viewer(app)["settings"]["scale"]) == ("shared", "log")
    scene = street(FIRST_SEED)
    predictions = {name: engine().predict(name, scene.image) for name in MODELS}
    spatial = {
        (name, one.name)
        for name, prediction in predictions.items()
        for one in prediction.maps.values()
        if hasattr(one, "attends_to")
    }
    assert len(panels) == len(spatial)
    for name, map_name in spatial:
        title = MODELS[name].title if name != "psa" else f"{MODELS[name].title}: {map_name}"
        assert panels[title]["look"] == "either" and panels[title]["stats"] and blob(panels[title]["map"])
        worth = bundled_worth(name)
        assert worth is not None and panels[title]["worth"] == f"{worth.note()}{mean_words(name)}"
    assert any("(this seed; mean of 2 seeds: val " in str(panel["worth"]) for panel in panels.values())
    (folded,) = (one.value for one in app.caption if one.value.startswith("Without a map of places"))
    for name, why in {"fcn": "no block", "channel_nl": "not places", "fla": "not places"}.items():
        assert f"{MODELS[name].title} (" in folded and why in folded
    (reasons,) = (one.value for one in app.markdown if "attention missing" in one.value)
    lines = reasons.splitlines()
    named = [sum(f"**{row.title}**" in line for row in MODELS.values()) for line in lines]
    assert named == [1, 3, 1]
    rows, columns = (float(share) for share in re.findall(r"(?:rows|columns) ([\d.]+) %", lines[2]))
    assert rows == pytest.approx(100 * variation(predictions["fla"].map_of(AxisChannelAttention, "rows")), abs=0.1)
    assert columns == pytest.approx(
        100 * variation(predictions["fla"].map_of(AxisChannelAttention, "columns")), abs=0.1
    )


def variation(map_: AxisChannelAttention) -> float:
    """Mean total variation distance between the matrices of eight lines, channel by channel."""
    count = map_.grid[0 if map_.axis == "rows" else 1]
    matrices = [map_.matrix(int((number + 0.5) * count / 8)).double() for number in range(8)]
    pairs = [(one - other).abs().sum(1).mean() / 2 for one, other in itertools.combinations(matrices, 2)]
    return float(sum(pairs) / len(pairs))


def test_the_same_pixels_numbers_are_those_of_the_pin_in_either_direction(app: AppTest) -> None:
    opened(app, SAME_PIXEL)
    assert set(only_table(app)["Point"]) == {"mean", "val"}
    scene, place = street(FIRST_SEED), (200, 243)
    maps = sum(len(engine().predict(name, scene.image).spatial_maps) for name in MODELS)
    for direction in ("attends_to", "attended_by"):
        edit = {"mount": f"browser {direction}", "seq": 1, "pins": [[*place, 0]]}
        app.session_state["same_pixel"] = {"edit": edit, "settings": {"direction": direction, "range": "shared"}}
        table = only_table(healthy(app.run()))
        recorded = ["val"] * maps if direction == "attends_to" else []
        assert table["Point"] == ["1"] * maps + ["mean"] * maps + recorded
        prediction = engine().predict("spatial_nl", scene.image)
        map_: Any = prediction.maps["spatial"]
        row, column = map_.cell(*place, 360, 480)
        weights = (map_.attends_to if direction == "attends_to" else map_.attended_by)(row, column).double().numpy()
        shares = weights / weights.sum()
        own = {head: column[0] for head, column in table.items()}
        assert own["Model"] == MODELS["spatial_nl"].title
        assert own["Class"] == prediction.classes[prediction.labels[place]]
        assert own["Entropy (bits)"] == pytest.approx(
            -(shares[shares > 0] * np.log2(shares[shares > 0])).sum(), rel=1e-4
        )
        rows, columns = map_.grid
        down, along = np.meshgrid(np.arange(rows) - row, np.arange(columns) - column, indexing="ij")
        assert own["Distance (px)"] == pytest.approx((shares * np.hypot(down, along)).sum() * 360 / rows, rel=1e-4)
        side = 360 // rows
        blocks = prediction.labels.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows, columns, side**2)
        majority = (blocks[..., None] == np.arange(len(CAMVID.names))).sum(2).argmax(2)
        majority[row, column] = prediction.labels[place]
        same = majority == prediction.labels[place]
        assert own["Own class (%)"] == pytest.approx(100 * shares[same].sum(), rel=1e-4)
        assert own["Even own class (%)"] == pytest.approx(100 * same.mean(), rel=1e-4)
        places = spread_places(map_.grid, 36)
        assert own["Depends (%)"] == pytest.approx(100 * query_dependence(map_, places, direction), abs=1e-6)
    assert viewer(app)["settings"]["direction"] == "attended_by"
    ways = [viewer(opened(app, page))["settings"] for page in (PSA, SAME_PIXEL)]  # the range is this page's own
    assert [(one["range"], one["scale"]) for one in ways] == [("own", "auto"), ("shared", "auto")]


def test_stop_leaves_models_out_until_the_rest_is_asked_for(
    app: AppTest, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("fcn", "channel_nl", "spatial_nl", "sam")
    app.session_state["inspect model"] = "fcn"
    opened(app, INSPECT)
    app.sidebar.number_input(key="seed").set_value(77).run()
    ran.clear()
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: names)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        opened(app, SAME_PIXEL)
    assert ran == ["channel_nl", "spatial_nl"]
    (waiting,) = (panel for panel in viewer(app)["panels"] if "as soon as" in panel["note"])
    assert waiting["title"] == MODELS["sam"].title and waiting["stats"]
    healthy(app.button(key="same_pixel resume").click().run())
    assert ran == list(names[1:])
    assert not any("as soon as" in panel["note"] for panel in viewer(app)["panels"])


def test_inspect_says_first_that_a_model_has_no_map_to_follow(app: AppTest) -> None:
    opened(app, INSPECT)
    for model, follows in (("spatial_nl", True), ("channel_nl", False)):
        healthy(app.selectbox(key="inspect model").set_value(model).run())
        assert any("the maps follow" in one.value for one in app.caption) == follows
        assert any("has no map from place to place" in one.value for one in app.info) != follows
    assert any("for the whole picture (FLANet calls this “attention missing”)." in one.value for one in app.info)
    assert titles(app) == ["Prediction", "Attended features", "Context"]


def test_same_pixel_leads_to_the_page_of_flanet_s_figure(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fla",))
    healthy(opened(app, SAME_PIXEL))
    assert any("FLANet's own figure shows its attended features." in one.value for one in app.markdown)
    links = {one.proto.page: one.proto.label for one in app.get("page_link")}
    assert links["fla"] == f"FLANet's own figure →\N{NO-BREAK SPACE}{page_table.ROWS['fla'].title}"


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The reader presses Stop while the model of this number runs."""
    ask = Engine.ask

    def pressed(self: Engine, model: str, image: Any, *more: Any, **others: Any) -> Any:
        found, done = ask(self, model, image, *more, **others), filling_now()
        if len(done.ran) == count:
            done.stop()
        return found

    def filling_now() -> ModelProgress:
        return session().progress["same_pixel"]

    monkeypatch.setattr(Engine, "ask", pressed)


def test_one_broken_checkpoint_is_named_and_the_other_models_go_on(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Engine.ask

    def broken(self: Engine, model: str, image: Any, *more: Any, **others: Any) -> Any:
        if model == "rcca":
            raise CheckpointError("checkpoint 'rcca.safetensors' is damaged")
        return ask(self, model, image, *more, **others)

    monkeypatch.setattr(Engine, "ask", broken)
    monkeypatch.setattr(Engine, "is_cached", lambda self, model, image: model != "rcca" and known(self, model, image))
    app.run()
    app.switch_page(SAME_PIXEL).run()
    assert [one.message for one in app.exception] == []
    (message,) = (one.value for one in app.error)
    assert MODELS["rcca"].title in message and "is damaged" in message
    assert sum("as soon as" in panel["note"] for panel in viewer(app)["panels"]) == 1


known = Engine.is_cached
