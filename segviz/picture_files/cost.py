"""What a file may cost, checked in its bytes before it is decoded: a decoder cannot be stopped once it runs.

A few kilobytes can ask for hours of work where a format lets parts repeat. The limits lie far above what programs
write.
"""

from __future__ import annotations

import struct

from segviz.picture_files.errors import ImageError
from segviz.picture_files.formats import JPEG_START, PNG_SIGNATURE, TIFF_STARTS
from segviz.picture_files.jpeg_cost import check_jpeg
from segviz.picture_files.tiff_cost import check_tiff

MAX_DATA_CHUNKS = 20_000  # of a PNG; 20 MB in chunks of 8 KB, as libpng writes, are 2,560
MAX_OTHER_CHUNKS = 500
MAX_RUN_LENGTH_COST = 16_000_000  # pixels and bytes of a run-length BMP, which Pillow unpacks in Python
MAX_WEBP_PIXELS = 30_000_000  # Pillow holds a WebP four times
BMP_RLE = (1, 2)


def check_cost(data: bytes) -> None:
    """Check that a file is cheap enough to decode; other formats than the picture's are passed over.

    Raises:
        ImageError: it has too many scans, chunks, strips, tiles or metadata, or is too large for its format.
    """
    if data.startswith(JPEG_START):
        check_jpeg(data)
    elif data.startswith(PNG_SIGNATURE):
        check_png(data)
    elif data.startswith(TIFF_STARTS):
        check_tiff(data)
    elif data.startswith(b"BM"):
        check_bmp(data)


def check_png(data: bytes) -> None:
    """Count the chunks of a PNG: each costs as much time as kilobytes of pixels.

    Raises:
        ImageError: there are too many, or several colour profiles.
    """
    at, pixels, others, profiles = len(PNG_SIGNATURE), 0, 0, 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        pixels += kind in (b"IDAT", b"fdAT")
        others += kind not in (b"IDAT", b"fdAT")
        profiles += kind == b"iCCP"
        if pixels > MAX_DATA_CHUNKS or others > MAX_OTHER_CHUNKS or profiles > 1:
            raise ImageError("the PNG has more chunks than any program writes; save it again and retry")
        at += size + 12


def check_bmp(data: bytes) -> None:
    """Check the size of a BMP that is compressed by run length.

    Raises:
        ImageError: it is too large.
    """
    if len(data) < 34 or struct.unpack_from("<I", data, 14)[0] < 40:
        return
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in BMP_RLE and abs(width * height) + len(data) > MAX_RUN_LENGTH_COST:
        raise ImageError("the BMP is compressed by run length and large; save it as PNG")
