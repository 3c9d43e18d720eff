"""`models.toml`: the networks of one's own that the app offers, read from a file or written into a setting."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from segviz.catalogue.entry import (
    BUNDLED_NAMES,
    PREFIXED,
    RANDOM_WEIGHTS,
    AssumedValue,
    CatalogueEntry,
    CatalogueError,
    derive_name,
)
from segviz.catalogue.source_names import ask_for_function, lacks_function
from segviz.text import plain_text
from segviz.typed_json import convert_or_list_faults

TABLE = "model"  # the file is a list of [[model]]
MOST_ENTRIES = 256


@dataclass(frozen=True)
class RawEntry:
    """One [[model]] as it is written; `CatalogueEntry` says what each value means."""

    source: str
    name: str | None = None
    title: str | None = None
    weights: str | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    fit: str | None = None
    layers: tuple[str, ...] | None = None
    assume: Mapping[str, AssumedValue] | None = None
    find_windows: bool | None = None


KEYS = (
    "name", "title", "source", "weights", "classes", "palette", "mean", "std", "size", "fit", "layers", "assume",
    "find_windows",
)  # fmt: skip


def read_models_file(path: Path) -> tuple[CatalogueEntry, ...]:
    """The entries of a models.toml; relative paths in it are relative to its folder.

    Raises:
        CatalogueError: the file cannot be read, or an entry cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CatalogueError(f"{path} is not text in UTF-8; write it as such") from None
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read ({error.strerror}); correct the path or its permissions") from None
    return read_models(text, str(path), path.parent)


def read_models(text: str, where: str, folder: Path) -> tuple[CatalogueEntry, ...]:
    """The entries of a TOML text.

    Args:
        text: `[[model]]` tables.
        where: what messages call the text.
        folder: what relative paths are relative to.

    Raises:
        CatalogueError: the text is not TOML, or an entry cannot be used; the message names the entry.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CatalogueError(f"{where} is not TOML ({plain_text(str(error))}); correct that line") from None
    tables = document.pop(TABLE, [])
    if document or not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        wrong = f"'{plain_text(next(iter(document)), 40)}'" if document else "one table"
        raise CatalogueError(f"{where} has {wrong} where only [[{TABLE}]] can be; begin each model with [[{TABLE}]]")
    if len(tables) > MOST_ENTRIES:
        raise CatalogueError(f"{where} has {len(tables)} models; use at most {MOST_ENTRIES}")
    entries: list[CatalogueEntry] = []
    for number, table in enumerate(tables, start=1):
        title = table.get("name") or table.get("source")
        named = f" ('{plain_text(title, 60)}')" if isinstance(title, str) else ""
        try:
            entries.append(make_entry(table, folder, [one.name for one in entries]))
        except ValueError as error:
            raise CatalogueError(f"{where}, model {number}{named}: {error}") from None
    return tuple(entries)


def make_entry(table: Mapping[str, Any], folder: Path, taken: Sequence[str]) -> CatalogueEntry:
    """One entry.

    Args:
        table: names and values, as TOML gives them.
        folder: what relative paths are relative to.
        taken: the names of the other entries.

    Raises:
        ValueError: a value is missing, of another type, or cannot be used.
    """
    if wrong := [key for key in table if key not in KEYS]:
        raise CatalogueError(f"'{plain_text(wrong[0], 40)}' is not a key; use {', '.join(KEYS)}")
    if not table.get("source", ""):
        raise CatalogueError('source is missing; write source = "net.py:build", or another source')
    if table["source"] in BUNDLED_NAMES:
        raise CatalogueError(f"'{table['source']}' is bundled, and is offered anyway; remove it")
    if isinstance(table["source"], str) and lacks_function(table["source"]):
        raise CatalogueError(plain_text(ask_for_function(table["source"])))
    known = {key: json_value(value) for key, value in table.items() if key != "classes"}  # which is read below
    raw, faults = convert_or_list_faults(RawEntry, known)
    if faults:
        raise CatalogueError(faults[0])
    if raw.name is not None and raw.name in taken:
        raise CatalogueError(f"another model has the name '{plain_text(raw.name, 40)}' too; choose another name")
    name = raw.name if raw.name is not None else derive_name(raw.source, taken)
    values: dict[str, Any] = {
        one.name: value for one in fields(RawEntry) if (value := getattr(raw, one.name)) is not None
    }
    if raw.assume is not None:
        values["assume"] = tuple(raw.assume.items())
    values |= {"name": name, "title": raw.title or name, "source": resolve_source(raw.source, folder)}
    if raw.weights and raw.weights != RANDOM_WEIGHTS:
        values["weights"] = str((folder / Path(raw.weights).expanduser()).absolute())
    return CatalogueEntry(**values, classes=read_class_names(table.get("classes")))


def json_value(value: Any) -> Any:
    """A TOML value as JSON has it: dates, which JSON lacks, become text in a list, so that no field takes them."""
    if isinstance(value, list):
        return [json_value(one) for one in value]
    if isinstance(value, dict):
        return {name: json_value(one) for name, one in value.items()}
    return value if isinstance(value, str | int | float | bool) else [str(value)]


def read_class_names(value: Any) -> str | tuple[str, ...] | None:
    """Class names, or the name of a class set.

    Raises:
        CatalogueError: it is neither.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise CatalogueError('classes are neither a list of names nor a class set; write classes = "cityscapes", or names')


def resolve_source(source: str, folder: Path) -> str:
    """A source whose files have absolute paths; names of packages and hubs stay as they are."""
    if source.startswith(PREFIXED):
        prefix, _, rest = source.partition(":")
        return f"hf:{(folder / rest).absolute()}" if prefix == "hf" and is_there(folder / rest) else source
    file, colon, function = source.rpartition(":") if source.rpartition(":")[0].endswith(".py") else (source, "", "")
    if ":" in file and not is_there(folder / file):  # package.module:build
        return source
    return f"{(folder / Path(file).expanduser()).absolute()}{colon}{function}"


def is_there(path: Path) -> bool:
    """Whether a path exists; false for what cannot be one."""
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def write_models(entries: Sequence[CatalogueEntry]) -> str:
    """The TOML text of entries, which `read_models` reads back; JSON's texts, numbers and lists are TOML's."""
    lines: list[str] = []
    for entry in entries:
        lines.append(f"[[{TABLE}]]")
        for one in fields(entry):
            value = getattr(entry, one.name)
            if value not in (None, "", (), False):
                lines.append(f"{one.name} = {write_pairs(value) if one.name == 'assume' else write_value(value)}")
    return "\n".join(lines) + "\n"


def write_value(value: Any) -> str:
    """A text, a number or a list in TOML."""
    return json.dumps(value, ensure_ascii=False).replace(chr(127), "")


def write_pairs(pairs: Sequence[tuple[str, AssumedValue]]) -> str:
    """Names and values in TOML."""
    return f"{{ {', '.join(f'{write_value(name)} = {write_value(value)}' for name, value in pairs)} }}"
