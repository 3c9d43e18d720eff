"""Which files are pictures, by content and by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff")
HEIC_SUFFIXES = (".heic", ".heif")  # refused with advice, rather than passed over
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEAD_BYTES = 16  # as many of a file's first bytes tell its format


def is_heic(data: bytes) -> bool:
    """Whether a file is HEIC or HEIF, as iPhones write."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS


def may_be_picture(name: str, read_head: Callable[[], bytes]) -> bool:
    """Whether a file is to be opened as a picture: by its ending, or by its first bytes if it has none.

    Hidden files are left out; macOS adds them beside the real ones.
    """
    suffix = PurePath(name).suffix.lower()
    if name.startswith("."):
        return False
    return suffix in (*PICTURE_SUFFIXES, *HEIC_SUFFIXES) or (not suffix and starts_like_picture(read_head()))


def starts_like_picture(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` bytes of a file are those of a picture."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return webp or is_heic(head) or head.startswith((PNG_SIGNATURE, JPEG_START + b"\xff", b"BM", *TIFF_STARTS))
