"""Where a block looks, in numbers: means over all cells of many pictures, beside an even map's.

A map's matrix is formed for a block of cells at a time. `attention.statistics` has these numbers for single places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.cells import CellClasses, Labels, cell_classes
from segviz.attention.maps import AttentionMap, Grid, SpatialMap, detach
from segviz.attention.row_numbers import (
    Queries,
    normalise_rows,
    row_class_shares,
    row_distances,
    row_entropies,
    row_near_weights,
    row_variations,
)
from segviz.catalogue.map_record import MapMeasurement, MapNumbers, MeasuredMap
from segviz.models.blocks import ContextBlock
from segviz.models.options import OptionValue
from segviz.models.registry import build_block
from segviz.models.segmenter import BlockNetwork

CELLS_AT_ONCE = 512  # bounds memory: 512 x cells weights at a time
PAIRS_SEED, BLOCK_SEED = 0, 0
DECIMALS = 4


@dataclass
class Means:
    """Sums and counts of the fields of MapNumbers."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: Float[Tensor, " queries"]) -> None:
        """Add the values that are numbers."""
        known = values[values.isfinite()].double()
        self.sums[name] = self.sums.get(name, 0.0) + float(known.sum())
        self.counts[name] = self.counts.get(name, 0) + len(known)

    def merge(self, other: Means) -> None:
        """Add another's sums and counts."""
        for name, count in other.counts.items():
            self.sums[name] = self.sums.get(name, 0.0) + other.sums[name]
            self.counts[name] = self.counts.get(name, 0) + count

    def numbers(self) -> MapNumbers:
        """The means."""
        known = {name: round(self.sums[name] / count, DECIMALS) for name, count in self.counts.items() if count}
        return MapNumbers(**{one.name: known.get(one.name) for one in fields(MapNumbers)})


@dataclass
class MapMeans:
    """The means of one map of a block over pictures, of the trained block, of even weights, and of random weights."""

    grid: Grid
    trained: Means = field(default_factory=Means)
    even: Means = field(default_factory=Means)
    random: Means = field(default_factory=Means)

    def merge(self, other: MapMeans) -> None:
        """Add another's sums and counts."""
        for mine, more in ((self.trained, other.trained), (self.even, other.even), (self.random, other.random)):
            mine.merge(more)

    def to_record(self) -> MeasuredMap:
        """The means as numbers; even weights have the entropy and the own class of even weights."""
        even = replace(self.even.numbers(), entropy=1.0, own_class=1.0)
        return MeasuredMap(self.grid, self.trained.numbers(), even, self.random.numbers())


class EvenMeans:
    """The numbers of even weights over a whole grid: each is computed once, as pictures of a size share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Grid, Grid, Grid], Means] = {}  # by grid, feature grid and size of the picture

    def of(self, map_: SpatialMap, size: Grid) -> Means:
        """The numbers for a map of a picture of (height, width)."""
        key = map_.grid, map_.feature_grid, size
        if key not in self._known:
            self._known[key] = Means()
            for cells in blocks_of_cells(map_.grid):
                add_cells(self._known[key], normalise_rows(map_.even_rows(cells)), cells, map_, size)
        return self._known[key]


class MeanMaps:
    """The means of all maps over places of a block, picture by picture.

    Args:
        even: those of even weights that are known from other pictures.
    """

    def __init__(self, even: EvenMeans | None = None) -> None:
        self.means: dict[str, MapMeans] = {}
        self._even = even or EvenMeans()

    def add(self, trained: Sequence[AttentionMap], random: Sequence[AttentionMap], labels: Labels) -> None:
        """Add all cells of a picture's maps.

        Args:
            trained: the trained block's maps of the picture.
            random: the maps of the same block with random weights; those of a name are compared.
            labels: the picture's ground truth, 255 for void; a cell's class is the most frequent one of its pixels.

        Raises:
            ValueError: a weight is negative or not a number, or the picture has fewer pixels than a map has cells.
        """
        others = {one.name: one for one in maps_over_places(detach(random))}
        for one in maps_over_places(detach(trained)):
            means = self.means.setdefault(one.name, MapMeans(one.grid))
            add_map(means, one, others[one.name], labels, self._even)

    def merge(self, pictures: Mapping[str, MapMeans]) -> None:
        """Add the means of other pictures, by the names of maps."""
        for name, one in pictures.items():
            self.means.setdefault(name, MapMeans(one.grid)).merge(one)

    def measurement(self, data: str, images: int) -> MapMeasurement:
        """The means so far, of a number of pictures of a set."""
        return MapMeasurement(data, images, {name: means.to_record() for name, means in self.means.items()})


def maps_over_places(maps: Sequence[AttentionMap]) -> list[SpatialMap]:
    """Those maps that have a row for each place and weights that are shares."""
    return [one for one in maps if isinstance(one, SpatialMap) and not one.signed]


def random_block(model: BlockNetwork, name: str, options: Mapping[str, OptionValue] | None = None) -> ContextBlock:
    """The block of a model as before training: random weights by a fixed seed, in eval mode, on the model's device.

    Args:
        model: the network, which says what body the block stands on, and its stride.
        name: its row in the registry.
        options: its options, as its record has them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(BLOCK_SEED)
        block = build_block(name, options, model.backbone_name or None, model.output_stride)
    return block.eval().to(next(model.parameters()).device)


