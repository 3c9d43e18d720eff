"""Stands in for xformers.ops: the signatures and the semantics of its manual (version 0.0.35), in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from kernel_stand_ins.weigh_pairs import attend


class LowerTriangularMask:
    """A query looks at keys up to its own number."""

    def materialize(self, shape: tuple[int, ...], dtype: torch.dtype, device: object = "cpu") -> Tensor:
        rows, columns = shape[-2:]
        mask = [[0.0 if j <= i else -math.inf for j in range(columns)] for i in range(rows)]
        return torch.tensor(mask, dtype=dtype, device=device).expand(shape)  # type: ignore[call-overload]


class LowerTriangularMaskWithTensorBias(LowerTriangularMask):
    """The same with a bias of its own."""

    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def materialize(self, shape: tuple[int, ...], dtype: torch.dtype, device: object = "cpu") -> Tensor:
        return super().materialize(shape, dtype, device) + self._bias


@dataclass
class SeqLenInfo:
    """Where sequences begin, and the last one ends."""

    seqstart_py: list[int]


class BlockDiagonalMask:
    """Sequences one after the other, each of which looks at itself."""

    def __init__(self, lengths: list[int]) -> None:
        starts = [sum(lengths[:count]) for count in range(len(lengths) + 1)]
        self.q_seqinfo = self.k_seqinfo = SeqLenInfo(starts)

    def allows(self, i: int, j: int) -> bool:
        starts = self.q_seqinfo.seqstart_py
        return any(a <= i < b and a <= j < b for a, b in pairwise(starts))

    def materialize(self, shape: tuple[int, ...], dtype: torch.dtype, device: object = "cpu") -> Tensor:
        rows, columns = shape[-2:]
        mask = [[0.0 if self.allows(i, j) else -math.inf for j in range(columns)] for i in range(rows)]
        return torch.tensor(mask, dtype=dtype, device=device).expand(shape)  # type: ignore[call-overload]


class BlockDiagonalCausalMask(BlockDiagonalMask):
    """The same, and a query looks at keys up to its own number."""

    def allows(self, i: int, j: int) -> bool:
        return j <= i and super().allows(i, j)


class PagedBlockDiagonalPaddedKeysMask(BlockDiagonalMask):
    """Keys that lie in pages of a cache."""

    block_tables = torch.zeros(1, 1)


def memory_efficient_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_bias: Any = None, p: float = 0.0, scale: float | None = None, *,
    op: Any = None, output_dtype: Any = None,
) -> Tensor:  # fmt: skip
    if query.dim() == 3:
        bias = attn_bias if not isinstance(attn_bias, Tensor) else attn_bias[:, None]
        four = (one[:, :, None] for one in (query, key, value))
        return memory_efficient_attention(*four, bias, p, scale)[:, :, 0]
    if query.dim() == 5:
        bias = attn_bias if not isinstance(attn_bias, Tensor) else attn_bias.flatten(1, 2)
        four = (one.flatten(2, 3) for one in (query, key, value))
        return memory_efficient_attention(*four, bias, p, scale).unflatten(2, tuple(query.shape[2:4]))
    shape = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
    with torch._C.DisableTorchFunction():
        bias = attn_bias if attn_bias is None or isinstance(attn_bias, Tensor) else attn_bias.materialize(
            shape, torch.float32
        )  # fmt: skip
        added = None if bias is None else bias.expand(shape).tolist()
    return attend(query, key, value, scale, lambda one, b, h, i, j: one if added is None else one + added[b][h][i][j])


def memory_efficient_attention_forward_requires_grad(
    query: Tensor, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    out = memory_efficient_attention(query, key, value)
    return out, out.sum(-1)
