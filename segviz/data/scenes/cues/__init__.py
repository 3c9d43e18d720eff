"""Drawn scenes in which only a cue elsewhere tells the class of a thing: where to look has a known answer."""

from segviz.data.scenes.cues.draw import draw_cue_scene as draw_cue_scene
from segviz.data.scenes.cues.kinds import CUE_KINDS as CUE_KINDS
from segviz.data.scenes.cues.kinds import CueKind as CueKind
from segviz.data.scenes.cues.scene import CUE_COLOURS as CUE_COLOURS
from segviz.data.scenes.cues.scene import CUE_GRID as CUE_GRID
from segviz.data.scenes.cues.scene import CUE_RGB as CUE_RGB
from segviz.data.scenes.cues.scene import CueScene as CueScene
from segviz.data.scenes.cues.scene import CueShape as CueShape
