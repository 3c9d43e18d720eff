"""What each command of the command line does. Nothing is written but what the options name."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from segviz.attention import (
    AttentionMap,
    AxisChannelAttention,
    BasesAttention,
    ChannelAttention,
    CrissCrossAttention,
    DotProductAttention,
    Gate,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.benchmark import parameters
from segviz.benchmark_blocks import bench_blocks
from segviz.benchmark_models import bench_models, record_costs
from segviz.benchmark_viewer import bench_viewer
from segviz.checkpoint import CheckpointError, bundled_path, examined, load, read_record, replace, rewrite_record
from segviz.cli import ALL, UsageError, sentence
from segviz.data.classes import CAMVID
from segviz.data.folder import DataError, Split, load_split
from segviz.data.scenes import draw_scene
from segviz.evaluate import PAPER_SCALES, evaluate_samples, evaluate_scenes
from segviz.image import ImageError, as_rgb
from segviz.models.ablation import has_context
from segviz.models.registry import SPECS, build
from segviz.models.segmenter import Segmenter
from segviz.predict import Prediction, load_predictor
from segviz.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation, Record
from segviz.report import models_page, scores_table
from segviz.train import train as run_training
from segviz.train_options import TrainOptions
from segviz.views import paper
from segviz.views.overlay import label_overlay, legend
from segviz.views.paper import Place, Shown
from segviz.views.text import percent, table

Rgb = UInt8[np.ndarray, "height width 3"]
SCENE = "scene:"
FIGURE_MODELS = {"fla-6": ("channel_nl", "fla"), "atta-9": ("sam",), "psa-6": ("psa",), "snl": ("snl",)}
FIGURE_PLACES = {"fla-6": 0, "atta-9": 0, "psa-6": 2, "snl": 1, "compare": 1}
Arrays = dict[str, np.ndarray]


def predict(options: argparse.Namespace) -> int:
    """Labels, overlay and confidence of each picture; a picture that fails does not stop the others."""
    predictor = load_predictor(options.model, options.device)
    summaries, failures = [], 0
    for text, stem in zip(options.images, stems(options.images), strict=True):
        try:
            picture = open_image(text)
        except (ImageError, OSError) as error:
            print(f"segviz: {sentence(error)}", file=sys.stderr)
            failures += 1
            continue
        prediction = predictor(picture)
        files = write_prediction(options.out, stem, picture, prediction)
        summaries.append(summary(text, prediction, files))
        if not options.json:
            print(f"{text}: {', '.join(str(file) for file in files)}")
    if options.json:
        print(json.dumps(summaries, indent=2))
    return 1 if failures else 0


def write_prediction(folder: Path, stem: str, picture: Rgb, prediction: Prediction) -> list[Path]:
    """The three files of one prediction: class indices with the palette, the overlay, the raw numbers."""
    overlay = label_overlay(picture, prediction.labels, prediction.class_set)
    return [
        put(folder, f"{stem}_labels.png", indexed_png(prediction.labels, prediction.palette)),
        put(folder, f"{stem}_overlay.png", png(overlay)),
        put(folder, f"{stem}_confidence.npz", npz({"confidence": prediction.confidence})),
    ]


def summary(text: str, prediction: Prediction, files: Sequence[Path]) -> dict[str, Any]:
    """What `predict --json` says of one picture; shares are of its pixels."""
    return {
        "image": text,
        "model": prediction.model,
        "height": prediction.labels.shape[0],
        "width": prediction.labels.shape[1],
        "confidence": round(float(prediction.confidence.mean()), 4),
        "share": {entry.name: round(entry.share, 6) for entry in legend(prediction.labels, prediction.class_set)},
        "maps": list(prediction.maps),
        "files": [str(file) for file in files],
    }


def attend(options: argparse.Namespace) -> int:
    """An overlay for each map and place, and one NPZ with the numbers behind them."""
    picture = open_image(options.images)
    check_places(options.at or (), picture, options.images)
    prediction = load_predictor(options.model, options.device)(picture)
    places = options.at or paper.default_places(prediction.labels, 1)
    stem = f"{stems([options.images])[0]}_{prediction.model}"
    arrays: Arrays = {"places": np.array(places), "image_size": np.array(picture.shape[:2])}
    for look in ("output", "context"):
        values = getattr(prediction.attended, look).numpy()
        arrays[f"attended_{look}"] = values
        figure = paper.overlay_figure(
            picture, prediction.attended, values, f"{prediction.model}: {look}", None, options.colours
        )
        print(put(options.out, f"{stem}_attended_{look}.png", paper.save(figure, "png")))
    for name, one in prediction.maps.items():
        for label, figure, numbers in drawings(picture, name, one, places, options.colours):
            arrays |= numbers
            print(put(options.out, f"{stem}_{label}.png", paper.save(figure, "png")))
    print(put(options.out, f"{stem}.npz", npz(arrays)))
    return 0


def drawings(
    picture: Rgb, name: str, one: AttentionMap, places: Sequence[Place], colours: str
) -> Iterator[tuple[str, Figure, Arrays]]:
    """Every figure of one map, with its file's label and its numbers; maps without places come once."""
    match one:
        case ChannelAttention():
            yield name, paper.matrix_figure(one, None, colours), {name: one.matrix.numpy()}
        case Gate():
            yield name, paper.gate_figure(one), {name: one.alpha.numpy()}
        case AxisChannelAttention():
            for y, x in places:
                line = one.cell(y, x, *picture.shape[:2])[0 if one.axis == "rows" else 1]
                label = f"{name}_{y}_{x}"
                yield label, paper.matrix_figure(one, line, colours), {label: one.matrix(line).numpy()}
        case (
            DotProductAttention() | StripAttention() | CrissCrossAttention() | BasesAttention()
            | SampledAttention() | OffsetMaskAttention()
        ):  # fmt: skip
            for place in places:
                yield from spatial_drawings(picture, one, place, colours)
        case _:
            assert_never(one)


