"""`app --model SOURCE`: networks of one's own on the command line, each with the options that follow it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from segviz.catalogue.entry import FITS, CatalogueEntry, CatalogueError
from segviz.catalogue.models_file import is_there, make_entry, write_models
from segviz.catalogue.own_models import own_files, own_models
from segviz.catalogue.source_names import SOURCE_FORMS
from segviz.cli.errors import UsageError
from segviz.cli.shared_options import Parser

OWN_TABLES = "own_models"
ASSUME_HELP = "for published weights: what tensors do not reveal, such as passes=1; may be repeated"


class BeginModel(argparse.Action):
    """`--model SOURCE` begins a model."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Add a table with its source."""
        setattr(namespace, OWN_TABLES, [*(getattr(namespace, OWN_TABLES, None) or ()), {"source": values}])


class DescribeModel(argparse.Action):
    """An option that belongs to the `--model` before it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Add the value to the last table."""
        tables: list[dict[str, Any]] = getattr(namespace, OWN_TABLES, None) or []
        if not tables:
            parser.error(f"{option_string} belongs to a --model; write it after that one")
        key = str(self.option_strings[0]).removeprefix("--").replace("-", "_")
        values = True if self.nargs == 0 else values
        if isinstance(values, dict):  # names with values, of which each may be given
            values = {**tables[-1].pop(key, {}), **values}
        if key in tables[-1]:
            parser.error(f"{option_string} is given twice for --model {tables[-1]['source']}; give it once")
        tables[-1][key] = values


def add_own_models(command: Parser) -> None:
    """Add `--model`, and what describes it."""
    group = command.add_argument_group(
        "networks of your own", "Repeat --model for several; what follows one describes it. docs/any-network.md"
    )
    group.add_argument(
        "--model", action=BeginModel, dest=OWN_TABLES, metavar="SOURCE",
        help=f"a checkpoint, published weights (.pth), {SOURCE_FORMS}",
    )  # fmt: skip

    def describe(option: str, metavar: str, help_: str, read: Callable[[str], Any] = str, **more: Any) -> None:
        group.add_argument(
            option, action=DescribeModel, dest=OWN_TABLES, metavar=metavar, help=help_, type=read, default=None, **more
        )

    describe("--name", "NAME", "its name in links (default: from the source)")
    describe("--title", "TITLE", "its name on pages (default: the name)")
    describe_network(describe)
    describe("--assume", "NAME=VALUE", ASSUME_HELP, read_assumption)
    describe("--size", "H,W", "the size at which it sees pictures (default: the picture's own)", read_size)
    describe("--layers", "PATTERN,...", "the layers whose maps are offered (default: all)", split_names)
    group.add_argument(
        "--find-windows", action=DescribeModel, dest=OWN_TABLES, nargs=0, default=None,
        help="find windows that nothing in the network describes, with 24 further forward passes",
    )  # fmt: skip


def describe_network(describe: Callable[..., None]) -> None:
    """The options that say what a source does not tell of a network: its weights, classes and input's statistics.

    Args:
        describe: adds an option, given its name, the value's name, the help, how to read it, and more for argparse.
    """
    describe("--weights", "FILE", "weights for the network that SOURCE builds, or `random` for none")
    describe("--classes", "A,B,...", "names of its classes, or a class set such as cityscapes", read_name_list)
    describe("--mean", "R,G,B", "mean of its input, in [0, 1], or in 0..255", read_triple)
    describe("--std", "R,G,B", "standard deviation, in the same units", read_triple)
    describe(
        "--fit", "FIT", f"{' or '.join(FITS)} a picture with another aspect ratio (default: {FITS[0]})", choices=FITS
    )


def read_name_list(text: str) -> str | list[str]:
    """One name, of a class set, or several, of classes."""
    names = split_names(text)
    return names[0] if len(names) == 1 else names


def read_assumption(text: str) -> dict[str, Any]:
    """One name with its value: true, false, a number, numbers with commas between them, or else a text.

    Raises:
        argparse.ArgumentTypeError: the name or the value is missing.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE; write for example passes=1")
    if value in ("true", "false"):
        return {name: value == "true"}
    try:
        numbers = [float(part) if "." in part or "e" in part.lower() else int(part) for part in value.split(",")]
    except ValueError:
        return {name: value}
    return {name: numbers if "," in value else numbers[0]}


def split_names(text: str) -> list[str]:
    """Names separated by commas.

    Raises:
        argparse.ArgumentTypeError: one is empty.
    """
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' has an empty name; write them separated by single commas")
    return names


def read_triple(text: str) -> list[float]:
    """Three numbers.

    Raises:
        argparse.ArgumentTypeError: there are not three, or one is no number.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"'{text}' is not three numbers; write for example 0.485,0.456,0.406")
    return values


def read_size(text: str) -> list[int]:
    """A height and a width in pixels.

    Raises:
        argparse.ArgumentTypeError: it is not two whole numbers.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 7 for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; write height and width, such as 512,1024")
    return [int(part) for part in parts]


def list_models(tables: Sequence[dict[str, Any]]) -> str:
    """The value of SEGVIZ_MODELS with what it has now and the models of the command line.

    Raises:
        CatalogueError: SEGVIZ_MODELS cannot be used as it is.
        UsageError: a model of the command line cannot be used.
    """
    entries = list(own_models().values())
    for table in tables:
        try:
            entry = make_entry(table, Path.cwd(), [one.name for one in entries])
            check_files(entry)
        except ValueError as error:
            raise UsageError(f"--model {table['source']}: {error}") from None
        entries.append(entry)
    return write_models(entries)


def find_file_faults(entries: Iterable[CatalogueEntry]) -> list[str]:
    """What is wrong with the files of networks, a sentence each; the app offers the other networks all the same."""
    faults = []
    for entry in entries:
        try:
            check_files(entry)
        except (ValueError, OSError) as error:
            faults.append(f"{entry.title} cannot be opened: {error}")
    return faults


def check_files(entry: CatalogueEntry) -> None:
    """Refuse files that are not there, which are typed wrong, and weights that show at once that they are none.

    Raises:
        CatalogueError: one is missing.
        CheckpointError: one cannot be a whole file of weights.
    """
    from segviz.catalogue.weights_check import check_weights_file  # later: most commands check no weights

    for path in own_files(entry):
        if not is_there(path):
            cure = "check the path" if str(path) == entry.weights else f"give a file, {SOURCE_FORMS}"
            raise CatalogueError(f"{path} does not exist; {cure}")
        if str(path) == entry.weights or (str(path) == entry.source and path.is_file()):
            check_weights_file(path)
