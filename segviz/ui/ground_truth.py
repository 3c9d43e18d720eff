"""The labels that predictions are compared with: a drawn scene's own, or a visitor's checked file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from jaxtyping import UInt8
from streamlit.delta_generator import DeltaGenerator

from segviz.data.classes import CAMVID, ClassSet
from segviz.data.label_png import GroundTruth, indexed_png
from segviz.data.readers.single_labels import decode_truth
from segviz.image import MAX_BYTES, ImageError
from segviz.text import escape_markdown, name_text, percent_text, size_text
from segviz.ui.fair_semaphore import DECODING
from segviz.ui.own_picture import find_kept, forget_kept, keep_for_reloads
from segviz.ui.picture import Picture
from segviz.ui.state import TruthFile, session
from segviz.ui.wait_for_engine import give_way

MENU = "ground truth menu"  # the key of the menu, by which it is closed


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels at the size that the picture is shown in, the classes that they count, and a line that describes them."""

    labels: UInt8[np.ndarray, "height width"]
    classes: ClassSet
    note: str


def pick_ground_truth(picture: Picture, class_sets: Sequence[ClassSet], row: DeltaGenerator) -> Truth | None:
    """The labels for the picture, and the controls that take a file; None where there are no labels.

    Colours name their classes; bare numbers do not, so a file of indices counts once the visitor has confirmed what its
    numbers mean.

    Args:
        picture: what the labels belong to.
        class_sets: those of the models, the most common one first; a file is read by the first one that it fits.
        row: where the button goes that opens the controls.
    """
    with row.popover("Ground truth", key=MENU, on_change="rerun"):
        show_controls(picture, class_sets)
    file = truth_file(picture)
    if file is not None:
        result = file.result
        if isinstance(result, bytes):
            result, classes = read_file(result, picture, class_sets, file.name)
            confirmed = isinstance(result, GroundTruth) and result.reading == "colours"
            file = replace(file, result=result, classes=classes, confirmed=confirmed)
            store_truth(file)
        if isinstance(result, GroundTruth) and file.confirmed:
            return Truth(result.labels, file.classes, describe_truth(file.name, result))
        scored = name_scored_labels(picture, class_sets)
        if isinstance(result, str):
            refused = f"{name_in_words(file)} cannot be used as ground truth: {result}.{scored}"
            st.error(refused, icon=":material/broken_image:")
        else:
            ask_classes(file, result, scored)
    return None if picture.truth is None else Truth(picture.truth, CAMVID, "exact labels of the drawn scene")


def name_scored_labels(picture: Picture, class_sets: Sequence[ClassSet]) -> str:
    """Whose labels the scores use while a file is not used: a sentence, behind another one; "" without scores."""
    scored = picture.truth is not None and any(one.names == CAMVID.names for one in class_sets)
    return " The scores below use the drawn scene's labels." if scored else ""


def ask_classes(file: TruthFile, truth: GroundTruth, scored: str) -> None:
    """Ask whether a file's numbers are the models' classes; until then it is not used.

    Args:
        file: the file.
        truth: its labels.
        scored: a sentence on the labels that are used meanwhile; "" without any.
    """
    classes = file.classes
    present = np.bincount(truth.labels.ravel(), minlength=256)[: len(classes.names)] / truth.labels.size
    own = truth.reading == "class indices"  # other numberings are not the models' indices
    means = ", ".join(
        f"{f'{index} ' if own else ''}{classes.names[index]} ({percent_text(share, 1)})"
        for index, share in enumerate(present)
        if share
    )
    st.warning(
        escape_markdown(
            f"{file.name} holds numbers, and numbers do not say which classes they mean. Read as {truth.reading}, they "
            f"are {means}. Is that right? Labels of other classes cannot be compared with these models."
            + (f" {truth.caution[0].upper()}{truth.caution[1:]}." if truth.caution else "")
            + scored
        ),
        icon=":material/help:",
    )
    with st.container(horizontal=True):
        st.button("Yes, use these labels", on_click=confirm_classes, icon=":material/check:")
        st.button("No, remove them", on_click=remove_file, icon=":material/close:", key="refuse labels")


def ask_for_labels(picture: Picture) -> str:
    """What the visitor can do for scores of a picture without labels in use."""
    file = truth_file(picture)
    if file is None:
        return "Scores need labels: drawn scenes have them; for your own picture, upload them under Ground truth."
    if isinstance(file.result, str):
        why = f"{name_in_words(file)} cannot be used: {file.result}"
        return f"Scores need labels, and {why}. Upload another file under Ground truth."
    return "Scores need labels: answer the question above, and yours are used."


