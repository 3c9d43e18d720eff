"""The tables that `evaluate` prints, with what was scored and what the columns are below them."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.record import Evaluation
from segviz.evaluation.metrics import BOUNDARY_WIDTH
from segviz.text import format_percent, format_table

SCORE_WORDS = (
    "Numbers are in percent. mIoU is the mean IoU of the classes.\n"
    f"borders: only pixels at most {BOUNDARY_WIDTH} pixels from a border between two classes."
)


def format_scores_by_class(model: str, classes: tuple[str, ...], scores: Mapping[str, Evaluation]) -> str:
    """Format a row per class; each evaluation has a column for all pixels and one for pixels near class borders."""
    heads, columns = [model], [["mIoU", "pixel accuracy", *classes]]
    for name, one in scores.items():
        heads += [name, "borders"]
        iou, near = ([shares[label] for label in classes] for shares in (one.iou, one.boundary_iou))
        columns.append([format_percent(share) for share in (one.miou, one.accuracy, *iou)])
        columns.append([format_percent(share) for share in (one.boundary_miou, None, *near)])
    absent = any(share is None for one in scores.values() for share in (*one.iou.values(), *one.boundary_iou.values()))
    dash = "-: pixel accuracy is not measured near borders" + (
        "; a class that is neither in the labels nor predicted has no IoU, and mIoU leaves it out." if absent else "."
    )
    table = format_table(heads, list(zip(*columns, strict=True)))
    return f"{table}\n\n{list_shown(scores)}\n{SCORE_WORDS}\n{dash}"


def format_scores_by_model(results: Mapping[str, Mapping[str, Evaluation]]) -> str:
    """Format a row per model; each evaluation has columns for mIoU, pixel accuracy and mIoU near class borders."""
    known = {name: one for scores in results.values() for name, one in scores.items()}
    heads = ["model", *(head for name in known for head in (f"{name}: mIoU", "accuracy", "borders"))]
    rows = []
    for model, scores in results.items():
        columns = [scores.get(name) for name in known]
        shares = [(one.miou, one.accuracy, one.boundary_miou) if one else (None,) * 3 for one in columns]
        rows.append([model, *(format_percent(share) for three in shares for share in three)])
    dash = "\n-: not scored." if any("-" in row for row in rows) else ""
    return f"{format_table(heads, rows)}\n\n{list_shown(known)}\n{SCORE_WORDS}{dash}"


def list_shown(scores: Mapping[str, Evaluation]) -> str:
    """A line for each evaluation: the data, the number of pictures, and how they were shown."""
    return "\n".join(f"{name}: {one.described}." for name, one in scores.items())
