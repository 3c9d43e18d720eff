"""Links: what is written into an address comes back from it, and nobody's address can do harm."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Widget
from test_pages import (
    ATTRIBUTION,
    COMPARE,
    FLA,
    INSPECT,
    PSA,
    SAME_PIXEL,
    component,
    encoded,
    has_viewer,
    healthy,
    opened,
    pin,
    shown,
    upload,
    viewer,
)
from test_pages import GOOD as PICTURES
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.data.scenes import SceneOptions, draw_scene
from segviz.figures.disagreement_panel import MEASURES
from segviz.server.launch import app_script
from segviz.ui.linked_picture import LINKED_UPLOAD
from segviz.ui.own_picture import decode_upload
from segviz.ui.page_table import ROWS
from segviz.ui.permalink import Link, read_link
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import DRAWN, KNOBS
from segviz.viewer.display import Display
from segviz.viewer.panel import Pin
from segviz.viewer.source import read_markup
from segviz.viewer.view import ZoomedView

pytestmark = pytest.mark.timeout(600)
RANGES = {row[0]: (row[2], row[3]) for row in KNOBS}
PLAIN = PICTURES["plain.png"][0]
SHARED = Display(range="shared")


def through_an_address(link: Link, start: Display) -> tuple[Link, tuple[str, ...]]:
    return read_link(parse_qs(urlencode(link.parameters(start))), RANGES, start)


LINKS = {
    "nothing": Link(),
    "a street": Link(seed=999_999, knobs={"crowding": 0.05, "vehicle_distance": 60.0}),
    "own picture": Link(
        upload=True,
        size=(3000, 4000),
        mark="0123456789abcdef",
        models=("fla", "fcn"),
        pins=(Pin(0, 0, 0), Pin(359, 479, 7)),
    ),
    "points": Link(pins=(Pin(1, 2, 0), Pin(3, 4, 1)), chosen=1, view=ZoomedView(2.25, 0.1, 0.4)),
    "points after others were removed": Link(pins=(Pin(1, 2, 4), Pin(3, 4, 1), Pin(5, 6, 0)), chosen=5),
    "a small picture": Link(view=ZoomedView(0.5)),
    "display": Link(
        display=Display(
            "gray", 0, "shared", "percentile", "cells", "attended_by", True, True, ("Road", "Sign & symbol", "Sky")
        )
    ),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("start", [Display(), SHARED], ids=["own", "shared"])
def test_a_link_comes_back_from_its_address(name: str, start: Display) -> None:
    assert through_an_address(LINKS[name], start) == (LINKS[name], ())


BAD: dict[str, Sequence[str]] = {
    "seed": ["-1", "1000000", "3.5", "٣", "", "1e3", "0x10"],
    "crowding": ["nan", "inf", "-0.01", "1.01", "much", "", "1" * 400],
    "picture": ["scene", "../../etc/passwd"],
    "upload": ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0"],
    "size": ["", "4000", "0x5", "4000x3000x2", "1e3x5", "٣x5", "4000X3000", "1000000x5"],
    "model": ["resnet", "../fla", "<b>fla</b>", "FLA", ""],
    "pin": ["1", "1-2-3-4", "-1-2", "1.5-2", "999999-1", "1-2-9", "1-2-٣", "a-b", "", "1-2\n"],
    "chosen": ["0", "2", "-1", "last", "01", "٣", ""],
    "zoom": ["0", "nan", "1e3", "1001", "2-0.5", "2-0.5--1", "2-1.1-0", "2-0.5-0.5-1", "٣", "in", "", "1" * 400],
    "colours": ["jet", "<script>alert(1)</script>"],
    "opacity": ["101", "-5", "full", "٣٠"],
    "scale": ["LOG", ""],
    "outlines": ["yes", "1"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_what_is_malformed_is_named_and_the_rest_counts(name: str, value: str) -> None:
    good = Link(seed=5, pins=(Pin(1, 2, 3),), models=("psa",))
    given = {one: [text] for one, text in good.parameters(Display())}
    found, refused = read_link({**given, name: [*given.get(name, []), value]}, RANGES, Display())
    assert refused == (name,)
    assert found == good


def test_more_points_or_values_than_there_can_be_are_left_out() -> None:
    found, refused = read_link({"pin": ["1-2"] * 500, "seed": ["4", "5"]}, RANGES, Display())
    assert len(found.pins) == 8 and found.seed == 4
    assert set(refused) == {"pin", "seed"}


def test_no_two_points_of_a_link_have_one_number() -> None:
    found, refused = read_link({"pin": ["1-2-1", "3-4-1", "5-6-0", "7-8-0"], "chosen": ["3"]}, RANGES, Display())
    assert [pin.number for pin in found.pins] == [2, 3, 1, 4] and refused == ()
    assert found.chosen == 3


def test_names_of_others_are_nobodys_business() -> None:
    assert read_link({"utm_source": ["mail"], "embed": ["true"]}, RANGES, Display()) == (Link(), ())


def test_no_address_at_all_makes_reading_fail() -> None:
    names = [*BAD, "hidden", "direction", *RANGES]
    letters = "0123456789-.,%&=<>٣eEnainf\x00 \n𝟘"
    chance = random.Random(0)
    for _ in range(1000):
        given = {
            chance.choice(names): ["".join(chance.choices(letters, k=chance.randint(0, 9))) for _ in range(3)]
            for _ in range(3)
        }
        found, refused = read_link(given, RANGES, Display())
        assert set(refused) <= set(given)
        assert through_an_address(found, Display())[1] == ()


# ---- pages ----------------------------------------------------------------------------------------------


def followed(app: AppTest, page: str, parameters: dict[str, str | list[str]]) -> AppTest:
    """A new session that opens a page by a link."""
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page(page)
    return healthy(app.run())


def test_a_link_restores_street_points_and_settings(app: AppTest) -> None:
    link = {"seed": "7", "crowding": "0", "pin": ["100-200-4", "20-30-1"], "scale": "log", "hidden": ["Sky", "Road"]}
    followed(app, PSA, link)
    data = viewer(app)
    expected = draw_scene(7, SceneOptions(crowding=0)).image
    assert abs(shown(app).astype(int) - expected).mean() < 3  # JPEG
    assert data["pins"] == [[100, 200, 4], [20, 30, 1]]
    assert data["settings"] == Display(scale="log", hidden=("Road", "Sky")).as_dict()
    assert len(app.warning) == 0
    written = component(app, "parameters")["parameters"]
    assert sorted(map(tuple, written)) == sorted(
        (name, one) for name, value in link.items() for one in ([value] if isinstance(value, str) else value)
    )


@pytest.mark.parametrize(("page", "key"), [(INSPECT, "inspect model"), (COMPARE, "compare models")])
def test_a_link_restores_the_models(app: AppTest, page: str, key: str) -> None:
    several = page == COMPARE
    followed(app, page, {"model": ["fcn", "sam"] if several else "sam"})
    chosen: Any = app.multiselect(key=key).value if several else app.selectbox(key=key).value
    assert chosen == (["fcn", "sam"] if several else "sam")
    assert link_of(app)["model"][-1] == "sam"


def test_the_session_counts_once_the_link_is_read(app: AppTest) -> None:
    followed(app, PSA, {"seed": "7", "pin": "100-200"})
    healthy(app.sidebar.number_input(key="seed").set_value(3).run())
    assert viewer(pin(app, PSA, (5, 6)))["pins"] == [[5, 6, 0]]
    opened(app, FLA)
    assert viewer(app)["pins"] == [[5, 6, 0]]
    assert dict(component(app, "parameters")["parameters"]) == {"seed": "3", "pin": "5-6-0"}


def test_a_page_that_begins_on_one_scale_writes_the_other_into_its_link(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fcn", "spatial_nl"))
    followed(app, SAME_PIXEL, {"range": "own"})
    assert viewer(app)["settings"]["range"] == "own"
    assert dict(component(app, "parameters")["parameters"])["range"] == "own"


def test_a_link_to_an_upload_asks_for_the_file_and_then_applies_the_points(app: AppTest) -> None:
    followed(app, PSA, {"picture": "upload", "pin": ["20-30-2", "500-30-3"], "scale": "log"})
    (message,) = (one.value for one in app.info)
    assert message == LINKED_UPLOAD
    assert not has_viewer(app) and len(app.warning) == 0
    healthy(app.segmented_control(key="source").set_value(DRAWN).run())  # a street, before the file is at hand
    assert viewer(app)["pins"] == [] and len(app.warning) == 0
    healthy(upload(app, "plain.png", PLAIN))
    assert viewer(app)["pins"] == [[20, 30, 2]]
    assert viewer(app)["settings"]["scale"] == "log"
    (warning,) = (one.value for one in app.warning)  # the other point lies outside of this picture
    assert warning == "Some of this link cannot be shown: point “y 500, x 30”."
    link = component(app, "parameters")
    assert link["upload"] and ["picture", "upload"] in link["parameters"]
    assert not any(name == "seed" for name, _ in link["parameters"])


def made_picture(content: bytes) -> Picture:
    """A file as the app shows it."""
    picture = decode_upload("a picture", content)
    assert isinstance(picture, Picture)
    return picture


def notes(app: AppTest) -> list[str]:
    """What pages say of a picture that is not a link's."""
    return [one.value for one in app.info if one.value.startswith("The link was made for")]


