"""A visitor's session as one typed object. Values of widgets are not in it: Streamlit keeps them (widgets.py)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from segviz.batch.background_run import BackgroundRun
from segviz.data.classes import CAMVID, ClassSet
from segviz.data.label_png import GroundTruth
from segviz.engine import Answer
from segviz.figures.attribution_table import AttributionNumbers
from segviz.prediction.prediction import Place
from segviz.ui.picture import Picture
from segviz.ui.run_words import RunRequest
from segviz.viewer.display import Display
from segviz.viewer.panel import Pin
from segviz.viewer.view import ZoomedView

STATE_KEY = "segviz"  # the only key of st.session_state that belongs to no widget


@dataclass(frozen=True, eq=False)
class Upload:
    """The visitor's own file, decoded: a picture, or a sentence on why it cannot be used."""

    file_id: str
    result: Picture | str


@dataclass(frozen=True, eq=False)
class TruthFile:
    """A visitor's label file for one picture, by its digest.

    Attributes:
        picture_digest: the picture's.
        name: the file's name.
        result: the labels; a sentence on why the file cannot be used; or the file's bytes, before they are decoded.
        classes: those by which the file was decoded; they stay with its labels when other models are chosen.
        confirmed: whether it is known that its labels are these classes.
    """

    picture_digest: str
    name: str
    result: GroundTruth | str | bytes
    classes: ClassSet = CAMVID
    confirmed: bool = False


@dataclass(frozen=True)
class LinkedPicture:
    """The own picture of its sender that a link was made for.

    Attributes:
        digits: the first eight of the picture's digest; "" where the link does not say them.
        size: the (height, width) of the sender's file; None where the link does not say it.
        places: the pixels (y, x) of the link's pins.
    """

    digits: str
    size: tuple[int, int] | None
    places: tuple[Place, ...]


@dataclass
class OpenedLink:
    """The address that the session has read last.

    Attributes:
        address: names and values; None before the first page.
        page: the key of the page that it opened.
        refused: the names of what could not be used.
        shown: those that `told` names.
        told: the sentence on them, with what is shown instead; "" before the page was drawn with them.
        controls: the values of the page's controls, by name, that their widgets have not taken yet.
        unchecked_pins: the source of pictures whose size the link's pins have not been checked against yet.
        own_picture: whether the link shows a picture of its sender's own, which no link can carry.
        picture_mark: what the address says of that picture (`own_picture.picture_mark`).
        made_for: that picture, until it is there; None too where the address says nothing of it.
    """

    address: Mapping[str, Sequence[str]] | None = None
    page: str = ""
    refused: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    told: str = ""
    controls: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unchecked_pins: str | None = None
    own_picture: bool = False
    picture_mark: str = ""
    made_for: LinkedPicture | None = None


@dataclass
class ModelProgress:
    """How far a page of many models is with one picture.

    Attributes:
        picture_digest: the picture's.
        failed: the messages of models that cannot run, by model.
        ran: models that this page ran; one whose result the engine had to drop is not run again and again.
        stopped: whether the reader pressed Stop.
    """

    picture_digest: str
    failed: dict[str, str] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    stopped: bool = False

    def resume(self) -> None:
        """Run the remaining models."""
        self.stopped = False
        self.ran.clear()

    def stop(self) -> None:
        """Run no further model."""
        self.stopped = True


@dataclass(frozen=True)
class Sight:
    """Where the open page began: maps keep the scales that they had there.

    Attributes:
        source: the page's key, the picture's digest, and the pixel at which the page begins.
        place: the pixel (y, x) that was shown first: the last pin, or that pixel.
    """

    source: Hashable
    place: Place


