"""The tables that `evaluate` prints."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.record import Evaluation
from segviz.text import format_percent, format_table


def format_scores_by_class(model: str, classes: tuple[str, ...], scores: Mapping[str, Evaluation]) -> str:
    """Format a row per class; each evaluation has a column for all pixels and one for pixels near class borders."""
    heads, columns = [model], [["mIoU", "pixel accuracy", *classes]]
    for name, one in scores.items():
        heads += [name, "borders"]
        iou, near = ([shares[label] for label in classes] for shares in (one.iou, one.boundary_iou))
        columns.append([format_percent(share) for share in (one.miou, one.accuracy, *iou)])
        columns.append([format_percent(share) for share in (one.boundary_miou, None, *near)])
    return format_table(heads, list(zip(*columns, strict=True)))


def format_scores_by_model(results: Mapping[str, Mapping[str, Evaluation]]) -> str:
    """Format a row per model; each evaluation has columns for mIoU, pixel accuracy and mIoU near class borders."""
    names = list(dict.fromkeys(name for scores in results.values() for name in scores))
    heads = ["model", *(head for name in names for head in (f"{name}: mIoU", "accuracy", "borders"))]
    rows = []
    for model, scores in results.items():
        columns = [scores.get(name) for name in names]
        shares = [(one.miou, one.accuracy, one.boundary_miou) if one else (None,) * 3 for one in columns]
        rows.append([model, *(format_percent(share) for three in shares for share in three)])
    return format_table(heads, rows)
