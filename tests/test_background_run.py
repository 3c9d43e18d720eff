"""Runs beside a page: followed, cancelled, bounded, and gone with whoever asked for them."""

from __future__ import annotations

import gc
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from segviz.batch import background_run as jobs
from segviz.batch.background_run import BackgroundRun, RunPlan, Worker
from segviz.batch.inputs import Source
from segviz.batch.run import PictureOutput
from segviz.engine import Answer, Result
from segviz.image import ImageError
from segviz.server.downloads import Downloads, download_routes

PICTURE = np.zeros((4, 4, 3), np.uint8)
PATIENCE = 60
RESULT = Result(None, (), True, "", 0.0)


def sources(*names: str) -> list[Source]:
    return [Source(name, name, lambda: PICTURE) for name in names]


def work(source: Source, picture: np.ndarray) -> PictureOutput:
    if source.stem == "bad":
        raise ImageError("it is bad")
    return PictureOutput([(f"{source.stem}.txt", source.stem.encode())], {"image": source.text})


def finished(job: BackgroundRun) -> zipfile.ZipFile:
    job.wait(PATIENCE)
    assert not job.running
    return zipfile.ZipFile(job.zip)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What `held` waits for."""
    event = threading.Event()
    yield event
    event.set()


def held(gate: threading.Event, then: Worker = work) -> Any:
    def slowly(source: Source, picture: np.ndarray) -> PictureOutput:
        assert gate.wait(PATIENCE)
        return then(source, picture)

    return slowly


def test_a_run_ends_in_a_zip_with_a_summary_and_names_what_failed() -> None:
    job = BackgroundRun(RunPlan(sources("one", "bad", "two"), work))
    with finished(job) as made:
        assert made.namelist() == ["one.txt", "two.txt", "summary.json"]
        summary = json.loads(made.read("summary.json"))
    assert summary == [
        {"image": "one", "files": ["one.txt"]},
        {"image": "bad", "problem": "it is bad"},
        {"image": "two", "files": ["two.txt"]},
    ]
    assert job.state.problems == [("bad", "it is bad")]
    assert (job.state.done, job.state.failure) == (3, "")
    job.close()


def test_a_cancel_ends_after_the_picture_at_hand_and_keeps_what_is_done(gate: threading.Event) -> None:
    job = BackgroundRun(RunPlan(sources("one", "two", "three"), held(gate)))
    until(lambda: job.state.name == "one")
    job.cancel()
    assert job.running
    gate.set()
    with finished(job) as made:
        assert made.namelist() == ["one.txt", "summary.json"]
    assert job.state.done == 1
    job.close()


def test_a_job_that_nobody_has_any_more_stops_and_leaves_nothing(gate: threading.Event) -> None:
    job = BackgroundRun(RunPlan(sources("one", "two"), held(gate)))
    until(lambda: job.state.name == "one")
    file, state = job.zip, job.state
    del job
    gc.collect()
    assert not file.closed, "it is still written to"
    gate.set()
    until(lambda: file.closed)
    assert state.done == 1

    job = BackgroundRun(RunPlan(sources("one"), work))
    job.wait(PATIENCE)
    file = job.zip
    assert not file.closed
    del job
    gc.collect()
    assert file.closed


def test_all_jobs_work_on_one_picture_at_a_time(gate: threading.Event) -> None:
    first = BackgroundRun(RunPlan(sources("one"), held(gate)))
    until(lambda: first.state.name == "one")
    second = BackgroundRun(RunPlan(sources("two"), work))
    second.wait(0.2)
    assert second.running and second.state.name == ""
    gate.set()
    for job in (first, second):
        finished(job).close()
        job.close()


def test_a_cancelled_run_goes_on_and_its_zip_is_that_of_one_run(gate: threading.Event) -> None:
    names = ("one", "bad", "two", "three", "four")
    whole = BackgroundRun(RunPlan(sources(*names), work))
    finished(whole).close()
    begun: list[str] = []

    def stop_at_two(source: Source, picture: np.ndarray) -> PictureOutput:
        begun.append(source.stem)
        if begun.count("two") == 1 and source.stem == "two":
            jobs_seen[0].cancel()
        return work(source, picture)

    jobs_seen: list[BackgroundRun] = []
    jobs_seen.append(BackgroundRun(RunPlan(sources(*names), held(gate, stop_at_two))))
    gate.set()
    first = jobs_seen[0]
    with finished(first) as made:
        assert made.namelist() == ["one.txt", "two.txt", "summary.json"]
    assert first.can_go_on and first.state.done == 3
    gate.clear()
    second = first.go_on()
    assert (second.state.done, second.state.problems) == (3, [("bad", "it is bad")])
    gate.set()
    del first
    jobs_seen.clear()
    gc.collect()
    finished(second).close()
    assert begun == ["one", "bad", "two", "three", "four"]
    assert not second.can_go_on
    for job in (whole, second):
        job.zip.seek(0)
    assert second.zip.read() == whole.zip.read()
    assert second.state.problems == whole.state.problems
    for job in (whole, second):
        job.close()


def test_where_many_are_under_way_a_cancel_waits_for_none_and_the_rest_is_done_later() -> None:
    answers: list[Answer] = []
    together, lock = threading.Semaphore(0), threading.Lock()

    def wait(source: Source, picture: np.ndarray) -> PictureOutput:
        if source.stem in ("one", "bad"):
            return work(source, picture)
        with lock:
            answers.append(Answer())
            own = answers[-1]
        together.release()
        own.result(PATIENCE)
        return work(source, picture)

    def give_up() -> None:
        with lock:
            for answer in answers:
                answer.cancel()

    names = ("one", "bad", *(f"picture{number}" for number in range(9)))
    job = BackgroundRun(RunPlan(sources(*names), wait, 3, give_up))
    for _ in range(3):
        assert together.acquire(timeout=PATIENCE), "three are under way at once"
    assert len(answers) == 3
    until(lambda: job.state.done == 2)
    job.cancel()
    with finished(job) as made:
        assert made.namelist() == ["one.txt", "summary.json"]
    assert len(answers) == 3, "a cancelled run begins nothing"
    again = job.go_on()

    def answer_all() -> bool:
        with lock:
            for answer in answers:
                answer.settle(RESULT)
        return not again.running

    until(answer_all)
    with finished(again) as made:
        assert made.namelist() == [f"{name}.txt" for name in names if name != "bad"] + ["summary.json"]
    assert again.state.done == 11
    again.close()


def test_whoever_leaves_while_many_are_under_way_leaves_no_question_and_no_thread_behind() -> None:
    answers: list[Answer] = []
    begun, given_up = threading.Semaphore(0), threading.Event()

    def wait(source: Source, picture: np.ndarray) -> PictureOutput:
        answers.append(Answer())
        begun.release()
        answers[-1].result(PATIENCE)
        return work(source, picture)

    def give_up() -> None:
        for answer in answers:
            answer.cancel()
        given_up.set()

    before = threading.active_count()
    job = BackgroundRun(RunPlan(sources(*(f"picture{number}" for number in range(9))), wait, 3, give_up))
    for _ in range(3):
        assert begun.acquire(timeout=PATIENCE)
    file = job.zip
    del job
    gc.collect()
    assert given_up.wait(PATIENCE)
    until(lambda: file.closed and threading.active_count() == before)
    assert len(answers) == 3 and all(answer.cancelled() for answer in answers)


def test_a_disk_that_is_full_as_a_run_goes_on_costs_nothing_that_was_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BackgroundRun] = []
    ready = threading.Event()

    def stop_at_one(source: Source, picture: np.ndarray) -> PictureOutput:
        assert ready.wait(PATIENCE)
        seen[0].cancel()
        return work(source, picture)

    seen.append(BackgroundRun(RunPlan(sources("one", "two"), stop_at_one)))
    ready.set()
    finished(seen[0]).close()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Archive, "put", full)
        second = seen[0].go_on()
        second.wait(PATIENCE)
    assert second.state.failure == "the ZIP could not be written (No space left on device)"
    earlier = second.not_taken_over
    assert earlier is seen[0] and earlier.can_go_on
    with finished(earlier) as made:
        assert made.namelist() == ["one.txt", "summary.json"]
    third = earlier.go_on()
    with finished(third) as made:
        assert made.namelist() == ["one.txt", "two.txt", "summary.json"]
    assert third.not_taken_over is None and earlier.zip.closed
    for job in (second, third):
        job.close()


def test_large_pictures_are_refused_and_a_large_zip_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_RUN_PIXELS", 15)
    job = BackgroundRun(RunPlan(sources("one"), work))
    finished(job).close()
    said = "the picture has 4 x 4 pixels; the limit here is 0 megapixels, so scale it down"
    assert job.state.problems == [("one", said)]
    job.close()
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "MAX_ZIP_BYTES", 10)
    job = BackgroundRun(RunPlan(sources("one", "two"), work))
    with finished(job) as made:
        assert made.namelist() == ["one.txt", "summary.json"]
    assert "the ZIP has reached 0 GB; send the other pictures in another run" in job.state.failure
    job.close()


def test_a_full_disk_and_a_surprise_end_the_run_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def surprised(*_: object) -> PictureOutput:
        raise KeyError("what is this")

    def out_of_memory(*_: object) -> PictureOutput:
        raise RuntimeError("CUDA out of memory")

    job = BackgroundRun(RunPlan(sources("one", "two"), surprised))
    job.wait(PATIENCE)
    assert job.state.failure == "an unexpected error occurred; see the server's log"
    job.close()
    job = BackgroundRun(RunPlan(sources("one", "two"), out_of_memory))
    finished(job).close()
    assert [cause for _, cause in job.state.problems] == ["CUDA out of memory"] * 2
    job.close()
    monkeypatch.setattr(jobs.Archive, "put", full)
    job = BackgroundRun(RunPlan(sources("one", "two"), work))
    job.wait(PATIENCE)
    assert job.state.failure == "the files of one could not be written (No space left on device)"
    job.close()


# ---- the way out ----------------------------------------------------------------------------------------


def test_a_file_leaves_under_its_token_alone_and_is_gone_once_closed() -> None:
    downloads = Downloads()
    with TestClient(Starlette(routes=download_routes(downloads))) as client:
        job = BackgroundRun(RunPlan(sources("one"), work))
        finished(job).close()
        token = downloads.offer(job.zip, 'a "b"\r\n.zip', "application/of-this-file")
        for path in (f"/segviz/file/{token}", f"/base/segviz/file/{token}"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert answer.headers["content-disposition"] == 'attachment; filename="a_b_.zip"'
            assert answer.headers["content-type"] == "application/of-this-file"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["one.txt", "summary.json"]
        assert client.get(f"/segviz/file/{token[:-1]}").status_code == 404
        job.close()
        assert client.get(f"/segviz/file/{token}").status_code == 404
        again = downloads.offer(job.zip, "again", "application/zip")
        assert len(again) == len(token) and token not in downloads._offers
    assert len(token) >= 32


def test_two_who_read_at_once_both_get_all_of_it() -> None:
    content = np.random.default_rng(0).bytes(3 * 2**20 + 5)
    offer = Downloads()
    token = offer.offer(io.BytesIO(content), "a.zip", "application/zip")
    found = offer.get(token)
    assert found is not None
    one, two = found.parts(), found.parts()
    got: tuple[list[bytes], list[bytes]] = ([], [])
    for parts in zip(one, two, strict=True):
        for kept, part in zip(got, parts, strict=True):
            kept.append(part)
    assert b"".join(got[0]) == b"".join(got[1]) == content
