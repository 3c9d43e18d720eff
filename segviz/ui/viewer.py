"""The live viewer as a page sees it: panels over one picture, linked in the browser, and the pins."""

from __future__ import annotations

import hashlib
import io
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import UInt8
from PIL import Image

from segviz.server.blobs import STORE, MediaType
from segviz.ui.component import mount
from segviz.viewer import source, wire
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, DrawableMap, LabelMap, Panel, Pin, ScalarMap, ShareMap, kept_by_predictions

SMALL = 128 * 128  # pixels up to which the picture travels as PNG
MESSAGE = 100  # characters of a message about a lost map


def latest_pins(key: str, stored: Sequence[Pin]) -> tuple[Pin, ...]:
    """The pins after the browser's newest edit if this run brought one, else the stored ones.

    Ask for them before building panels that depend on pins; `show_panels` then needs no second run.
    """
    edit = _edit(key)
    if edit is None or _token(edit) == st.session_state.get(_seen(key)):
        return tuple(stored)
    pins = (_pin(entry) for entry in edit["pins"])
    return tuple(pin for pin in pins if pin is not None)


def take_pins(key: str, stored: Sequence[Pin]) -> tuple[Pin, ...]:
    """The latest pins; the browser's edit that brought them counts as taken in, and is not asked for again."""
    found, edit = latest_pins(key, stored), _edit(key)
    if edit is not None:
        st.session_state[_seen(key)] = _token(edit)
    return found


def latest_display(key: str, stored: Display | None = None) -> Display:
    """The display settings as the browser last told them for this viewer, else the stored ones, else the defaults.

    The browser tells them only to pages that give `display` to `show_panels`, 0.3 s after the last change.
    """
    given = _state(key).get("settings")
    return Display.of(given) if isinstance(given, Mapping) else stored or Display()


