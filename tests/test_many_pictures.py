"""The page Many pictures: a run, its Cancel, and Go on with what is left."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Mapping
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_pages import app as app
from test_pages import opened
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran

from segviz.batch.archive import Archive
from segviz.batch.background_run import BackgroundRun, RunPlan
from segviz.batch.inputs import Source
from segviz.batch.run import PictureOutput
from segviz.engine import Predict, engine
from segviz.ui import batch
from segviz.ui.lost_files import lost_sentence
from segviz.ui.run_words import cancelled_sentence, ended_sentence, no_picture_sentence
from segviz.ui.state import STATE_KEY, BatchRun, SessionState

PICTURE = np.zeros((40, 60, 3), np.uint8)
PATIENCE = 60


def show() -> None:
    from segviz.ui.batch import follow_run

    follow_run()


def sources(count: int) -> list[Source]:
    return [Source(f"{number}.png", f"{number}", lambda: PICTURE) for number in range(count)]


def test_go_on_works_on_what_a_cancel_has_left() -> None:
    gate, begun = threading.Event(), threading.Event()

    def work(source: Source, picture: np.ndarray) -> PictureOutput:
        begun.set()
        assert gate.wait(PATIENCE)
        return PictureOutput([(f"{source.stem}.txt", b"")], {"image": source.text})

    job = BackgroundRun(RunPlan(sources(3), work))
    assert begun.wait(PATIENCE)
    job.cancel()
    gate.set()
    job.wait(PATIENCE)
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun((), job, "a.zip"))
    app.run()
    assert not app.exception
    assert app.info[0].value == "Cancelled after 1 of 3 pictures; what is done is in the ZIP."
    (button,) = (one for one in app.button if one.label == "Go on")
    button.click().run()
    assert not app.exception
    again = app.session_state[STATE_KEY].batch.job
    assert again is not job
    again.wait(PATIENCE)
    app.run()
    assert [one.value for one in app.success] == ["3 of 3 pictures are in the ZIP."]
    assert not app.button
    with zipfile.ZipFile(again.zip) as made:
        assert made.namelist() == ["0.txt", "1.txt", "2.txt", "summary.json"]
    again.close()


def test_files_of_a_zip_that_are_no_pictures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("one.png", "notes.txt", "__MACOSX/._one.png", "a/list.csv"):
            archive.writestr(name, b"x")
    upload = SimpleNamespace(name="many_1.zip", getvalue=content.getvalue, getbuffer=content.getbuffer)
    sources, problems, left_out = batch.collect_sources([upload])  # type: ignore[list-item]
    assert ([one.text for one in sources], problems) == (["many_1.zip: one.png"], [])
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun((), None, "a.zip", left_out=left_out))
    app.run()
    words = "Left out, as they are not supported pictures: many_1.zip: notes.txt, many_1.zip: a/list.csv."
    assert [one.value for one in app.caption] == [words]
    assert batch.left_out_sentence(list("abcdef")).endswith("they are not supported pictures: a, b, c, d and 2 more.")
    assert batch.left_out_sentence(["a"]) == "Left out, as it is not a supported picture: a."


def pack_upload(name: str, files: Mapping[str, bytes]) -> Any:
    """A ZIP as the page gets it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return SimpleNamespace(name=name, getvalue=content.getvalue, getbuffer=content.getbuffer)


def test_pictures_of_several_folders_and_zips_are_told_apart() -> None:
    one = pack_upload("dup.zip", {"a/img.jpg": b"x", "b/img.jpg": b"x", "a/bad.jpg": b"x"})
    sources, _, _ = batch.collect_sources([one])
    assert [source.text for source in sources] == ["dup.zip: a/img.jpg", "dup.zip: b/img.jpg", "dup.zip: a/bad.jpg"]
    assert [source.stem for source in sources] == ["a_img", "b_img", "a_bad"]
    job = BackgroundRun(RunPlan(sources, lambda source, picture: PictureOutput([], {})))
    job.wait(PATIENCE)
    assert [name for name, _ in job.state.problems] == [source.text for source in sources]
    job.close()
    two = pack_upload("more.zip", {"a/img.jpg": b"x"})
    assert [source.stem for source in batch.collect_sources([one, two])[0]][-1] == "more_a_img"
    alone = batch.collect_sources([pack_upload("one.zip", {"a/img.jpg": b"x", "a/bad.jpg": b"x"})])[0]
    assert [source.stem for source in alone] == ["img", "bad"], "folders that tell nothing are left out"


