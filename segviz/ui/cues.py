"""The parts of the Cues page: its table, its scene with frames around cues, and what the network says of a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.cue_file import cue_path, read_cue_network
from segviz.catalogue.cue_record import CueRecord
from segviz.catalogue.file_digest import file_digest
from segviz.data.scenes.cues import CUE_COLOURS, CUE_GRID, CUE_KINDS, CueScene, CueShape, draw_cue_scene
from segviz.evaluation.cues import MEASURED_SEEDS, weight_on_cue
from segviz.models.cue_network import CueNetwork
from segviz.models.registry import MODELS
from segviz.prediction.cue_prediction import CELL, CUE_CLASSES, influence_at, predict_cues, true_labels
from segviz.prediction.prediction import Prediction
from segviz.text import escape_markdown, percent_text
from segviz.ui.prediction_panels import panels_of_maps, prediction_panel
from segviz.viewer.panel import PIN_COLOURS, Panel, Pin, ScalarMap
from segviz.viewer.panels_of_maps import labels_panel

BLOCK, KIND, SCENE = "cues model", "cues kind", "cues scene"  # keys of widgets
FIRST_NETWORK = ("rcca", "column")  # names the class in nearly all scenes, with half of its weight on the cue
SCENE_NUMBERS = 1000  # that can be looked at
CUE_GAP, CUE_LINE = 3, 4  # pixels between a cue and its frame, and of the frame's line


@dataclass(frozen=True, eq=False)
class CueAnswers:
    """A network, a scene and the network's answers."""

    network: CueNetwork
    record: CueRecord
    scene: CueScene
    prediction: Prediction

    def thing_at(self, pin: Pin) -> int | None:
        """The number of the thing that a pixel lies on."""
        cell = pin.y // CELL, pin.x // CELL
        return next((number for number, thing in enumerate(self.scene.things) if covers(thing, cell)), None)


def answer_or_stop(block: str, kind: str, scene: int) -> CueAnswers:
    """The answers of a network to one of the scenes; stops the page with a sentence if its file cannot be used."""
    path, cure = cue_path(block, kind), f"`python -m segviz train-cues --blocks {block} --kinds {kind}`"
    if not path.is_file():
        st.info(f"This network is not among the checkpoints; {cure} trains it, mostly in a few minutes.")
        st.stop()
    try:
        network, record = _load(block, kind, file_digest(path))
    except (CheckpointError, OSError) as error:
        st.error(f"{escape_markdown(str(error))}. {cure} trains it again.")
        st.stop()
    drawn = draw_cue_scene(kind, MEASURED_SEEDS + scene)
    return CueAnswers(network, record, drawn, predict_cues(network, block, drawn))


@st.cache_resource(max_entries=len(MODELS) * len(CUE_KINDS), show_spinner=False)
def _load(block: str, kind: str, digest: str) -> tuple[CueNetwork, CueRecord]:
    """A network, read once for all sessions while its file stays the same."""
    return read_cue_network(cue_path(block, kind))


def open_cell(row: int, title: str) -> None:
    """Show the network of a cell of the table."""
    kinds = {kind.title: key for key, kind in CUE_KINDS.items()}
    if title in kinds:
        st.session_state[BLOCK], st.session_state[KIND] = list(MODELS)[row], kinds[title]


def place_in_table(block: str, kind: str) -> tuple[int, str]:
    """The table's cell of a network, as `open_cell` gets it."""
    return list(MODELS).index(block), CUE_KINDS[kind].title


def go_to_next_scene() -> None:
    """Increase the scene's number by one."""
    st.session_state[SCENE] = (int(st.session_state[SCENE]) + 1) % SCENE_NUMBERS


def first_pin(scene: CueScene) -> Pin:
    """A pin at the first thing's centre."""
    thing = scene.things[0]
    return Pin(thing.row * CELL + CELL // 2, thing.column * CELL + CELL // 2, 0)


def frame_cues(answers: CueAnswers, pins: Sequence[Pin]) -> np.ndarray:
    """The picture, with the cue that decides each pinned thing's class framed in its pin's colour."""
    assert answers.prediction.image is not None
    image = answers.prediction.image.copy()
    for pin in pins:
        if (thing := answers.thing_at(pin)) is None:
            continue
        cue = answers.scene.cues[answers.scene.meant[thing]]
        colour = [int(PIN_COLOURS[pin.colour][start : start + 2], 16) for start in (1, 3, 5)]
        outer, inner = frame_of(cue, CUE_GAP + CUE_LINE), frame_of(cue, CUE_GAP)
        kept = image[inner].copy()
        image[outer] = colour
        image[inner] = kept
    return image


def frame_of(mark: CueShape, margin: int) -> tuple[slice, slice]:
    """The pixels of a mark's cells and a margin around them, inside the picture."""
    rows, columns = (
        slice(max(cells.start * CELL - margin, 0), min(cells.stop * CELL + margin, lines * CELL))
        for cells, lines in zip(mark.cells, CUE_GRID, strict=True)
    )
    return rows, columns


def cue_panels(answers: CueAnswers, pins: Sequence[Pin]) -> list[Panel]:
    """What the network says and what is correct, its maps under the pointer, and the influence on each pinned point."""
    prediction = answers.prediction
    panels = [
        prediction_panel(prediction, "Answers", "what the network says of each object"),
        labels_panel(true_labels(answers.scene), CUE_CLASSES, "Correct", "each object in its cue's colour"),
        *panels_of_maps(prediction),
    ]
    for index, pin in enumerate(pins):
        values = influence_at(answers.network, answers.scene, (pin.y // CELL, pin.x // CELL))
        title = f"Influence on point {pin.number}"
        if values.any():
            note = "which cells its answer depends on, through the context alone"
            shown = ScalarMap(values, "influence", False)
            panels.append(Panel(title, shown, "values", pin=index, note=note, model=prediction.model))
        else:
            panels.append(Panel(title, None, "plain", pin=index, note="none: no context reaches the answer"))
    return panels


def describe_point(answers: CueAnswers, pin: Pin) -> str:
    """A sentence on a pinned thing: the answer, the correct one, and weight and influence of the cue that decides."""
    thing, scene = answers.thing_at(pin), answers.scene
    if thing is None:
        return f"**Point {pin.number}** is not on an object; point at one of the white ones."
    said = CUE_COLOURS[answers.prediction.labels[pin.y, pin.x]]
    correct, cue = CUE_COLOURS[scene.classes[thing]], scene.cues[scene.meant[thing]]
    verdict = f"**{said}**, which is correct" if said == correct else f"**{said}**, but **{correct}** is correct"
    weights = [
        f"{one.name} {percent_text(weight_on_cue(one, scene, thing))}" for one in answers.prediction.spatial_maps
    ]
    values = influence_at(answers.network, scene, (pin.y // CELL, pin.x // CELL))
    share = percent_text(values[cue.cells].sum() / values.sum()) if values.any() else "none"
    looks = f" weight on the cue that decides: {', '.join(weights)};" if weights else ""
    return f"**Point {pin.number}**: the network says {verdict};{looks} influence of the cue that decides: {share}."


def covers(mark: CueShape, cell: tuple[int, int]) -> bool:
    """Whether a cell is one of a mark's nine."""
    return all(side.start <= at < side.stop for side, at in zip(mark.cells, cell, strict=True))
