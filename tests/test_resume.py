"""Runs that go on: what is finished is not made again, and the result is that of one run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_runs import files_of, make_album, make_data
from PIL import Image

from segviz import paths
from segviz.batch.file_lock import CAN_LOCK, lock_file
from segviz.batch.finished_list import FinishedList, ResumeError
from segviz.batch.finished_pictures import LIST_NAME, FinishedPictures
from segviz.batch.inputs import Source, find_sources, pack_picture
from segviz.batch.run import (
    Folder,
    PictureOutcome,
    PictureOutput,
    PutError,
    make_outcome,
    run_pictures,
    write_outcomes,
)
from segviz.catalogue.entry import CatalogueError
from segviz.cli.main import main
from segviz.cli.worker_jobs import pack_model
from segviz.evaluation import evaluate
from segviz.evaluation.evaluate import SampleCounts, SampleScorer
from segviz.evaluation.map_numbers import MapMeans
from segviz.evaluation.metrics import Confusion
from segviz.evaluation.stored_counts import counts_from_json, counts_to_json

RUN = {"command": "predict", "the digest of the model's files": "a" * 64}
SMALL = ["--input-size", "48,64"]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The paths of three pictures and of one more."""
    folder = make_album(tmp_path_factory.mktemp("album") / "in", 3)
    return [str(path) for path in sorted(folder.iterdir())]


# ---- the list --------------------------------------------------------------------------------------------


