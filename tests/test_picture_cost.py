"""What a file may cost is known before it is decoded."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from picture_bytes import chunk, claim_size, encoded, jpeg_of_scans, tiff
from PIL import Image

from segviz.data.classes import CAMVID
from segviz.image import ImageError, decode

ROOT = Path(__file__).parents[1]

GRAY = np.arange(12).reshape(3, 4, 1)
PNG = encoded(Image.new("RGB", (64, 64)), "PNG")


def exif_of_rationals(count: int) -> bytes:
    """A resolution with many values, which Pillow makes objects of."""
    return b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 0x011A, 5, count, 22) + bytes(8 * count)


def with_exif(exif: bytes) -> bytes:
    data, parts = encoded(Image.new("RGB", (64, 64)), "JPEG"), range(6, len(exif), 60_000)
    segments = [b"Exif\0\0" + exif[at : at + 60_000] for at in parts]
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments) + data[2:]


def webp_of_size(width: int, height: int) -> bytes:
    """A WebP that claims a size in the header of its frame."""
    data = encoded(Image.new("RGB", (32, 32)), "WEBP")
    return data[:26] + struct.pack("<HH", width, height) + data[30:]


def run_length_bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\0\1"


ATTACKS = {
    "the last scan 1,500 times": (jpeg_of_scans(1500, (600, 400)), "more than 100 scans"),
    "scans without pixels": (jpeg_of_scans(101, (8, 8)), "more than 100 scans"),
    "empty segments": (b"\xff\xd8" + b"\xff\xfe\0\2" * 5001 + PNG, "more segments than any program writes"),
    "coefficients": (claim_size(jpeg_of_scans(20, (70, 70), "CMYK"), 7000, 7000), "49 megapixels in several scans"),
    "a million values in a camera's notes": (with_exif(exif_of_rationals(10**6)), "more metadata"),
    "empty pixel chunks": (PNG[:-12] + chunk(b"IDAT", b"") * 20_001 + PNG[-12:], "more chunks than any program"),
    "words": (PNG[:33] + chunk(b"tEXt", b"a\0b") * 501 + PNG[33:], "more chunks than any program"),
    "two profiles": (PNG[:33] + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(999))) * 2 + PNG[33:], "more chunks"),
    "strips": (tiff(GRAY, 8, 1, tags={273: (4, [8] * 70_000), 279: (4, [1] * 70_000)}), "70,000 strips or tiles"),
    "huge tiles": (
        tiff(GRAY, 8, 1, tags={322: (4, [60_000]), 323: (4, [60_000])}),
        "far larger than its",
    ),
    "values": (tiff(GRAY, 8, 1, tags={283: (5, [1] * 1_200_000)}), "more metadata"),
    "run lengths": (run_length_bmp(7000, 7000), "compressed by run length"),
    "a WebP of 49 megapixels": (webp_of_size(16_383, 3000), "at most 30 megapixels"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_would_cost_too_much_is_refused_at_once(name: str) -> None:
    data, cause = ATTACKS[name]
    start = time.process_time()
    with pytest.raises(ImageError, match=cause) as caught:
        decode(data)
    assert time.process_time() - start < 0.5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_with_many_scans_is_read(mode: str) -> None:
    assert decode(jpeg_of_scans(100, (60, 40), mode)).shape == (40, 60, 3)


def test_scans_in_a_thumbnail_or_after_the_end_are_not_counted() -> None:
    data = encoded(Image.new("RGB", (60, 40), (9, 9, 9)), "JPEG")
    thumbnail = b"\xff\xda\0\2" * 300
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert decode(data[:2] + comment + data[2:] + thumbnail).shape == (40, 60, 3)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    "name", ["49 megapixels in 100 scans", "20,500 chunks", "65,536 strips", "run lengths of 3,900 x 4,000"]
)
def test_the_dearest_that_is_read_takes_seconds(name: str) -> None:
    """The first took 3.3 s on two shared cores; 1,500 scans took a minute."""
    tall = np.zeros((65_536, 16, 1), np.uint8)
    data = {
        "49 megapixels in 100 scans": lambda: jpeg_of_scans(100, (7000, 7000)),
        "20,500 chunks": lambda: PNG[:33] + chunk(b"tEXt", b"a\0b") * 450 + PNG[33:-12] + chunk(b"IDAT", b"") * 19_900,
        "65,536 strips": lambda: encoded(Image.fromarray(tall[..., 0]), "TIFF", tiffinfo={278: 1}),
        "run lengths of 3,900 x 4,000": lambda: run_length_bmp(3900, 4000)[:-2] + b"\0\0" * 100_000,
    }[name]()
    start = time.process_time()
    try:
        decode(data)
    except ImageError as error:
        assert "damaged" in str(error)
    assert time.process_time() - start < 15


CHILD = """
import sys
from pathlib import Path
from segviz.data.classes import CAMVID
from segviz.data.label_png import decode_labels
from segviz.image import decode

def size(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) / 1024

data = Path(sys.argv[1]).read_bytes()
decode(Path(sys.argv[2]).read_bytes())  # what a first picture loads
before = size("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
if sys.argv[3] == "labels":
    decode_labels(data, CAMVID, (7000, 7000), (1280, 1280))
else:
    decode(data)
print(size("VmHWM") - before)
"""
TURNED = Image.Exif()
TURNED[0x0112] = 6
ROAD = CAMVID.palette[3]
LARGEST: dict[str, Callable[[], bytes]] = {
    "PNG of 4,990,000 x 10": lambda: encoded(Image.new("RGB", (4_990_000, 10)), "PNG"),
    "PNG with alpha, turned": lambda: encoded(Image.new("RGBA", (7000, 7000)), "PNG", exif=TURNED),
    "PNG of 16 bits with a transparent colour": lambda: png_of_zeros(7000, 16, chunk(b"tRNS", b"\0\1" * 3)),
    "WebP with alpha": lambda: encoded(Image.new("RGBA", (7000, 4280), (1, 2, 3, 100)), "WEBP"),
    "progressive JPEG": lambda: encoded(Image.new("RGB", (6900, 6900)), "JPEG", progressive=True, subsampling=0),
    "TIFF, turned": lambda: encoded(Image.new("RGB", (7000, 7000)), "TIFF", compression="tiff_lzw", exif=TURNED),
    "labels": lambda: encoded(Image.new("RGBA", (7000, 7000), (*ROAD, 255)), "PNG", exif=TURNED),
}


def png_of_zeros(side: int, bits: int, extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, bits, 2, 0, 0, 0)
    rows = zlib.compress(bytes(side * (side * 3 * bits // 8 + 1)))
    return PNG[:8] + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_that_is_read_takes_480_mb(name: str, tmp_path: Path) -> None:
    """The PNG of 10 rows took 574 MB, a WebP of 49 megapixels 756."""
    given, small = tmp_path / "given", tmp_path / "small"
    given.write_bytes(LARGEST[name]())
    small.write_bytes(PNG)
    words = [sys.executable, "-c", CHILD, str(given), str(small), "labels" if name == "labels" else "picture"]
    child = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    print(name, child.stdout)
    assert float(child.stdout) < 480
