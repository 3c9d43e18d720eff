"""Maps as bytes for the browser: a JSON header and the float32 factors behind it.

`[u32 header length][JSON header, padded to 4 bytes][tensors]`, all little-endian. The header holds the
kind, the grid, how pixels map to cells, and each tensor's name, shape, type and offset behind the header.
`unpack` in maps.js reads it. Softmax denominators, which columns need, are computed here and sent along: they cost
the browser seconds on a large grid.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from numpy.typing import NDArray
from torch import Tensor

from segviz.attention.maps import (
    AttendedFeatures,
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    Grid,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
    log_normaliser,
)

DrawableMap = SpatialMap | AttendedFeatures
Mapping = Literal["half_pixel", "align_corners"]
MOST = 65534  # the step that stands for a share of 1; the next one stands for NaN


@dataclass(frozen=True)
class Message:
    """What goes over the wire: the kind's name, its tensors, and what else its rule needs."""

    kind: str
    grid: tuple[int, int]
    tensors: dict[str, Tensor]
    extra: dict[str, Any]


def pack(value: DrawableMap) -> bytes:
    """The bytes of a map; maps.js computes from them what the map's own methods compute."""
    message = _message(value)
    arrays = {name: tensor.detach().cpu().numpy().astype("<f4") for name, tensor in message.tensors.items()}
    mapping: Mapping = "align_corners" if value.corners_aligned else "half_pixel"
    return _join(message.kind, message.grid, mapping, message.extra, arrays)


def pack_values(values: Float32[np.ndarray, "rows columns"]) -> bytes:
    """The bytes of a map that is the same for every place: a number for each cell of a grid over the picture.

    Raises:
        ValueError: the values are no (rows, columns) array, or some are infinite.
    """
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"values of shape {values.shape} cannot be drawn; give a (rows, columns) array, none infinite")
    rows, columns = values.shape
    return _join("values", (rows, columns), "half_pixel", {}, {"values": values.astype("<f4")})


def pack_labels(labels: UInt8[np.ndarray, "height width"]) -> bytes:
    """The bytes of a label map: a class index for every pixel of the picture.

    Raises:
        ValueError: the labels are no (H, W) array of uint8.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}; give a (H, W) array of uint8")
    height, width = labels.shape
    return _join("labels", (height, width), "half_pixel", {}, {"labels": labels})


def pack_shares(shares: Float[np.ndarray, "height width"]) -> bytes:
    """The bytes of a share in [0, 1] or NaN for every pixel of the picture, in steps of 1/65534.

    Raises:
        ValueError: a share is below 0 or above 1.
    """
    known = shares[~np.isnan(shares)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise ValueError(f"shares run from {known.min()} to {known.max()}; give numbers from 0 to 1")
    height, width = shares.shape
    steps = np.round(np.nan_to_num(shares * np.float32(MOST), nan=MOST + 1)).astype("<u2")
    return _join("shares", (height, width), "half_pixel", {"most": MOST}, {"shares": steps})


def _message(value: DrawableMap) -> Message:
    match value:
        case DotProductAttention():
            tensors = {"queries": value.queries, "keys": value.keys, "lse": value.log_normaliser}
            return Message("dot", value.grid, tensors, {})
        case StripAttention():
            lse = log_normaliser(value.queries, value.keys)
            tensors = {"queries": value.queries, "keys": value.keys, "lse": lse}
            return Message("strip", value.grid, tensors, {"axis": value.axis})
        case CrissCrossAttention():
            tensors = {"queries": value.queries, "keys": value.keys, "lse": value.log_normalisers}
            return Message("cross", value.grid, tensors, {})
        case BasesAttention():
            return Message("bases", value.grid, {"responsibilities": value.responsibilities}, {})
        case SampledAttention():
            tensors = {"positions": value.positions, "weights": value.weights, "window": value.window}
            return Message("samples", value.grid, tensors, {})
        case OffsetMaskAttention():
            masks, reach = windows(value.masks, value.grid)
            tensors = {"masks": masks, "lse": value.log_normaliser}
            extra = {"direction": value.direction, "divisor": value.divisor, "reach": reach}
            return Message("offsets", value.grid, tensors, extra)
        case AttendedFeatures():
            return Message("features", value.grid, {"output": value.output, "context": value.context}, {})
        case _:
            assert_never(value)


def windows(masks: Float[Tensor, "cells cells"], grid: Grid) -> tuple[Tensor, Grid | None]:
    """Masks as windows around their cells, and how far these reach; as they are, and None, where that saves nothing.

    A mask is -inf beyond its reach, which on a large grid is most of it. Window (cells, 2 down + 1, 2 along + 1) has
    the cell itself in its middle; what lies outside of the grid is -inf.
    """
    height, width = grid
    reached = ~masks.isinf().reshape(height, width, height, width)
    down = _reach(reached.any(3).any(1))
    along = _reach(reached.any(2).any(0))
    if (2 * down + 1) * (2 * along + 1) >= height * width:
        return masks, None
    found = masks.new_full((height, width, 2 * down + 1, 2 * along + 1), -torch.inf)
    pairs = masks.reshape(height, width, height, width)
    for row in range(height):
        for column in range(width):
            y, x = _inside(row, down, height), _inside(column, along, width)
            to = (
                slice(y.start - row + down, y.stop - row + down),
                slice(x.start - column + along, x.stop - column + along),
            )
            found[row, column, *to] = pairs[row, column, y, x]
    return found.flatten(0, 1), (down, along)


def _inside(line: int, reach: int, lines: int) -> slice:
    """The lines of the grid within reach of one."""
    return slice(max(line - reach, 0), min(line + reach + 1, lines))


def _reach(reached: Bool[Tensor, "lines lines"]) -> int:
    """How many lines off the furthest line lies that any line reaches."""
    near, far = reached.nonzero(as_tuple=True)
    return int((far - near).abs().max()) if len(near) else 0


def _join(
    kind: str, grid: tuple[int, int], mapping: Mapping, extra: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> bytes:
    entries, parts, offset = [], [], 0
    for name, array in arrays.items():
        entries.append({"name": name, "shape": array.shape, "offset": offset, "dtype": array.dtype.name})
        parts.append(np.ascontiguousarray(array).tobytes())
        offset += len(parts[-1])
    header = {"kind": kind, "grid": grid, "mapping": mapping, **extra, "tensors": entries}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)  # Float32Array views start at multiples of 4
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])
