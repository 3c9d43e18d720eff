"""Pictures in: decoded once, checked, turned upright, converted to RGB; and the way to the network's tensor."""

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
WORKING_PIXELS = 480 * 360  # the area that the bundled models were trained at
LONGEST_SIDE, SHORTEST_SIDE = 1024, 32
BAND_ROWS = 256  # are converted
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it tells stderr of every damaged file

Rgb = UInt8[np.ndarray, "_ _ 3"]
ImageLike = np.ndarray | Image.Image | str | Path


class ImageError(ValueError):
    """A picture that cannot be used; the message names the cause and the cure."""


def decode(data: bytes) -> Rgb:
    """An upright RGB picture from the bytes of a file.

    Grey, palette, 16-bit and CMYK pictures are converted, transparency is laid over white, EXIF orientation
    is applied, and of an animation the first frame is taken.

    Raises:
        ImageError: the file is too large, of another format, or damaged.
    """
    with open_image(data) as picture:
        return from_pil(picture)


@contextmanager
def open_image(data: bytes, formats: tuple[str, ...] = PICTURE_FORMATS) -> Iterator[Image.Image]:
    """A picture of a file's bytes, known by content; its pixels are read by whoever asks for them first.

    Raises:
        ImageError: the file is too large, of another format, or damaged, even where only its pixels tell.
    """
    if len(data) > MAX_BYTES:
        raise ImageError(f"the file is too large: at most {MAX_BYTES // 1024**2} MB are read, so save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, as our own, lower limit stands below, and of damaged metadata
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
    """An upright RGB array of a PIL picture.

    Raises:
        ImageError: too many pixels, none, or a kind of pixel without an RGB reading.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise ImageError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"at most {MAX_PIXELS // 10**6} megapixels are read, so scale it down first"
        )
    if picture.width * picture.height == 0:
        raise ImageError("the picture has no pixels; choose another")
    if picture.mode == "F":
        raise ImageError("the picture holds floating-point values; save it with 8 or 16 bits a channel")
    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(picture) if turned else picture  # which copies in any case
    rgb = np.empty((upright.height, upright.width, 3), np.uint8)
    for top in range(0, upright.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, upright.height)
        rgb[top:bottom] = band_rgb(upright.crop((0, top, upright.width, bottom)))
    return rgb


def band_rgb(band: Image.Image) -> Rgb:
    """A few rows of a picture as RGB: the copies that this takes would be large of a whole one."""
    if band.mode.startswith("I"):  # 16-bit grey; PIL's own conversion would clip nearly all of it to white
        levels = np.asarray(band).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ImageError("the picture has 32-bit levels beyond 0 to 65535; save it with 8 or 16 bits a channel")
        return np.repeat((levels // 257).astype(np.uint8)[:, :, None], 3, 2)
    if "A" in band.getbands() or "transparency" in band.info:
        over = Image.new("RGBA", band.size, (*BACKGROUND, 255))
        band = Image.alpha_composite(over, band.convert("RGBA"))
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def as_rgb(image: ImageLike) -> Rgb:
    """An RGB array from an array, a PIL picture, or the path of a file.

    Raises:
        ImageError: the file is missing or no picture, or the array is not (H, W, 3) or (H, W) uint8.
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
    """The bytes of a file; of a larger one than any picture may be only so many that it shows.

    Raises:
        ImageError: it is missing, or cannot be read.
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
    """The (height, width) that a picture is shown to a model at: the area of training, the aspect kept.

    `shrink` divides both sides, where memory is short.
    """
    scale = math.sqrt(WORKING_PIXELS / (height * width))
    scale = min(scale, LONGEST_SIDE / max(height, width)) / shrink
    return max(SHORTEST_SIDE, round(height * scale)), max(SHORTEST_SIDE, round(width * scale))


def resize(image: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture at another (height, width): area averages down, bilinear up."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] * image.shape[1] > size[0] * size[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit_within(image: Rgb, longest: int) -> Rgb:
    """The picture scaled down, if need be, so that its longer side has at most `longest` pixels."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    return resize(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def to_tensor(image: Rgb, device: torch.device | str = "cpu") -> Float[Tensor, "1 3 height width"]:
    """The network's input: RGB scaled to [-1, 1], channels last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return (tensor.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
