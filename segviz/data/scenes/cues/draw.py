"""Draws cue scenes: grey noise, white things, coloured cues."""

from __future__ import annotations

import numpy as np

from segviz.data.scenes.cues.kinds import CUE_KINDS
from segviz.data.scenes.cues.scene import CUE_GRID, CUE_RGB, SHAPES, CueScene, CueShape

GROUND, NOISE = 110, 8  # the ground's level, and the standard deviation of its noise, out of 255
WHITE = np.array([250, 250, 250], np.uint8)


def draw_cue_scene(kind: str, seed: int) -> CueScene:
    """The scene of a kind and a seed; the same two always give the same scene.

    Raises:
        KeyError: there is no such kind.
    """
    if kind not in CUE_KINDS:
        raise KeyError(f"kind of cue '{kind}' is unknown; the kinds are {', '.join(CUE_KINDS)}")
    random = np.random.default_rng((list(CUE_KINDS).index(kind), seed))
    placed = None
    while placed is None:
        placed = CUE_KINDS[kind].place(random)
    things, cues = placed
    colours = random.permutation(len(CUE_RGB))[: len(cues)]
    image = np.clip(random.normal(GROUND, NOISE, (*CUE_GRID, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
    for thing in things:
        paint(image, thing, WHITE)
    for cue, colour in zip(cues, colours, strict=True):
        paint(image, cue, CUE_RGB[colour])
    meant = tuple(number % len(cues) for number in range(len(things)))
    return CueScene(kind, tuple(things), tuple(cues), tuple(map(int, colours)), meant, image)


def paint(image: np.ndarray, mark: CueShape, colour: np.ndarray) -> None:
    """Paint a mark's cells, in place."""
    image[mark.cells][SHAPES[mark.shape]] = colour
