"""`predict` and `attend`: what a model makes of pictures, and where it looks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from matplotlib.figure import Figure

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
from segviz.cli import sentence
from segviz.commands.files import Arrays, Rgb, check_places, indexed_png, npz, open_image, png, put, stems
from segviz.image import ImageError
from segviz.predict import Prediction, load_predictor
from segviz.views import paper
from segviz.views.overlay import label_overlay, legend
from segviz.views.paper import Place


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
