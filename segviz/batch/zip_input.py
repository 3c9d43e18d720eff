"""Pictures in a ZIP that somebody sent: nothing is unpacked to disk, and only one picture lies in memory at a time."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from functools import partial
from pathlib import PurePosixPath

from segviz.batch.inputs import PICTURE_SUFFIXES
from segviz.image import MAX_BYTES, ImageError, Rgb, decode
from segviz.text import plain

MAX_ENTRIES = 2000
MAX_DIRECTORY_BYTES = 1024**2  # bytes of the list of entries: what zipfile reads before one can count them
MAX_RATIO = 200  # of a picture's bytes to those in the ZIP: a picture is packed already
END, END_SIZE, MAX_COMMENT, ZIP64, ZIP64_SIZE = b"PK\x05\x06", 22, 65535, b"PK\x06\x07", 20
COMPRESSION_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1


class ZipError(ValueError):
    """A ZIP that cannot be used; the message names the cause and the cure."""


def list_zip_pictures(content: bytes) -> list[tuple[str, partial[Rgb]]]:
    """The pictures in a ZIP by their names' last part, each with what opens it; other files are left out.

    Opening one raises ImageError.

    Raises:
        ZipError: it is damaged, no ZIP, too large, or holds no picture.
    """
    check_directory(content)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ZipError(f"it is damaged ({plain(str(error))}); pack it again") from None
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ZipError(f"it holds {len(entries)} files; at most {MAX_ENTRIES} are read, so pack several")
    files = [one for one in entries if not one.filename.endswith("/")]
    found = [(PurePosixPath(one.filename.replace("\\", "/")).name, one) for one in files]
    pictures = [(name, one) for name, one in found if is_picture(name)]
    if not pictures:
        raise ZipError(f"it holds no picture; pack {', '.join(PICTURE_SUFFIXES)} files")
    return [(name, partial(open_entry, archive, one)) for name, one in pictures]


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending, and not one of those that start with a dot, as macOS adds them."""
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def check_directory(content: bytes) -> None:
    """Attends to the end of a ZIP, before zipfile reads whatever list of entries it points to.

    Raises:
        ZipError: there is no end, or the list is longer than any honest one.
    """
    at = content.rfind(END, max(0, len(content) - END_SIZE - MAX_COMMENT))
    if at < 0 or len(content) < at + END_SIZE:
        raise ZipError("it is no ZIP, or its end is missing; pack it again")
    (size,) = struct.unpack_from("<12xL", content, at)
    if size > MAX_DIRECTORY_BYTES or content[max(0, at - ZIP64_SIZE) :].startswith(ZIP64):
        raise ZipError(f"its list of files is too long; at most {MAX_ENTRIES} are read, so pack several")


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Rgb:
    """A picture out of a ZIP.

    Raises:
        ImageError: it is encrypted, too large, packed too tightly, damaged, or no picture.
    """
    if entry.flag_bits & ENCRYPTED:
        raise ImageError("the file is encrypted; pack the pictures without a password")
    if entry.compress_type not in COMPRESSION_METHODS:
        raise ImageError("the file is packed by an unusual method; pack it with deflate")
    if entry.file_size > MAX_BYTES:
        raise ImageError(
            f"the file has {entry.file_size / 1024**2:.1f} MB; at most {MAX_BYTES // 1024**2} MB are read, "
            "so save it smaller"
        )
    if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise ImageError(f"the file is packed to less than 1/{MAX_RATIO} of its size, as no picture is; send it alone")
    try:
        with archive.open(entry) as file:
            data = file.read(entry.file_size + 1)  # more than that is never unpacked, whatever lies there
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise ImageError(f"the file is damaged in the ZIP ({plain(str(error))}); pack it again") from None
    return decode(data)
