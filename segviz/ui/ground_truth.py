"""The labels that predictions are compared with: a drawn scene's own, or a visitor's checked file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.data.classes import CAMVID
from segviz.data.dataset import size_text
from segviz.data.label_png import GroundTruth, decode_truth, indexed_png
from segviz.image import MAX_BYTES, ImageError
from segviz.ui.picture import Picture
from segviz.ui.state import TruthFile, session

CLASS_COLOURS = " · ".join(
    f"{number} {name} #{bytes(colour).hex().upper()}"
    for number, (name, colour) in enumerate(zip(CAMVID.names, CAMVID.palette, strict=True))
)


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels at the size that the picture is shown in, and a line that describes them."""

    labels: UInt8[np.ndarray, "height width"]
    note: str


def pick_ground_truth(picture: Picture) -> Truth | None:
    """The labels for the picture, and the controls that take a file; None where there are no labels."""
    with st.expander("Ground truth: your own labels", icon=":material/rule:"):
        show_controls(picture)
    file = truth_file(picture)
    if file is not None:
        if isinstance(file.result, GroundTruth):
            return Truth(file.result.labels, describe_truth(file.name, file.result))
        st.error(f"This file cannot be used as ground truth: {file.result}.", icon=":material/broken_image:")
    return None if picture.truth is None else Truth(picture.truth, "exact labels of the drawn scene")


def truth_file(picture: Picture) -> TruthFile | None:
    """The visitor's labels for this picture."""
    file = session().truth
    return file if file is not None and file.picture == picture.digest else None


def show_controls(picture: Picture) -> None:
    """What a file must be, where to put it, an example, and a way to remove it."""
    key = f"ground truth {picture.digest[:16]}"  # another picture, another file
    size = picture.file_size or picture.size
    st.markdown(
        f"A PNG of the picture's own size, {size_text(size)} pixels: class indices as 8-bit gray or palette, or the "
        f"colours below as RGB. Index 255 and the colour black are void, and left out of all scores. At most "
        f"{MAX_BYTES // 1024**2} MB."
    )
    st.caption(CLASS_COLOURS)
    left, right = st.columns(2, vertical_alignment="bottom")
    file = left.file_uploader(
        "Labels of this picture",
        max_upload_size=MAX_BYTES // 1024**2,
        key=key,
        on_change=take_file,
        args=(picture, key),
    )
    if file is None and truth_file(picture) is not None:  # the page was left and came back
        right.button("Remove my labels", on_click=remove_file, icon=":material/close:")
    if picture.truth is not None:
        right.download_button(
            "Example: this street's labels",
            indexed_png(picture.truth, CAMVID.colours, {"Title": f"segviz, {picture.name}: class indices"}),
            f"segviz-{picture.name.replace(' ', '-')}-labels.png",
            "image/png",
            icon=":material/download:",
            on_click="ignore",
            help="A palette PNG of class indices: open it, change it, and upload it on the left.",
        )


def take_file(picture: Picture, key: str) -> None:
    """Store the file that the uploader has now, or remove the one before."""
    file = st.session_state.get(key)
    if file is None:
        remove_file()
        return
    result: GroundTruth | str
    try:
        result = decode_truth(file.getvalue(), CAMVID, picture.file_size or picture.size, picture.size)
    except ImageError as error:
        result = str(error)
    session().truth = TruthFile(picture.digest, file.name, result)


def remove_file() -> None:
    """Forget the visitor's labels."""
    session().truth = None


def describe_truth(name: str, truth: GroundTruth) -> str:
    """How a file's labels were read."""
    return f"{name}, read as {truth.reading}; {truth.void:.1%} void"
