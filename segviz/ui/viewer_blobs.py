"""What the viewer fetches by address: pictures and packed maps, each put into the server's store once."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.engine import digest
from segviz.server.blobs import STORE
from segviz.ui.wait_for_engine import session_id
from segviz.viewer.pack_map import encode_picture, identity_of, pack_map
from segviz.viewer.panel import PanelMap

_map_names: dict[int, tuple[weakref.ref[Any], str]] = {}
_picture_names: dict[str, str] = {}
_picture_lock = threading.Lock()
MOST_NAMES = 64


def map_url(value: PanelMap) -> str:
    """The address of a map, which is packed when it is first shown and again when the store has dropped it."""
    array = identity_of(value)
    number = id(array)
    reference, name = _map_names.get(number, (None, ""))
    if reference is None or reference() is not array or not STORE.hold(name, session_id()):
        name = STORE.put(pack_map(value), holder=session_id())
        _map_names[number] = (weakref.ref(array, lambda _: _map_names.pop(number, None)), name)
    return route_url(f"blob/{name}")


def picture_url(image: UInt8[np.ndarray, "height width 3"], known_digest: str = "") -> str:
    """The address of a picture, identified by its content: arrays may change, and st.cache_data copies them.

    Args:
        image: the picture.
        known_digest: its digest where the caller has it; "" to compute it.
    """
    key = known_digest or digest(image)
    name = _picture_names.get(key)
    if name is None or not STORE.hold(name, session_id()):
        name = STORE.put(*encode_picture(image), holder=session_id())
        with _picture_lock:
            while len(_picture_names) >= MOST_NAMES:
                del _picture_names[next(iter(_picture_names))]
            _picture_names[key] = name
    return route_url(f"blob/{name}")


def route_url(path: str) -> str:
    """The address of a path on the app's own routes."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/segviz/{path}" if base else f"/segviz/{path}"
