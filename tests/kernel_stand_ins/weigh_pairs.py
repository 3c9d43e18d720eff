"""Attention pair by pair, as the manuals of the kernels define it, hidden from whoever watches torch's functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Logit = Callable[[float, int, int, int, int], float]  # of a scaled product, and of picture, head, query and key


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float | None, logit: Logit) -> Tensor:
    """softmax(logit(scale q k)) v of (batch, tokens, heads, dim); 0 for a query that may look at nothing."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    with torch._C.DisableTorchFunction():
        batch, tokens, heads, _ = q.shape
        out = q.new_zeros(batch, tokens, heads, v.shape[-1])
        products = torch.einsum("bihd,bjhd->bhij", q.float(), k.float()).mul(scale).tolist()
        for b in range(batch):
            for h in range(heads):
                for i in range(tokens):
                    row = [logit(one, b, h, i, j) for j, one in enumerate(products[b][h][i])]
                    most = max(row)
                    powers = [0.0 if most == -math.inf else math.exp(one - most) for one in row]
                    weights = q.new_tensor(powers) / (sum(powers) or 1.0)
                    out[b, i, h] = weights @ v[b, :, h]
    return out
