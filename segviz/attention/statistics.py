"""A map over places in numbers: its width, its reach, the class it goes to, and how much it depends on its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.cells import CellClasses, Labels, cell_centres, cell_classes
from segviz.attention.direction import Direction
from segviz.attention.maps import AxisChannelAttention, Grid, MapOverPlaces, SpatialMap, attention_weights
from segviz.data.classes import VOID


class Distance(NamedTuple):
    """A distance over the picture: in its pixels, and as a share of its diagonal, in [0, 1)."""

    pixels: float
    share: float


class ClassShare(NamedTuple):
    """The weight on cells of the place's class, and what an even map would put there; in [0, 1]."""

    weight: float
    even: float


@dataclass(frozen=True)
class MapStatistics:
    """What the map of one place does, or the means over several places.

    Attributes:
        entropy_bits: `entropy_bits` of `choice_weights`; 0 to log2 of the number of choices.
        relative_entropy: the same over its greatest value, that of even weights; in [0, 1], NaN where the place has no
            choice.
        distance_pixels: see `weights_distance`; in pixels of the picture.
        distance_share: the same as a share of the picture's diagonal, in [0, 1).
        distance_even: what an even map would give for it: one that weighs alike all that the place can choose between.
        own_class_share: see `own_class_share`; in [0, 1], NaN where the place has no class.
        own_class_even: what an even map would give for it, in [0, 1] or NaN.
        missing_share: 1 less the weights' sum, which is what SNL's samples give to places outside; in [0, 1). NaN for
            "attended_by", whose weights need not sum to 1.
    """

    entropy_bits: float
    relative_entropy: float
    distance_pixels: float
    distance_share: float
    distance_even: float
    own_class_share: float
    own_class_even: float
    missing_share: float


def summarise(
    map_: SpatialMap,
    row: int,
    column: int,
    labels: Labels | None,
    image_size: Grid,
    direction: Direction = "attends_to",
) -> MapStatistics:
    """All numbers of one place's map.

    Args:
        map_: a map over the feature grid.
        row: the place's grid row.
        column: the place's grid column.
        labels: classes of the same picture at any size, 255 for void; without them the own class stays NaN.
        image_size: the picture's (height, width); distances are in its pixels.
        direction: where the place looks, or who looks at it.

    Raises:
        IndexError: the cell lies outside the grid.
        TypeError: see `refuse_other_kinds`.
        ValueError: see `normalise` and `cell_classes`.
    """
    return mean_statistics(map_, [(row, column)], labels, image_size, direction)


def mean_statistics(
    map_: SpatialMap,
    places: Sequence[Grid],
    labels: Labels | None,
    image_size: Grid,
    direction: Direction = "attends_to",
) -> MapStatistics:
    """The means of all numbers over several places; NaN values are left out of their mean.

    Raises:
        IndexError: a cell lies outside the grid.
        ValueError: `places` is empty; see also `normalise` and `cell_classes`.
    """
    refuse_other_kinds(map_)
    if not places:
        raise ValueError("no place was given; name at least one cell (row, column)")
    classes = None if labels is None else cell_classes(map_, labels)
    each = [statistics_of(map_, place, classes, image_size, direction) for place in places]
    return MapStatistics(*map(known_mean, zip(*map(astuple, each), strict=True)))


def statistics_of(
    map_: SpatialMap,
    place: Grid,
    classes: CellClasses | None,
    image_size: Grid,
    direction: Direction = "attends_to",
) -> MapStatistics:
    """The numbers of one place, from cell classes that are already known."""
    weights = weights_at(map_, *place, direction)
    distance = weights_distance(map_, weights, place, image_size)
    even = even_weights(map_, place, direction)
    own = ClassShare(math.nan, math.nan) if classes is None else class_share(weights, even, place, classes)
    missing = max(0.0, 1 - float(weights.double().sum())) if direction == "attends_to" else math.nan
    even_distance = weights_distance(map_, even, place, image_size).share
    choices = choice_weights(map_, place, direction, weights, even)
    entropies = entropy_bits(choices), normalised_entropy(choices)
    return MapStatistics(*entropies, *distance, even_distance, *own, missing)


