"""Names of samples, and the files that have them: found by name and ending, and read with errors that name the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from segviz.data.sample import DataError, SampleFiles, list_first
from segviz.image import ImageError, Rgb, decode, read_picture_bytes
from segviz.picture_files.formats import PICTURE_SUFFIXES
from segviz.text import join_choices, plain_text

SAMPLE_SUFFIXES = tuple(sorted(PICTURE_SUFFIXES, key=".webp".__ne__))  # in any case; of two files, the WebP is read
LABEL_SUFFIXES = (".png",)
MAX_NAME_BYTES = 200  # file systems take 255 with the ending


class FileFinder:
    """Finds files by name and ending, whatever the case of the ending; each folder is listed once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, Path]] = {}

    def find(self, stem: Path, suffixes: Sequence[str]) -> Path | None:
        """The file of a name with the first of the endings that there is; None if there is none."""
        files = self._list(stem.parent)
        return next((files[key] for suffix in suffixes if (key := stem.name + suffix) in files), None)

    def _list(self, folder: Path) -> dict[str, Path]:
        """The files of a folder by their names, with the ending in lower case."""
        if folder not in self._listings:
            try:
                files = sorted(path for path in folder.iterdir() if path.is_file())  # one.png comes after one.PNG
            except OSError:
                files = []
            self._listings[folder] = {path.stem + path.suffix.lower(): path for path in files}
        return self._listings[folder]


def read_names(listing: Path) -> list[str]:
    """Read sample names from a text file, one per line.

    Raises:
        DataError: the file is missing or empty, or a line cannot name a file.
    """
    lines = read_text(listing, "it holds one sample name per line").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{listing} names no samples; write one sample name per line into it")
    if wrong := [name for name in names if not is_name(name)]:
        raise DataError(
            f"{listing} has the line {plain_text(ascii(wrong[0]), 80)}, which names no file in images; "
            "write one sample name per line, without its ending"
        )
    return names


def is_name(text: str) -> bool:
    """Whether a text can name a file inside a folder."""
    path = PurePath(text)
    leads_out = path.is_absolute() or ".." in path.parts
    return text.isprintable() and len(text.encode()) <= MAX_NAME_BYTES and not leads_out


def read_text(path: Path, content: str) -> str:
    """Read a small text file, with or without a byte order mark.

    Raises:
        DataError: it is missing or cannot be read; the message says what it should hold.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {content}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; {content}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {content}") from None


def find_picture_names(folder: Path, suffixes: Sequence[str] = SAMPLE_SUFFIXES) -> list[str]:
    """The pictures in a folder and in the folders below it, by their path from there without the ending, sorted."""
    try:
        paths = [path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    except OSError:
        return []
    return sorted({path.relative_to(folder).with_suffix("").as_posix() for path in paths})


def find_label_names(folder: Path, endings: Sequence[str] = ("",)) -> set[str]:
    """The samples that have a label file in a folder or below it, named as those of `find_picture_names`.

    Args:
        folder: where the label files are.
        endings: those that follow a sample's name in the name of its label file, before the suffix.
    """
    names = find_picture_names(folder, LABEL_SUFFIXES)
    return {name.removesuffix(ending) for name in names for ending in endings if name.endswith(ending)}


def find_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none if it cannot be listed."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def describe_missing_files(kind: str, paths: Sequence[str], endings: Sequence[str], cure: str) -> list[str]:
    """A fault that lists the missing files of one kind; none if there are none.

    Args:
        kind: "pictures" or "labels".
        paths: the files; without the ending if there are several.
        endings: those that a file may have.
        cure: what to do.
    """
    if not paths:
        return []
    ending = f" (ending in {join_choices(endings)})" if len(endings) > 1 else ""
    return [f"missing {kind}: {', '.join(list_first(paths))}{ending}; {cure}"]


def read_picture(files: SampleFiles) -> Rgb:
    """Read the picture of a sample.

    Raises:
        DataError: the file cannot be used; the message names it and the fault.
    """
    try:
        return decode(read_picture_bytes(files.picture))
    except ImageError as error:
        raise DataError(f"{files.picture} cannot be read as a picture: {error}") from None


def read_label_bytes(path: Path) -> bytes:
    """Read the bytes of a label file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return read_picture_bytes(path)
    except ImageError as error:
        raise DataError(str(error)) from None
