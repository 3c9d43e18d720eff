"""Label files: ground truth from a PNG of class indices or class colours, every pixel checked; and PNGs to write."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from segviz.data.class_sets import name_class_set
from segviz.data.classes import VOID, ClassSet
from segviz.data.label_reading import LabelCode, Reading, choose_code
from segviz.image import ImageError, open_image, read_orientation
from segviz.picture_files.formats import PNG_SIGNATURE
from segviz.text import size_text

HeightWidth = tuple[int, int]
TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by Exif orientation  # fmt: skip


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Labels that were read from a file.

    Attributes:
        labels: class indices; 255 where a pixel has no class.
        reading: how the file's pixels were read.
        classes: the classes that the indices belong to.
    """

    labels: UInt8[np.ndarray, "height width"]
    reading: Reading
    classes: ClassSet

    @property
    def void(self) -> float:
        """The share of pixels without a class, in [0, 1]."""
        return float((self.labels == VOID).mean())

    @property
    def caution(self) -> str:
        """What to do where the file is numbered otherwise than it was read, as a clause; "" where it cannot be."""
        if self.reading == "class indices" and name_class_set(self.classes.names) == "cityscapes":
            return "if these are Cityscapes label ids, let the file's name end in _labelIds.png"
        return ""


def decode_labels(data: bytes, classes: ClassSet, size: HeightWidth, shown: HeightWidth | None = None) -> GroundTruth:
    """Decode the labels in the bytes of a PNG of class indices or class colours.

    A grey PNG holds class indices; an RGB PNG holds the classes' colours, and black for void. A palette PNG may hold
    either, see `choose_code`.

    Args:
        data: the file's bytes: grey of up to 8 bits, palette, or RGB.
        classes: the classes, their colours, and the void index; 255 is always void too.
        size: the picture's (height, width), which the file must share.
        shown: the (height, width) of the result, resized by nearest pixel; `size` by default.

    Raises:
        ImageError: the file is not a sound PNG, has another size, holds an unknown class, or can be read in two ways;
            the message names the unknown values or colours, each with its pixel count and first position.
    """
    levels = decode_levels(data, size)
    code = choose_code(levels, classes)
    return GroundTruth(label_pixels(levels, code, shown or size), code.reading, classes)


def decode_levels(data: bytes, size: HeightWidth) -> Image.Image:
    """The upright picture in the bytes of a PNG in mode "L", "P" or "RGB", with the levels that the file holds.

    Args:
        data: the file's bytes.
        size: the (height, width) that it must have.

    Raises:
        ImageError: the file is not a sound PNG of this size.
    """
    if data and not data.startswith(PNG_SIGNATURE):  # an empty file is refused below
        raise ImageError("this is not a PNG; other formats change or mix colours, so save the labels as PNG")
    levels, orientation = read_levels(data, size)
    if orientation in TO_UPRIGHT:
        levels = levels.transpose(TO_UPRIGHT[orientation])
    if levels.size != size[::-1]:
        raise wrong_size(levels.size, size)
    return levels


def wrong_size(actual: tuple[int, int], size: HeightWidth) -> ImageError:
    """The error for labels of PIL's (width, height), where the picture has a (height, width) of `size`."""
    return ImageError(
        f"the labels are {size_text(actual[::-1])} pixels, but the picture is {size_text(size)}; "
        "save them at the picture's size"
    )


def read_bits(data: bytes) -> int:
    """Bits per channel, from the header, which is a PNG's first chunk.

    Raises:
        ImageError: there are more than 8, or the header is not in its place.
    """
    bits = data[24] if data[12:16] == b"IHDR" and len(data) > 24 else 0
    if bits not in (1, 2, 4, 8):
        raise ImageError(f"the PNG has {bits} bits per channel; save the labels with 8")
    return bits


def read_levels(data: bytes, size: HeightWidth) -> tuple[Image.Image, int]:
    """The file's picture in mode "L", "P" or "RGB", with the levels that the file holds, and its Exif orientation.

    Depth and size are checked in the header, before pixels are unpacked.

    Raises:
        ImageError: the file is damaged, or neither the picture's size nor that turned on its side; or it has more than
            8 bits per channel, or transparent pixels.
    """
    with open_image(data, ("PNG",)) as picture:
        if sorted(picture.size) != sorted(size):
            raise wrong_size(picture.size, size)
        levels = keep_levels(picture, read_bits(data))
        return levels, read_orientation(picture)


def keep_levels(picture: Image.Image, bits: int) -> Image.Image:
    """An opened picture in mode "L", "P" or "RGB", with the levels that the file holds.

    Raises:
        ImageError: a pixel is transparent.
    """
    if "A" in picture.getbands():
        hidden = sum(picture.getchannel("A").histogram()[:255])
        if hidden:
            raise ImageError(f"{hidden:,} pixels are transparent; save the labels without transparency, void as black")
        return picture.convert("RGB" if picture.mode == "RGBA" else "L")
    if picture.mode in ("P", "RGB"):
        picture.load()
        return picture
    step = 255 // (2**bits - 1)  # PIL spreads grey of fewer bits over 0 to 255
    return picture.convert("L").point([value // step for value in range(256)])


def label_pixels(levels: Image.Image, code: LabelCode, size: HeightWidth) -> UInt8[np.ndarray, "height width"]:
    """Each pixel's class, resized to a (height, width)."""
    pixels = np.asarray(levels.resize(size[::-1], Image.Resampling.NEAREST))
    labels = np.full(size, VOID, np.uint8)
    for level, label in code.classes.items():
        labels[pixels == level if pixels.ndim == 2 else (pixels == level).all(2)] = label
    return labels


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
