"""What a tiny network does with cue scenes: correct answers, and how much of its weight and influence is on the cue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from segviz.attention.maps import SpatialMap
from segviz.catalogue.cue_record import CueMeasurement
from segviz.data.scenes.cues import CUE_GRID, CueScene, CueShape, draw_cue_scene
from segviz.models.cue_network import CueNetwork, cell_influences, images_of

MEASURED_SEEDS = 10_000_000  # scenes from this number on are never trained on
CUE_PICTURES, LOOKED_AT = 400, 100
AT_ONCE = 20


def measure_cues(
    network: CueNetwork, kind: str, pictures: int = CUE_PICTURES, looked_at: int = LOOKED_AT
) -> CueMeasurement:
    """Measure a network over scenes that training never saw: the first thing of each.

    Args:
        network: the network, in eval mode.
        kind: the kind of cue.
        pictures: the number of scenes.
        looked_at: over how many of them weights and influence are averaged.
    """
    correct, weights, influences = 0, dict[str, list[float]](), list[float]()
    for first in range(0, pictures, AT_ONCE):
        scenes = measured_scenes(kind, pictures)[first : first + AT_ONCE]
        images = images_of(scenes)
        with torch.no_grad():
            answer = network(images)
        things = [scene.things[0] for scene in scenes]
        rows, columns = [thing.row for thing in things], [thing.column for thing in things]
        best = answer.logits[range(len(scenes)), :, rows, columns].argmax(1)
        correct += sum(int(one) == scene.classes[0] for one, scene in zip(best, scenes, strict=True))
        seen = scenes[: max(0, looked_at - first)]
        for scene, maps in zip(seen, answer.attended.maps, strict=False):
            for map_ in maps:
                if isinstance(map_, SpatialMap):
                    weights.setdefault(map_.name, []).append(weight_on_cue(map_, scene, 0))
        if seen:
            influences += influence_shares(network, images[: len(seen)], seen)
    means = {name: round(float(np.mean(values)), 5) for name, values in weights.items()}
    influence = round(float(np.mean(influences)), 5) if influences else None
    return CueMeasurement(pictures, correct, MEASURED_SEEDS, means, influence, min(looked_at, pictures))


@lru_cache(maxsize=1)
def measured_scenes(kind: str, pictures: int) -> tuple[CueScene, ...]:
    """The scenes of a kind that networks are measured on, the same for all."""
    return tuple(draw_cue_scene(kind, MEASURED_SEEDS + number) for number in range(pictures))


def weight_on_cue(map_: SpatialMap, scene: CueScene, thing: int) -> float:
    """The weight that a thing's centre gives to its cue's nine cells, in [0, 1].

    On a coarser grid, such as PSA's, it is the weight on the cells that these nine lie in.
    """
    at, cue = scene.things[thing], scene.cues[scene.meant[thing]]
    weights = map_.attends_to(*map_.cell(at.row, at.column, *CUE_GRID))
    cells = {map_.cell(row, column, *CUE_GRID) for row, column in cells_of(cue)}
    return float(sum(weights[cell] for cell in cells))


def influence_shares(network: CueNetwork, images: Tensor, scenes: Sequence[CueScene]) -> list[float]:
    """The shares of the influence on the first things' winning scores that lie on their cues, where there is any."""
    cells = [(scene.things[0].row, scene.things[0].column) for scene in scenes]
    maps = cell_influences(network, images, cells)
    pairs = zip(maps, scenes, strict=True)
    return [float(one[scene.cues[scene.meant[0]].cells].sum() / one.sum()) for one, scene in pairs if one.sum() > 0]


def cells_of(mark: CueShape) -> Iterator[tuple[int, int]]:
    """The nine cells of a mark, row by row."""
    rows, columns = mark.cells
    for row in range(rows.start, rows.stop):
        for column in range(columns.start, columns.stop):
            yield row, column
