"""The training loss: weighted cross-entropy, optionally over the hardest pixels, and soft Jaccard."""

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
    """A loss over logits at the labels' size; void pixels are ignored.

    Attributes:
        weights: class weights of the cross-entropy.
        smoothing: label smoothing, in [0, 1).
        hard_share: share of pixels that count, those with the largest loss (online hard example mining, Shrivastava
            et al., CVPR 2016); 1 counts all.
        jaccard: weight of the soft Jaccard loss (Rahman and Wang, ISVC 2016).
    """

    weights: Float[Tensor, " classes"]
    smoothing: float = 0.0
    hard_share: float = 1.0
    jaccard: float = 0.0

    def __call__(
        self, logits: Float[Tensor, "batch classes height width"], labels: Int64[Tensor, "batch height width"]
    ) -> Float[Tensor, ""]:
        """The mean loss, in float32."""
        logits = logits.float().contiguous()  # on a CPU three times faster than channels last
        loss = self._cross_entropy(logits, labels)
        return loss + self.jaccard * soft_jaccard(logits, labels) if self.jaccard else loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The number of pixels that count stays on the device, so that nothing waits for it."""
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
    """A smooth form of 1 - mIoU: the IoU of probabilities with labels, averaged over the batch's classes."""
    counted = labels != VOID
    shares = logits.softmax(1) * counted[:, None]
    truth = F.one_hot(labels.where(counted, 0), logits.shape[1]).permute(0, 3, 1, 2) * counted[:, None]
    hits = (shares * truth).sum((0, 2, 3))
    sizes = truth.sum((0, 2, 3))
    union = shares.sum((0, 2, 3)) + sizes - hits
    present = sizes > 0
    return ((1 - hits / union.clamp(min=1e-9)) * present).sum() / present.sum().clamp(min=1)


def class_weights(samples: Sequence[Sample], classes: int) -> Float[Tensor, " classes"]:
    """Class weights of the loss: each class's share of pixels to the power -0.2, scaled to mean 1 over pixels.

    Without weights, rare classes lost recall (poles 0.51, at a precision of 0.76); with the power -0.5 they lost
    precision (0.47, at a recall of 0.73). mIoU needs both.
    """
    counts = np.sum([np.bincount(sample.labels.ravel(), minlength=256)[:classes] for sample in samples], 0)
    share = np.maximum(counts, 1) / counts.sum()
    weights = share**CLASS_POWER
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)
