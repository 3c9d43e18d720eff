"""What pages show of a network of one's own: its maps by layer, its classes, and what was found and passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import streamlit as st

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import HeadChoice
from segviz.attention.maps import ChannelMap, DeformableAttention, DeformableQueries
from segviz.catalogue.own_models import own_models
from segviz.engine import BusyError, EngineError, Op, Result, Watch, engine
from segviz.prediction.labelled import PixelLabels
from segviz.prediction.prediction import CropView, Place, Prediction
from segviz.text import escape_markdown, percent_text, pixel_text
from segviz.ui.models import short_title, show_notes
from segviz.ui.picture import Picture
from segviz.ui.wait_for_engine import session_id, wait_for
from segviz.viewer.panel import Pin
from segviz.watch.findings import ROOT, FoundLayer
from segviz.watch.network_view import NetworkView

ALL_LEVELS = "all"
LAYER_HELP = (
    "An attention layer is named by the path of its module in the network. "
    f"*{ROOT}* is the network itself: attention that it computes in its own forward, outside of its modules."
)
MOST_NOTES = 2  # on a network, that stand open on a page


@dataclass(frozen=True)
class NetworkAnswer:
    """A network's answer for one picture.

    Attributes:
        name: its name in the catalogue.
        maps: the kept maps, by layer.
        layers: the layers whose maps can be had, in the order of their calls.
        found: all that was found, kept, listed or passed over.
        classes: what it predicts; None where it has no classes.
        seen: how it saw the picture, in words.
        notes: what a reader should know, such as that its weights are random.
        crop: the crop of the picture that the maps belong to; None where the network saw the whole picture.
        has_block: whether it is a network around a block, as published networks and segviz checkpoints are: its maps
            are the block's, and its features those of a few stages.
        shown: the (height, width) at which it saw the whole picture; None where it saw crops.
    """

    name: str
    maps: Mapping[str, Any]
    layers: tuple[str, ...]
    found: tuple[FoundLayer, ...]
    classes: PixelLabels | None
    seen: str
    notes: tuple[str, ...]
    crop: CropView | None = None
    has_block: bool = False
    shown: Grid | None = None


def describe_answer(name: str, value: NetworkView | Prediction) -> NetworkAnswer:
    """What the engine computed, as pages show it."""
    if isinstance(value, Prediction):
        classes = PixelLabels(name, value.labels, value.confidence, value.class_set)
        maps = {key: one for key, one in value.maps.items() if not isinstance(one, ChannelMap)}
        shown = value.seen_size
        return NetworkAnswer(name, maps, tuple(maps), (), classes, "", (), value.crop, has_block=True, shown=shown)
    own = value.prediction
    answer = None if own is None else PixelLabels(name, own.labels, own.confidence, own.class_set)
    kept = tuple(one.path for one in value.layers if one.state != "passed over")
    patterns = own_models()[name].layers if name in own_models() else ()
    chosen = tuple(path for path in kept if not patterns or any(fnmatchcase(path, one) for one in patterns))
    seen = f"{value.placement} (mean and std {value.normalisation})"
    notes = tuple(getattr(value, "notes", ()))
    if kept and not chosen:
        notes = (*notes, f"the patterns of its entry ({', '.join(patterns)}) choose no layer, so all are offered")
    return NetworkAnswer(
        name, value.maps, chosen or kept, value.layers, answer, seen, notes, shown=value.placement.shown
    )


def describe_pin(answer: NetworkAnswer, pin: Pin) -> str:
    """The class at a pin, and how sure the network is; "" without classes."""
    classes = answer.classes
    if classes is None:
        return ""
    name = classes.class_set.names[classes.labels[pin.y, pin.x]]
    return f"{name}, confidence {percent_text(classes.confidence[pin.y, pin.x])}"


def layer_title(path: str) -> str:
    """A layer in the choice of layers; attention in the network's own forward is told in words."""
    return f"{path} (its own forward)" if path.partition(":")[0] == ROOT else path


