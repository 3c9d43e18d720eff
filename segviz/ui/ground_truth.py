"""The labels that predictions are compared with: a drawn scene's own, or a visitor's file, checked before it counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.data.classes import CAMVID
from segviz.data.dataset import size_text
from segviz.data.label_png import GroundTruth, decode_truth, indexed_png
from segviz.engine import digest
from segviz.image import MAX_BYTES, ImageError
from segviz.ui.picture_sidebar import Picture

KEPT = "ground truth"
COLOURS = " · ".join(
    f"{number} {name} #{bytes(colour).hex().upper()}"
    for number, (name, colour) in enumerate(zip(CAMVID.names, CAMVID.palette, strict=True))
)


@dataclass(frozen=True, eq=False)
class Kept:
    """A visitor's file for one picture, by its digest: its labels, or a sentence on why it cannot be used."""

    picture: str
    name: str
    result: GroundTruth | str


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels at the size that the picture is shown in, and a line on what they are."""

    labels: UInt8[np.ndarray, "height width"]
    note: str


def ground_truth(chosen: Picture) -> Truth | None:
    """The labels for the picture, and the controls that take a file in; None where there are none."""
    of = digest(chosen.image)
    key = f"{KEPT} {of[:16]}"  # another picture, another file
    with st.expander("Ground truth: your own labels", icon=":material/rule:"):
        controls(chosen, of, key)
    kept = st.session_state.get(KEPT)
    if isinstance(kept, Kept) and kept.picture == of:
        if isinstance(kept.result, GroundTruth):
            return Truth(kept.result.labels, told(kept.name, kept.result))
        st.error(f"This file cannot be used as ground truth: {kept.result}.", icon=":material/broken_image:")
    return None if chosen.truth is None else Truth(chosen.truth, "exact labels of the drawn scene")


def controls(chosen: Picture, of: str, key: str) -> None:
    """What a file must be, where to put it, an example, and a way to be rid of it."""
    size = own_size(chosen)
    st.markdown(
        f"A PNG of the picture's own size, {size_text(size)} pixels: class indices as 8-bit gray or palette, or the "
        f"colours below as RGB. Index 255 and the colour black are void, and left out of all scores. At most "
        f"{MAX_BYTES // 1024**2} MB."
    )
    st.caption(COLOURS)
    left, right = st.columns(2, vertical_alignment="bottom")
    file = left.file_uploader(
        "Labels of this picture", max_upload_size=MAX_BYTES // 1024**2, key=key, on_change=take, args=(chosen, of, key)
    )
    kept = st.session_state.get(KEPT)
    if file is None and isinstance(kept, Kept) and kept.picture == of:  # the page was left and came back
        right.button("Remove my labels", on_click=drop, icon=":material/close:")
    if chosen.truth is not None:
        right.download_button(
            "Example: this street's labels",
            indexed_png(chosen.truth, CAMVID.colours, {"Title": f"segviz, {chosen.name}: class indices"}),
            f"segviz-{chosen.name.replace(' ', '-')}-labels.png",
            "image/png",
            icon=":material/download:",
            on_click="ignore",
            help="A palette PNG of class indices: open it, change it, and give it back on the left.",
        )


def take(chosen: Picture, of: str, key: str) -> None:
    """The uploader has another file, or none any more."""
    file = st.session_state.get(key)
    if file is None:
        drop()
        return
    result: GroundTruth | str
    try:
        shown = (chosen.image.shape[0], chosen.image.shape[1])
        result = decode_truth(file.getvalue(), CAMVID, own_size(chosen), shown)
    except ImageError as error:
        result = str(error)
    st.session_state[KEPT] = Kept(of, file.name, result)


def drop() -> None:
    """No file any more."""
    st.session_state.pop(KEPT, None)


def own_size(chosen: Picture) -> tuple[int, int]:
    """The (height, width) that labels of the picture have."""
    return chosen.file_size or (chosen.image.shape[0], chosen.image.shape[1])


def told(name: str, truth: GroundTruth) -> str:
    """What a file's labels were taken for."""
    return f"{name}, read as {truth.reading}; {truth.void:.1%} void"