@pytest.mark.parametrize(
    ("bad", "refused", "kind", "said"),
    [
        (0, 0, "success", "2 of 2 pictures are in the ZIP."),
        (0, 1, "warning", "2 of 2 pictures are in the ZIP; the table says what is missing, and why."),
        (1, 0, "warning", "1 of 2 pictures are in the ZIP; the table says what is missing, and why."),
        (2, 0, "error", "None of the 2 pictures could be processed, so there is no ZIP; the table says why."),
    ],
)
def test_a_run_that_failed_does_not_look_like_success(bad: int, refused: int, kind: str, said: str) -> None:
    def work(source: Source, picture: np.ndarray) -> PictureOutput:
        if int(source.stem) < bad:
            raise ValueError("it is not to be")
        return PictureOutput([(f"{source.stem}.txt", b"")], {})

    job = BackgroundRun(RunPlan(sources(2), work))
    job.wait(PATIENCE)
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun([("more.zip", "not a ZIP")] * refused, job, "a.zip"))
    app.run()
    assert not app.exception
    boxes = {name: [one.value for one in getattr(app, name)] for name in ("success", "warning", "error", "info")}
    assert {name: values for name, values in boxes.items() if values} == {kind: [said]}
    assert (app.session_state[STATE_KEY].batch.token is not None) == (bad < 2), "a ZIP without pictures is not offered"
    job.close()


def test_where_no_file_can_be_used_an_error_says_so() -> None:
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun([("a.zip", "not a ZIP")], None, "a.zip"))
    app.run()
    assert [one.value for one in app.error] == ["There is no picture that could be used; the table says why."]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 3), "Cancelled after 0 of 3 pictures; there is no ZIP, as no picture was processed."),
        ((2, 1, 3), "Cancelled after 2 of 3 pictures; what is done is in the ZIP."),
    ],
)
def test_a_cancelled_run_promises_a_zip_only_where_there_is_one(counts: tuple[int, int, int], said: str) -> None:
    assert cancelled_sentence(*counts) == said


def test_a_run_over_one_picture_is_told_in_the_singular() -> None:
    assert ended_sentence(1, 1, False) == "1 of 1 picture is in the ZIP."
    assert ended_sentence(0, 1, True) == "The picture could not be processed, so there is no ZIP; the table says why."


def test_a_result_names_its_run_and_says_when_the_page_asks_for_another(app: AppTest) -> None:
    opened(app, "pages/many_pictures.py")
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "PNG")
    uploader = app.file_uploader(key="many_pictures files")
    uploader.set_value([("a_b.png", buffer.getvalue(), "image/png")]).run()
    app.selectbox(key="many_pictures model").set_value("fcn").run()
    start_of(app).click().run()
    app.session_state[STATE_KEY].batch.job.wait(PATIENCE)
    app.run()
    assert not app.exception
    name = "**FCN (no context) (fcn)** over a_b.png; labels, overlay."
    assert f"This run: {name}" in [one.value for one in app.markdown]
    assert not app.info and app.success
    earlier = f"An earlier run: {name} Start runs what is chosen above now."
    app.selectbox(key="many_pictures model").set_value("ema").run()
    assert [one.value for one in app.info] == [earlier]
    app.selectbox(key="many_pictures model").set_value("fcn").run()
    assert not app.info
    app.pills(key="many_pictures parts").set_value(["Labels"]).run()
    assert [one.value for one in app.info] == [earlier]
    app.pills(key="many_pictures parts").set_value(["Labels", "Overlay"]).run()
    app.file_uploader(key="many_pictures files").set_value([("doc.pdf", b"%PDF-1.7", "application/pdf")]).run()
    assert [one.value for one in app.info] == [earlier]
    assert [one.value for one in app.warning] == [
        "doc.pdf (PDF) cannot be used. Choose PNG, JPEG, WebP, BMP or TIFF pictures, or a ZIP of them."
    ]
    assert start_of(app).disabled
    opened(app, "pages/results.py")
    opened(app, "pages/many_pictures.py")
    assert [one.value for one in app.info] == [earlier], "the uploader is empty now"
    app.session_state[STATE_KEY].batch.job.close()


