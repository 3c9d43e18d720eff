"""Scores of a segmentation, all taken from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt8


@dataclass(frozen=True)
class Confusion:
    """Pixel counts, `matrix[truth, predicted]`; void pixels are not counted."""

    matrix: Int64[np.ndarray, "classes classes"]

    def __add__(self, other: Confusion) -> Confusion:
        """Counts of both."""
        return Confusion(self.matrix + other.matrix)

    @property
    def iou(self) -> Float[np.ndarray, " classes"]:
        """Intersection over union of each class in [0, 1]; NaN where neither truth nor prediction has it."""
        hits = np.diag(self.matrix).astype(np.float64)
        union = self.matrix.sum(0) + self.matrix.sum(1) - hits
        shares: Float[np.ndarray, " classes"] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
        return shares

    @property
    def mean_iou(self) -> float:
        """The mean IoU of the classes that occur, in [0, 1]; NaN where none does."""
        known = self.iou[~np.isnan(self.iou)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of pixels that are right, in [0, 1]; NaN without any pixel."""
        total = int(self.matrix.sum())
        return float(np.trace(self.matrix) / total) if total else float("nan")


def confusion(truth: UInt8[np.ndarray, "_ _"], predicted: UInt8[np.ndarray, "_ _"], classes: int) -> Confusion:
    """Count pixel by pixel; truth outside `0 .. classes - 1`, such as void, is left out.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            f"labels of {truth.shape} cannot be compared with a prediction of {predicted.shape}; resize one"
        )
    counted = truth < classes
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return Confusion(np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64))
