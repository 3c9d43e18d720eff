"""Tables of the Results page: scores and costs, IoU by class, confusions, and learning curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev

from segviz.catalogue.curve import Curve
from segviz.catalogue.own_models import own_models
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Shares
from segviz.evaluation.metrics import BOUNDARY_WIDTH
from segviz.models.registry import MODELS
from segviz.results.folder import BASELINE_TITLES
from segviz.results.gain import mean_gain
from segviz.results.seeds import Runs, Seeds, context_change, context_changes, format_gammas, score_origins, scores
from segviz.table import Columns, ColumnSpec, tabulate


class SpreadColumn(ColumnSpec[Seeds]):
    """A column on the spread between seeds; tables have it only if a model has several seeds."""


def rounded_percent(share: float | None) -> float | None:
    """A share in [0, 1] in percent, to two decimals."""
    return None if share is None else round(100 * share, 2)


def mean_score(evaluation: str, field: str = "miou") -> Callable[[Seeds], float | None]:
    """A function for the mean over seeds of an evaluation's score, in percent, rounded as in the README."""
    return lambda seeds: round(fmean(known), 1) if (known := scores(seeds, evaluation, field)) else None


def seed_deviation(values: Callable[[Seeds], Sequence[float]]) -> Callable[[Seeds], float | None]:
    """A function for the sample standard deviation over seeds; None for fewer than two."""
    return lambda seeds: round(stdev(known), 2) if len(known := values(seeds)) > 1 else None


def score_deviation(evaluation: str) -> Callable[[Seeds], float | None]:
    """A function for the standard deviation over seeds of an evaluation's mIoU, in points."""
    return seed_deviation(lambda seeds: scores(seeds, evaluation))


def cost_value(field: str, unit: float = 1) -> Callable[[Seeds], float | None]:
    """A function that reads a field of the checkpoint's cost, divided by `unit`."""
    return lambda seeds: None if seeds[0].cost is None else float(getattr(seeds[0].cost, field)) / unit


def score_without_context(seeds: Seeds) -> float | None:
    """Val mIoU with the context switched off, in percent; None for a model without context."""
    return mean_score(VAL_WITHOUT_CONTEXT)(seeds) if MODELS[seeds[0].model].maps else None