def spatial_drawings(picture: Rgb, one: SpatialMap, place: Place, colours: str) -> Iterator[tuple[str, Figure, Arrays]]:
    """Both directions of a map over places, and what only strips and samples have."""
    y, x = place
    cell = one.cell(y, x, *picture.shape[:2])
    views = {"seen_from": one.seen_from(*cell), "seen_by": one.seen_by(*cell)}
    if isinstance(one, StripAttention):
        views["strip"] = one.strip_map(paper.strip_at(one, place, picture))
    for look, values in views.items():
        label, title = f"{one.name}_{y}_{x}_{look}", f"{one.name}: {look.replace('_', ' ')} ({y}, {x})"
        figure = paper.overlay_figure(picture, one, values.numpy(), title, place, colours)
        yield label, figure, {label: values.numpy()}
    if isinstance(one, SampledAttention):
        positions, weights = one.samples(*cell)
        label = f"{one.name}_{y}_{x}"
        figure = paper.sampled_figure(picture, one, place, colours)
        yield (
            f"{label}_points",
            figure,
            {f"{label}_positions": positions.numpy(), f"{label}_weights": weights.numpy()},
        )


def figure(options: argparse.Namespace) -> int:
    """One of the papers' figures."""
    if options.columns and options.name != "atta-9":
        raise UsageError(f"--columns belongs to atta-9, not to {options.name}; use --at Y,X")
    pictures = [open_image(text) for text in options.images]
    shown = [
        paper.Shown(picture, predictions, figure_places(options, picture, predictions))
        for picture, predictions in zip(pictures, figure_predictions(options, pictures), strict=True)
    ]
    drawn = draw(options, shown)
    print(put(options.out.parent, options.out.name, paper.save(drawn, options.out.suffix.lower().lstrip("."))))
    return 0


