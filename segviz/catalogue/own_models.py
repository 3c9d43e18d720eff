"""The networks of one's own that this process offers: those of SEGVIZ_MODELS, and live ones given to `segviz.app`."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from segviz.catalogue.entry import PREFIXED, RANDOM_WEIGHTS, CatalogueEntry, CatalogueError
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.models_file import read_models, read_models_file
from segviz.settings import read_setting

WHERE = "SEGVIZ_MODELS"
INLINE_START = "[["  # what the setting begins with where it holds the entries themselves


@dataclass(frozen=True, eq=False)
class LiveNetwork:
    """A network that was given as an object.

    Attributes:
        network: an `nn.Module`.
        number: tells it from others of its name.
    """

    network: Any
    number: int


_live: dict[str, tuple[CatalogueEntry, LiveNetwork]] = {}
_numbers = itertools.count(1)


def own_models() -> Mapping[str, CatalogueEntry]:
    """The entries by name, live ones first; the bundled models are not among them.

    Raises:
        CatalogueError: SEGVIZ_MODELS cannot be used.
    """
    return {**{name: entry for name, (entry, _) in _live.copy().items()}, **read_setting_models(read_setting("models"))}


@cache
def read_setting_models(setting: str) -> Mapping[str, CatalogueEntry]:
    """The entries of a value of SEGVIZ_MODELS: a path, or the TOML text itself.

    Raises:
        CatalogueError: it cannot be read, or an entry cannot be used.
    """
    if not setting:
        return {}
    if setting.startswith(INLINE_START):
        entries = read_models(setting, WHERE, Path.cwd())
    else:
        entries = read_models_file(Path(setting).expanduser().absolute())
    return {entry.name: entry for entry in entries}


def add_live_network(entry: CatalogueEntry, network: Any) -> None:
    """Offer a network that is an object of this process; one of the same name is replaced."""
    _live[entry.name] = entry, LiveNetwork(network, next(_numbers))


def live_network(name: str) -> Any:
    """The object that was given under a name, or None."""
    return _live[name][1].network if name in _live else None


def entry_identity(entry: CatalogueEntry) -> str:
    """A digest that changes with the entry and with its files, by which results are cached.

    A name of a package or a hub stands for itself; files that a network's own Python file imports are not followed.

    Raises:
        CatalogueError: a file is missing or cannot be read.
    """
    parts = [repr(entry)]
    if entry.name in _live:
        parts.append(f"object {_live[entry.name][1].number}")
    else:
        parts += [describe_files(entry.name, path) for path in own_files(entry)]
    return sha256("\n".join(parts).encode()).hexdigest()


def own_files(entry: CatalogueEntry) -> list[Path]:
    """The files or folders of an entry, as far as its values name them."""
    paths = [Path(entry.weights)] if entry.weights not in ("", RANDOM_WEIGHTS) else []
    source = entry.source.removeprefix("hf:")
    if ".py:" in source:
        return [Path(source.rpartition(":")[0]), *paths]
    if entry.source.startswith(PREFIXED) and not (entry.source.startswith("hf:") and Path(source).is_absolute()):
        return paths
    if ":" in source and not Path(source).is_absolute():
        return [*filter(None, [module_file(source.partition(":")[0])]), *paths]
    return [Path(source), *paths]


def module_file(name: str) -> Path | None:
    """The file of a module that can be imported; None where it has none."""
    with suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            return Path(spec.origin)
    return None


def describe_files(name: str, path: Path, contents: bool = False) -> str:
    """A file's digest; of a folder, its files' names, sizes and times.

    Args:
        name: the network's, for messages.
        path: the file or folder.
        contents: whether to read a folder's files too, and leave out their times, which differ between copies.

    Raises:
        CatalogueError: it is missing or cannot be read.
    """
    try:
        if not path.is_dir():
            return file_digest(path)
        files = sorted((one, one.stat()) for one in path.iterdir() if one.is_file())
        if contents:
            return repr([(one.name, file_digest(one)) for one, _ in files])
        return repr([(one.name, state.st_size, state.st_mtime_ns) for one, state in files])
    except OSError as error:
        cause = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise CatalogueError(
            f"{path} {cause}; correct the source or the weights of '{name}', and start again"
        ) from None