def name_in_words(file: TruthFile) -> str:
    """A file's name, as Markdown."""
    return escape_markdown(name_text(file.name))


def confirm_classes() -> None:
    """The visitor says that the file's numbers are the models' classes."""
    file = session().truth
    if file is not None:
        store_truth(replace(file, confirmed=True))


def store_truth(file: TruthFile) -> None:
    """Use decoded labels, and keep them for reloads of the page."""
    session().truth = file
    if isinstance(file.result, GroundTruth):
        keep_for_reloads(truth_key(file.picture_digest), file, file.result.labels.nbytes)


def truth_key(digest: str) -> str:
    """The key under which the labels of a picture are kept for reloads."""
    return f"labels {digest[:16]}"


def truth_file(picture: Picture) -> TruthFile | None:
    """The visitor's labels for this picture, also from before a reload of the page."""
    file = session().truth
    if file is not None and file.picture_digest == picture.digest:
        return file
    kept = find_kept(truth_key(picture.digest))
    if not isinstance(kept, TruthFile):
        return None
    session().truth = kept
    return kept


def show_controls(picture: Picture, class_sets: Sequence[ClassSet]) -> None:
    """What a file must be, where to put it, an example, and a way to remove it."""
    key = f"ground truth {picture.digest[:16]}"  # another picture, another file
    size = picture.file_size or picture.size
    st.markdown(
        f"A PNG of the picture's own size, {size_text(size)} pixels: class indices as 8-bit grey or palette, or the "
        f"colours below as RGB. Index 255 and the colour black are void, and left out of all scores. Label files of "
        f"ADE20K, Cityscapes and PASCAL Context are read by those data sets' own numbers, if the models have their "
        f"classes. At most {MAX_BYTES // 1024**2} MB."
    )
    if len(class_sets) > 1:
        st.caption("The models have different classes. A file is read with the first of these that fits it:")
    for classes in class_sets:
        colours = (f"#{bytes(colour).hex().upper()}" for colour in classes.palette)
        pairs = enumerate(zip(classes.names, colours, strict=True))
        st.caption(escape_markdown(" · ".join(f"{number} {name} {colour}" for number, (name, colour) in pairs)))
    file = st.file_uploader(
        "Labels of this picture",
        max_upload_size=MAX_BYTES // 1024**2,
        key=key,
        on_change=take_file,
        args=(picture, key),
    )
    if file is None and truth_file(picture) is not None:  # the page was left and came back
        st.button("Remove my labels", on_click=remove_file, icon=":material/close:")
    if picture.truth is not None:
        st.download_button(
            "Example: this street's labels",
            indexed_png(picture.truth, CAMVID.colours, {"Title": f"segviz, {picture.name}: class indices"}),
            f"segviz-{picture.name.replace(' ', '-')}-labels.png",
            "image/png",
            icon=":material/download:",
            on_click="ignore",
            help="A palette PNG of class indices: open it, change it, and upload it above.",
        )


def take_file(picture: Picture, key: str) -> None:
    """Store the file that the uploader has now, or remove the one before; a callback must not wait for its turn.

    The menu closes over a new file, since what is said of it stands behind the menu.
    """
    file = st.session_state.get(key)
    if file is None:
        remove_file()
        return
    st.session_state[MENU] = False
    session().truth = TruthFile(picture.digest, file.name, file.getvalue())


def read_file(
    data: bytes, picture: Picture, class_sets: Sequence[ClassSet], name: str
) -> tuple[GroundTruth | str, ClassSet]:
    """The labels in a file's bytes, and the first classes by which they can be read; else why not by the first ones."""
    first = ""
    for classes in class_sets:
        result = decode_file(data, picture, classes, name)
        if not isinstance(result, str):
            return result, classes
        first = first or result
    return first, class_sets[0]


def decode_file(data: bytes, picture: Picture, classes: ClassSet, name: str = "") -> GroundTruth | str:
    """The labels in a file's bytes, or a sentence on why they cannot be used."""
    try:
        with DECODING.turn(give_way):
            return decode_truth(data, classes, picture.file_size or picture.size, picture.size, name)
    except ImageError as error:
        return str(error)


def remove_file() -> None:
    """Forget the visitor's labels."""
    file, session().truth = session().truth, None
    if file is not None:
        forget_kept(truth_key(file.picture_digest))


def describe_truth(name: str, truth: GroundTruth) -> str:
    """How a file's labels were read."""
    return f"{name}, read as {truth.reading}; {percent_text(truth.void, 1)} void"
