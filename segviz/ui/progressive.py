"""A page of many models: it stands at once, and fills in as one model after the other has run; it can be stopped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import streamlit as st

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import EngineError, digest, engine
from segviz.models.registry import SPECS
from segviz.prediction.prediction import Prediction
from segviz.ui.models import tell_notes
from segviz.ui.picture_sidebar import Picture
from segviz.ui.wait_for_engine import session_id, waited


@dataclass
class Filling:
    """How far a page has come with one picture.

    Attributes:
        picture: the picture's digest.
        failed: what models that cannot run said.
        ran: models that this page ran, so that one which the engine had to drop does not run on and on.
        stopped: whether the reader has had enough.
    """

    picture: str
    failed: dict[str, str] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    stopped: bool = False

    def resume(self) -> None:
        """Go on with what is left."""
        self.stopped = False
        self.ran.clear()

    def stop(self) -> None:
        """Leave it at that."""
        self.stopped = True


def ready(names: Sequence[str], chosen: Picture, key: str) -> dict[str, Prediction]:
    """The predictions that are there, below a line that tells how far the models are.

    Stops the page with their sentences if none of the models can run.
    """
    state = filling(chosen, key)
    results = {name: engine().ask(name, chosen.image).result() for name in names if engine().knows(name, chosen.image)}
    there: dict[str, Prediction] = {name: result.value for name, result in results.items()}
    for name, result in results.items():
        tell_notes(name, result)
    left = [name for name in names if name not in there and name not in state.failed]
    if state.failed:
        st.error("\n\n".join(state.failed.values()))
        if not there and not left:
            st.stop()
    if left:
        tell(names, there, left, state, key)
    return there


def tell(names: Sequence[str], there: Collection[str], left: Sequence[str], state: Filling, key: str) -> None:
    """How many models have run, which one runs now, and the button to stop or to go on."""
    told, share = f"{len(there)} of {len(names)} models have run", len(there) / len(names)
    following = next((name for name in left if name not in state.ran), None)
    running = following is not None and not state.stopped
    with st.container(horizontal=True, vertical_alignment="center", key=f"working {key} filling"):
        st.progress(share, f"{told}; {SPECS[following].title} is running …" if following and running else told)
        if running:
            st.button("Stop", on_click=state.stop, key=f"{key} stop")
        else:
            st.button("Run the rest", on_click=state.resume, key=f"{key} resume")


def run_next(names: Sequence[str], chosen: Picture, key: str) -> None:
    """Runs the next model and then the page again; returns when there is none, or when the reader stopped it.

    It goes last on the page: what is above can be used meanwhile.
    """
    state = filling(chosen, key)
    if state.stopped:
        return
    for name in names:
        if name in state.ran or name in state.failed or engine().knows(name, chosen.image):
            continue
        state.ran.add(name)
        try:
            waited(engine().ask(name, chosen.image, session=session_id()), SPECS[name].title)
        except (CheckpointError, EngineError) as error:
            state.failed[name] = f"{SPECS[name].title} cannot run: {error}."
        st.rerun()


def filling(chosen: Picture, key: str) -> Filling:
    """This session's state of a page's picture; another picture begins anew."""
    picture = digest(chosen.image)
    state = st.session_state.get(f"{key} filling")
    if not isinstance(state, Filling) or state.picture != picture:
        state = st.session_state[f"{key} filling"] = Filling(picture)
    return state
