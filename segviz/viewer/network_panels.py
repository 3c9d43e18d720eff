"""The panels of a network's map: its heads together or one by one, and its queries off the picture."""

from __future__ import annotations

from dataclasses import replace

from segviz.attention.deformable import DeformableAttention, DeformableQueries, point_words
from segviz.attention.head_map import HeadChoice
from segviz.attention.maps import NetworkMap, PlacedMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.network_look import NetworkLook
from segviz.attention.object_queries import ObjectQueryMap
from segviz.attention.windowed import WindowedAttention
from segviz.viewer.network_message import why_no_columns, why_too_large
from segviz.viewer.panel import Panel

LOOK_NOTES = {
    "attends_to": "what the point draws from each place",
    "attended_by": "how much each place draws from the point",
}
LOOK_TITLES = {"attends_to": "Attends to", "attended_by": "Attended by"}


def panels_of_network_map(one: NetworkMap, model: str = "", head: HeadChoice = "mean") -> tuple[Panel, ...]:
    """The panels of a network's map, following the pointer; a plain picture with the reason if it is too large.

    Args:
        one: the map.
        model: the name of the model that made it.
        head: the head that they show, or the "mean" or "largest" of all.
    """
    if reason := why_too_large(one):
        return (Panel(one.name, None, "plain", note=f"not drawn: {reason}", model=model),)
    if isinstance(one, ObjectQueryMap):
        note = join_notes("the map of the object query that draws most from the point", view_words(one, head))
        panel = Panel(f"Object query here ({one.name})", one, "query", note=note, model=model, head=head)
        return (panel, *sampled_panels(one, model, head))
    panels = [place_panel(one, "attends_to", head), place_panel(one, "attended_by", head)]
    panels += sampled_panels(one, model, head)
    if isinstance(one, MultiHeadAttention) and one.prefix:
        panels.append(token_panel(one, 0, head))
    return tuple(replace(panel, model=model) for panel in panels)


def place_panel(one: PlacedMap, look: NetworkLook, head: HeadChoice) -> Panel:
    """One look at the pointed place; a plain picture with the reason if its columns are too many to compute."""
    title = f"{LOOK_TITLES[look]} ({one.name})"
    if look == "attended_by" and (reason := why_no_columns(one)):
        return Panel(title, None, "plain", note=f"not drawn: {reason}")
    return Panel(title, one, look, note=join_notes(LOOK_NOTES[look], view_words(one, head), grid_words(one)), head=head)


def sampled_panels(one: NetworkMap, model: str, head: HeadChoice) -> list[Panel]:
    """The points that the pointed cell samples, or the object query that draws most from it; none of other kinds."""
    if not isinstance(one, DeformableAttention | DeformableQueries):
        return []
    whose = "of the same object query" if isinstance(one, DeformableQueries) else "read, sized by weight"
    note = join_notes(f"the {point_words(one.weights)} {whose}", view_words(one, head))
    return [Panel(f"Samples ({one.name})", one, "points", note=note, model=model, head=head)]


def token_panel(one: MultiHeadAttention, token: int, head: HeadChoice = "mean") -> Panel:
    """What a token off the picture draws from each place, such as the class token; the same for every point."""
    others = f"one of {one.prefix} such tokens" if one.prefix > 1 else ""
    note = join_notes("what it draws from each place, whatever the point is", others, view_words(one, head))
    return Panel(f"Token {token} off the picture ({one.name})", one, "query", note=note, head=head, query=token)


def head_panels(
    one: NetworkMap, look: NetworkLook = "attends_to", model: str = "", query: int | None = None
) -> tuple[Panel, ...]:
    """A strip of small panels, one for each head, which follow the pointer together; none if the map is too large.

    Args:
        one: the map.
        look: "attends_to" or "attended_by"; object queries have "query" alone.
        model: the name of the model that made it.
        query: for "query", which one; None is the one that draws most from the point, in each head.
    """
    if why_too_large(one) or (look == "attended_by" and why_no_columns(one)):
        return ()
    return tuple(
        Panel(f"Head {head}", one, look, model=model, head=head, query=query if look == "query" else None)
        for head in range(one.heads)
    )


def view_words(one: NetworkMap, head: HeadChoice) -> str:
    """Which heads are shown, counted from 0; "" where there is one."""
    if one.heads == 1:
        return ""
    return f"{head} of {one.heads} heads" if isinstance(head, str) else f"head {head} (0 to {one.heads - 1})"


def grid_words(one: PlacedMap) -> str:
    """How the keys lie, where they are not cells like the queries: on another grid, or in windows."""
    windows = one.window_words if isinstance(one, WindowedAttention) else ""
    if one.key_grid == one.grid:
        return windows
    (rows, columns), (height, width) = one.key_grid, one.grid
    return join_notes(f"queries on {height} x {width} cells, keys on {rows} x {columns} cells", windows)


def join_notes(*notes: str) -> str:
    """The notes that there are."""
    return "; ".join(note for note in notes if note)
