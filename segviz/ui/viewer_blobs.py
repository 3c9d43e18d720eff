"""What the viewer fetches by address: pictures and packed maps, each put into the server's store once."""

from __future__ import annotations

import io
import weakref
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import UInt8
from PIL import Image

from segviz.engine import digest
from segviz.server.blobs import STORE, MediaType
from segviz.ui.wait_for_engine import session_id
from segviz.viewer import wire
from segviz.viewer.panel import LabelMap, PanelMap, ScalarMap, ShareMap

PNG_PIXELS = 128 * 128  # pictures of up to so many pixels travel as PNG, larger ones as JPEG

_map_names: dict[int, tuple[weakref.ref[Any], str]] = {}
_picture_names: dict[str, str] = {}


def map_url(value: PanelMap) -> str:
    """The address of a map, which is packed when it is first shown and again when the store has dropped it."""
    array = array_of(value)
    number = id(array)
    reference, name = _map_names.get(number, (None, ""))
    if reference is None or reference() is not array or not STORE.hold(name, session_id()):
        name = STORE.put(pack_map(value), holder=session_id())
        _map_names[number] = (weakref.ref(array, lambda _: _map_names.pop(number, None)), name)
    return route_url(f"blob/{name}")


def array_of(value: PanelMap) -> object:
    """What identifies a map: pages wrap labels and shares anew in every run, but predictions keep the arrays."""
    return value.labels if isinstance(value, LabelMap) else value.shares if isinstance(value, ShareMap) else value


def pack_map(value: PanelMap) -> bytes:
    """A map as the browser reads it."""
    match value:
        case LabelMap():
            return wire.pack_labels(value.labels)
        case ShareMap():
            return wire.pack_shares(value.shares)
        case ScalarMap():
            return wire.pack_values(value.values)
        case _:
            return wire.pack(value)


def picture_url(image: UInt8[np.ndarray, "height width 3"], known_digest: str = "") -> str:
    """The address of a picture, identified by its content: arrays may change, and st.cache_data copies them.

    Args:
        image: the picture.
        known_digest: its digest where the caller has it; "" to compute it.
    """
    key = known_digest or digest(image)
    name = _picture_names.get(key)
    if name is None or not STORE.hold(name, session_id()):
        while len(_picture_names) >= 64:
            _picture_names.pop(next(iter(_picture_names)))
        name = _picture_names[key] = STORE.put(*encode_picture(image), holder=session_id())
    return route_url(f"blob/{name}")


def encode_picture(image: UInt8[np.ndarray, "height width 3"]) -> tuple[bytes, MediaType]:
    """The picture as JPEG; as PNG if it is so small that single pixels count."""
    buffer = io.BytesIO()
    if image.shape[0] * image.shape[1] <= PNG_PIXELS:
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "image/jpeg"


def route_url(path: str) -> str:
    """The address of a path on the app's own routes."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/segviz/{path}" if base else f"/segviz/{path}"
