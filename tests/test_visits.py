"""What is kept of a visit: an own picture outlives its session, by an unguessable id, bounded and for a time."""

from __future__ import annotations

import io
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from test_pages import (
    COMPARE,
    GOOD,
    HOME,
    PLAIN,
    PSA,
    SAM,
    component,
    give_truth,
    healthy,
    opened,
    panel,
    shown,
    upload,
)
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran
from test_permalink import followed

from segviz.data.classes import CAMVID
from segviz.data.label_png import indexed_png
from segviz.server.launch import app_script
from segviz.server.visits import COOKIE, VISITS, VisitCookie, VisitStore, is_visit, visit_mark
from segviz.ui import own_picture, resume_sidebar
from segviz.ui.linked_picture import LINKED_UPLOAD
from segviz.ui.own_picture import LOST_UPLOAD, SAMPLES
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import OWN_PICTURE

pytestmark = pytest.mark.timeout(600)
VISIT, OTHER = "v" * 32, "w" * 32


# ---- pictures that show little ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (1, 1, "This picture is a single pixel. Its labels and maps mean nothing."),
        (40, 60, "has no detail: all of its 60 x 40 pixels have one colour"),
    ],
)
def test_a_picture_of_one_colour_is_told(height: int, width: int, words: str) -> None:
    image = np.full((height, width, 3), (90, 91, 200), np.uint8)
    assert words in own_picture.caveat_of(Picture("a", image))
    image[0, 0] += 1  # a file's rounding
    assert words in own_picture.caveat_of(Picture("a", image))


def test_a_strip_is_told_and_other_pictures_are_not() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 200, 3), dtype=np.uint8)
    strip = own_picture.caveat_of(Picture("a", noise, file_size=(200, 2000)))
    assert strip.startswith("This picture is 10 times as wide as high, so it is shown as a strip of 200 x 20 pixels.")
    assert "10 times as high as wide" in own_picture.caveat_of(Picture("a", noise.transpose(1, 0, 2)))
    assert own_picture.caveat_of(Picture("a", noise[:, :100])) == ""


def test_pages_tell_that_a_picture_shows_little(app: AppTest) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "grey").save(buffer, "PNG")
    healthy(upload(opened(app, SAM), "grey.png", buffer.getvalue()))
    assert any("This picture has no detail" in one.value for one in app.info)
    healthy(upload(app, "plain.png", GOOD["plain.png"][0]))
    assert not any("This picture" in one.value for one in app.info)


# ---- the store and the cookie ----------------------------------------------------------------------------


def test_a_visit_gets_only_what_is_its_own() -> None:
    store = VisitStore(1000)
    store.put(VISIT, "a", 1, 10, "session")
    store.put("", "a", 2, 10, "session")
    assert store.get(VISIT, "a") == 1
    assert store.get(OTHER, "a") is store.get("", "a") is store.get(VISIT, "b") is None
    assert store.bytes_by_session() == {"session": 10}


def test_what_is_kept_is_bounded_in_bytes_and_number_and_the_least_used_leaves() -> None:
    store = VisitStore(max_bytes=100, of_visit=3)
    for key in "abcd":
        store.put(VISIT, key, key, 20, "s")
    assert store.values(VISIT) == ["d", "c", "b"]
    assert store.get(VISIT, "b") == "b"
    store.put(OTHER, "x", "x", 60, "t")
    assert store.values(VISIT) == ["b", "d"] and store.values(OTHER) == ["x"]
    store.put(OTHER, "y", "y", 101, "t")
    assert store.values(OTHER) == ["x"]


def test_what_nobody_uses_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("segviz.server.visits.time", SimpleNamespace(monotonic=lambda: now))
    store = VisitStore(1000, seconds=60)
    store.put(VISIT, "a", 1, 10, "s")
    now = 59.0
    assert store.get(VISIT, "a") == 1
    store.expire()
    now = 118.0  # it was used a minute ago, not two
    store.expire()
    assert store.values(VISIT) == [1]
    now = 120.0
    store.expire()
    assert store.bytes_by_session() == {} and store.values(VISIT) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_browser_gets_one_visit_that_scripts_cannot_read(scheme: str) -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("page"))])
    client = TestClient(VisitCookie(app), f"{scheme}://testserver")
    assert "set-cookie" not in client.get("/", headers={"accept": "image/png"}).headers
    cookie = SimpleCookie(client.get("/", headers={"accept": "text/html"}).headers["set-cookie"])[COOKIE]
    assert is_visit(cookie.value) and cookie["httponly"] and cookie["samesite"] == "Lax"
    assert bool(cookie["secure"]) == (scheme == "https")
    assert "set-cookie" not in client.get("/", headers={"accept": "text/html"}).headers  # it has one now
    bad = {"accept": "text/html", "cookie": f"{COOKIE}=guess"}
    assert "set-cookie" in TestClient(VisitCookie(app)).get("/", headers=bad).headers


