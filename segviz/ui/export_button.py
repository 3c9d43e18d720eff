"""Export: what a page shows as a file, made by Python from the same maps when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath

import streamlit as st

from segviz.attention.maps import AttendedFeatures, SpatialMap
from segviz.catalogue.bundled import bundled_worth
from segviz.catalogue.context_worth import caption_worths
from segviz.catalogue.own_models import own_models
from segviz.figures.class_legend import drawn_texts
from segviz.figures.content import Bars, Matrix, Strips
from segviz.figures.export import FORMS, PICTURES, SIZES, export
from segviz.figures.fonts import describe_missing_letters, missing_letters
from segviz.figures.matplotlib_backend import DOUBLE, SINGLE
from segviz.figures.subplot import Subplot
from segviz.figures.viewer_figure import Viewer, viewer_figure_spec
from segviz.filenames import make_unique, safe_name
from segviz.models.registry import MODELS
from segviz.text import escape_markdown, join_with_commas, pixel_text
from segviz.ui.first_sight import tell_first
from segviz.ui.models import model_title
from segviz.ui.page_table import ROWS
from segviz.ui.widgets import keep_widget
from segviz.viewer.page_of_panels import page_of_panels
from segviz.viewer.panel import Panel
from segviz.viewer.web_page import page_html

MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "npz": "application/octet-stream",
    "csv": "text/csv",
    "html": "text/html",
}
WEB_PAGE = "html"
FORM_NAMES = {WEB_PAGE: "Web page (HTML)"}  # the others are called by their endings
CONTENT = {
    "png": "A picture, with title, model, points and scales.",
    "svg": "Vectors for a paper or an editor, with title, model, points and scales.",
    "pdf": "Vectors for a paper, with title, model, points and scales.",
    "npz": "The maps' numbers as NumPy arrays, with title, model, points, scales; weights as shares, so 0.02 is 2 %.",
    "html": "The live viewer as one file that works in any browser without a network: point, pin points, zoom. "
    "It begins with this page's pins, settings and zoom.",
    "csv": "The maps' numbers as a table, below title, model, points and scales; weights as shares, so 0.02 is 2 %.",
}
WHOLE_PICTURE = "The page is zoomed: the file has the whole picture all the same. Web page (HTML) keeps the zoom."
ONCE = "Maps that also appear in a pinned row are written only once."
MOST_TITLES = 4  # models that a caption calls by their titles; of more, it lists the names
AUTOMATIC = "Automatic"
COLUMN_WIDTHS = {AUTOMATIC: None, "One column": SINGLE, "Two columns": DOUBLE}


@dataclass(frozen=True)
class PictureOptions:
    """How a picture is drawn, as the command line's `figure` offers it.

    Attributes:
        size: PNG resolution, times 144 dots per inch.
        width: width in inches; None for that of the subplots' columns.
        letters: whether titles begin with a, b, c.
        caption: whether title, models, points and scales are drawn below.
    """

    size: int = 1
    width: float | None = None
    letters: bool = False
    caption: bool = True


def show_export(page: str, name: str, viewer: Viewer, panels: Sequence[Panel], more: Sequence[Subplot] = ()) -> None:
    """A button that opens the choice of panels, format and size, and makes the file when asked.

    The file is made here and not by a deferred download: that one shows no progress, reports no error, and other
    visitors' runs may drop its file before the browser has fetched it.

    Args:
        page: the page's key.
        name: the picture's name.
        viewer: what the reader has chosen in the viewer.
        panels: the viewer's panels.
        more: what else the page shows.
    """
    with st.popover("Export", icon=":material/download:"):  # a tooltip would stay over an open menu
        titles = number_repeats([*(one.title for one in panels), *(one.title for one in more)])
        picked = st.multiselect("Panels", titles, placeholder="The whole page", key=f"{page} export panels")
        form = str(st.segmented_control(
            "Format", (*FORMS, WEB_PAGE), format_func=form_name, required=True, **keep_widget("export format", FORMS[0])
        ))  # fmt: skip
        options = choose_picture_options(form)
        st.caption(f"{CONTENT[form]} {describe_charts(more) if form == WEB_PAGE else describe_rest(viewer)}")
        if form != WEB_PAGE and viewer.view.zoom > 1:
            st.caption(WHOLE_PICTURE)
        with st.container(horizontal=True, vertical_alignment="center"):
            if not st.button("Make the file", key=f"{page} export", icon=":material/image:"):
                return
            wanted = [not picked or title in picked for title in titles]
            own = [panel for panel, chosen in zip(panels, wanted, strict=False) if chosen]
            others = [panel for panel, chosen in zip(more, wanted[len(panels) :], strict=True) if chosen]
            with st.spinner(f"Making the {form.upper()} file …"):
                file = make_file(page, name, viewer, own, others, form, options)
            if file is not None:
                offer_file(*file, form)


def choose_picture_options(form: str) -> PictureOptions:
    """The choices that concern pictures; they are disabled for numbers."""
    numbers = form not in PICTURES
    with st.container(horizontal=True):
        size = st.segmented_control(
            "Size", SIZES, format_func="{}×".format, required=True, disabled=form != "png",
            help="PNG resolution: 1, 2 or 4 times 144 dots per inch", **keep_widget("export size", 1),
        )  # fmt: skip
        width = st.segmented_control(
            "Width", COLUMN_WIDTHS, required=True, disabled=numbers, **keep_widget("export width", AUTOMATIC),
            help=f"Of a conference paper: one column has {SINGLE} inches, both have {DOUBLE}",
        )  # fmt: skip
    with st.container(horizontal=True):
        letters = st.checkbox("Letters a, b, c", disabled=numbers, **keep_widget("export letters", False))
        caption = st.checkbox("Caption", disabled=numbers, **keep_widget("export caption", True))
    return PictureOptions(int(size or 1), COLUMN_WIDTHS[str(width or AUTOMATIC)], letters, caption)


def make_file(
    page: str,
    name: str,
    viewer: Viewer,
    panels: Sequence[Panel],
    more: Sequence[Subplot],
    form: str,
    options: PictureOptions,
) -> tuple[str, bytes] | None:
    """The file's name and content; None, with a sentence on the page, where it cannot be made.

    The name ends in a digest of the content: Streamlit identifies large files by their name, head, middle and end.
    """
    names = [*(panel.model for panel in panels), *(subplot.model for subplot in more)]
    models = tuple(dict.fromkeys(filter(None, names)))
    try:
        if form == WEB_PAGE:
            data = make_web_page(page, name, viewer, panels, models).encode()
        else:
            worth, titles = worth_of_maps(panels, more), titles_of_models(models)
            spec = viewer_figure_spec(title_of_page(page, name), viewer, panels, more, worth, titles)
            data, models = export(spec, form, **asdict(options)), spec.models
    except (ValueError, MemoryError) as error:
        st.error(f"The file was not made: {error or 'there is not enough memory; export fewer panels'}.")
        return None
    if form in PICTURES and (missing := missing_letters(drawn_texts(spec))):
        sentence = describe_missing_letters(missing)
        st.warning(escape_markdown(f"{sentence[0].upper()}{sentence[1:]}."))
    words = "-".join((page, *models[:2], PurePath(name).stem, hashlib.sha256(data).hexdigest()[:8]))
    return safe_name(f"segviz-{words}.{form}"), data


def make_web_page(page: str, name: str, viewer: Viewer, panels: Sequence[Panel], models: Sequence[str]) -> str:
    """The viewer with these panels as one HTML file.

    Raises:
        ValueError: no panel was chosen, or the file would be too large.
    """
    if not panels:
        raise ValueError("a web page holds panels of the viewer, and none was chosen; choose one, or another format")
    size = viewer.image.shape[0], viewer.image.shape[1]
    worth = worth_of_maps(panels, ())
    made = page_of_panels(
        titles_of_models(models) or ", ".join(models),
        viewer.image,
        size,
        panels,
        title=title_of_page(page, name),
        picture=name,
        caveats=(worth,),
    )
    return page_html(
        replace(
            made,
            panels=tuple(panels),
            pins=viewer.pins,
            display=viewer.display,
            view=viewer.view,
            columns=viewer.columns,
            rest=viewer.first,
            first="" if viewer.pins else tell_first(viewer.why),
            pin_rows=False,
            advice="choose fewer panels",
        )
    )


def title_of_page(page: str, name: str) -> str:
    """What a file shows: the page, as the navigation calls it, and the picture."""
    return f"{ROWS[page].title}, {name}"


def titles_of_models(models: Sequence[str]) -> str:
    """The models' titles, each with its name; "" where there are too many for a caption."""
    known = [model_title(name) if name in MODELS or name in own_models() else name for name in models]
    return join_with_commas(known) if len(known) <= MOST_TITLES else ""


