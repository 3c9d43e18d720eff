"""Picture files by their bytes: what no library writes, or only with trouble."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

Tags = Mapping[int, tuple[int, Sequence[int]]]  # type (3 short, 4 long, 5 rational) and values by tag


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels: np.ndarray, bits: int, kind: int, extra: bytes = b"") -> bytes:
    """A PNG of (height, width, channels) levels; kind: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha."""
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, kind, 0, 0, 0)
    rows = b"".join(b"\0" + packed(row, bits, ">") for row in pixels)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def packed(levels: np.ndarray, bits: int, order: str) -> bytes:
    """Levels of one row, packed."""
    if bits % 8 == 0:
        return levels.astype(f"{order}u{bits // 8}").tobytes()
    text = "".join(f"{int(level):0{bits}b}" for level in levels.ravel())
    return bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))


def tiff(pixels: np.ndarray, bits: int, photometric: int, order: str = "<", tags: Tags | None = None) -> bytes:
    """An uncompressed TIFF of (height, width, channels) levels; more tags may be given, or others."""
    height, width, channels = pixels.shape
    data = b"".join(packed(row, bits, order) for row in pixels)
    entries: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1]), 262: (3, [photometric]),
        273: (4, [0]), 277: (3, [channels]), 278: (4, [height]), 279: (4, [len(data)]), **(tags or {}),
    }  # fmt: skip
    values = {
        tag: struct.pack(order + {3: "H", 4: "I", 5: "I"}[kind] * len(v), *v) for tag, (kind, v) in entries.items()
    }
    start = 8 + 2 + 12 * len(entries) + 4
    if tags is None or 273 not in tags:
        values[273] = struct.pack(order + "I", start + sum(len(v) for v in values.values() if len(v) > 4))
    directory, rest = struct.pack(order + "H", len(entries)), b""
    for tag in sorted(entries):
        kind, numbers = entries[tag]
        count = len(numbers) // 2 if kind == 5 else len(numbers)
        value = values[tag].ljust(4, b"\0")
        if len(value) > 4:
            value, rest = struct.pack(order + "I", start + len(rest)), rest + value
        directory += struct.pack(order + "HHI", tag, kind, count) + value
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + directory + bytes(4) + rest + data


def jpeg_of_scans(scans: int, size: tuple[int, int], mode: str = "RGB") -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(Image.new(mode, size, (90, 120, 30, 10)[: len(mode)]), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * (scans - data.count(b"\xff\xda")) + data[-2:]


def claim_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A progressive JPEG whose header claims another size."""
    at = jpeg.index(b"\xff\xc2") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
