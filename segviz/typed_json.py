"""JSON read as the dataclasses that it should hold: every field of its type, or one sentence that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from segviz.text import plain

T = TypeVar("T")
TYPE_NAMES = MappingProxyType({str: "text", int: "a whole number", float: "a number", bool: "true or false"})
VALUE_LENGTH = 40  # characters of a wrong value


def parse_json(kind: type[T], text: str) -> T:
    """The dataclass of a JSON text; names that are none of its fields are left out.

    Raises:
        ValueError: it is no JSON, or a field is missing or of another type; the message names the field.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    found: T = convert_value(kind, stored, "")
    return found


def convert_value(kind: Any, value: Any, place: str) -> Any:
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
        return convert_fields(kind, value, place)
    if origin in (Union, UnionType):
        return None if value is None else convert_value(inner[0], value, place)
    if origin is tuple:
        repeated = inner[1:] == (...,)
        if not isinstance(value, list) or not (repeated or len(value) == len(inner)):
            raise ValueError(
                f"{name_field(place)} is {quote_value(value)}, not a list{'' if repeated else f' of {len(inner)}'}"
            )
        kinds = inner[:1] * len(value) if repeated else inner
        return tuple(
            convert_value(one, entry, f"{place}[{at}]")
            for at, (one, entry) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is Mapping:
        return {
            name: convert_value(inner[1], entry, f"{place}.{name}")
            for name, entry in require_object(value, place).items()
        }
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind or (kind is str and not is_text(value)):  # a bool is an int to isinstance
        raise ValueError(f"{name_field(place)} is {quote_value(value)}, not {TYPE_NAMES[kind]}")
    return value


def is_text(value: str) -> bool:
    """Whether it can be written and sent; JSON may hold halves of letters, which cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def convert_fields(kind: Any, value: Any, place: str) -> Any:
    """A dataclass of a JSON object."""
    stored = require_object(value, place)
    found = {}
    for one in fields(kind):
        name = f"{place}.{one.name}".lstrip(".")
        if one.name in stored:
            found[one.name] = convert_value(field_types(kind)[one.name], stored[one.name], name)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{name_field(name)} is missing")
    return kind(**found)


def require_object(value: Any, place: str) -> dict[str, Any]:
    """A JSON object's entries."""
    if not isinstance(value, dict) or not all(map(is_text, value)):
        raise ValueError(f"{name_field(place)} is {quote_value(value)}, not names with values")
    return value


@cache
def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)


def name_field(place: str) -> str:
    """A field as messages name it."""
    return f"'{plain(place, VALUE_LENGTH + 20)}'" if place else "it"


def quote_value(value: Any) -> str:
    """A wrong value as JSON, cut short."""
    text = json.dumps(value)
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 1] + "…"
