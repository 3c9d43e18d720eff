"""What a TIFF may cost, and Exif metadata, which is a TIFF's directory: strips, tiles and values."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from segviz.picture_files.errors import ImageError

MAX_TAGS = 1_000  # of a directory; cameras write fewer than 100
MAX_VALUES = 500_000  # numbers in a file's directories: each becomes an object
MAX_PARTS = 65_536  # strips or tiles; a strip for each row is common
MAX_TILED_PIXELS = 64_000_000  # of all tiles with their padding
SHORT, BIG_TIFF = 3, (b"+\0", b"\0+")
BYTE_TYPES = (1, 2, 7)  # Pillow keeps these as they are, and bounds them by the file's size
WIDTH, HEIGHT, STRIP_OFFSETS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS = 256, 257, 273, 322, 323, 324
SUBFILE_KIND, INNER_DIRECTORIES, DNG_VERSION = 254, 330, 50706
REDUCED = 1  # of the kinds: a smaller version of a picture that stands in another directory
DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS and interoperability, which Pillow reads with the first directory
Entry = tuple[int, int, int, int]  # tag, type, count, and the value or its offset


def check_tiff(data: bytes) -> None:
    """Check the first directory of a TIFF.

    Raises:
        ImageError: there are too many strips, tiles or values, or tiles far larger than the picture, or the file is
            camera raw.
    """
    entries = check_tags(data)
    preview = SUBFILE_KIND in entries and entries[SUBFILE_KIND][3] & REDUCED and INNER_DIRECTORIES in entries
    if preview or DNG_VERSION in entries:  # such as NEF and ARW
        raise ImageError("camera raw is not supported: its first picture is a small preview; export it as JPEG or PNG")
    parts = sum(entries[tag][2] for tag in (STRIP_OFFSETS, TILE_OFFSETS) if tag in entries)
    if parts > MAX_PARTS:
        raise ImageError(f"the TIFF has {parts:,} strips or tiles; at most {MAX_PARTS:,} are read, so save it as PNG")
    width, height, across, down = (
        entries[tag][3] if tag in entries else 0 for tag in (WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT)
    )
    if across and down and -(-width // across) * across * -(-height // down) * down > MAX_TILED_PIXELS:
        raise ImageError("the tiles of the TIFF are far larger than its picture; save it as PNG")


def check_tags(data: bytes) -> Mapping[int, Entry]:
    """Check the first directory and those that it leads to; the first one's entries by tag.

    Raises:
        ImageError: there are too many entries or values.
    """
    first = read_entries(data, None)
    values, waiting, seen = 0, [first], set[int]()
    while waiting:
        entries = waiting.pop()
        values += sum(count for _, kind, count, _ in entries if kind not in BYTE_TYPES)
        if len(entries) > MAX_TAGS or values > MAX_VALUES:
            raise ImageError("the file has far more metadata than any program writes; save it again without them")
        starts = {entry[3] for entry in entries if entry[0] in DIRECTORIES} - seen
        seen |= starts
        waiting += [read_entries(data, start) for start in starts]
    return {entry[0]: entry for entry in reversed(first)}  # the first of a tag counts


def read_entries(data: bytes, start: int | None) -> Sequence[Entry]:
    """Read the directory at an offset, or the first one; as many entries as there are bytes, and one over the limit."""
    order, big = ">" if data[:2] == b"MM" else "<", data[2:4] in BIG_TIFF
    count_form, form, inline = ("Q", "HHQQ", 12) if big else ("H", "HHII", 8)
    entries = list[Entry]()
    try:
        if start is None:
            (start,) = struct.unpack_from(order + ("8xQ" if big else "4xI"), data)
        (count,) = struct.unpack_from(order + count_form, data, start)
        at = start + struct.calcsize(order + count_form)
        for _ in range(min(count, MAX_TAGS + 1)):
            tag, kind, values, value = struct.unpack_from(order + form, data, at)
            if kind == SHORT and values == 1:
                (value,) = struct.unpack_from(order + "H", data, at + inline)
            entries.append((tag, kind, values, value))
            at += struct.calcsize(order + form)
    except struct.error:
        pass  # Pillow says what is wrong with it
    return entries
