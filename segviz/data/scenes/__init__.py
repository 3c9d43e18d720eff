"""Drawn street scenes with exact labels: geometry, light, paint, and the photograph."""

from segviz.data.scenes.scene import Scene as Scene
from segviz.data.scenes.scene import SceneOptions as SceneOptions
from segviz.data.scenes.scene import draw_scene as draw_scene
