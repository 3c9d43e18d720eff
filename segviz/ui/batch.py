"""Many pictures on a page: the uploaded files, the work on each picture, and the run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import streamlit as st

from segviz.batch.attention_files import AttentionOptions, export_attention
from segviz.batch.background_run import MAX_RUN_PIXELS, BackgroundRun, RunPlan, Worker
from segviz.batch.inputs import Source, make_stems
from segviz.batch.run import Part, PictureOutput, export_prediction
from segviz.batch.zip_input import ZipError, list_zip_files
from segviz.catalogue.own_models import own_models
from segviz.engine import Answer, Op, Watch, engine
from segviz.engine.waiting import SESSION_SHARE
from segviz.image import MAX_BYTES, Rgb, decode
from segviz.picture_files.formats import HEAD_BYTES, name_formats, name_unsupported, starts_like_picture
from segviz.prediction.labelled import PixelLabels
from segviz.prediction.prediction import Prediction
from segviz.server.downloads import DOWNLOADS
from segviz.settings import settings
from segviz.table import escape_formula
from segviz.text import escape_markdown
from segviz.ui.charts import csv_button
from segviz.ui.component import mount
from segviz.ui.lost_files import RunStage
from segviz.ui.network_answer import describe_answer
from segviz.ui.run_words import RunRequest, cancelled_sentence, ended_sentence, name_files, run_sentence
from segviz.ui.state import BatchRun, session
from segviz.ui.tables import show_table
from segviz.ui.viewer_blobs import route_url

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MOST_PICTURES = 500
LARGEST_UPLOAD = 200  # MB of a ZIP
ZIP_START = b"PK\x03\x04"
WRITES: dict[str, Part] = {"Labels": "labels", "Overlay": "overlay", "Confidence": "confidence"}
EVERY = 0.5  # seconds between looks at a run
UPLOAD_LABEL = (
    f"Pictures up to {MAX_BYTES // 1024**2} MB and {MAX_RUN_PIXELS // 10**6} megapixels, or a ZIP of them up to "
    f"{LARGEST_UPLOAD} MB"
)
UPLOAD_HELP = (
    f"{name_formats()}; at most {MOST_PICTURES} pictures in a run. They stay in this server's memory until you leave "
    "or reload the page. The ZIP of results is also deleted when you start another run."
)
Problems = list[tuple[str, str]]  # names of files, and what is wrong with them


def collect_sources(files: Sequence[UploadedFile]) -> tuple[list[Source], Problems, list[str]]:
    """The pictures in uploaded files and ZIPs, opened one by one as the run reaches them.

    Returns:
        The pictures; the files to refuse; and the names of files in ZIPs that are no pictures, and are left out.
    """
    pictures: list[tuple[str, str, Callable[[], Rgb]]] = []  # name, path that tells it from others, opener
    problems, left_out = Problems(), list[str]()
    for file in files:
        if not is_zip(file):
            pictures.append((file.name, file.name, partial(open_upload, file)))
            continue
        try:
            found = list_zip_files(file.getvalue())
            folder = PurePath(file.name).stem
            pictures += [(f"{file.name}: {path}", f"{folder}/{path}", opener) for path, opener in found.pictures]
            left_out += [f"{file.name}: {path}" for path in found.others]
        except ZipError as error:
            problems.append((file.name, str(error)))
    if len(pictures) > MOST_PICTURES:
        left = len(pictures) - MOST_PICTURES
        problems.append((f"{left} pictures", f"a run takes at most {MOST_PICTURES}; send these in another run"))
        del pictures[MOST_PICTURES:]
    stems = make_stems([path for _, path, _ in pictures])
    return (
        [Source(text, stem, opener) for (text, _, opener), stem in zip(pictures, stems, strict=True)],
        problems,
        left_out,
    )


def is_zip(file: UploadedFile) -> bool:
    """Whether an uploaded file is to be read as a ZIP."""
    return file.name.lower().endswith(".zip") or upload_head(file).startswith(ZIP_START)


def upload_head(file: UploadedFile) -> bytes:
    """The first bytes of an uploaded file, which tell its format."""
    return bytes(file.getbuffer()[:HEAD_BYTES])


def find_no_pictures(files: Sequence[UploadedFile]) -> list[tuple[str, str]]:
    """Uploaded files that no run can use: the name, and what the content is, such as "GIF"."""
    heads = [(file.name, upload_head(file)) for file in files if not is_zip(file)]
    return [
        (name, name_unsupported(head) or ("unknown format" if head else "empty file"))
        for name, head in heads
        if not starts_like_picture(head)
    ]


def open_upload(file: UploadedFile) -> Rgb:
    """A picture that was uploaded by itself."""
    return decode(file.getvalue())


class RunQuestions:
    """The questions of one run to the engine: one visitor's, who waits for several answers at once."""

    def __init__(self) -> None:
        self._session, self._ticket = f"run {uuid4().hex}", engine().take_ticket()
        self._waiting: set[Answer] = set()
        self._given_up = False
        self._lock = threading.Lock()

    def ask(self, model: str, picture: Rgb, op: Op | None = None) -> Any:
        """The value of an answer; waits for it.

        Raises:
            CancelledError: `give_up` was called, before or meanwhile.
            EngineError: the engine could not answer.
        """
        answer = engine().ask(model, picture, op, self._session, self._ticket)
        with self._lock:
            self._waiting.add(answer)
            given_up = self._given_up
        if given_up:
            answer.cancel()
        try:
            return answer.result().value
        finally:
            with self._lock:
                self._waiting.discard(answer)

    def begin(self) -> None:
        """Answers are waited for, also after `give_up`."""
        with self._lock:
            self._given_up = False

    def give_up(self) -> None:
        """Wait for no answer any more."""
        with self._lock:
            self._given_up = True
            waiting = list(self._waiting)
        for answer in waiting:
            answer.cancel()


