"""The models' scores and costs as columns, every number from their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeAlias

from segviz.catalogue.curve import Curve
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Record, Shares
from segviz.evaluation.metrics import BOUNDARY_WIDTH
from segviz.models.registry import SPECS
from segviz.results.folder import BASELINE_TITLES
from segviz.results.seeds import Runs, context_change, context_changes, scores
from segviz.table import Columns

Seeds: TypeAlias = tuple[Record, ...]


@dataclass(frozen=True)
class Column:
    """A column of the table of models.

    Attributes:
        title: its head.
        meaning: in a sentence or two, for those who point at the head.
        format: how numbers are written; None for text.
        value: of one model, from the records of its seeds, the checkpoint's first.
        seeds: whether it tells how far seeds lie apart, so that it belongs to tables with several alone.
    """

    title: str
    meaning: str
    format: str | None
    value: Callable[[Seeds], str | float | None]
    seeds: bool = False


def rounded_percent(share: float | None) -> float | None:
    """A share in [0, 1] in percent."""
    return None if share is None else round(100 * share, 2)


def mean_score(evaluation: str, field: str = "miou") -> Callable[[Seeds], float | None]:
    """The mean over seeds of an evaluation's score, in percent, rounded as in the README."""
    return lambda found: round(fmean(own), 1) if (own := scores(found, evaluation, field)) else None


def seed_deviation(values: Callable[[Seeds], Sequence[float]]) -> Callable[[Seeds], float | None]:
    """The sample standard deviation over seeds, where there are several."""
    return lambda found: round(stdev(own), 2) if len(own := values(found)) > 1 else None


def score_deviation(evaluation: str) -> Callable[[Seeds], float | None]:
    """The same of an evaluation's mIoU."""
    return seed_deviation(lambda found: scores(found, evaluation))


def cost_value(field: str, unit: float = 1) -> Callable[[Seeds], float | None]:
    """A field of the checkpoint's cost, in a unit."""
    return lambda found: None if found[0].cost is None else float(getattr(found[0].cost, field)) / unit


def score_without_context(found: Seeds) -> float | None:
    """Val mIoU with the context switched off, in percent, where there is one."""
    return mean_score(VAL_WITHOUT_CONTEXT)(found) if SPECS[found[0].model].maps else None


def list_gammas(found: Seeds) -> str | None:
    """The checkpoint's trained gammas; where there are two, each with its branch."""
    own = found[0].gammas
    named = {name.removeprefix("block.").removesuffix("gamma").strip("."): one for name, one in own.items()}
    return ", ".join(f"{name} {one:.3f}".strip() for name, one in named.items()) or None


APART = "Sample standard deviation over the seeds."
MODEL_COLUMNS = (
    Column("Model", "The model's name on the command line.", None, lambda found: found[0].model),
    Column("Val SS", "SS, single scale: mean IoU on val in percent, each picture seen once at its own size.", "%.1f",
           mean_score(VAL)),
    Column("SS ±", APART, "%.2f", score_deviation(VAL), True),
    Column("Val MS+F", "MS+F, multi-scale and flip: the same, but softmax scores are averaged over several sizes of "
           "the picture and their mirror images, as papers do.", "%.1f", mean_score(VAL_MULTI_SCALE)),
    Column("MS+F ±", APART, "%.2f", score_deviation(VAL_MULTI_SCALE), True),
    Column("Scenes", "Mean IoU in percent on drawn scenes that no training saw, single scale.", "%.1f", mean_score(SCENES)),
    Column("Scenes ±", APART, "%.2f", score_deviation(SCENES), True),
    Column("Boundary", "Boundary IoU: mean IoU on val in percent, counting only pixels within "
           f"{BOUNDARY_WIDTH} pixels of a border between classes.", "%.1f", mean_score(VAL, "boundary_miou")),
    Column("Context off", "Context off: val SS of the same weights with the block's context left out, so that only the "
           "features that bypass it remain.", "%.1f", score_without_context),
    Column("Difference", "Context off minus val SS, in points: negative where the context helps. Near 0, it could be "
           "removed.", "%+.2f", context_change),
    Column("Difference ±", APART, "%.2f", seed_deviation(context_changes), True),
    Column("Gamma", "Gamma: the trained factor by which the context is added to the features; it starts at 0. Blocks "
           "that do not add their context have none.", None, list_gammas),
    Column("GFLOPs", "Operations of the whole network for one picture in 10^9, two a multiply-add.", "%.1f",
           cost_value("gflops")),
    Column("Parameters (M)", "Numbers that training sets, in millions.", "%.2f", cost_value("parameters", 1e6)),
    Column("Memory (MiB)", "Measured: memory that a forward needs beyond the weights, maps kept.", "%.0f",
           cost_value("peak_mb")),
    Column("Latency (ms)", "Measured: median time of a forward that keeps the maps.", "%.0f", cost_value("milliseconds")),
    Column("Stride", "Output stride: how many pixels a cell of the deep features stands for, across and down.", "%d",
           lambda found: found[0].output_stride),
    Column("Steps", "Steps of the model's own training, those of what it started from not counted.", "%d",
           lambda found: found[0].steps),
    Column("Seeds", "The seeds of its trainings, the checkpoint's first. Scores are means over them.", None,
           lambda found: ", ".join(str(one.seed) for one in found)),
    Column("Block", "The context block that the network is built around.", None, lambda found: training_title(found[0].model)),
    Column("Paper", "Where the block comes from.", None, lambda found: SPECS[found[0].model].paper),
)  # fmt: skip


def select_columns(runs: Runs) -> tuple[Column, ...]:
    """COLUMNS, those on how far seeds lie apart only where a model has several."""
    several = any(len(found) > 1 for found in runs.values())
    return tuple(column for column in MODEL_COLUMNS if several or not column.seeds)


def training_title(name: str) -> str:
    """A model as tables and legends name it."""
    return BASELINE_TITLES.get(name) or SPECS[name].title


def models_table(runs: Runs) -> Columns:
    """A row a model, with the columns of `columns_of`; None where something was not measured."""
    return {column.title: [column.value(found) for found in runs.values()] for column in select_columns(runs)}


def class_table(scores: Mapping[str, Shares], classes: Sequence[str]) -> Columns:
    """A row a class, a column a model, in percent; None where a class does not occur."""
    return {"Class": classes} | {
        training_title(name): [rounded_percent(shares.get(one)) for one in classes] for name, shares in scores.items()
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
            rounded_percent(counts[truth][predicted] / totals[truth]) if totals[truth] else None
            for truth, predicted in pairs
        ],
    }


def curves_table(curves: Mapping[str, Curve]) -> Columns:
    """The lines of all logs, one after the other."""
    rows = [(training_title(name), row) for name, curve in curves.items() for row in curve]
    columns = {"Model": [name for name, _ in rows]}
    return columns | {
        field: [getattr(row, field) for _, row in rows] for field in ("step", "minutes", "rate", "loss", "val_miou")
    }
