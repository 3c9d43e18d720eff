"""Pictures: decoded once, checked, turned upright, converted to sRGB, and made into the network's input tensor."""

from __future__ import annotations

import io
import logging
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from segviz.picture_files.cost import MAX_WEBP_PIXELS, check_cost
from segviz.picture_files.errors import ImageError as ImageError
from segviz.picture_files.formats import PICTURE_FORMATS, TIFF_STARTS, is_heic, name_formats, name_unsupported
from segviz.picture_files.jpeg_cost import EXIF
from segviz.picture_files.pixels import PixelReader
from segviz.picture_files.tiff_cost import check_tags
from segviz.text import plain_text

MAX_BYTES = 20 * 1024**2
MAX_PIXELS = 50_000_000
WORKING_PIXELS = 480 * 360  # the area at which the bundled models were trained
LONGEST_SIDE, SHORTEST_SIDE = 1024, 32
LARGEST_PICTURE = (1024, 2048)  # short and long side of the largest view that a network is shown unless it is told one
HEIC_ADVICE = (
    "HEIC is not supported; convert it to JPEG "
    "(an iPhone takes JPEG pictures after Settings > Camera > Formats > Most Compatible)"
)

logging.getLogger("PIL").addHandler(logging.NullHandler())  # otherwise it writes to stderr about every damaged file

Rgb = UInt8[np.ndarray, "_ _ 3"]
ImageLike = np.ndarray | Image.Image | str | Path
SeenSize = tuple[int, int] | Literal["own"] | None  # (height, width); the picture's own; or the area of training
# The file's view of upright pixels, by Exif orientation; nothing is copied.
FROM_UPRIGHT: dict[object, Callable[[Any], Any]] = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.swapaxes(0, 1), 6: np.rot90,
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip
SIDEWAYS = (5, 6, 7, 8)
GET_AGAIN = "unpack, download or save it again"


def decode(data: bytes) -> Rgb:
    """Decode the bytes of a file to an upright RGB picture.

    Grey, palette, 16-bit and CMYK pictures and colour profiles are converted to sRGB, transparent ones are laid over
    white, EXIF orientation is applied, and an animation gives its first frame.

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
    if not data:
        raise ImageError(f"the file is empty; {GET_AGAIN}")
    if is_heic(data):
        raise ImageError(HEIC_ADVICE)
    if other := name_unsupported(data):
        raise ImageError(f"{other} is not supported; use {name_formats(formats)}")
    check_cost(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata, and bombs, where our own limit is lower
            with Image.open(io.BytesIO(data), formats=formats) as picture:
                yield picture
    except ImageError:
        raise
    except UnidentifiedImageError:
        if data.startswith(TIFF_STARTS):
            raise ImageError("this kind of TIFF is not read, or the file is damaged; save it as PNG") from None
        raise ImageError(f"this is not a picture of a known format; use {name_formats(formats)}") from None
    except MemoryError:
        raise ImageError("there is too little memory for this picture; scale it down, or try again later") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the picture has more than {MAX_PIXELS // 10**6} megapixels; scale it down first") from None
    except Exception as error:  # Pillow raises whatever damaged bytes lead to
        cause = plain_text(str(error)) or type(error).__name__
        raise ImageError(f"the picture is damaged or incomplete ({cause}); {GET_AGAIN}") from None


def from_pil(picture: Image.Image) -> Rgb:
    """Convert a PIL picture to an upright sRGB array.

    Raises:
        ImageError: it has too many pixels or none, or pixels that cannot be read as RGB.
    """
    most = MAX_WEBP_PIXELS if picture.format == "WEBP" else MAX_PIXELS
    if picture.width * picture.height > most:
        raise ImageError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"at most {most // 10**6} megapixels are read, so scale it down first"
        )
    if picture.width * picture.height == 0:
        raise ImageError("the picture has no pixels; choose another")
    pixels = PixelReader(picture)
    orientation = read_orientation(picture)
    height, width = picture.size if orientation in SIDEWAYS else picture.size[::-1]
    rgb = np.empty((height, width, 3), np.uint8)
    target = FROM_UPRIGHT[orientation](rgb)
    for left, top, right, bottom in pixels.boxes():
        target[top:bottom, left:right] = pixels.read((left, top, right, bottom))
    return rgb


def read_orientation(picture: Image.Image) -> int:
    """The Exif orientation of an unpacked picture, 1 to 8; 1 is upright. Pillow turns a TIFF while it unpacks it.

    Raises:
        ImageError: there is far more metadata than any program writes.
    """
    exif = picture.info.get("exif")
    if isinstance(exif, bytes):
        check_tags(exif.removeprefix(EXIF))
    orientation = picture.getexif().get(ExifTags.Base.Orientation)
    return orientation if isinstance(orientation, int) and orientation in FROM_UPRIGHT else 1


def name_picture(image: ImageLike) -> str:
    """The file's name of a picture that is given by its path, without folders; "" for any other."""
    return Path(image).name if isinstance(image, str | Path) else ""


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
    value: object = image
    if isinstance(value, list | tuple):
        raise ImageError(f"a list of {len(value)} was given; give one picture at a time")
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


def check_size(size: object) -> SeenSize:
    """A size as `working_size` takes it, with whole numbers of any kind as Python's own.

    Raises:
        ValueError: it is neither None, "own", nor two whole numbers above 0.
    """
    if size is None or (isinstance(size, str) and size == "own"):
        return "own" if size else None
    sides: list[int] = []
    if isinstance(size, Sequence | np.ndarray) and not isinstance(size, str) and len(size) == 2:
        with suppress(TypeError):
            sides = [operator.index(side) for side in size if not isinstance(side, bool)]
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"size={size!r} is no size; give (height, width) in whole pixels above 0, or 'own'")
    return sides[0], sides[1]


def working_size(height: int, width: int, shrink: int = 1, wanted: SeenSize = None) -> tuple[int, int]:
    """The (height, width) at which a model sees a picture.

    Args:
        height: the picture's own.
        width: the picture's own.
        shrink: divides both sides, for when memory is short.
        wanted: a (height, width); "own" for the picture's own, at most `LARGEST_PICTURE`; None for the area of
            training, with the picture's aspect ratio.
    """
    if isinstance(wanted, tuple):
        sides = wanted[0] / shrink, wanted[1] / shrink
    else:
        trained = min(math.sqrt(WORKING_PIXELS / (height * width)), LONGEST_SIDE / max(height, width))
        scale = (largest_scale(height, width) if wanted == "own" else trained) / shrink
        sides = height * scale, width * scale
    return max(SHORTEST_SIDE, round(sides[0])), max(SHORTEST_SIDE, round(sides[1]))


def largest_scale(height: int, width: int) -> float:
    """The factor, at most 1, by which a picture fits into `LARGEST_PICTURE`, upright or lying."""
    short, long = LARGEST_PICTURE
    return min(1.0, short / min(height, width), long / max(height, width))


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
