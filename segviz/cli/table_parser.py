"""The options of `table`."""

from __future__ import annotations

import argparse
from pathlib import Path

from segviz.cli.arguments import integer_reader
from segviz.cli.shared_options import Commands, add_command, add_device

# The names of `segviz.paper_tables.tables`, whose import takes seconds; a test holds both equal.
TABLE_NAMES = (
    *(f"flanet-{number}" for number in range(1, 6)),
    *(f"attanet-{number}" for number in range(1, 6)),
    *(f"ssanet-{number}" for number in range(1, 5)),
    *(f"psanet-{number}" for number in range(1, 7)),
)


def read_table_name(text: str) -> str:
    """Read the name of a table; argparse reads its own word for "no default" here too.

    Raises:
        argparse.ArgumentTypeError: there is no such table.
    """
    if text in TABLE_NAMES or text == argparse.SUPPRESS:
        return text
    raise argparse.ArgumentTypeError(f"table '{text}' is unknown; use {', '.join(TABLE_NAMES)}")


def add_table(commands: Commands) -> None:
    """Add `table`."""
    table = add_command(
        commands, "table", "compare with a table of the papers",
        "Prints the paper's numbers with ours beside them: parameters and operations are counted, scores come from the "
        "records of checkpoints. Without NAME, lists the tables. docs/tables.md says what each needs.",
    )  # fmt: skip
    table.add_argument("name", nargs="?", type=read_table_name, metavar="NAME", help="such as flanet-3")
    table.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR",
        help="folder of the checkpoints that belong to the rows (default: %(default)s)",
    )  # fmt: skip
    table.add_argument(
        "--data", type=Path, nargs="+", metavar="DIR",
        help="data sets: scores those checkpoints whose scores are missing, and records them",
    )  # fmt: skip
    table.add_argument(
        "--size", type=integer_reader(32, 4096), nargs=2, metavar=("H", "W"),
        help="picture size for which costs are counted (default: the paper's)",
    )  # fmt: skip
    table.add_argument("--measure", action="store_true", help="measure time, FPS and memory on this machine")
    output = table.add_mutually_exclusive_group()
    output.add_argument("--commands", action="store_true", help="print the commands that train and score the rows")
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--csv", action="store_true", help="print CSV")
    add_device(table)
