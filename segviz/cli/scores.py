"""`evaluate`: scores of one model or of all, and how they are printed and kept."""

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
from tqdm import tqdm

from segviz.catalogue.checkpoint_file import CheckpointError, load_checkpoint, read_record, rewrite_record
from segviz.catalogue.location import bundled_path, checkpoint_path
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation, Record
from segviz.cli.errors import ALL, UsageError
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Split, load_split
from segviz.evaluation.evaluate import PAPER_SCALES, evaluate_samples, evaluate_scenes
from segviz.models.ablation import has_context
from segviz.models.folding import folded
from segviz.models.registry import SPECS
from segviz.models.segmenter import Segmenter
from segviz.prediction.predictor import load_predictor
from segviz.text import format_percent, format_table


def run_evaluate(options: argparse.Namespace) -> int:
    """Scores of one model or of all bundled ones, on a split of a data set, on drawn scenes, or on both."""
    check_options(options)
    paths = find_checkpoints(options.model)
    records = [read_record(path) for path in paths]
    split = None
    if options.data is not None:
        split = load_split(options.data, options.split, tqdm)
        check_split_classes(split, records, options.data)
    if options.scenes is not None:
        for record in records:
            check_scene_classes(record.classes)
    bar = tqdm(paths, desc="models", unit="model", leave=False, disable=len(paths) == 1)
    results = {path: evaluate_checkpoint(path, split, options) for path in bar}
    if options.json:
        told = [
            {"model": record.model, "checkpoint": str(path), **{name: asdict(one) for name, one in found.items()}}
            for record, (path, found) in zip(records, results.items(), strict=True)
        ]
        print(json.dumps(told if options.model == ALL else told[0], indent=2))
    elif options.model == ALL:
        print(format_scores_by_model({path.stem: found for path, found in results.items()}))
    else:
        print(format_scores_by_class(records[0], results[paths[0]]))
    return 0


def check_options(options: argparse.Namespace) -> None:
    """The options of `evaluate` must go together.

    Raises:
        UsageError: they do not.
    """
    if options.data is None and options.scenes is None:
        raise UsageError("there is nothing to score on; give --data DIR, --scenes N, or both")
    if options.data is None and (options.multi_scale or options.without_context):
        raise UsageError("--multi-scale and --without-context score on a data set; give --data DIR")
    if options.scales and not options.multi_scale:
        raise UsageError("--scales are those of --multi-scale; give both")
    if options.record and options.split != VAL:
        raise UsageError(f"--record keeps scores on split '{VAL}', not on '{options.split}'; leave one of the two away")


def find_checkpoints(model: str) -> list[Path]:
    """The checkpoint of a name or a path, or all bundled ones.

    Raises:
        UsageError: there are none.
    """
    if model != ALL:
        return [checkpoint_path(model)]
    paths = [bundled_path(name) for name in SPECS if bundled_path(name).is_file()]
    if not paths:
        raise UsageError("there is no bundled checkpoint to score; train some, or name one with --model")
    return paths


def check_split_classes(split: Split, records: Sequence[Record], folder: Path) -> None:
    """The models' classes must be the data's.

    Raises:
        DataError: those of one are not.
    """
    for record in records:
        if record.classes != split.classes.names:
            raise DataError(
                f"{folder} has the classes {split.classes.names}, model '{record.model}' {record.classes}; "
                "use a model trained on them"
            )


def check_scene_classes(classes: Sequence[str]) -> None:
    """Drawn scenes have CamVid's classes.

    Raises:
        UsageError: the model has others.
    """
    if tuple(classes) != CAMVID.names:
        raise UsageError("drawn scenes have CamVid's classes, this model has others; score it with --data")


def evaluate_checkpoint(path: Path, split: Split | None, options: argparse.Namespace) -> dict[str, Evaluation]:
    """All that the options ask for of one checkpoint, under the names of its record's evaluations."""
    predictor = load_predictor(path, options.device)
    model, classes = predictor.model, predictor.record.classes
    found: dict[str, Evaluation] = {}
    if split is not None:
        score = partial(evaluate_samples, model, split.samples, classes, f"{options.data.resolve().name} {split.name}")
        found[split.name] = score()
        if options.multi_scale:
            name = VAL_MULTI_SCALE.replace(VAL, split.name, 1)
            found[name] = score(scales=options.scales or PAPER_SCALES, flip=True)
        if options.without_context and has_context(model):
            found[VAL_WITHOUT_CONTEXT.replace(VAL, split.name, 1)] = score(context=False)
        elif options.without_context:
            print(f"segviz: {path} has no context, so --without-context is skipped for it", file=sys.stderr)
    if options.scenes is not None:
        found[SCENES] = evaluate_scenes(model, classes, options.scenes)
    if options.record:
        record_evaluations(path, model, found)
    return found


def record_evaluations(path: Path, scored: Segmenter, found: Mapping[str, Evaluation]) -> None:
    """Add evaluations to the record in a checkpoint.

    Raises:
        CheckpointError: the file no longer holds the weights that were scored.
    """
    network, record = load_checkpoint(path)
    weights = scored.state_dict()
    if not all(torch.equal(value, weights[name].cpu()) for name, value in folded(network).state_dict().items()):
        raise CheckpointError(f"{path} got other weights while it was scored; run the command again")
    rewrite_record(path, dataclasses.replace(record, evaluations={**record.evaluations, **found}))


def format_scores_by_class(record: Record, found: Mapping[str, Evaluation]) -> str:
    """A row a class; each evaluation has a column for all pixels and one for those near class borders."""
    heads, columns = [record.model], [["mIoU", "pixel accuracy", *record.classes]]
    for name, one in found.items():
        heads += [name, "borders"]
        iou, near = ([shares[label] for label in record.classes] for shares in (one.iou, one.boundary_iou))
        columns.append([format_percent(share) for share in (one.miou, one.accuracy, *iou)])
        columns.append([format_percent(share) for share in (one.boundary_miou, None, *near)])
    return format_table(heads, list(zip(*columns, strict=True)))


def format_scores_by_model(results: Mapping[str, Mapping[str, Evaluation]]) -> str:
    """A row a model; each evaluation has a column for mIoU, for pixel accuracy, and for mIoU near class borders."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    heads = ["model", *(head for name in names for head in (f"{name}: mIoU", "accuracy", "borders"))]
    rows = []
    for model, found in results.items():
        scores = [found.get(name) for name in names]
        shares = [(one.miou, one.accuracy, one.boundary_miou) if one else (None,) * 3 for one in scores]
        rows.append([model, *(format_percent(share) for three in shares for share in three)])
    return format_table(heads, rows)
