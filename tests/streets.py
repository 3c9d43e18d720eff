"""Drawn streets, which tests share: drawing one takes a third of a second."""

from __future__ import annotations

from functools import lru_cache

from segviz.data.scenes import Scene, draw_scene


@lru_cache(maxsize=16)
def street(seed: int) -> Scene:
    """A scene of the app's size, drawn once in a process; leave its arrays as they are."""
    return draw_scene(seed)
