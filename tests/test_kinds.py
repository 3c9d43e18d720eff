"""Every kind of map says what pages and files need to know of it; an unknown kind is refused, not described wrongly."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention import channels
from segviz.attention.deformable import DeformableSamples
from segviz.attention.maps import (
    AttendedFeatures,
    AttentionMap,
    ChannelMap,
    GridMap,
    HeadMap,
    MapLook,
    MapOverPlaces,
    NetworkMap,
    ObjectQueryMap,
    SpatialMap,
    detach,
)
from segviz.batch.attention_files import describe_attention
from segviz.data.classes import CAMVID
from segviz.figures.map_subplots import map_subplots
from segviz.figures.same_pixel_table import no_map_sentences, no_map_words
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.ui.map_help import why_no_map
from segviz.viewer import wire
from segviz.viewer.panels_of_maps import panels_of_map
from tests.block_cases import CASES, C, image, made
from tests.reference import REFERENCES

GRID, SIZE = (3, 4), (30, 40)
IMAGE = np.zeros((*SIZE, 3), np.uint8)
LOOKS: tuple[MapLook, ...] = get_args(MapLook)


@dataclass(frozen=True)
class UnknownOverPlaces(MapOverPlaces):
    """A kind over places that is in no union."""

    weights: Float[Tensor, "cells cells"]

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        return self.weights[self.index(row, column)].reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        return self.weights[:, self.index(row, column)].reshape(self.grid)


@dataclass(frozen=True)
class UnknownOverChannels:
    """A kind over channels that is in no union, and does not say why it has no places."""

    name: str


UNKNOWN = (UnknownOverPlaces("new", GRID, torch.ones(12, 12) / 12), UnknownOverChannels("new"))
unknown = pytest.mark.parametrize("planted", UNKNOWN, ids=lambda one: type(one).__name__)


def prediction(maps: dict[str, Any]) -> Prediction:
    attended = AttendedFeatures("attended", GRID, torch.zeros(GRID), torch.zeros(GRID))
    labels, confidence = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.float32)
    return Prediction("fcn", labels, confidence, CAMVID, MappingProxyType(maps), attended, IMAGE)


@pytest.mark.parametrize("kind", get_args(SpatialMap))
def test_a_kind_over_places_says_how_it_is_drawn(kind: type[MapOverPlaces]) -> None:
    assert issubclass(kind, MapOverPlaces)
    assert kind.looks[:2] == ("attends_to", "attended_by") and set(kind.looks) <= set(LOOKS)
    assert kind.__doc__ and not inspect.isabstract(kind)


@pytest.mark.parametrize("kind", get_args(ChannelMap))
def test_a_kind_over_channels_says_why_it_has_no_places(kind: type[Any]) -> None:
    assert kind.reason.startswith("it ") and "places" in kind.reason and not kind.reason.endswith(".")
    assert 0 < len(kind.short_reason) <= 40


def test_every_kind_is_in_a_union() -> None:
    over_places = {one for one in MapOverPlaces.__subclasses__() if one.__module__.startswith("segviz.")}
    assert over_places == set(get_args(SpatialMap))
    own = {one for _, one in inspect.getmembers(channels, inspect.isclass) if one.__module__ == channels.__name__}
    assert own == set(get_args(ChannelMap))
    assert {*HeadMap.__subclasses__(), *ObjectQueryMap.__subclasses__()} == set(get_args(NetworkMap))
    bases = {MapOverPlaces, HeadMap, ObjectQueryMap, DeformableSamples}
    others = {AttendedFeatures, *get_args(AttentionMap), *get_args(NetworkMap)}
    assert set(GridMap.__subclasses__()) <= bases | others


@pytest.mark.parametrize("case", CASES)
def test_every_map_of_a_block_can_be_shown_drawn_and_described(case: str) -> None:
    with torch.no_grad():
        maps = {one.name: one for one in detach(made(case)(image(1, C, *GRID)).maps[0])}
    whole = prediction(maps)
    for one in maps.values():
        panels = panels_of_map(one)
        assert bool(panels) == isinstance(one, SpatialMap)
        assert all(panel.title and panel.note for panel in panels)
        assert len(list(map_subplots(IMAGE, one, [(5, 5)], LOOKS))) == (
            len(one.looks) if isinstance(one, MapOverPlaces) else 1
        )
        if isinstance(one, SpatialMap):
            assert one.main_look in one.looks
            assert wire.pack(one)
    assert [one["map"] for one in describe_attention(whole, [(5, 5)], list(maps))["maps"]] == list(maps)


@unknown
@pytest.mark.parametrize(
    "use",
    [
        panels_of_map,
        lambda planted: list(map_subplots(IMAGE, planted, [(5, 5)], LOOKS)),
        lambda planted: describe_attention(prediction({"new": planted}), [(5, 5)], ["new"]),
        lambda planted: no_map_words(prediction({"new": planted})),
        lambda planted: no_map_sentences([prediction({"new": planted})]),
        lambda planted: why_no_map(prediction({"new": planted})),
        wire.pack,
    ],
    ids=["panels", "subplots", "attend", "words", "sentences", "why", "wire"],
)
def test_an_unknown_kind_is_refused(planted: Any, use: Callable[[Any], object]) -> None:
    with pytest.raises((AssertionError, AttributeError, TypeError)):  # TypeError: the types, checked in tests
        use(planted)


@unknown
def test_a_planted_kind_is_found(planted: Any) -> None:
    """What holds for every kind does not hold for one that nobody finished."""
    assert type(planted) not in get_args(AttentionMap)
    with pytest.raises((AssertionError, AttributeError)):
        test_a_kind_over_channels_says_why_it_has_no_places(type(planted))


def test_a_kind_that_forgets_a_direction_cannot_be_made() -> None:
    @dataclass(frozen=True)
    class Half(MapOverPlaces):
        def attends_to(self, row: int, column: int) -> Tensor:
            return torch.ones(self.grid)

    with pytest.raises(TypeError, match=r"abstract class Half .*attended_by"):
        Half("half", GRID)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].maps])
def test_every_block_has_a_case_and_a_slow_loop(name: str) -> None:
    block = type(MODELS[name].block(MODELS[name].channels))
    assert block in {type(make()) for make in CASES.values()}
    assert block in REFERENCES, f"write the loop of {block.__name__} in tests/reference.py"