def test_a_page_says_that_a_link_was_made_for_another_picture(app: AppTest) -> None:
    content = encoded(Image.new("RGB", (90, 70), (0, 90, 200)), "PNG")
    right, other = made_picture(content), made_picture(PLAIN)
    height, width = right.size
    mark = f"01234567{right.digest[:8]}"
    followed(app, PSA, {"picture": "upload", "size": f"{width}x{height}", "upload": mark, "pin": ["20-30-2"]})
    assert [one.value for one in app.info] == [f"{LINKED_UPLOAD} It has {width} x {height} pixels."]
    healthy(upload(app, "plain.png", PLAIN))
    assert viewer(app)["pins"] == [[20, 30, 2]]
    assert notes(app) == [
        f"The link was made for another picture, of {width} x {height} pixels (this one has {other.size[1]} x "
        f"{other.size[0]}), so its pins may mark other things here."
    ]
    assert len(notes(opened(app, FLA))) == len(notes(opened(app, PSA))) == 1
    link = dict(component(app, "parameters")["parameters"])
    assert link["size"] == f"{other.size[1]}x{other.size[0]}"  # a link from here is for this picture
    healthy(upload(app, "blue.png", content))
    assert notes(app) == []
    healthy(upload(app, "plain.png", PLAIN))  # the visitor's own choice
    assert notes(app) == [] and viewer(app)["pins"] == [[20, 30, 2]]