def make_work(
    model: str, parts: Sequence[Part], maps: AttentionOptions | None, questions: RunQuestions | None = None
) -> Worker:
    """The work on each picture: parts of the prediction, and maps of a bundled model unless `maps` is None."""
    asked = questions or RunQuestions()

    def predict(picture: Rgb) -> Prediction:
        value = asked.ask(model, picture)
        assert isinstance(value, Prediction)
        return value

    def label(picture: Rgb) -> PixelLabels:
        classes = describe_answer(model, asked.ask(model, picture, Watch())).classes
        if classes is None:
            raise ValueError("the network has no classes, so there is nothing to write; choose one that labels pixels")
        return classes

    is_own = model in own_models()

    def work(source: Source, picture: Rgb) -> PictureOutput:
        output = export_prediction(label if is_own else predict, source, picture, parts)
        if maps is None or is_own:
            return output
        more = export_attention(predict, maps, source, picture)
        return PictureOutput([*output.files, *more.files], {**output.summary, **more.summary})

    return work


def start_run(files: Sequence[UploadedFile], request: RunRequest) -> None:
    """Start a run over files, as it is asked; this deletes the one before and its ZIP."""
    sources, problems, left_out = collect_sources(files)
    state, questions = session(), RunQuestions()
    if state.batch.job is not None:
        state.batch.job.close()
    parts = [WRITES[part] for part in request.parts if part in WRITES]
    work = make_work(request.model, parts, request.maps, questions)
    plan = RunPlan(sources, work, count_at_once(), questions.give_up, questions.begin)
    job = BackgroundRun(plan) if sources else None
    name = f"segviz-{request.model}-{len(sources)}-pictures.zip"
    state.batch = BatchRun(problems, job, name, left_out=left_out, request=request)