SCORE_COLUMNS = {"Val SS": VAL, "Val MS+F": VAL_MULTI_SCALE, "Scenes": SCENES, "Context off": VAL_WITHOUT_CONTEXT}
DEVIATION = "Sample standard deviation over the seeds."
MODEL_COLUMNS: tuple[ColumnSpec[Seeds], ...] = (
    ColumnSpec("Model", "The model's name on the command line.", lambda seeds: seeds[0].model, None),
    ColumnSpec("Val SS", "SS, single scale: mean IoU on val in percent, each picture predicted once at its own size.",
               mean_score(VAL)),
    SpreadColumn("SS ±", DEVIATION, score_deviation(VAL), "%.2f"),
    ColumnSpec("Val MS+F", "MS+F, multi-scale and flip: the same, but softmax scores are averaged over several sizes "
               "of the picture and their mirror images. The papers name no sizes; these are named below.",
               mean_score(VAL_MULTI_SCALE)),
    SpreadColumn("MS+F ±", DEVIATION, score_deviation(VAL_MULTI_SCALE), "%.2f"),
    ColumnSpec("Scenes", "Mean IoU in percent, single scale, on drawn scenes that were never trained on.",
               mean_score(SCENES)),
    SpreadColumn("Scenes ±", DEVIATION, score_deviation(SCENES), "%.2f"),
    ColumnSpec("Boundary", f"Boundary IoU: mean IoU on val in percent, counting only pixels within {BOUNDARY_WIDTH} "
               "pixels of a border between classes.", mean_score(VAL, "boundary_miou")),
    ColumnSpec("Context off", "Val SS of the same weights without the block's context: only the features that bypass "
               "it remain.", score_without_context),
    ColumnSpec("Difference", "Context off minus val SS, in points: negative where the context helps. Near 0, the "
               "context could be removed; within its spread (±), it is not measurable.", context_change, "%+.2f"),
    SpreadColumn("Difference ±", DEVIATION, seed_deviation(context_changes), "%.2f"),
    ColumnSpec("Gamma", "The trained factor by which the context is multiplied before it is added to the features; the "
               "bundled models' started at 1, the papers' at 0. Blocks that do not add their context have none.",
               lambda seeds: format_gammas(seeds[0], ".3f") or None, None),
    ColumnSpec("GFLOPs", "Operations of the whole network for one picture in 10^9; a multiply-add counts as two.",
               cost_value("gflops")),
    ColumnSpec("Parameters (M)", "Trained parameters, in millions.", cost_value("parameters", 1e6), "%.2f"),
    ColumnSpec("Memory (MiB)", "Measured: peak memory of a forward pass beyond the weights, with the maps kept.",
               cost_value("peak_mb"), "%.0f"),
    ColumnSpec("Latency (ms)", "Measured: median time of a forward pass that keeps the maps.",
               cost_value("milliseconds"), "%.0f"),
    ColumnSpec("Stride", "Output stride: the number of pixels per cell of the deep features, in both directions.",
               lambda seeds: seeds[0].output_stride, "%d"),
    ColumnSpec("Steps", "Training steps of the model itself, without those of the checkpoint that it started from.",
               lambda seeds: seeds[0].steps, "%d"),
    ColumnSpec("Seeds", "Seeds of the training runs, the checkpoint's first. Scores are means over them.",
               lambda seeds: ", ".join(str(one.seed) for one in seeds), None),
    ColumnSpec("Scores are", "Whether a score is of one seed, as on Inspect, or a mean of several.",
               lambda seeds: score_origins(seeds, SCORE_COLUMNS), None),
    ColumnSpec("Block", "The context block of the network.", lambda seeds: training_title(seeds[0].model), None),
    ColumnSpec("Paper", "The paper that proposed the block.", lambda seeds: MODELS[seeds[0].model].paper, None),
)  # fmt: skip


def select_columns(runs: Runs) -> tuple[ColumnSpec[Seeds], ...]:
    """MODEL_COLUMNS and the gain over fcn, without those of a spread between seeds that no model has."""
    gain = ColumnSpec[Seeds](
        "Over fcn", "Val SS less that of fcn trained alike (same seed, steps and data), in points: what the block "
        "adds, with nothing taken apart.", lambda seeds: mean_gain(runs, seeds[0].model), "%+.2f",
    )  # fmt: skip
    at = 1 + max(number for number, column in enumerate(MODEL_COLUMNS) if column.title.startswith("Difference"))
    return tuple(
        column
        for column in (*MODEL_COLUMNS[:at], gain, *MODEL_COLUMNS[at:])
        if not isinstance(column, SpreadColumn) or any(column.value(seeds) is not None for seeds in runs.values())
    )


def training_title(name: str) -> str:
    """The title of a model or baseline in tables and legends."""
    own = own_models()
    return own[name].title if name in own else BASELINE_TITLES.get(name) or MODELS[name].title


def models_table(runs: Runs) -> Columns:
    """One row per model, with the columns of `select_columns`; None for what was not measured."""
    return tabulate(runs.values(), select_columns(runs))


def class_table(scores: Mapping[str, Shares], classes: Sequence[str]) -> Columns:
    """IoU in percent, one row per class and one column per model; None for a class that does not occur."""
    return {"Class": classes} | {
        training_title(name): [rounded_percent(shares.get(one)) for one in classes] for name, shares in scores.items()
    }


def confusion_table(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Columns:
    """One row per true and predicted class: the pixels, and their share of the true class in percent."""
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
    """The rows of all learning curves, one curve after the other."""
    rows = [(training_title(name), row) for name, curve in curves.items() for row in curve]
    columns = {"Model": [name for name, _ in rows]}
    return columns | {
        field: [getattr(row, field) for _, row in rows] for field in ("step", "minutes", "rate", "loss", "val_miou")
    }