def choice_weights(
    map_: SpatialMap,
    place: Grid,
    direction: Direction,
    weights: Float[Tensor, "rows columns"],
    even: Float[Tensor, "rows columns"],
) -> Float[Tensor, " choices"]:
    """A place's weights on all that it chooses between: its entropies are those of these weights.

    They are weights of the cells that it can reach, or of strips, samples or pooled tokens. choices.js has the same.

    Args:
        map_: the map.
        place: the cell (row, column).
        direction: where the place looks; or who looks at it, which is a choice of cells.
        weights: `weights_at` of the place.
        even: `even_weights` of the place.
    """
    if direction == "attends_to" and map_.choices is not None:
        return map_.choices[map_.index(*place)]
    return weights[even > 0]


def even_weights(map_: SpatialMap, place: Grid, direction: Direction) -> Float[Tensor, "rows columns"]:
    """The weights of an even map at one place: over all that it can choose between, or of all that look at it."""
    if direction == "attended_by":
        return torch.ones(map_.grid)
    return map_.even_rows(torch.tensor([map_.index(*place)]))[0].reshape(map_.grid)


def weights_at(map_: SpatialMap, row: int, column: int, direction: Direction) -> Float[Tensor, "rows columns"]:
    """`attention_weights` of a map that has weights.

    Raises:
        IndexError: the cell lies outside the grid.
        TypeError: see `refuse_other_kinds`.
        ValueError: its values are not weights, but for example cosines.
    """
    refuse_other_kinds(map_)
    if map_.unit != "weight":
        raise ValueError(f"map '{map_.name}' has {map_.unit}s; these numbers need a map of weights")
    return attention_weights(map_, row, column, direction)


def refuse_other_kinds(map_: object) -> None:
    """Refuse what is no map of the bundled kinds, whose queries and keys are cells of one grid, without heads.

    Raises:
        TypeError: it is another kind, or no map.
    """
    if not isinstance(map_, MapOverPlaces):
        raise TypeError(
            f"a {type(map_).__name__} has no such numbers: they are of maps over places of the bundled models' kinds "
            "and of published weights; of another network, entropy_bits(map.attends_to(row, column)) is the entropy"
        )