def start_of(app: AppTest) -> Any:
    """The button that starts a run."""
    (button,) = (one for one in app.button if one.label == "Start")
    return button


def test_the_limits_of_a_file_are_in_the_uploader_s_label(app: AppTest) -> None:
    label = opened(app, "pages/many_pictures.py").file_uploader(key="many_pictures files").label
    assert label == "Pictures up to 20 MB and 16 megapixels, or a ZIP of them up to 200 MB"


def test_files_that_are_no_pictures_are_named_by_their_content() -> None:
    files = [SimpleNamespace(name=name, getbuffer=lambda data=data: memoryview(data)) for name, data in CONTENTS]
    found = batch.find_no_pictures(files)  # type: ignore[arg-type]
    assert found == [("b.png", "unknown format"), ("c", "empty file"), ("f.png", "GIF")]
    named = r"\*c\* (empty file), f.png (GIF) cannot be used. Choose PNG, JPEG, WebP, BMP or TIFF pictures, or a ZIP"
    assert no_picture_sentence([("*c*", "empty file"), ("f.png", "GIF")]).startswith(named)


CONTENTS = (
    ("a.pdf", b"\xff\xd8\xff" + bytes(20)),
    ("b.png", b"words"),
    ("c", b""),
    ("d.zip", b""),
    ("e", b"PK\3\4" + bytes(20)),
    ("f.png", b"GIF89a" + bytes(20)),
)


