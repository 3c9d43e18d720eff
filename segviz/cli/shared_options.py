"""The parser class, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from segviz.cli.arguments import COLOUR_NAMES, SCALE_NAMES, read_pixel
from segviz.cli.errors import MAX_ERROR_LENGTH, WRONG_USAGE, is_told_once
from segviz.text import plain_text

OPTION_WORD = re.compile(r"--?[A-Za-z]")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Parse; a command refuses unknown words itself, so that the error names its own `--help`.

        A misspelled option is told before what is missing, which is often the same option.
        """
        words = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None and not {"-h", "--help"} & set(words):
            for option in self.list_unknown(words):
                if near := self.suggest_option(option):
                    self.error(f"unrecognized {option}; did you mean {near}?")
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(self.describe_unknown(unknown))
        return parsed, unknown

    def list_unknown(self, words: Sequence[str]) -> list[str]:
        """The words that are options, by their form, but of no name or beginning of a name that the command knows."""
        before = words[: words.index("--")] if "--" in words else words
        names = [word.partition("=")[0] for word in before if OPTION_WORD.match(word) and " " not in word]
        return [name for name in names if not any(one.startswith(name) for one in self._option_string_actions)]

    def suggest_option(self, option: str) -> str:
        """The option of the command that looks like a misspelled one; "" if none does."""
        known = {one.lstrip("-"): one for one in self._option_string_actions}
        near = get_close_matches(option.lstrip("-"), known, 1)
        return known[near[0]] if near else ""

    def describe_unknown(self, words: Sequence[str]) -> str:
        """Why words are refused that no option takes."""
        return f"unrecognized arguments: {' '.join(words)}"

    def error(self, message: str) -> NoReturn:
        """Print one sentence on stderr and exit with code 2."""
        see = " See" if message.endswith("?") else "; see"
        told = f"segviz: {plain_text(message, MAX_ERROR_LENGTH)}{see} `{self.prog} --help`\n"
        self.exit(WRONG_USAGE, None if is_told_once() else told)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(commands: Commands, name: str, summary: str, more: str) -> Parser:
    """Add a command; `segviz.cli.commands` holds the function that runs it."""
    command: Parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}")
    return command


def add_images(command: Parser, more: str = "") -> None:
    """Add the positional pictures; `more` ends their help."""
    help_text = f"a picture, a folder of pictures, or scene:SEED for a drawn scene{more}"
    command.add_argument("images", nargs="+", metavar="IMAGE", help=help_text)


def add_scale(command: Parser, together: str) -> None:
    """Add `--scale`, `--shared-scale` and `--colours`."""
    command.add_argument(
        "--scale", choices=SCALE_NAMES, default="linear", help="colour scale of weights (default: %(default)s)"
    )
    command.add_argument("--shared-scale", action="store_true", help=f"one scale for {together}")
    command.add_argument("--colours", choices=COLOUR_NAMES, default="viridis", help="colour map (default: %(default)s)")


def add_device(command: Parser) -> None:
    """Add `--device`."""
    command.add_argument(
        "--device", default="auto", help="cpu, cuda, mps or auto (default: %(default)s, a GPU if there is one)"
    )


def add_places(command: Parser) -> None:
    """Add `--at`."""
    command.add_argument(
        "--at",
        type=read_pixel,
        action="append",
        metavar="Y,X",
        help="an image pixel; may be repeated (default: chosen from the predicted classes)",
    )


def add_size(command: Parser, default: int) -> None:
    """Add `--size`."""
    command.add_argument(
        "--size",
        type=int,
        choices=(1, 2, 4),
        default=default,
        help="PNG resolution, in multiples of 144 pixels per inch (default: %(default)s)",
    )


def add_target(command: Parser, meaning: str, required: bool = True) -> None:
    """Add `--out` and `--zip`, at most one of which can be given."""
    target = command.add_mutually_exclusive_group(required=required)
    target.add_argument("--out", type=Path, metavar="DIR", help=meaning)
    target.add_argument("--zip", type=Path, metavar="FILE", help="one ZIP for all files")


def add_json(command: Parser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, those of its commands, and those of their subjects."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from all_parsers(one)
