"""JSON as dataclasses: every field has its type, or one sentence names the field that has not.

msgspec 0.23 does not replace this: it refuses NaN or accepts lone surrogates, and its errors name no mapping key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

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
    return convert_value(kind, value)


def convert_value(kind: type[T], value: Any) -> T:
    """Convert a result of `json.loads` to a dataclass; names that are not its fields are ignored.

    Lists become tuples, and whole numbers become floats where floats are expected.

    Raises:
        ValueError: a field is missing or has another type; the message names the first one.
    """
    result: T = JsonReader(raise_fault).read(kind, value, "")
    return result


def convert_or_list_faults(kind: type[T], value: Any) -> tuple[T, list[str]]:
    """Convert a result of `json.loads` to a dataclass, as `convert_value`; names that are not its fields are faults.

    Returns:
        The dataclass, which is not to be used where there are faults, and a sentence on each fault with its cure.
    """
    faults: list[str] = []
    reader = JsonReader(lambda cause, cure: faults.append(f"{cause}; {cure}"), allow_unknown=False)
    result: T = reader.read(kind, value, "")
    return result, faults


def raise_fault(cause: str, cure: str) -> NoReturn:
    """Raise the cause of a fault; whoever catches it knows a better cure for the whole file."""
    raise ValueError(cause)


@dataclass(frozen=True)
class JsonReader:
    """The walk over a type and a value of JSON.

    Attributes:
        report: is told each fault, its cause and its cure; where it does not raise, None stands for the value.
        allow_unknown: whether an object may have names that are not the dataclass's fields.
    """

    report: Callable[[str, str], None]
    allow_unknown: bool = True

    def read(self, kind: Any, value: Any, place: str) -> Any:
        """Convert a value to a type.

        Args:
            kind: a dataclass, a plain type, or a tuple, mapping or optional of these.
            value: a result of `json.loads`.
            place: the field's name, for messages.
        """
        origin, inner = get_origin(kind), get_args(kind)
        if is_dataclass(kind):
            return self._read_fields(kind, value, place)
        if origin in (Union, UnionType):
            return self._read_union(inner, value, place)
        if origin is tuple:
            return self._read_list(inner, value, place)
        if origin is Mapping:
            entries = self._read_object(value, place) or {}
            return {name: self.read(inner[1], entry, f"{place}.{name}") for name, entry in entries.items()}
        if kind is float and type(value) is int and abs(value) < 2**53:
            return float(value)
        if type(value) is not kind or (kind is str and not is_text(value)):  # isinstance would take a bool as an int
            self._refuse(place, value, TYPE_NAMES[kind])
            return None
        return value

    def _read_union(self, kinds: tuple[Any, ...], value: Any, place: str) -> Any:
        """Convert a value to the plain type that it has, or else to the last; None stays None where it is allowed."""
        if value is None and type(None) in kinds:
            return None
        *earlier, last = (kind for kind in kinds if kind is not type(None))
        return self.read(next((kind for kind in earlier if type(value) is kind), last), value, place)

    def _read_list(self, inner: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...] | None:
        """Convert a JSON list to a tuple; `inner` holds the arguments of the tuple's type."""
        repeated = inner[1:] == (...,)
        if not isinstance(value, list) or not (repeated or len(value) == len(inner)):
            self._refuse(place, value, f"a list{'' if repeated else f' of {len(inner)}'}")
            return None
        kinds = inner[:1] * len(value) if repeated else inner
        return tuple(
            self.read(kind, entry, f"{place}[{at}]") for at, (kind, entry) in enumerate(zip(kinds, value, strict=True))
        )

    def _read_fields(self, kind: Any, value: Any, place: str) -> Any:
        """Convert a JSON object to a dataclass; what a dataclass computes itself is not read."""
        entries = self._read_object(value, place)
        if entries is None:
            return None
        known = {field.name: field for field in fields(kind) if field.init}
        for name in entries if not self.allow_unknown else ():
            if name not in known:
                self._refuse_name(name, list(known), place)
        arguments = {}
        for name, field in known.items():
            inside = f"{place}.{name}".lstrip(".")
            if name in entries:
                arguments[name] = self.read(field_types(kind)[name], entries[name], inside)
            elif field.default is MISSING and field.default_factory is MISSING:
                self.report(f"{name_field(inside)} is missing", "add it")
                arguments[name] = None
        return kind(**arguments)

    def _read_object(self, value: Any, place: str) -> dict[str, Any] | None:
        """The entries of a JSON object; anything else is a fault."""
        if not isinstance(value, dict) or not all(map(is_text, value)):
            self._refuse(place, value, "names with values")
            return None
        return value

    def _refuse(self, place: str, value: Any, wanted: str) -> None:
        """Report that a value is not what a field needs."""
        self.report(f"{name_field(place)} is {quote_value(value)}, not {wanted}", "correct it")

    def _refuse_name(self, name: str, known: Sequence[str], place: str) -> None:
        """Report a name that is no field there, with the one that was meant."""
        near = get_close_matches(name[:VALUE_LENGTH], known, 1)
        cause = f"{f'{place} has' if place else 'there is'} an unknown name {plain_text(name, VALUE_LENGTH)!r}"
        self.report(cause, f"did you mean '{near[0]}'?" if near else f"use {', '.join(known)}")


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