@dataclass
class BatchRun:
    """A run over many pictures.

    Attributes:
        problems: names of files that were refused, and why.
        job: the run; None where no file could be used.
        zip_name: the name of its ZIP.
        token: the ZIP's address on the server, once it is offered.
        left_out: the names of files in uploaded ZIPs that are no pictures.
        request: what it was asked.
    """

    problems: Sequence[tuple[str, str]] = ()
    job: BackgroundRun | None = None
    zip_name: str = ""
    token: str | None = None
    left_out: Sequence[str] = ()
    request: RunRequest | None = None


@dataclass(frozen=True)
class FirstCompared:
    """The models that Compare begins with.

    Attributes:
        models: their names.
        left_out: a sentence on the networks of one's own that it leaves out; "" where there are none.
        settled: whether all that were asked have answered; the others may be asked again.
    """

    models: list[str]
    left_out: str = ""
    settled: bool = True


@dataclass
class SessionState:
    """What the app remembers of a visitor.

    Attributes:
        page: the key of the page that is open.
        picture: what the sidebar chose; a sentence where a file cannot be used; None before there is a picture.
        upload: the visitor's own file.
        uploader: the key of the widget that takes it.
        truth: the visitor's own labels.
        pins: the pinned points; None for a visitor who has not pinned any yet.
        pins_source: the source of pictures that `pins` belong to.
        pins_aside: the pins of the other sources.
        chosen_pin: the pixel of the pin that is explained; None for the newest.
        choice: the id of the browser's choice of a pin that was taken in last.
        pins_before: the pins when `chosen_pin` was last determined.
        edits: the browser's edit that was taken in last, by the viewer's key: the mount's id and the edit's number.
        display: how the viewer is set on all pages that have no settings of their own.
        page_displays: the viewer's settings on pages that have their own, by page.
        views: the zoom of each page's viewer, and the (height, width) of the picture that it belongs to; a link's zoom
            has no size yet.
        sight: where the open page began; None before a page with a viewer.
        link: the address that was read last.
        progress: how far pages of many models are, by page.
        first_compared: what Compare begins with; None before its first run.
        left_out: the maps that Compare leaves out of its disagreement; None before its first run.
        attributions: the engine's answers on the Attribution page, by question.
        attributions_stopped: the questions whose work was stopped as another was asked, by method.
        attribution_numbers: the numbers that the Attribution page showed last.
        batch: the run over many pictures.
        linked: the first values of the widgets that links carry, by key.
        widget_pages: Streamlit's hash of the page that drew each kept widget last, by the widget's key.
    """

    page: str = ""
    picture: Picture | str | None = None
    upload: Upload | None = None
    uploader: str = "upload"
    truth: TruthFile | None = None
    pins: tuple[Pin, ...] | None = None
    pins_source: str | None = None
    pins_aside: dict[str, tuple[Pin, ...] | None] = field(default_factory=dict)
    chosen_pin: Place | None = None
    choice: str = ""
    pins_before: tuple[Pin, ...] | None = None
    edits: dict[str, tuple[str, int]] = field(default_factory=dict)
    display: Display = field(default_factory=Display)
    page_displays: dict[str, Display] = field(default_factory=dict)
    views: dict[str, tuple[ZoomedView, tuple[int, int] | None]] = field(default_factory=dict)
    sight: Sight | None = None
    link: OpenedLink = field(default_factory=OpenedLink)
    progress: dict[str, ModelProgress] = field(default_factory=dict)
    first_compared: FirstCompared | None = None
    left_out: set[str] | None = None
    attributions: dict[tuple[str, ...], Answer] = field(default_factory=dict)
    attributions_stopped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    attribution_numbers: AttributionNumbers | None = None
    batch: BatchRun = field(default_factory=BatchRun)
    linked: dict[str, Any] = field(default_factory=dict)
    widget_pages: dict[str, str] = field(default_factory=dict)


def session() -> SessionState:
    """The state of the visitor whose script runs."""
    state = st.session_state.get(STATE_KEY)
    if not isinstance(state, SessionState):
        state = st.session_state[STATE_KEY] = SessionState()
    return state
