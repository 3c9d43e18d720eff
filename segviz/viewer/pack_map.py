"""What the browser gets as bytes: any panel's map, and the picture."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from segviz.viewer import wire
from segviz.viewer.panel import LabelMap, PanelMap, ScalarMap, ShareMap

PNG_PIXELS = 128 * 128  # pictures of up to so many pixels travel as PNG, larger ones as JPEG


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


def identity_of(value: PanelMap) -> object:
    """What identifies a map: pages wrap labels and shares anew in every run, but predictions keep the arrays."""
    return value.labels if isinstance(value, LabelMap) else value.shares if isinstance(value, ShareMap) else value


def encode_picture(image: UInt8[np.ndarray, "height width 3"]) -> tuple[bytes, Literal["image/jpeg", "image/png"]]:
    """The picture as JPEG; as PNG if it is so small that single pixels count."""
    buffer = io.BytesIO()
    if image.shape[0] * image.shape[1] <= PNG_PIXELS:
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "image/jpeg"
