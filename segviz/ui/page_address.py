"""The address of a page: what a link restores."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page
from streamlit.runtime.scriptrunner import get_script_run_ctx

from segviz.catalogue.bundled import available_models
from segviz.catalogue.own_models import own_models
from segviz.data.scenes import SceneOptions
from segviz.ui.display_settings import store_display, stored_display
from segviz.ui.linked_picture import file_size
from segviz.ui.models import models_of
from segviz.ui.own_picture import picture_mark, return_to_upload
from segviz.ui.page_table import ROWS, PageRow, start_display
from segviz.ui.permalink import Link, copy_button, read_link
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import DRAWN, KNOBS, OWN_PICTURE, SEED, SOURCE
from segviz.ui.pins import choose_linked_pin, pins_inside, swap_pins
from segviz.ui.refused_link import refused_sentence
from segviz.ui.resume_sidebar import resume_sidebar
from segviz.ui.state import LinkedPicture, session
from segviz.ui.widgets import linked_controls
from segviz.ui.zoom import stored_view
from segviz.viewer.display import Display

REFUSED_ICON = ":material/link_off:"
MOST_VALUES = 32  # of one control in an address


def page_link(page: str, chosen: int | None = None) -> Link:
    """The link to a page as the visitor sees it.

    Args:
        page: the page's key.
        chosen: the index of the pin that the page computes something for, where it has such a pin.
    """
    state, row = session(), ROWS[page]
    link = Link(
        models=models_of(row),
        display=stored_display(page) if row.has_viewer or row.models_key else Display(),
        controls=tuple(linked_controls(page)),
    )
    if row.has_viewer:
        pins = state.pins or ()
        number = pins[chosen].number if chosen is not None and chosen < len(pins) - 1 else None
        link = replace(link, pins=pins, chosen=number, view=stored_view(page))
    if not row.has_picture:
        return link
    if st.session_state.get(SOURCE) == OWN_PICTURE:
        if not isinstance(state.picture, Picture):
            return replace(link, upload=True)
        return replace(link, upload=True, size=file_size(state.picture), mark=picture_mark(state.picture))
    knobs = {knob[0]: st.session_state[knob[0]] for knob in KNOBS}
    changed = {name: value for name, value in knobs.items() if value != getattr(SceneOptions(), name)}
    return replace(link, seed=st.session_state[SEED], knobs=changed)


def copy_page_link(page: str, chosen: int | None = None) -> None:
    """The button that copies a page's link (`page_link`)."""
    copy_button(page_link(page, chosen), page, start_display(page))


def keep_page_address(page: str, fragment: str) -> None:
    """Bring the page's address up to date from a fragment without the button; pages call it after its controls."""
    copy_button(page_link(page), page, start_display(page), fragment)


def restore_link(row: PageRow) -> None:
    """Take the address into the session, before the sidebar is drawn, where it is new or the browser went back.

    Otherwise the session counts: a page that is opened from within the app has nothing in its address.
    """
    address = {name: st.query_params.get_all(name) for name in st.query_params}
    state, context = session(), get_script_run_ctx()
    opened, state.page = state.page != row.key, row.key
    back = context is not None and context.is_history_navigation
    is_new = (opened or back) and bool(address) and (back or address != state.link.address)
    if state.link.address is not None and not is_new:
        return
    if state.link.address is None and not address:
        resume_sidebar()
    ranges = {knob: (low, high) for knob, _, low, high, _ in KNOBS}
    link, refused = read_link(address, ranges, start_display(row.key))
    offered = (*available_models(), *(own_models() if row.own_models else ()))
    models = [name for name in link.models if name in offered]
    if len(models) < len(link.models):
        refused = tuple(sorted({*refused, "model"}))
    if link.seed is not None:
        st.session_state.update({SEED: link.seed, SOURCE: DRAWN})
    state.link.made_for = None
    if link.upload:
        places = tuple((pin.y, pin.x) for pin in link.pins)
        if link.mark or link.size:
            state.link.made_for = LinkedPicture(link.mark[8:], link.size, places)
        st.session_state[SOURCE] = OWN_PICTURE
        state.link.own_picture, state.link.picture_mark = True, link.mark
        if back:
            return_to_upload()
    other_models = bool(models) and models_of(row) != tuple(models)
    if models and row.models_key:
        st.session_state[row.models_key] = models if row.several_models else models[0]
    if not back or opened:
        restore_view(row, link, "zoom" in address)
    if not back or opened or other_models:  # else Back undoes the step to another picture, and nothing that came after
        state.link.controls = {
            name: tuple(values[:MOST_VALUES]) for name, values in address.items() if name.startswith(f"{row.key}-")
        }
    state.link.address, state.link.page, state.link.refused, state.link.told = address, row.key, refused, ""


def restore_view(row: PageRow, link: Link, has_zoom: bool) -> None:
    """Take what a link says of the street's options, the viewer's settings, its zoom and the pins."""
    state = session()
    st.session_state.update(link.knobs)  # by the keys of their widgets
    store_display(row.key, link.display)
    if has_zoom:
        state.views[row.key] = link.view, None
    if link.pins:
        source = st.session_state.get(SOURCE, DRAWN)
        swap_pins(source)
        state.pins, state.link.unchecked_pins = link.pins, source
        choose_linked_pin(link.pins, link.chosen)


def show_refused(row: PageRow) -> DeltaGenerator:
    """Name what could not be used of a link, on the page that it opened and once its picture is there.

    Returns:
        The place of that sentence at the page's top, for `complete_refused`.
    """
    state, place = session(), st.empty()
    link = state.link
    if isinstance(state.picture, Picture) and link.unchecked_pins == st.session_state.get(SOURCE):
        link.unchecked_pins = None
        pins = state.pins or ()
        if pins_inside(pins) != pins and "pin" not in link.refused:
            link.refused = (*link.refused, "pin")
    if row.key != link.page:
        link.refused, link.told = (), ""
    elif link.refused:
        place.warning(link.told or refused_sentence(link.refused, row), icon=REFUSED_ICON)
    return place


def complete_refused(place: DeltaGenerator, row: PageRow) -> None:
    """Name at the page's top what the page's own controls have refused too, and what they show instead.

    What is shown instead is that of the first run: a reader who changes it has read the sentence.
    """
    link = session().link
    if link.refused and (not link.told or link.refused != link.shown):
        link.told = refused_sentence(link.refused, row)
        place.warning(link.told, icon=REFUSED_ICON)
    link.shown = link.refused


def switch_to(page: Page) -> NoReturn:
    """Leave an address that the page had before for the page's own, with all that the address says."""
    st.switch_page(page, query_params={name: st.query_params.get_all(name) for name in st.query_params})
