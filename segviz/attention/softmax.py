"""The softmax of attention logits, in which a query that may look at nothing draws nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def weigh(logits: Tensor) -> Tensor:
    """The softmax over the last axis; 0 where every logit of a row is -inf, as `scaled_dot_product_attention` has it.

    A plain softmax gives NaN there.
    """
    return logits.softmax(-1).masked_fill((logits == -torch.inf).all(-1, keepdim=True), 0)


def log_sum(logits: Tensor) -> Tensor:
    """`log sum_j exp` over the last axis, by which a logit becomes a weight: `exp(logit - log_sum)`.

    It is 0 where every logit is -inf: the weights then are 0, where -inf less -inf would be NaN.
    """
    sums = logits.logsumexp(-1)
    return sums.masked_fill(sums == -torch.inf, 0)
