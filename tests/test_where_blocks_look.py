"""Where do the blocks look: sentences, ranges and reasons from the numbers alone; and the gain over fcn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segviz.attention.maps import SpatialMap
from segviz.catalogue.map_record import MapMeasurement, MapNumbers, MeasuredMap
from segviz.catalogue.record import VAL, Record
from segviz.models.registry import MODELS
from segviz.results.gain import gains_over_fcn, mean_gain
from segviz.results.map_charts import map_chart
from segviz.results.map_ranges import ANY_REASON, ENTROPY, MAP_RANGES, find_misses
from segviz.results.where_blocks_look import (
    MAP_COLUMNS,
    PLACELESS,
    block_maps,
    describe_maps,
    maps_section,
    maps_table,
)
from tests.result_cases import evaluation, record

GOOD = MapNumbers(0.6, 0.1, 3.0, 0.6, 0.2, 0.7, 0.3, 0.05)
EVEN = MapNumbers(1.0, 0.003, 1.0, 0.2, 0.2, 0.0, 0.37, 0.0004)


def measured(name: str, trained: MapNumbers = GOOD, model: str = "spatial_nl") -> Record:
    maps = {name: MeasuredMap((45, 60), trained, EVEN, GOOD)}
    return record(model, maps={VAL: MapMeasurement("camvid val", 101, maps)})


def test_a_map_in_range_gets_its_numbers_and_no_reason() -> None:
    (sentence,) = describe_maps({"spatial_nl": (measured("spatial"),)})
    for part in (
        "**Spatial non-local** selects places",
        "60 % of even",
        "3.0 times",
        "30 % of the picture's diagonal",
        "37 %",
    ):
        assert part in sentence
    assert "Of a point's weight, 10 % is on its own cell and the eight around it" in sentence
    assert "From one random point to another, 70 % of the weight moves on average." in sentence
    assert "Out of range" not in sentence


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("spatial", {"entropy": 0.1, "largest": 0.9}, "entropy 10 % (35 to 90 % wanted): few cells have nearly all"),
        ("spatial", {"entropy": 0.95}, "the weights are nearly even; random weights have 60 %"),
        ("collect", {"at_itself": 0.6}, "at itself 60 % (at most 25 % wanted): PSA predicts its mask from the point's"),
        ("samples", {"own_class": 1.5, "own_class_even": 0.78}, "even weights put 78 % on its class"),
        ("samples", {"dependence": 0.99}, "depends 99 % (40 to 95 % wanted): two far points share no sample"),
        ("strip", {"own_class": 1.3}, "it weighs whole columns"),
        ("cross", {"at_itself": 0.3}, "which meet at the point"),
    ],
)
def test_a_number_out_of_range_is_told_with_its_reason(name: str, changes: dict[str, float], words: str) -> None:
    (sentence,) = describe_maps({"spatial_nl": (measured(name, replace(GOOD, **changes)),)})
    assert words in sentence and sentence.count("wanted") == 1


def test_the_ends_of_a_range_belong_to_it() -> None:
    ends = [(limits.field, end) for limits in MAP_RANGES for end in (limits.low, limits.high) if end is not None]
    for field, end in ends:
        assert not list(find_misses("spatial", MeasuredMap((2, 2), replace(GOOD, **{field: end}), EVEN, GOOD)))


def test_every_side_of_every_range_has_a_reason() -> None:
    sides = {(limits.field, "low") for limits in MAP_RANGES if limits.low is not None}
    sides |= {(limits.field, "high") for limits in MAP_RANGES if limits.high is not None}
    assert set(ANY_REASON) == sides


def test_what_was_not_measured_is_said_and_maps_over_channels_are_not_missing() -> None:
    runs = {name: (record(name),) for name in ("fcn", "psa", "fla")}
    first, second = describe_maps(runs)
    assert first.startswith("Not measured: Point-wise spatial attention. This does it: `python -m segviz evaluate")
    assert second == "Without a map over places: FCN (no context) and Fully attentional block."
    assert maps_section(runs).endswith(f"- {first}\n- {second}\n") and block_maps(runs) == []


def test_the_registry_s_maps_over_places_are_known_by_name() -> None:
    from tests.test_map_numbers import MAPS

    assert {name for row in MODELS.values() for name in row.maps} == set(PLACELESS) | {one.name for one in MAPS}
    assert all(isinstance(one, SpatialMap) for one in MAPS)


def test_the_table_has_trained_even_and_random_weights() -> None:
    table = maps_table({"spatial_nl": (measured("spatial"),)})
    assert list(table) == [column.title for column in MAP_COLUMNS]
    assert table["Weights"] == ["trained", "even weights", "random weights"]
    assert table["Entropy (%)"] == [60, 100, 60] and table["Own class (times)"] == [3, 1, 3]
    assert "| Spatial non-local | val | trained | 60.0 |" in maps_section({"spatial_nl": (measured("spatial"),)})


def test_a_chart_shows_the_range_and_all_three_weights() -> None:
    figure = map_chart(block_maps({"spatial_nl": (measured("spatial"),)}), ENTROPY)
    assert [(trace.name, list(trace.x)) for trace in figure.data] == [
        ("trained", [60]),
        ("even weights", [100]),
        ("random weights", [60]),
    ]
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(35, 35), (90, 90), (35, 90)]


def test_the_gain_over_fcn_compares_the_same_seed_steps_and_data() -> None:
    def one(model: str, miou: float, **more: object) -> Record:
        return record(model, evaluations={VAL: evaluation(miou)}, **more)

    runs = {
        "fcn": (one("fcn", 0.70, seed=0), one("fcn", 0.72, seed=1)),
        "ema": (one("ema", 0.71, seed=0), one("ema", 0.72, seed=1), one("ema", 0.9, seed=2)),
        "sam": (one("sam", 0.69, seed=0, steps=9), one("sam", 0.69, seed=1, output_stride=32)),
        "psa": (record("psa", seed=0, evaluations={}),),
    }
    assert gains_over_fcn(runs, "ema") == pytest.approx({0: 1.0, 1: 0.0}) and mean_gain(runs, "ema") == 0.5
    assert gains_over_fcn(runs, "sam") == pytest.approx({1: -3.0})
    assert mean_gain(runs, "psa") is mean_gain(runs, "fcn") is None and not gains_over_fcn({}, "ema")
