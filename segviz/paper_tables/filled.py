"""A table with this package's numbers beside the paper's: what is counted, measured, or found in records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from segviz.benchmarks.measure import describe_machine
from segviz.catalogue.record import Evaluation
from segviz.data.class_sets import CLASS_SETS
from segviz.paper_tables.commands import TableRun, runs_of
from segviz.paper_tables.count import CountedCost, count_block, count_choice
from segviz.paper_tables.description import COUNTED_KINDS, MEASURED_KINDS, PaperColumn, PaperRow, PaperTable
from segviz.paper_tables.measure import MeasuredCost, measure_block, measure_choice
from segviz.paper_tables.scores import CheckpointFolder, StoredRun, find_evaluation, find_run

COST_DATA = "cityscapes"  # whose classes a network has where a table names no data


class FilledCell(NamedTuple):
    """The value beside the paper's, None where there is none; of a score, its evaluation and its checkpoint."""

    value: float | None
    evaluation: Evaluation | None = None
    stored: StoredRun | None = None


EMPTY_CELL = FilledCell(None)


@dataclass(frozen=True)
class FilledRow:
    """A row with a cell for each column, and the runs of it that have no checkpoint."""

    row: PaperRow
    cells: tuple[FilledCell, ...]
    missing: tuple[TableRun, ...] = ()


@dataclass(frozen=True)
class FilledTable:
    """A table with its filled rows.

    Attributes:
        table: what the paper printed.
        rows: in the paper's order.
        size: (height, width) of the pictures for which costs are counted; None where there are no costs of networks.
        folder: the checkpoints that were looked through.
        machine: of the measured columns; empty where nothing was measured.
    """

    table: PaperTable
    rows: tuple[FilledRow, ...]
    size: tuple[int, int] | None
    folder: CheckpointFolder
    machine: Mapping[str, str] = field(default_factory=dict)


def fill_table(
    table: PaperTable,
    folder: CheckpointFolder,
    size: tuple[int, int] | None = None,
    device: torch.device | None = None,
) -> FilledTable:
    """Fill a table: counts always, scores from the records of checkpoints, and measured columns on a device.

    Args:
        table: what the paper printed.
        folder: the checkpoints to look through.
        size: (height, width) of the pictures for which costs are counted; None: the paper's.
        device: where to measure; None: measured columns stay empty.
    """
    seen = size or table.size
    measures = device is not None and table.has(MEASURED_KINDS)
    costs = RowCosts(table, seen, device if measures else None)
    rows = tuple(fill_row(table, row, folder, costs) for row in table.rows)
    machine = {"device": str(device), **describe_machine()} if measures else {}
    return FilledTable(table, rows, seen, folder, machine)


def fill_row(table: PaperTable, row: PaperRow, folder: CheckpointFolder, costs: RowCosts) -> FilledRow:
    """Fill a row."""
    if row.network is None:
        return FilledRow(row, (EMPTY_CELL,) * len(table.columns))
    runs = {run.data: (run, find_run(run, folder.stored)) for run in runs_of(table, row)}
    cells = []
    for column in table.columns:
        if column.kind in (*COUNTED_KINDS, *MEASURED_KINDS):
            cells.append(FilledCell(costs.value(row, column)))
        elif column.kind == "gain":
            cells.append(FilledCell(score_gain(table, row, folder)))
        elif column.scored is not None:
            cells.append(score_cell(row, column, table, folder))
        else:
            cells.append(EMPTY_CELL)
    return FilledRow(row, tuple(cells), tuple(run for run, found in runs.values() if found is None))


def score_cell(row: PaperRow, column: PaperColumn, table: PaperTable, folder: CheckpointFolder) -> FilledCell:
    """The recorded score of a row's checkpoint in a column, in percent."""
    scored = column.scored
    run = next((run for run in runs_of(table, row) if scored and run.data == scored.data), None)
    found = find_run(run, folder.stored) if run else None
    if scored is None or run is None or found is None:
        return EMPTY_CELL
    evaluation = find_evaluation(run.recipe, scored, found.record.evaluations)
    if evaluation is None:
        return EMPTY_CELL
    share = evaluation.accuracy if column.kind == "accuracy" else evaluation.miou
    return FilledCell(100 * share, evaluation, found)


def score_gain(table: PaperTable, row: PaperRow, folder: CheckpointFolder) -> float | None:
    """The row's mean IoU less that of the first row of its group, in points; None for that row itself."""
    baseline = table.baseline_of(row)
    column = next(column for column in table.columns if column.kind == "miou")
    own, first = (score_cell(one, column, table, folder).value for one in (row, baseline))
    return None if row is baseline or own is None or first is None else own - first


class RowCosts:
    """What rows cost, each counted and measured once.

    Args:
        table: the table of the rows.
        size: (height, width) of the pictures; None where costs are of the block alone, or there are none.
        device: where to measure; None: nowhere.
    """

    def __init__(self, table: PaperTable, size: tuple[int, int] | None, device: torch.device | None) -> None:
        self.table, self.size, self.device = table, size, device
        self.classes = len(CLASS_SETS[next(iter(table.data_sets), COST_DATA)].names)
        self.counted: dict[str, CountedCost | None] = {}
        self.measured: dict[str, MeasuredCost | None] = {}

    def value(self, row: PaperRow, column: PaperColumn) -> float | None:
        """A row's cost in a column's unit; None where nothing is counted or measured."""
        own = self._absolute(row, column)
        if not column.over_baseline:
            return own
        baseline = self.table.baseline_of(row)
        first = self._absolute(baseline, column)
        return None if row is baseline or own is None or first is None else own - first

    def _absolute(self, row: PaperRow, column: PaperColumn) -> float | None:
        if column.kind in COUNTED_KINDS:
            counted = self._count(row)
            if counted is None:
                return None
            if column.kind == "parameters":
                return counted.parameters / 1e6
            return counted.gflops * column.operations / 2
        measured = self._measure(row)
        if measured is None:
            return None
        if column.kind == "memory":
            return measured.megabytes
        return measured.milliseconds if column.kind == "time" else 1000 * self.table.batch / measured.milliseconds

    def _count(self, row: PaperRow) -> CountedCost | None:
        key = repr(row.network) + row.block
        if key not in self.counted:
            self.counted[key] = self._count_once(row)
        return self.counted[key]

    def _count_once(self, row: PaperRow) -> CountedCost | None:
        if self.table.block_size:
            return count_block(row.block, self.table.block_size) if row.block else None
        return count_choice(row.network, self.classes, self.size) if row.network and self.size else None

    def _measure(self, row: PaperRow) -> MeasuredCost | None:
        key = repr(row.network) + row.block
        if self.device is not None and key not in self.measured:
            self.measured[key] = self._measure_once(row, self.device)
        return self.measured.get(key)

    def _measure_once(self, row: PaperRow, device: torch.device) -> MeasuredCost | None:
        if self.table.block_size:
            return measure_block(row.block, self.table.block_size, device) if row.block else None
        if row.network is None or self.size is None:
            return None
        return measure_choice(row.network, self.table, self.size, device)