def draw(options: argparse.Namespace, shown: Sequence[Shown]) -> Figure:
    """The layout of a figure's name."""
    match options.name:
        case "fla-6":
            return paper.attended_figure(shown, options.feature, options.colours)
        case "atta-9":
            return paper.strip_figure(shown, options.colours)
        case "psa-6":
            return paper.point_wise_figure(shown, options.colours)
        case "snl":
            return paper.samples_figure(shown, options.colours)
        case _:
            return paper.compare_figure(shown, options.colours, options.shared_scale)


def figure_predictions(options: argparse.Namespace, pictures: Sequence[Rgb]) -> list[dict[str, Prediction]]:
    """For each picture the predictions of all models; one model is loaded at a time."""
    models = options.models or FIGURE_MODELS.get(options.name)
    if models is None:
        models = [name for name in SPECS if bundled_path(name).is_file()]
    if not models:
        raise UsageError("there is no bundled checkpoint to compare; train some, or name checkpoints with --models")
    found: list[dict[str, Prediction]] = [{} for _ in pictures]
    for name, stem in zip(models, stems(models), strict=True):
        predictor = load_predictor(name, options.device)
        for picture, predictions in zip(pictures, found, strict=True):
            predictions[stem] = predictor(picture)
    return found


def figure_places(
    options: argparse.Namespace, picture: Rgb, predictions: Mapping[str, Prediction]
) -> tuple[Place, ...]:
    """The places that were asked for, or sensible ones."""
    height, width = picture.shape[:2]
    if options.name == "atta-9":
        columns = options.columns or [place[1] for place in options.at or ()] or [width // 3, 2 * width // 3]
        places = tuple((height // 2, column) for column in columns)
    else:
        places = tuple(options.at or ()) or paper.default_places(
            next(iter(predictions.values())).labels, FIGURE_PLACES[options.name]
        )
    check_places(places, picture, "a picture")
    return places


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


# ---- pictures in, files out --------------------------------------------------------------------------------


def open_image(text: str) -> Rgb:
    """A picture from its path, or the drawn scene of `scene:SEED`."""
    if not text.startswith(SCENE):
        return as_rgb(Path(text))
    seed = text.removeprefix(SCENE)
    if not re.fullmatch(r"\d{1,18}", seed):
        raise UsageError(f"'{text}' names no scene; write scene:SEED with a whole number, such as scene:7")
    return draw_scene(int(seed)).image


def check_places(places: Sequence[Place], picture: Rgb, name: str) -> None:
    """Every place must lie in the picture.

    Raises:
        UsageError: one does not.
    """
    height, width = picture.shape[:2]
    for y, x in places:
        if not (y < height and x < width):
            raise UsageError(
                f"({y},{x}) is outside {name} of {width} x {height} pixels; use Y below {height} and X below {width}"
            )


def check_scene_classes(classes: Sequence[str]) -> None:
    """Drawn scenes have CamVid's classes.

    Raises:
        UsageError: the model has others.
    """
    if tuple(classes) != CAMVID.names:
        raise UsageError("drawn scenes have CamVid's classes, this model has others; score it with --data")


def stems(texts: Sequence[str]) -> list[str]:
    """A file name's beginning for each picture: plain, and each one different, also where case does not count."""
    found: list[str] = []
    taken: set[str] = set()
    for text in texts:
        plain = text.replace(":", "-") if text.startswith(SCENE) else Path(text).stem
        plain = re.sub(r"[^\w.-]", "_", plain).strip(".")[:100] or "image"
        stem, number = plain, 2
        while stem.lower() in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem.lower())
        found.append(stem)
    return found


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file into the folder, whole or not at all; a link in its place is replaced, not followed."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / name, data)
    return folder / name


def png(picture: Rgb) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def indexed_png(labels: np.ndarray, palette: np.ndarray) -> bytes:
    """Class indices as a PNG with a palette; indices that are no class are black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    picture = Image.fromarray(labels)
    picture.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def npz(arrays: Arrays) -> bytes:
    """Arrays as a compressed NPZ."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
