"""Drawn scenes by name: scene:SEED."""

from __future__ import annotations

import re

from segviz.data.scenes.scene import Scene, draw_scene

SCENE = "scene:"


class SourceError(ValueError):
    """What was named cannot be a picture; the message names the cause and the cure."""


def is_scene(text: str) -> bool:
    """Whether a drawn scene is meant."""
    return text.startswith(SCENE)


def draw_named_scene(text: str) -> Scene:
    """The drawn scene of `scene:SEED`."""
    return draw_scene(scene_seed(text))


def scene_seed(text: str) -> int:
    """The number of `scene:SEED`.

    Raises:
        SourceError: it is none.
    """
    seed = text.removeprefix(SCENE)
    if not re.fullmatch(r"[0-9]{1,18}", seed):
        raise SourceError(f"'{text}' names no scene; write scene:SEED with a whole number, such as scene:7")
    return int(seed)
