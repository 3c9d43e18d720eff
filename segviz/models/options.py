"""Options of a network: what its paper switches in its ablations, with a name, a default and the allowed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from segviz.text import plain_text

OptionValue = bool | int | float | str | tuple[int, ...]
SWITCH_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MOST_NUMBER = 4096  # of channels, cells or steps in an option


class NetworkOptionError(ValueError):
    """A network has no such option, or the option has no such value."""


@dataclass(frozen=True)
class NetworkOption:
    """One option of a network.

    Attributes:
        name: how it is called on the command line, in `build` and in a checkpoint's record.
        default: its value where none is given; its type is the option's kind.
        help: what it does, in one line.
        allowed: the values it may have; empty: any of its kind, numbers from `least` on.
        least: the smallest number, or the smallest in a tuple of numbers.
        blocks: the blocks that it belongs to; empty: it belongs to the network around the block.
    """

    name: str
    default: OptionValue
    help: str
    allowed: tuple[OptionValue, ...] = ()
    least: int = 1
    blocks: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Its kind in words."""
        if isinstance(self.default, tuple):
            return f"{len(self.default)} whole numbers"
        return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(self.default)]

    @property
    def values(self) -> str:
        """Its values in words, as an error and the list of options name them."""
        if self.allowed:
            return ", ".join(write_setting(one) for one in self.allowed)
        if isinstance(self.default, bool):
            return "true, false"
        example = f", such as {write_setting(self.default)}"
        return f"{self.kind} from {self.least} to {MOST_NUMBER}{example}"

    def read(self, text: str) -> OptionValue:
        """The value of a text, as the command line has it; a tuple's numbers stand with commas between them.

        Raises:
            NetworkOptionError: the option has no such value.
        """
        value: object = text
        try:
            if isinstance(self.default, bool):
                value = SWITCH_WORDS[text.strip().lower()]
            elif isinstance(self.default, tuple):
                value = tuple(int(part) for part in text.split(","))
            elif not isinstance(self.default, str):
                value = type(self.default)(text)
        except (ValueError, KeyError):
            raise self._refuse(text) from None
        return self.check(value)

    def check(self, value: object) -> OptionValue:
        """The value, a list as a tuple.

        Raises:
            NetworkOptionError: the option has no such value.
        """
        if isinstance(value, list):
            value = tuple(value)
        if type(value) is not type(self.default) or not self._allows(value):
            raise self._refuse(value)
        return value

    def _allows(self, value: object) -> bool:
        if self.allowed:
            return value in self.allowed
        if isinstance(value, tuple):
            same_length = len(value) == len(self.default)  # type: ignore[arg-type]
            return same_length and all(type(one) is int and self.least <= one <= MOST_NUMBER for one in value)
        return isinstance(value, bool | str) or (isinstance(value, int | float) and self.least <= value <= MOST_NUMBER)

    def _refuse(self, value: object) -> NetworkOptionError:
        shown = plain_text(value if isinstance(value, str) else write_setting(value), 40)
        return NetworkOptionError(f"option '{self.name}' is '{shown}'; use {self.values}")


def write_setting(value: object) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def format_options(values: Mapping[str, OptionValue]) -> str:
    """Values by name as they are written on the command line, such as "points=49 pooling=false"."""
    return " ".join(f"{name}={write_setting(value)}" for name, value in values.items())


def read_pairs(title: str, options: Sequence[NetworkOption], texts: Iterable[str]) -> dict[str, OptionValue]:
    """The values of texts `NAME=VALUE`; a later one replaces an earlier one of the same name.

    Raises:
        NetworkOptionError: a text has another form, or the network has no such option or value.
    """
    known = {option.name: option for option in options}
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise NetworkOptionError(f"option '{plain_text(text, 40)}' has no value; write NAME=VALUE")
        pairs[name] = value
    for name in pairs:
        if name not in known:
            raise unknown_option(title, options, name, pairs.get("block"))
    return {name: known[name].read(value) for name, value in pairs.items()}


def unknown_option(title: str, options: Sequence[NetworkOption], name: str, block: object = None) -> NetworkOptionError:
    """The error about an option that a network does not have: those with its block, and the one that was meant.

    Args:
        title: the network's name.
        options: its options, of any block.
        name: the option that it lacks.
        block: the block that was asked for; anything that is no block stands for the network's own.
    """
    known = {option.name: option for option in options}
    chosen = known.get("block")
    if chosen is not None:
        block = block if block in chosen.allowed else chosen.default
    names = [option.name for option in options if chosen is None or not option.blocks or block in option.blocks]
    near = get_close_matches(name[:40], known, 1)
    listed = f"its options{f' with block={block}' if chosen is not None else ''} are {', '.join(names) or 'none'}"
    meant = f"; did you mean {near[0]}?" if near else ""
    return NetworkOptionError(f"'{title}' has no option '{plain_text(name, 40)}'; {listed}{meant}")


def resolve_options(
    title: str,
    options: Sequence[NetworkOption],
    given: Mapping[str, object],
    block_defaults: Mapping[str, Mapping[str, OptionValue]] | None = None,
) -> dict[str, OptionValue]:
    """All values that hold for a network: those given, and the defaults of the others.

    Options of other blocks than the chosen one are left out.

    Args:
        title: the network's name, for messages.
        options: its options.
        given: values by name.
        block_defaults: defaults of this network that differ from an option's own, by block and option.

    Raises:
        NetworkOptionError: there is no such option or value, or it belongs to another block than the chosen one.
    """
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            raise unknown_option(title, options, name, given.get("block"))
    block = known["block"].check(given.get("block", known["block"].default)) if "block" in known else None
    defaults = (block_defaults or {}).get(str(block), {})
    values: dict[str, OptionValue] = {}
    for name, option in known.items():
        if block is not None and option.blocks and block not in option.blocks:
            if name in given:
                raise NetworkOptionError(
                    f"option '{name}' has no effect with block={block}; remove it, or choose block="
                    f"{' or '.join(option.blocks)}"
                )
            continue
        values[name] = option.check(given.get(name, defaults.get(name, option.default)))
    return values
