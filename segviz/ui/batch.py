"""Many pictures on a page: what was uploaded, what is to be made of it, and the run that makes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from segviz.batch.attention_files import AttentionOptions, export_attention
from segviz.batch.background_run import MAX_RUN_PIXELS, BackgroundRun
from segviz.batch.inputs import Source, make_stems
from segviz.batch.run import Part, PictureOutput, export_prediction
from segviz.batch.zip_input import ZipError, list_zip_pictures
from segviz.engine import engine
from segviz.figures.export import escape_formula
from segviz.image import MAX_BYTES, Rgb, decode
from segviz.prediction.prediction import Prediction
from segviz.server.downloads import DOWNLOADS
from segviz.ui.charts import as_csv
from segviz.ui.component import mount
from segviz.ui.tables import show_table
from segviz.ui.viewer import served

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MOST_PICTURES = 500
JOB, NAME, REFUSED, TOKEN = "folder job", "folder name", "folder refused", "folder token"
EVERY = 0.5  # seconds between looks at a run
UPLOAD_HELP = (
    f"Up to {MOST_PICTURES} pictures of {MAX_BYTES // 1024**2} MB and {MAX_RUN_PIXELS // 10**6} megapixels, or ZIPs of "
    "them. They stay in this server's memory; the ZIP of results is deleted when you start another run or leave."
)
Problems = list[tuple[str, str]]  # names of files, and what is wrong with them


def collected(files: Sequence[UploadedFile]) -> tuple[list[Source], Problems]:
    """The pictures in uploaded files and ZIPs, opened when their turn comes, and files that are of no use."""
    found: list[tuple[str, Callable[[], Rgb]]] = []
    problems: Problems = []
    for file in files:
        if not file.name.lower().endswith(".zip"):
            found.append((file.name, partial(opened, file)))
            continue
        try:
            found += [(f"{file.name}: {name}", one) for name, one in list_zip_pictures(file.getvalue())]
        except ZipError as error:
            problems.append((file.name, str(error)))
    if len(found) > MOST_PICTURES:
        left = len(found) - MOST_PICTURES
        problems.append((f"{left} pictures", f"at most {MOST_PICTURES} are taken at once; send these in another run"))
        del found[MOST_PICTURES:]
    names = make_stems([text.rpartition(": ")[2] for text, _ in found])
    return [Source(text, stem, one) for (text, one), stem in zip(found, names, strict=True)], problems


def opened(file: UploadedFile) -> Rgb:
    """A picture that was uploaded by itself."""
    return decode(file.getvalue())


def work_of(model: str, parts: Sequence[Part], maps: AttentionOptions | None) -> Callable[[Source, Rgb], PictureOutput]:
    """What is made of each picture: parts of the prediction, and maps where they are asked for."""

    def predict(picture: Rgb) -> Prediction:
        return engine().predict(model, picture)

    def work(source: Source, picture: Rgb) -> PictureOutput:
        done = export_prediction(predict, source, picture, parts)
        if maps is None:
            return done
        more = export_attention(predict, maps, source, picture)
        return PictureOutput([*done.files, *more.files], {**done.summary, **more.summary})

    return work


def begin(files: Sequence[UploadedFile], model: str, work: Callable[[Source, Rgb], PictureOutput]) -> None:
    """Starts a run; the one before, with its ZIP, is gone."""
    sources, problems = collected(files)
    forget()
    st.session_state[REFUSED] = problems
    if sources:
        st.session_state[JOB], st.session_state[NAME] = (
            BackgroundRun(sources, work),
            f"segviz-{model}-{len(sources)}-pictures.zip",
        )


def forget() -> None:
    """Ends and removes the run that there is."""
    job = st.session_state.pop(JOB, None)
    if job is not None:
        job.close()
    st.session_state.pop(TOKEN, None)


def current() -> BackgroundRun | None:
    """This session's run."""
    job: BackgroundRun | None = st.session_state.get(JOB)
    return job


def running() -> bool:
    """Whether this session's run is at work."""
    job = current()
    return job is not None and job.running


def follow() -> None:
    """Progress, cancel, and in the end the ZIP and what went wrong; looks again by itself while there is work."""
    st.fragment(progress, run_every=EVERY if running() else None)(running())


def progress(was_running: bool) -> None:
    """The run as it is now."""
    job, problems = current(), list(st.session_state.get(REFUSED, ()))
    if job is not None:
        if was_running and not job.running:
            st.rerun()  # the whole page: its controls are free again, and nothing needs looking at
        state = job.state
        problems += state.problems
        if job.running:
            st.progress(state.done / state.total)
            stopping = state.stop.is_set()
            st.text(f"{'Stopping after' if stopping else 'Working on'} {state.name or 'the first picture'} …")
            st.text(f"{state.done} of {state.total} done, {len(state.problems)} failed")
            st.button(
                "Cancel", on_click=job.cancel, disabled=stopping, help="Ends after this picture; what is done is kept"
            )
        else:
            finished(job)
    if problems:
        names, causes = zip(*problems, strict=True)
        values = {"Picture": list(names), "Why there are no files of it": list(causes)}
        show_table(values, (), "Pictures that failed, and why")
        as_csv({head: list(map(escape_formula, column)) for head, column in values.items()}, "failed-pictures")


def finished(job: BackgroundRun) -> None:
    """What a run has come to."""
    state, good = job.state, job.state.done - len(job.state.problems)
    if state.failure:
        st.error(f"The run ended early: {state.failure}.")
    elif state.done < state.total:
        st.info(f"Cancelled after {state.done} of {state.total} pictures; what is done is in the ZIP.")
    else:
        st.success(f"{good} of {state.total} pictures are in the ZIP.")
    if TOKEN not in st.session_state:
        st.session_state[TOKEN] = DOWNLOADS.offer(job.zip, st.session_state[NAME])
    size = os.fstat(job.zip.fileno()).st_size / 2**20
    data = {"address": served(f"file/{st.session_state[TOKEN]}"), "label": f"Save the ZIP, {size:.1f} MB"}
    mount(save_link(), data, key="folder save", width="content", height="content")


@cache
def save_link() -> Any:
    """A link that saves a file; Streamlit's own ones open another tab, and its download button keeps all in memory."""
    style = """a { display: inline-block; padding: 0.4rem 0.75rem; border-radius: var(--st-button-radius);
        background: var(--st-primary-color); color: var(--st-background-color); text-decoration: none; }
        a:focus-visible { outline: 2px solid var(--st-text-color); outline-offset: 2px; }"""
    script = """export default ({ data: [data], parentElement }) => {
        Object.assign(parentElement.querySelector("a"), { href: data.address, textContent: data.label }); }"""
    return st.components.v2.component("segviz_save", html="<a download></a>", css=style, js=script)