def test_it_is_said_as_long_as_a_link_s_pins_are_there(app: AppTest) -> None:
    followed(app, PSA, {"picture": "upload", "upload": "0123456789abcdef", "pin": ["20-30-2"]})
    assert [one.value for one in app.info] == [LINKED_UPLOAD]
    healthy(upload(app, "plain.png", PLAIN))
    assert notes(app) == ["The link was made for another picture, so its pins may mark other things here."]
    app.session_state["segviz"].pins = (Pin(5, 5, 0),)
    healthy(app.run())
    assert notes(app) == []


def test_a_link_without_digits_tells_pictures_by_their_size(app: AppTest) -> None:
    height, width = made_picture(PLAIN).size
    followed(app, PSA, {"picture": "upload", "size": f"{width}x{height}", "pin": ["20-30-2"]})
    healthy(upload(app, "plain.png", PLAIN))
    assert notes(app) == []


def test_a_picture_of_the_same_size_is_told_from_a_link_s(app: AppTest) -> None:
    height, width = made_picture(PLAIN).size
    sent = {"picture": "upload", "size": f"{width}x{height}", "upload": "0123456789abcdef", "pin": ["20-30-2"]}
    healthy(upload(followed(app, PSA, sent), "plain.png", PLAIN))
    assert notes(app) == [
        "The link was made for another picture of this size, or for another copy of this one, so its pins may mark "
        "other things here."
    ]


def test_a_malformed_link_gets_one_sentence_on_the_page_that_it_opens(app: AppTest) -> None:
    hostile = "![](http://example.org/x.png)<script>alert(1)</script>"
    followed(app, PSA, {"seed": hostile, "pin": [hostile, "10-10"], "colours": hostile, hostile: "x"})
    (warning,) = (one.value for one in app.warning)
    assert re.sub("“[^”]*”", "“…”", warning) == (
        "Some of this link cannot be shown: colours “…” (shown: viridis), point “…”, street “…” (shown: 3)."
    )
    assert "![" not in warning and "http://" not in warning and "<script>" not in warning
    assert viewer(app)["pins"][0][:2] == [10, 10]
    assert len(opened(app, FLA).warning) == len(opened(app, PSA).warning) == 0


