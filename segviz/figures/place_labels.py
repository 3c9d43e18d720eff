"""Where the names of dots, or of marked cells, stand, so that none covers another, or a dot."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int64

Boxes = Float[np.ndarray, "_ 4"]  # left, bottom, right, top, in points

DISTANCES = (1.0, 3.0, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 46.0, 58.0, 72.0)  # points from a dot to its name
BETWEEN = 0.6  # points between two names, and between a name and a dot, at least
ALONG_LINE = 8  # places on the line to a name where it may cross others
PASSES, SHUFFLED = 3, 3  # how often each name is placed; orders beside those from and to the most crowded dot
CROWD = 0.15  # shares of the chart within which dots are near
COVERED, OUTSIDE, CROSSED, PER_POINT = 1e3, 1e5, 12.0, 1.0  # what a square point, a point, a place and a point cost


def place_labels(
    dots: Float[np.ndarray, "dots 2"],
    sizes: Float[np.ndarray, "dots 2"],
    room: tuple[float, float],
    radius: float,
    taken: Boxes | None = None,
) -> Float[np.ndarray, "dots 2"]:
    """The centre of each dot's name, all in points from the chart's lower left corner.

    Names are placed one after the other where they cover nothing, as near to their dots as can be. Then each is placed
    anew beside all others, a few times. Of several orders, the one that costs least is taken.

    Args:
        dots: the centres of the dots (x, y).
        sizes: width and height of each name.
        room: width and height of the chart, which names do not leave.
        radius: of a dot.
        taken: what else no name may cover.
    """
    tried = [np.array(list(candidate_boxes(dot, size, radius))) for dot, size in zip(dots, sizes, strict=True)]
    apart = np.abs(dots[:, None] - dots[None])
    lonely = np.argsort((apart < CROWD * np.array(room)).all(2).sum(1), kind="stable")
    shuffled = [np.random.default_rng(seed).permutation(len(dots)) for seed in range(SHUFFLED)]
    covered = np.concatenate([dots - radius, dots + radius], 1)
    covered = covered if taken is None else np.concatenate([covered, taken])
    found = [place_in_order(order, dots, tried, room, covered) for order in (lonely, lonely[::-1], *shuffled)]
    boxes, _ = min(found, key=lambda one: one[1])
    centres: np.ndarray = (boxes[:, :2] + boxes[:, 2:]) / 2
    return centres


def place_in_order(
    order: Int64[np.ndarray, " dots"],
    dots: Float[np.ndarray, "dots 2"],
    tried: Sequence[Boxes],
    room: tuple[float, float],
    taken: Boxes,
) -> tuple[Boxes, float]:
    """The names' boxes where they are placed in an order, of those that are tried for each; and what they cost."""
    boxes, costs = np.full((len(dots), 4), np.nan), np.zeros(len(dots))
    for number in itertools.chain.from_iterable([order] * PASSES):
        others = np.delete(boxes, number, 0)
        each = count_cost(tried[number], dots[number], others[~np.isnan(others[:, 0])], taken, room)
        best = np.argmin(each)
        boxes[number], costs[number] = tried[number][best], each[best]
    return boxes, float(costs.sum())


def candidate_boxes(
    dot: Float[np.ndarray, " 2"], size: Float[np.ndarray, " 2"], radius: float
) -> Iterator[tuple[float, float, float, float]]:
    """Yields boxes of a size around a dot: right, left, above and below it, then its corners, ever further away."""
    (x, y), (wide, high) = dot, size / 2
    for distance in DISTANCES:
        across, up = wide + radius + distance, high + radius + distance
        shifts = [(across, 0), (-across, 0), *itertools.product((0, wide / 2, -wide / 2), (up, -up))]
        shifts += itertools.product((across, -across), (up, -up, up / 2, -up / 2))
        for right, above in shifts:
            yield x + right - wide, y + above - high, x + right + wide, y + above + high


def count_cost(
    tried: Boxes, dot: Float[np.ndarray, " 2"], others: Boxes, taken: Boxes, room: tuple[float, float]
) -> Float[np.ndarray, " _"]:
    """What each box costs: the area that it covers, what lies outside, what its line crosses, and its distance."""
    covered = overlap_areas(tried, others).sum(1) + overlap_areas(tried, taken).sum(1)
    outside = np.maximum(0, -tried[:, :2]).sum(1) + np.maximum(0, tried[:, 2:] - np.array(room)).sum(1)
    nearest = np.clip(dot, tried[:, :2], tried[:, 2:])
    shares = np.linspace(0, 1, ALONG_LINE, endpoint=False)[:, None, None]
    line = dot + shares * (nearest - dot)  # (places, boxes, 2)
    inside = (line[:, :, None] > others[:, :2]) & (line[:, :, None] < others[:, 2:])
    crossed = inside.all(3).sum((0, 2))
    far = np.hypot(*(nearest - dot).T)
    cost: np.ndarray = COVERED * covered + OUTSIDE * outside + CROSSED * crossed + PER_POINT * far
    return cost


def overlap_areas(some: Boxes, others: Boxes) -> Float[np.ndarray, "_ _"]:
    """The area that each box shares with each of the others, which are taken a little larger."""
    low = np.maximum(some[:, None, :2], others[None, :, :2] - BETWEEN)
    high = np.minimum(some[:, None, 2:], others[None, :, 2:] + BETWEEN)
    areas: np.ndarray = np.maximum(high - low, 0).prod(2)
    return areas
