"""Inspect for a network of one's own: its layers, its heads, and what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.maps import NetworkMap, ObjectQueryMap, PlacedMap
from segviz.engine import CompareLayer, CompareStage, Watch
from segviz.figures.interesting_places import LARGEST_CLASS, telling_place
from segviz.prediction.prediction import Place
from segviz.prediction.similarity import STAGES
from segviz.text import count_words, escape_markdown, join_with_commas
from segviz.ui.beside_maps import SIMILARITY_HELP
from segviz.ui.inspect_crops import PROTOCOL_KEY, inspect_crops, pick_whole
from segviz.ui.map_help import WEIGHTS_HELP
from segviz.ui.models import short_title
from segviz.ui.network_answer import (
    ALL_LEVELS,
    LAYER_HELP,
    NetworkAnswer,
    ask_network,
    choose_head,
    choose_level,
    describe_pin,
    layer_title,
    level_titles,
    watch_network,
)
from segviz.ui.own_record import describe_record, own_record
from segviz.ui.picture import Picture
from segviz.ui.pins import current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.ui.tables import ColumnHead, show_table
from segviz.ui.widgets import forget_linked, keep_widget
from segviz.viewer.network_message import why_no_columns
from segviz.viewer.network_panels import grid_words, head_panels, join_notes
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.panels_of_maps import fix_panels, labels_panel, panels_of_map
from segviz.watch.findings import ROOT

INSPECT_PAGE = "inspect"
MEAN_HEAD, LARGEST_HEAD, EACH_HEAD = "mean", "largest", "each"
NO_FEATURES, WITH_SIMILARITY = "nothing", "similarity"
LAYER_KEY, HEAD_KEY, FEATURES_KEY, LEVEL_KEY = "inspect layer", "inspect head", "inspect features", "inspect level"
NETWORK_CONTROLS = (LAYER_KEY, HEAD_KEY, FEATURES_KEY, LEVEL_KEY)
LEVEL_HELP = "Deformable attention samples points on levels of features; all of them are added up on the finest grid."
STRIP = 6  # small maps side by side
VERIFY_KEY = "inspect verify"
VERIFY_HELP = (
    "segviz assumes that a network's tokens are the cells of the picture row by row, unless it knows otherwise. This "
    "runs the network once more, on the picture with four spots changed: the cells at these spots must change most."
)
SAMPLED_POINTS = "its places are sampled points, which the network itself gives"
FOUND_HELP = (
    ColumnHead("Layer", f"the module's path in the network, or {ROOT}: its own forward; further calls have a number"),
    ColumnHead("Map", "whether it is shown here, can be chosen above, or was passed over"),
    ColumnHead("Heads and grid", "heads, and rows and columns of its cells"),
    ColumnHead("Found as", "the function that computed it, or who declared it"),
    ColumnHead(
        "Check",
        "how far what is computed again from the found queries and keys is from what the layer returned, as a share of "
        "the largest value",
    ),
    ColumnHead("Reason", "why it was passed over"),
)


def inspect_network(name: str, picture: Picture) -> None:
    """The page of a network, below its heading."""
    controls = st.container(key="network controls", horizontal=True, vertical_alignment="bottom")
    answer = watch_network(name, picture)
    if answer is None:
        return
    if answer.crop is not None and pick_whole(controls):
        answer = watch_network(name, picture, whole=True, quiet=True) or answer
    elif answer.crop is None:
        forget_linked(PROTOCOL_KEY)
    if answer.crop is not None:
        forget_linked(LAYER_KEY, HEAD_KEY, LEVEL_KEY)
        with controls:
            beside = pick_beside_network(answer, None)
            how_to_read_maps()
        inspect_crops(picture, answer, beside)
        return
    one: Any = None
    shown: Any = None
    head, features = MEAN_HEAD, list[Panel]()
    if answer.layers:
        layer = pick_layer(answer, controls)
        if layer not in answer.maps:
            answer = watch_network(name, picture, (layer,)) or answer
        one = answer.maps.get(layer)
        with controls:
            head, shown = pick_head(one), pick_level(one)
            wanted = pick_beside_network(answer, one)
        features = compare_at(name, picture, one, layer, wanted) if wanted != NO_FEATURES else []
    else:
        forget_linked(*NETWORK_CONTROLS)
    with controls:
        how_to_read_maps()
    if answer.layers:
        st.caption("Point at the picture, or tap it: the maps follow. Click, press Enter or tap again to pin a point.")
    else:
        st.info(escape_markdown(no_map_sentence(answer)))
    lead, maps, columns = follow_panels(answer, shown, head)
    more = 0 if lead[0].wide else len(features)
    show_network_viewer(picture, answer, lead, [*maps, *features], columns + more)
    show_found(answer)
    if isinstance(one, NetworkMap) and answer.found:
        verify_layer(name, picture, layer)


def how_to_read_maps() -> None:
    """A button that says what a weight is."""
    with st.popover("How to read a map", icon=":material/help:"):
        st.markdown(WEIGHTS_HELP)


def pick_layer(answer: NetworkAnswer, controls: DeltaGenerator) -> str:
    """The layer whose map is shown; at first the last one."""
    kept = keep_widget(LAYER_KEY, answer.layers[-1], answer.layers, linked=answer.layers)
    return str(controls.selectbox("Layer", answer.layers, width=260, format_func=layer_title, help=LAYER_HELP, **kept))


def pick_head(one: object) -> str:
    """The heads that are shown: "mean", "largest", "each", or a head's number; of a map without heads, "mean"."""
    heads = one.heads if isinstance(one, NetworkMap) else 1
    if heads == 1:
        forget_linked(HEAD_KEY)
        return MEAN_HEAD
    titles = {
        MEAN_HEAD: f"mean of {heads} heads",
        LARGEST_HEAD: f"largest of {heads} heads",
        EACH_HEAD: f"each of {heads} heads",
        **{str(number): f"head {number}" for number in range(heads)},
    }
    kept = keep_widget(HEAD_KEY, MEAN_HEAD, titles, linked=titles)
    return str(st.selectbox("Head", titles, format_func=titles.__getitem__, width=180, **kept))


