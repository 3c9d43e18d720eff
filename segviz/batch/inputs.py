"""Input pictures: files, folders and drawn scenes, each with a unique stem for its output files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

from segviz.data.open_data_set import open_data_set
from segviz.data.readers.table import find_layout
from segviz.data.sample import DataError
from segviz.data.sample_files import find_folders
from segviz.data.scenes.by_name import SourceError, draw_named_scene, is_scene, scene_seed
from segviz.filenames import MOST_BYTES, make_unique, safe_name
from segviz.image import ImageError, Rgb, as_rgb, decode, read_picture_bytes
from segviz.picture_files.formats import HEAD_BYTES, PICTURE_SUFFIXES, may_be_picture
from segviz.text import plain_text

FOLDERS_ABOVE = 3  # in which a data set is looked for


@dataclass(frozen=True)
class Source:
    """A picture that is opened only when it is processed.

    Attributes:
        text: the name that the user gave.
        stem: the beginning of its output files' names; unique within a run.
        open: returns the RGB picture (height, width, 3) uint8; raises ImageError.
    """

    text: str
    stem: str
    open: Callable[[], Rgb]


@dataclass(frozen=True)
class PackedPicture:
    """A picture of the command line on its way to another process, which need not see the same files.

    Attributes:
        text: as in `Source`.
        stem: as in `Source`.
        data: the file's bytes; empty for a drawn scene, which its name tells.
    """

    text: str
    stem: str
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of all that its results depend on: its names and its bytes."""
        head = f"{self.text!r}{self.stem!r}".encode()
        return sha256(head + sha256(self.data).digest()).hexdigest()

    def unpack(self) -> Source:
        """The same picture, opened as `find_sources` would open it."""
        return Source(self.text, self.stem, self._open)

    def _open(self) -> Rgb:
        if is_scene(self.text):
            return draw_named_scene(self.text).image
        try:
            return decode(self.data)
        except ImageError as error:
            raise ImageError(f"{plain_text(self.text)}: {error}") from None


def pack_picture(source: Source) -> PackedPicture:
    """A picture of `find_sources` with its file's bytes.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    data = b"" if is_scene(source.text) else read_picture_bytes(Path(source.text))
    return PackedPicture(source.text, source.stem, data)


def find_sources(texts: Sequence[str]) -> list[Source]:
    """Find the pictures that paths, folders and `scene:SEED` name; a folder gives its own pictures, sorted by name.

    Raises:
        SourceError: a scene's seed is not a number, or a folder holds no picture.
    """
    named: list[str] = []
    for text in texts:
        if is_scene(text):
            scene_seed(text)
        named += list_pictures(Path(text)) if is_folder(text) else [text]
    return [Source(text, stem, partial(open_input, text)) for text, stem in zip(named, make_stems(named), strict=True)]


def list_pictures(folder: Path) -> list[str]:
    """List the pictures in a folder, see `may_be_picture`.

    Raises:
        SourceError: the folder holds no picture.
    """
    files = (path for path in folder.iterdir() if path.is_file())
    found = sorted(path for path in files if may_be_picture(path.name, partial(read_head, path)))
    if not found:
        raise SourceError(f"{folder} holds no supported picture; {find_cure(folder)}")
    return [str(path) for path in found]


def find_cure(folder: Path) -> str:
    """What to do about a folder without pictures: folders inside it are not read, and a data set has splits."""
    inside = find_folders(folder)
    cure = f"use a folder with {', '.join(PICTURE_SUFFIXES)} files"
    if inside:
        cure = f"folders inside it are not read, so name one of them, such as {folder / inside[0]}"
    root = next((one for one in (folder, *folder.parents[:FOLDERS_ABOVE]) if find_layout(one) is not None), None)
    if root is None:
        return cure
    try:
        splits = open_data_set(root).splits
    except DataError:
        return cure
    split = next((one for one in (folder.name, "val", *splits) if one in splits), None)
    return f"{cure}, or a split of the data set: `predict {root} --split {split}`" if split else cure


def read_head(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def open_input(text: str) -> Rgb:
    """Read a picture from its path, or draw the scene of `scene:SEED`.

    Raises:
        SourceError: the scene's seed is not a number.
        ImageError: the file is missing or is not a picture.
    """
    return draw_named_scene(text).image if is_scene(text) else as_rgb(Path(text))


def is_folder(text: str) -> bool:
    """Whether a text names an existing folder."""
    try:
        return not is_scene(text) and Path(text).is_dir()
    except OSError:  # for example a name that is too long
        return False


def make_stems(texts: Sequence[str]) -> list[str]:
    """Make a safe file stem for each picture, unique also on file systems that ignore case.

    Where pictures of several folders have the same name, all stems begin with the folders, without those that all
    pictures share: so frames of several sequences can be told apart.
    """
    taken: set[str] = set()
    paths = [None if is_scene(text) else Path(text) for text in texts]
    files = [path for path in paths if path is not None]
    shared = count_shared_folders(files) if share_names(files) else None
    plain = (
        text.replace(":", "-") if path is None else path.stem if shared is None else stem_with_folders(path, shared)
        for text, path in zip(texts, paths, strict=True)
    )
    return [make_unique(safe_name(one, "image"), taken) for one in plain]


def share_names(paths: Sequence[Path]) -> bool:
    """Whether files of several folders have the same name, whatever its case and ending."""
    folders: dict[str, Path] = {}
    return any(folders.setdefault(path.stem.lower(), path.parent) != path.parent for path in paths)


def count_shared_folders(paths: Sequence[Path]) -> int:
    """How many of their outer folders all files share."""
    levels = zip(*(path.parts[:-1] for path in paths), strict=False)
    return sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))


def stem_with_folders(path: Path, shared: int) -> str:
    """A file's stem behind the names of its folders, of which a long path keeps the inner ones.

    Args:
        path: the file's.
        shared: how many of the outer folders are left out.
    """
    folders = [part for part in path.parts[shared:-1] if part not in (path.anchor, os.pardir)]
    while folders and len("_".join([*folders, path.stem]).encode()) > MOST_BYTES:
        folders.pop(0)
    return "_".join([*folders, path.stem])