def normalise(weights: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The weights in float64, divided by their sum.

    Raises:
        ValueError: a weight is negative or not a number, or all are 0.
    """
    exact = weights.double()
    if not bool((exact >= 0).all()):
        raise ValueError("a weight is negative or not a number; these numbers need a map with a softmax")
    total = exact.sum()
    if total <= 0:
        raise ValueError("all weights inside the picture are 0; choose another cell")
    return exact / total


def entropy_bits(weights: Float[Tensor, "*shape"]) -> float:
    """`-sum_j w_j log2 w_j` of the normalised weights (Shannon 1948), in bits.

    0 where one of N has all the weight, log2 N where all have the same; `2 ** entropy` is their effective number.

    Raises:
        ValueError: see `normalise`.
    """
    shares = normalise(weights)
    return max(0.0, -float(torch.xlogy(shares, shares).sum()) / math.log(2))


def normalised_entropy(weights: Float[Tensor, "*shape"]) -> float:
    """The entropy over log2 N of the N cells, in [0, 1]: 0 on one cell, 1 evenly; NaN where there is one cell only.

    Raises:
        ValueError: see `normalise`.
    """
    if weights.numel() == 1:
        return math.nan
    return min(1.0, entropy_bits(weights) / math.log2(weights.numel()))


def weights_distance(
    map_: SpatialMap, weights: Float[Tensor, "rows columns"], place: Grid, image_size: Grid
) -> Distance:
    """`sum_j w_j |c_j - c_p|` over the cells' centres, of a place's normalised weights: how far the place looks.

    It is the attention distance of Dosovitskiy et al. (ViT, ICLR 2021, section 4.5), with `cell_centres`.

    Raises:
        IndexError: the cell lies outside the grid.
        ValueError: see `normalise`.
    """
    shares, (row, column) = normalise(weights), place
    down, along = (torch.from_numpy(axis) for axis in cell_centres(map_, image_size))
    pixels = float((shares * torch.hypot((down - down[row])[:, None], along - along[column])).sum())
    return Distance(pixels, pixels / math.hypot(*image_size))


def own_class_share(map_: SpatialMap, row: int, column: int, labels: Labels) -> ClassShare:
    """The share of the weight on cells of the own cell's class, and what an even map would put on them.

    An even map weighs alike all cells that the place can choose between. A cell's class is the most frequent label of
    its pixels; void cells are left out of both shares. NaN where the own cell is void, or where one of the two maps has
    all its weight on void cells.

    Args:
        map_: a map over the feature grid.
        row: the place's grid row.
        column: the place's grid column.
        labels: classes of the same picture at any size, 255 for void.

    Raises:
        IndexError: the cell lies outside the grid.
        ValueError: see `normalise` and `cell_classes`.
    """
    weights, even = weights_at(map_, row, column, "attends_to"), even_weights(map_, (row, column), "attends_to")
    return class_share(weights, even, (row, column), cell_classes(map_, labels))


def class_share(
    weights: Float[Tensor, "rows columns"], even: Float[Tensor, "rows columns"], place: Grid, classes: CellClasses
) -> ClassShare:
    """`own_class_share` of weights, even weights and cell classes that are already known."""
    known, own = classes != VOID, classes[place]
    own_shares = []
    for one in (weights, even):
        shares = normalise(one).numpy()
        total = float(shares[known].sum())
        if own == VOID or total == 0:
            return ClassShare(math.nan, math.nan)
        own_shares.append(min(1.0, float(shares[classes == own].sum()) / total))
    return ClassShare(*own_shares)


def query_dependence(map_: SpatialMap, places: Sequence[Grid], direction: Direction = "attends_to") -> float:
    """Mean total variation distance `1/2 sum_j |w_pj - w_qj|` over all pairs of places, of the normalised weights.

    0: all places look at the same cells, as Cao et al. (GCNet, ICCVW 2019, section 3) found of non-local blocks in
    detectors (issue 7 of xvjiarui/GCNet asks about segmentation); 1: no two places share a cell.

    Raises:
        IndexError: a cell lies outside the grid.
        ValueError: fewer than two places; see also `normalise`.
    """
    if len(places) < 2:
        raise ValueError(f"{len(places)} places make no pair; name at least two cells")
    return mean_variation([normalise(weights_at(map_, row, column, direction)) for row, column in places])


def line_dependence(map_: AxisChannelAttention, lines: Sequence[int]) -> float:
    """`query_dependence` for a channel block with a matrix for each line of the grid: how far the matrices lie apart.

    Each channel's weights over the channels that it draws from count as one map; the mean is over channels. A block
    with one matrix for the whole picture (DANet's channel attention) would have 0.

    Raises:
        IndexError: the grid has no such line.
        ValueError: fewer than two lines.
    """
    if len(lines) < 2:
        raise ValueError(f"{len(lines)} lines make no pair; name at least two")
    matrices = [map_.matrix(line) for line in lines]
    return mean_variation([matrix / len(matrix) for matrix in matrices])


def mean_variation(maps: Sequence[Float[Tensor, "*shape"]]) -> float:
    """Mean total variation distance over all pairs of maps, each of which sums to 1; in [0, 1]."""
    rows = torch.stack([one.double().flatten() for one in maps])
    return min(1.0, float(torch.pdist(rows, p=1).mean()) / 2)


def known_mean(values: Sequence[float]) -> float:
    """The mean of the values that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
