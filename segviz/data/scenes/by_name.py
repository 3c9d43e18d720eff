"""Drawn scenes by name, scene:SEED."""

from __future__ import annotations

import re

from segviz.data.scenes.scene import Scene, draw_scene

SCENE_PREFIX = "scene:"


class SourceError(ValueError):
    """A name that gives no picture; the message names the cause and the cure."""


def is_scene(text: str) -> bool:
    """Whether a text names a drawn scene."""
    return text.startswith(SCENE_PREFIX)


def draw_named_scene(text: str) -> Scene:
    """Draw the scene that `scene:SEED` names."""
    return draw_scene(scene_seed(text))


def scene_seed(text: str) -> int:
    """The seed in `scene:SEED`.

    Raises:
        SourceError: SEED is not a whole number of at most 18 digits.
    """
    seed = text.removeprefix(SCENE_PREFIX)
    if not re.fullmatch(r"[0-9]{1,18}", seed):
        raise SourceError(f"'{text}' does not name a scene; write scene:SEED with a whole number, such as scene:7")
    return int(seed)
