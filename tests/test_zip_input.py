"""ZIPs from strangers: only pictures, only in memory, one at a time, and every refusal says why."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segviz.batch import zip_input
from segviz.batch.zip_input import ZipError, list_zip_files
from segviz.image import ImageError


def png(shade: int = 90, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = packed({"a/one.png": png(10), "two.PNG": png(20)})


def test_pictures_are_found_in_folders_and_opened_when_asked_for() -> None:
    others = {"a/": b"", "__MACOSX/._one.png": b"x", ".hidden.png": b"x", "notes.txt": b"x", "b\\three.png": png(30)}
    content = packed({"a/one.png": png(10), "../../two.png": png(20), **others})
    files = list_zip_files(content)
    found = files.pictures
    assert files.others == ["notes.txt"]
    assert [name for name, _ in found] == ["a/one.png", "two.png", "b/three.png"]
    assert [int(one()[0, 0, 0]) for _, one in found] == [10, 20, 30]


def test_names_without_an_ending_count_by_content() -> None:
    found = list_zip_files(packed({"photo": png(10), "photo.jfif": png(20), "README": b"words", "a/": b""})).pictures
    assert [name for name, _ in found] == ["photo", "photo.jfif"]
    assert [int(one()[0, 0, 0]) for _, one in found] == [10, 20]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a ZIP"),
        (png(), "not a ZIP"),
        (GOOD[:-10], "not a ZIP, or its end is missing"),
        (GOOD[:-22] + b"PK\x05\x06" + b"\xff" * 18, "list of files is too long"),
        (packed({"notes.txt": b"x"}), "holds no supported picture; pack .png"),
        (packed({f"{number}.png": b"" for number in range(2001)}), "holds 2001 files; the limit is 2000"),
        (GOOD[: len(GOOD) - 22 - 60] + b"\0" * 60 + GOOD[-22:], "the ZIP is damaged"),
    ],
)
def test_a_zip_of_no_use_is_refused_with_its_cause(content: bytes, words: str) -> None:
    with pytest.raises(ZipError, match=words):
        list_zip_files(content)


def test_an_entry_without_a_name_is_passed_over() -> None:
    content = packed({"x": png(10), "two.png": png(20)}, zipfile.ZIP_STORED)
    at = content.index(b"PK\x01\x02")
    nameless = content[: at + 28] + b"\0\0" + content[at + 30 : at + 46] + content[at + 47 :]
    end = bytearray(nameless[-22:])
    end[12:16] = struct.pack("<L", struct.unpack_from("<L", end, 12)[0] - 1)
    found = list_zip_files(nameless[:-22] + bytes(end))
    assert ([name for name, _ in found.pictures], found.others) == (["two.png"], [])


@pytest.mark.parametrize("name", ["/a/one.png", "//a/one.png", "../a/../one.png", "a\\..\\one.png"])
def test_a_path_in_a_zip_leads_nowhere_outside(name: str) -> None:
    ((path, _),) = list_zip_files(packed({name: png()})).pictures
    assert path == "a/one.png"


def test_a_list_that_lies_behind_a_zip64_record_is_refused() -> None:
    end = GOOD[-22:]
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(ZipError, match="list of files is too long"):
        list_zip_files(GOOD[:-22] + locator + end)


def test_a_long_list_of_entries_is_refused_before_it_is_read() -> None:
    content = packed({f"{number:07}" + "x" * 100 + ".png": b"" for number in range(8000)})
    tracemalloc.start()
    with pytest.raises(ZipError, match="list of files is too long"):
        list_zip_files(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


def first(content: bytes) -> np.ndarray:
    return np.asarray(list_zip_files(content).pictures[0][1]())


def test_a_picture_of_no_use_is_refused_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="packed to less than 1/200 of its size"):
        first(packed({"bomb.png": b"\0" * 2**20}))
    with pytest.raises(ImageError, match="unusual compression method"):
        first(packed({"one.png": png()}, zipfile.ZIP_BZIP2))
    encrypted = bytearray(packed({"one.png": png()}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + place] |= 1
    with pytest.raises(ImageError, match="encrypted; pack the pictures without a password"):
        first(bytes(encrypted))
    damaged = bytearray(packed({"one.png": png()}, zipfile.ZIP_STORED))
    damaged[60] ^= 255
    with pytest.raises(ImageError, match="damaged in the ZIP"):
        first(bytes(damaged))
    monkeypatch.setattr(zip_input, "MAX_BYTES", 50)
    with pytest.raises(ImageError, match="MB, so save it smaller"):
        first(packed({"one.png": png()}))


def test_a_declared_size_that_is_too_small_hides_nothing() -> None:
    """The list of entries says 100 bytes, and the data go on for 16 megabytes."""
    content = bytearray(packed({"one.png": b"\0" * 2**24}))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<L", 100)
    tracemalloc.start()
    with pytest.raises(ImageError, match="damaged in the ZIP"):
        first(bytes(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(GOOD)))
def test_damaged_zips_give_pictures_or_one_sentence(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(GOOD)
    for at, value in changes:
        content[at] = value
    for one in (bytes(content), bytes(content[:length])):
        try:
            for _, picture in list_zip_files(one).pictures:
                picture()
        except (ZipError, ImageError) as error:
            assert "\n" not in str(error)