# ---- every control of every page -------------------------------------------------------------------------

SIDEBAR = {
    "seed": 4,
    "pole_width": 0.1,
    "vehicle_size": 1.5,
    "vehicle_distance": 9.0,
    "fence_length": 20.0,
    "crowding": 0.25,
}
LAST = object()  # stands for a control's last option
CONTROLS: dict[str, dict[str, Any]] = {
    "home": {},
    "inspect": {"inspect model": "psa", "inspect beside": "influence"},
    "psa": SIDEBAR,
    "snl": {},
    "sam": {},
    "fla": {},
    "same_pixel": {"same_pixel influence": True},
    "attribution": {
        "attribution model": "snl",
        "attribution class": 3,
        "attribution where": "Whole picture",
        "attribution methods": ["saliency"],
        "attribution baseline": "black",
        "attribution steps": 16,
        "attribution window": 60,
        "attribution stride": "1/2",
        "attribution relu": True,
    },
    "compare": {
        "compare models": ["fcn", "fla"],
        "compare parts": ["Swipe", "Disagreement", "Confidence"],
        "compare between": ["fla", "Truth"],
        "compare measure": MEASURES[1],
        "compare side 0": "fla",
        "compare side 1": "fcn",
        "compare confusion": "fla",
    },
    "many_pictures": {
        "many_pictures model": "psa",
        "many_pictures parts": ["Labels", "Attention maps"],
        "many_pictures point": "At a pixel",
        "many_pictures forms": ["svg"],
        "many_pictures y": 7,
        "many_pictures x": 9,
    },
    "results": {
        "results bars": ["sam"],
        "results measure": "Drawn scenes",
        "results confusion": "sam",
        "results on": LAST,
        "results curves": ["sam"],
        "results format": "PNG",
    },
}  # by page: a value unlike the first for each of its controls; the sidebar is the same on every page with a picture
NOT_WALKED = {"cues": "its pins belong to scenes of its own"}
LEFT_OUT = {
    **dict.fromkeys(SIDEBAR, "walked on another page"),
    "source": "`picture` says it; test_a_link_to_an_upload_asks_for_the_file_and_then_applies_the_points",
    "Next": "changes the street's number",
    r".* export panels|export (format|size|width|letters|caption)": "what a file holds is chosen when it is made",
    r".* export": "makes a file",
    r"segviz-.*\.csv|Example: .*|All records and curves as JSON": "saves a file",
    r"ground truth .*|many_pictures files": "no link can carry a file",
    "Start": "begins a run over files",
    r"attribution (compute|cancel)": "starts or stops a computation",
}  # by a pattern of the control's key, or of its label where it has none: why no link carries it
COMPONENTS_LEFT_OUT = {
    "narrow sidebar": "has no control",
    "drop": "takes files, which no link can carry",
    "link .*|address .*": "is the link itself",
    ".* lost": "has no control",
    "table .*": "the order of the rows: a click restores it",
}  # the same of our own components' keys; the viewer's divider is only moved to look, and begins in the middle
SHOWN = Display("magma", 30, "shared", "percentile", "cells", "attended_by", True, True, ("Road", "Sky"))
ZOOM = {"zoom": 2.25, "top": 0.125, "left": 0.5}
PLACES = ((40, 50), (200, 300))


def controls(app: AppTest) -> dict[str, Any]:
    """The widgets of a page by their keys, or by their labels."""
    return {one.key or one.label: one for one in app if isinstance(one, Widget)}  # type: ignore[attr-defined]


def use_every_control(app: AppTest, page: str) -> dict[str, Any]:
    """Set each of a page's controls to its value in CONTROLS, also those that another brings; return the values."""
    left, values = dict(CONTROLS[page]), {}
    while left:
        present = controls(app)
        ready = [key for key in left if key in present]
        assert ready, f"{page} has no {list(left)}"
        for key in ready:
            value, widget = left.pop(key), present[key]
            values[key] = widget.options[-1] if value is LAST else value
            assert app.session_state[key] != values[key] or key == "compare models"
            widget.set_value(values[key])
        healthy(app.run())
    return values


