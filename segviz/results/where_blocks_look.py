"""Where do the blocks look? A sentence and a table row for each map, from the numbers in the records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segviz.catalogue.map_record import MapNumbers, MeasuredMap
from segviz.catalogue.record import VAL
from segviz.models.registry import MODELS
from segviz.results.map_ranges import AT_ITSELF, DEPENDENCE, ENTROPY, MAP_RANGES, OWN_CLASS, find_misses, format_share
from segviz.results.markdown import Rows, join_names, markdown_table
from segviz.results.seeds import Runs
from segviz.table import Columns, ColumnSpec, tabulate

QUESTION = "Where do the blocks look?"
PLACELESS = ("channel", "rows", "columns", "gate")  # maps that have no row for a place, by name
WEIGHTS_IN_WORDS = {"trained": "trained", "even": "even weights", "random": "random weights"}
MEASURE_MAPS = "python -m segviz evaluate --model all --data camvid --scenes 50 --maps --record"
EXPLANATION = (
    "Means over all cells of all pictures of a set. Even weights: a cell gives the same to all that it can choose "
    "between. Random weights: the block before training, on the trained network's features."
)


@dataclass(frozen=True)
class BlockMap:
    """A measured map of a model's block."""

    model: str
    name: str
    title: str
    measured: MeasuredMap


@dataclass(frozen=True)
class MeasuredRow:
    """A row of the table: one kind of weights of a map on a set of pictures."""

    title: str
    pictures: str
    weights: str
    numbers: MapNumbers


def place_maps(model: str) -> list[str]:
    """The names of a model's maps that have a row for each place."""
    return [name for name in MODELS[model].maps if name not in PLACELESS]


def block_maps(runs: Runs, evaluation: str = VAL) -> list[BlockMap]:
    """The measured maps of the checkpoints, in the order of the models."""
    maps = []
    for model, (record, *_) in runs.items():
        measured = record.maps[evaluation].maps if evaluation in record.maps else {}
        for name, one in measured.items():
            title = MODELS[model].title if len(measured) == 1 else f"{MODELS[model].title}, {name}"
            maps.append(BlockMap(model, name, title, one))
    return maps


def describe_block_map(one: BlockMap) -> str:
    """Where a block looks and which ranges it misses, in Markdown."""
    own, even = one.measured.trained, one.measured.even
    sentence = (
        f"**{one.title}** {breadth(own.entropy)}: its entropy is {ENTROPY.format(own.entropy)} of even weights'. "
        f"Of a point's weight, {AT_ITSELF.format(own.at_itself)} is on its own cell and the eight around it; its class "
        f"gets {OWN_CLASS.format(own.own_class)} times the even share. The weight is on average "
        f"{format_share(own.distance)} of the picture's diagonal away (even weights: {format_share(even.distance)}). "
        f"From one random point to another, {DEPENDENCE.format(own.dependence)} of the weight moves on average."
    )
    missed = [clause for _, clause in find_misses(one.name, one.measured)]
    return f"{sentence} Out of range: {'; '.join(missed)}." if missed else sentence


def breadth(entropy: float | None) -> str:
    """How widely a block looks, in words."""
    side = None if entropy is None else ENTROPY.side(entropy)
    return {"low": "looks at few places", "high": "looks nearly everywhere", None: "selects places"}[side]


def describe_maps(runs: Runs) -> list[str]:
    """A sentence for each measured map on val; then which models were not measured, and which have no such map."""
    maps = block_maps(runs)
    sentences = [describe_block_map(one) for one in maps]
    known = {one.model for one in maps}
    titles = {name: MODELS[name].title for name in runs}
    if unknown := [titles[name] for name in runs if place_maps(name) and name not in known]:
        sentences.append(f"Not measured: {join_names(unknown, str)}. This does it: `{MEASURE_MAPS}`")
    if without := [titles[name] for name in runs if not place_maps(name)]:
        sentences.append(f"Without a map over places: {join_names(without, str)}.")
    return sentences


def measured_rows(runs: Runs) -> Iterator[MeasuredRow]:
    """A row for each map, set of pictures and kind of weights."""
    for evaluation in dict.fromkeys(name for seeds in runs.values() for name in seeds[0].maps):
        for one in block_maps(runs, evaluation):
            for field, words in WEIGHTS_IN_WORDS.items():
                yield MeasuredRow(one.title, evaluation, words, getattr(one.measured, field))


def percent(field: str) -> ColumnSpec[MeasuredRow]:
    """The column of a range's number, in percent if it is a share."""
    (limits,) = (one for one in MAP_RANGES if one.field == field)
    factor, unit = (100, " (%)") if limits.percent else (1, " (times)")

    def value(row: MeasuredRow) -> float | None:
        number = limits.of(row.numbers)
        return None if number is None else factor * number

    rule = f"A map that shows something has {limits.words()}, by a rule of thumb of this project."
    return ColumnSpec(limits.title + unit, f"{limits.meaning} {rule}", value)


def share(title: str, meaning: str, field: str, form: str = "%.1f") -> ColumnSpec[MeasuredRow]:
    """The column of a share without a range."""

    def value(row: MeasuredRow) -> float | None:
        number: float | None = getattr(row.numbers, field)
        return None if number is None else 100 * number

    return ColumnSpec(title, meaning, value, form)


MAP_COLUMNS: tuple[ColumnSpec[MeasuredRow], ...] = (
    ColumnSpec("Map", "The block, and the map if it has several.", lambda row: row.title, None),
    ColumnSpec("Pictures", "The set of pictures.", lambda row: row.pictures, None),
    ColumnSpec("Weights", EXPLANATION, lambda row: row.weights, None),
    *(percent(limits.field) for limits in MAP_RANGES),
    share("Weight on class (%)", "Weight on cells of the cell's class; void is left out.", "own_class_weight"),
    share("Even weight on class (%)", "What even weights put on the cell's class.", "own_class_even"),
    share("Distance (%)", "Mean distance of the weight from the cell, in percent of the diagonal.", "distance"),
    share("Largest (%)", "The largest weight that a cell gives, on average.", "largest", "%.2f"),
)


def maps_table(runs: Runs) -> Columns:
    """The table of `measured_rows`."""
    return tabulate(measured_rows(runs), MAP_COLUMNS)


def maps_section(runs: Runs) -> str:
    """The section of MODELS.md."""
    parts = [f"## {QUESTION}\n", f"{EXPLANATION}\n"]
    rows = list(measured_rows(runs))
    if rows:
        body: Rows = [tuple(column.title for column in MAP_COLUMNS)]
        body += [tuple(format_value(column, row) for column in MAP_COLUMNS) for row in rows]
        parts.append(markdown_table(body))
        parts.append(f"Wanted: {'; '.join(f'{one.title.lower()} {one.words()}' for one in MAP_RANGES)}. On val:\n")
    parts += [f"- {sentence}" for sentence in describe_maps(runs)]
    return "\n".join(parts) + "\n"


def format_value(column: ColumnSpec[MeasuredRow], row: MeasuredRow) -> str:
    """A value as text in a table."""
    value = column.value(row)
    if value is None or isinstance(value, str):
        return value or format_share(None)
    return (column.format or "%s") % value
