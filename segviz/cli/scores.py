"""`evaluate`: score one model or all, print the scores, and store them in the records."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_file import CheckpointError, read_checkpoint, read_record, replace_record
from segviz.catalogue.location import bundled_path, checkpoint_path
from segviz.catalogue.map_record import MapMeasurement, MapMeasurements
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation, Record
from segviz.cli.arguments import ALL_MODELS
from segviz.cli.errors import UsageError
from segviz.cli.map_table import format_map_numbers
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Sample, Split, load_split
from segviz.evaluation.evaluate import PAPER_SCALES, evaluate_ways, scenes_title, unseen_scenes
from segviz.evaluation.map_numbers import map_names
from segviz.evaluation.ways import Way
from segviz.models.ablation import has_context
from segviz.models.folding import fold
from segviz.models.registry import SPECS
from segviz.models.segmenter import Segmenter
from segviz.prediction.predictor import load_predictor
from segviz.runtime.progress import progress_bar
from segviz.text import format_percent, format_table


@dataclass(frozen=True)
class CheckpointScores:
    """What was measured on one checkpoint, by the names of evaluations in a record."""

    evaluations: Mapping[str, Evaluation]
    maps: MapMeasurements

    def as_dict(self) -> dict[str, Any]:
        """The values for JSON: an entry for each evaluation, and one for the maps if there are any."""
        scores = {name: asdict(one) for name, one in self.evaluations.items()}
        return scores | ({"maps": {name: asdict(one) for name, one in self.maps.items()}} if self.maps else {})


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
            {"model": record.model, "checkpoint": str(path), **one.as_dict()}
            for record, (path, one) in zip(records, results.items(), strict=True)
        ]
        print(json.dumps(entries if options.model == ALL_MODELS else entries[0], indent=2))
    elif options.model == ALL_MODELS:
        print(format_scores_by_model({path.stem: one.evaluations for path, one in results.items()}))
    else:
        print(format_scores_by_class(records[0], results[paths[0]].evaluations))
    if options.maps and not options.json:
        print(f"\n{format_map_numbers({path.stem: one.maps for path, one in results.items()})}")
    return 0


def check_options(options: argparse.Namespace) -> None:
    """Check that the options of `evaluate` go together.

    Raises:
        UsageError: they do not.
    """
    if options.data is None and options.scenes is None:
        raise UsageError("there is nothing to score on; give --data DIR, --scenes N, or both")
    if options.data is None and options.multi_scale:
        raise UsageError("--multi-scale needs a data set; give --data DIR")
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


def evaluate_checkpoint(path: Path, split: Split | None, options: argparse.Namespace) -> CheckpointScores:
    """Score one checkpoint as the options ask, in one pass over each set of pictures."""
    predictor = load_predictor(path, options.device)
    model, record = predictor.model, predictor.record
    off = options.without_context and has_context(model)
    if options.without_context and not off:
        print(f"segviz: {path} has no context, so --without-context is skipped for it", file=sys.stderr)
    maps_of = record.model if options.maps and check_maps(path, model, options) else None
    scores: dict[str, Evaluation] = {}
    maps: dict[str, MapMeasurement] = {}
    for name, data, samples in sample_sets(record.classes, split, options):
        ways = choose_ways(name, options, off)
        scored = evaluate_ways(model, samples, record.classes, data, ways, maps_of)
        scores |= scored.evaluations
        maps |= {name: scored.maps} if scored.maps else {}
    if options.record:
        record_evaluations(path, model, scores, maps)
    return CheckpointScores(scores, maps)


def sample_sets(
    classes: tuple[str, ...], split: Split | None, options: argparse.Namespace
) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    """The sets of pictures that the options ask for: the evaluation's name, the set in words, and the pictures."""
    if split is not None:
        yield split.name, f"{options.data.resolve().name} {split.name}", split.samples
    if options.scenes is not None:
        yield SCENES, scenes_title(options.scenes), unseen_scenes(classes, options.scenes)


def choose_ways(name: str, options: argparse.Namespace, off: bool) -> dict[str, Way]:
    """The ways to score a set of pictures, by the names of evaluations in a record.

    Args:
        name: the evaluation at a single scale; drawn scenes get no other scales.
        options: the command line.
        off: whether to score without the context too.
    """
    ways = {name: Way()}
    if options.multi_scale and name != SCENES:
        ways[VAL_MULTI_SCALE.replace(VAL, name, 1)] = Way(options.scales or PAPER_SCALES, True)
    if off:
        ways[VAL_WITHOUT_CONTEXT.replace(VAL, name, 1)] = Way(context=False)
    return ways


def check_maps(path: Path, model: Segmenter, options: argparse.Namespace) -> bool:
    """Whether a model has maps over places to measure; among all models, one without them is skipped with a note.

    Raises:
        UsageError: the only model has none.
    """
    if map_names(model):
        return True
    reason = f"{path} has no map over places"
    if options.model != ALL_MODELS:
        raise UsageError(f"{reason}, so --maps measures nothing; remove --maps, or choose another model")
    print(f"segviz: {reason}, so --maps is skipped for it", file=sys.stderr)
    return False


def record_evaluations(
    path: Path, scored: Segmenter, scores: Mapping[str, Evaluation], maps: Mapping[str, MapMeasurement]
) -> None:
    """Add evaluations, and the numbers of maps, to the record in a checkpoint.

    Raises:
        CheckpointError: the file no longer holds the weights that were scored.
    """
    checkpoint = read_checkpoint(path)
    weights = scored.state_dict()
    if not all(torch.equal(value, weights[name].cpu()) for name, value in fold(checkpoint.model).state_dict().items()):
        raise CheckpointError(f"{path} changed while it was scored; run the command again")
    before = checkpoint.record
    after = dataclasses.replace(before, evaluations={**before.evaluations, **scores}, maps={**before.maps, **maps})
    replace_record(checkpoint, after)


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
