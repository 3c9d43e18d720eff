"""The table of the Cues page: blocks by kinds of cue, measured and by theory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.cue_file import cue_path, read_cue_record
from segviz.catalogue.cue_record import CueRecord
from segviz.data.scenes.cues import CUE_KINDS
from segviz.models.registry import MODELS
from segviz.results.cue_theory import NEARER_ALONG_AN_AXIS, THEORY, CanTell
from segviz.table import Columns
from segviz.text import NONE, count_words, percent_text

CueRecords = Mapping[tuple[str, str], CueRecord]  # by block and kind
CORRECT_ANSWERS, WEIGHT_ON_CUE, INFLUENCE_ON_CUE = "Correct answers", "Weight on the cue", "Influence on the cue"
CUE_MEASURES: Mapping[str, str] = {
    CORRECT_ANSWERS: "Correct answers on new pictures, their 95 % interval, and what theory says:",
    WEIGHT_ON_CUE: "The weight that the object's centre gives to its cue's nine cells, for each map of places.",
    INFLUENCE_ON_CUE: "The share of the influence on the object's score that comes from its cue's nine cells.",
}
ABOVE_THEORY = "↑"
LEGENDS: Mapping[str, Mapping[str, str]] = {
    CORRECT_ANSWERS: {word.value: word.meaning for word in CanTell}
    | {ABOVE_THEORY: "above what theory predicts; *Why theory says so* has the reason"},
    WEIGHT_ON_CUE: {NONE: "the block has no map of places"},
    INFLUENCE_ON_CUE: {NONE: "no context reaches the answer"},
}
CEILINGS = {CanTell.NO: 1 / 3, CanTell.EITHER: 1 / 2}


def read_cue_records(folder: Path | None = None) -> tuple[CueRecords, tuple[str, ...]]:
    """The records of all networks that are there, and a sentence about each file that cannot be read."""
    records: dict[tuple[str, str], CueRecord] = {}
    problems = []
    for block in MODELS:
        for kind in CUE_KINDS:
            path = cue_path(block, kind, folder)
            if not path.is_file():
                continue
            try:
                records[block, kind] = read_cue_record(path)
            except CheckpointError as error:
                problems.append(f"{error}.")
    return records, tuple(problems)


def cue_table(records: CueRecords, measure: str) -> Columns:
    """A row for each block, a column for each kind; None where there is no network."""
    kinds = {kind.title: key for key, kind in CUE_KINDS.items()}
    columns: dict[str, list[str | None]] = {"Block": [row.title for row in MODELS.values()]}
    for title, kind in kinds.items():
        found = [records.get((block, kind)) for block in MODELS]
        columns[title] = [None if record is None else describe_cell(record, measure) for record in found]
    return columns


def describe_cell(record: CueRecord, measure: str) -> str:
    """What a cell of the table says."""
    measured = record.measured
    if measure == WEIGHT_ON_CUE:
        several = len(measured.weight) > 1
        shares = [
            f"{name}\N{NO-BREAK SPACE}{percent_text(share)}" if several else percent_text(share)
            for name, share in measured.weight.items()
        ]
        return ", ".join(shares) or NONE
    if measure == INFLUENCE_ON_CUE:
        return NONE if measured.influence is None else percent_text(measured.influence)
    low, high = measured.interval
    shown = f"{percent_text(measured.accuracy)} ({100 * low:.0f}–{100 * high:.0f})"
    mark = f" {ABOVE_THEORY}" if is_above_theory(record) else ""
    words = f"{expectation(record).value}{mark}".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{shown}\N{NO-BREAK SPACE}· {words}"


def describe_measure(measure: str, table: Columns) -> str:
    """What the table shows, in Markdown, with a line for each word and sign that stands in it."""
    cells = " ".join(str(cell) for column in table.values() for cell in column).replace("\N{NO-BREAK SPACE}", " ")
    lines = [f"- **{word}**: {meaning}" for word, meaning in LEGENDS[measure].items() if word in cells]
    return "\n".join([CUE_MEASURES[measure], *lines])


def is_above_theory(record: CueRecord) -> bool:
    """Whether a network has more correct answers than theory allows, beyond the uncertainty of the measurement."""
    ceiling = CEILINGS.get(expectation(record))
    return ceiling is not None and record.measured.interval[0] > ceiling


def expectation(record: CueRecord) -> CanTell:
    """What theory says of a network's block and kind."""
    return THEORY[record.block][list(CUE_KINDS).index(record.kind)]


def surprises(records: CueRecords) -> list[str]:
    """A sentence for each network whose accuracy is not what theory allows or promises."""
    sentences = []
    for (block, kind), record in records.items():
        expected, high = expectation(record), record.measured.interval[1]
        title, rule = MODELS[block].title, CUE_KINDS[kind].title.lower()
        reached = f"{percent_text(record.measured.accuracy)} after {count_words(record.steps, 'step')}"
        if expected is CanTell.YES and high < 0.95:
            sentences.append(f"**{title}, {rule}**: could tell, but has learned only part of it: {reached}.")
        elif is_above_theory(record):
            predicted = percent_text(CEILINGS[expected])
            sentences.append(
                f"**{title}, {rule}**: {reached}, above the {predicted} that the argument predicts.{left_out(record)}"
            )
        elif expected is CanTell.EITHER and high < CEILINGS[expected]:
            sentences.append(f"**{title}, {rule}**: has not learned to see both cues: {reached}.")
    return sentences


def left_out(record: CueRecord) -> str:
    """What the argument leaves out where a network does better than it; "" where that is not known."""
    knows_lines = THEORY[record.block][list(CUE_KINDS).index("row")] is CanTell.YES
    if record.kind != "nearer" or not knows_lines:
        return ""
    return (
        " The argument leaves out that the nearer cue often also has the smaller offset in rows or in columns (for "
        f"{percent_text(NEARER_ALONG_AN_AXIS)} of the objects), and this block knows its row and column."
    )


def describe_training(records: CueRecords) -> str:
    """How the networks were trained and measured, from their records."""
    kept = list(records.values())
    minutes, first = sum(record.minutes for record in kept), kept[0]
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in kept}))
    steps = f"{min(record.steps for record in kept)} to {max(record.steps for record in kept)}"
    measured = first.measured
    return (
        f"{len(kept)} networks of seed {seeds}: {steps} steps of {first.batch} pictures, until the loss vanished; "
        f"{minutes:.0f} minutes in all on {first.hardware}. "
        f"Measured on {measured.pictures} new pictures, one object in each; weight and influence are means over "
        f"{measured.looked_at} of them. `python -m segviz train-cues` trains them again."
    )
