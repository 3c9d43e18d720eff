"""Networks of one's own on "Same pixel": any layers and heads of them, beside the bundled models' maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from segviz.attention.maps import NetworkMap, ObjectQueryMap
from segviz.catalogue.own_models import own_models
from segviz.text import escape_markdown
from segviz.ui.models import model_title, short_title
from segviz.ui.network_answer import NetworkAnswer, choose_head, watch_network
from segviz.ui.picture import Picture
from segviz.ui.state import session
from segviz.ui.widgets import forget_linked, keep_widget
from segviz.viewer.network_message import why_no_columns, why_too_large
from segviz.viewer.network_panels import grid_words, join_notes, view_words
from segviz.viewer.panel import Panel

SAME_PIXEL_PAGE = "same_pixel"
NETWORKS_KEY = f"{SAME_PIXEL_PAGE} networks"


def pick_networks(picture: Picture) -> list[Panel]:
    """The panels of the layers and heads that the reader chooses; none where the app offers no network of one's own."""
    own = own_models()
    if not own:
        forget_linked(NETWORKS_KEY)
        return []
    with st.container(horizontal=True), st.popover("Networks of your own"):
        kept = keep_widget(NETWORKS_KEY, [], own, linked=tuple(own))
        names = st.multiselect("Networks", list(own), format_func=model_title, **kept)
        panels = [panel for name in names for panel in pick_maps_of(name, picture)]
    forget_linked(*(key for key in session().linked if is_control_of_other(key, names)))
    return panels


def layers_key(name: str) -> str:
    """The key of a network's choice of layers."""
    return f"{SAME_PIXEL_PAGE} layers {name}"


def heads_key(name: str, layer: str) -> str:
    """The key of the choice of heads of a network's layer."""
    return f"{SAME_PIXEL_PAGE} heads {name} {layer}"


def is_control_of_other(key: str, names: Sequence[str]) -> bool:
    """Whether a key belongs to the controls of a network that is not among the chosen ones."""
    page, _, rest = key.partition(" ")
    kind, _, owner = rest.partition(" ")
    return page == SAME_PIXEL_PAGE and kind in ("layers", "heads") and owner.partition(" ")[0] not in names


def pick_maps_of(name: str, picture: Picture) -> list[Panel]:
    """The panels of one network: each chosen layer, with each of its chosen heads."""
    answer = watch_network(name, picture, whole=True)  # the page compares maps over all of the picture
    if answer is None:
        return []
    if not answer.layers:
        st.info(escape_markdown(f"{short_title(name)} has no map; Inspect says why."))
        return []
    kept = keep_widget(layers_key(name), [answer.layers[-1]], answer.layers, linked=answer.layers)
    layers = st.multiselect(escape_markdown(f"Layers of {short_title(name)}"), answer.layers, **kept)
    if any(layer not in answer.maps for layer in layers):
        answer = watch_network(name, picture, layers, whole=True) or answer
    maps = {layer: answer.maps[layer] for layer in layers if layer in answer.maps}
    forget_linked(*(heads_key(name, layer) for layer in answer.layers if layer not in maps))
    panels = []
    for layer, one in maps.items():
        heads = pick_heads(name, layer, one)
        panels += [map_panel(answer, layer, one, head, several=len(heads) > 1) for head in heads]
    return panels


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
    title = f"{short_title(answer.name)}: {layer}{f', {head_words(head)}' if several else ''}"
    if not isinstance(one, NetworkMap):
        return Panel(title, one, "either", model=answer.name)
    if isinstance(one, ObjectQueryMap):
        reason = "object queries have no map from place to place; see Inspect"
        return Panel(title, None, "plain", note=f"not drawn: {reason}", model=answer.name)
    if reason := why_too_large(one) or why_no_columns(one):
        return Panel(title, None, "plain", note=f"not drawn: {reason}", model=answer.name)
    choice = choose_head(head)
    note = join_notes(view_words(one, choice), grid_words(one))
    return Panel(title, one, "either", note=note, model=answer.name, head=choice)
