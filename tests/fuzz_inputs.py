"""Bad input of bytes: real files of drawn scenes, and what becomes of them.

A maker takes a `random.Random` and gives one input. Most are damaged, some are as they should be.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from picture_bytes import jpeg_of_scans, png, tiff
from PIL import Image, ImageCms

from segviz.batch.inputs import PackedPicture
from segviz.catalogue.location import checkpoints_folder
from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import CAMVID
from segviz.data.scenes import Scene, draw_scene

HEIGHT, WIDTH = 48, 64
PNG = b"\x89PNG\r\n\x1a\n"
EXTREMES = (0, 1, 2, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 255, 256, 10**30, -(10**18), 0.5, 1e308, float("nan"), float("inf"), "", "x",
    "sam", "../../x", "/etc/passwd", "a\0b", "\ud800", "<b>x</b>", "٣", "x" * 5000, [], [[]], {}, {"a": 1},
    [1, 2, 3], ["a"] * 300,
)  # fmt: skip


# ---- bytes ----------------------------------------------------------------------------------------------


LIST_RUN = {"command": "predict", "segviz": "0"}


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[place(data, chance)] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    at = place(data, chance)
    data[at : at + 4] = chance.randbytes(len(data[at : at + 4]))


def truncate(data: bytearray, chance: random.Random) -> None:
    del data[place(data, chance) :]


def cut_out(data: bytearray, chance: random.Random) -> None:
    at = place(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 16, 300))]


def duplicate(data: bytearray, chance: random.Random) -> None:
    at = place(data, chance)
    data[at:at] = data[at : at + chance.choice((1, 4, 16, 300))] * chance.randint(1, 3)


def lie_about_length(data: bytearray, chance: random.Random) -> None:
    form = chance.choice((">I", "<I", ">H", "<H"))
    size, at = struct.calcsize(form), place(data, chance)
    if at + size <= len(data):
        struct.pack_into(form, data, at, chance.choice(EXTREMES) % 256**size)


MUTATIONS = (flip, overwrite, truncate, cut_out, duplicate, lie_about_length, lie_about_length)


def place(data: bytearray, chance: random.Random) -> int:
    """Somewhere in the bytes, more often near their start, where lengths and kinds stand."""
    return chance.randrange(min(len(data), chance.choice((32, 128, 512, 10**9)))) if data else 0


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes after some mishaps; in one of twenty cases none."""
    if chance.random() < 0.05:
        return data
    if others and chance.random() < 0.1:
        tail = chance.choice(others)
        return data[: chance.randint(0, len(data))] + tail[chance.randint(0, len(tail)) :]
    if data.startswith(PNG) and chance.random() < 0.5:
        return mutated_png(data, chance)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if changed:
            chance.choice(MUTATIONS)(changed, chance)
    return bytes(changed)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def mutated_png(data: bytes, chance: random.Random) -> bytes:
    """A PNG whose chunks are damaged inside, with check sums that hold."""
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + size])))
        at += size + 12
    for _ in range(chance.randint(1, 3)):
        deed, one = chance.random(), chance.randrange(len(chunks))
        if deed < 0.15:
            chunks.insert(chance.randrange(len(chunks)), chunks[one])
        elif deed < 0.25 and len(chunks) > 1:
            del chunks[one]
        elif deed < 0.4:
            kind = chance.choice(
                (b"tRNS", b"PLTE", b"gAMA", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fcTL", b"fdAT", b"sRGB")
            )
            chunks.insert(1, (kind, bytearray(chance.randbytes(chance.choice((0, 1, 3, 8, 26, 256, 769))))))
        elif chunks[one][1]:
            chance.choice(MUTATIONS)(chunks[one][1], chance)
    return data[:8] + b"".join(png_chunk(name, bytes(content)) for name, content in chunks)


# ---- pictures and labels --------------------------------------------------------------------------------


@cache
def scene(seed: int = 0) -> Scene:
    return draw_scene(seed, width=WIDTH, height=HEIGHT)


def encoded(picture: Image.Image, kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@cache
def pictures() -> tuple[bytes, ...]:
    """Scenes in every form that is read, and in some that are not."""
    rgb = Image.fromarray(scene().image)
    rgba = rgb.convert("RGBA")
    rgba.putalpha(128)
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    others = [rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.fromarray(scene(1).image)]
    found = [encoded(rgb.convert(mode), "PNG") for mode in ("RGB", "L", "P", "1", "LA")]
    found += [encoded(rgba, kind) for kind in ("PNG", "WEBP", "TIFF")]
    found += [encoded(deep, kind) for kind in ("PNG", "TIFF")]
    found += [encoded(rgb.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")]
    found += [encoded(rgb, "JPEG", progressive=True), encoded(rgb, "PNG", interlace=1)]
    found += [encoded(rgb.convert(mode), "BMP") for mode in ("RGB", "P", "1")]
    found += [encoded(rgb, "TIFF", compression=how) for how in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")]
    found += [encoded(rgb.convert(mode), "TIFF") for mode in ("F", "I", "CMYK", "YCbCr", "LAB", "1")]
    found += [encoded(rgb, kind, exif=turned(way)) for way in range(1, 9) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    found += [encoded(rgb, kind, save_all=True, append_images=others) for kind in ("PNG", "WEBP", "TIFF", "GIF")]
    found += [encoded(rgb.resize(size), "PNG") for size in ((1, 1), (1, 4000), (4000, 1), (2, 3))]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found += [encoded(rgb, kind, icc_profile=srgb) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
    found += [png(np.asarray(deep)[..., None], 16, 0, png_chunk(b"tRNS", b"\1\1"))]
    found += [tiff(np.asarray(rgb).astype(int) * 257, 16, 2, order) for order in "<>"]
    found += [tiff(np.asarray(deep)[..., None], 16, white, "<") for white in (0, 1)]
    found += [jpeg_of_scans(30, (WIDTH, HEIGHT)), b"\0\0\0\x18ftypheic" + bytes(40)]
    found += [encoded(rgb, kind) for kind in ("ICO", "PPM", "PDF", "JPEG2000", "TGA")]
    found += [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"SIMPLE  ="]
    return tuple(found)


def picture(chance: random.Random) -> bytes:
    return mutated(chance.choice(pictures()), chance, pictures())


@cache
def masks() -> tuple[bytes, ...]:
    """Sound labels of the scene, as indices, colours and palette."""
    labels = scene().labels
    colours = np.vstack([CAMVID.colours, np.zeros((245, 3), np.uint8)])
    paletted = Image.fromarray(labels)
    paletted.putpalette(colours.astype(np.uint8).tobytes())
    plain = [Image.fromarray(labels), Image.fromarray(colours[labels].astype(np.uint8)), paletted]
    found = [encoded(one, "PNG", **more) for one in plain for more in ({}, {"interlace": 1}, {"exif": turned(3)})]
    return (*found, encoded(plain[1].convert("RGBA"), "PNG"), encoded(plain[0].convert("1"), "PNG"))


def mask(chance: random.Random) -> bytes:
    return mutated(chance.choice(masks()), chance, masks()) if chance.random() < 0.9 else picture(chance)


# ---- JSON and checkpoints -------------------------------------------------------------------------------


def mutated_json(value: Any, chance: random.Random) -> Any:
    """A JSON value in which something has another value, is gone, or lies deeper."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {key: one for key, one in value.items() if key != name}
        return {**value, name: mutated_json(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], mutated_json(value[at], chance), *value[at + 1 :]]
    return [value] if chance.random() < 0.1 else chance.choice(ODD)


@cache
def real_checkpoint(name: str = "sam") -> bytes:
    return (checkpoints_folder() / f"{name}.safetensors").read_bytes()


def checkpoint(chance: random.Random) -> bytes:
    data = real_checkpoint()
    start = 8 + int.from_bytes(data[:8], "little")
    header, deed = json.loads(data[8:start]), chance.random()
    if deed < 0.4:  # another record
        record = json.loads(header["__metadata__"]["segviz"])
        for _ in range(chance.randint(1, 3)):
            record = mutated_json(record, chance)
        header["__metadata__"]["segviz"] = json.dumps(record)
    elif deed < 0.6:  # other tensors
        name = chance.choice([name for name in header if name != "__metadata__"])
        header[name] = mutated_json(header[name], chance)
    elif deed < 0.75:  # bytes of the header and of the lengths
        return mutated(data[:start], chance) + data[start:]
    elif deed < 0.9:  # bytes anywhere
        return mutated(data, chance)
    else:  # something else altogether
        others = (*pictures(), packed({"a": b"b"}), b"\x80\x04K\x01.", bytes(9), b"\xff" * 64)
        return mutated(chance.choice(others), chance)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


class Stranger:
    """An object that torch.load(weights_only=True) refuses."""


@cache
def sound_weights() -> tuple[bytes, ...]:
    """PyTorch checkpoints, in both formats, with and without foreign objects."""
    state = {"a.weight": torch.arange(12.0).reshape(3, 4).T, "a.bias": torch.ones(3, dtype=torch.half)}
    found = []
    for content in (state, {"state_dict": state, "logger": Stranger(), "meta": {"CLASSES": ("a", "b")}}):
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
            found.append(buffer.getvalue())
    return tuple(found)


def weights(chance: random.Random) -> bytes:
    return mutated(chance.choice(sound_weights()), chance, sound_weights())


# ---- ZIPs -----------------------------------------------------------------------------------------------

NAMES = (
    "one.png", "two.JPG", "a/b.webp", "../../up.png", "/abs.png", "C:\\win.png", "..\\..\\x.tiff", "a\nb.png",
    "con.png", ".hidden.png", "x" * 300 + ".png", "straße.bmp", "notes.txt", "…/‮gnp.png", "dir/", "%2e%2e%2fx.png",
    "<b>.png", ".png",
)  # fmt: skip


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if name == "a/b.webp":
                entry.external_attr = 0o120777 << 16  # a symbolic link
            archive.writestr(entry, content)
    return buffer.getvalue()


def sound_archive() -> bytes:
    return packed({"a/one.png": pictures()[0], "../two.jpg": pictures()[10]})


def archive(chance: random.Random) -> bytes:
    names = chance.sample(NAMES, chance.randint(1, 5))
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    contents = [picture(chance) if chance.random() < 0.3 else chance.choice(pictures()) for _ in names]
    if chance.random() < 0.05:
        contents[0] = bytes(2**20)  # as no picture is packed
    data = bytearray(packed(dict(zip(names, contents, strict=True)), chance.choice(methods)))
    if chance.random() < 0.5:  # the fields of an entry, and of the list of entries
        mark, size = chance.choice(((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22)))
        at = data.find(mark) + chance.randrange(4, size)
        form = chance.choice(("<B", "<H", "<I"))
        if at + struct.calcsize(form) <= len(data):
            struct.pack_into(form, data, at, chance.choice(EXTREMES) % 256 ** struct.calcsize(form))
        return bytes(data)
    return mutated(bytes(data), chance)


@cache
def sound_list() -> bytes:
    """A list of finished pictures and counts, whose first picture is `scene:1`."""
    means = {"sums": {"entropy": 0.5}, "counts": {"entropy": 2}}
    counts = {
        "everywhere": {"val": [[0, 5], [12, 7]]},
        "near_borders": {"val": []},
        "maps": {"spatial": {"grid": [3, 4], "trained": means, "even": means, "random": means}},
    }
    picture_entry = {"files": {"scene-1_labels.png": "a" * 64}, "summary": {"image": "scene:1", "confidence": 0.5}}
    key = PackedPicture("scene:1", "scene-1", b"").digest
    lines = [{"run": LIST_RUN}, {"key": key, "entry": picture_entry}, {"key": "counts", "entry": counts}]
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def finished_list(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return mutated(sound_list(), chance)
    values = [json.loads(line) for line in sound_list().splitlines()]
    at = chance.randrange(len(values))
    values[at] = mutated_json(values[at], chance)
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


# ---- folders of data ------------------------------------------------------------------------------------

PARTS = ("images", "labels")
ODD_META = (b"[" * 100_000, b"\xff\xfe", b'{"classes": ' + b"9" * 5000 + b"}", b'{"classes": ["a"], "void": 1e999}')
ODD_NAMES = (
    b"\xff\n", b"../../one\n", b"/etc/passwd\n", b"a\0b\n", b"x" * 400, b"one\r\none\r\n", b"\n", b"train\n",
    b"\xef\xbb\xbfone\n",
)  # fmt: skip


def spoiler(chance: random.Random) -> random.Random:
    """The chance that spoils a folder, which is written where the harness has room for it."""
    return chance


def data_set(root: Path, chance: random.Random | None) -> None:
    """Write a data set of two pictures, spoilt where there is a chance."""
    meta = {"classes": list(CAMVID.names), "void": 255}
    sound = encoded(Image.fromarray(scene().image), "PNG"), encoded(Image.fromarray(scene().labels), "PNG")
    files = {
        f"train/{part}/{name}.png": data for name in ("one", "two") for part, data in zip(PARTS, sound, strict=True)
    }
    files |= {"meta.json": json.dumps(meta).encode(), "train.txt": b"one\ntwo\n"}
    if chance is not None:
        spoil(files, meta, chance)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if chance is not None and chance.random() < 0.15:
        displace(root / chance.choice(sorted(files)), chance)


def spoil(files: dict[str, bytes], meta: dict[str, Any], chance: random.Random) -> None:
    """Make something of a data set's files what it should not be."""
    deed, text, listing = chance.random(), files["meta.json"], files["train.txt"]
    if deed < 0.25:
        files["meta.json"] = json.dumps(mutated_json(meta, chance)).encode()
    elif deed < 0.35:
        files["meta.json"] = chance.choice((mutated(text, chance), *ODD_META))
    elif deed < 0.55:
        files["train.txt"] = chance.choice((mutated(listing, chance), listing + chance.choice(ODD_NAMES)))
    else:
        part, make = chance.choice((("images", picture), ("labels", mask)))
        files[f"train/{part}/{chance.choice(('one', 'two'))}.png"] = make(chance)


CLASS_MAP: dict[str, Any] = {
    "classes": [{"name": f"c{at}", "ids": [at], "colours": [f"#0000{at:02x}"], "colour": "#80408a"} for at in range(9)],
    "void_ids": [255], "void_colours": ["#ffffff"], "others": "void", "picture_ending": "", "label_ending": "",
    "splits": {"train": {"pictures": "train/images", "labels": "train/labels", "list": "train.txt"}},
}  # fmt: skip
PHASES: dict[str, Any] = {
    "images": [{"file_name": f"{name}.jpg", "phase": "train"} for name in ("one", "two")], "annos": ["x"],
}  # fmt: skip
CONTEXT_FILES = ("trainval_merged.json", "59_labels.txt", "ImageSets/SegmentationContext/train.txt")


def class_map_folder(root: Path, chance: random.Random | None) -> None:
    """Write a data set with a class map, and PASCAL Context beside it, of whose text files one is spoilt."""
    data_set(root, None)
    text = json.dumps(CLASS_MAP if chance is None else mutated_json(CLASS_MAP, chance)).encode()
    (root / "map.json").write_bytes(text if chance is None or chance.random() < 0.8 else mutated(text, chance))
    order = "".join(f"{at}: {name}\n" for at, name in enumerate(CLASS_SETS["context59"].names, 1)).encode()
    files = dict(zip(CONTEXT_FILES, (json.dumps(PHASES).encode(), order, b"one\ntwo\n"), strict=True))
    if chance is not None:
        name = chance.choice(CONTEXT_FILES)
        files[name] = mutated(files[name], chance)
        if name == CONTEXT_FILES[0]:
            files.pop(CONTEXT_FILES[2])  # else the lists are read, and not the phases
            files[name] = chance.choice((files[name], json.dumps(mutated_json(PHASES, chance)).encode()))
    for name in ("one", "two"):
        files[f"JPEGImages/{name}.jpg"] = encoded(Image.new("RGB", (8, 6)), "JPEG")
        files[f"SegmentationClassContext/{name}.png"] = encoded(Image.new("L", (8, 6), 59), "PNG")
    for name, content in files.items():
        (root / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "context" / name).write_bytes(content)


def displace(path: Path, chance: random.Random) -> None:
    """Something else in a file's place: nothing, a folder, a link to itself, a link to a folder."""
    path.unlink()
    deed = chance.randrange(4)
    if deed == 1:
        path.mkdir()
    elif deed > 1:
        path.symlink_to(path if deed == 2 else path.parent)
