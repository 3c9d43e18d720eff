"""What the pixels of an opened file mean: levels, transparency and colours become 8-bit sRGB over white.

Pillow unpacks the bytes. What it leaves to its callers is done here: levels of more than 8 bits, which end of a TIFF's
levels is white, transparent levels, and colour profiles.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from segviz.picture_files.colour_profile import make_transform
from segviz.picture_files.errors import ImageError

BACKGROUND = (255, 255, 255)  # shows through transparent pixels
BAND_PIXELS, BAND_COLUMNS = 2**20, 2**16  # converted at a time: the copies would be large for a whole picture
BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, PLANES, SAMPLE_FORMAT, SUBSAMPLING = 258, 259, 262, 266, 284, 339, 530
UNCOMPRESSED, WHITE_IS_ZERO, YCBCR, SEPARATE_PLANES, SIGNED = 1, 0, 6, 2, 2  # values of these tags of TIFF
HIGHEST = {"1": 1, "L;2": 3, "L;4": 15, "I;12": 4095}  # levels by Pillow's raw mode, which says how a file is packed
BYTE, WORD = 255, 65535
DEEP_RGB, LOW_BYTES = "RGB;16B", "RGB;16L"  # Pillow keeps a colour's upper bytes; its lower ones are needed once
OPAQUE = {"1": "L", "P": "RGB", "PA": "RGB", "LA": "L", "RGBA": "RGB"}  # what modes become without alpha
ASSOCIATED = {"La": "LA", "RGBa": "RGBA"}  # multiplied by alpha
PixelBox = tuple[int, int, int, int]  # left, top, right, bottom
Mask = Bool[np.ndarray, "height width"]


class PixelReader:
    """Reads boxes of a picture as sRGB.

    Args:
        picture: an opened picture; this unpacks it.

    Raises:
        ImageError: its pixels have values that do not say which is white.
    """

    def __init__(self, picture: Image.Image) -> None:
        raw = raw_mode(picture)
        tags = dict(getattr(picture, "tag_v2", {}))
        check_values(picture, tags)
        self._clear = picture.info.get("transparency")
        self._low = find_low_bytes(picture, self._clear) if raw == DEEP_RGB and self._clear else None
        picture.load()
        self._picture = picture
        self._highest = HIGHEST.get(raw, WORD if picture.mode.startswith("I") else BYTE)
        self._inverted = picture.mode.startswith("I") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        mode = "L" if picture.mode.startswith("I") else ASSOCIATED.get(picture.mode, picture.mode)
        self._transform = make_transform(picture, OPAQUE.get(mode, mode))

    def boxes(self) -> Iterator[PixelBox]:
        """Boxes that cover the picture, none of them large."""
        width, height = self._picture.size
        columns = min(width, BAND_COLUMNS)
        rows = max(1, BAND_PIXELS // columns)
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                yield left, top, min(left + columns, width), min(top + rows, height)

    def read(self, box: PixelBox) -> UInt8[np.ndarray, "height width 3"]:
        """The pixels of a box."""
        band = self._picture.crop(box)
        clear = self._find_clear(band, box)
        if band.mode.startswith("I"):
            band = Image.fromarray(self._to_bytes(np.asarray(band).astype(np.int64)))
        opaque, alpha = split_alpha(band)
        rgb = opaque.convert("RGB") if self._transform is None else self._transform(opaque)
        if clear is not None:
            alpha = Image.fromarray(np.where(clear, 0, BYTE).astype(np.uint8))
        return np.asarray(rgb if alpha is None else put_over_background(rgb, alpha))

    def _to_bytes(self, levels: Int[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
        """Grey levels of more than 8 bits as 8 bits.

        Raises:
            ImageError: a level is outside of the range.
        """
        low, high = int(levels.min()), int(levels.max())
        if low < 0 or high > self._highest:
            raise ImageError(
                f"the picture has levels from {low} to {high}, beyond 0 to {self._highest}; "
                "save it with 8 or 16 unsigned bits per channel"
            )
        if self._inverted:
            levels = self._highest - levels
        return (levels * BYTE // self._highest).astype(np.uint8)

    def _find_clear(self, band: Image.Image, box: PixelBox) -> Mask | None:
        """The pixels with the one level or colour that is transparent; None where Pillow finds them or none is."""
        if self._low is not None:
            band.info.pop("transparency", None)
            left, top, right, bottom = box
            upper = (np.asarray(band) == np.asarray(self._clear) >> 8).all(2)
            clear: Mask = upper & self._low[top:bottom, left:right]
            return clear
        if not isinstance(self._clear, int) or band.mode == "P":
            return None
        band.info.pop("transparency", None)
        step = 1 if band.mode.startswith("I") else BYTE // self._highest  # Pillow spreads few bits over 0 to 255
        levels = np.asarray(band.convert("L") if band.mode == "1" else band)
        found: Mask = levels == self._clear * step
        return found


def raw_mode(picture: Image.Image) -> str:
    """How a file's pixels are packed, in Pillow's words; empty for a picture that is unpacked."""
    tiles = getattr(picture, "tile", ())
    form = tiles[0].args if tiles else ""
    form = form[0] if isinstance(form, tuple) and form else form
    return form if isinstance(form, str) else ""


def check_values(picture: Image.Image, tags: Mapping[int, object]) -> None:
    """Check that Pillow reads the values as the file means them.

    Raises:
        ImageError: they are fractions, signed bytes, or in separate planes that Pillow would mix up.
    """
    signed = tags.get(SAMPLE_FORMAT)
    if picture.mode == "F":
        raise ImageError("the picture holds floating-point values; save it with 8 or 16 bits per channel")
    if picture.mode == "L" and isinstance(signed, tuple) and SIGNED in signed:
        raise ImageError("the picture holds signed values; save it with 8 or 16 unsigned bits per channel")
    plain = tags.get(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED
    if plain and tags.get(PHOTOMETRIC) == YCBCR and tags.get(SUBSAMPLING) != (1, 1):
        raise ImageError("the TIFF keeps its colours at a lower resolution, uncompressed; save it as PNG")
    if tags.get(PLANES) == SEPARATE_PLANES and not reads_planes(tags):
        raise ImageError("the TIFF keeps its channels in separate planes, in a way that is not read; save it as PNG")


def reads_planes(tags: Mapping[int, object]) -> bool:
    """Whether Pillow unpacks separate planes rightly: colours of 8 bits, and most grey."""
    bits = tags.get(BITS, (1,))
    depths = bits if isinstance(bits, tuple) else (bits,)
    plain = tags.get(FILL_ORDER, 1) == 1 and tags.get(PHOTOMETRIC) != WHITE_IS_ZERO
    return (
        len(depths) != 2
        and (len(depths) == 1 or max(depths) == 8)
        and (plain or tags.get(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED)
    )


def find_low_bytes(picture: Image.Image, clear: tuple[int, int, int]) -> Mask | None:
    """Where the lower bytes of a PNG's 16-bit colours are those of the transparent colour."""
    file = getattr(picture, "fp", None)
    if not isinstance(file, io.BytesIO):
        return None
    with Image.open(io.BytesIO(file.getvalue()), formats=("PNG",)) as again:
        again.tile = [tile._replace(args=LOW_BYTES) for tile in again.tile]
        found = np.empty((again.height, again.width), bool)
        for top in range(0, again.height, rows := max(1, BAND_PIXELS // again.width)):
            band = np.asarray(again.crop((0, top, again.width, min(top + rows, again.height))))
            found[top : top + rows] = (band == [value & BYTE for value in clear]).all(2)
    return found


def split_alpha(band: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A band without alpha, and its alpha; None if all of it is opaque."""
    band = band.convert(ASSOCIATED[band.mode]) if band.mode in ASSOCIATED else band
    if "transparency" in band.info or band.mode == "PA":
        band = band.convert("RGBA")
    alpha = band.getchannel("A") if "A" in band.getbands() and band.mode != "LAB" else None
    return (band.convert(OPAQUE[band.mode]) if band.mode in OPAQUE else band), alpha


def put_over_background(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    """Colours with an alpha channel, over white."""
    rgb.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", rgb.size, (*BACKGROUND, BYTE)), rgb).convert("RGB")
