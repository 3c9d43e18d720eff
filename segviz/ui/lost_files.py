"""Files that a page had before a reload: the server drops them with the session, but the browser's tab knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from segviz.text import count_words, escape_markdown, join_with_commas, name_text
from segviz.ui.component import load_component, mount
from segviz.ui.wait_for_engine import session_id

RunStage = Literal["", "running", "ended"]


def tell_lost_files(page: str, files: Sequence[str], run: RunStage, pictures: int) -> None:
    """Let the browser's tab remember what the page has now, and say what it has lost.

    Args:
        page: the page's key.
        files: the names of the files that the page has.
        run: how far its run is; "" without one.
        pictures: how many pictures the run is over.
    """
    key = f"{page} lost"
    data = {"page": page, "session": session_id() or "", "files": list(files), "run": run, "pictures": pictures}
    state = st.session_state.get(key)
    lost = state.get("lost") if isinstance(state, Mapping) else None
    if isinstance(lost, Mapping) and not files and not run and (sentence := lost_sentence(lost)):
        st.warning(sentence, icon=":material/upload_file:")
    mount(load_component("uploads"), data, key=key, height="content", on_lost_change=lambda: None)


def lost_sentence(lost: Mapping[str, Any]) -> str:
    """What is gone and what to do, as Markdown; "" where the browser's message is none of ours.

    Args:
        lost: the message; anybody may have written it.
    """
    names, count, pictures = lost.get("names"), lost.get("count"), lost.get("pictures")
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return ""
    if not (type(count) is type(pictures) is int and count >= len(names)):
        return ""
    sentences = []
    if names:
        named = join_with_commas(escape_markdown(name_text(name)) for name in names)
        named += f" and {count - len(names)} more" if count > len(names) else ""
        verb = "is" if count == 1 else "are"
        sentences.append(f"{named} {verb} no longer on the server, which drops files when a page is left or reloaded.")
    over = f"run over {count_words(pictures, 'picture')}"
    if lost.get("run") == "running":
        sentences.append(f"The {over} was stopped, and what it had made is gone.")
    elif lost.get("run") == "ended":
        sentences.append(f"The ZIP of the {over} is gone, unless you have saved it.")
    if not sentences:
        return ""
    return " ".join([*sentences, "Upload the files again to start a run."])
