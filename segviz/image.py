"""Pictures: decoded once, checked, turned upright, converted to RGB, and made into the network's input tensor."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from segviz.text import plain_text

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MAX_BYTES = 20 * 1024**2
MAX_PIXELS = 50_000_000
WORKING_PIXELS = 480 * 360  # the area at which the bundled models were trained
LONGEST_SIDE, SHORTEST_SIDE = 1024, 32
BAND_ROWS = 256  # rows converted at a time
BACKGROUND = (255, 255, 255)  # shows through transparent pixels

logging.getLogger("PIL").addHandler(logging.NullHandler())  # otherwise it writes to stderr about every damaged file

Rgb = UInt8[np.ndarray, "_ _ 3"]
ImageLike = np.ndarray | Image.Image | str | Path


class ImageError(ValueError):
    """A picture that cannot be used; the message names the cause and the cure."""


def decode(data: bytes) -> Rgb:
    """Decode the bytes of a file to an upright RGB picture.

    Grey, palette, 16-bit and CMYK pictures are converted, transparent ones are laid over white, EXIF orientation is
    applied, and an animation gives its first frame.

    Raises:
        ImageError: the file is too large, has another format, or is damaged.
    """
    with open_image(data) as picture:
        return from_pil(picture)


@contextmanager
def open_image(data: bytes, formats: tuple[str, ...] = PICTURE_FORMATS) -> Iterator[Image.Image]:
    """Open a picture from a file's bytes; the format is detected by content, and the pixels are read on first use.

    Raises:
        ImageError: the file is too large, has another format, or is damaged, also if only its pixels are.
    """
    if len(data) > MAX_BYTES:
        raise ImageError(f"the file is too large: at most {MAX_BYTES // 1024**2} MB are read, so save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata, and bombs, where our own limit is lower
            with Image.open(io.BytesIO(data), formats=formats) as picture:
                yield picture
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"this is not a picture of a known format; use {', '.join(formats)}") from None
    except MemoryError:
        raise ImageError("there is too little memory for this picture; scale it down, or try again later") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the picture has more than {MAX_PIXELS // 10**6} megapixels; scale it down first") from None
    except Exception as error:  # Pillow raises whatever damaged bytes lead to
        cause = plain_text(str(error)) or type(error).__name__
        raise ImageError(f"the picture is damaged or incomplete ({cause}); save it again and retry") from None


def from_pil(picture: Image.Image) -> Rgb:
    """Convert a PIL picture to an upright RGB array.

    Raises:
        ImageError: it has too many pixels or none, or pixels that cannot be read as RGB.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise ImageError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"at most {MAX_PIXELS // 10**6} megapixels are read, so scale it down first"
        )
    if picture.width * picture.height == 0:
        raise ImageError("the picture has no pixels; choose another")
    if picture.mode == "F":
        raise ImageError("the picture holds floating-point values; save it with 8 or 16 bits per channel")
    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(picture) if turned else picture  # exif_transpose always copies
    rgb = np.empty((upright.height, upright.width, 3), np.uint8)
    for top in range(0, upright.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, upright.height)
        rgb[top:bottom] = band_rgb(upright.crop((0, top, upright.width, bottom)))
    return rgb


def band_rgb(band: Image.Image) -> Rgb:
    """Convert a few rows to RGB: the copies would be large for a whole picture."""
    if band.mode.startswith("I"):  # 16-bit grey; PIL's own conversion would clip nearly all of it to white
        levels = np.asarray(band).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ImageError("the picture has 32-bit levels beyond 0 to 65535; save it with 8 or 16 bits per channel")
        return np.repeat((levels // 257).astype(np.uint8)[:, :, None], 3, 2)
    if "A" in band.getbands() or "transparency" in band.info:
        over = Image.new("RGBA", band.size, (*BACKGROUND, 255))
        band = Image.alpha_composite(over, band.convert("RGBA"))
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def as_rgb(image: ImageLike) -> Rgb:
    """Convert an array, a PIL picture or a file, given by its path, to an RGB array.

    Raises:
        ImageError: the file is missing or is not a picture, or the array is not (H, W, 3) or (H, W) uint8.
    """
    if isinstance(image, str | Path):
        data = read_picture_bytes(Path(image))
        try:
            return decode(data)
        except ImageError as error:
            raise ImageError(f"{plain_text(str(image))}: {error}") from None
    if isinstance(image, Image.Image):
        return from_pil(image)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise ImageError(f"an array of {array.dtype} was given; use uint8 values from 0 to 255")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, 2)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ImageError(f"an array of shape {array.shape} was given; use (height, width, 3) RGB")
    return array


def read_picture_bytes(path: Path) -> bytes:
    """Read the bytes of a file, at most one more than the limit, which `decode` then refuses.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    try:
        if not path.is_file():
            raise ImageError(f"there is no file {plain_text(str(path))}; check the path")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(
            f"{plain_text(str(path))} cannot be read ({error.strerror}); check the path and its permissions"
        ) from None


def working_size(height: int, width: int, shrink: int = 1) -> tuple[int, int]:
    """The (height, width) at which a model sees a picture: the area of training, with the picture's aspect ratio.

    `shrink` divides both sides, for when memory is short.
    """
    scale = math.sqrt(WORKING_PIXELS / (height * width))
    scale = min(scale, LONGEST_SIDE / max(height, width)) / shrink
    return max(SHORTEST_SIDE, round(height * scale)), max(SHORTEST_SIDE, round(width * scale))


def resize(image: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a picture to a (height, width): area averages to shrink, bilinear to enlarge."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] * image.shape[1] > size[0] * size[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit_within(image: Rgb, longest: int) -> Rgb:
    """Shrink a picture, if need be, so that its longer side has at most `longest` pixels."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    return resize(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def to_tensor(image: Rgb, device: torch.device | str = "cpu") -> Float[Tensor, "1 3 height width"]:
    """The network's input: RGB scaled to [-1, 1], channels last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return (tensor.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
