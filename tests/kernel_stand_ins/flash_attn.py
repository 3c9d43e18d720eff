"""Stands in for flash_attn: the signatures and the semantics of its manual (version 2), in plain Python."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from kernel_stand_ins.weigh_pairs import attend

Window = tuple[int, int]


def _attend(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool, window: Window, softcap: float, slopes: Any
) -> Tensor:
    tokens, key_tokens = q.shape[1], k.shape[1]
    left, right = window

    def logit(product: float, b: int, h: int, i: int, j: int) -> float:
        level = i + key_tokens - tokens
        if (causal and j > level) or (left >= 0 and j < level - left) or (right >= 0 and j > level + right):
            return -math.inf
        if softcap > 0:
            product = softcap * math.tanh(product / softcap)
        return product if slopes is None else product - float(slopes[h]) * abs(level - j)

    repeats = q.shape[2] // k.shape[2]
    with torch._C.DisableTorchFunction():
        k, v = k.repeat_interleave(repeats, 2), v.repeat_interleave(repeats, 2)
    return attend(q, k, v, scale, logit)


def flash_attn_func(
    q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: Window = (-1, -1), softcap: float = 0.0, alibi_slopes: Tensor | None = None,
    deterministic: bool = False, return_attn_probs: bool = False,
) -> Any:  # fmt: skip
    out = _attend(q, k, v, softmax_scale, causal, window_size, softcap, alibi_slopes)
    return (out, out.sum(-1), None) if return_attn_probs else out


def flash_attn_qkvpacked_func(
    qkv: Tensor, dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: Window = (-1, -1), softcap: float = 0.0, alibi_slopes: Tensor | None = None,
    deterministic: bool = False, return_attn_probs: bool = False,
) -> Any:  # fmt: skip
    return _attend(*qkv.unbind(2), softmax_scale, causal, window_size, softcap, alibi_slopes)


def flash_attn_kvpacked_func(
    q: Tensor, kv: Tensor, dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: Window = (-1, -1), softcap: float = 0.0, alibi_slopes: Tensor | None = None,
    deterministic: bool = False, return_attn_probs: bool = False,
) -> Any:  # fmt: skip
    return _attend(q, *kv.unbind(2), softmax_scale, causal, window_size, softcap, alibi_slopes)


def flash_attn_varlen_func(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, max_seqlen_q: int, max_seqlen_k: int,
    dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False, window_size: Window = (-1, -1),
    softcap: float = 0.0, alibi_slopes: Tensor | None = None, deterministic: bool = False,
    return_attn_probs: bool = False, block_table: Tensor | None = None,
) -> Any:  # fmt: skip
    own, others = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    parts = []
    for (start, end), (key_start, key_end) in zip(pairwise(own), pairwise(others), strict=True):
        one = q[None, start:end], k[None, key_start:key_end], v[None, key_start:key_end]
        parts.append(_attend(*one, softmax_scale, causal, window_size, softcap, alibi_slopes)[0])
    return torch.cat(parts)


def flash_attn_varlen_qkvpacked_func(
    qkv: Tensor, cu_seqlens: Tensor, max_seqlen: int, dropout_p: float = 0.0, softmax_scale: float | None = None,
    causal: bool = False, window_size: Window = (-1, -1), softcap: float = 0.0, alibi_slopes: Tensor | None = None,
    deterministic: bool = False, return_attn_probs: bool = False,
) -> Any:  # fmt: skip
    return flash_attn_varlen_func(
        *qkv.unbind(1), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, dropout_p, softmax_scale, causal, window_size
    )


def flash_attn_varlen_kvpacked_func(
    q: Tensor, kv: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, max_seqlen_q: int, max_seqlen_k: int,
    dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False, window_size: Window = (-1, -1),
    softcap: float = 0.0, alibi_slopes: Tensor | None = None, deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Any:  # fmt: skip
    return flash_attn_varlen_func(
        q, *kv.unbind(1), cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p, softmax_scale, causal,
        window_size,
    )  # fmt: skip


def flash_attn_with_kvcache(q: Tensor, k_cache: Tensor, v_cache: Tensor, **options: Any) -> Tensor:
    return _attend(q, k_cache, v_cache, None, False, (-1, -1), 0.0, None)
