"""`table`: a table of one of the four papers with this package's numbers beside the printed ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from segviz.benchmarks.measure import select_devices
from segviz.cli.errors import UsageError
from segviz.cli.parser import build_parser
from segviz.cli.scores import evaluate_checkpoint
from segviz.data.open_data_set import load_split, open_data_set
from segviz.paper_tables.commands import COMMAND_START, evaluate_commands, runs_of, score_columns, table_commands
from segviz.paper_tables.description import COUNTED_KINDS, MEASURED_KINDS, PaperTable
from segviz.paper_tables.filled import fill_table
from segviz.paper_tables.scores import CheckpointFolder, StoredRun, find_evaluation, find_run, has_classes, read_folder
from segviz.paper_tables.show import format_filled, list_tables, table_as_dict, table_csv
from segviz.paper_tables.tables import PAPER_TABLES
from segviz.runtime.progress import progress_bar
from segviz.text import join_with_commas


def run_table(options: argparse.Namespace) -> int:
    """Print a table, the commands behind it, or the list of tables.

    Raises:
        UsageError: an option has no effect on what is printed.
    """
    if options.name is None:
        return print_list(options)
    table = PAPER_TABLES[options.name]
    check_table_options(table, options)
    if options.commands:
        data_folders = {data: str(root) for data, root in find_data_folders(table, options.data or ()).items()}
        print("\n".join(table_commands(table, options.checkpoints, data_folders)))
        return 0
    folder = find_folder(options)
    if options.data:
        score_missing(table, folder, options)
        folder = read_folder(options.checkpoints)
    # The first device that "auto" selects is the CPU; the last is the GPU, if there is one.
    device = select_devices(options.device)[-1] if options.measure else None
    filled = fill_table(table, folder, tuple(options.size) if options.size else None, device)
    if options.json:
        print(json.dumps(table_as_dict(filled), indent=2, ensure_ascii=False))
    else:
        print(table_csv(filled), end="") if options.csv else print(format_filled(filled))
    return 0


def print_list(options: argparse.Namespace) -> int:
    """Print the list of tables.

    Raises:
        UsageError: an option belongs to one table.
    """
    typed = sorted(options.given - {"subcommand", "name", "json"})
    if typed:
        raise UsageError(f"--{typed[0]} belongs to one table; name it, such as `table flanet-3`")
    if options.json:
        print(
            json.dumps([{"table": one.name, "source": one.source, "title": one.title} for one in PAPER_TABLES.values()])
        )
    else:
        print(list_tables(tuple(PAPER_TABLES.values())))
    return 0


def check_table_options(table: PaperTable, options: argparse.Namespace) -> None:
    """Check that the options have an effect on this table.

    Raises:
        UsageError: one has none.
    """
    if options.measure and not table.has(MEASURED_KINDS):
        raise UsageError(f"{table.name} has no column that is measured; remove --measure")
    if options.size and (table.size is None or not table.has((*COUNTED_KINDS, *MEASURED_KINDS))):
        raise UsageError(f"{table.name} has no costs of networks at a picture's size; remove --size")
    if options.size and table.resized and not options.measure:
        raise UsageError(f"--size of {table.name} is the size of the pictures that are timed; add --measure")
    if (
        options.data
        and not options.commands
        and not any(column.scored and column.scored.split == "val" for column in table.columns)
    ):
        raise UsageError(f"{table.name} has no scores on a val split, so --data scores nothing; remove it")


def find_folder(options: argparse.Namespace) -> CheckpointFolder:
    """The checkpoints to look through; none where the default folder does not exist.

    Raises:
        FileNotFoundError: the folder that was typed does not exist.
    """
    if "checkpoints" not in options.given and not options.checkpoints.is_dir():
        return CheckpointFolder(options.checkpoints, ())
    return read_folder(options.checkpoints)


def find_data_folders(table: PaperTable, folders: Sequence[Path]) -> dict[str, Path]:
    """The folders of a table's data sets by their class sets.

    A folder that does not exist, as commands for another machine may name it, is the table's one data set.

    Raises:
        UsageError: a folder has none of the table's data sets.
        DataError: a data set cannot be read.
    """
    data_folders: dict[str, Path] = {}
    for root in folders:
        names = open_data_set(root).classes.names if root.is_dir() or len(table.data_sets) > 1 else None
        found = [data for data in table.data_sets if names is None or has_classes(data, names)]
        if not found:
            raise UsageError(
                f"{root} does not have the classes of {join_with_commas(table.data_sets)}, which {table.name} is "
                "scored on; name the folder of that data set"
            )
        data_folders |= dict.fromkeys(found, root)
    return data_folders


def score_missing(table: PaperTable, folder: CheckpointFolder, options: argparse.Namespace) -> None:
    """Score the checkpoints that lack scores of a table, as `evaluate --record` does.

    Raises:
        UsageError: no folder of data has the classes of a checkpoint that has to be scored.
        DataError: a data set cannot be read.
    """
    data_folders = find_data_folders(table, options.data)
    for stored, data, words in list_unscored(table, folder):
        root = data_folders.get(data)
        if root is None:
            raise UsageError(
                f"{join_with_commas(options.data)} does not have the classes of {data}, which {stored.path.name} "
                "needs; name the folder of that data set"
            )
        asked = build_parser().parse_args([str(root) if word == data else word for word in words])
        asked.device = options.device
        evaluate_checkpoint(stored.path, load_split(root, asked.split, progress_bar), asked)


def list_unscored(table: PaperTable, folder: CheckpointFolder) -> Iterator[tuple[StoredRun, str, Sequence[str]]]:
    """The checkpoints that lack a score on val, with their data's class set and the arguments of `evaluate`."""
    seen: set[Path] = set()
    for row in table.rows:
        for run in runs_of(table, row):
            stored = find_run(run, folder.stored)
            if stored is None or stored.path in seen:
                continue
            columns = [one for one in score_columns(table, run.data) if one.split == "val"]
            known = stored.record.evaluations
            lacking = [one for one in columns if find_evaluation(run.recipe, one, known) is None]
            seen |= {stored.path} if lacking else set()
            for words in evaluate_commands(run, stored.path, run.data, lacking):
                yield stored, run.data, words[len(COMMAND_START) :]
