"""Decoding: documented pixels, or one sentence that names cause and cure."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from segviz.image import ImageError, as_rgb, decode, fit_within, resize, to_tensor, working_size

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 40, 3), np.uint8)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_back_every_pixel(kind: str, options: dict[str, object]) -> None:
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RGB), kind, **options)), RGB)


def test_jpeg_is_read() -> None:
    smooth = np.tile(np.linspace(0, 255, 40, dtype=np.uint8)[None, :, None], (20, 1, 3))
    assert np.abs(decode(encoded(Image.fromarray(smooth), "JPEG", quality=95)).astype(int) - smooth).max() <= 8


TURNED = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2), 8: np.rot90,
}  # fmt: skip


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNED)
def test_every_exif_orientation_is_turned_upright(orientation: int, kind: str) -> None:
    pixels = np.full((40, 80, 3), 90, np.uint8)
    pixels[:16, :16], pixels[:16, 64:] = (250, 20, 20), (20, 20, 250)  # in whole blocks, which JPEG keeps
    more = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    found = decode(encoded(Image.fromarray(pixels), kind, exif=oriented(orientation), **more))
    expected = TURNED[orientation](pixels)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_sixteen_bit_grey_keeps_its_levels(orientation: int, kind: str) -> None:
    levels = np.linspace(0, 65535, 40, dtype=np.uint16)[None].repeat(20, 0)
    picture = decode(encoded(Image.fromarray(levels), kind, exif=oriented(orientation)))
    np.testing.assert_array_equal(picture[:, :, 0], TURNED[orientation](levels[:, :, None] // 257)[:, :, 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 20_000)])
def test_a_picture_of_any_shape_is_read_whole_and_brought_to_a_models_size(size: tuple[int, int]) -> None:
    picture = decode(encoded(Image.new("RGB", size, (10, 200, 30)), "PNG"))
    assert picture.shape == (size[1], size[0], 3) and (picture == (10, 200, 30)).all()
    small = resize(picture, working_size(*picture.shape[:2]))
    assert max(small.shape[:2]) <= 1024 and (small == (10, 200, 30)).all()


def test_hidden_colour_under_full_transparency_becomes_the_background() -> None:
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    rgba[:, :10, 3] = 0
    picture = decode(encoded(Image.fromarray(rgba), "PNG"))
    assert (picture[:, :10] == 255).all()
    np.testing.assert_array_equal(picture[:, 10:], RGB[:, 10:])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "YCbCr"])
def test_other_modes_are_converted(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    picture = decode(encoded(Image.fromarray(RGB).convert(mode), kind))
    assert picture.shape == RGB.shape and picture.dtype == np.uint8


@pytest.mark.parametrize(("mode", "far"), [("CMYK", 0), ("YCbCr", 4), ("LAB", 8), ("RGBA", 0)])
def test_other_colours_look_as_they_did(mode: str, far: int) -> None:
    smooth = np.tile(np.linspace(40, 210, 40, dtype=np.uint8)[None, :, None], (20, 1, 3))
    smooth[:, :, 1] //= 2
    picture = Image.fromarray(smooth)
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    found = decode(encoded(picture.convert(mode), "TIFF"))
    assert np.abs(found.astype(int) - smooth).max() <= far


def test_of_an_animation_the_first_frame_is_taken() -> None:
    second = Image.fromarray(255 - RGB)
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        data = encoded(Image.fromarray(RGB), kind, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(decode(data), RGB)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size in its header and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "the file is empty; unpack, download or save it again"),
        (b"hello, I am no picture", "not a picture of a known format"),
        (encoded(Image.fromarray(RGB), "PNG")[:300], "damaged or incomplete"),
        (encoded(Image.fromarray(np.tile(RGB, (20, 20, 1))), "JPEG")[:3000], "damaged or incomplete"),
        (png_of_size(9400, 9400), "50 megapixels"),
        (png_of_size(50_000, 50_000), "50 megapixels"),
        (b"\0" * (20 * 1024**2 + 1), "at most 20 MB"),
        (encoded(Image.fromarray(RNG.random((8, 8), np.float32)), "TIFF"), "floating-point"),
        (png_of_size(0, 5), "damaged or incomplete|no pixels|known format"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "large", "bomb", "heavy", "float", "none"],
)
def test_what_cannot_be_used_gets_one_sentence(data: bytes, cause: str) -> None:
    with pytest.raises(ImageError, match=cause):
        decode(data)


UNSUPPORTED = {
    "GIF": (encoded(Image.fromarray(RGB), "GIF"),),
    "SVG": (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>",
        b"\n<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'>\n<SVG/>",
    ),
    "AVIF": (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1",),
    "PDF": (b"%PDF-1.7\n",),
    "PSD": (b"8BPS\0\1",),
    "camera raw": (b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx \0\0\0\1", b"IIRO\x08\0", b"FUJIFILMCCD-RAW 0201"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_common_format_that_is_not_read_is_named(name: str) -> None:
    for data in UNSUPPORTED[name]:
        with pytest.raises(ImageError, match=f"^{name} is not supported; use PNG, JPEG, WebP, BMP or TIFF$"):
            decode(data)


@pytest.mark.parametrize("tags", [{254: 1, 330: 8}, {50706: bytes((1, 4, 0, 0))}], ids=["NEF", "DNG"])
def test_camera_raw_that_begins_as_a_tiff_is_named_and_not_shown_as_its_preview(tags: dict[int, Any]) -> None:
    with pytest.raises(ImageError, match=r"^camera raw is not supported: its first picture is a small preview"):
        decode(encoded(Image.fromarray(RGB), "TIFF", tiffinfo=tags))
    assert decode(encoded(Image.fromarray(RGB), "TIFF", tiffinfo={254: 0, 330: 8})).shape == RGB.shape


def test_a_page_with_a_drawing_inside_is_not_called_svg() -> None:
    for data in (b"<html><svg/></html>", b"<?xml version='1.0'?><feed/>"):
        with pytest.raises(ImageError, match=r"known format; use PNG, JPEG, WebP, BMP or TIFF$"):
            decode(data)


def test_whatever_a_damaged_picture_makes_pillow_raise_is_one_sentence() -> None:
    """A TIFF whose data start at a fraction: Pillow takes it, and fails with a TypeError once it reads pixels."""
    data = bytearray(encoded(Image.fromarray(RGB), "TIFF"))
    at = data.index(struct.pack("<HH", 273, 4))  # where its strips start: a whole number
    struct.pack_into("<HHI", data, at, 273, 5, 1)  # now a fraction
    with pytest.raises(ImageError, match="damaged or incomplete"):
        decode(bytes(data))


def test_a_missing_file_and_a_wrong_array_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no file"):
        as_rgb(tmp_path / "none.png")
    with pytest.raises(ImageError, match="float64"):
        as_rgb(np.zeros((4, 4, 3)))
    with pytest.raises(ImageError, match=r"shape \(4, 4, 4\)"):
        as_rgb(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(ImageError, match=r"cannot be read \(File name too long\)"):
        as_rgb(tmp_path / ("x" * 300 + ".png"))


def test_of_a_huge_file_only_as_much_is_read_as_tells_it(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**40)  # takes no room on disk
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"huge\.png: the file is too large: at most 20 MB are read"):
        as_rgb(tmp_path / "huge.png")
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_grey_arrays_and_paths_are_taken(tmp_path: Path) -> None:
    assert as_rgb(RGB[:, :, 0]).shape == RGB.shape
    Image.fromarray(RGB).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(as_rgb(tmp_path / "picture.png"), RGB)


@pytest.mark.parametrize("size", [(360, 480), (480, 360), (2000, 3000), (64, 48), (100, 4000), (1, 1)])
def test_the_working_size_has_the_area_of_training_and_bounded_sides(size: tuple[int, int]) -> None:
    height, width = working_size(*size)
    assert min(height, width) >= 32 and max(height, width) <= 1024
    if max(size) / min(size) < 2:
        assert abs(height * width / (480 * 360) - 1) < 0.01
        assert abs(height / width / (size[0] / size[1]) - 1) < 0.02


def test_a_training_sized_picture_is_not_resized() -> None:
    assert working_size(360, 480) == (360, 480)


def test_fitting_only_ever_shrinks() -> None:
    assert fit_within(RGB, 1280) is RGB
    assert fit_within(RGB, 20).shape == (10, 20, 3)
    assert resize(RGB, (10, 80)).shape == (10, 80, 3)


def test_the_tensor_is_scaled_to_minus_one_to_one_in_rgb_order() -> None:
    tensor = to_tensor(np.array([[[0, 255, 127]]], np.uint8))
    np.testing.assert_allclose(tensor.flatten().numpy(), [-1, 1, 127 / 127.5 - 1])
