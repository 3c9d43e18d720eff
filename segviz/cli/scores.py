"""`evaluate`: score one model or all, print the scores, and store them in the records."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_file import CheckpointError, read_checkpoint, read_record, replace_record
from segviz.catalogue.location import bundled_path, checkpoint_path
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation, Record
from segviz.cli.arguments import ALL_MODELS
from segviz.cli.errors import UsageError
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Split, load_split
from segviz.evaluation.evaluate import PAPER_SCALES, evaluate_samples, evaluate_scenes
from segviz.models.ablation import has_context
from segviz.models.folding import fold
from segviz.models.registry import SPECS
from segviz.models.segmenter import Segmenter
from segviz.prediction.predictor import load_predictor
from segviz.runtime.progress import progress_bar
from segviz.text import format_percent, format_table


def run_evaluate(options: argparse.Namespace) -> int:
    """Score one model or all bundled ones, on a split of a data set, on drawn scenes, or on both."""
    check_options(options)
    paths = find_checkpoints(options.model)
    for path in paths if options.record else ():
        check_destination(path)
    records = [read_record(path) for path in paths]
    split = None
    if options.data is not None:
        split = load_split(options.data, options.split, progress_bar)
        check_split_classes(split, records, options.data)
    if options.scenes is not None:
        for record in records:
            check_scene_classes(record.classes)
    bar = progress_bar(paths, desc="models", unit="model", leave=False, disable=len(paths) == 1)
    results = {path: evaluate_checkpoint(path, split, options) for path in bar}
    if options.json:
        entries = [
            {"model": record.model, "checkpoint": str(path), **{name: asdict(one) for name, one in scores.items()}}
            for record, (path, scores) in zip(records, results.items(), strict=True)
        ]
        print(json.dumps(entries if options.model == ALL_MODELS else entries[0], indent=2))
    elif options.model == ALL_MODELS:
        print(format_scores_by_model({path.stem: scores for path, scores in results.items()}))
    else:
        print(format_scores_by_class(records[0], results[paths[0]]))
    return 0


def check_options(options: argparse.Namespace) -> None:
    """Check that the options of `evaluate` go together.

    Raises:
        UsageError: they do not.
    """
    if options.data is None and options.scenes is None:
        raise UsageError("there is nothing to score on; give --data DIR, --scenes N, or both")
    if options.data is None and (options.multi_scale or options.without_context):
        raise UsageError("--multi-scale and --without-context need a data set; give --data DIR")
    if options.scales and not options.multi_scale:
        raise UsageError("--scales needs --multi-scale; give both")
    if options.record and options.split != VAL:
        raise UsageError(
            f"--record stores scores on split '{VAL}', not on '{options.split}'; remove --record or --split"
        )


def find_checkpoints(model: str) -> list[Path]:
    """Find the checkpoint of a name or a path, or all bundled ones.

    Raises:
        UsageError: there is no bundled checkpoint.
    """
    if model != ALL_MODELS:
        return [checkpoint_path(model)]
    paths = [bundled_path(name) for name in SPECS if bundled_path(name).is_file()]
    if not paths:
        raise UsageError("there is no bundled checkpoint to score; train a model, or name a checkpoint with --model")
    return paths


def check_split_classes(split: Split, records: Sequence[Record], folder: Path) -> None:
    """Check that the models have the data set's classes.

    Raises:
        DataError: a model has others.
    """
    for record in records:
        if record.classes != split.classes.names:
            raise DataError(
                f"{folder} has the classes {split.classes.names}, model '{record.model}' has {record.classes}; "
                "use a model trained on the data set's classes"
            )


def check_scene_classes(classes: Sequence[str]) -> None:
    """Check that a model has CamVid's classes, which drawn scenes have.

    Raises:
        UsageError: the model has others.
    """
    if tuple(classes) != CAMVID.names:
        raise UsageError("drawn scenes have CamVid's classes, and this model has others; score it with --data")


def evaluate_checkpoint(path: Path, split: Split | None, options: argparse.Namespace) -> dict[str, Evaluation]:
    """Score one checkpoint as the options ask; the keys are the names of evaluations in a record."""
    predictor = load_predictor(path, options.device)
    model, classes = predictor.model, predictor.record.classes
    scores: dict[str, Evaluation] = {}
    if split is not None:
        score = partial(evaluate_samples, model, split.samples, classes, f"{options.data.resolve().name} {split.name}")
        scores[split.name] = score()
        if options.multi_scale:
            name = VAL_MULTI_SCALE.replace(VAL, split.name, 1)
            scores[name] = score(scales=options.scales or PAPER_SCALES, flip=True)
        if options.without_context and has_context(model):
            scores[VAL_WITHOUT_CONTEXT.replace(VAL, split.name, 1)] = score(context=False)
        elif options.without_context:
            print(f"segviz: {path} has no context, so --without-context is skipped for it", file=sys.stderr)
    if options.scenes is not None:
        scores[SCENES] = evaluate_scenes(model, classes, options.scenes)
    if options.record:
        record_evaluations(path, model, scores)
    return scores


def record_evaluations(path: Path, scored: Segmenter, scores: Mapping[str, Evaluation]) -> None:
    """Add evaluations to the record in a checkpoint.

    Raises:
        CheckpointError: the file no longer holds the weights that were scored.
    """
    checkpoint = read_checkpoint(path)
    weights = scored.state_dict()
    if not all(torch.equal(value, weights[name].cpu()) for name, value in fold(checkpoint.model).state_dict().items()):
        raise CheckpointError(f"{path} changed while it was scored; run the command again")
    known = checkpoint.record.evaluations
    replace_record(checkpoint, dataclasses.replace(checkpoint.record, evaluations={**known, **scores}))


def format_scores_by_class(record: Record, scores: Mapping[str, Evaluation]) -> str:
    """Format a row per class; each evaluation has a column for all pixels and one for pixels near class borders."""
    heads, columns = [record.model], [["mIoU", "pixel accuracy", *record.classes]]
    for name, one in scores.items():
        heads += [name, "borders"]
        iou, near = ([shares[label] for label in record.classes] for shares in (one.iou, one.boundary_iou))
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
