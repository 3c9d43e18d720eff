"""Ground truth by file: exact labels out of every kind of PNG, and one sentence for all that is none."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segviz.data.classes import CAMVID, VOID, ClassSet
from segviz.data.label_png import indexed_png
from segviz.data.readers.single_labels import decode_truth
from segviz.image import ImageError

HEIGHT, WIDTH = 20, 30
SIZE = (HEIGHT, WIDTH)
LABELS = np.random.default_rng(0).integers(0, 11, SIZE).astype(np.uint8)
LABELS[:2] = VOID
FEW = np.minimum(LABELS, 1)  # two classes alone
COLOURED = np.vstack([CAMVID.colours, np.zeros((245, 3), np.uint8)])[LABELS]  # void is black


def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(buffer, kind, **more)
    return buffer.getvalue()


def paletted(indices: np.ndarray, palette: np.ndarray) -> bytes:
    picture = Image.fromarray(indices)
    picture.putpalette(palette.astype(np.uint8).tobytes())
    return encoded(picture)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, bits: int, colour: int, content: bytes = b"") -> bytes:
    """A PNG by its chunks; `content` is what is to be packed."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packed = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + packed


def four_bits(labels: np.ndarray) -> bytes:
    """Gray of four bits, two pixels a byte."""
    pairs = (labels[:, ::2] << 4 | labels[:, 1::2]).astype(np.uint8)
    return png(labels.shape[1], labels.shape[0], 4, 0, b"".join(b"\0" + row.tobytes() for row in pairs))


def with_alpha(channels: np.ndarray, alpha: int = 255) -> np.ndarray:
    return np.dstack([channels, np.full(SIZE, alpha, np.uint8)])


def turned(orientation: int = 6) -> bytes:
    """Labels that are stored turned or mirrored, with the tag that turns them back: 6 is clockwise."""
    stored = {
        2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose, 6: np.rot90,
        7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1),
    }[orientation](LABELS)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored.copy(), exif=exif)


BLACK = np.zeros((1, 3), np.uint8)
OTHER_PALETTE = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 77)], 1)
GOOD: dict[str, tuple[bytes, np.ndarray, str]] = {
    "gray": (encoded(LABELS), LABELS, "class indices"),
    "gray, called a jpeg": (encoded(LABELS), LABELS, "class indices"),
    "gray of four bits": (four_bits(np.minimum(LABELS, 10)), np.minimum(LABELS, 10), "class indices"),
    "black and white": (encoded(Image.fromarray(FEW * np.uint8(255)).convert("1")), FEW, "class indices"),
    "gray and opaque": (encoded(with_alpha(LABELS)), LABELS, "class indices"),
    "the example": (indexed_png(LABELS, CAMVID.colours, {}), LABELS, "colours"),
    "another palette": (paletted(LABELS, OTHER_PALETTE), LABELS, "class indices"),
    "a palette in another order": (
        paletted(np.where(LABELS == VOID, 11, 10 - LABELS).astype(np.uint8), np.vstack([CAMVID.colours[::-1], BLACK])),
        LABELS,
        "colours",
    ),
    "colours": (encoded(COLOURED), LABELS, "colours"),
    "colours, opaque": (encoded(with_alpha(COLOURED)), LABELS, "colours"),
    "interlaced colours": (encoded(COLOURED, interlace=1), LABELS, "colours"),
    "turned by its tag": (turned(), LABELS, "class indices"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_labels_come_out_exactly(name: str) -> None:
    data, expected, reading = GOOD[name]
    found = decode_truth(data, CAMVID, SIZE)
    np.testing.assert_array_equal(found.labels, expected)
    assert found.labels.dtype == np.uint8
    assert found.reading == reading
    assert found.void == pytest.approx((expected == VOID).mean())


@pytest.mark.parametrize("orientation", range(2, 9))
def test_labels_are_turned_upright(orientation: int) -> None:
    np.testing.assert_array_equal(decode_truth(turned(orientation), CAMVID, SIZE).labels, LABELS)


def test_damaged_metadata_are_one_sentence() -> None:
    whole = encoded(LABELS)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        decode_truth(whole[:33] + chunk(b"eXIf", b"MM\0\1\0\0\0\x08") + whole[33:], CAMVID, SIZE)


def test_a_data_sets_own_void_is_left_out_too() -> None:
    classes = ClassSet(CAMVID.names, CAMVID.palette, void=11)
    found = decode_truth(encoded(np.where(LABELS == VOID, 11, LABELS).astype(np.uint8)), classes, SIZE)
    np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize("shown", [(10, 15), (13, 19), (7, 30), (40, 60)])
def test_labels_are_scaled_by_the_nearest_pixel(shown: tuple[int, int]) -> None:
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shown, SIZE, strict=True))
    for data in (encoded(LABELS), encoded(COLOURED)):
        np.testing.assert_array_equal(decode_truth(data, CAMVID, SIZE, shown).labels, LABELS[rows][:, columns])