def count_at_once() -> int:
    """How many pictures a run has under way: as many as there are workers in a cluster, and one on threads."""
    if settings().backend == "threads":
        return 1
    health = engine().health()
    return max(1, min(health.workers, health.queue_limit // SESSION_SHARE))


def go_on_with_run(job: BackgroundRun) -> None:
    """Work on the pictures that a cancelled run has left."""
    state = session()
    state.batch = replace(state.batch, job=job.go_on(), token=None)


def is_running() -> bool:
    """Whether this session's run is at work."""
    job = session().batch.job
    return job is not None and job.running


def run_stage() -> tuple[RunStage, int]:
    """How far this session's run is, "" without one, and how many pictures it is over."""
    job = session().batch.job
    if job is None:
        return "", 0
    return "running" if job.running else "ended", job.state.total


def follow_run(asked: RunRequest | None = None) -> None:
    """Progress and a button to cancel, at the end the ZIP and the failures; updates itself while the run works.

    Args:
        asked: what the page's controls ask now, which may be another run than the one that is shown.
    """
    st.fragment(show_run, run_every=EVERY if is_running() else None)(is_running(), asked)


def show_run(was_running: bool, asked: RunRequest | None = None) -> None:
    """The run as it is now."""
    batch = session().batch
    job, problems = batch.job, list(batch.problems)
    if batch.request is not None:
        current = batch.request == asked
        (st.markdown if current else st.info)(run_sentence(batch.request, is_running(), current))
    if job is None and problems:
        st.error("There is no picture that could be used; the table says why.")
    if job is not None:
        if was_running and not job.running:
            st.rerun()  # the whole page: its controls are free again, and nothing needs looking at
        problems += job.state.problems
        if job.running:
            show_working(job)
        else:
            show_finished(batch, job)
    if batch.left_out:
        st.caption(escape_markdown(left_out_sentence(batch.left_out)))
    if problems:
        names, causes = zip(*problems, strict=True)
        values = {"Picture": list(names), "Why it failed": list(causes)}
        show_table(values, (), "Pictures that failed, and why")
        csv_button({head: list(map(escape_formula, column)) for head, column in values.items()}, "failed-pictures")


def left_out_sentence(names: Sequence[str]) -> str:
    """Which files of the ZIPs the run is not over.

    Args:
        names: each with its ZIP's name; at least one.
    """
    what = "it is not a supported picture" if len(names) == 1 else "they are not supported pictures"
    return f"Left out, as {what}: {name_files(names)}."


def show_working(job: BackgroundRun) -> None:
    """How far a run is."""
    state = job.state
    with st.container(key="run"):  # in its place on the page, which has no picture to move
        st.progress(state.done / state.total)
    stopping = state.stop.is_set()
    name, alone = state.name or "the first picture", job.at_once == 1
    others = "" if alone else f", up to {job.at_once} at once"
    st.text(
        "Stopping …" if stopping and not alone else f"{'Stopping after' if stopping else 'Working on'} {name}{others} …"
    )
    st.text(f"{state.done} of {state.total} done, {len(state.problems)} failed")
    end = "Ends after this picture" if alone else "Ends at once, and drops the pictures under way"
    st.button("Cancel", on_click=job.cancel, disabled=stopping, help=f"{end}; what is done is kept")


def show_finished(batch: BatchRun, job: BackgroundRun) -> None:
    """How a run ended, and its ZIP."""
    if (earlier := job.not_taken_over) is not None:
        st.error(f"The run could not go on: {job.state.failure}.")
        job = earlier
    state, good = job.state, job.state.done - len(job.state.problems)
    if state.failure:
        st.error(f"The run ended early: {state.failure}.")
    elif state.done < state.total:
        st.info(cancelled_sentence(state.done, good, state.total))
        if job.can_go_on and st.button("Go on", help="Works on the rest; the next ZIP has all pictures"):
            go_on_with_run(job)
            st.rerun()  # the whole page, which follows the run again
    else:
        missing = bool(batch.problems) or good < state.total
        tell = st.error if not good else st.warning if missing else st.success
        tell(ended_sentence(good, state.total, missing))
    if good:
        offer_zip(batch, job)


def offer_zip(batch: BatchRun, job: BackgroundRun) -> None:
    """The link that saves a run's ZIP."""
    if batch.token is None:
        batch.token = DOWNLOADS.offer(job.zip, batch.zip_name, "application/zip")
    size = os.fstat(job.zip.fileno()).st_size / 2**20
    data = {"address": route_url(f"file/{batch.token}"), "label": f"Save the ZIP, {size:.1f} MB"}
    mount(save_link(), data, key="batch save", width="content", height="content")


@cache
def save_link() -> Any:
    """A link that saves a file; Streamlit's links open another tab, and its download button keeps all in memory."""
    style = """a { display: inline-block; padding: 0.4rem 0.75rem; border-radius: var(--st-button-radius);
        background: var(--st-primary-color); color: var(--st-background-color); text-decoration: none; }
        a:focus-visible { outline: 2px solid var(--st-text-color); outline-offset: 2px; }"""
    script = """export default ({ data: [data], parentElement }) => {
        Object.assign(parentElement.querySelector("a"), { href: data.address, textContent: data.label }); }"""
    return st.components.v2.component("segviz_save", html="<a download></a>", css=style, js=script)
