"""Links: what is written into an address comes back from it, and nobody's address can do harm."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import (
    ATTRIBUTION,
    COMPARE,
    FLA,
    INSPECT,
    PSA,
    SAME_PIXEL,
    component,
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
from segviz.server.launch import app_script
from segviz.ui.own_picture import LINKED_UPLOAD
from segviz.ui.page_table import ROWS
from segviz.ui.permalink import Link, read_link
from segviz.ui.picture_sidebar import DRAWN, KNOBS
from segviz.viewer.display import Display
from segviz.viewer.panel import Pin
from segviz.viewer.panels_of_prediction import MEASURES

pytestmark = pytest.mark.timeout(600)
RANGES = {row[0]: (row[2], row[3]) for row in KNOBS}
SHARED = Display(range="shared")


def through_an_address(link: Link, start: Display) -> tuple[Link, tuple[str, ...]]:
    return read_link(parse_qs(urlencode(link.parameters(start))), RANGES, start)


LINKS = {
    "nothing": Link(),
    "a street": Link(seed=999_999, knobs={"crowding": 0.05, "vehicle_distance": 60.0}),
    "own picture": Link(
        upload=True, mark="0123456789abcdef", models=("fla", "fcn"), pins=(Pin(0, 0, 0), Pin(359, 479, 7))
    ),
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
    "model": ["resnet", "../fla", "<b>fla</b>", "FLA", ""],
    "pin": ["1", "1-2-3-4", "-1-2", "1.5-2", "999999-1", "1-2-9", "1-2-٣", "a-b", "", "1-2\n"],
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
    assert [value for name, value in component(app, "parameters")["parameters"] if name == "model"][-1] == "sam"


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
    healthy(upload(app, "plain.png", PICTURES["plain.png"][0]))
    assert viewer(app)["pins"] == [[20, 30, 2]]
    assert viewer(app)["settings"]["scale"] == "log"
    (warning,) = (one.value for one in app.warning)  # the other point lies outside of this picture
    assert warning == "Some of this link cannot be used and was left out: pin."
    link = component(app, "parameters")
    assert link["upload"] and ["picture", "upload"] in link["parameters"]
    assert not any(name == "seed" for name, _ in link["parameters"])


def test_a_malformed_link_gets_one_sentence_on_the_page_that_it_opens(app: AppTest) -> None:
    hostile = "![](http://example.org/x.png)<script>alert(1)</script>"
    followed(app, PSA, {"seed": hostile, "pin": [hostile, "10-10"], "colours": hostile, hostile: "x"})
    (warning,) = (one.value for one in app.warning)
    assert warning == "Some of this link cannot be used and was left out: colours, pin, seed."
    assert viewer(app)["pins"][0][:2] == [10, 10]
    assert len(opened(app, FLA).warning) == len(opened(app, PSA).warning) == 0


# ---- a page's own controls -------------------------------------------------------------------------------

CONTROLS: dict[str, dict[str, Any]] = {
    ATTRIBUTION: {
        "attribution class": 3,
        "attribution where": "Whole picture",
        "attribution methods": ["saliency"],
        "attribution baseline": "black",
        "attribution steps": 16,
        "attribution window": 60,
        "attribution stride": "1/2",
        "attribution relu": True,
    },
    COMPARE: {
        "compare parts": ["Swipe", "Disagreement", "Confidence"],
        "compare measure": MEASURES[1],
        "compare side 0": "fla",
        "compare side 1": "fcn",
    },
}


@pytest.mark.parametrize("page", CONTROLS)
def test_a_link_restores_the_pages_own_controls(app: AppTest, page: str) -> None:
    if page == COMPARE:
        app.session_state["compare models"] = ["fcn", "fla"]
    opened(app, page)
    widgets = {one.key: one for one in app if getattr(one, "key", None) in CONTROLS[page]}
    assert set(widgets) == set(CONTROLS[page])
    key = ROWS[Path(page).stem].key
    own = {one.key for one in app if (getattr(one, "key", None) or "").startswith(f"{key} ")}
    others = {ROWS[key].models_key, "compare between", "compare confusion", *(one for one in own if "export" in one)}
    others |= {one for one in own if one in ("attribution compute", "attribution cancel")}  # buttons
    assert own - others == set(CONTROLS[page])  # a new control is in the link, or is named here
    for key, value in CONTROLS[page].items():
        widgets[key].set_value(value)
    healthy(app.run())
    parameters: dict[str, Any] = {}
    for name, value in component(app, "parameters")["parameters"]:
        parameters.setdefault(name, []).append(value)
    again = AppTest.from_file(str(app_script()), default_timeout=240)
    followed(again, page, parameters)
    assert {key: again.session_state[key] for key in CONTROLS[page]} == CONTROLS[page]
    assert len(again.warning) == 0
    assert sorted(component(again, "parameters")["parameters"]) == sorted(component(app, "parameters")["parameters"])


def test_a_control_s_wrong_value_is_refused(app: AppTest) -> None:
    followed(app, ATTRIBUTION, {"attribution-methods": ["saliency", "magic"], "attribution-steps": "9"})
    healthy(app.run())
    assert app.session_state["attribution methods"] == ["saliency"]
    (warning,) = (one.value for one in app.warning)
    assert warning.endswith("left out: attribution-methods, attribution-steps.")
