"""Where a block looks, in numbers: batches of rows against single rows, and the means against a slow loop."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from segviz.attention.cells import cell_classes
from segviz.attention.maps import DotProductAttention, SampledAttention, SpatialMap, StripAttention
from segviz.attention.row_numbers import normalise_rows, row_class_shares, row_distances, row_entropies, row_variations
from segviz.attention.statistics import (
    entropy_bits,
    mean_variation,
    normalise,
    own_class_share,
    query_dependence,
    weights_distance,
)
from segviz.catalogue.map_record import MapMeasurement, MapNumbers, MeasuredMap
from segviz.catalogue.record import Record, from_json, to_json
from segviz.data.classes import CAMVID, VOID
from segviz.evaluation import map_numbers
from segviz.evaluation.map_numbers import (
    EvenMeans,
    MapMeans,
    MeanMaps,
    add_map,
    blocks_of_cells,
    map_names,
    random_block,
)
from segviz.models.registry import build
from tests.block_cases import block_maps

GRID = (4, 6)
SIZE = (40, 120)
LABELS = np.kron(
    np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 2], [2, 0, 255, 1, 2, 2], [2, 2, 0, 0, 0, 2]], np.uint8),
    np.ones((10, 20), np.uint8),
)
NUMBERS = MapNumbers(0.5, 0.1, 2.5, 0.5, 0.2, 0.6, 0.3, 0.05)
MEASURED = MeasuredMap((45, 60), NUMBERS, replace(NUMBERS, entropy=1.0), MapNumbers())


def unsigned_maps() -> list[SpatialMap]:
    """A map of every kind that the blocks make, whose weights are shares."""
    torch.manual_seed(0)
    return [one for one in block_maps(GRID) if not one.signed]


MAPS = unsigned_maps()
every_map = pytest.mark.parametrize("map_", MAPS, ids=lambda one: f"{type(one).__name__}-{one.name}")


def one_row(map_: SpatialMap, cell: int) -> torch.Tensor:
    return map_.attends_to(*divmod(cell, map_.grid[1]))


@every_map
def test_many_rows_are_the_rows_one_by_one(map_: SpatialMap) -> None:
    cells = torch.tensor([5, 0, 5, map_.grid[0] * map_.grid[1] - 1])
    wanted = torch.stack([one_row(map_, cell).flatten() for cell in cells.tolist()])
    torch.testing.assert_close(map_.rows(cells), wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(super(type(map_), map_).rows(cells), wanted)


@every_map
def test_even_rows_are_even_over_what_rows_reach(map_: SpatialMap) -> None:
    cells = torch.arange(map_.grid[0] * map_.grid[1])
    even, rows = map_.even_rows(cells), map_.rows(cells)
    assert bool((even[rows > 0] > 0).all())
    if not isinstance(map_, SampledAttention):
        torch.testing.assert_close(even.sum(1), torch.ones(len(cells)))
        assert all(len(row[row > 0].unique()) == 1 for row in even)
        assert map_.reaches_all == bool((even > 0).all())


def slow_numbers(map_: SpatialMap, labels: np.ndarray, even: bool) -> dict[str, float]:
    """The means over all cells, row by row, from the definitions; pairs of cells as the quick way draws them."""
    count = map_.grid[0] * map_.grid[1]
    classes, values = cell_classes(map_, labels), {field.name: [] for field in fields(MapNumbers)}
    rows = {}
    for cell in range(count):
        place = divmod(cell, map_.grid[1])
        evenly = map_.even_rows(torch.tensor([cell]))[0].reshape(map_.grid)
        weights = evenly if even else one_row(map_, cell)
        if float(weights.sum()) == 0:
            continue
        rows[cell] = shares = normalise(weights)
        if isinstance(map_, StripAttention):
            choices = map_.strip_weights(*place)
        elif isinstance(map_, SampledAttention):
            choices = map_.samples(*place)[1]
        else:
            choices = weights[evenly > 0]
        values["entropy"].append(1.0 if even else entropy_bits(choices) / math.log2(len(choices)))
        near = [
            float(shares[row, column])
            for row in range(max(0, place[0] - 1), min(map_.grid[0], place[0] + 2))
            for column in range(max(0, place[1] - 1), min(map_.grid[1], place[1] + 2))
        ]
        values["at_itself"].append(sum(near))
        values["distance"].append(weights_distance(map_, weights, place, SIZE).share)
        values["largest"].append(float(shares.max()))
        if classes[place] == VOID:
            continue
        known, own = classes != VOID, classes == classes[place]
        of_class, by_even = (float(one[own].sum() / one[known].sum()) for one in (shares.numpy(), evenly.numpy()))
        values["own_class_weight"].append(of_class)
        values["own_class_even"].append(by_even)
        values["own_class"].append(1.0 if even else of_class / by_even if by_even else math.nan)
    (order,) = blocks_of_cells(map_.grid)
    for one, other in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        if one in rows and other in rows:
            values["dependence"].append(mean_variation([rows[one], rows[other]]))
    return {name: fmean(one for one in known if not math.isnan(one)) for name, known in values.items()}


@every_map
def test_the_means_are_those_of_a_slow_loop_over_the_whole_matrix(map_: SpatialMap) -> None:
    means = MapMeans(map_.grid)
    add_map(means, map_, map_, LABELS, EvenMeans())
    measured = means.to_record()
    assert measured.random == measured.trained and measured.grid == map_.grid
    for numbers, even in ((measured.trained, False), (measured.even, True)):
        assert asdict(numbers) == pytest.approx(slow_numbers(map_, LABELS, even), abs=1e-3)


def test_blocks_of_cells_and_several_pictures_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = MapMeans(GRID), MapMeans(GRID)
    add_map(whole, MAPS[0], MAPS[0], LABELS, EvenMeans())
    monkeypatch.setattr(map_numbers, "CELLS_AT_ONCE", 7)
    for _ in range(2):
        add_map(parts, MAPS[0], MAPS[0], LABELS, EvenMeans())
    known = {name: value for name, value in asdict(whole.to_record().trained).items() if name != "dependence"}
    assert {name: asdict(parts.to_record().trained)[name] for name in known} == pytest.approx(known, abs=1e-4)


def test_even_weights_are_reckoned_once_for_pictures_of_a_size() -> None:
    even, reckoned = EvenMeans(), []

    class Counted(DotProductAttention):
        def even_rows(self, cells: torch.Tensor) -> torch.Tensor:
            reckoned.append(len(cells))
            return super().even_rows(cells)

    map_ = Counted("spatial", GRID, torch.randn(24, 2), torch.randn(24, 2))
    for size in (SIZE, SIZE, (80, 120)):
        assert even.of(map_, size) is even.of(map_, size)
    assert reckoned == [24, 24]
    assert EvenMeans().of(map_, SIZE).numbers() == even.of(map_, SIZE).numbers()


def test_random_pairs_give_the_dependence_over_all_pairs() -> None:
    """On 432 cells, with a standard error below 0.01."""
    torch.manual_seed(0)
    grid = (18, 24)
    map_ = DotProductAttention("spatial", grid, 2 * torch.randn(432, 4), torch.randn(432, 4))
    means = MapMeans(grid)
    add_map(means, map_, map_, np.zeros((36, 48), np.uint8), EvenMeans())
    every = [divmod(cell, grid[1]) for cell in range(0, 432, 3)]
    assert means.to_record().trained.dependence == pytest.approx(query_dependence(map_, every), abs=0.03)


def test_rows_have_the_numbers_of_single_places() -> None:
    map_ = MAPS[0]
    cells = torch.arange(24)
    shares = normalise_rows(map_.rows(cells).double())
    classes = cell_classes(map_, LABELS)
    rows = [one_row(map_, cell) for cell in range(24)]
    assert row_entropies(shares).tolist() == pytest.approx([entropy_bits(row) for row in rows], abs=1e-5)
    distances = [weights_distance(map_, row, divmod(cell, 6), SIZE).pixels for cell, row in enumerate(rows)]
    assert row_distances(shares, cells, map_, SIZE).tolist() == pytest.approx(distances, abs=1e-4)
    own = [own_class_share(map_, *divmod(cell, 6), LABELS).weight for cell in range(24)]
    assert row_class_shares(shares, cells, classes).tolist() == pytest.approx(own, abs=1e-6, nan_ok=True)
    assert row_variations(shares[:1], shares[1:2]).item() == pytest.approx(mean_variation(list(shares[:2])))


def test_negative_and_missing_weights_are_refused() -> None:
    for bad in (-0.1, math.nan):
        with pytest.raises(ValueError, match="negative or not a number"):
            normalise_rows(torch.tensor([[0.5, bad]]))


def test_one_cell_of_all_weight_is_at_itself_and_has_no_entropy() -> None:
    own = DotProductAttention("spatial", GRID, 1e4 * torch.eye(24), torch.eye(24))
    means = MapMeans(GRID)
    add_map(means, own, own, LABELS, EvenMeans())
    numbers = means.to_record().trained
    assert (numbers.entropy, numbers.at_itself, numbers.distance, numbers.dependence, numbers.largest) == (
        0,
        1,
        0,
        1,
        1,
    )
    assert numbers.own_class_weight == 1


def test_a_picture_without_labels_has_no_class_numbers() -> None:
    means = MapMeans(GRID)
    add_map(means, MAPS[0], MAPS[0], np.full(SIZE, 255, np.uint8), EvenMeans())
    numbers = means.to_record().trained
    assert numbers.own_class is numbers.own_class_weight is numbers.own_class_even is None
    assert numbers.entropy is not None


@pytest.mark.parametrize(("name", "maps"), [("psa", ("collect", "distribute")), ("sam", ("strip",)), ("fla", ())])
def test_only_maps_over_places_are_measured(name: str, maps: tuple[str, ...]) -> None:
    model = build(name, 3).eval()
    assert map_names(model) == maps
    with torch.inference_mode():
        result = model(torch.zeros(1, 3, 96, 96)).attended.maps[0]
    means = MeanMaps()
    means.add(result, result, np.zeros((96, 96), np.uint8))
    measurement = means.measurement("a set", 1)
    assert (measurement.data, measurement.images, tuple(measurement.maps)) == ("a set", 1, maps)


def test_the_random_block_is_the_same_each_time_and_disturbs_no_seed() -> None:
    model = build("spatial_nl", 3).eval()
    state = torch.get_rng_state()
    first, second = random_block(model, "spatial_nl"), random_block(model, "spatial_nl")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.query.weight, model.block.query.weight)
    assert not first.training


def record(**values: Any) -> Record:
    return Record("psa", CAMVID.names, "mobilenetv2_100", 8, **values)


def test_numbers_outlive_their_record_and_old_records_have_none() -> None:
    one = record(maps={"val": MapMeasurement("camvid val", 101, {"collect": MEASURED})})
    assert from_json(to_json(one)) == one
    old = json.loads(to_json(record()))
    del old["maps"]
    assert from_json(json.dumps(old)).maps == {}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("images", -1, "'maps.val.images' is not a whole number"),
        ("images", 1.5, "not a whole number"),
        ("maps.collect.grid", [0, 4], "grid' has a side of less than 1 cell"),
        ("maps.collect.trained.entropy", 1.01, "'maps.val.collect.trained.entropy' is 1.01, not from 0 to 1"),
        ("maps.collect.even.at_itself", -0.1, "not from 0 to 1"),
        ("maps.collect.random.own_class", -1, "not 0 or more"),
        ("maps.collect.random.distance", float("nan"), "is nan, not from 0 to 1"),
        ("maps.collect.trained.own_class", float("inf"), "is inf, not 0 or more"),
        ("maps.collect.trained.largest", "much", "not a number"),
        ("maps", [], "not names with values"),
    ],
)
def test_bad_numbers_are_refused(path: str, value: object, message: str) -> None:
    text = json.loads(to_json(record(maps={"val": MapMeasurement("camvid val", 101, {"collect": MEASURED})})))
    *parents, last = ["maps", "val", *path.split(".")]
    place = text
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(text))
