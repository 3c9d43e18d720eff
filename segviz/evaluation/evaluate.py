"""Scores of a model on labelled pictures or drawn scenes, at one scale or averaged over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segviz.catalogue.map_record import MapMeasurement
from segviz.catalogue.record import Evaluation
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Sample
from segviz.data.scenes.pool import UNSEEN, UNSEEN_COUNT, scene_pool
from segviz.evaluation.map_numbers import MeanMaps, random_block
from segviz.evaluation.metrics import Confusion, boundary_confusion, confusion
from segviz.evaluation.ways import SINGLE_SCALE, Scorer, Way
from segviz.image import Rgb
from segviz.models.segmenter import Segmenter
from segviz.runtime.progress import progress_bar

PAPER_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # what the papers' tables call multi-scale, with flip


@dataclass(frozen=True)
class Scored:
    """What one pass over pictures gave: scores by the name of their way, and the maps' numbers if they were asked."""

    evaluations: Mapping[str, Evaluation]
    maps: MapMeasurement | None = None


def evaluate_ways(
    model: Segmenter,
    samples: Sequence[Sample],
    classes: tuple[str, ...],
    data: str,
    ways: Mapping[str, Way],
    maps_of: str | None = None,
) -> Scored:
    """Score a model on every sample at the sample's own size, on the model's device, in several ways at once.

    Args:
        model: a model in eval mode.
        samples: pictures with labels.
        classes: the names of the model's classes, in index order.
        data: the set of pictures, in words.
        ways: the ways to score, by name.
        maps_of: the model's name in the registry, to measure its block's maps at the pictures' own size too.

    Raises:
        ValueError: the arguments leave nothing to score; raised before the first picture.
    """
    for way in ways.values():
        check_arguments(model, samples, classes, data, way.scales)
    score = Scorer(model, ways, random_block(model, maps_of) if maps_of else None)
    empty = Confusion(np.zeros((len(classes), len(classes)), np.int64))
    everywhere, near_borders = dict.fromkeys(ways, empty), dict.fromkeys(ways, empty)
    maps = MeanMaps()
    title = f"evaluating {data}" + (f", {len(ways)} ways" if len(ways) > 1 else "")
    with torch.inference_mode():
        for sample in progress_bar(samples, desc=title, unit="image", leave=False):
            scores, picture_maps = score(sample.image)
            for name, one in scores.items():
                predicted = one.argmax(0).to(torch.uint8).cpu().numpy()
                everywhere[name] += confusion(sample.labels, predicted, len(classes))
                near_borders[name] += boundary_confusion(sample.labels, predicted, len(classes))
            if picture_maps:
                maps.add(picture_maps.own, picture_maps.other, sample.labels)
    evaluations = {
        name: make_evaluation(data, len(samples), classes, everywhere[name], near_borders[name], way)
        for name, way in ways.items()
    }
    return Scored(evaluations, maps.measurement(data, len(samples)) if maps_of else None)


def evaluate_samples(
    model: Segmenter,
    samples: Sequence[Sample],
    classes: tuple[str, ...],
    data: str,
    *,
    scales: tuple[float, ...] = SINGLE_SCALE,
    flip: bool = False,
    context: bool = True,
) -> Evaluation:
    """Score a model in one way; see `evaluate_ways` and `Way`.

    Raises:
        ValueError: the arguments leave nothing to score; raised before the first picture.
    """
    return evaluate_ways(model, samples, classes, data, {"": Way(scales, flip, context)}).evaluations[""]


def make_evaluation(
    data: str, images: int, classes: tuple[str, ...], everywhere: Confusion, near_borders: Confusion, way: Way
) -> Evaluation:
    """The scores of counts over all pixels and over those near class borders."""
    return Evaluation(
        data=data,
        images=images,
        miou=round(everywhere.mean_iou, 4),
        accuracy=round(everywhere.accuracy, 4),
        iou=class_iou(everywhere, classes),
        boundary_iou=class_iou(near_borders, classes),
        confusion=tuple(tuple(row) for row in everywhere.matrix.tolist()),
        scales=way.scales,
        flip=way.flip,
        context=way.context,
    )


def evaluate_scenes(model: Segmenter, classes: tuple[str, ...], count: int = UNSEEN_COUNT) -> Evaluation:
    """Score a model on drawn scenes that were not trained on, at a single scale.

    Raises:
        DataError: the classes are not the scenes' classes.
    """
    return evaluate_samples(model, unseen_scenes(classes, count), classes, scenes_title(count))


def unseen_scenes(classes: tuple[str, ...], count: int) -> list[Sample]:
    """Drawn scenes that no training uses.

    Raises:
        DataError: the classes are not the scenes' classes.
    """
    if classes != CAMVID.names:
        raise DataError("drawn scenes have CamVid's classes, but this model has others; score it on its own data")
    return scene_pool(count, UNSEEN)


def scenes_title(count: int) -> str:
    """Drawn scenes, in a record's words."""
    return f"{count} drawn scenes"


def class_scores(
    model: Segmenter, image: Rgb, scales: tuple[float, ...], flip: bool
) -> Float[Tensor, "classes height width"]:
    """Softmax scores in [0, 1] of each class at the picture's own size, averaged over scales and mirror images."""
    return Scorer(model, {"": Way(scales, flip)})(image)[0][""]


def check_arguments(
    model: Segmenter, samples: Sequence[Sample], classes: tuple[str, ...], data: str, scales: tuple[float, ...]
) -> None:
    """Find whatever would give a wrong score, or none, before the first picture.

    Raises:
        ValueError: the message names the cause and the cure.
    """
    if model.training:
        raise ValueError("the model is in training mode, with dropout active; call its eval() first")
    if model.classifier.out_channels != len(classes):
        raise ValueError(
            f"the model has {model.classifier.out_channels} classes but {len(classes)} are named; name the model's own"
        )
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales {scales} cannot be used; give one or more factors above 0, such as (1.0,)")
    if not any((sample.labels < len(classes)).any() for sample in samples):
        raise ValueError(f"{data} has no labelled pixel to score; give pictures with labels")


def class_iou(result: Confusion, classes: tuple[str, ...]) -> Mapping[str, float | None]:
    """IoU by class name, rounded to four places; None for a class that neither occurs nor is predicted."""
    return {
        name: None if np.isnan(iou) else round(float(iou), 4) for name, iou in zip(classes, result.iou, strict=True)
    }
