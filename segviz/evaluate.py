"""Scores of a model on labelled pictures: a data set's split, or drawn scenes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from segviz.data.folder import DataError, Sample, load_split
from segviz.data.pool import UNSEEN, UNSEEN_COUNT, scene_pool
from segviz.image import to_tensor
from segviz.metrics import Confusion, confusion
from segviz.models.segmenter import Segmenter


def evaluate(model: Segmenter, samples: Iterable[Sample], classes: int, title: str = "evaluating") -> Confusion:
    """Run the model over every sample at its own size, single scale, and count.

    Args:
        model: in eval mode, on its device.
        samples: pictures with labels.
        classes: how many there are.
        title: of the progress bar.
    """
    device = next(model.parameters()).device
    counts = []
    with torch.inference_mode():
        for sample in tqdm(samples, desc=title, unit="image", leave=False):
            logits = model(to_tensor(sample.image, device)).logits[0]
            counts.append(confusion(sample.labels, logits.argmax(0).to(torch.uint8).cpu().numpy(), classes))
    empty = Confusion(np.zeros((classes, classes), np.int64))
    return reduce(add, counts, empty)


def evaluate_split(model: Segmenter, root: Path, split: str, classes: tuple[str, ...]) -> Confusion:
    """Scores on one split of a data set.

    Raises:
        DataError: the data is unsound, or its classes are not the model's.
    """
    loaded = load_split(root, split, tqdm)
    if loaded.classes.names != classes:
        raise DataError(
            f"{root} has the classes {loaded.classes.names}, the model {classes}; use a model trained on them"
        )
    return evaluate(model, loaded.samples, len(classes), f"evaluating {split}")


def evaluate_scenes(model: Segmenter, classes: int, count: int = UNSEEN_COUNT) -> Confusion:
    """Scores on drawn scenes that no training has seen."""
    return evaluate(model, scene_pool(count, UNSEEN), classes, "evaluating scenes")


def class_iou(result: Confusion, classes: tuple[str, ...]) -> Mapping[str, float | None]:
    """IoU by class name, rounded to four places; None for a class that does not occur."""
    return {
        name: None if np.isnan(iou) else round(float(iou), 4) for name, iou in zip(classes, result.iou, strict=True)
    }
