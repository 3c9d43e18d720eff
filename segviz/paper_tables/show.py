"""A filled table as text for a terminal, as JSON and as CSV."""

from __future__ import annotations

import shlex
from typing import Any

from segviz.paper_tables.commands import option_words, run_commands
from segviz.paper_tables.description import CITED, COUNTED_KINDS, MEASURED_KINDS, SCORED_KINDS, PaperColumn, PaperTable
from segviz.paper_tables.filled import FilledRow, FilledTable
from segviz.table import Columns, csv_text
from segviz.text import count_words, format_table

COUNT_TOLERANCE = 0.02  # of the paper's value: nearer counts are taken for the same
KIND_DIGITS = {"miou": 2, "accuracy": 2, "gain": 2, "parameters": 2, "gflops": 2, "memory": 1, "time": 1, "fps": 1}
TEST_SPLIT_NOTE = (
    "The labels of test splits are not public, so there are no scores here: the data's test server gives them, for the "
    "files that `predict --server-format` writes; --commands prints these commands, with the table's protocol."
)


def format_filled(filled: FilledTable) -> str:
    """The table, the sentences on how to read it, and the commands that train what has no checkpoint."""
    table = filled.table
    heads = ["row"]
    for column in table.columns:
        heads += [column.title] if column.kind == "text" else [column.title, "here"]
    texts = format_table(heads, [row_texts(table, one) for one in filled.rows]).splitlines()
    lines = [f"{table.source}: {table.title}", "", texts[0]]
    group = ""
    for one, text in zip(filled.rows, texts[1:], strict=True):
        lines += [f"[{one.row.group}]"] if one.row.group not in (group, one.row.label) else []
        group = one.row.group
        lines.append(text)
    lines += ["", *notes_of(filled)]
    commands = missing_commands(filled)
    return "\n".join(lines + (["", f"Not in {filled.folder.path}; to train:", *commands] if commands else []))


def row_texts(table: PaperTable, one: FilledRow) -> list[str]:
    """A row's label and the texts of its values, the paper's and ours in turns."""
    texts = [one.row.label]
    for number, (column, printed, cell) in enumerate(zip(table.columns, one.row.printed, one.cells, strict=True)):
        texts.append(printed_text(table, number, printed))
        if column.kind != "text":
            texts.append("-" if cell.value is None else f"{cell.value:.{digits_of(column)}f}")
    return texts


def printed_text(table: PaperTable, number: int, value: float | str | None) -> str:
    """A value of the paper with its digits: whole numbers as they are, others with as many as their column has."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    column = [row.printed[number] for row in table.rows]
    places = max(len(str(one).partition(".")[2]) for one in column if isinstance(one, float))
    return f"{value:.{places}f}"


def digits_of(column: PaperColumn) -> int:
    """The digits behind the point of our values in a column."""
    return 3 if column.kind == "gflops" and column.over_baseline else KIND_DIGITS[column.kind]


def notes_of(filled: FilledTable) -> list[str]:
    """Sentences on the columns, on what the values here are, and on why cells are empty."""
    table = filled.table
    notes = list(table.notes)
    if filled.size and table.size and filled.size != table.size:
        (height, width), (own, wide) = filled.size, table.size
        notes.append(f"Costs here are of pictures of {height} x {width} (height x width), not {own} x {wide}.")
    if table.has(COUNTED_KINDS):
        notes.append("GFLOPs here leave out elementwise operations and sampling.")
    if filled.size == table.size and any(count_differs(table, one) for one in filled.rows):
        notes.append(
            f"Some counts differ from the paper's by more than {100 * COUNT_TOLERANCE:g} %: docs/tables.md says why."
        )
    if table.has(MEASURED_KINDS):
        machine = ", ".join(f"{name} {value}" for name, value in filled.machine.items())
        measured = f"Measured here, with random weights, which cost the same: {machine}."
        notes.append(measured if machine else "Time, FPS and memory are measured with --measure.")
        if machine and any(column.kind == "memory" and column.over_baseline for column in table.columns):
            notes.append(
                "Memory here is how much the network's peak grows in inference: 0 where the peak is elsewhere."
            )
    notes += score_notes(filled)
    reasons = {row.reason for row in table.rows if row.network is None}
    notes += [f"Rows that are never filled: {reason}." for reason in sorted(reasons, key=lambda one: one != CITED)]
    return notes + [f"{problem}." for problem in filled.folder.problems]


def count_differs(table: PaperTable, one: FilledRow) -> bool:
    """Whether a count of a row is further from the paper's than `COUNT_TOLERANCE`."""
    return any(
        column.kind in COUNTED_KINDS
        and isinstance(printed, int | float)
        and cell.value is not None
        and abs(cell.value - printed) > COUNT_TOLERANCE * abs(printed)
        for column, printed, cell in zip(table.columns, one.row.printed, one.cells, strict=True)
    )


