"""Many pictures: one bad one stops nothing, a cancel keeps what is finished, and nothing is made too early."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segviz.batch.inputs import Source, find_sources, make_stems
from segviz.batch.run import Folder, PictureOutput, run_pictures
from segviz.data.scenes.by_name import SourceError
from segviz.image import ImageError
from segviz.runtime.interrupts import note_interrupt

PICTURE = np.zeros((4, 4, 3), np.uint8)


def named(*names: str) -> list[Source]:
    return [Source(name, name, lambda: PICTURE) for name in names]


def work(source: Source, picture: np.ndarray) -> PictureOutput:
    if source.stem == "bad":
        raise ImageError("it is bad")
    return PictureOutput(((f"{source.stem}_{part}.txt", source.stem.encode()) for part in "ab"), {"image": source.text})


def test_each_picture_is_worked_on_when_its_turn_comes(tmp_path: Path) -> None:
    steps = run_pictures(named("one", "two"), work, Folder(tmp_path / "out").put)
    assert not (tmp_path / "out").exists()
    first = next(steps)
    assert (first.number, first.total, first.source.stem) == (1, 2, "one")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one_a.txt", "one_b.txt"]
    assert first.summary == {"image": "one", "files": list(first.files)}
    assert [step.number for step in steps] == [2]


def test_a_picture_that_fails_leaves_no_files_and_stops_no_other(tmp_path: Path) -> None:
    def half(source: Source, picture: np.ndarray) -> PictureOutput:
        def files():  # type: ignore[no-untyped-def]
            yield f"{source.stem}.txt", b""
            if source.stem == "bad":
                raise MemoryError

        return PictureOutput(files(), {})

    for worker in (work, half):
        steps = list(run_pictures(named("one", "bad", "two"), worker, Folder(tmp_path).put))
        assert [step.problem is None for step in steps] == [True, False, True]
        assert not list(tmp_path.glob("bad*"))


def test_a_full_disk_ends_the_run() -> None:
    def full(name: str, data: bytes) -> str:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(run_pictures(named("one", "two"), work, full))


def test_a_cancel_is_heard_before_the_next_picture(tmp_path: Path) -> None:
    stop = threading.Event()
    done = []
    for step in run_pictures(named("one", "two", "three"), work, Folder(tmp_path).put, stop.is_set):
        done.append(step.source.stem)
        stop.set()
    assert done == ["one"]


def test_ctrl_c_asks_first_and_insists_the_second_time() -> None:
    before = signal.getsignal(signal.SIGINT)
    with note_interrupt() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    found: list[bool] = []

    def ask() -> None:
        with note_interrupt() as stop:
            found.append(stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [False]


def test_a_folder_stands_for_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", ".hidden.png", "notes.txt"):
        Image.fromarray(PICTURE).save(tmp_path / name, "PNG")
    (tmp_path / "folder.png").mkdir()
    found = find_sources([str(tmp_path), str(tmp_path / "b.png"), "scene:7"])
    assert [Path(one.text).name for one in found] == ["a.PNG", "b.png", "b.png", "scene:7"]
    assert [one.stem for one in found] == ["a", "b", "b-2", "scene-7"]
    assert found[0].open().shape == (4, 4, 3)
    with pytest.raises(ImageError, match=r"there is no file nowhere\.png"):
        find_sources(["nowhere.png"])[0].open()


@pytest.mark.parametrize(
    ("texts", "stems"),
    [
        (["z/a/img.jpg", "z/b/IMG.png", "z/c/x.jpg", "scene:3"], ["a_img", "b_IMG", "c_x", "scene-3"]),
        (["/d/a/img.jpg", "/d/a/b/img.jpg", "/d/y.jpg"], ["a_img", "a_b_img", "y"]),
        (["/a/img.jpg", "../img.jpg"], ["a_img", "img"]),
        (["a/b/img.jpg", "a_b/img.jpg"], ["a_b_img", "a_b_img-2"]),
        ([f"{'d' * 70}/{'e' * 70}/{at}/img.jpg" for at in "12"], ["1_img", "2_img"]),
        ([f"{at}/{'d' * 70}/{at}{'e' * 70}/img.jpg" for at in "12"], [f"{at}{'e' * 70}_img" for at in "12"]),
        (["a/img.jpg", "a/img.png", "b/x.jpg"], ["img", "img-2", "x"]),  # folders would not tell these apart
    ],
)
def test_pictures_of_one_name_are_told_apart_by_their_folders(texts: list[str], stems: list[str]) -> None:
    assert make_stems(texts) == stems


def test_names_without_an_ending_count_by_content_and_heic_is_not_passed_over(tmp_path: Path) -> None:
    for name, kind in (("a.jfif", "JPEG"), ("b.jpe", "JPEG"), ("c", "WEBP"), ("d.JPEG", "JPEG")):
        Image.fromarray(PICTURE).save(tmp_path / name, kind)
    (tmp_path / "notes").write_text("words")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    found = find_sources([str(tmp_path)])
    assert [source.text.rpartition("/")[2] for source in found] == ["IMG_1.HEIC", "a.jfif", "b.jpe", "c", "d.JPEG"]
    assert all(source.open().shape == (4, 4, 3) for source in found[1:])
    with pytest.raises(ImageError, match="HEIC is not supported; convert it to JPEG"):
        found[0].open()


def test_a_folder_of_folders_names_one_of_them_and_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set/leftImg8bit/val/ulm").mkdir(parents=True)
    Path("plain/inside").mkdir(parents=True)
    for folder, words in (
        ("plain", "name one of them, such as plain/inside$"),
        (
            "set/leftImg8bit/val",
            "name one of them, such as set/leftImg8bit/val/ulm, or a .* data set: `predict set --split val`$",
        ),
        ("set", "name one of them, such as set/leftImg8bit, or a split of the data set: `predict set --split val`$"),
    ):
        with pytest.raises(SourceError, match=f"{folder} holds no supported picture; folders .* not read, so {words}"):
            find_sources([folder])


def test_what_cannot_be_a_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no supported picture; use a folder with \.png"):
        find_sources([str(tmp_path)])
    with pytest.raises(SourceError, match="'scene:x' does not name a scene; write scene:SEED"):
        find_sources(["scene:x"])
