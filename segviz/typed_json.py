"""JSON as dataclasses: every field has its type, or one sentence names the field that has not.

msgspec 0.23 does not replace this: it refuses NaN or accepts lone surrogates, and its errors name no mapping key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from segviz.text import plain_text

T = TypeVar("T")
TYPE_NAMES = MappingProxyType({str: "text", int: "a whole number", float: "a number", bool: "true or false"})
VALUE_LENGTH = 40  # characters of a wrong value that a message shows


def parse_json(kind: type[T], text: str) -> T:
    """Read a JSON object as a dataclass; names that are not its fields are ignored.

    Raises:
        ValueError: the text is not JSON, or a field is missing or has another type; the message names the field.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    result: T = convert_value(kind, value, "")
    return result


def convert_value(kind: Any, value: Any, place: str) -> Any:
    """Convert a value to a type: lists become tuples, and whole numbers become floats where floats are expected.

    Args:
        kind: a dataclass, a plain type, or a tuple, mapping or optional of these.
        value: a result of `json.loads`.
        place: the field's name, for messages.

    Raises:
        ValueError: the value has another type.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return convert_fields(kind, value, place)
    if origin in (Union, UnionType):
        return convert_union(inner, value, place)
    if origin is tuple:
        return convert_list(inner, value, place)
    if origin is Mapping:
        pairs = require_object(value, place).items()
        return {name: convert_value(inner[1], entry, f"{place}.{name}") for name, entry in pairs}
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind or (kind is str and not is_text(value)):  # isinstance would accept a bool as an int
        raise ValueError(f"{name_field(place)} is {quote_value(value)}, not {TYPE_NAMES[kind]}")
    return value


def convert_union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    """Convert a value to the plain type that it has, or else to the last one; None stays None where it is allowed."""
    if value is None and type(None) in kinds:
        return None
    *earlier, last = (kind for kind in kinds if kind is not type(None))
    return convert_value(next((kind for kind in earlier if type(value) is kind), last), value, place)


def convert_list(inner: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    """Convert a JSON list to a tuple; `inner` holds the arguments of the tuple's type.

    Raises:
        ValueError: it is no list, or has another length or an entry of another type.
    """
    repeated = inner[1:] == (...,)
    if not isinstance(value, list) or not (repeated or len(value) == len(inner)):
        length = "" if repeated else f" of {len(inner)}"
        raise ValueError(f"{name_field(place)} is {quote_value(value)}, not a list{length}")
    kinds = inner[:1] * len(value) if repeated else inner
    return tuple(
        convert_value(kind, entry, f"{place}[{at}]") for at, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


def convert_fields(kind: Any, value: Any, place: str) -> Any:
    """Convert a JSON object to a dataclass.

    Raises:
        ValueError: it is no object, a field is missing, or one has another type.
    """
    entries = require_object(value, place)
    arguments = {}
    for field in fields(kind):
        name = f"{place}.{field.name}".lstrip(".")
        if field.name in entries:
            arguments[field.name] = convert_value(field_types(kind)[field.name], entries[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{name_field(name)} is missing")
    return kind(**arguments)


def require_object(value: Any, place: str) -> dict[str, Any]:
    """The entries of a JSON object; anything else is refused.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict) or not all(map(is_text, value)):
        raise ValueError(f"{name_field(place)} is {quote_value(value)}, not names with values")
    return value


def is_text(value: str) -> bool:
    """Whether a string can be encoded: JSON may hold lone surrogates, which cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


@cache
def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)


def name_field(place: str) -> str:
    """A field as messages name it."""
    return f"'{plain_text(place, VALUE_LENGTH + 20)}'" if place else "it"


def quote_value(value: Any) -> str:
    """A wrong value as JSON, cut short."""
    text = json.dumps(value)
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 1] + "…"
