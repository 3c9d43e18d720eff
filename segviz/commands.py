"""What each command of the command line does. Nothing is written but what the options name."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from segviz.benchmark import parameters
from segviz.benchmark_blocks import bench_blocks
from segviz.benchmark_models import bench_models, record_costs
from segviz.benchmark_viewer import bench_viewer
from segviz.checkpoint import CheckpointError, bundled_path, examined, load, read_record, rewrite_record
from segviz.cli import ALL, UsageError
from segviz.data.classes import CAMVID
from segviz.data.folder import DataError, Split, load_split
from segviz.evaluate import PAPER_SCALES, evaluate_samples, evaluate_scenes
from segviz.models.ablation import has_context
from segviz.models.registry import SPECS, build
from segviz.models.segmenter import Segmenter
from segviz.picture_commands import attend as attend
from segviz.picture_commands import figure as figure
from segviz.picture_commands import predict as predict
from segviz.predict import load_predictor
from segviz.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation, Record
from segviz.report import models_page, scores_table
from segviz.train import train as run_training
from segviz.train_options import TrainOptions
from segviz.views.text import percent, table


def evaluate(options: argparse.Namespace) -> int:
    """Scores of one model or of all bundled ones, on a split of a data set, on drawn scenes, or on both."""
    check_evaluate(options)
    paths = scored_checkpoints(options.model)
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
        print(scores_by_model({path.stem: found for path, found in results.items()}))
    else:
        print(scores_by_class(records[0], results[paths[0]]))
    return 0


def check_evaluate(options: argparse.Namespace) -> None:
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


def scored_checkpoints(model: str) -> list[Path]:
    """The checkpoint of a name or a path, or all bundled ones.

    Raises:
        UsageError: there are none.
    """
    if model != ALL:
        return [bundled_path(model) if model in SPECS else Path(model)]
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
        keep_evaluations(path, model, found)
    return found


def keep_evaluations(path: Path, scored: Segmenter, found: Mapping[str, Evaluation]) -> None:
    """Add evaluations to the record in a checkpoint.

    Raises:
        CheckpointError: the file no longer holds the weights that were scored.
    """
    model, record = load(path)
    weights = scored.state_dict()
    if not all(torch.equal(value, weights[name].cpu()) for name, value in model.state_dict().items()):
        raise CheckpointError(f"{path} got other weights while it was scored; run the command again")
    rewrite_record(path, dataclasses.replace(record, evaluations={**record.evaluations, **found}))


def scores_by_class(record: Record, found: Mapping[str, Evaluation]) -> str:
    """A row a class; each evaluation has a column for all pixels and one for those near class borders."""
    heads, columns = [record.model], [["mIoU", "pixel accuracy", *record.classes]]
    for name, one in found.items():
        heads += [name, "borders"]
        iou, near = ([shares[label] for label in record.classes] for shares in (one.iou, one.boundary_iou))
        columns.append([percent(share) for share in (one.miou, one.accuracy, *iou)])
        columns.append([percent(share) for share in (mean(near), None, *near)])
    return table(heads, list(zip(*columns, strict=True)))


def scores_by_model(results: Mapping[str, Mapping[str, Evaluation]]) -> str:
    """A row a model; each evaluation has a column for mIoU, for pixel accuracy, and for mIoU near class borders."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    heads = ["model", *(head for name in names for head in (f"{name}: mIoU", "accuracy", "borders"))]
    rows = []
    for model, found in results.items():
        scores = [found.get(name) for name in names]
        shares = [(one.miou, one.accuracy, mean(one.boundary_iou.values())) if one else (None,) * 3 for one in scores]
        rows.append([model, *(percent(share) for three in shares for share in three)])
    return table(heads, rows)


def mean(shares: Iterable[float | None]) -> float | None:
    """The mean of the shares that are known; None where none is."""
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def train(options: argparse.Namespace) -> int:
    """Train, write the checkpoint, and say how good it is."""
    out = options.out or Path("checkpoints") / f"{options.model}.safetensors"
    if out.is_dir() or out.suffix != ".safetensors":
        raise UsageError(f"--out {out} is no checkpoint's file; use a name that ends in .safetensors")
    given = {one.name: getattr(options, one.name) for one in fields(TrainOptions) if hasattr(options, one.name)}
    record = run_training(
        TrainOptions(**{**given, "out": out, "crop": (options.crop[0], options.crop[1]), "command": options.typed})
    )
    scenes = f", scenes mIoU {percent(record.scenes_miou)}" if record.scenes_miou is not None else ""
    print(f"{out}: {record.steps} steps in {record.minutes:g} minutes, val mIoU {percent(record.val_miou)}{scenes}")
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure, then print a table or JSON."""
    if options.record and options.subject != "models":
        raise UsageError(f"--record keeps what models cost, not {options.subject}; use it with `bench models`")
    match options.subject:
        case "blocks":
            result = bench_blocks(tuple(options.size), options.rounds, options.only, options.device)
        case "models":
            result = bench_models(options.rounds, options.only, options.device)
        case _:
            result = bench_viewer(options.url, options.rounds)
    if options.record:
        kept = ", ".join(map(str, record_costs(result))) or "no checkpoint, as there is none of these models"
        result = dataclasses.replace(result, notes=(*result.notes, f"Recorded in {kept}."))
    print(json.dumps(result.as_dict(), indent=2) if options.json else result.as_text())
    return 0


def models(options: argparse.Namespace) -> int:
    """The eleven models, and what their checkpoints' records say; 1 where a checkpoint cannot be used."""
    if options.markdown or options.scores:
        print(models_page() if options.markdown else scores_table(), end="")
        return 0
    rows = list(model_rows())
    problems = [row["problem"] for row in rows if row["problem"]]
    for problem in problems:
        print(f"segviz: {problem}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 1 if problems else 0
    heads = ["name", "title", "paper", "backbone", "parameters", "checkpoint", "val", "scenes"]
    lines = []
    for row in rows:
        scores = (percent(row["val_miou"]), percent(row["scenes_miou"]))
        size = f"{row['parameters'] / 1e6:.2f} M"
        lines.append([row["name"], row["title"], row["paper"], row["backbone"], size, row["checkpoint"], *scores])
    print(table(heads, lines))
    return 1 if problems else 0


def model_rows() -> Iterator[dict[str, Any]]:
    """A row for each model, from its spec and its checkpoint's record."""
    for name, spec in SPECS.items():
        record, network, problem = bundled_model(name)
        yield {
            "name": name,
            "title": spec.title,
            "paper": spec.paper,
            "backbone": spec.backbone,
            "maps": list(spec.maps),
            "parameters": parameters(network),
            "checkpoint": "damaged" if problem else "yes" if record else "none",
            "problem": problem,
            "val_miou": record.val_miou if record else None,
            "scenes_miou": record.scenes_miou if record else None,
        }


def bundled_model(name: str) -> tuple[Record | None, Segmenter, str | None]:
    """A model's record, its network's shapes, and what is wrong with its checkpoint; weights are not read."""
    problem = None
    if bundled_path(name).is_file():
        try:
            return *examined(bundled_path(name)), None
        except CheckpointError as error:
            problem = str(error)
    with torch.device("meta"):  # shapes alone, no memory
        return None, build(name, len(CAMVID.names)), problem


def check_scene_classes(classes: Sequence[str]) -> None:
    """Drawn scenes have CamVid's classes.

    Raises:
        UsageError: the model has others.
    """
    if tuple(classes) != CAMVID.names:
        raise UsageError("drawn scenes have CamVid's classes, this model has others; score it with --data")
