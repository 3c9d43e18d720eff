"""Pictures in an uploaded ZIP: nothing is unpacked to disk, and one picture at a time is held in memory."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from segviz.image import MAX_BYTES, ImageError, Rgb, decode
from segviz.picture_files.formats import HEAD_BYTES, PICTURE_SUFFIXES, may_be_picture
from segviz.text import plain_text

MAX_ENTRIES = 2000
MAX_DIRECTORY_BYTES = 1024**2  # zipfile reads the whole directory before its entries can be counted
MAX_RATIO = 200  # unpacked to packed bytes: pictures are compressed already, so more is a bomb
END, END_SIZE, MAX_COMMENT, ZIP64, ZIP64_SIZE = b"PK\x05\x06", 22, 65535, b"PK\x06\x07", 20
COMPRESSION_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, struct.error)


class ZipError(ValueError):
    """A ZIP that cannot be used; the message names cause and cure."""


@dataclass(frozen=True)
class ZipFiles:
    """The files in a ZIP.

    Attributes:
        pictures: each one's path in the ZIP and a function that opens it, which raises ImageError.
        others: the paths of files that are no pictures; without hidden ones, which systems add.
    """

    pictures: list[tuple[str, partial[Rgb]]]
    others: list[str]


def list_zip_files(content: bytes) -> ZipFiles:
    """List the pictures and the other files in a ZIP.

    Raises:
        ZipError: the content is damaged, not a ZIP, too large, or holds no picture.
    """
    check_directory(content)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ZipError(f"the ZIP is damaged ({plain_text(str(error))}); pack it again") from None
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ZipError(f"the ZIP holds {len(entries)} files; the limit is {MAX_ENTRIES}, so pack several ZIPs")
    files = [one for one in entries if not one.filename.endswith("/")]
    found = [(entry_path(one.filename), one) for one in files]
    pictures, others = list[tuple[str, partial[Rgb]]](), list[str]()
    for path, one in found:
        if may_be_picture(path.name, partial(read_entry_head, archive, one)):
            pictures.append((str(path), partial(open_entry, archive, one)))
        elif path.name and not path.name.startswith("."):
            others.append(str(path))
    if not pictures:
        raise ZipError(f"the ZIP holds no supported picture; pack {', '.join(PICTURE_SUFFIXES)} files")
    return ZipFiles(pictures, others)


def entry_path(name: str) -> PurePosixPath:
    """The path of a file inside its ZIP: relative, and without steps out of a folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return PurePosixPath(*(part for part in parts if not part.startswith("/") and part != ".."))


def read_entry_head(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The first bytes of a file in a ZIP; none if it cannot be read."""
    if entry.flag_bits & ENCRYPTED or entry.compress_type not in COMPRESSION_METHODS:
        return b""
    try:
        with archive.open(entry) as file:
            return file.read(HEAD_BYTES)
    except UNREADABLE:
        return b""


def check_directory(content: bytes) -> None:
    """Check the end record of a ZIP, before zipfile reads the directory that the record points to.

    Raises:
        ZipError: the end record is missing, or the directory exceeds 1 MiB.
    """
    at = content.rfind(END, max(0, len(content) - END_SIZE - MAX_COMMENT))
    if at < 0 or len(content) < at + END_SIZE:
        raise ZipError("this is not a ZIP, or its end is missing; pack it again")
    (size,) = struct.unpack_from("<12xL", content, at)
    if size > MAX_DIRECTORY_BYTES or content[max(0, at - ZIP64_SIZE) :].startswith(ZIP64):
        raise ZipError(f"the ZIP's list of files is too long; the limit is {MAX_ENTRIES} files, so pack several ZIPs")


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Rgb:
    """Read a picture from a ZIP.

    Raises:
        ImageError: the entry is encrypted, too large, compressed beyond MAX_RATIO, damaged, or not a picture.
    """
    if entry.flag_bits & ENCRYPTED:
        raise ImageError("the file is encrypted; pack the pictures without a password")
    if entry.compress_type not in COMPRESSION_METHODS:
        raise ImageError("the file uses an unusual compression method; pack it with deflate")
    if entry.file_size > MAX_BYTES:
        raise ImageError(
            f"the file has {entry.file_size / 1024**2:.1f} MB; the limit is {MAX_BYTES // 1024**2} MB, "
            "so save it smaller"
        )
    if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise ImageError(f"the file is packed to less than 1/{MAX_RATIO} of its size; send this picture on its own")
    try:
        with archive.open(entry) as file:
            data = file.read(entry.file_size + 1)  # never unpacks more than the declared size
    except UNREADABLE as error:
        raise ImageError(f"the file is damaged in the ZIP ({plain_text(str(error))}); pack it again") from None
    return decode(data)
