"""Scores of a segmentation, all from one confusion matrix over all pixels or those near class borders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from segviz.data.classes import VOID

BOUNDARY_WIDTH = 3  # pixels, for pictures of about 480 x 360


@dataclass(frozen=True)
class Confusion:
    """Pixel counts, `matrix[truth, predicted]`; void pixels are not counted."""

    matrix: Int64[np.ndarray, "classes classes"]

    def __add__(self, other: Confusion) -> Confusion:
        """The sum of both counts."""
        return Confusion(self.matrix + other.matrix)

    @property
    def iou(self) -> Float[np.ndarray, " classes"]:
        """Intersection over union of each class in [0, 1]; NaN if neither truth nor prediction has it."""
        hits = np.diag(self.matrix).astype(np.float64)
        union = self.matrix.sum(0) + self.matrix.sum(1) - hits
        shares: Float[np.ndarray, " classes"] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
        return shares

    @property
    def mean_iou(self) -> float:
        """The mean IoU of the classes that occur, in [0, 1]; NaN if none does."""
        known = self.iou[~np.isnan(self.iou)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of correct pixels, in [0, 1]; NaN if there are no pixels."""
        total = int(self.matrix.sum())
        return float(np.trace(self.matrix) / total) if total else float("nan")


def confusion(truth: UInt8[np.ndarray, "_ _"], predicted: UInt8[np.ndarray, "_ _"], classes: int) -> Confusion:
    """Count pixel by pixel; truth outside `0 .. classes - 1`, such as void, is ignored.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            f"labels of {truth.shape} cannot be compared with a prediction of {predicted.shape}; resize one"
        )
    labelled = truth < classes
    pairs = truth[labelled].astype(np.int64) * classes + predicted[labelled]
    return Confusion(np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64))


def boundary_confusion(
    truth: UInt8[np.ndarray, "_ _"], predicted: UInt8[np.ndarray, "_ _"], classes: int, width: int = BOUNDARY_WIDTH
) -> Confusion:
    """Count only the pixels in `boundary_band(truth, width)`: how well a model does where classes meet.

    This is the trimap evaluation of Kohli, Ladicky and Torr ("Robust higher order potentials for enforcing label
    consistency", IJCV 2009) and of Krähenbühl and Koltun ("Efficient inference in fully connected CRFs with Gaussian
    edge potentials", NIPS 2011), with IoU instead of their share of wrong pixels.

    Raises:
        ValueError: the shapes differ, or the width is below 1.
    """
    return confusion(np.where(boundary_band(truth, width), truth, np.uint8(VOID)), predicted, classes)


def boundary_band(
    labels: UInt8[np.ndarray, "height width"], width: int = BOUNDARY_WIDTH
) -> Bool[np.ndarray, "height width"]:
    """The labelled pixels within `width` pixels of a border between two classes.

    A border runs where two pixels with different classes share an edge; those two are within 1 pixel of it, and
    distances are Euclidean. Void is not a class: no border runs along it, and no void pixel is in the band.

    Args:
        labels: class indices; 255 is void.
        width: pixels on either side of the border.

    Raises:
        ValueError: the width is below 1.
    """
    if width < 1:
        raise ValueError(f"a band of {width} pixels is empty; use a width of 1 or more")
    border = np.zeros(labels.shape, bool)
    for values, marks in ((labels, border), (labels.T, border.T)):  # neighbours in a column, then in a row
        meet = (values[:-1] != values[1:]) & (values[:-1] != VOID) & (values[1:] != VOID)
        marks[:-1] |= meet
        marks[1:] |= meet
    if not border.any():  # there is no border to measure distances to
        return border
    distance = cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    band: Bool[np.ndarray, "height width"] = (distance <= width - 1) & (labels != VOID)
    return band
