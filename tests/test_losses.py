"""The losses of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segviz.data.sample import Sample
from segviz.training.losses import Loss, class_weights, mean_hardest, soft_jaccard
from segviz.training.processes import ALONE

ONES = torch.ones(3)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 3, (2, 8, 10))
    labels[0, :2] = 255
    return torch.randn(2, 3, 8, 10), labels


def test_the_plain_loss_is_cross_entropy_without_void(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    counted = labels != 255
    expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[counted], labels[counted])
    torch.testing.assert_close(Loss(ONES)(logits, labels), expected)


def test_the_hardest_pixels_cost_more_than_all(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    each = F.cross_entropy(logits, labels, reduction="none", ignore_index=255)
    worst = each[labels != 255].sort(descending=True).values[: int(0.25 * int((labels != 255).sum()))].mean()
    torch.testing.assert_close(Loss(ONES, hard_share=0.25)(logits, labels), worst)
    assert worst > Loss(ONES)(logits, labels)


def test_soft_jaccard_of_sure_answers_is_one_minus_miou() -> None:
    labels = torch.tensor([[[0, 0, 1, 1, 255]]])
    answer = torch.tensor([[[0, 1, 1, 1, 0]]])
    logits = F.one_hot(answer, 3).permute(0, 3, 1, 2) * 100.0
    assert float(soft_jaccard(logits, labels)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-4)


def test_soft_jaccard_of_the_truth_is_zero(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    labels = batch[1]
    logits = F.one_hot(labels.where(labels != 255, 0), 3).permute(0, 3, 1, 2) * 100.0
    assert float(soft_jaccard(logits, labels)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "loss", [Loss(ONES), Loss(ONES, hard_share=0.5), Loss(ONES, jaccard=1.0), Loss(ONES, ohem=0.7)]
)
def test_a_batch_of_void_costs_nothing_and_breaks_nothing(loss: Loss) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    cost = loss(logits, torch.full((1, 4, 4), 255))
    cost.backward()  # type: ignore[no-untyped-call]
    assert cost.item() == 0 and logits.grad is not None and logits.grad.isfinite().all()


def test_rare_classes_weigh_more_and_the_mean_over_pixels_is_one() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[0] = 1
    weights = class_weights([Sample("a", np.zeros((10, 10, 3), np.uint8), labels)], 2)
    assert float(weights[1] / weights[0]) == pytest.approx(9**0.2, rel=1e-5)
    assert float(0.9 * weights[0] + 0.1 * weights[1]) == pytest.approx(1, rel=1e-5)


def test_hard_pixels_and_smoothing_go_together(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = float(Loss(ONES, smoothing=0.1, hard_share=0.5, jaccard=0.5)(*batch))
    assert math.isfinite(loss) and loss > 0


def improbable_mean(logits: torch.Tensor, labels: torch.Tensor, probability: float) -> float:
    """Pixel by pixel: the mean cross-entropy of those less probable, or of the least probable sixteenth."""
    costs = []
    for image, truth in zip(logits.double(), labels, strict=True):
        for y in range(truth.shape[0]):
            for x in range(truth.shape[1]):
                if truth[y, x] != 255:
                    powers = [math.exp(float(one)) for one in image[:, y, x]]
                    costs.append(-math.log(powers[int(truth[y, x])] / sum(powers)))
    hard = [cost for cost in costs if cost > -math.log(probability)]
    least = max(1, len(costs) // 16)
    if len(hard) < least:
        hard = sorted(costs, reverse=True)[:least]
    return sum(hard) / len(hard)


@pytest.mark.parametrize("sureness", [0.1, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("probability", [0.7, 0.3, 0.01])
def test_ohem_counts_improbable_pixels_or_a_sixteenth(
    batch: tuple[torch.Tensor, torch.Tensor], sureness: float, probability: float
) -> None:
    logits, labels = batch
    right = F.one_hot(labels.where(labels != 255, 0), 3).permute(0, 3, 1, 2)
    logits = logits + sureness * right
    found = float(Loss(ONES, ohem=probability)(logits, labels))
    assert found == pytest.approx(improbable_mean(logits, labels, probability), rel=1e-5, abs=1e-7)


def test_pixels_that_cost_the_same_share_what_counts() -> None:
    """The mean over the hardest three of 1, 2, 2, 2 is 2; over the hardest three of 3, 2, 2, 2 it is 7 / 3."""
    for costs, expected in (([1.0, 2.0, 2.0, 2.0], 2.0), ([3.0, 2.0, 2.0, 2.0], 7 / 3)):
        each = torch.tensor(costs, requires_grad=True)
        mean = mean_hardest(each, each.detach(), torch.tensor(3), 4, ALONE)
        assert float(mean.detach()) == pytest.approx(expected)
        mean.backward()  # type: ignore[no-untyped-call]
        assert each.grad is not None and float(each.grad.sum()) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_hardest_are_the_same_however_they_are_found(
    batch: tuple[torch.Tensor, torch.Tensor], share: float
) -> None:
    logits, labels = batch
    each = F.cross_entropy(logits, labels, reduction="none", ignore_index=255)
    count = (share * (labels != 255).sum()).long()
    found = mean_hardest(each, each, count, int(share * each.numel()), ALONE)
    torch.testing.assert_close(found, Loss(ONES, hard_share=share)(logits, labels))