# ---- palettes: by their colours or by their indices ------------------------------------------------------

VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128)]
FOREIGN = (9, 9, 9)


def coloured(levels: list[int], palette: list[tuple[int, int, int]]) -> bytes:
    picture = Image.new("P", (len(levels), 1))
    picture.putdata(levels)
    picture.putpalette([channel for colour in palette for channel in colour])
    return encoded(picture)


@pytest.mark.parametrize("levels", [[0, 1, 1, 1], [0, 1, 3, 7], [0, 1, 2, 5]])
def test_indices_with_vocs_colours_are_indices(levels: list[int]) -> None:
    found = decode_truth(coloured(levels, [*VOC, FOREIGN]), CAMVID, (1, 4))
    assert found.labels.tolist() == [levels]
    assert found.reading == "class indices"


def test_indices_with_shades_of_gray_are_indices() -> None:
    shades = [(level, level, level) for level in range(256)]
    assert decode_truth(coloured([0, 0, 1, 2], shades), CAMVID, (1, 4)).labels.tolist() == [[0, 0, 1, 2]]
    with pytest.raises(ImageError, match="no class has the index 128"):
        decode_truth(coloured([0, 128, 128, 128], shades), CAMVID, (1, 4))


def test_vocs_own_classes_are_not_taken_for_colours() -> None:
    voc = [*VOC, *[FOREIGN] * 7, (192, 128, 128)]  # its class 15 has the colour of SignSymbol
    with pytest.raises(ImageError, match="no class has the index 15"):
        decode_truth(coloured([0, 15, 15, 15], voc), CAMVID, (1, 4))


def test_an_editors_palette_of_the_classes_colours_is_read_by_them() -> None:
    for count in (12, 16, 256):
        data = encoded(Image.fromarray(COLOURED).quantize(count))
        np.testing.assert_array_equal(decode_truth(data, CAMVID, SIZE).labels, LABELS)


@pytest.mark.parametrize(
    ("levels", "palette"),
    [
        ([0, 1, 1, 1], [(0, 0, 0), (128, 0, 0)]),  # void and Building, or VOC's first two classes
        ([0, 1, 1, 2], [(128, 64, 128), (128, 0, 0), (64, 0, 128), FOREIGN]),  # painted, or indices in chance colours
    ],
)
def test_a_palette_that_can_be_read_in_two_ways_is_refused(
    levels: list[int], palette: list[tuple[int, int, int]]
) -> None:
    with pytest.raises(ImageError, match="by its colours or by its indices, and the two differ; save class indices as"):
        decode_truth(coloured(levels, palette), CAMVID, (1, 4))


def test_a_colour_of_two_classes_is_neithers() -> None:
    twins = ClassSet(("a", "b", "c"), ((1, 1, 1), (1, 1, 1), (2, 2, 2)))
    found = decode_truth(coloured([0, 1, 2, 2], [(1, 1, 1), (1, 1, 1), (2, 2, 2)]), twins, (1, 4))
    assert found.labels.tolist() == [[0, 1, 2, 2]] and found.classes is twins


# ---- what is wrong ---------------------------------------------------------------------------------------


def changed(pixels: np.ndarray, *changes: tuple[int, int, Any]) -> np.ndarray:
    pixels = pixels.copy()
    for y, x, value in changes:
        pixels[y, x] = value
    return pixels


def holed() -> np.ndarray:
    return changed(with_alpha(COLOURED), (3, 4, (0, 0, 0, 0)), (3, 5, (0, 0, 0, 128)))


