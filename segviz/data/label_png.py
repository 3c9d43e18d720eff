"""Label files: ground truth from a PNG of class indices or class colours, every pixel checked; and PNGs to write."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from segviz.data.classes import VOID, VOID_COLOUR, ClassSet, RgbColour
from segviz.data.dataset import size_text
from segviz.image import ImageError, open_image

PNG = b"\x89PNG\r\n\x1a\n"  # the first bytes of every PNG
LEVELS_NAMED = 3  # unknown values or colours in a message
MOST_COLOURS = 4096  # a file with more is a photograph
SEARCH_ROWS = 512  # rows searched at a time for an unknown value
HeightWidth = tuple[int, int]
Level = int | RgbColour  # a pixel of the file: a value or a colour
Reading = Literal["class indices", "colours"]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Class indices, 255 where a pixel has no class, and how the file's pixels were read."""

    labels: UInt8[np.ndarray, "height width"]
    reading: Reading

    @property
    def void(self) -> float:
        """The share of pixels without a class, in [0, 1)."""
        return float((self.labels == VOID).mean())


@dataclass(frozen=True)
class _Code:
    """One way to read a file: the pixel count of each level, and the classes of the known levels."""

    reading: Reading
    counts: Mapping[Level, int]
    labels: Mapping[Level, int]

    @property
    def unknown(self) -> dict[Level, int]:
        """Pixel counts of the levels without a class, the largest first."""
        wrong = ((level, count) for level, count in self.counts.items() if level not in self.labels)
        return dict(sorted(wrong, key=lambda pair: -pair[1]))


def decode_truth(data: bytes, classes: ClassSet, size: HeightWidth, shown: HeightWidth | None = None) -> GroundTruth:
    """Decode the labels in the bytes of a PNG.

    A gray PNG holds class indices; an RGB PNG holds the classes' colours, and black for void. A palette PNG is read by
    its colours if all of them are classes' colours, and by its indices otherwise.

    Args:
        data: the file's bytes: gray of up to 8 bits, palette, or RGB.
        classes: the classes, their colours, and the void index; 255 is always void too.
        size: the picture's (height, width), which the file must share.
        shown: the (height, width) of the result, resized by nearest pixel; `size` by default.

    Raises:
        ImageError: the file is not a sound PNG, has another size, or holds an unknown class; the message names the
            unknown values or colours, each with its pixel count and first position.
    """
    if not data.startswith(PNG):
        raise ImageError("this is not a PNG; other formats change or mix colours, so save the labels as PNG")
    with open_image(data, ("PNG",)) as picture:
        if sorted(picture.size) != sorted(size):  # the header tells, so a huge file is never unpacked
            raise _wrong_size(picture.size, size)
        upright = ImageOps.exif_transpose(picture)
    if upright.size != size[::-1]:
        raise _wrong_size(upright.size, size)
    levels = _levels(upright, _bits(data))
    code = _code(levels, classes)
    if code.unknown:
        raise ImageError(_describe_unknown(levels, code, classes))
    if {code.labels[level] for level in code.counts} == {VOID}:
        raise ImageError("all of its pixels are void, so there is nothing to score; give some of them a class")
    return GroundTruth(_labels(levels, code, shown or size), code.reading)


def _wrong_size(actual: tuple[int, int], size: HeightWidth) -> ImageError:
    """The error for labels of PIL's (width, height), where the picture has a (height, width) of `size`."""
    return ImageError(
        f"the labels are {size_text(actual[::-1])} pixels, but the picture is {size_text(size)}; "
        "save them at the picture's size"
    )


def _bits(data: bytes) -> int:
    """Bits per channel, from the header, which is a PNG's first chunk.

    Raises:
        ImageError: there are more than 8, or the header is not in its place.
    """
    bits = data[24] if data[12:16] == b"IHDR" else 0
    if bits not in (1, 2, 4, 8):
        raise ImageError(f"the PNG has {bits} bits per channel; save the labels with 8")
    return bits


