"""The training loss: weighted cross-entropy, optionally over the hardest pixels, and soft Jaccard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.data.classes import VOID
from segviz.data.sample import Sample, count_pixels
from segviz.training.processes import ALONE, Processes

CLASS_POWER = -0.2
LEAST_HARD_SHARE = 1 / 16  # of the labelled pixels, counts at least where `ohem` chooses; AttaNet's code has the same


@dataclass(frozen=True)
class Loss:
    """A loss over logits at the labels' size; void pixels are ignored.

    In several processes, each has its part of the batch, and its loss is its part of the sum: all parts together are
    the loss of the whole batch, with all means taken over all of its pixels.

    Attributes:
        weights: class weights of the cross-entropy.
        smoothing: label smoothing, in [0, 1).
        hard_share: share of pixels that count, those with the largest loss (online hard example mining, Shrivastava
            et al., CVPR 2016); 1 counts all.
        jaccard: weight of the soft Jaccard loss (Rahman and Wang, ISVC 2016).
        ohem: only pixels count whose class has a smaller probability than this, and at least a sixteenth of all, the
            least probable; 0 counts all.
        processes: those that share the batch.
    """

    weights: Float[Tensor, " classes"]
    smoothing: float = 0.0
    hard_share: float = 1.0
    jaccard: float = 0.0
    ohem: float = 0.0
    processes: Processes = ALONE

    def __call__(
        self, logits: Float[Tensor, "batch classes height width"], labels: Int64[Tensor, "batch height width"]
    ) -> Float[Tensor, ""]:
        """The mean loss, in float32, or in float64 as the logits are."""
        logits = logits if logits.dtype == torch.float64 else logits.float()
        logits = logits.contiguous()  # on a CPU three times faster than channels last
        loss = self._cross_entropy(logits, labels)
        return loss + self.jaccard * soft_jaccard(logits, labels, self.processes) if self.jaccard else loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The number of pixels that count stays on the device, so that nothing waits for it."""
        weights = self.weights.to(logits.dtype)
        each = F.cross_entropy(
            logits, labels, weights, ignore_index=VOID, reduction="none", label_smoothing=self.smoothing
        )
        counted = labels != VOID
        if self.ohem:
            cost = F.cross_entropy(logits.detach(), labels, ignore_index=VOID, reduction="none")  # -log(probability)
            return mean_improbable(each, cost, self.processes.total(counted.sum()), self.ohem, self.processes)
        if self.hard_share >= 1:
            total = self.processes.total((weights[labels.where(counted, 0)] * counted).sum())
            return each.sum() / total.clamp(min=1e-9)
        count = (self.hard_share * self.processes.total(counted.sum())).long().clamp(min=1)
        if self.processes.count > 1:
            most = max(1, int(self.hard_share * each.numel() * self.processes.count))
            return mean_hardest(each, each.detach(), count, most, self.processes)
        hardest = each.flatten().topk(max(1, int(self.hard_share * each.numel()))).values
        return (hardest * (torch.arange(len(hardest), device=hardest.device) < count)).sum() / count


def mean_hardest(each: Tensor, cost: Tensor, count: Tensor, most: int, processes: Processes) -> Float[Tensor, ""]:
    """This process's part of the mean of `each` over the `count` pixels with the largest cost, of all processes.

    Args:
        each: what is averaged, a number a pixel.
        cost: what chooses.
        count: how many; at most `most`, which is known without waiting for the device.
        most: see `count`.
        processes: those that share the batch.
    """
    worst = processes.gather(cost.flatten()).topk(most).values
    return mean_above(each, cost, pick(worst, count - 1), count, processes)


def mean_above(each: Tensor, cost: Tensor, limit: Tensor, count: Tensor, processes: Processes) -> Float[Tensor, ""]:
    """The mean of `each` over the pixels that cost more than the limit, filled up to `count` by those that cost it.

    Those that cost exactly the limit share what is missing, so that the mean is the same in whatever order they come.
    """
    above, equal = cost > limit, cost == limit
    found, ties = processes.total(above.sum()), processes.total(equal.sum())
    missing = (count - found).clamp(min=0)
    chosen = above + equal * (missing / ties.clamp(min=1))
    return (each * chosen).sum() / (found + missing).clamp(min=1)


def pick(values: Tensor, at: Tensor) -> Tensor:
    """One of the values; unlike `values[at]`, it does not wait for the device."""
    return values.index_select(0, at.view(1))[0]


def mean_improbable(
    each: Tensor, cost: Tensor, labelled: Tensor, probability: float, processes: Processes
) -> Float[Tensor, ""]:
    """The mean of `each` over pixels whose class is less probable; if these are few, over a sixteenth of all."""
    least = (LEAST_HARD_SHARE * labelled).long().clamp(min=1)
    most = max(1, int(LEAST_HARD_SHARE * cost.numel() * processes.count))
    worst = pick(processes.gather(cost.flatten()).topk(most).values, least - 1)
    limit = torch.full_like(worst, -math.log(probability))
    enough = worst > limit
    return mean_above(each, cost, limit.where(enough, worst), least.where(~enough, 0), processes)


def soft_jaccard(
    logits: Float[Tensor, "batch classes height width"],
    labels: Int64[Tensor, "batch height width"],
    processes: Processes = ALONE,
) -> Float[Tensor, ""]:
    """A smooth form of 1 - mIoU: the IoU of probabilities with labels, averaged over the batch's classes.

    In several processes it is this one's part of the sum, as for `Loss`: their equal parts.
    """
    counted = labels != VOID
    shares = logits.softmax(1) * counted[:, None]
    truth = F.one_hot(labels.where(counted, 0), logits.shape[1]).permute(0, 3, 1, 2) * counted[:, None]
    hits = processes.total((shares * truth).sum((0, 2, 3)))
    sizes = processes.total(truth.sum((0, 2, 3)))
    union = processes.total(shares.sum((0, 2, 3))) + sizes - hits
    present = sizes > 0
    mean = ((1 - hits / union.clamp(min=1e-9)) * present).sum() / present.sum().clamp(min=1)
    return mean if processes.count == 1 else mean / processes.count


def class_weights(samples: Sequence[Sample], classes: int) -> Float[Tensor, " classes"]:
    """Class weights of the loss: each class's share of pixels to the power -0.2, scaled to mean 1 over pixels.

    Without weights, rare classes lost recall (poles 0.51, at a precision of 0.76); with the power -0.5 they lost
    precision (0.47, at a recall of 0.73). mIoU needs both.
    """
    counts = count_pixels(samples, classes).sum(0)
    share = np.maximum(counts, 1) / counts.sum()
    weights = share**CLASS_POWER
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)