def show_panels(
    image: UInt8[np.ndarray, "height width 3"],
    panels: Sequence[Panel],
    pins: Sequence[Pin],
    *,
    key: str,
    columns: int = 2,
    max_pins: int = 8,
    display: Display | None = None,
) -> tuple[Pin, ...]:
    """Mounts the viewer and returns the pins as they are now.

    Inside a fragment, a pin costs a run of the fragment; hovering costs nothing. Keep the pins that it
    returns in `st.session_state`: the component's own state is lost when the page changes.

    Args:
        image: the picture.
        panels: what to show of it.
        pins: the points to begin with.
        key: of the component; what the browser tells is kept under it.
        columns: how many panels lie side by side where there is room.
        max_pins: how many points can be pinned.
        display: the settings that a new viewer begins with. Where given, each later change by the reader runs the
            script once, after a pause, and `latest_display` has it; where not, they stay in the browser.

    Raises:
        ValueError: the image is not (H, W, 3) of uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.dtype} of shape {image.shape}; give (H, W, 3) uint8 RGB")
    height, width = image.shape[:2]
    inside = [pin for pin in take_pins(key, pins) if pin.y < height and pin.x < width]
    now = tuple(inside[:max_pins])
    seen = st.session_state.get(_seen(key))
    mount(
        _component(),
        {
            "picture": _url(_picture(image)),
            "height": height,
            "width": width,
            "columns": columns,
            "panels": [_config(panel, now) for panel in panels],
            "pins": [(pin.y, pin.x, pin.colour) for pin in now],
            "echo": None if seen is None else {"mount": seen[0], "seq": seen[1]},
            "colours": PIN_COLOURS,
            "maxPins": max_pins,
            "settings": None if display is None else display.as_dict(),
            "lost": _lost(key),
        },
        key=key,
        on_edit_change=lambda: None,
        on_settings_change=lambda: None,
        on_lost_change=lambda: None,
    )
    return now


@cache
def _component() -> Any:
    return st.components.v2.component("segviz_viewer", html=source.markup(), css=source.style(), js=source.script())


def _config(panel: Panel, pins: Sequence[Pin]) -> dict[str, Any]:
    """A panel as the browser needs it: the map by URL, the pin by number and colour."""
    own = pins[panel.pin] if panel.pin is not None and panel.pin < len(pins) else None
    at = panel.at if panel.at is not None or own is None else (own.y, own.x)
    config: dict[str, Any] = {"title": panel.title, "note": panel.note, "look": panel.look, "at": at}
    if own is not None and panel.pin is not None:
        config["pin"] = {"number": panel.pin + 1, "colour": PIN_COLOURS[own.colour]}
    if panel.stats:
        config["stats"] = True
    if panel.sides is not None:
        config["sides"] = [_config(side, ()) for side in panel.sides]
    config["map"] = None if panel.map is None else _url(_map(panel.map))
    if isinstance(panel.map, LabelMap):
        config |= {"classes": panel.map.classes, "palette": panel.map.palette.tolist()}
        if panel.map.levels:
            config["levels"] = True
    if isinstance(panel.map, ScalarMap):
        config |= {"unit": panel.map.unit, "signed": panel.map.signed}
    return config


# ---- blobs -----------------------------------------------------------------------------------------------

_map_names: dict[int, tuple[weakref.ref[Any], str]] = {}
_picture_names: dict[bytes, str] = {}


def _map(value: DrawableMap) -> str:
    """The blob of a map, packed when it is first shown or was dropped from the store since.

    Maps of pixels are known by their arrays, which predictions keep: pages wrap them anew in every run.
    """
    kept = kept_by_predictions(value)
    number = id(kept)
    reference, name = _map_names.get(number, (None, ""))
    if reference is not None and reference() is kept and STORE.get(name) is not None:
        return name
    name = STORE.put(_packed(value))
    _map_names[number] = (weakref.ref(kept, lambda _: _map_names.pop(number, None)), name)
    return name


def _packed(value: DrawableMap) -> bytes:
    match value:
        case LabelMap():
            return wire.pack_labels(value.labels)
        case ShareMap():
            return wire.pack_shares(value.shares)
        case ScalarMap():
            return wire.pack_values(value.values)
        case _:
            return wire.pack(value)


def _picture(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """The blob of a picture, known by its content: arrays may change, and st.cache_data copies them."""
    digest = hashlib.blake2b(image.tobytes(), digest_size=16, person=f"{image.shape[1]}".encode()).digest()
    name = _picture_names.get(digest)
    if name is None or STORE.get(name) is None:
        while len(_picture_names) >= 64:
            _picture_names.pop(next(iter(_picture_names)))
        name = _picture_names[digest] = STORE.put(*encode(image))
    return name


def encode(image: UInt8[np.ndarray, "height width 3"]) -> tuple[bytes, MediaType]:
    """The picture as JPEG; as PNG if it is so small that single pixels count."""
    buffer = io.BytesIO()
    if image.shape[0] * image.shape[1] <= SMALL:
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "image/jpeg"


def _url(name: str) -> str:
    return served(f"blob/{name}")


def served(path: str) -> str:
    """The address of a path on the app's own routes."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/segviz/{path}" if base else f"/segviz/{path}"


# ---- the browser's edits --------------------------------------------------------------------------------
# An edit is {"mount": id of the viewer's instance, "seq": its number, "pins": [[y, x, colour], ...]}. It comes
# from outside, so nothing in it is taken for granted.


def _state(key: str) -> Mapping[str, Any]:
    """What the browser told of the viewer."""
    state = st.session_state.get(key)
    return state if isinstance(state, Mapping) else {}


def _lost(key: str) -> str | None:
    """What the browser said when the server no longer had a map: sent back, it has the browser look again.

    The run that it asked for has put the map back: `_map` packs again what the store dropped.
    """
    lost = _state(key).get("lost")
    return lost if isinstance(lost, str) and len(lost) <= MESSAGE else None


def _edit(key: str) -> Mapping[str, Any] | None:
    edit = _state(key).get("edit")
    if not isinstance(edit, Mapping) or not isinstance(edit.get("pins"), list):
        return None
    return edit if isinstance(edit.get("mount"), str) and isinstance(edit.get("seq"), int) else None


def _token(edit: Mapping[str, Any]) -> tuple[str, int]:
    return edit["mount"], edit["seq"]


def _seen(key: str) -> str:
    """Where the session remembers which edit it has taken in."""
    return f"{key}:seen"


def _pin(entry: object) -> Pin | None:
    """A pin from the browser, or None if it cannot be one."""
    if not isinstance(entry, list) or len(entry) != 3 or not all(type(value) is int for value in entry):
        return None
    y, x, colour = entry
    return Pin(y, x, colour) if y >= 0 and x >= 0 and 0 <= colour < len(PIN_COLOURS) else None
