"""Networks of one's own on "Same pixel": any layers and heads of them, beside the bundled models' maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.maps import DeformableAttention, NetworkMap, ObjectQueryMap
from segviz.catalogue.own_models import own_models
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown
from segviz.ui.crops import answer_around, lay_over_crop
from segviz.ui.lead_to import lead_to
from segviz.ui.models import model_title, short_title
from segviz.ui.network_answer import (
    ALL_LEVELS,
    LAYER_HELP,
    NetworkAnswer,
    choose_head,
    choose_level,
    layer_title,
    level_titles,
    watch_network,
)
from segviz.ui.picture import Picture
from segviz.ui.state import session
from segviz.ui.widgets import forget_linked, keep_widget
from segviz.viewer.network_message import why_no_columns, why_too_large
from segviz.viewer.network_panels import grid_words, join_notes, view_words
from segviz.viewer.panel import Panel

SAME_PIXEL_PAGE = "same_pixel"
NETWORKS_KEY = f"{SAME_PIXEL_PAGE} networks"


@dataclass(frozen=True)
class PickedMaps:
    """The maps of a network that the reader chose.

    Attributes:
        answer: the network's; of one that sees crops, with any of them.
        heads: the chosen heads of each chosen layer, as `pick_heads` names them.
        levels: the chosen level of each of these layers, as `level_titles` names it.
    """

    answer: NetworkAnswer
    heads: Mapping[str, Sequence[str]]
    levels: Mapping[str, str]

    def panels(self, picture: Picture, place: Place) -> list[Panel]:
        """Each chosen layer with each of its chosen heads; of a network that sees crops, in the crop around a pixel."""
        answer = answer_around(self.answer, picture, place)
        panels = [
            map_panel(answer, layer, choose_level(answer.maps[layer], self.levels[layer]), head, several=len(heads) > 1)
            for layer, heads in self.heads.items()
            for head in heads
        ]
        return lay_over_crop(panels, answer)


def pick_networks(picture: Picture) -> list[PickedMaps]:
    """The networks, layers and heads that the reader chooses; at first the first network of one's own, if any."""
    own = own_models()
    if not own:
        forget_linked(NETWORKS_KEY)
        return []
    row, messages = st.container(horizontal=True), st.container()  # a menu that is closed would hide what is said
    with row, st.popover("Networks of your own"):
        kept = keep_widget(NETWORKS_KEY, list(own)[:1], own, linked=tuple(own))
        names = st.multiselect("Networks", list(own), format_func=model_title, **kept)
        picked = [one for name in names if (one := pick_maps_of(name, picture, messages)) is not None]
    forget_linked(*(key for key in session().linked if is_control_of_other(key, names)))
    return picked


def layers_key(name: str) -> str:
    """The key of a network's choice of layers."""
    return f"{SAME_PIXEL_PAGE} layers {name}"


def heads_key(name: str, layer: str) -> str:
    """The key of the choice of heads of a network's layer."""
    return f"{SAME_PIXEL_PAGE} heads {name} {layer}"


def level_key(name: str, layer: str) -> str:
    """The key of the choice of a level of a network's layer."""
    return f"{SAME_PIXEL_PAGE} level {name} {layer}"


def is_control_of_other(key: str, names: Sequence[str]) -> bool:
    """Whether a key belongs to the controls of a network that is not among the chosen ones."""
    page, _, rest = key.partition(" ")
    kind, _, owner = rest.partition(" ")
    return page == SAME_PIXEL_PAGE and kind in ("layers", "heads", "level") and owner.partition(" ")[0] not in names


def pick_maps_of(name: str, picture: Picture, messages: DeltaGenerator) -> PickedMaps | None:
    """The layers and heads of one network; None, with a sentence among the messages, if it has no answer or no map."""
    with messages:
        answer = watch_network(name, picture)
    if answer is None:
        return None
    if not answer.layers:
        with messages:
            st.info(escape_markdown(f"{short_title(name)} has no map."))
            lead_to("inspect", "Why")
        return None
    kept = keep_widget(layers_key(name), [answer.layers[-1]], answer.layers, linked=answer.layers)
    layers = st.multiselect(
        escape_markdown(f"Layers of {short_title(name)}"),
        answer.layers,
        format_func=layer_title,
        help=LAYER_HELP,
        **kept,
    )
    if any(layer not in answer.maps for layer in layers):
        with messages:
            answer = watch_network(name, picture, layers) or answer
    maps = {layer: answer.maps[layer] for layer in layers if layer in answer.maps}
    others = [layer for layer in answer.layers if layer not in maps]
    forget_linked(*(key(name, layer) for layer in others for key in (heads_key, level_key)))
    heads, levels = dict[str, Sequence[str]](), dict[str, str]()
    for layer, one in maps.items():
        heads[layer], levels[layer] = pick_heads(name, layer, one), pick_level_of(name, layer, one)
    return PickedMaps(answer, heads, levels)


def pick_level_of(name: str, layer: str, one: Any) -> str:
    """The level of features of a layer that is shown, or all of them; of a map without several levels, all."""
    titles = level_titles(one)
    if not titles:
        forget_linked(level_key(name, layer))
        return ALL_LEVELS
    kept = keep_widget(level_key(name, layer), ALL_LEVELS, titles, linked=titles)
    label = escape_markdown(f"Level of {short_title(name)}: {layer}")
    return str(st.selectbox(label, titles, format_func=titles.__getitem__, **kept))


def pick_heads(name: str, layer: str, one: Any) -> list[str]:
    """The heads of a layer that are shown, each in a panel: "mean", "largest" or numbers."""
    if not isinstance(one, NetworkMap) or one.heads == 1:
        forget_linked(heads_key(name, layer))
        return ["mean"]
    options = ("mean", "largest", *map(str, range(one.heads)))
    kept = keep_widget(heads_key(name, layer), ["mean"], options, linked=options)
    label = escape_markdown(f"Heads of {short_title(name)}: {layer}")
    return list(st.multiselect(label, options, format_func=head_words, **kept)) or ["mean"]


def head_words(head: str) -> str:
    """A choice of heads in words."""
    return f"head {head}" if head.isdecimal() else f"{head} of all heads"


def map_panel(answer: NetworkAnswer, layer: str, one: Any, head: str, *, several: bool = False) -> Panel:
    """A map that looks the way that the reader chooses for the whole page; the plain picture where it cannot.

    Args:
        answer: the network's.
        layer: the map's.
        one: the map.
        head: which head is shown.
        several: whether other heads of the map have panels too, so that the title has to tell them apart.
    """
    level = one.name.removeprefix(layer) if isinstance(one, DeformableAttention) else ""  # " level 1"
    title = f"{short_title(answer.name)}: {layer}{level}{f', {head_words(head)}' if several else ''}"
    if not isinstance(one, NetworkMap):
        return Panel(title, one, "either", model=answer.name)
    if isinstance(one, ObjectQueryMap):
        reason = "object queries have no map from place to place; see Inspect"
        return Panel(title, None, "plain", note=f"not drawn: {reason}", model=answer.name)
    if reason := why_too_large(one) or why_no_columns(one):
        return Panel(title, None, "plain", note=f"not drawn: {reason}", model=answer.name)
    choice = choose_head(head)
    note = join_notes("" if several else view_words(one, choice), grid_words(one))
    return Panel(title, one, "either", note=note, model=answer.name, head=choice)