def map_names(model: BlockNetwork) -> tuple[str, ...]:
    """The names of a model's maps over places, found by running a small picture."""
    with torch.inference_mode():
        return tuple(one.name for one in maps_over_places(model(model.make_probe()).attended.maps[0]))


def add_map(means: MapMeans, trained: SpatialMap, random: SpatialMap, labels: Labels, even: EvenMeans) -> None:
    """Add all cells of one map of a picture to its means."""
    size = labels.shape[0], labels.shape[1]
    classes = cell_classes(trained, labels)
    add_rows(means.trained, trained, classes, size, means.even)
    add_rows(means.random, random, classes, size)
    if trained.reaches_all:
        means.even.merge(even.of(trained, size))


def add_rows(means: Means, map_: SpatialMap, classes: CellClasses, size: Grid, even: Means | None = None) -> None:
    """Add the numbers of all rows of a map to `means`, and to `even` those of even rows that differ by picture."""
    choices = map_.choices
    for cells in blocks_of_cells(map_.grid):
        shares = normalise_rows(map_.rows(cells))
        even_shares = normalise_rows(map_.even_rows(cells[:1] if map_.reaches_all else cells))
        weights, own = (row_class_shares(rows, cells, classes) for rows in (shares, even_shares))
        if choices is None:
            entropies = row_entropies(shares) / (even_shares > 0).sum(1).log2()
        else:
            entropies = row_entropies(normalise_rows(choices[cells])) / math.log2(choices.shape[1])
        means.add("entropy", entropies.clamp_max(1))
        means.add("own_class", weights / own)
        means.add("own_class_weight", weights)
        means.add("own_class_even", own)
        add_cells(means, shares, cells, map_, size)
        if even is not None:
            even.add("own_class_weight", own)
            even.add("own_class_even", own)
            if not map_.reaches_all:
                add_cells(even, even_shares, cells, map_, size)


def add_cells(means: Means, shares: Tensor, cells: Queries, map_: SpatialMap, size: Grid) -> None:
    """Add the numbers that need no classes.

    The dependence is a mean over random pairs of cells, nearly as many as there are cells: `cells` are in random order,
    and each is compared with the next.
    """
    means.add("at_itself", row_near_weights(shares, cells, map_.grid))
    means.add("distance", row_distances(shares, cells, map_, size) / math.hypot(*size))
    means.add("largest", shares.amax(1))
    means.add("dependence", row_variations(shares[1:], shares[:-1]))


def blocks_of_cells(grid: Grid) -> tuple[Queries, ...]:
    """The numbers of all cells in random but fixed order, CELLS_AT_ONCE at a time."""
    order = torch.randperm(grid[0] * grid[1], generator=torch.Generator().manual_seed(PAIRS_SEED))
    return tuple(order.split(CELLS_AT_ONCE))
