"""Which files are pictures, by content and by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath

from segviz.text import join_choices

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff")
HEIC_SUFFIXES = (".heic", ".heif")  # refused with advice, rather than passed over
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEAD_BYTES = 1024  # as many of a file's first bytes tell its format; an SVG may begin with a long comment
AVIF_BRANDS = (b"avif", b"avis")
RAW_BRAND = b"crx "
RAW_STARTS = (b"II*\0\x10\0\0\0CR", b"IIRO", b"IIRS", b"IIU\0", b"FUJIFILMCCD-RAW")  # Canon to Fujifilm
OTHER_FORMATS = {"GIF": (b"GIF87a", b"GIF89a"), "PDF": (b"%PDF-",), "PSD": (b"8BPS",), "camera raw": RAW_STARTS}
XML_SPACE = b"\xef\xbb\xbf \t\r\n"  # and the mark of UTF-8, which may come before it
XML_STARTS = (b"<svg", b"<?xml", b"<!--", b"<!doctype svg")


def is_heic(data: bytes) -> bool:
    """Whether a file is HEIC or HEIF, as iPhones write."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS


def name_unsupported(data: bytes) -> str:
    """The name of a common format that is not read, by a file's first `HEAD_BYTES` bytes; "" for any other content."""
    head = data[:HEAD_BYTES]
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "AVIF" if brand in AVIF_BRANDS else "camera raw" if brand == RAW_BRAND else "HEIC" * is_heic(head)
    start = head.lstrip(XML_SPACE).lower()
    if start.startswith(XML_STARTS) and b"<svg" in start:
        return "SVG"
    return next((name for name, starts in OTHER_FORMATS.items() if head.startswith(starts)), "")


def name_formats(formats: Sequence[str] = PICTURE_FORMATS) -> str:
    """Formats in a sentence, as "PNG or WebP"."""
    return join_choices("WebP" if one == "WEBP" else one for one in formats)


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
