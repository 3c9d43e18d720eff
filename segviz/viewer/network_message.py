"""The factors of the maps of any network, as the browser needs them.

The scale is part of the queries. Queries and keys are int16 in steps of their own for each head and channel, which
halves the bytes, unless weights would move by more than the share `MOST_ERROR`; then they are float32.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, assert_never

import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.head_map import HeadMap
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.maps import NetworkMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention
from segviz.viewer.message import Message

MOST_FACTOR_BYTES = 192 * 2**20  # of a map's factors as float32; a browser that shows several layers holds them all
INT16_STEPS = 32767  # int16 steps of the largest number of a head's channel
MOST_ERROR = 7e-4  # share of a weight by which steps may change it
CHECKED = 16  # queries, and windows, spread evenly
MOST_LOGITS = 2**30  # of all log-denominators together: some seconds on two cores

Factored = MultiHeadAttention | WindowedAttention | LinearAttention | ObjectQueryAttention  # its weights are products


def factor_bytes(one: NetworkMap) -> int:
    """The bytes of a map's factors as float32."""
    parts = (getattr(one, field.name) for field in dataclasses.fields(one))
    return sum(4 * part.numel() for part in parts if isinstance(part, Tensor))


def why_too_large(one: NetworkMap) -> str:
    """Why a map does not go to the browser, as the end of a sentence; "" where it does."""
    size = factor_bytes(one)
    if size <= MOST_FACTOR_BYTES:
        return ""
    return (
        f"its numbers take {size / 2**20:.0f} MiB, more than the {MOST_FACTOR_BYTES // 2**20} that a browser gets; "
        "ask the map in Python, or watch a smaller picture"
    )


def why_no_columns(one: NetworkMap) -> str:
    """Why no columns of a map go to the browser, as the end of a sentence; "" where they do."""
    if not isinstance(one, MultiHeadAttention) or one.heads * one.queries.shape[1] * one.keys.shape[1] <= MOST_LOGITS:
        return ""
    return (
        f"its log-denominators need all {one.heads} x {one.queries.shape[1]} x {one.keys.shape[1]} logits, which take "
        "too long; ask `attended_by` in Python, or watch a smaller picture"
    )


def message_of_network(one: NetworkMap) -> Message:
    """A map's factors, from which maps.js computes the same rows and columns for each head.

    Raises:
        ValueError: they are too large for a browser.
    """
    if reason := why_too_large(one):
        raise ValueError(f"map '{one.name}' cannot be shown: {reason}")
    extra: dict[str, Any] = {"key_grid": one.grid, "covers": one.covers, "heads": one.heads}
    if isinstance(one, HeadMap):
        extra["key_grid"] = one.key_grid
    match one:
        case MultiHeadAttention():
            lse = None if why_no_columns(one) else one.log_normaliser
            tensors = product_factors(one) | known_tensors(lse=lse, bias=one.bias, offset_bias=one.offset_bias)
            extra |= {"prefix": one.prefix, "key_prefix": one.key_prefix, "off": token_words(one.key_prefix)}
            return Message("heads", one.grid, tensors, extra)
        case WindowedAttention():
            tensors = product_factors(one) | {"lse": one.log_normaliser}
            tensors |= known_tensors(bias=one.bias, mask=one.mask)
            places = {"query_places": one.query_places, "key_places": one.key_places, "tokens": one.token_of_cell}
            tensors |= {name: place.to(torch.int32) for name, place in places.items()}
            extra["off"] = "padding" if bool((one.key_places < 0).any()) else ""
            return Message("windows", one.grid, tensors, extra)
        case LinearAttention():
            return Message("linear", one.grid, product_factors(one) | {"normaliser": one.normaliser}, extra)
        case MatrixAttention():
            extra |= {"prefix": one.prefix, "key_prefix": one.key_prefix, "off": token_words(one.key_prefix)}
            return Message("matrix", one.grid, {"weights": one.weights}, extra)
        case ObjectQueryAttention():
            tensors = product_factors(one) | known_tensors(lse=one.log_normaliser, bias=one.bias)
            extra |= {"key_prefix": one.key_prefix, "off": token_words(one.key_prefix)}
            return Message("objects", one.grid, tensors, extra)
        case DeformableAttention() | DeformableQueries():
            tensors = {"positions": one.positions, "weights": one.weights}
            extra |= {"levels": one.levels, "off": "points outside the picture"}
            kind = "deformable" if isinstance(one, DeformableAttention) else "deformable objects"
            return Message(kind, one.grid, tensors, extra)
        case _:
            assert_never(one)


def token_words(prefix: int) -> str:
    """What carries the weight off the picture, in words; "" if nothing can."""
    return f"{prefix} token{'s' if prefix > 1 else ''} off the picture" if prefix else ""


def known_tensors(**tensors: Tensor | None) -> dict[str, Tensor]:
    """The tensors that there are."""
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def product_factors(one: Factored) -> dict[str, Tensor]:
    """Queries, times the scale, and keys: as int16 with their steps where that is close enough, else as float32."""
    queries = one.queries if isinstance(one, LinearAttention) else one.queries * one.scale
    factors = {"queries": queries, "keys": one.keys}
    stepped = {name: count_steps(factor) for name, factor in factors.items()}
    back = {name: numbers * unit[:, None] for name, (numbers, unit) in stepped.items()}
    if isinstance(one, LinearAttention):
        error = weight_error(one, dataclasses.replace(one, queries=back["queries"], keys=back["keys"]))
    else:
        error = logit_error(factors, back)
    if not error <= MOST_ERROR:
        return factors
    numbers = {name: part for name, (part, _) in stepped.items()}
    return numbers | {f"{name}_unit": unit for name, (_, unit) in stepped.items()}


def count_steps(
    factor: Float[Tensor, "*windows heads tokens dim"],
) -> tuple[Int16[Tensor, "*windows heads tokens dim"], Float[Tensor, "heads dim"]]:
    """The numbers of a factor in steps, and the size of a step for each head and channel."""
    heads, tokens, dim = factor.shape[-3:]
    largest = factor.reshape(-1, heads, tokens, dim).abs().amax((0, 2))
    unit = torch.where(largest > 0, largest / INT16_STEPS, 1.0)
    return (factor / unit[:, None]).round().to(torch.int16), unit


def logit_error(factors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> float:
    """The largest difference of checked products: a softmax's weights differ by as large a share of themselves."""
    checked = []
    for one in (factors, others):
        queries, keys = one["queries"], one["keys"]
        windows = spread_numbers(len(queries)) if queries.dim() == 4 else slice(None)
        chosen = queries[windows][..., spread_numbers(queries.shape[-2]), :]
        checked.append(chosen @ keys[windows].mT)
    return float((checked[0] - checked[1]).abs().max())


def weight_error(one: LinearAttention, other: LinearAttention) -> float:
    """The largest difference of checked rows and columns, as a share of the largest weight of each."""
    errors = []
    for count, weights in ((math.prod(one.grid), "head_rows"), (math.prod(one.key_grid), "head_columns")):
        for number in spread_numbers(count).tolist():
            mine, others = (getattr(map_, weights)(number) for map_ in (one, other))
            high = mine.abs().amax(1).clamp_min(1e-30)  # a cell without weights has errors of 0
            errors.append(float(((mine - others).abs().amax(1) / high).max()))
    return max(errors)


def spread_numbers(count: int) -> Int64[Tensor, " chosen"]:
    """Up to `CHECKED` numbers below `count`, evenly spread."""
    return torch.linspace(0, count - 1, min(CHECKED, count)).round().long()
