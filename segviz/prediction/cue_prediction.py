"""A tiny network's answers to a cue scene, as the pages show them: labels at the things, and the block's maps."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from segviz.attention.maps import AttendedFeatures, detach
from segviz.data.classes import VOID, ClassSet
from segviz.data.scenes.cues import CUE_COLOURS, CUE_RGB, CueScene
from segviz.models.cue_network import CueNetwork, cell_influences, images_of
from segviz.prediction.prediction import Prediction

CELL = 20  # pixels that a cell is enlarged to
CUE_CLASSES = ClassSet(CUE_COLOURS, tuple((int(r), int(g), int(b)) for r, g, b in CUE_RGB))


def predict_cues(network: CueNetwork, block: str, scene: CueScene) -> Prediction:
    """The network's answers to a scene; its picture is enlarged, and what is no thing is void.

    Args:
        network: the network, in eval mode.
        block: the block's name.
        scene: the scene.
    """
    with torch.inference_mode():
        answer = network(images_of([scene]))
        shares, best = answer.logits[0].softmax(0).max(0)
    attended = answer.attended
    grid = (attended.features.shape[2], attended.features.shape[3])
    means = AttendedFeatures("attended", grid, attended.features[0].mean(0), attended.context[0].mean(0))
    labels = np.full(scene.image.shape[:2], VOID, np.uint8)
    for thing in scene.things:
        labels[thing.cells] = best.numpy()[thing.cells]
    maps = {map_.name: map_ for map_ in detach(attended.maps[0])}
    confidence = enlarge_cells(shares.numpy())
    return Prediction(
        block, enlarge_cells(labels), confidence, CUE_CLASSES, maps, detach([means])[0], enlarge_cells(scene.image)
    )


def true_labels(scene: CueScene) -> UInt8[np.ndarray, "height width"]:
    """The right classes of the enlarged picture's things; everything else is void, as in the network's answers."""
    labels = np.full(scene.image.shape[:2], VOID, np.uint8)
    for thing, number in zip(scene.things, scene.classes, strict=True):
        labels[thing.cells] = number
    return enlarge_cells(labels)


def influence_at(network: CueNetwork, scene: CueScene, cell: tuple[int, int]) -> Float32[np.ndarray, "rows columns"]:
    """The influence of every cell on the winning score at a cell; all zeros without a context."""
    return cell_influences(network, images_of([scene]), [cell])[0].float().numpy()


def enlarge_cells(cells: np.ndarray) -> np.ndarray:
    """Each cell as a square of pixels."""
    return cells.repeat(CELL, 0).repeat(CELL, 1)
