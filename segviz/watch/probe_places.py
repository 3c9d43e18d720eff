"""Where in the picture the tokens of attention calls lie, as changes of the picture tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from segviz.image import Rgb
from segviz.watch.call import AttentionCall

STRIPE_LEVELS = 6  # of stripes: the finest are 1/64 of a side
HALF_RANGE = 128  # of a colour: the largest change that every value can have
RUNS = 2 * 2 * STRIPE_LEVELS  # of the network: rows and columns, stripes and those between them
Calls = Mapping[str, AttentionCall]
TokenPlaces = Float[Tensor, "*leading tokens 2"]  # (y, x) in shares of the picture's height and width


def probe_places(calls: Calls, picture: Rgb, run: Callable[[Rgb], Calls]) -> dict[str, tuple[TokenPlaces, TokenPlaces]]:
    """The places of the queries and of the keys of some calls.

    The picture is shown with changed stripes of rows or columns, and with the stripes between them changed instead. A
    token that changes more in one of both lies on those stripes. Stripes of 64 widths in Gray's code give a number.

    Args:
        calls: what the network computed for the picture, by path.
        picture: at its own size.
        run: the same calls for another picture; those that it lacks are left out.
    """
    factors = {path: (call.queries, call.keys) for path, call in calls.items()}
    numbers = {path: [torch.zeros(*one.shape[:-1], 2).long() for one in pair] for path, pair in factors.items()}
    bits = {path: [torch.zeros_like(number) for number in pair] for path, pair in numbers.items()}
    for level, axis in product(reversed(range(STRIPE_LEVELS)), range(2)):
        changes = [measure_changes(calls, run(change_stripes(picture, axis, level, odd))) for odd in (True, False)]
        for path in set(numbers) - (changes[0].keys() & changes[1].keys()):
            del numbers[path]
        for path, pair in numbers.items():
            for which, number in enumerate(pair):
                bit = bits[path][which][..., axis]
                bit ^= changes[0][path][which] > changes[1][path][which]
                number[..., axis] += bit << level
    return {
        path: ((first + 0.5) / 2**STRIPE_LEVELS, (second + 0.5) / 2**STRIPE_LEVELS)
        for path, (first, second) in numbers.items()
    }


def change_stripes(picture: Rgb, axis: int, level: int, odd: bool) -> Rgb:
    """The picture with changed colours where a bit of Gray's code of the row or column is 1, or where it is 0.

    Args:
        picture: (H, W, 3).
        axis: 0 for rows, 1 for columns.
        level: which bit.
        odd: whether those with a 1 are changed.
    """
    number = np.arange(picture.shape[axis]) * 2**STRIPE_LEVELS // picture.shape[axis]
    chosen = ((number ^ (number >> 1)) >> level & 1).astype(bool) == odd
    changed = picture.copy()
    part = (chosen, slice(None)) if axis == 0 else (slice(None), chosen)
    changed[part] ^= HALF_RANGE
    return changed


def measure_changes(calls: Calls, others: Calls) -> dict[str, tuple[Tensor, Tensor]]:
    """How much each query and each key changed, of the calls that have the same shape in both runs."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for path, call in calls.items():
        other = others.get(path)
        if other is not None and (other.queries.shape, other.keys.shape) == (call.queries.shape, call.keys.shape):
            found[path] = measure_change(call.queries, other.queries), measure_change(call.keys, other.keys)
    return found


def measure_change(one: Tensor, other: Tensor) -> Float[Tensor, "*leading tokens"]:
    """How much each token's factor changed."""
    change: Tensor = vector_norm(other.float() - one.float(), dim=-1).cpu()
    return change
