"""Pixels against the formats' specifications: depth, interpretation, alpha, profile, orientation."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from picture_bytes import chunk, encoded, png, tiff
from PIL import Image, ImageCms

from segviz.image import ImageError, as_rgb, decode

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 4, 7


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return colours * alpha + 1 - alpha


def assert_shows(data: bytes, expected: np.ndarray) -> None:
    """The picture shows (height, width, 3) values from 0 to 1, up to rounding, also of intermediate results."""
    assert np.abs(decode(data) - 255 * expected).max() < 2.5


PNG_KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16),
             (6, 8), (6, 16)]  # fmt: skip


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize(("kind", "bits"), PNG_KINDS)
def test_every_kind_of_png(kind: int, bits: int, transparent: bool) -> None:
    channels, top = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind], 2**bits - 1
    levels = [0, 1, 256, 257, 513, top] if bits == 16 else range(top + 1)  # some differ in the lower byte only
    pixels = RNG.choice(levels, (HEIGHT, WIDTH, channels))
    values, palette = pixels / top, RNG.integers(0, 256, (2 ** min(bits, 8), 3))
    extra = chunk(b"PLTE", palette.astype(np.uint8).tobytes()) if kind == 3 else b""
    colours = palette[pixels[..., 0]] / 255 if kind == 3 else values[..., :3] if kind in (2, 6) else values[..., :1]
    alpha = values[..., -1:] if kind in (4, 6) else np.ones((HEIGHT, WIDTH, 1))
    if transparent and kind == 3:
        shares = RNG.integers(0, 256, 2**bits)
        extra, alpha = extra + chunk(b"tRNS", shares.astype(np.uint8).tobytes()), shares[pixels] / 255
    elif transparent and kind in (0, 2):
        clear = pixels[2, 3]
        extra, alpha = extra + chunk(b"tRNS", clear.astype(">u2").tobytes()), (pixels != clear).any(2, keepdims=True)
    assert_shows(png(pixels, bits, kind, extra), over_white(colours, alpha) * np.ones(3))


GRAY_TIFFS = [(photometric, bits) for photometric in (0, 1) for bits in (1, 2, 4, 8, 12, 16)]
UNREAD_TIFFS = {("<", 0, 12), (">", 0, 12), (">", 1, 12), (">", 0, 16)}  # Pillow does not open these


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("photometric", "bits"), GRAY_TIFFS)
def test_every_kind_of_gray_tiff_is_right_or_refused(photometric: int, bits: int, order: str) -> None:
    pixels = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, 1))
    data, values = tiff(pixels, bits, photometric, order), pixels / (2**bits - 1)
    if (order, photometric, bits) in UNREAD_TIFFS:
        with pytest.raises(ImageError, match="kind of TIFF is not read"):
            decode(data)
    else:
        assert_shows(data, (values if photometric else 1 - values) * np.ones(3))


@pytest.mark.parametrize(("bits", "extra", "order"), list(itertools.product((8, 16), (None, 0, 1, 2), "<>")))
def test_every_kind_of_rgb_tiff(bits: int, extra: int | None, order: str) -> None:
    """Extra samples: 0 means anything, 1 alpha that the colours are multiplied by, 2 alpha."""
    pixels, top = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, 3 if extra is None else 4)), 2**bits - 1
    if extra == 1:
        pixels[..., :3] = pixels[..., :3] * pixels[..., 3:] // top
    values = pixels / top
    expected = values[..., :3]
    if extra in (1, 2):
        alpha = values[..., 3:]
        expected = expected + 1 - alpha if extra == 1 else over_white(expected, alpha)
    assert_shows(tiff(pixels, bits, 2, order, {} if extra is None else {338: (3, [extra])}), expected)


@pytest.mark.parametrize(("bits", "order"), list(itertools.product((1, 2, 4, 8), "<>")))
def test_palettes_and_inks_of_a_tiff(bits: int, order: str) -> None:
    pixels, palette = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, 1)), RNG.integers(0, 256, (2**bits, 3)) * 257
    assert_shows(tiff(pixels, bits, 3, order, {320: (3, palette.T.ravel().tolist())}), palette[pixels[..., 0]] / 65535)
    inks = RNG.integers(0, 256, (HEIGHT, WIDTH, 4)) / 255
    data = tiff((inks * 255).round().astype(int), 8, 5, order)
    assert_shows(data, (1 - inks[..., :3]) * (1 - inks[..., 3:]))


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (tiff(np.full((2, 2, 1), 2**16 - 1), 16, 1, tags={339: (3, [2])}), r"levels from -1 to -1, beyond 0 to 65535"),
        (tiff(np.full((2, 2, 1), 255), 8, 1, tags={339: (3, [2])}), "signed values"),
        (tiff(np.full((2, 2, 1), 2**31), 32, 1), "levels from .*, beyond 0 to 65535"),
        (tiff(np.ones((2, 2, 3)), 16, 2, tags={284: (3, [2])}), "separate planes"),
        (tiff(np.ones((2, 2, 2)), 8, 1, tags={284: (3, [2]), 338: (3, [2])}), "separate planes"),
        (tiff(np.ones((2, 2, 1)), 8, 0, tags={284: (3, [2])}), "separate planes"),
        (tiff(np.ones((4, 4, 3)), 8, 6), "colours at a lower resolution"),
        (tiff(np.ones((2, 2, 1)), 64, 1), "kind of TIFF is not read"),
    ],
)
def test_what_pillow_would_misread_is_refused(data: bytes, cause: str) -> None:
    with pytest.raises(ImageError, match=cause) as caught:
        decode(data)
    assert "32-bit" not in str(caught.value)


def bmp(width: int, bits: int, row: bytes, compression: int = 0, masks: bytes = b"") -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40 + len(masks), width, 1, 1, bits, compression, 0, 0, 0, 0, 0) + masks
    row = row.ljust(-(-len(row) // 4) * 4, b"\0")
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header)) + header + row


def test_every_kind_of_bmp_colour() -> None:
    red_then_blue = [[[255, 0, 0], [0, 0, 255]]]
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    for data in (
        bmp(2, 24, bytes((0, 0, 255, 255, 0, 0))),
        bmp(2, 32, bytes((0, 0, 255, 0, 255, 0, 0, 0))),
        bmp(2, 16, struct.pack("<HH", 0x7C00, 0x001F)),
        bmp(2, 16, struct.pack("<HH", 0xF800, 0x001F), 3, struct.pack("<III", 0xF800, 0x07E0, 0x001F)),
        bmp(2, 32, bytes((255, 0, 0, 255, 0, 0, 255, 255)), 3, masks),
    ):
        np.testing.assert_array_equal(decode(data), red_then_blue)
    np.testing.assert_array_equal(decode(bmp(1, 32, bytes((9, 9, 9, 0)), 3, masks)), [[[255, 255, 255]]])


# ---- colour profiles --------------------------------------------------------------------------------------


def s15(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def rgb_profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float) -> bytes:
    """A profile of three primaries (XYZ) and a gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"desc", b"desc\0\0\0\0\0\0\0\2x\0" + bytes(78)), (b"wtpt", b"XYZ \0\0\0\0" + s15(0.9642, 1, 0.8249))]
    tags += [(name, b"XYZ \0\0\0\0" + s15(*xyz)) for name, xyz in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags:
        table, body = table + name + struct.pack(">II", start + len(body), len(content)), body + content
    head = struct.pack(">I4sI", start + len(body), b"lcms", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + s15(0.9642, 1, 0.8249) + bytes(48) + table + body


DISPLAY_P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOURS = np.tile(np.array([(234, 51, 35), (60, 180, 75), (120, 120, 120), (250, 250, 10)], np.uint8), (16, 4, 1))


def managed(pixels: np.ndarray, profile: bytes = DISPLAY_P3) -> np.ndarray:
    """The colours as a colour-managed program shows them."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, ImageCms.createProfile("sRGB")))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_a_colour_profile_is_converted_to_srgb(kind: str, options: dict[str, object]) -> None:
    expected = managed(COLOURS)
    assert np.abs(expected.astype(int) - COLOURS).max() > 15
    picture = Image.fromarray(COLOURS)
    np.testing.assert_array_equal(decode(encoded(picture, kind, icc_profile=DISPLAY_P3, **options)), expected)
    clear = np.dstack([COLOURS, np.where(np.arange(16) < 8, 0, 255)[None].repeat(16, 0)]).astype(np.uint8)
    found = decode(encoded(Image.fromarray(clear), kind, icc_profile=DISPLAY_P3, **options))
    assert (found[:, :8] == 255).all()
    np.testing.assert_array_equal(found[:, 8:], expected[:, 8:])


def test_a_phones_jpeg_is_converted_and_turned() -> None:
    pixels, exif = np.full((64, 96, 3), (234, 51, 35), np.uint8), Image.Exif()
    exif[0x0112] = 6
    found = decode(encoded(Image.fromarray(pixels), "JPEG", quality=95, icc_profile=DISPLAY_P3, exif=exif))
    assert found.shape == (96, 64, 3)
    assert np.abs(found.astype(int) - managed(pixels)[0, 0]).max() <= 6


def test_palettes_and_gray_follow_an_rgb_profile() -> None:
    palette = Image.fromarray(COLOURS).quantize(4)
    np.testing.assert_array_equal(decode(encoded(palette, "PNG", icc_profile=DISPLAY_P3)), managed(COLOURS))
    gray = np.full((8, 8), 100, np.uint8)
    found = decode(encoded(Image.fromarray(gray), "JPEG", icc_profile=DISPLAY_P3))
    assert np.abs(found.astype(int) - managed(np.stack([gray] * 3, 2))).max() <= 1


@pytest.mark.parametrize("profile", [SRGB, b"no profile", DISPLAY_P3[:200], DISPLAY_P3.replace(b"RGB XYZ", b"CMYKXYZ")])
def test_srgb_and_profiles_that_cannot_be_used_change_nothing(profile: bytes) -> None:
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(COLOURS), "PNG", icc_profile=profile)), COLOURS)


def test_a_huge_profile_is_refused() -> None:
    data = encoded(Image.fromarray(COLOURS), "TIFF", icc_profile=DISPLAY_P3 + bytes(5 * 2**20))
    with pytest.raises(ImageError, match=r"profile has 5\.0 MB; at most 4 MB are read, so save it as sRGB"):
        decode(data)


def test_a_pictures_own_profile_counts_in_python_too() -> None:
    picture = Image.open(io.BytesIO(encoded(Image.fromarray(COLOURS), "PNG", icc_profile=DISPLAY_P3)))
    np.testing.assert_array_equal(as_rgb(picture), managed(COLOURS))


def test_a_picture_wider_than_a_band_is_whole() -> None:
    pixels = RNG.integers(0, 256, (3, 2**16 + 5, 1))
    np.testing.assert_array_equal(decode(png(pixels, 8, 0))[..., :1], pixels)