def use_viewer(app: AppTest, page: str) -> None:
    """Set the viewer's settings and zoom, keep two pins, and choose the first, as the browser reports it."""
    pins = [[y, x, number] for number, (y, x) in enumerate(PLACES)]
    browser = {"settings": SHOWN.as_dict(), "view": ZOOM, "edit": {"mount": "browser", "seq": 1, "pins": pins}}
    app.session_state[page] = browser
    healthy(app.run())
    app.session_state[page] = browser | {"choice": {"mount": "browser", "count": 1, "y": 40, "x": 50}}
    healthy(app.run())


def link_of(app: AppTest) -> dict[str, list[str]]:
    """What the page's copied link says."""
    (data,) = (
        content
        for one in app.get("bidi_component")
        if "parameters" in (content := json.loads(one.proto.json)[0]) and not content["hidden"]
    )
    parameters: dict[str, list[str]] = {}
    for name, value in data["parameters"]:
        parameters.setdefault(name, []).append(value)
    return parameters


def test_every_page_is_walked() -> None:
    assert ROWS.keys() - NOT_WALKED.keys() == CONTROLS.keys()


def is_left_out(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


@pytest.mark.parametrize("page", CONTROLS)
def test_a_link_carries_every_control(app: AppTest, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    if page == "same_pixel":
        monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fcn", "spatial_nl"))
    if page == "compare":
        app.session_state["compare models"] = CONTROLS[page]["compare models"]
    script, has_pictures = ROWS[page].script, ROWS[page].has_viewer
    opened(app, script)
    values = use_every_control(app, page)
    if has_pictures:
        use_viewer(app, page)
    # A new control is in the link, or is named above with the reason why not.
    assert {key for key in controls(app) if not is_left_out(key, LEFT_OUT.keys() - values.keys())} == set(values)
    keys = [one.proto.id.rpartition("-")[2] for one in app.get("bidi_component")]
    assert {key for key in keys if not is_left_out(key, COMPONENTS_LEFT_OUT)} == ({page} if has_pictures else set())

    address = link_of(app)
    again = followed(AppTest.from_file(str(app_script()), default_timeout=240), script, address)
    assert {key: again.session_state[key] for key in values} == values
    if has_pictures:
        shown = viewer(again)
        assert Display.of(shown["settings"]) == SHOWN
        assert shown["view"] == ZOOM
        assert shown["pins"] == viewer(app)["pins"] and len(shown["pins"]) == len(PLACES)
        assert shown["chosen"] == viewer(app)["chosen"] == (0 if page == "attribution" else None)
    assert len(again.warning) == 0
    assert link_of(again) == address
    assert len(urlencode(address, doseq=True)) < 600


def test_all_of_the_viewer_s_controls_are_display_settings_or_zoom() -> None:
    markup = read_markup()
    assert set(re.findall(r'data-setting="(\w+)"', markup)) | {"hidden"} == set(Display().as_dict())
    assert set(re.findall(r"<(?:button|select|input)(?! [^>]*data-(?:setting|zoom))[^>]*>", markup)) == {
        '<button type="button" class="more" aria-expanded="false" aria-controls="display">',
        '<button type="button" class="outside" hidden>',  # shows the whole picture: the zoom is in the link
    }


@pytest.mark.parametrize("page", [one for one in CONTROLS if CONTROLS[one]])
def test_a_first_visit_s_link_names_no_control(app: AppTest, page: str) -> None:
    if page == "compare":
        app.session_state["compare models"] = CONTROLS[page]["compare models"]
    opened(app, ROWS[page].script)
    assert {name for name in link_of(app) if name not in ("seed", "model")} == set()


def test_a_control_s_wrong_value_is_refused(app: AppTest) -> None:
    followed(app, ATTRIBUTION, {"attribution-methods": ["saliency", "magic"], "attribution-steps": "9"})
    told = "Some of this link cannot be shown: methods “magic” (shown: saliency), steps “9” (shown: 32)."
    for _ in range(2):  # at the page's top, at once and after another run
        (warning,) = (one.value for one in app.warning)
        assert warning == told and len(app.toast) == 0
        kinds = [one.type for one in app.main]
        assert kinds.index("warning") < kinds.index("title")
        healthy(app.run())
    assert app.session_state["attribution methods"] == ["saliency"]