def pick_level(one: Any) -> Any:
    """The map, with all levels of features added up, or one of its levels, as the reader chooses."""
    titles = level_titles(one)
    if not titles:
        forget_linked(LEVEL_KEY)
        return one
    kept = keep_widget(LEVEL_KEY, ALL_LEVELS, titles, linked=titles)
    level = st.selectbox("Level", titles, format_func=titles.__getitem__, help=LEVEL_HELP, width=180, **kept)
    return choose_level(one, str(level))


def pick_beside_network(answer: NetworkAnswer, one: object) -> str:
    """Whose features' similarity the reader wants beside the maps: the layer's, or a stage's; NO_FEATURES for none."""
    if not (answer.has_block or isinstance(one, NetworkMap)):
        forget_linked(FEATURES_KEY)
        return NO_FEATURES
    titles: dict[str, str] = {NO_FEATURES: "nothing", WITH_SIMILARITY: "similarity of the layer's features"}
    help_ = "Similarity: the cosine of the point's feature with every place's, at the output of the layer's block."
    if answer.has_block:
        titles = {NO_FEATURES: "nothing", **{stage: f"similarity: {title}" for stage, title in STAGES.items()}}
        help_ = SIMILARITY_HELP
    kept = keep_widget(FEATURES_KEY, NO_FEATURES, titles, linked=titles)
    return str(st.selectbox("Beside the maps", titles, format_func=titles.__getitem__, help=help_, width=340, **kept))


def compare_at(name: str, picture: Picture, one: Any, layer: str, wanted: str) -> list[Panel]:
    """The panel of the similarity of a layer's or a stage's features; none if it cannot be computed."""
    stage = next((stage for stage in STAGES if stage == wanted), None)
    tokens = one.cell_tokens if isinstance(one, PlacedMap) else None
    op = CompareLayer(layer, one.grid, tokens) if stage is None else CompareStage(stage)
    value = ask_network(name, picture, op, f"{short_title(name)}: similarity")
    return [] if value is None else list(panels_of_map(value, name))


def follow_panels(answer: NetworkAnswer, one: Any, head: str) -> tuple[list[Panel], list[Panel], int]:
    """The panels that follow the pointer.

    Returns:
        Those in front, which pins do not repeat; the maps, which they do; and how many stand side by side.
    """
    classes = answer.classes
    first = Panel("Picture", None, "plain", model=answer.name)
    if classes is not None:
        first = labels_panel(classes.labels, classes.class_set, "Prediction", model=answer.name)
    if one is None:
        return [first], [], 1
    maps = list(panels_of_map(one, answer.name, choose_head(head)))
    strip = strip_panels(one, answer.name) if head == EACH_HEAD and isinstance(one, NetworkMap) else []
    if not strip:
        return [first], maps, 1 + sum(panel.query is None for panel in maps)
    mean = panel_above_strip(one, maps)
    return [replace(panel, wide=True) for panel in (first, mean)], strip, min(STRIP, len(strip))


def strip_panels(one: NetworkMap, name: str) -> list[Panel]:
    """A small panel for each head of a map; where it has both, the reader chooses the direction of all at once."""
    strip = head_panels(one, "query" if isinstance(one, ObjectQueryMap) else "attends_to", name)
    return [replace(panel, look="either") for panel in strip] if has_both_ways(one) else list(strip)


