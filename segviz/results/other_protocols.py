"""Scores by protocols that no column has, such as sliding crops: they are named with their protocol."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.record import (
    SCENES,
    SCENES_WITHOUT_CONTEXT,
    VAL,
    VAL_MULTI_SCALE,
    VAL_WITHOUT_CONTEXT,
    Evaluation,
    Record,
)
from segviz.results.markdown import Rows, as_code, escape_cell, markdown_table
from segviz.results.seeds import Runs
from segviz.text import NONE, escape_markdown, format_percent

IN_COLUMNS = (VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, SCENES, SCENES_WITHOUT_CONTEXT)


def other_evaluations(record: Record) -> Mapping[str, Evaluation]:
    """The evaluations of a record that no column of the tables shows, by name."""
    return {name: one for name, one in record.evaluations.items() if name not in IN_COLUMNS}


def protocols_section(runs: Runs) -> str:
    """The part of MODELS.md on other protocols; "" where nothing was scored by one."""
    rows: Rows = [("Model", "Pictures", "Protocol", "mIoU", "Pixel accuracy", "Context")]
    for name, (record, *_) in runs.items():
        for one in other_evaluations(record).values():
            shares = (format_percent(share, NONE) for share in (one.miou, one.accuracy))
            context = "on" if one.context else "off"
            rows.append((as_code(name), escape_cell(one.pictures), one.shown, *shares, context))
    if len(rows) == 1:
        return ""
    return f"## Other protocols\n\n{markdown_table(rows)}\nScores are the files' own; see docs/protocols.md.\n"


def protocol_sentences(records: Mapping[str, Record]) -> tuple[str, ...]:
    """A sentence of the Results page on each score by another protocol, in Markdown."""
    return tuple(
        escape_markdown(f"{model}, {name}: mIoU {format_percent(one.miou)} %.")
        for model, record in records.items()
        for name, one in other_evaluations(record).items()
    )
