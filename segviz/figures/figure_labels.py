"""The ground truth of a figure: labels with the classes that their indices belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segviz.attention.cells import Labels
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.location import checkpoint_path
from segviz.data.classes import VOID, ClassSet
from segviz.data.label_png import GroundTruth
from segviz.image import Rgb
from segviz.prediction.predictor import Predictor


def find_truth(
    labels: Sequence[Labels | GroundTruth | None], pictures: Sequence[Rgb], models: Sequence[str | Path | Predictor]
) -> list[GroundTruth | None]:
    """The given labels; indices alone belong to the classes of the models.

    Raises:
        ValueError: a size or the number of label maps does not match, an index has no class, or the models differ in
            their classes.
    """
    if len(labels) != len(pictures):
        raise ValueError(f"there are {len(labels)} label maps for {len(pictures)} pictures; give one for each, or None")
    truths = [
        GroundTruth(one, "class indices", common_classes(models)) if isinstance(one, np.ndarray) else one
        for one in labels
    ]
    for truth, picture in zip(truths, pictures, strict=True):
        if truth is not None:
            check_labels(truth, picture)
    return truths


def check_labels(truth: GroundTruth, picture: Rgb) -> None:
    """Check that labels fit their picture and their classes.

    Raises:
        ValueError: the sizes differ, or an index has no class.
    """
    labels, count = truth.labels, len(truth.classes.names)
    if labels.shape != picture.shape[:2]:
        raise ValueError(
            f"labels of {labels.shape} do not fit a picture of {picture.shape[:2]}; give labels of the picture's size"
        )
    wrong = sorted(set(np.unique(labels).tolist()) - {*range(count), VOID})
    if wrong:
        raise ValueError(
            f"no class has the index {wrong[0]} of the labels; classes are 0 to {count - 1}, void is {VOID}"
        )


def common_classes(models: Sequence[str | Path | Predictor]) -> ClassSet:
    """The classes that all models have, by which labels are read.

    Raises:
        ValueError: they differ.
        CheckpointError: there is no such model or checkpoint, or it is damaged.
    """
    first, *others = [
        model.record.class_set if isinstance(model, Predictor) else read_record(checkpoint_path(model)).class_set
        for model in models
    ]
    for other in others:
        if other.names != first.names:
            raise ValueError(
                f"the models have different classes ({', '.join(first.names[:3])} … and "
                f"{', '.join(other.names[:3])} …), so labels cannot be read; name models of the same classes"
            )
    return first
