"""JSON read as the dataclasses that it should hold: every field of its type, or one sentence that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from segviz.text import plain

Kind = TypeVar("Kind")
WORDS = MappingProxyType({str: "text", int: "a whole number", float: "a number", bool: "true or false"})
SHOWN = 40  # characters of a wrong value


def parsed(kind: type[Kind], text: str) -> Kind:
    """The dataclass of a JSON text; names that are none of its fields are left out.

    Raises:
        ValueError: it is no JSON, or a field is missing or of another type; the message names the field.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    found: Kind = read(kind, stored, "")
    return found


def read(kind: Any, value: Any, place: str) -> Any:
    """The value as the type; lists become tuples, whole numbers become floats where floats belong.

    Args:
        kind: a dataclass, a plain type, or a tuple, mapping or optional of such.
        value: what `json.loads` gave.
        place: the field's name, for messages.

    Raises:
        ValueError: the value is of another type.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return read_fields(kind, value, place)
    if origin in (Union, UnionType):
        return None if value is None else read(inner[0], value, place)
    if origin is tuple:
        repeated = inner[1:] == (...,)
        if not isinstance(value, list) or not (repeated or len(value) == len(inner)):
            raise ValueError(f"{named(place)} is {shown(value)}, not a list{'' if repeated else f' of {len(inner)}'}")
        kinds = inner[:1] * len(value) if repeated else inner
        return tuple(
            read(one, entry, f"{place}[{at}]") for at, (one, entry) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is Mapping:
        return {name: read(inner[1], entry, f"{place}.{name}") for name, entry in entries(value, place).items()}
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind or (kind is str and not is_text(value)):  # a bool is an int to isinstance
        raise ValueError(f"{named(place)} is {shown(value)}, not {WORDS[kind]}")
    return value


def is_text(value: str) -> bool:
    """Whether it can be written and sent; JSON may hold halves of letters, which cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def read_fields(kind: Any, value: Any, place: str) -> Any:
    """A dataclass of a JSON object."""
    stored = entries(value, place)
    found = {}
    for one in fields(kind):
        name = f"{place}.{one.name}".lstrip(".")
        if one.name in stored:
            found[one.name] = read(hints(kind)[one.name], stored[one.name], name)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{named(name)} is missing")
    return kind(**found)


def entries(value: Any, place: str) -> dict[str, Any]:
    """A JSON object's entries."""
    if not isinstance(value, dict) or not all(map(is_text, value)):
        raise ValueError(f"{named(place)} is {shown(value)}, not names with values")
    return value


@cache
def hints(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)


def named(place: str) -> str:
    """A field as messages name it."""
    return f"'{plain(place, SHOWN + 20)}'" if place else "it"


def shown(value: Any) -> str:
    """A wrong value as JSON, cut short."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