def _levels(picture: Image.Image, bits: int) -> Image.Image:
    """The picture in mode "L", "P" or "RGB", with the levels that the file holds.

    Raises:
        ImageError: a pixel is transparent.
    """
    if "A" in picture.getbands():
        hidden = sum(picture.getchannel("A").histogram()[:255])
        if hidden:
            raise ImageError(f"{hidden:,} pixels are transparent; save the labels without transparency, void as black")
        picture = picture.convert("RGB" if picture.mode == "RGBA" else "L")
    if picture.mode in ("P", "RGB"):
        return picture
    step = 255 // (2**bits - 1)  # PIL spreads gray of fewer bits over 0 to 255
    return picture.convert("L").point([value // step for value in range(256)])


def _code(levels: Image.Image, classes: ClassSet) -> _Code:
    """Choose how to read the file's pixels.

    Raises:
        ImageError: there are too many colours for labels.
    """
    values: dict[Level, int] = {classes.void: VOID, VOID: VOID, **{index: index for index in range(len(classes.names))}}
    colours: dict[Level, int] = {VOID_COLOUR: VOID, **{colour: index for index, colour in enumerate(classes.palette)}}
    histogram = levels.getcolors(MOST_COLOURS)
    if histogram is None:
        raise ImageError(
            f"it has more than {MOST_COLOURS:,} colours, as photographs and JPEG copies have; "
            "labels need one flat colour per class"
        )
    counts: dict[Level, int] = {level: count for count, level in histogram}  # type: ignore[misc]
    if levels.mode == "RGB":
        return _Code("colours", counts, colours)
    if levels.mode == "L":
        return _Code("class indices", counts, values)
    by_colour = {level: colours[colour] for level in counts if (colour := _colour(levels, level)) in colours}
    readings = (_Code("colours", counts, by_colour), _Code("class indices", counts, values))
    return min(readings, key=lambda code: sum(code.unknown.values()))  # colours win a tie


def _colour(levels: Image.Image, level: Level) -> RgbColour:
    """The colour of a level; black beyond the end of the palette."""
    if isinstance(level, tuple):
        return level
    red, green, blue = (*(levels.getpalette("RGB") or [])[3 * level :], 0, 0, 0)[:3]
    return red, green, blue


def _labels(levels: Image.Image, code: _Code, size: HeightWidth) -> UInt8[np.ndarray, "height width"]:
    """Each pixel's class, resized to a (height, width)."""
    pixels = np.asarray(levels.resize(size[::-1], Image.Resampling.NEAREST))
    labels = np.full(size, VOID, np.uint8)
    for level in code.counts:
        labels[pixels == level if pixels.ndim == 2 else (pixels == level).all(2)] = code.labels[level]
    return labels


# ---- what is wrong ---------------------------------------------------------------------------------------


def _describe_unknown(levels: Image.Image, code: _Code, classes: ClassSet) -> str:
    """Name the levels without a class, with their pixels, and the levels that are allowed."""
    unknown = code.unknown
    named = [
        f"{_name(levels, code, level)} ({count:,} pixel{'s' if count > 1 else ''}, first at {_first(levels, level)})"
        for level, count in list(unknown.items())[:LEVELS_NAMED]
    ]
    more = f" and {len(unknown) - LEVELS_NAMED} more" if len(unknown) > LEVELS_NAMED else ""
    many = len(unknown) > 1
    if code.reading == "colours":
        colour = "colours" if many else "colour"
        return f"no class has the {colour} {', '.join(named)}{more}; use the classes' own colours, and black for void"
    return (
        f"no class has the {'indices' if many else 'index'} {', '.join(named)}{more}; "
        f"classes are 0 to {len(classes.names) - 1}, void is {VOID}"
    )


def _name(levels: Image.Image, code: _Code, level: Level) -> str:
    """A level as image editors show it."""
    return str(level) if code.reading == "class indices" else "#" + bytes(_colour(levels, level)).hex().upper()


def _first(levels: Image.Image, level: Level) -> str:
    """The first pixel with a level, row by row."""
    for top in range(0, levels.height, SEARCH_ROWS):
        band = np.asarray(levels.crop((0, top, levels.width, min(top + SEARCH_ROWS, levels.height))))
        hits = band == level if band.ndim == 2 else (band == level).all(2)
        if hits.any():
            y, x = divmod(int(hits.argmax()), levels.width)
            return f"x {x}, y {top + y}"
    raise ValueError(f"no pixel holds {level}")


def indexed_png(labels: np.ndarray, palette: np.ndarray, text: Mapping[str, str]) -> bytes:
    """Class indices as a palette PNG; other indices are black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    picture = Image.fromarray(labels)
    picture.putpalette(colours.tobytes())
    return encode_png(picture, text)


def encode_png(picture: Image.Image, text: Mapping[str, str]) -> bytes:
    """A picture as PNG, with `text` in its metadata."""
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
