"""The short form of the fuzz run, handlers planted for it to find out, and bombs refused by their headers."""

from __future__ import annotations

import gc
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fuzz_inputs as bad
import numpy as np
import pytest
from app_server import python_path
from fuzz_harness import Harness, Kind, Place
from fuzz_run import INPUTS, KINDS, counts, table
from PIL import Image

from segviz.runtime.malloc import trim

SHORT = {
    "pictures": 150,
    "ground truth": 100,
    "checkpoints": 20,
    "weights": 40,
    "addresses": 60,
    "pages by address": 2,
    "data sets": 60,
    "class maps": 40,
    "finished lists": 60,
    "ZIPs": 60,
    "requests": 60,
    "command lines": 12,
}
SMALL_MIB, AT_ONCE_S = 60, 0.5
pytestmark = pytest.mark.slow
CHILD = {**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("name", KINDS)
def test_bad_input_is_refused_in_a_sentence_or_taken(name: str, tmp_path: Path) -> None:
    found = Harness(tmp_path).run(name, KINDS[name], SHORT[name], seed=1)
    assert found.problems == []
    assert found.inputs >= SHORT[name] > found.taken  # not everything is as it should be
    assert found.refused + found.taken == found.inputs


def test_the_long_form_gives_five_thousand_inputs() -> None:
    assert sum(counts(INPUTS).values()) >= INPUTS == 5000
    assert counts(INPUTS).keys() == SHORT.keys()


# ---- planted handlers -----------------------------------------------------------------------------------


def lets_through(data: bytes, place: Place) -> None:
    if data != SOUND:
        Image.open(io.BytesIO(data)).load()


def says_too_much(data: bytes, place: Place) -> None:
    if data != SOUND:
        raise ValueError("first line\nTraceback of the second")


def hangs(data: bytes, place: Place) -> None:
    while data != SOUND:
        time.sleep(0.01)


def writes_outside(data: bytes, place: Place) -> None:
    if data != SOUND:
        (place.chosen / ".." / "up.png").write_bytes(data)


def follows_a_link(data: bytes, place: Place) -> None:
    if data != SOUND:
        (place.chosen / "link").symlink_to(place.given)
        (place.chosen / "link" / "up.png").write_bytes(data)


SOUND = b"sound"
PLANTED: dict[str, tuple[Callable[[bytes, Place], None], str, str]] = {
    "a decoder that lets exceptions through": (lets_through, "unhandled", "UnidentifiedImageError"),
    "a refusal of two lines": (says_too_much, "unhandled", "is not one line of plain text"),
    "a loop without an end": (hangs, "hangs", "not done after"),
    "a name that leads out": (writes_outside, "outside", "up.png"),
    "a link that leads out": (follows_a_link, "outside", "up.png"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_bad_handler_is_found_out(name: str, tmp_path: Path) -> None:
    handle, trouble, words = PLANTED[name]
    kind = Kind(lambda chance: chance.randbytes(20), lambda: [SOUND], handle, (ValueError,))
    found = Harness(tmp_path, limit=0.3).run("planted", kind, 1, seed=0)
    assert words in getattr(found, trouble)[0]
    assert table({"planted": found}).splitlines()[-1].split()[-3:] == [
        str(len(getattr(found, one))) for one in ("unhandled", "hangs", "outside")
    ]


def test_a_sound_input_has_to_be_taken(tmp_path: Path) -> None:
    def refuses_all(data: bytes, place: Place) -> None:
        raise ValueError("no")

    with pytest.raises(AssertionError, match="was not accepted"):
        Harness(tmp_path).run("planted", Kind(bad.picture, lambda: [SOUND], refuses_all, (ValueError,)), 1, seed=0)


# ---- bombs ----------------------------------------------------------------------------------------------


def bomb_png(width: int, height: int, bits: int, colour: int) -> bytes:
    """All black, and small: rows of zeros pack well, but each is there."""
    row = bytes(-(-width * bits * (3 if colour == 2 else 1) // 8) + 1)
    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return bad.PNG + b"".join(bad.png_chunk(*one) for one in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")))


def huge(kind: str, before: bytes, form: str, *sizes: int, **more: Any) -> bytes:
    """A small file of a format whose header tells of a huge picture; the sizes stand behind some bytes."""
    data = bytearray(bad.encoded(Image.fromarray(bad.scene().image), kind, **more))
    struct.pack_into(form, data, data.index(before) + len(before), *sizes)
    return bytes(data)


def huge_tiff() -> bytes:
    """Width and height of 60,000 in the first entries of its directory."""
    data = bytearray(bad.encoded(Image.fromarray(bad.scene().image), "TIFF", compression="tiff_adobe_deflate"))
    at = struct.unpack_from("<I", data, 4)[0] + 2
    for number, tag in enumerate((256, 257)):
        struct.pack_into("<HHII", data, at + 12 * number, tag, 4, 1, 60_000)
    return bytes(data)


def other_record(**changes: Any) -> bytes:
    """A checkpoint whose record tells of other things than its model's."""
    data = bad.real_checkpoint()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    record = json.loads(header["__metadata__"]["segviz"])
    header["__metadata__"]["segviz"] = json.dumps({**record, **changes})
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[start:]


def bombs() -> Iterator[tuple[str, str, bytes]]:
    """Name, kind of input, content."""
    black = bomb_png(9400, 9400, 8, 2)
    yield "PNG, 9400 x 9400", "pictures", black
    yield "PNG, 30000 x 30000, one bit", "pictures", (one_bit := bomb_png(30_000, 30_000, 1, 0))
    yield "PNG, 50000 x 50000, one bit", "pictures", bomb_png(50_000, 50_000, 1, 0)
    yield "JPEG, 65500 x 65500", "pictures", huge("JPEG", b"\xff\xc0\0\x11\x08", ">HH", 65_500, 65_500)
    yield "BMP, 60000 x 60000", "pictures", huge("BMP", b"\x28\0\0\0", "<ii", 60_000, 60_000)
    yield "TIFF, 60000 x 60000", "pictures", huge_tiff()
    yield "WebP, 16384 x 16384", "pictures", huge("WEBP", b"\x2f", "<I", 2**28 - 1, lossless=True)
    yield "labels, 9000 x 9000", "ground truth", bomb_png(9000, 9000, 8, 0)
    yield "data set, 30000 x 30000", "data sets", one_bit
    yield "ZIP, 19 MB of zeros", "ZIPs", bad.packed({"a.png": bytes(19 * 2**20)})
    yield "ZIP, 200 MB of zeros", "ZIPs", bad.packed({"a.png": bytes(200 * 2**20)})
    yield "ZIP, 9400 x 9400", "ZIPs", bad.packed({"a.png": black}, zipfile.ZIP_STORED)
    yield "ZIP, 100000 entries", "ZIPs", bad.packed({f"{number}.png": b"" for number in range(100_000)})
    yield "checkpoint, a million classes", "checkpoints", other_record(classes=[f"{n}" for n in range(10**6)])
    yield "checkpoint, 90 MB of names", "checkpoints", (9 * 10**7).to_bytes(8, "little") + b"{" + b'"a":0,' * 15 * 10**6
    yield "checkpoint, a deep record", "checkpoints", other_record(lineage=json.loads("[" * 500 + "]" * 500))
    yield "checkpoint, a long header", "checkpoints", (2**40).to_bytes(8, "little") + bytes(10**7)


def meet(kind: str, folder: Path) -> tuple[float, float, str]:
    """Seconds, MiB at the peak above those before, and the refusal, of the bomb in a folder."""
    place, path = Place(folder), folder / "given" / "bomb"
    data = path.read_bytes()
    laid = {"checkpoints": path, "data sets": folder / "given" / "data"}.get(kind, data)
    gc.collect()
    trim()
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    before, start = peak_mib(), time.perf_counter()
    try:
        KINDS[kind].handle(laid, place)
        told = ""
    except KINDS[kind].errors as error:
        told = str(error)
    return time.perf_counter() - start, peak_mib() - before, told


def peak_mib() -> float:
    """The most memory that this process had since the peak began."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_bombs_are_refused_by_their_headers(tmp_path: Path) -> None:
    """In a child, whose memory nobody else fills; 100 MiB that are known to be taken show in its figures."""
    contents = list(bombs())
    for number, (_, kind, content) in enumerate(contents):
        place = Place(tmp_path / str(number))
        for folder in (place.given, place.chosen):
            folder.mkdir(parents=True)
        (place.given / "bomb").write_bytes(content)
        if kind == "data sets":
            bad.data_set(place.given / "data", None)
            (place.given / "data/train/images/one.png").write_bytes(content)
    given = [(kind, str(tmp_path / str(number))) for number, (_, kind, _) in enumerate(contents)]
    ran = subprocess.run(
        [sys.executable, __file__, json.dumps(given)], check=True, capture_output=True, text=True, env=CHILD
    )
    control, *found = json.loads(ran.stdout)
    assert control > 90
    for (name, _, content), (seconds, mib, told) in zip(contents, found, strict=True):
        print(f"{name}: {len(content):,} bytes, {1000 * seconds:.0f} ms, {mib:.1f} MiB, {told}")
    for (name, *_), (seconds, mib, told) in zip(contents, found, strict=True):
        assert told and "\n" not in told, name
        assert seconds < AT_ONCE_S, name
        assert mib < SMALL_MIB, name


if __name__ == "__main__":  # the child
    for kind in ("pictures", "ground truth", "ZIPs"):  # what is loaded once
        for value in KINDS[kind].sound():
            with tempfile.TemporaryDirectory() as once:
                Place(Path(once)).chosen.mkdir()
                KINDS[kind].handle(value, Place(Path(once)))
    Path("/proc/self/clear_refs").write_text("5")
    known = peak_mib()
    np.ones(100 * 2**20, np.uint8)
    print(json.dumps([peak_mib() - known, *(meet(kind, Path(folder)) for kind, folder in json.loads(sys.argv[1]))]))
