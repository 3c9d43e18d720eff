"""The session is one typed object, every widget keeps its value in one way, and old addresses lead to their pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from streets import street
from test_pages import PSA, SAME_PIXEL, SNL, component, healthy, opened, pin, shown, viewer
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.engine import digest
from segviz.server.launch import app_script
from segviz.ui import picture as pictures
from segviz.ui.page_table import PAGES, ROWS, Group
from segviz.ui.picture import Picture
from segviz.ui.state import STATE_KEY, SessionState
from segviz.viewer.panel import Pin

pytestmark = pytest.mark.timeout(600)
RESULTS, MANY = ROWS["results"].script, ROWS["many_pictures"].script


def state(app: AppTest) -> SessionState:
    found: SessionState = app.session_state[STATE_KEY]
    return found


# ---- the session's state ---------------------------------------------------------------------------------


def test_the_session_has_one_key_besides_those_of_widgets(app: AppTest) -> None:
    widgets: set[str] = set()
    for page in (PSA, SNL, RESULTS, MANY, PSA):
        opened(app, page)
        widgets |= {one.key for one in app if getattr(one, "key", None)}
    kept = set(app.session_state._state.filtered_state) - widgets - set(state(app).widget_pages)
    assert kept - {f"link {key}" for key in ROWS} - set(ROWS) == {STATE_KEY}  # the components' own keys


def test_what_a_visitor_did_is_in_the_state(app: AppTest) -> None:
    pin(opened(app, PSA), PSA, (100, 200))
    now = state(app)
    assert (now.page, now.pins, now.pins_source) == ("psa", (Pin(100, 200, 0),), "Drawn scene")
    assert isinstance(now.picture, Picture) and now.picture.name == "street 3"
    assert now.edits["psa"] == ("browser ((100, 200),)", 1)
    assert now.link.address == {} and now.link.refused == ()
    assert state(opened(app, MANY)).picture is now.picture  # kept while a page shows none


# ---- widgets ---------------------------------------------------------------------------------------------


def test_a_widget_of_several_pages_has_one_value_at_once(app: AppTest) -> None:
    opened(app, PSA)
    healthy(app.segmented_control(key="export format").set_value("svg").run())
    for page in (SNL, MANY, PSA):
        opened(app, page)
        if page != MANY:
            assert app.segmented_control(key="export format").value == "svg"
            assert any(one.value.startswith("Vectors for a paper or an editor") for one in app.caption)


def test_widgets_keep_their_values_while_other_pages_are_shown(app: AppTest) -> None:
    opened(app, RESULTS)
    app.segmented_control(key="results measure").set_value("Drawn scenes")
    app.multiselect(key="results bars").set_value(["fla"])
    healthy(app.selectbox(key="results confusion").set_value("sam").run())
    opened(app, MANY)
    app.selectbox(key="many_pictures model").set_value("psa")
    healthy(app.pills(key="many_pictures parts").set_value(["Attention maps"]).run())
    healthy(app.segmented_control(key="many_pictures point").set_value("At a pixel").run())
    healthy(app.number_input(key="many_pictures y").set_value(7).run())
    for page in (SNL, RESULTS, MANY):
        opened(app, page)
    assert app.selectbox(key="many_pictures model").value == "psa"
    assert app.pills(key="many_pictures parts").value == ["Attention maps"]
    assert app.number_input(key="many_pictures y").value == 7
    opened(app, RESULTS)
    assert app.segmented_control(key="results measure").value == "Drawn scenes"
    assert app.multiselect(key="results bars").value == ["fla"]
    assert app.selectbox(key="results confusion").value == "sam"


def changing_options() -> None:
    import streamlit as st

    from segviz.ui.widgets import keep_widget

    names = ["a", "b", "c"] if st.checkbox("all", True, key="all") else ["b"]
    st.selectbox("one", names, **keep_widget("one", names[0], names))
    st.multiselect("several", names, **keep_widget("several", list(names), names))


def test_a_value_that_is_no_option_any_more_gives_way_to_the_start() -> None:
    app = AppTest.from_function(changing_options).run()
    app.selectbox(key="one").set_value("c")
    app.multiselect(key="several").set_value(["a", "b"]).run()
    assert (app.selectbox(key="one").value, app.multiselect(key="several").value) == ("c", ["a", "b"])
    app.checkbox(key="all").set_value(False).run()
    assert (app.selectbox(key="one").value, app.multiselect(key="several").value) == ("b", ["b"])


# ---- pictures and pages ----------------------------------------------------------------------------------


def test_a_picture_is_hashed_once_when_it_is_made(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fcn", "psa"))
    hashed: list[tuple[int, ...]] = []

    def counted(array: np.ndarray) -> str:
        hashed.append(array.shape)
        return digest(array)

    for module in ("segviz.ui.picture", "segviz.engine.request", "segviz.ui.viewer_blobs"):
        monkeypatch.setattr(f"{module}.digest", counted)
    opened(app, SAME_PIXEL)
    hashed.clear()
    pin(app, SAME_PIXEL, (100, 200))
    opened(app, PSA)
    assert hashed == []  # all of it is known by the picture's digest
    assert pictures.Picture("mine", street(3).image).digest == digest(street(3).image)
    assert hashed == [(360, 480, 3)]


def test_every_script_has_its_row_and_every_row_its_script() -> None:
    scripts = {path.name for path in (app_script().parent / "pages").glob("*.py")}
    assert scripts == {Path(row.script).name for row in PAGES}
    addresses = [name for row in PAGES for name in (row.key, *row.former)]
    assert len(addresses) == len(set(addresses))
    assert {row.key for row in PAGES if row.group is Group.PAPER} == {"psa", "snl", "sam", "fla"}
    assert all(row.task and row.summary for row in PAGES if row.group is Group.TASK)


def test_a_former_address_leads_to_the_page_with_all_that_the_link_says(
    app: AppTest, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("fcn", "psa"))
    link: dict[str, Any] = {
        "seed": "7",
        "pin": ["100-200-4", "20-30-1"],
        "direction": "attended_by",
        "scale": "percentile",
    }
    for name, value in link.items():
        app.query_params[name] = value
    app._page_hash = calc_hash("blocks")  # as a browser asks for it; AppTest knows files alone
    healthy(app.run())
    assert app.title[0].value == "Same pixel, every block"
    assert abs(shown(app).astype(int) - street(7).image).mean() < 3  # JPEG
    assert viewer(app)["pins"] == [[100, 200, 4], [20, 30, 1]]
    assert viewer(app)["settings"]["direction"] == "attended_by"
    assert len(app.warning) == 0
    written = component(app, "parameters")["parameters"]
    assert ["direction", "attended_by"] in written and ["scale", "percentile"] in written
