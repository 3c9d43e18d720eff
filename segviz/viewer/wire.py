"""Packs maps as bytes for the browser: a JSON header, then the factors as float32 or whole numbers.

`[u32 header length][JSON header, padded to 4 bytes][tensors]`, all little-endian. The header contains the kind, the
grid, how pixels map to cells, and each tensor's name, shape, type and offset after the header. `unpack` in wire.js
reads it. The log-denominators of the softmax, which columns need, are computed here: the browser would need seconds
for them on a large grid.
"""

from __future__ import annotations

import json
from typing import Any, assert_never

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
    FeatureSimilarity,
    Grid,
    InterlacedAttention,
    NetworkMap,
    OffsetMaskAttention,
    PooledAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
    log_normaliser,
)
from segviz.viewer.message import Message
from segviz.viewer.network_message import message_of_network

PackableMap = SpatialMap | NetworkMap | AttendedFeatures
SHARE_STEPS = 65534  # a share of 1; the next step is NaN
UNIT_STEPS = 32767  # a number of 1 in a unit feature


def pack(value: PackableMap) -> bytes:
    """Packs a map's factors, from which maps.js computes the same rows and columns as the map's own methods.

    Raises:
        ValueError: a network's map is too large for a browser (`network_message.MOST_FACTOR_BYTES`).
    """
    message = _message_of(value)
    arrays = {name: little_endian(tensor.detach().cpu().numpy()) for name, tensor in message.tensors.items()}
    return _encode(message.kind, message.grid, {"features": value.feature_grid, **message.extra}, arrays)


def little_endian(array: np.ndarray) -> NDArray[Any]:
    """The array as the browser reads it: int16 and int32 as they are, all else as float32."""
    return array.astype({np.dtype(np.int16): "<i2", np.dtype(np.int32): "<i4"}.get(array.dtype, "<f4"))


def pack_values(values: Float32[np.ndarray, "rows columns"]) -> bytes:
    """Packs a map that is the same for every point: a number for each cell of a grid over the picture.

    Raises:
        ValueError: the values are not a (rows, columns) array, or some are infinite.
    """
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"values of shape {values.shape} cannot be drawn; give a (rows, columns) array, none infinite")
    rows, columns = values.shape
    return _encode("values", (rows, columns), {}, {"values": values.astype("<f4")})


def pack_labels(labels: UInt8[np.ndarray, "height width"]) -> bytes:
    """Packs a label map: a class index for every pixel of the picture.

    Raises:
        ValueError: the labels are not an (H, W) array of uint8.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}; give an (H, W) array of uint8")
    height, width = labels.shape
    return _encode("labels", (height, width), {}, {"labels": labels})


def pack_shares(shares: Float[np.ndarray, "height width"]) -> bytes:
    """Packs a share map: a share in [0, 1] or NaN for every pixel of the picture, in steps of 1/65534.

    Raises:
        ValueError: a share is below 0 or above 1.
    """
    known = shares[~np.isnan(shares)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise ValueError(f"shares run from {known.min()} to {known.max()}; give numbers from 0 to 1")
    height, width = shares.shape
    steps = np.round(np.nan_to_num(shares * np.float32(SHARE_STEPS), nan=SHARE_STEPS + 1)).astype("<u2")
    return _encode("shares", (height, width), {"steps": SHARE_STEPS}, {"shares": steps})


def _message_of(value: PackableMap) -> Message:
    if isinstance(value, NetworkMap):
        return message_of_network(value)
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
        case InterlacedAttention():
            names = ("far_queries", "far_keys", "near_queries", "near_keys")
            sums = {"far_lse": value.far_normaliser, "near_lse": value.near_normaliser}
            tensors = {name: getattr(value, name) for name in names} | sums
            return Message("interlaced", value.grid, tensors, {"block": value.block, "padding": value.padding})
        case PooledAttention():
            return Message("pooled", value.grid, {"weights": value.weights, "pools": value.pools}, {})
        case SampledAttention():
            tensors = {"positions": value.positions, "weights": value.weights, "window": value.window}
            return Message("samples", value.grid, tensors, {})
        case OffsetMaskAttention():
            masks, reach = crop_masks(value.masks, value.grid)
            tensors = {"masks": masks, "lse": value.log_normaliser}
            extra = {"direction": value.direction, "divisor": value.divisor, "reach": reach}
            return Message("offsets", value.grid, tensors, extra)
        case FeatureSimilarity():  # steps of 1/32767 halve the bytes; a cosine moves by less than 1e-3
            steps = (value.unit_features * UNIT_STEPS).round().to(torch.int16)
            return Message("similarity", value.grid, {"unit_features": steps}, {"steps": UNIT_STEPS})
        case AttendedFeatures():
            return Message("features", value.grid, {"output": value.output, "context": value.context}, {})
        case _:
            assert_never(value)


def crop_masks(masks: Float[Tensor, "cells cells"], grid: Grid) -> tuple[Tensor, Grid | None]:
    """Crops masks to windows around their cells; on a large grid most of a mask is -inf, beyond its reach.

    Args:
        masks: logits of each cell's mask.
        grid: rows and columns.

    Returns:
        Windows (cells, 2 down + 1, 2 along + 1), centred on their cells and -inf outside the grid, and the reach (down,
        along); the masks unchanged and None if windows would not be smaller.
    """
    height, width = grid
    reached = ~masks.isinf().reshape(height, width, height, width)
    down = _largest_distance(reached.any(3).any(1))
    along = _largest_distance(reached.any(2).any(0))
    if (2 * down + 1) * (2 * along + 1) >= height * width:
        return masks, None
    windows = masks.new_full((height, width, 2 * down + 1, 2 * along + 1), -torch.inf)
    pairs = masks.reshape(height, width, height, width)
    for row in range(height):
        for column in range(width):
            y, x = _lines_within(down, row, height), _lines_within(along, column, width)
            to = (
                slice(y.start - row + down, y.stop - row + down),
                slice(x.start - column + along, x.stop - column + along),
            )
            windows[row, column, *to] = pairs[row, column, y, x]
    return windows.flatten(0, 1), (down, along)


def _lines_within(reach: int, line: int, lines: int) -> slice:
    """The rows or columns of the grid within reach of one of them."""
    return slice(max(line - reach, 0), min(line + reach + 1, lines))


def _largest_distance(reached: Bool[Tensor, "lines lines"]) -> int:
    """The largest distance between a row or column and one that it reaches."""
    near, far = reached.nonzero(as_tuple=True)
    return int((far - near).abs().max()) if len(near) else 0


def _encode(kind: str, grid: tuple[int, int], extra: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    entries, parts, offset = [], [], 0
    # The widest numbers first: a view of a browser's buffer starts at a multiple of its numbers' size.
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        entries.append({"name": name, "shape": array.shape, "offset": offset, "dtype": array.dtype.name})
        parts.append(np.ascontiguousarray(array).tobytes())
        offset += len(parts[-1])
    header = {"kind": kind, "grid": grid, **extra, "tensors": entries}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)  # Float32Array views start at multiples of 4
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])
