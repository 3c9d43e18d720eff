"""Where pictures come from: files, folders of files, and drawn scenes, each with a name for what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segviz.data.scenes.by_name import SourceError, is_scene, scene_of, scene_seed
from segviz.filenames import different, safe_name
from segviz.image import Rgb, as_rgb

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Source:
    """A picture that is opened when its turn comes.

    Attributes:
        text: how it was named.
        stem: how files made of it begin; each source has another.
        open: gives the RGB picture; raises ImageError.
    """

    text: str
    stem: str
    open: Callable[[], Rgb]


def find_sources(texts: Sequence[str]) -> list[Source]:
    """The pictures of paths, folders and scenes; of a folder all pictures in it, by name, none of its folders.

    Raises:
        SourceError: a scene's number is none, or a folder holds no picture.
    """
    named: list[str] = []
    for text in texts:
        if is_scene(text):
            scene_seed(text)
        named += list_pictures(Path(text)) if is_folder(text) else [text]
    return [
        Source(text, stem, partial(open_picture, text)) for text, stem in zip(named, make_stems(named), strict=True)
    ]


def list_pictures(folder: Path) -> list[str]:
    """The pictures in a folder, told by their endings; hidden files are left out.

    Raises:
        SourceError: there is none.
    """
    named = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.name[0] != ".")
    found = sorted(path for path in named if path.is_file())
    if not found:
        raise SourceError(f"{folder} holds no picture; use a folder with {', '.join(PICTURE_SUFFIXES)} files")
    return [str(path) for path in found]


def open_picture(text: str) -> Rgb:
    """A picture from its path, or the drawn scene of `scene:SEED`.

    Raises:
        SourceError: the scene's number is none.
        ImageError: the file is missing or no picture.
    """
    return scene_of(text).image if is_scene(text) else as_rgb(Path(text))


def is_folder(text: str) -> bool:
    """Whether a folder is meant; what can be no path is none."""
    try:
        return not is_scene(text) and Path(text).is_dir()
    except OSError:  # such as too long a name
        return False


def make_stems(texts: Sequence[str]) -> list[str]:
    """A file name's beginning for each picture: plain, and each one different, also where case does not count."""
    taken: set[str] = set()
    plain = (text.replace(":", "-") if is_scene(text) else Path(text).stem for text in texts)
    return [different(safe_name(one, "image"), taken) for one in plain]
