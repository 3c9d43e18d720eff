"""The own picture that an opened link was made for: a link says its size and eight digits of it, not what it shows."""

from __future__ import annotations

import streamlit as st

from segviz.text import size_text
from segviz.ui.picture import Picture
from segviz.ui.state import LinkedPicture, session

LINKED_UPLOAD = (
    "This link shows its sender's own picture, which a link cannot carry. Upload that picture here; the link's points "
    "and settings are then applied to it."
)


def file_size(picture: Picture) -> tuple[int, int]:
    """(height, width) of the visitor's file, by which people know it."""
    return picture.file_size or picture.size


def ask_for_linked() -> str:
    """What the drop zone says of a link to somebody's own picture."""
    linked = session().link.made_for
    if linked is None or linked.size is None:
        return LINKED_UPLOAD
    return f"{LINKED_UPLOAD} It has {size_text(linked.size)} pixels."


def tell_other_picture(picture: Picture) -> None:
    """Say so where a link's pins lie on another picture than the one that they were set on.

    Once the right picture was there, nothing is said any more: what the visitor then looks at is their own choice.
    """
    link = session().link
    linked, is_own = link.made_for, picture.truth is None
    if linked is None or not is_own:
        return
    if is_linked(picture, linked):
        link.made_for = None
        return
    pins = {(pin.y, pin.x) for pin in session().pins or ()}
    if pins.intersection(linked.places):
        st.info(describe_other_picture(picture, linked), icon=":material/difference:")


def is_linked(picture: Picture, linked: LinkedPicture) -> bool:
    """Whether a picture is a link's, as far as the link says."""
    return picture.digest.startswith(linked.digits) if linked.digits else file_size(picture) == linked.size


def describe_other_picture(picture: Picture, linked: LinkedPicture) -> str:
    """What tells a picture from a link's, in one sentence."""
    if linked.size is None:
        which = "another picture"
    elif linked.size == file_size(picture):
        which = "another picture of this size, or for another copy of this one"
    else:
        which = f"another picture, of {size_text(linked.size)} pixels (this one has {size_text(file_size(picture))})"
    return f"The link was made for {which}, so its pins may mark other things here."
