"""The sidebar after a session was lost, as when the server was restarted: the browser still has the old values."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.session_state import Serialized

from segviz.ui.own_picture import resume_own_picture
from segviz.ui.permalink import LARGEST_SEED
from segviz.ui.picture_sidebar import DRAWN, KNOBS, OWN_PICTURE, SEED, SOURCE

RANGES = {SEED: (0.0, float(LARGEST_SEED)), **{row[0]: (row[2], row[3]) for row in KNOBS}}


def resume_sidebar() -> None:
    """Take the sidebar's values from the browser's widgets, in a session's first run, where the address has none.

    Streamlit sends them with the page that the visitor opens next. Otherwise that page would show the first street
    without a word.
    """
    for key, value in sent_values().items():
        if key == SOURCE and value in (DRAWN, OWN_PICTURE):
            st.session_state[SOURCE] = value
            if value == OWN_PICTURE:
                resume_own_picture()
        elif key in RANGES and isinstance(value, int | float) and RANGES[key][0] <= value <= RANGES[key][1]:
            st.session_state[key] = int(value) if key == SEED else float(value)


def sent_values() -> dict[str, Any]:
    """The values of the sidebar's widgets in the browser's message, by key; an element's id ends in its key."""
    context = get_script_run_ctx()
    sent = {} if context is None else context.session_state._state._new_widget_state.states
    keys = (SOURCE, *RANGES)
    return {
        key: read_value(state.value)
        for name, state in sent.items()
        for key in keys
        if name.endswith(f"-{key}") and isinstance(state, Serialized)
    }


def read_value(state: WidgetState) -> Any:
    """A widget's only value."""
    value = getattr(state, state.WhichOneof("value") or "id")
    data = getattr(value, "data", None)
    return value if data is None else data[0] if len(data) == 1 else None