def worth_of_maps(panels: Sequence[Panel], more: Sequence[Subplot]) -> str:
    """What the contexts of the maps shown are worth, for the caption; "" where no block's map is shown."""
    shown = [one.model for one in panels if isinstance(one.map, SpatialMap | AttendedFeatures)]
    shown += [one.model for one in more if isinstance(one.content, Matrix | Strips | Bars)]
    return caption_worths(bundled_worth(model) for model in dict.fromkeys(shown) if model in MODELS)


def offer_file(name: str, data: bytes, form: str) -> None:
    """A button that saves the file; it is gone with the next run, as the page may show something else then."""
    size = f"{len(data) / 2**20:.1f} MB" if len(data) >= 2**20 else f"{len(data) / 2**10:.0f} kB"
    label = f"Save {form.upper()}, {size}"
    st.download_button(label, data, name, MIME[form], key="export save", on_click="ignore", type="primary")


def form_name(form: str) -> str:
    """A format's name for people."""
    return FORM_NAMES.get(form, form.upper())


def describe_charts(more: Sequence[Subplot]) -> str:
    """What a web page leaves out."""
    return "The charts and tables beside the viewer are not in it." if more else ""


def describe_rest(viewer: Viewer) -> str:
    """Which point the maps that follow the pointer are taken at."""
    here = pixel_text(*viewer.rest)
    if viewer.pins:
        where = f"at point {viewer.pins[-1].number}, {here}"
        return f"Maps that follow the pointer are taken {where}. {ONCE}"
    where = "at the middle" if viewer.first is None else "at the page's first point"
    return f"No point is pinned, so maps that follow the pointer are taken {viewer.why or where}, {here}."


def number_repeats(titles: Sequence[str]) -> list[str]:
    """The titles, with numbers where one occurs twice."""
    taken: set[str] = set()
    return [make_unique(title, taken) for title in titles]
