"""Small networks of our own writing for tests of `segviz.watch`, which return the attention that they computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.attention.head_map import HeadMap

GRID, SIZE, DIM = (4, 6), (64, 96), 4
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
Attend = Callable[["NonLocal", Tensor, Tensor, Tensor], Tensor]


class NonLocal(nn.Module):
    """A non-local block on patches of 16, whose attention is spelled by `attend(self, q, k, v)`, (1, cells, dim)."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 16, 16)
        self.q, self.k = nn.Conv2d(DIM, DIM, 1), nn.Conv2d(DIM, DIM, 1)
        self.softmax, self.dropout = nn.Softmax(-1), nn.Dropout(0.1)
        self.bias = nn.Parameter(torch.randn(24, 24))
        self.attend = attend

    def factors(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(batch)
        return self.q(x).flatten(2).mT, self.k(x).flatten(2).mT, x.flatten(2).mT

    def forward(self, batch: Tensor) -> Tensor:
        return self.attend(self, *self.factors(batch)).mT.unflatten(2, GRID)


def divide_in_place(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.matmul(q, k.transpose(1, 2))
    weights /= 2
    return weights.softmax(-1) @ v


def mask_in_place(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.bmm(q, k.mT).mul_(0.5).masked_fill_(net.bias > 1, -1e9)
    return torch.bmm(F.softmax(weights, dim=2), v)


def mask_by_index(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = 0.5 * (q @ k.mT)
    logits[:, net.bias > 1] = -1e9
    return logits.softmax(-1) @ v


def steady(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = q @ k.mT / 2
    logits = logits - logits.amax(-1, keepdim=True)
    return net.dropout(net.softmax(logits)) @ v


def with_einsum(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(torch.einsum("bnc,bmc->bnm", q, k) * 0.5 + net.bias, 2)
    return torch.einsum("bnm,bmc->bnc", weights, v)


def over_rows(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PSANet's and CCNet's order: the matrix is (keys, queries)."""
    return (v.mT @ (k @ q.mT * 0.5).softmax(1)).mT


def transposed(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (k @ q.mT * 0.5).transpose(1, 2).softmax(-1) @ v


def scaled_queries(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (torch.baddbmm(net.bias[None], q * 0.5, k.mT)).softmax(-1) @ v


def fused(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=net.bias, scale=0.5)


def fused_mask(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=net.bias <= 1, scale=0.5)


def by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.matmul(input=q, other=torch.transpose(input=k, dim0=1, dim1=2))
    logits = torch.add(input=torch.mul(input=logits, other=0.5), other=net.bias)
    return torch.matmul(input=torch.softmax(input=logits, dim=-1), other=v)


def by_name_in_other_order(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.div(other=2, input=torch.bmm(mat2=q.mT, input=k))
    logits = torch.masked_fill(value=-1e9, mask=net.bias.mT > 1, input=torch.permute(dims=(0, 2, 1), input=logits).mT)
    logits = torch.swapaxes(axis1=2, axis0=1, input=logits)
    return torch.bmm(mat2=v, input=F.dropout(p=0.0, input=F.softmax(dim=2, input=logits)))


def baddbmm_by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.baddbmm(batch1=q, batch2=k.mT, input=net.bias[None], alpha=0.5)
    return torch.baddbmm(v, batch1=logits.softmax(axis=-1), batch2=v, beta=0)  # type: ignore[call-overload]


def addmm_by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.addmm(net.bias, q[0], mat2=k[0].T, alpha=0.5)
    return torch.linalg.matmul(torch.special.softmax(logits, dim=1), v[0])[None]


def where_by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.multiply(other=0.5, input=q @ k.mT)
    logits = torch.where(net.bias <= 1, other=torch.tensor(-1e9), input=logits)
    return torch.matmul(v.mT, other=logits.softmax(2).mT).mT


def over_rows_by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.matmul(x1=k, x2=q.mT * 0.5)  # type: ignore[call-overload]  # NumPy's names, which torch takes too
    return torch.matmul(v.mT, other=torch.softmax(logits, axis=1)).mT  # type: ignore[call-overload]


def fused_by_name(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(value=v, scale=0.5, attn_mask=net.bias, key=k, query=q)


SPELLINGS: dict[Attend, Callable[[Tensor], Tensor]] = {  # and what each adds to the logits
    divide_in_place: torch.zeros_like,
    mask_in_place: lambda bias: torch.zeros_like(bias).masked_fill(bias > 1, -1e9),
    mask_by_index: lambda bias: torch.zeros_like(bias).masked_fill(bias > 1, -1e9),
    steady: torch.zeros_like,
    with_einsum: lambda bias: bias,
    over_rows: torch.zeros_like,
    transposed: torch.zeros_like,
    scaled_queries: lambda bias: bias,
    fused: lambda bias: bias,
    fused_mask: lambda bias: torch.zeros_like(bias).masked_fill(bias > 1, -torch.inf),
    by_name: lambda bias: bias,
    by_name_in_other_order: lambda bias: torch.zeros_like(bias).masked_fill(bias > 1, -1e9),
    baddbmm_by_name: lambda bias: bias,
    addmm_by_name: lambda bias: bias,
    where_by_name: lambda bias: torch.zeros_like(bias).masked_fill(bias > 1, -1e9),
    over_rows_by_name: torch.zeros_like,
    fused_by_name: lambda bias: bias,
}


class Windowed(nn.Module):
    """Attention within windows of 2 x 3, folded into the batch, of which nothing tells where they lie."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 16, 16)

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch).reshape(DIM, 2, 2, 2, 3).permute(1, 3, 2, 4, 0).reshape(4, 1, 6, DIM)
        return F.scaled_dot_product_attention(x, x, x)


class MultiHead(nn.Module):
    """`nn.MultiheadAttention` on a CNN."""

    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 16, 16)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.need_weights = need_weights

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch).flatten(2).mT
        return self.attention(x, x, x, need_weights=self.need_weights)[0].mT.unflatten(2, GRID)


class Reduced(nn.Module):
    """Queries on 4 x 6 cells, keys on 2 x 3 (PVT); `strips` pools the keys to columns (AttaNet)."""

    def __init__(self, strips: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 16, 16)
        self.strips = strips

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        pooled = x.mean(2, keepdim=True) if self.strips else F.avg_pool2d(x, 2)
        keys = pooled.flatten(2).mT
        return F.scaled_dot_product_attention(x.flatten(2).mT, keys, keys)


class ClassToken(nn.Module):
    """A class token before the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, DIM))

    def tokens(self, batch: Tensor) -> Tensor:
        return torch.cat([self.token, self.stem(batch).flatten(2).mT], 1)

    def forward(self, batch: Tensor) -> Tensor:
        x = self.tokens(batch)
        return F.scaled_dot_product_attention(x, x, x)


class Gated(nn.Module):
    """CBAM-like gates: a softmax over channels and a sigmoid, no attention between places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 16, 16)

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        return x * x.mean((2, 3), keepdim=True).softmax(1) * x.mean(1, keepdim=True).sigmoid()


def matrix_of(map_: HeadMap, head: int | str = "mean") -> Tensor:
    """The whole matrix by rows."""
    cells = range(map_.grid[0] * map_.grid[1])
    return torch.stack([map_.attends_to(*divmod(cell, map_.grid[1]), head).flatten() for cell in cells])  # type: ignore[arg-type]


def all_heads(map_: HeadMap) -> Tensor:
    """The matrices of all heads, (heads, cells, key cells)."""
    return torch.stack([map_.head_rows(cell) for cell in range(map_.grid[0] * map_.grid[1])], 1)
