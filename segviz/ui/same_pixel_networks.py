"""Networks of one's own on "Same pixel": any layers and heads of them, beside the bundled models' maps."""

from __future__ import annotations

from typing import Any

import streamlit as st

from segviz.attention.maps import NetworkMap, ObjectQueryMap
from segviz.catalogue.own_models import own_models
from segviz.text import escape_markdown
from segviz.ui.models import model_title, short_title
from segviz.ui.network_answer import NetworkAnswer, choose_head, watch_network
from segviz.ui.picture import Picture
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
    forget_linked(*(key for name in own if name not in names for key in control_keys(name)))
    return panels


def control_keys(name: str) -> tuple[str, str]:
    """The keys of a network's controls: its layers, and their head."""
    return f"{SAME_PIXEL_PAGE} layers {name}", f"{SAME_PIXEL_PAGE} head {name}"


def pick_maps_of(name: str, picture: Picture) -> list[Panel]:
    """The panels of one network's layers."""
    answer = watch_network(name, picture)
    if answer is None:
        return []
    if not answer.layers:
        st.info(escape_markdown(f"{short_title(name)} has no map; Inspect says why."))
        return []
    (layers_key, head_key), title = control_keys(name), short_title(name)
    kept = keep_widget(layers_key, [answer.layers[-1]], answer.layers, linked=answer.layers)
    layers = st.multiselect(escape_markdown(f"Layers of {title}"), answer.layers, **kept)
    if any(layer not in answer.maps for layer in layers):
        answer = watch_network(name, picture, layers) or answer
    maps = {layer: answer.maps[layer] for layer in layers if layer in answer.maps}
    heads = min((one.heads for one in maps.values() if isinstance(one, NetworkMap)), default=1)
    head = "mean"
    if heads > 1:
        options = ("mean", "largest", *map(str, range(heads)))
        kept = keep_widget(head_key, "mean", options, linked=options)
        head = str(st.selectbox(escape_markdown(f"Heads of {title}"), options, format_func=head_words, **kept))
    else:
        forget_linked(head_key)
    return [map_panel(answer, layer, one, head) for layer, one in maps.items()]


def head_words(head: str) -> str:
    """A choice of heads in words."""
    return f"head {head}" if head.isdecimal() else f"{head} of all heads"


def map_panel(answer: NetworkAnswer, layer: str, one: Any, head: str) -> Panel:
    """A map that looks the way that the reader chooses for the whole page; the plain picture where it cannot."""
    title = f"{short_title(answer.name)}: {layer}"
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