NOISE = np.random.default_rng(1).integers(0, 256, (80, 90, 3)).astype(np.uint8)
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the file is empty; unpack, download or save it again"),
    "words": (b"labels", "this is not a PNG"),
    "a jpeg called png": (encoded(COLOURED, "JPEG"), "this is not a PNG"),
    "a gif": (encoded(LABELS, "GIF"), "this is not a PNG"),
    "a tiff": (encoded(LABELS, "TIFF"), "this is not a PNG"),
    "a signature": (b"\x89PNG\r\n\x1a\n", "known format|damaged"),
    "cut off": (encoded(COLOURED)[:-60], "damaged or incomplete"),
    "without pixels": (png(WIDTH, HEIGHT, 8, 0), "damaged or incomplete"),
    "too heavy": (encoded(LABELS) + bytes(21 * 2**20), "at most 20 MB"),
    "another size": (encoded(LABELS[:, :28]), "the labels are 28 x 20 pixels, but the picture is 30 x 20; save them"),
    "lying on its side": (encoded(LABELS.T.copy()), "the labels are 20 x 30 pixels, but the picture is 30 x 20"),
    "a huge size": (png(20_000, 20_000, 8, 2), "20000 x 20000 pixels, but the picture|megapixels"),
    "sixteen bits": (encoded(LABELS.astype(np.uint16)), "the PNG has 16 bits per channel; save the labels with 8"),
    "colours of sixteen bits": (png(WIDTH, HEIGHT, 16, 2, HEIGHT * (b"\0" + WIDTH * b"\0\0\0\0\0\0")), "16 bits"),
    "a wrong index": (
        encoded(changed(LABELS, (7, 3, 12), (9, 1, 12))),
        re.escape("no class has the index 12 (2 pixels, first at x 3, y 7); classes are 0 to 10, void is 255"),
    ),
    "many wrong indices": (
        encoded(np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(SIZE)),
        r"no class has the indices 11 \(3 pixels, first at x 11, y 0\), 12 \(.*\), 13 \(.*\) and 241 more; classes",
    ),
    "a wrong index of four bits": (
        four_bits(changed(np.minimum(LABELS, 10), (19, 29, 13))),
        re.escape("index 13 (1 pixel, first at x 29, y 19)"),
    ),
    "a wrong index in a palette": (
        paletted(changed(LABELS, (2, 2, 40)), OTHER_PALETTE),
        re.escape("no class has the index 40 (1 pixel, first at x 2, y 2)"),
    ),
    "a wrong colour": (
        encoded(changed(COLOURED, (7, 3, (255, 0, 16)))),
        re.escape("no class has the colour #FF0010 (1 pixel, first at x 3, y 7); use the classes' own colours, and"),
    ),
    "a wrong colour in a palette": (
        paletted(changed(np.minimum(LABELS, 11), (5, 6, 12)), np.vstack([CAMVID.colours, [(0, 0, 0), (1, 2, 3)]])),
        re.escape("no class has the colour #010203 (1 pixel, first at x 6, y 5)"),
    ),
    "many wrong colours": (encoded(NOISE[:HEIGHT, :WIDTH]), r"no class has the colours #.* and 59\d more"),
    "gray as colours": (encoded(np.repeat(np.minimum(LABELS, 10)[:, :, None], 3, 2)), "no class has the colours #"),
    "transparent": (encoded(holed()), "2 pixels are transparent; save the labels without transparency"),
    "only void": (encoded(np.full(SIZE, VOID, np.uint8)), "all of its pixels are void"),
    "only black": (encoded(np.zeros((*SIZE, 3), np.uint8)), "all of its pixels are void"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_gets_one_sentence(name: str) -> None:
    data, told = BAD[name]
    with pytest.raises(ImageError, match=told) as caught:
        decode_truth(data, CAMVID, SIZE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", [0, 2])
def test_sixteen_bits_are_refused_before_pixels_are_unpacked(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("unpacked"))
    with pytest.raises(ImageError, match="the PNG has 16 bits per channel; save the labels with 8"):
        decode_truth(png(WIDTH, HEIGHT, 16, kind, b""), CAMVID, SIZE)


def test_a_photograph_is_not_taken_for_labels() -> None:
    with pytest.raises(ImageError, match=r"more than 4,096 colours, as photographs and JPEG copies have"):
        decode_truth(encoded(NOISE), CAMVID, NOISE.shape[:2])


def test_a_small_file_of_a_huge_picture_is_refused_at_once() -> None:
    rows = zlib.compress(bytes(9001 * 5000), 9)
    header = struct.pack(">IIBBBBB", 9000, 5000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    start = time.process_time()
    with pytest.raises(ImageError, match="9000 x 5000 pixels, but the picture is 30 x 20"):
        decode_truth(bomb, CAMVID, SIZE)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("name", ["gray", "the example", "colours", "gray of four bits", "turned by its tag"])
def test_damaged_files_give_labels_or_a_sentence(name: str) -> None:
    whole, random = GOOD[name][0], np.random.default_rng(2)
    for _ in range(60):
        data = bytearray(whole[: random.integers(1, len(whole) + 1)] if random.random() < 0.2 else whole)
        for at in random.integers(0, len(data), random.integers(1, 6)):
            data[at] = random.integers(0, 256)
        try:
            found = decode_truth(bytes(data), CAMVID, SIZE)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert found.labels.shape == SIZE
            assert set(np.unique(found.labels).tolist()) <= {*range(11), VOID}