def score_notes(filled: FilledTable) -> list[str]:
    """Where the scores come from, and why others are missing."""
    table = filled.table
    if not table.has(SCORED_KINDS):
        return []
    notes = []
    if any(column.scored and column.scored.split == "test" for column in table.columns):
        notes.append(TEST_SPLIT_NOTE)
    scored = (
        f"Scored: {cell.stored.path.name}, {count_words(cell.stored.record.steps, 'step')} of training: "
        f"{cell.evaluation.described}."
        for one in filled.rows
        for cell in one.cells
        if cell.evaluation and cell.stored
    )
    notes += dict.fromkeys(scored)  # each once
    lacking = [one.row.label for one in filled.rows if one.row.network and lacks_score(table, one)]
    if lacking:
        notes.append(
            f"A checkpoint without the scores of this table: {', '.join(lacking)}; --data DIR scores it, or "
            f"`python -m segviz table {table.name} --commands` prints the commands."
        )
    if any(one.missing for one in filled.rows):
        notes.append("A row without a checkpoint has no score here; no weights of these networks come with segviz.")
    return notes


def lacks_score(table: PaperTable, one: FilledRow) -> bool:
    """Whether a row has a checkpoint, but not all of its scores on val."""
    missing = {run.data for run in one.missing}
    return any(
        column.scored and column.scored.split == "val" and column.scored.data not in missing and cell.value is None
        for column, cell in zip(table.columns, one.cells, strict=True)
    )


def missing_commands(filled: FilledTable) -> list[str]:
    """The commands that train what has no checkpoint, each once."""
    lines = (
        shlex.join(run_commands(filled.table, run, filled.folder.path)[0]) for one in filled.rows for run in one.missing
    )
    return list(dict.fromkeys(lines))


def table_as_dict(filled: FilledTable) -> dict[str, Any]:
    """Everything as JSON values."""
    table = filled.table
    return {
        "table": table.name,
        "source": table.source,
        "title": table.title,
        "columns": [
            {"title": column.title, "kind": column.kind, "over_baseline": column.over_baseline}
            | ({"data": scored.data, "split": scored.split, "multi_scale": scored.multi_scale} if scored else {})
            for column in table.columns
            for scored in [column.scored]
        ],
        "rows": [row_as_dict(filled, one) for one in filled.rows],
        "size": filled.size,
        "machine": dict(filled.machine),
        "notes": notes_of(filled),
    }


def row_as_dict(filled: FilledTable, one: FilledRow) -> dict[str, Any]:
    """A row as JSON values."""
    network = one.row.network
    values = [
        {
            "paper": printed,
            "here": cell.value,
            "evaluation": cell.evaluation.described if cell.evaluation else None,
            "checkpoint": str(cell.stored.path) if cell.stored else None,
            "steps": cell.stored.record.steps if cell.stored else None,
        }
        for printed, cell in zip(one.row.printed, one.cells, strict=True)
    ]
    return {
        "row": one.row.label,
        "group": one.row.group,
        "model": network.model if network else None,
        "options": dict(network.options) if network else None,
        "reason": None if network else one.row.reason,
        "values": values,
        "train": [shlex.join(run_commands(filled.table, run, filled.folder.path)[0]) for run in one.missing],
    }


def table_csv(filled: FilledTable) -> str:
    """The table as CSV: group, row, and for each column the paper's value and ours; unknown values are empty."""
    columns: Columns = {
        "group": [one.row.group for one in filled.rows],
        "row": [one.row.label for one in filled.rows],
        "model": [" ".join((one.row.network.model, *option_words(one.row.network)[1::2])) if one.row.network else None
                  for one in filled.rows],
    }  # fmt: skip
    for number, column in enumerate(filled.table.columns):
        title = column.title if column.kind == "text" else f"{column.title}, paper"
        columns = {**columns, title: [one.row.printed[number] for one in filled.rows]}
        if column.kind != "text":
            columns = {**columns, f"{column.title}, here": [one.cells[number].value for one in filled.rows]}
    return csv_text(columns)


def list_tables(tables: tuple[PaperTable, ...]) -> str:
    """A row for each table: its name, where it is from, what it shows, and what fills it."""
    rows = []
    for table in tables:
        counted = "always" if table.has(COUNTED_KINDS) else "-"
        measured = "--measure" if table.has(MEASURED_KINDS) else "-"
        rows.append([table.name, table.source, counted, measured, ", ".join(table.data_sets) or "-", table.title])
    return format_table(["name", "source", "counted", "measured", "data of scores", "shows"], rows)
