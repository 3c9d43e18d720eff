"""The options of commands that read a data set, and the options of `datasets`."""

from __future__ import annotations

from pathlib import Path

from segviz.cli.shared_options import Commands, Parser, add_command, add_json

SERVER_FORMAT_NAMES = ("cityscapes", "ade20k", "voc-comp5", "voc-comp6")  # the keys of `SERVER_FORMATS`


def add_class_map(command: Parser) -> None:
    """Add `--class-map`."""
    command.add_argument(
        "--class-map", type=Path, metavar="FILE",
        help="JSON that says which class each id or colour of the label files is; docs/datasets.md",
    )  # fmt: skip


def add_damaged(command: Parser) -> None:
    """Add `--skip-damaged`."""
    command.add_argument(
        "--skip-damaged", action="store_true", help="leave out pictures whose files are missing or damaged"
    )


def add_split_pictures(predict: Parser) -> None:
    """Add what makes `predict` read a split of a data set, and write files for its test server."""
    group = predict.add_argument_group("a data set and its test server", "docs/datasets.md")
    group.add_argument(
        "--split", metavar="NAME", help="IMAGE is a data set's folder; predict the pictures of this split"
    )
    group.add_argument(
        "--class-map", type=Path, metavar="FILE", help="the class map that names the folders of the splits"
    )
    group.add_argument(
        "--server-format", choices=SERVER_FORMAT_NAMES, metavar="NAME",
        help=f"write the files that a test server takes, and no others: {', '.join(SERVER_FORMAT_NAMES)}",
    )  # fmt: skip


def add_datasets(commands: Commands) -> None:
    """Add `datasets`."""
    datasets = add_command(
        commands, "datasets", "check a data set",
        "Layout, splits, classes and sizes, and all that is wrong with its files, each of which is read once. "
        "docs/datasets.md lists the layouts.",
    )  # fmt: skip
    datasets.add_argument("folder", type=Path, metavar="DIR", help="the data set's folder, as it was downloaded")
    add_class_map(datasets)
    datasets.add_argument(
        "--split", action="append", metavar="NAME", help="only this split, or train+val; may be repeated (default: all)"
    )
    add_damaged(datasets)
    add_json(datasets)
