"""Drawn streets, shared by all sessions."""

from __future__ import annotations

import streamlit as st

from segviz.data.scenes import SceneOptions, draw_scene
from segviz.engine.capacity import cores
from segviz.ui.fair_semaphore import Turns
from segviz.ui.picture import Picture
from segviz.ui.wait_for_engine import give_way

DRAWING = Turns(max(1, cores() // 2))  # Python runs on one core, and a scene takes 50 MB for a while


@st.cache_resource(max_entries=32, show_spinner=False)
def draw_street(seed: int, options: SceneOptions) -> Picture:
    """A scene, drawn once and shared by all sessions. A click ends the drawing of a scene that it replaces."""
    with DRAWING.turn(give_way):
        scene = draw_scene(seed, options, between=give_way)
    return Picture(f"street {seed}", scene.image, scene.labels)