def test_a_list_holds_what_was_added_and_a_line_that_was_cut_in_half_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    made = FinishedList(path, RUN, resume=False)
    assert not path.exists()
    made.add("one", {"value": 0.1})
    made.add("two", [1, 2])
    made.close()
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[0]), len(whole)):
        path.write_bytes(whole[:cut])
        found = FinishedList(path, RUN, resume=True)
        assert set(found.entries) <= {"one", "two"}
        found.add("three", 3)
        found.close()
        again = FinishedList(path, RUN, resume=True)
        again.close()
        assert again.entries == {**found.entries, "three": 3}
    anew = FinishedList(path, RUN, resume=False)
    anew.close()
    assert anew.entries == {}


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[]\n", b'{"run": 3}\n', b'{"run": {"a": 1}}\n', b"[" * 5000])
def test_a_file_that_is_no_list_is_refused_and_kept(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_bytes(text)
    with pytest.raises(ResumeError, match="is not a list of finished pictures"):
        FinishedList(path, RUN, resume=True)
    assert path.read_bytes() == text


def test_a_list_of_another_run_is_refused_by_the_first_difference(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    made = FinishedList(path, RUN, resume=False)
    made.add("one", 1)
    made.close()
    for run, words in (
        ({**RUN, "--crop": "[64, 64]"}, r"--crop was nothing and is now \[64, 64\]"),
        ({**RUN, "command": "attend"}, "command was predict and is now attend"),
        ({"command": "predict"}, "the digest of the model's files was a+"),
    ):
        with pytest.raises(ResumeError, match=words):
            FinishedList(path, run, resume=True)


def test_damaged_entries_are_made_anew(tmp_path: Path) -> None:
    sources = find_sources(["scene:1"])
    key = pack_picture(sources[0]).digest
    for entry in (
        None,
        3,
        [],
        {},
        {"files": 3, "summary": {}},
        {"files": {"../x": "a"}, "summary": {}},
        {"files": {"x": 3}, "summary": {}},
        *({"files": {name: "a"}, "summary": {}} for name in ("a\0b", "\ud800", "a" * 5000, "", "..")),
    ):
        made = FinishedList(tmp_path / LIST_NAME, RUN, resume=False)
        made.add(key, entry)
        made.close()
        found = FinishedPictures(tmp_path, Folder(tmp_path).put, RUN, sources, resume=True)
        assert found.rest == sources
        found.close()


needs_locks = pytest.mark.skipif(not CAN_LOCK, reason="this system has no locks of files")


@needs_locks
@pytest.mark.parametrize("resume", [True, False])
def test_of_two_runs_with_one_list_the_second_is_refused_and_the_first_goes_on(resume: bool, tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    first, late = (FinishedList(path, RUN, resume) for _ in range(2))
    first.add("one", 1)
    words = r"another run \(predict\) writes to .*list\.jsonl and has not ended; wait until it has"
    for run in (RUN, {"command": "attend"}):
        with pytest.raises(ResumeError, match=words):
            FinishedList(path, run, resume)
    with pytest.raises(ResumeError, match=words):  # both had begun before there was a list
        late.add("two", 2)
    late.remove()
    first.add("three", 3)
    first.close()
    again = FinishedList(path, RUN, resume=True)
    assert again.entries == {"one": 1, "three": 3}
    with pytest.raises(ResumeError, match="another run"):
        FinishedList(path, RUN, resume=True)
    again.add("four", 4)
    again.remove()
    assert not list(tmp_path.iterdir())


@needs_locks
def test_a_list_that_was_replaced_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    first = FinishedList(path, RUN, resume=False)
    first.add("one", 1)
    path.unlink()
    second = FinishedList(path, RUN, resume=False)
    second.add("two", 2)
    first.remove()
    assert path.is_file()
    second.remove()
    assert not path.exists()


@needs_locks
def test_of_many_processes_that_begin_a_list_at_once_one_has_it(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from segviz.batch.finished_list import FinishedList, ResumeError
made = FinishedList(Path({str(tmp_path / "list.jsonl")!r}), {RUN!r}, resume=False)
print("ready", flush=True)
sys.stdin.readline()
try:
    made.add(sys.argv[1], 1)
    print("has it", flush=True)
except ResumeError:
    print("refused", flush=True)
sys.stdin.readline()
made.close()
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    pipes = [(run.stdin, run.stdout) for run in runs]
    told = []
    for _, out in pipes:
        assert out is not None and out.readline() == "ready\n"
    for into, _ in pipes:
        assert into is not None
        into.write("go\n")
        into.flush()
    for _, out in pipes:
        assert out is not None
        told.append(out.readline().strip())
    for run in runs:
        run.communicate("end\n", timeout=60)
    assert sorted(told) == ["has it", "refused", "refused", "refused"]
    kept = FinishedList(tmp_path / "list.jsonl", RUN, resume=True)
    kept.close()
    assert kept.entries == {str(told.index("has it")): 1}


# ---- pictures --------------------------------------------------------------------------------------------


def work(source: Source, picture: np.ndarray) -> PictureOutput:
    data = f"{source.stem} {int(picture.sum())}".encode()
    return PictureOutput([(f"{source.stem}_{part}.txt", data) for part in "ab"], {"image": source.text, "share": 1 / 3})


def run_into(folder: Path, texts: Sequence[str], resume: bool, most: int = 99) -> tuple[list[Any], int]:
    """The steps of a run that ends after so many, and how many pictures were worked on."""
    sources, worked = find_sources(texts), 0

    def count(source: Source, picture: np.ndarray) -> PictureOutput:
        nonlocal worked
        worked += 1
        return work(source, picture)

    finished = FinishedPictures(folder, Folder(folder).put, RUN, sources, resume)
    steps = []
    try:
        for step in finished.run(lambda rest: run_pictures(rest, count, finished.put)):
            steps.append(step)
            if len(steps) == most:
                break
    finally:
        finished.close()
    return steps, worked


def test_a_resumed_run_makes_the_rest_and_is_like_one_run(album: list[str], tmp_path: Path) -> None:
    whole, _ = run_into(tmp_path / "whole", album, resume=False)
    assert not (tmp_path / "whole" / LIST_NAME).exists(), "a finished run leaves no list"
    folder = tmp_path / "parts"
    run_into(folder, album, resume=False, most=1)
    assert len((folder / LIST_NAME).read_text().splitlines()) == 2
    steps, worked = run_into(folder, album, resume=True)
    assert worked == 2
    assert [step.resumed for step in steps] == [True, False, False]
    assert files_of(folder) == files_of(tmp_path / "whole")
    told = [json.dumps(step.summary).replace("parts", "whole") for step in steps]
    assert told == [json.dumps(step.summary) for step in whole]
    assert [(step.number, step.total) for step in steps] == [(step.number, step.total) for step in whole]
    assert run_into(folder, album, resume=True)[1] == 0, "with --resume the list stays"


def test_a_file_that_is_gone_or_changed_and_another_picture_are_made_again(album: list[str], tmp_path: Path) -> None:
    run_into(tmp_path, album, resume=True)
    before = files_of(tmp_path)
    (tmp_path / "00_a.txt").unlink()
    (tmp_path / "01_b.txt").write_text("another's")
    (tmp_path / "02_a.txt").rename(tmp_path / "kept.txt")
    (tmp_path / "02_a.txt").symlink_to("kept.txt")
    assert run_into(tmp_path, album, resume=True)[1] == 3
    (tmp_path / "kept.txt").unlink()
    assert files_of(tmp_path) == before
    assert run_into(tmp_path, [*album, "scene:9"], resume=True)[1] == 1
    assert run_into(tmp_path, ["scene:9", album[1]], resume=True)[1] == 0, "order does not matter"


def test_a_run_without_resume_begins_anew(album: list[str], tmp_path: Path) -> None:
    run_into(tmp_path, album, resume=False, most=2)
    assert run_into(tmp_path, album, resume=False)[1] == 3


def test_a_picture_that_failed_or_has_changed_is_tried_again(album: list[str], tmp_path: Path) -> None:
    later = tmp_path / "later.png"
    steps, _ = run_into(tmp_path / "out", [*album, str(later)], resume=False)
    assert [step.problem is None for step in steps] == [True] * 3 + [False]
    for value in (0, 1):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(later)
        steps, worked = run_into(tmp_path / "out", [*album, str(later)], resume=True)
        assert worked == 1 and steps[-1].problem is None


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_picture_that_is_replaced_while_it_is_worked_on_is_made_again(moment: str, tmp_path: Path) -> None:
    picture, out = tmp_path / "a.png", tmp_path / "out"
    Image.fromarray(np.full((8, 8, 3), 1, np.uint8)).save(picture)
    (source,) = find_sources([str(picture)])

    def replace_around() -> np.ndarray:
        for now in ("before", "after"):
            if now == moment:
                Image.fromarray(np.full((8, 8, 3), 2, np.uint8)).save(picture)
            elif now == "after":
                return read
            read = source.open()
        return read

    finished = FinishedPictures(out, Folder(out).put, RUN, [replace(source, open=replace_around)], resume=True)
    steps = list(finished.run(lambda rest: run_pictures(rest, work, finished.put)))
    finished.close()
    assert [step.problem for step in steps] == [None]
    (again,), worked = run_into(out, [str(picture)], resume=True)
    assert worked == 1 and not again.resumed
    assert (out / "a_a.txt").read_bytes() == b"a 384"
    assert run_into(out, [str(picture)], resume=True)[1] == 0


def test_the_digest_of_a_packed_picture_is_that_of_before(tmp_path: Path) -> None:
    picture, out = tmp_path / "a.png", tmp_path / "out"
    Image.fromarray(np.full((8, 8, 3), 1, np.uint8)).save(picture)
    (source,) = find_sources([str(picture)])

    def pack_then_replace(rest: Sequence[Source]) -> Iterator[PictureOutcome]:  # as for workers in a cluster
        for packed in [pack_picture(one) for one in rest]:
            Image.fromarray(np.full((8, 8, 3), 2, np.uint8)).save(picture)
            yield make_outcome(work, packed.unpack())

    finished = FinishedPictures(out, Folder(out).put, RUN, [source], resume=True)
    list(finished.run(lambda rest: write_outcomes(rest, pack_then_replace(rest), finished.put)))
    finished.close()
    assert (out / "a_a.txt").read_bytes() == b"a 192"
    assert run_into(out, [str(picture)], resume=True)[1] == 1


def test_a_full_disk_at_the_list_names_it_and_the_picture(
    album: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = os.fsync, 0

    def full(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 7:  # after two files, the list and its first line, two more files
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PutError) as raised:
        run_into(tmp_path, album, resume=False)
    assert (raised.value.filename, raised.value.source.stem) == (str(tmp_path / LIST_NAME), "01")


# ---- counts ----------------------------------------------------------------------------------------------


def test_counts_are_the_same_after_they_were_stored() -> None:
    random = np.random.default_rng(0)
    means = MapMeans((3, 5))
    means.trained.sums, means.trained.counts = {"entropy": 0.1 + 0.2}, {"entropy": 7}
    counts = SampleCounts(
        {"val": Confusion(random.integers(0, 3, (4, 4)))},
        {"val": Confusion(np.zeros((4, 4), np.int64))},
        {"map": means},
    )
    again = counts_from_json(json.loads(json.dumps(counts_to_json(counts))), 4)
    assert np.array_equal(again.everywhere["val"].matrix, counts.everywhere["val"].matrix)
    assert again.near_borders["val"].matrix.sum() == 0
    assert again.maps == {"map": means}
    for wrong in (None, {}, {"everywhere": {"val": [[16, 1]]}, "near_borders": {}, "maps": {}}, {"everywhere": 3}):
        with pytest.raises(ValueError, match=r"missing|impossible|not names|it is"):
            counts_from_json(wrong, 4)


# ---- commands --------------------------------------------------------------------------------------------


def segviz(*words: object) -> int:
    return main([str(word) for word in words])


def test_predict_goes_on_and_refuses_what_is_of_another_run(
    album: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", *album[:2], "--model", "fcn", *SMALL, "--json"]
    assert segviz(*words, "--out", tmp_path / "whole") == 0
    whole = json.loads(capsys.readouterr().out.replace("whole", "parts"))
    assert segviz("predict", album[0], "--model", "fcn", *SMALL, "--out", tmp_path / "parts", "--resume") == 0
    capsys.readouterr()
    assert segviz(*words, "--out", tmp_path / "parts", "--resume") == 0
    said = capsys.readouterr()
    assert "1 of 2 pictures are finished already" in said.err
    assert json.loads(said.out) == whole
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    for more, reason in (
        (["--flip"], "--flip was nothing and is now True"),
        (["--model", "ema"], "--model was fcn and is now ema"),
    ):
        assert segviz(*words, "--out", tmp_path / "parts", "--resume", *more) == 2
        assert reason in capsys.readouterr().err
    if CAN_LOCK:
        held = (tmp_path / "parts" / LIST_NAME).open("rb")
        assert lock_file(held)
        for more in ([], ["--resume"]):
            assert segviz(*words, "--out", tmp_path / "parts", *more) == 2
            assert re.search(r"another run \(predict fcn\) writes to \S+ and has not ended", capsys.readouterr().err)
        held.close()
    assert segviz(*words, "--zip", tmp_path / "a.zip", "--resume") == 2
    assert "--resume needs the files of the run before" in capsys.readouterr().err
    assert segviz("attend", album[0], "--model", "ema", "--out", tmp_path / "a.png", "--resume") == 2
    assert "is one file" in capsys.readouterr().err


def test_evaluate_goes_on_from_the_counts_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path / "streets", 4)
    words = ["evaluate", "--model", "psa", "--data", data, "--maps", "--json"]
    assert segviz(*words) == 0
    whole = json.loads(capsys.readouterr().out)
    counted, call = 0, SampleScorer.__call__

    def stop_after_two(self: SampleScorer, sample: Any) -> SampleCounts:
        nonlocal counted
        counted += 1
        if counted == 3:
            raise KeyboardInterrupt
        return call(self, sample)

    made = []
    monkeypatch.setattr(SampleScorer, "__call__", stop_after_two)
    monkeypatch.setattr(evaluate, "SampleScorer", lambda *given: made.append(1) or SampleScorer(*given))
    assert segviz(*words, "--resume", tmp_path / "counts.jsonl") == 1
    assert segviz(*words, "--resume", tmp_path / "counts.jsonl") == 0
    assert counted == 5 and len(made) == 2, "a scorer for each run"
    assert json.loads(capsys.readouterr().out) == whole
    assert segviz(*words[:-2], "--resume", tmp_path / "counts.jsonl") == 2
    assert "--maps was True and is now nothing" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["a.png", "street", "/tmp/x:1", "10.0.0.5"])
def test_what_stands_behind_ray_must_be_an_address(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        segviz("predict", "--ray", address, "--model", "fcn", "--out", "out")
    assert f"'{address}' is not an address; use one such as 10.0.0.5:6379, or local" in capsys.readouterr().err


@pytest.mark.slow
def test_without_ray_the_option_names_the_extra(
    album: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(paths.__file__).parents[1])]))
    out = tmp_path / "out"
    assert segviz("predict", album[0], "--model", "fcn", "--out", out, "--ray") == 1
    assert "--ray needs Ray" in (said := capfd.readouterr().err) and "pip install 'ray[serve]'" in said
    assert segviz("predict", album[0], "--model", "fcn", "--out", out, "--workers", "2") == 2
    assert "--workers are those of a cluster; give --ray" in capfd.readouterr().err


def test_a_network_s_folder_on_a_worker_is_known_by_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name / "weights").mkdir(parents=True)
        (tmp_path / name / "net.py").write_text("def build(): ...\n")
        (tmp_path / name / "weights" / "part1.safetensors").write_bytes(b"the same")
    copied = tmp_path / "there" / "weights" / "part1.safetensors"
    os.utime(copied, ns=(1, 1))
    options = Namespace(model="net.py:build", weights="weights")
    monkeypatch.chdir(tmp_path / "here")
    packed = pack_model(options)
    assert packed.content is None
    there = replace(packed, folder=str(tmp_path / "there"))
    with there.lay_out(options) as same:
        assert same is options
    copied.write_bytes(b"the SAME")
    os.utime(copied, ns=(1, 1))
    with pytest.raises(CatalogueError, match="has other files for"), there.lay_out(options):
        pass


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_ends_like_one_that_was_not(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 40)
    (album / "03.jpg").unlink()
    command = [sys.executable, "-m", "segviz", "predict", str(album), "--model", "fcn", *SMALL, "--json", "--out"]

    def run(out: str, *more: str) -> list[Any]:
        words = [*command, str(tmp_path / out), *more]
        done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=paths.PACKAGE.parent)
        return json.loads(done.stdout.replace(f"/{out}/", "/whole/"))

    whole, kills, folder = run("whole"), 0, tmp_path / "killed"
    for least in (3, 20):
        process = subprocess.Popen(
            [*command, str(folder), "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=paths.PACKAGE.parent,
        )
        while process.poll() is None and count_lines(folder / LIST_NAME) <= least:
            time.sleep(0.001)
        kills += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert kills == 2
    assert run("killed", "--resume") == whole
    left = {name: data for name, data in files_of(folder).items() if not name.endswith(".part")}
    assert left == files_of(tmp_path / "whole")


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