def panel_above_strip(one: NetworkMap, maps: Sequence[Panel]) -> Panel:
    """The mean of all heads, turned as the strip is; its note says of the map's other panels why they are missing.

    Args:
        one: the map.
        maps: the panels of the mean.
    """
    mean, *others = maps
    notes = [mean.note]
    if has_both_ways(one):
        mean = replace(mean, title=f"Mean of {one.heads} heads ({one.name})", look="either")
        others = [panel for panel in others if panel.look != "attended_by"]
        notes = [grid_words(one)] if isinstance(one, PlacedMap) else []
    shown = [panel.title for panel in others if panel.map is not None]
    if shown:
        notes.append(f"for {join_with_commas(shown)}, choose the mean or one head")
    notes += [f"{panel.title}: {panel.note}" for panel in others if panel.map is None]
    return replace(mean, note=join_notes(*notes))


def has_both_ways(one: NetworkMap) -> bool:
    """Whether the viewer shows what a place attends to and what it is attended by."""
    return "attended_by" in one.looks and not why_no_columns(one)


@st.fragment
def show_network_viewer(
    picture: Picture, answer: NetworkAnswer, lead: Sequence[Panel], maps: Sequence[Panel], columns: int
) -> None:
    """A pin runs this part alone. Maps that are the same at each pin stand below its row."""
    pins = current_pins(INSPECT_PAGE)
    moving, still = ([one for one in maps if (one.query is None) is moves] for moves in (True, False))
    rows = pin_rows_of(answer, moving, pins, lead[0].wide)
    rest = first_of(answer, picture)
    why = LARGEST_CLASS if rest else ""
    show_viewer(picture, [*lead, *moving, *rows, *still], page=INSPECT_PAGE, columns=columns, rest=rest, why=why)


def pin_rows_of(answer: NetworkAnswer, maps: Sequence[Panel], pins: Sequence[Pin], strip: bool) -> list[Panel]:
    """A row for each pin: where it is and what is there, then the maps fixed to it; of a strip, its maps alone."""
    rows = []
    for index, pin in enumerate(pins):
        if not strip:
            rows.append(
                Panel(f"Point {pin.number}", None, "plain", pin=index, note=describe_pin(answer, pin), leads=True)
            )
        rows += fix_panels(maps, pins, index)
    return rows


def first_of(answer: NetworkAnswer, picture: Picture) -> Place | None:
    """The pixel (y, x) at which the page begins: inside the largest class; None, the middle, without classes."""
    return None if answer.classes is None else _largest_class(answer.name, picture.digest, answer)


@st.cache_resource(max_entries=256, show_spinner=False)
def _largest_class(model: str, picture: str, _answer: NetworkAnswer) -> Place | None:
    return None if _answer.classes is None else telling_place(_answer.classes.labels, None)


def verify_layer(name: str, picture: Picture, layer: str) -> None:
    """Whether the cells of a layer's map lie where the picture says, as a second run tells, if the reader asks."""
    if not st.toggle("Verify the places of the map's cells", key=VERIFY_KEY, help=VERIFY_HELP):
        return
    value = ask_network(
        name, picture, Watch((layer,), verify_places=True), f"{short_title(name)}: places of {layer}", quiet=True
    )
    row = None if value is None else next((one for one in value.layers if one.path == layer), None)
    if row is None:
        return
    say = f"{layer}: {row.details if row.state == 'passed over' else row.places or SAMPLED_POINTS}."
    if row.state == "passed over":
        st.warning(escape_markdown(say), icon=":material/warning:")
    else:
        st.caption(escape_markdown(say))


def no_map_sentence(answer: NetworkAnswer) -> str:
    """Why a network has no map."""
    title = short_title(answer.name)
    passed = [one.path for one in answer.found]
    if passed:
        return (
            f"{title} has no map that can be shown: attention was found at {join_with_commas(passed[:4])}"
            f"{' and more' if len(passed) > 4 else ''}, and passed over for the reasons below."
        )
    return (
        f"{title} has no map: no attention was found in it. It has none, or none that segviz can see; one "
        "line with segviz.record in the network's code declares it."
    )


def show_found(answer: NetworkAnswer) -> None:
    """What a checkpoint's record says, how the network saw the picture, and what was found, with reasons."""
    record = own_record(answer.name)
    if record is not None:
        st.caption(escape_markdown(describe_record(record)))
    if answer.seen:
        st.caption(escape_markdown(f"{short_title(answer.name)} saw the picture at {answer.seen}."))
    if not answer.found:
        return
    states = {"kept": "shown", "listed": "can be chosen", "passed over": "passed over"}
    columns = (
        [one.path for one in answer.found],
        [states[one.state] for one in answer.found],
        [one.shape for one in answer.found],
        [one.spelling for one in answer.found],
        [one.check for one in answer.found],
        [one.reason if one.state == "passed over" else "" for one in answer.found],
    )
    shown = sum(one.state != "passed over" for one in answer.found)
    counts = f"{count_words(shown, 'layer')} with maps, {len(answer.found) - shown} passed over"
    with st.expander(f"Attention that was found: {counts}"):
        values = {head.title: list(column) for head, column in zip(FOUND_HELP, columns, strict=True)}
        show_table(values, FOUND_HELP, "Attention that was found in the network", "Layer")
