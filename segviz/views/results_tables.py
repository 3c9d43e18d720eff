"""The models' scores and costs as columns, every number from their records."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from segviz.metrics import BOUNDARY_WIDTH
from segviz.models.registry import SPECS
from segviz.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Record, Shares
from segviz.results import BASELINE, Curve, context_gain, mean, miou

NONE = "–"  # where there is no number

Columns = Mapping[str, Sequence[str | float | int | None]]


@dataclass(frozen=True)
class Column:
    """A column of the table of models: its head, what it means, how numbers are written, and a model's value."""

    title: str
    meaning: str
    format: str | None
    value: Callable[[Record], str | float | None]


def points(share: float | None) -> float | None:
    """A share in [0, 1] in percent."""
    return None if share is None else round(100 * share, 2)


def cost_of(field: str, unit: float = 1) -> Callable[[Record], float | None]:
    """A field of the cost, in a unit."""
    return lambda record: None if record.cost is None else float(getattr(record.cost, field)) / unit


def without_context(record: Record) -> float | None:
    """Val mIoU with the context switched off, in percent, where there is one."""
    return points(miou(record, VAL_WITHOUT_CONTEXT)) if SPECS[record.model].maps else None


def gammas(record: Record) -> str | None:
    """The trained gammas; where there are two, each with its branch."""
    named = {name.removeprefix("block.").removesuffix("gamma").strip("."): one for name, one in record.gammas.items()}
    return ", ".join(f"{name} {one:.3f}".strip() for name, one in named.items()) or None


def boundary(record: Record) -> float | None:
    """Mean boundary IoU on val in percent."""
    return points(mean(record.evaluations[VAL].boundary_iou)) if VAL in record.evaluations else None


COLUMNS = (
    Column("Model", "The model's name on the command line.", None, lambda record: record.model),
    Column("Block", "The context block that the network is built around.", None, lambda record: title(record.model)),
    Column("Val SS", "SS, single scale: mean IoU on val in percent, each picture seen once at its own size.", "%.1f",
           lambda record: points(miou(record, VAL))),
    Column("Val MS+F", "MS+F, multi-scale and flip: the same, but softmax scores are averaged over several sizes of "
           "the picture and their mirror images, as papers do.", "%.1f",
           lambda record: points(miou(record, VAL_MULTI_SCALE))),
    Column("Scenes", "Mean IoU in percent on drawn scenes that no training saw, single scale.", "%.1f",
           lambda record: points(miou(record, SCENES))),
    Column("Boundary", "Boundary IoU: mean IoU on val in percent, counting only pixels within "
           f"{BOUNDARY_WIDTH} pixels of a border between classes.", "%.1f", boundary),
    Column("Context off", "Context off: val SS of the same weights with the block's context left out, so that only the "
           "features that bypass it remain.", "%.1f", without_context),
    Column("Difference", "Val SS minus context off, in points: what the context adds. Near 0, it could be removed.",
           "%+.2f", context_gain),
    Column("Gamma", "Gamma: the trained factor by which the context is added to the features; it starts at 0. Blocks "
           "that do not add their context have none.", None, gammas),
    Column("GFLOPs", "Operations of the whole network for one picture in 10^9, two a multiply-add.", "%.1f",
           cost_of("gflops")),
    Column("Parameters (M)", "Numbers that training sets, in millions.", "%.2f", cost_of("parameters", 1e6)),
    Column("Memory (MiB)", "Measured: memory that a forward needs beyond the weights, maps kept.", "%.0f",
           cost_of("peak_mb")),
    Column("Latency (ms)", "Measured: median time of a forward that keeps the maps.", "%.0f", cost_of("milliseconds")),
    Column("Stride", "Output stride: how many pixels a cell of the deep features stands for, across and down.", "%d",
           lambda record: record.output_stride),
    Column("Steps", "Steps of the model's own training, those of what it started from not counted.", "%d",
           lambda record: record.steps),
    Column("Seed", "The seed of the training.", "%d", lambda record: record.seed),
    Column("Paper", "Where the block comes from.", None, lambda record: SPECS[record.model].paper),
)  # fmt: skip


def title(name: str) -> str:
    """A model as tables and legends name it."""
    return "Common baseline" if name == BASELINE else SPECS[name].title


def models_table(records: Mapping[str, Record]) -> Columns:
    """A row a model, a column for each of COLUMNS; None where something was not measured."""
    return {column.title: [column.value(record) for record in records.values()] for column in COLUMNS}


def class_table(scores: Mapping[str, Shares], classes: Sequence[str]) -> Columns:
    """A row a class, a column a model, in percent; None where a class does not occur."""
    return {"Class": classes} | {
        title(name): [points(shares.get(one)) for one in classes] for name, shares in scores.items()
    }


def confusion_table(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Columns:
    """A row for each true and predicted class: pixels, and their share of the true class's in percent."""
    pairs = [(truth, predicted) for truth in range(len(classes)) for predicted in range(len(classes))]
    totals = [sum(row) for row in counts]
    return {
        "Truth": [classes[truth] for truth, _ in pairs],
        "Predicted": [classes[predicted] for _, predicted in pairs],
        "Pixels": [counts[truth][predicted] for truth, predicted in pairs],
        "Percent of truth": [
            points(counts[truth][predicted] / totals[truth]) if totals[truth] else None for truth, predicted in pairs
        ],
    }


def curves_table(curves: Mapping[str, Curve]) -> Columns:
    """The lines of all logs, one after the other."""
    rows = [(title(name), row) for name, curve in curves.items() for row in curve]
    columns = {"Model": [name for name, _ in rows]}
    return columns | {
        field: [getattr(row, field) for _, row in rows] for field in ("step", "minutes", "rate", "loss", "val_miou")
    }


def csv_text(columns: Columns) -> str:
    """Columns as CSV; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
