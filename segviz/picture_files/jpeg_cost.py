"""What a JPEG may cost: its scans, each of which passes over the whole picture, its coefficients, and its metadata."""

from __future__ import annotations

import re
import struct

from segviz.picture_files.errors import ImageError
from segviz.picture_files.tiff_cost import check_tags

MAX_SCANS = 100  # a progressive JPEG has about 10
MAX_SEGMENTS = 5_000  # 20 MB of metadata in full segments are 320
MAX_UNPACKED = 480_000_000  # bytes of pixels, and of the coefficients that are kept from scan to scan
SOI, EOI, SOS, APP1, APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2  # markers
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
EXIF, MULTI_PICTURE = b"Exif\0\0", b"MPF\0"
MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)  # neither a data byte of 255 nor a restart


def check_jpeg(data: bytes) -> None:
    """Count scans and segments, as the decoder finds them.

    Raises:
        ImageError: there are too many, or the picture or its metadata would unpack to too much.
    """
    at = scans = segments = pixels = coefficients = 0
    exif, progressive = b"", False
    while found := MARKER.search(data, at):
        at, marker = found.end(), found[1][0]
        if marker == EOI:
            break
        if marker in (SOI, 1):  # without a length
            continue
        segments, scans = segments + 1, scans + (marker == SOS)
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise ImageError(
                f"the JPEG has more than {MAX_SCANS} scans, or more segments than any program writes; "
                "save it again and retry"
            )
        end = at + max(2, int.from_bytes(data[at : at + 2]))
        content = data[at + 2 : end]
        if marker == APP1 and content.startswith(EXIF):
            exif += content[len(EXIF) :]  # Pillow joins them too
        elif marker in FRAMES:
            pixels, coefficients = measure_frame(content)
            progressive = marker & 3 == 2
        elif marker == APP2 and content.startswith(MULTI_PICTURE):
            check_tags(content[len(MULTI_PICTURE) :])
        at = end
    check_tags(exif)
    if (progressive or scans > 1) and 4 * pixels + 2 * coefficients > MAX_UNPACKED:
        raise ImageError(
            f"the JPEG has {pixels / 10**6:.0f} megapixels in several scans, which takes too much memory; "
            "save it as baseline, not progressive, or scale it down"
        )


def measure_frame(content: bytes) -> tuple[int, int]:
    """The pixels and the coefficients of a frame, from its header."""
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        return 0, 0
    height, width, channels = struct.unpack_from(">xHHB", content)
    sampling = [content[7 + 3 * channel] for channel in range(channels)]
    across, down = max((one >> 4 for one in sampling), default=1), max((one & 15 for one in sampling), default=1)
    shares = sum((one >> 4) * (one & 15) for one in sampling) / max(1, across * down)
    return width * height, round(width * height * shares)