# ---- pages -----------------------------------------------------------------------------------------------


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser's visit; a test has none otherwise."""
    monkeypatch.setattr(own_picture, "current_visit", lambda: VISIT)
    monkeypatch.setattr(VISITS, "_objects", type(VISITS._objects)())


def address(app: AppTest) -> dict[str, Any]:
    return dict(component(app, "parameters")["parameters"])


def new_session() -> AppTest:
    return AppTest.from_file(str(app_script()), default_timeout=240)


@pytest.mark.usefixtures("visit")
def test_a_reload_shows_the_own_picture_again(app: AppTest) -> None:
    healthy(upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0]))
    assert address(app)["upload"].startswith(visit_mark(VISIT))
    again = followed(new_session(), PSA, address(app))
    np.testing.assert_array_equal(shown(again), PLAIN)
    assert [one.value for one in again.info] == []
    np.testing.assert_array_equal(shown(opened(again, SAM)), PLAIN)
    assert address(again)["upload"] == address(app)["upload"]


@pytest.mark.usefixtures("visit")
def test_a_reload_uses_the_own_labels_again_until_they_are_removed(app: AppTest) -> None:
    app.session_state["compare models"] = ["fcn"]
    labels = np.zeros((360, 480), np.uint8)
    healthy(give_truth(opened(app, COMPARE), indexed_png(labels, CAMVID.colours, {})))
    assert "anything.dat, read as colours" in panel(app, "Truth")["note"]

    def reloaded() -> AppTest:
        return followed(new_session(), COMPARE, {"model": ["fcn"]})

    again = reloaded()
    assert panel(again, "Truth")["note"] == panel(app, "Truth")["note"]
    (remove,) = (one for one in again.button if one.label == "Remove my labels")
    healthy(remove.click().run())
    assert "exact labels" in panel(again, "Truth")["note"] and "exact labels" in panel(reloaded(), "Truth")["note"]


@pytest.mark.usefixtures("visit")
def test_a_picture_that_the_server_lost_is_called_lost(app: AppTest) -> None:
    healthy(upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0]))
    link = address(app)
    VISITS._objects.clear()  # the server was restarted
    again = followed(new_session(), PSA, link)
    assert [one.value for one in again.info] == [LOST_UPLOAD]
    assert again.file_uploader[0].key != "upload"  # whose old file the browser still lists
    healthy(again.file_uploader[0].set_value(("plain.png", GOOD["plain.png"][0], "image/png")).run())
    np.testing.assert_array_equal(shown(again), PLAIN)


def test_somebody_else_s_picture_is_not_shown(app: AppTest, visit: None, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0]))
    link = address(app)
    monkeypatch.setattr(own_picture, "current_visit", lambda: OTHER)
    other = followed(new_session(), PSA, link)
    size = f"{PLAIN.shape[1]} x {PLAIN.shape[0]}"
    assert [one.value for one in other.info] == [f"{LINKED_UPLOAD} It has {size} pixels."]
    assert not any("panels" in one.proto.json for one in other.get("bidi_component"))


@pytest.mark.usefixtures("visit")
@pytest.mark.parametrize("lost", [False, True])
def test_a_page_after_a_lost_session_shows_no_street_instead(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    healthy(upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0]))
    if lost:
        VISITS._objects.clear()
    monkeypatch.setattr(resume_sidebar, "sent_values", lambda: {"source": OWN_PICTURE, "seed": 7.0})
    again = healthy(new_session().run())  # another page, whose address says nothing
    assert again.segmented_control(key="source").value == OWN_PICTURE
    assert [one.value for one in again.info] == ([LOST_UPLOAD] if lost else [])
    if not lost:
        np.testing.assert_array_equal(shown(again), PLAIN)


def test_a_street_is_resumed_too(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = {"source": "Drawn scene", "seed": 7.0, "crowding": 0.25, "pole_width": 99.0}
    monkeypatch.setattr(resume_sidebar, "sent_values", lambda: sent)
    opened(app, HOME)
    assert app.number_input(key="seed").value == 7
    assert app.slider(key="crowding").value == 0.25
    assert app.slider(key="pole_width").value != 99


@pytest.mark.usefixtures("visit")
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_and_earlier_uploads_are_a_click_away(app: AppTest, name: str) -> None:
    healthy(upload(opened(app, PSA), "plain.png", GOOD["plain.png"][0]))
    again = new_session()
    opened(again, PSA)
    healthy(again.segmented_control(key="source").set_value(OWN_PICTURE).run())
    healthy(again.button(key=f"sample {name}").click().run())
    assert shown(again).shape == ((360, 270, 3) if name == "Portrait" else (360, 480, 3))
    (earlier,) = (one for one in again.sidebar.button if one.label == "plain.png")
    healthy(earlier.click().run())
    np.testing.assert_array_equal(shown(again), PLAIN)