def choose_head(text: str) -> HeadChoice:
    """A head's number, "largest" or else "mean", from a control's value."""
    return int(text) if text.isdecimal() else "largest" if text == "largest" else "mean"


def level_titles(one: Any) -> dict[str, str]:
    """What can be chosen of a map's levels of features, with titles; empty where it has no several levels."""
    levels = one.levels if isinstance(one, DeformableAttention | DeformableQueries) else ()
    if len(levels) < 2:
        return {}
    each = {str(at): f"level {at}: {rows} x {columns}" for at, (rows, columns) in enumerate(levels)}
    return {ALL_LEVELS: f"all {len(levels)} levels", **each}


def choose_level(one: Any, text: str) -> Any:
    """One level of a map, on its own grid, from a control's value; else the map, with all levels added up."""
    return one.by_level[int(text)] if text in level_titles(one) and text != ALL_LEVELS else one


def watch_network(
    name: str,
    picture: Picture,
    layers: Sequence[str] = (),
    place: Place | None = None,
    whole: bool = False,
    quiet: bool = False,
) -> NetworkAnswer | None:
    """A network's answer; None, with a sentence, if it has none.

    Args:
        name: its name in the catalogue.
        picture: what it sees.
        layers: the layers whose maps are kept; without any, the last one's.
        place: (y, x): of a published network that sees crops, the maps of the crop around this pixel are kept.
        whole: whether such a network sees the picture whole, for maps over all of it.
        quiet: whether to leave out notes, which an earlier question has shown.
    """
    op = Watch(tuple(layers), place=place, whole=whole)
    what = (
        layers[0] if layers else "whole picture" if whole else "" if place is None else f"crop at {pixel_text(*place)}"
    )
    value = ask_network(name, picture, op, f"{short_title(name)}{f': {what}' if what else ''}", quiet)
    if value is None:
        return None
    answer = describe_answer(name, value)
    if answer.notes and not layers:  # once on a page
        st.warning(list_notes(short_title(name), answer.notes), icon=":material/warning:")
    return answer


def list_notes(title: str, notes: Sequence[str]) -> str:
    """What a reader should know of a network, as Markdown: one sentence, or a list of them."""
    sentences = [escape_markdown(f"{note.rstrip('.')}.") for note in notes]
    if len(sentences) == 1:
        return f"{escape_markdown(title)}: {sentences[0]}"
    return "\n".join([f"{escape_markdown(title)}:", "", *(f"- {sentence}" for sentence in sentences)])


def ask_network(name: str, picture: Picture, op: Op, title: str, quiet: bool = False) -> Any:
    """The engine's value; None, with a sentence and the cure, where the network cannot run. The page goes on.

    Args:
        name: the network's name in the catalogue.
        picture: what it sees.
        op: what is asked.
        title: what it is, for the spinner; different from the run's other questions.
        quiet: whether to leave out notes, which an earlier question has shown.
    """
    try:
        result = wait_for(engine().ask(name, picture, op, session_id()), title)
    except BusyError as error:
        st.warning(f"The server is busy: {error}.", icon=":material/hourglass_top:")
        st.button("Try again", key=f"again {title}")
        return None
    except (ValueError, EngineError) as error:
        st.error(escape_markdown(f"{short_title(name)} cannot run: {str(error).rstrip('.')}."))
        if isinstance(error, EngineError):  # the next try may succeed
            st.button("Try again", key=f"again {title}")
        return None
    if not quiet:
        show_network_notes(name, result)
    return result.value


def show_network_notes(name: str, result: Result) -> None:
    """The engine's notes on a network's answer, and those on the network itself; many of these are folded."""
    title, about = short_title(name), result.about
    show_notes(name, result)
    if len(about) <= MOST_NOTES:
        for note in about:
            st.warning(escape_markdown(f"{title}: {note}."), icon=":material/warning:")
        return
    with st.expander(f"What to know about {escape_markdown(title)}: {len(about)} notes"):
        st.markdown(list_notes(title, about))
