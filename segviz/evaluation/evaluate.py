"""Scores of a model on labelled pictures or drawn scenes, at one scale or averaged over several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.catalogue.record import Evaluation
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Sample
from segviz.data.scenes.pool import UNSEEN, UNSEEN_COUNT, scene_pool
from segviz.evaluation.metrics import Confusion, boundary_confusion, confusion
from segviz.image import SHORTEST_SIDE, Rgb, resize, to_tensor
from segviz.models.ablation import without_context
from segviz.models.segmenter import Segmenter
from segviz.runtime.progress import progress_bar

SINGLE_SCALE = (1.0,)
PAPER_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # what the papers' tables call multi-scale, with flip


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
    """Score a model on every sample at the sample's own size, on the model's device.

    Args:
        model: a model in eval mode.
        samples: pictures with labels.
        classes: the names of the model's classes, in index order.
        data: the set of pictures, in words.
        scales: factors on the picture's size, each above 0; the softmax scores are averaged over them.
        flip: whether to average the mirrored picture in.
        context: False switches the context of the model's block off, see `ablation.without_context`.

    Raises:
        ValueError: the arguments leave nothing to score; raised before the first picture.
    """
    check_arguments(model, samples, classes, data, scales)
    network = model if context else without_context(model)
    views = len(scales) * (2 if flip else 1)
    title = f"evaluating {data}" + (f", {views} views" if views > 1 else "") + ("" if context else ", without context")
    everywhere, near_borders = count_pixels(
        network, progress_bar(samples, desc=title, unit="image", leave=False), scales, flip
    )
    return Evaluation(
        data=data,
        images=len(samples),
        miou=round(everywhere.mean_iou, 4),
        accuracy=round(everywhere.accuracy, 4),
        iou=class_iou(everywhere, classes),
        boundary_iou=class_iou(near_borders, classes),
        confusion=tuple(tuple(row) for row in everywhere.matrix.tolist()),
        scales=scales,
        flip=flip,
        context=context,
    )


def count_pixels(
    model: Segmenter, samples: Iterable[Sample], scales: tuple[float, ...], flip: bool
) -> tuple[Confusion, Confusion]:
    """Count the model's predictions over all pixels, and over those near class borders."""
    classes = model.classifier.out_channels
    everywhere = near_borders = Confusion(np.zeros((classes, classes), np.int64))
    with torch.inference_mode():
        for sample in samples:
            predicted = class_scores(model, sample.image, scales, flip).argmax(0).to(torch.uint8).cpu().numpy()
            everywhere += confusion(sample.labels, predicted, classes)
            near_borders += boundary_confusion(sample.labels, predicted, classes)
    return everywhere, near_borders


def evaluate_scenes(model: Segmenter, classes: tuple[str, ...], count: int = UNSEEN_COUNT) -> Evaluation:
    """Score a model on drawn scenes that were not trained on, at a single scale.

    Raises:
        DataError: the classes are not the scenes' classes.
    """
    if classes != CAMVID.names:
        raise DataError("drawn scenes have CamVid's classes, but this model has others; score it on its own data")
    return evaluate_samples(model, scene_pool(count, UNSEEN), classes, f"{count} drawn scenes")


def class_scores(
    model: Segmenter, image: Rgb, scales: tuple[float, ...], flip: bool
) -> Float[Tensor, "classes height width"]:
    """Softmax scores in [0, 1] of each class at the picture's own size, averaged over scales and mirror images.

    Each side of a view has at least the 32 pixels that the networks need.
    """
    height, width = image.shape[:2]
    total = torch.zeros(model.classifier.out_channels, height, width, device=device_of(model))
    for scale in scales:
        size = (max(SHORTEST_SIDE, round(height * scale)), max(SHORTEST_SIDE, round(width * scale)))
        view = to_tensor(resize(image, size), device_of(model))
        if flip:
            view = torch.cat((view, view.flip(3))).contiguous(memory_format=torch.channels_last)
        scores = model(view).logits.softmax(1)
        if flip:
            scores = (scores[:1] + scores[1:].flip(3)) / 2
        total += F.interpolate(scores, (height, width), mode="bilinear")[0]
    return total / len(scales)


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


def device_of(model: Segmenter) -> torch.device:
    """The device of the model's weights."""
    return next(model.parameters()).device


def class_iou(result: Confusion, classes: tuple[str, ...]) -> Mapping[str, float | None]:
    """IoU by class name, rounded to four places; None for a class that neither occurs nor is predicted."""
    return {
        name: None if np.isnan(iou) else round(float(iou), 4) for name, iou in zip(classes, result.iou, strict=True)
    }
