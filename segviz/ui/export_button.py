"""Take away: what a page shows as a file, made by Python from the same maps when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePath

import streamlit as st

from segviz.figures.export import FORMS, SIZES, export
from segviz.figures.figure_spec import Subplot
from segviz.filenames import make_unique, safe_name
from segviz.text import pixel_text
from segviz.viewer.panel import Panel
from segviz.viewer.to_figure import Viewer, viewer_figure_spec

MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "npz": "application/octet-stream",
    "csv": "text/csv",
}
HOLDS = {
    "png": "A picture, with title, model, points and scales in it.",
    "svg": "Vectors for a paper or an editor, with title, model, points and scales in it.",
    "pdf": "Vectors for a paper, with title, model, points and scales in it.",
    "npz": "The numbers behind the maps, as NumPy reads them, with title, model, points and scales.",
    "csv": "The numbers behind the maps as a table, below lines on title, model, points and scales.",
}


def take_away(page: str, name: str, viewer: Viewer, panels: Sequence[Panel], more: Sequence[Subplot] = ()) -> None:
    """A button that opens the choice of panels, form and size, and makes the file when asked.

    The file is made here and not by a deferred download: that one has no words while it works, says nothing of what
    went wrong, and other visitors' runs may drop its file before the browser has fetched it.

    Args:
        page: the page's name.
        name: the picture's.
        viewer: where the reader stands.
        panels: what the viewer shows.
        more: what else the page shows.
    """
    with st.popover("Take away", icon=":material/download:", help="What is shown as picture or numbers, in a file"):
        titles = each_once([*(one.title for one in panels), *(one.title for one in more)])
        picked = st.multiselect("Panels", titles, placeholder="The whole page", key=f"{page} taken")
        form = str(st.segmented_control(
            "As", FORMS, default=FORMS[0], format_func=str.upper, required=True, key="taken as", persist_state="session"
        ))  # fmt: skip
        size = st.segmented_control(
            "Size", SIZES, default=1, format_func="{}×".format, required=True, key="taken size",
            persist_state="session", disabled=form != "png", help="Of a PNG: 1, 2 or 4 times 144 dots an inch",
        )  # fmt: skip
        st.caption(f"{HOLDS[form]} {standing(viewer)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            if not st.button("Make the file", key=f"{page} take", icon=":material/image:"):
                return
            taken = [not picked or title in picked for title in titles]
            own = [panel for panel, wanted in zip(panels, taken, strict=False) if wanted]
            others = [panel for panel, wanted in zip(more, taken[len(panels) :], strict=True) if wanted]
            with st.spinner(f"Making the {form.upper()} file …"):
                made = made_file(page, name, viewer, own, others, form, int(size or 1))
            if made is not None:
                offer(*made, form)


def made_file(
    page: str,
    name: str,
    viewer: Viewer,
    panels: Sequence[Panel],
    more: Sequence[Subplot],
    form: str,
    size: int,
) -> tuple[str, bytes] | None:
    """The file's name and content; says what is wrong, and gives None, where it cannot be made.

    The name ends in a digest of the content: Streamlit tells large files apart by their name, head, middle and end.
    """
    try:
        drawn = viewer_figure_spec(f"{name}: {page}", viewer, panels, more)
        data = export(drawn, form, size=size)
    except (ValueError, MemoryError) as error:
        st.error(f"The file was not made: {error or 'there is not enough memory; take fewer panels'}.")
        return None
    words = "-".join((page, *drawn.models[:2], PurePath(name).stem, hashlib.sha256(data).hexdigest()[:8]))
    return safe_name(f"segviz-{words}.{form}"), data


def offer(name: str, data: bytes, form: str) -> None:
    """The file, to be saved; gone with the next run, as what is shown may be another then."""
    size = f"{len(data) / 2**20:.1f} MB" if len(data) >= 2**20 else f"{len(data) / 2**10:.0f} kB"
    label = f"Save {form.upper()}, {size}"
    st.download_button(label, data, name, MIME[form], key="take save", on_click="ignore", type="primary")


def standing(viewer: Viewer) -> str:
    """Which point the maps that follow the pointer are taken at."""
    here = pixel_text(*viewer.rest)
    if viewer.pins:
        return f"Maps that follow the pointer are taken at point {len(viewer.pins)}, {here}."
    return f"No point is kept, so maps that follow the pointer are taken at the middle, {here}; click to keep one."


def each_once(titles: Sequence[str]) -> list[str]:
    """The titles, with numbers where one comes twice."""
    taken: set[str] = set()
    return [make_unique(title, taken) for title in titles]
