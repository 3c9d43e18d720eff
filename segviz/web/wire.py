"""Maps as bytes for the browser: a JSON header and the float32 factors behind it.

`[u32 header length][JSON header, padded to 4 bytes][tensors]`, all little-endian. The header holds the
kind, the grid, how pixels map to cells, and each tensor's name, shape and offset behind the header.
`unpack` in maps.js reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from segviz.attention import (
    AttendedFeatures,
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)

DrawableMap = SpatialMap | AttendedFeatures
Mapping = Literal["half_pixel", "align_corners"]


@dataclass(frozen=True)
class Message:
    """What goes over the wire: the kind's name, its tensors, and what else its rule needs."""

    kind: str
    grid: tuple[int, int]
    tensors: dict[str, Tensor]
    extra: dict[str, Any]
    mapping: Mapping = "half_pixel"


def pack(value: DrawableMap) -> bytes:
    """The bytes of a map; maps.js computes from them what the map's own methods compute."""
    message = _message(value)
    arrays = {name: tensor.detach().cpu().numpy().astype("<f4") for name, tensor in message.tensors.items()}
    return _join(message.kind, message.grid, message.mapping, message.extra, arrays)


def pack_labels(labels: UInt8[np.ndarray, "height width"]) -> bytes:
    """The bytes of a label map: a class index for every pixel of the picture.

    Raises:
        ValueError: the labels are no (H, W) array of uint8.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}; give a (H, W) array of uint8")
    height, width = labels.shape
    return _join("labels", (height, width), "half_pixel", {}, {"labels": labels})


def _message(value: DrawableMap) -> Message:
    match value:
        case DotProductAttention():
            tensors = {"queries": value.queries, "keys": value.keys, "lse": value.log_normaliser}
            return Message("dot", value.grid, tensors, {})
        case StripAttention():
            tensors = {"queries": value.queries, "keys": value.keys}
            return Message("strip", value.grid, tensors, {"axis": value.axis})
        case CrissCrossAttention():
            return Message("cross", value.grid, {"queries": value.queries, "keys": value.keys}, {})
        case BasesAttention():
            return Message("bases", value.grid, {"responsibilities": value.responsibilities}, {})
        case SampledAttention():
            tensors = {"positions": value.positions, "weights": value.weights, "window": value.window}
            return Message("samples", value.grid, tensors, {})
        case OffsetMaskAttention():
            tensors = {"masks": value.masks}
            extra = {"direction": value.direction, "divisor": value.divisor}
            return Message("offsets", value.grid, tensors, extra, "align_corners")
        case AttendedFeatures():
            return Message("features", value.grid, {"output": value.output, "context": value.context}, {})
        case _:
            assert_never(value)


def _join(
    kind: str, grid: tuple[int, int], mapping: Mapping, extra: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> bytes:
    entries, parts, offset = [], [], 0
    for name, array in arrays.items():
        dtype = "uint8" if array.dtype == np.uint8 else "float32"
        entries.append({"name": name, "shape": array.shape, "offset": offset, "dtype": dtype})
        parts.append(np.ascontiguousarray(array).tobytes())
        offset += len(parts[-1])
    header = {"kind": kind, "grid": grid, "mapping": mapping, **extra, "tensors": entries}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)  # Float32Array views start at multiples of 4
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])
