"""The loss of training: weighted cross-entropy, optionally of the hardest pixels, and soft Jaccard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.data.classes import VOID
from segviz.data.dataset import Sample

CLASS_POWER = -0.2


@dataclass(frozen=True)
class Loss:
    """A loss over logits of the labels' size; void pixels are left out.

    Attributes:
        weights: of each class in the cross-entropy.
        smoothing: of labels, in [0, 1).
        hard_share: the share of pixels, those of the largest loss, that count (online hard example mining,
            Shrivastava et al., CVPR 2016); 1 for all.
        jaccard: the weight of the soft Jaccard loss (Rahman and Wang, ISVC 2016).
    """

    weights: Float[Tensor, " classes"]
    smoothing: float = 0.0
    hard_share: float = 1.0
    jaccard: float = 0.0

    def __call__(
        self, logits: Float[Tensor, "batch classes height width"], labels: Int64[Tensor, "batch height width"]
    ) -> Float[Tensor, ""]:
        """The mean loss, in float32."""
        logits = logits.float().contiguous()  # on a CPU three times quicker than channels last
        loss = self._cross_entropy(logits, labels)
        return loss + self.jaccard * soft_jaccard(logits, labels) if self.jaccard else loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Nothing here waits for the device: how many pixels count is known there alone."""
        each = F.cross_entropy(
            logits, labels, self.weights, ignore_index=VOID, reduction="none", label_smoothing=self.smoothing
        )
        counted = labels != VOID
        if self.hard_share >= 1:
            return each.sum() / (self.weights[labels.where(counted, 0)] * counted).sum().clamp(min=1e-9)
        count = (self.hard_share * counted.sum()).long().clamp(min=1)
        hardest = each.flatten().topk(max(1, int(self.hard_share * each.numel()))).values
        return (hardest * (torch.arange(len(hardest), device=hardest.device) < count)).sum() / count


def soft_jaccard(
    logits: Float[Tensor, "batch classes height width"], labels: Int64[Tensor, "batch height width"]
) -> Float[Tensor, ""]:
    """One minus the IoU of probabilities with labels, the mean over the batch's classes: what mIoU counts, smooth."""
    counted = labels != VOID
    shares = logits.softmax(1) * counted[:, None]
    truth = F.one_hot(labels.where(counted, 0), logits.shape[1]).permute(0, 3, 1, 2) * counted[:, None]
    hits = (shares * truth).sum((0, 2, 3))
    sizes = truth.sum((0, 2, 3))
    union = shares.sum((0, 2, 3)) + sizes - hits
    present = sizes > 0
    return ((1 - hits / union.clamp(min=1e-9)) * present).sum() / present.sum().clamp(min=1)


def class_weights(samples: Sequence[Sample], classes: int) -> Float[Tensor, " classes"]:
    """Weights of the loss, `share ** -0.2` of each class's pixels, with mean 1 over pixels.

    Without weights rare classes lost recall (poles 0.51, at a precision of 0.76), with the square root of the
    share they lost precision (0.47, at a recall of 0.73); mIoU wants both alike.
    """
    counts = np.sum([np.bincount(sample.labels.ravel(), minlength=256)[:classes] for sample in samples], 0)
    share = np.maximum(counts, 1) / counts.sum()
    weights = share**CLASS_POWER
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)