def test_in_a_cluster_as_many_are_under_way_as_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch.count_at_once() == 1, "on threads, a picture at a time"

    class Settings:
        backend = "ray"

    monkeypatch.setattr(batch, "settings", Settings)
    health = engine().health()
    assert batch.count_at_once() == min(health.workers, health.queue_limit // 4)


def test_the_questions_of_a_run_do_not_replace_each_other_and_can_be_given_up() -> None:
    questions = batch.RunQuestions()
    values: list[object] = []

    def ask(shade: int) -> None:
        picture = np.full((40, 60, 3), shade, np.uint8)
        values.append(questions.ask("fcn", picture, Predict()).labels.shape)

    threads = [threading.Thread(target=ask, args=(shade,)) for shade in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert values == [(40, 60)] * 4
    questions.give_up()
    picture = np.full((40, 60, 3), 9, np.uint8)
    with pytest.raises(CancelledError):
        questions.ask("fcn", picture, Predict())
    questions.begin()
    assert questions.ask("fcn", picture, Predict()).labels.shape == (40, 60)


@pytest.mark.parametrize(
    ("at_once", "shown", "stopping", "help_text"),
    [
        (1, "Working on 0.png …", "Stopping after 0.png …", "Ends after this picture; what is done is kept"),
        (
            2,
            ", up to 2 at once …",
            "Stopping …",
            "Ends at once, and drops the pictures under way; what is done is kept",
        ),
    ],
)
def test_what_a_cancel_does_is_said_as_it_is(at_once: int, shown: str, stopping: str, help_text: str) -> None:
    gate, begun = threading.Event(), threading.Event()

    def work(source: Source, picture: np.ndarray) -> PictureOutput:
        begun.set()
        assert gate.wait(PATIENCE)
        return PictureOutput([], {})

    class Following:  # the run at hand as the page sees it, which must not end while the page is drawn
        def __init__(self, job: BackgroundRun) -> None:
            self.state, self.at_once, self.running, self.cancel = job.state, job.at_once, True, job.cancel

    job = BackgroundRun(RunPlan(sources(3), work, at_once))
    assert begun.wait(PATIENCE)
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun((), Following(job), "a.zip"))  # type: ignore[arg-type]
    app.run()
    assert not app.exception
    assert shown in app.text[0].value
    (button,) = app.button
    assert (button.label, button.help) == ("Cancel", help_text)
    button.click().run()
    assert stopping in app.text[0].value
    gate.set()
    job.wait(PATIENCE)
    job.close()


def test_where_a_run_cannot_go_on_its_earlier_zip_is_still_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Event()
    kept: list[BackgroundRun] = []

    def work(source: Source, picture: np.ndarray) -> PictureOutput:
        assert ready.wait(PATIENCE)
        kept[0].cancel()
        return PictureOutput([(f"{source.stem}.txt", b"")], {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept.append(BackgroundRun(RunPlan(sources(3), work)))
    ready.set()
    kept[0].wait(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(Archive, "put", full)
        job = kept[0].go_on()
        job.wait(PATIENCE)
    app = AppTest.from_function(show)
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun((), job, "a.zip"))
    app.run()
    assert not app.exception
    assert app.error[0].value == "The run could not go on: the ZIP could not be written (No space left on device)."
    assert app.info[0].value == "Cancelled after 1 of 3 pictures; what is done is in the ZIP."
    assert [one.label for one in app.button] == ["Go on"]
    for one in (job, kept[0]):
        one.close()


LOST = {"session": "before", "names": ["*a*.png", "street.zip"], "count": 4, "run": "", "pictures": 0}
LOST_SENTENCES = {
    "": r"\*a\*.png, street.zip and 2 more are no longer on the server, which drops files when a page is left or "
    "reloaded. Upload the files again to start a run.",
    "running": "The run over 1 picture was stopped, and what it had made is gone.",
    "ended": "The ZIP of the run over 1 picture is gone, unless you have saved it.",
}


def show_page_without_a_run() -> None:
    from segviz.ui.batch import run_stage
    from segviz.ui.lost_files import tell_lost_files

    tell_lost_files("many_pictures", [], *run_stage())


@pytest.mark.parametrize("run", LOST_SENTENCES)
def test_what_a_reload_has_lost_is_named(run: str) -> None:
    app = AppTest.from_function(show_page_without_a_run)
    app.session_state["many_pictures lost"] = {"lost": {**LOST, "run": run, "pictures": 1}}
    app.run()
    assert not app.exception
    (warning,) = app.warning
    assert LOST_SENTENCES[run] in warning.value


def test_a_long_name_is_cut_in_all_sentences_alike() -> None:
    name = "a" * 81
    cut = "a" * 79 + "…"
    assert no_picture_sentence([(name, "GIF")]).startswith(f"{cut} (GIF) cannot be used")
    assert lost_sentence({"names": [name], "count": 1, "pictures": 0}).startswith(f"{cut} is no longer")


def test_a_session_that_has_its_run_has_lost_nothing() -> None:
    job = BackgroundRun(RunPlan(sources(1), lambda source, picture: PictureOutput([], {})))
    job.wait(PATIENCE)
    app = AppTest.from_function(show_page_without_a_run)
    app.session_state["many_pictures lost"] = {"lost": LOST}
    app.session_state[STATE_KEY] = SessionState(batch=BatchRun((), job, "a.zip"))
    app.run()
    assert not app.exception and not app.warning
    job.close()


@pytest.mark.parametrize(
    "lost", [{}, {"names": "all", "count": 1, "pictures": 0}, {**LOST, "count": "2"}, {**LOST, "names": [3]}, [LOST], 7]
)
def test_what_a_browser_sends_is_not_trusted(lost: object) -> None:
    app = AppTest.from_function(show_page_without_a_run)
    app.session_state["many_pictures lost"] = {"lost": lost}
    app.run()
    assert not app.exception and not app.warning
