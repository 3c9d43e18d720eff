"""The attention blocks once more, for one image, as slow float64 loops written from the papers' equations.

Every function takes a block, for its parameters alone, and an image as (channels, height, width). It forms
the whole attention matrix, cell by cell, and returns it beside what the block should give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from segviz.models import blocks

Array = NDArray[np.float64]


class Expected(NamedTuple):
    """Features and context as (channels, height, width), and the matrices `A[out, in]` by the map's name."""

    features: Array
    context: Array
    matrices: dict[str, Array]


def numbers(tensor: Tensor) -> Array:
    """A parameter as numpy float64."""
    return tensor.detach().cpu().double().numpy().copy()


def places(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """(number, row, column) of every cell, row by row."""
    for row in range(height):
        for column in range(width):
            yield row * width + column, row, column


def softmax(logits: Array) -> Array:
    """Along a vector that has at least one finite entry."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def convolved(x: Array, layer: nn.Conv2d) -> Array:
    """A convolution with zero padding, pixel by pixel."""
    weight = numbers(layer.weight)
    reach, dilation = weight.shape[2] // 2, layer.dilation[0]
    out = np.zeros((len(weight), *x.shape[1:]))
    for _, row, column in places(*x.shape[1:]):
        for _, m, n in places(*weight.shape[2:]):
            r, c = row + (m - reach) * dilation, column + (n - reach) * dilation
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                out[:, row, column] += weight[:, :, m, n] @ x[:, r, c]
        if layer.bias is not None:
            out[:, row, column] += numbers(layer.bias)
    return out


def normed(x: Array, layer: nn.BatchNorm2d) -> Array:
    """BatchNorm with its running statistics."""
    mean, variance = numbers(layer.running_mean), numbers(layer.running_var)
    scale = numbers(layer.weight) / np.sqrt(variance + layer.eps)
    return (x - mean[:, None, None]) * scale[:, None, None] + numbers(layer.bias)[:, None, None]


def applied(x: Array, layers: nn.Module) -> Array:
    """A sequence of convolutions, BatchNorms and ReLUs."""
    for layer in layers.children() if isinstance(layers, nn.Sequential) else (layers,):
        match layer:
            case nn.Sequential():
                x = applied(x, layer)
            case nn.Conv2d():
                x = convolved(x, layer)
            case nn.BatchNorm2d():
                x = normed(x, layer)
            case nn.ReLU():
                x = np.maximum(x, 0)
    return x


def mixed(matrix: Array, values: Array) -> Array:
    """`y(p) = sum_j A[p, j] v(j)`, for values as (channels, height, width)."""
    out = np.zeros_like(values)
    for p, row, column in places(*values.shape[1:]):
        for j, r, c in places(*values.shape[1:]):
            out[:, row, column] += matrix[p, j] * values[:, r, c]
    return out


def channel(block: blocks.ChannelNonLocal, x: Array) -> Expected:
    """A5: `softmax_i(+-sum_p x_j x_i)`; the minus sign is DANet's code."""
    matrix = np.zeros((len(x), len(x)))
    for j in range(len(x)):
        energies = np.array([(x[j] * x[i]).sum() for i in range(len(x))])
        matrix[j] = softmax(energies.max() - energies if block.negate else energies)
    context = np.einsum("ji,irc->jrc", matrix, x)
    return Expected(numbers(block.gamma)[0] * context + x, context, {"channel": matrix})


def spatial(block: blocks.SpatialNonLocal, x: Array) -> Expected:
    """A5: `softmax_s(q_p . k_s)`, unscaled."""
    query, key, value = (convolved(x, layer) for layer in (block.query, block.key, block.value))
    cells = x.shape[1] * x.shape[2]
    matrix = np.zeros((cells, cells))
    for p, row, column in places(*x.shape[1:]):
        logits = [query[:, row, column] @ key[:, r, c] for _, r, c in places(*x.shape[1:])]
        matrix[p] = softmax(np.array(logits))
    context = mixed(matrix, value)
    return Expected(numbers(block.gamma)[0] * context + x, context, {"spatial": matrix})


def dual(block: blocks.DualNonLocal, x: Array) -> Expected:
    """A5: PAM(x) + CAM(x)."""
    space, channels = spatial(block.spatial, x), channel(block.channel, x)
    features, context = space.features + channels.features, space.context + channels.context
    return Expected(features, context, {**space.matrices, **channels.matrices})


def channel_spatial(block: blocks.ChannelSpatialNonLocal, x: Array) -> Expected:
    """A5: PAM(CAM(x))."""
    channels = channel(block.channel, x)
    space = spatial(block.spatial, channels.features)
    return Expected(space.features, space.context, {**space.matrices, **channels.matrices})


def spatial_channel(block: blocks.SpatialChannelNonLocal, x: Array) -> Expected:
    """CAM(PAM(x)), the order of FLANet's footnote 1."""
    space = spatial(block.spatial, x)
    channels = channel(block.channel, space.features)
    return Expected(channels.features, channels.context, {**channels.matrices, **space.matrices})


def projected(block: blocks.ProjectedNonLocal, x: Array) -> Expected:
    """SSANet, eq. 1-3: `gamma(Y) + X` with a 1x1 convolution gamma."""
    query, key, value = (convolved(x, layer) for layer in (block.query, block.key, block.value))
    cells = x.shape[1] * x.shape[2]
    matrix = np.zeros((cells, cells))
    for p, row, column in places(*x.shape[1:]):
        logits = [query[:, row, column] @ key[:, r, c] for _, r, c in places(*x.shape[1:])]
        matrix[p] = softmax(np.array(logits))
    context = mixed(matrix, value)
    return Expected(convolved(context, block.gamma) + x, context, {"spatial": matrix})


def criss_cross(block: blocks.RecurrentCrissCross, x: Array) -> Expected:
    """A5: one softmax over the H + W - 1 cells of a cross, R times; "cross 0", ... are the passes' own."""
    cells = x.shape[1] * x.shape[2]
    features, matrices, product = x, {}, np.eye(cells)
    for number in range(block.passes):
        query, key, value = (convolved(features, layer) for layer in (block.query, block.key, block.value))
        matrix = np.zeros((cells, cells))
        for p, row, column in places(*x.shape[1:]):
            cross = [(j, r, c) for j, r, c in places(*x.shape[1:]) if r == row or c == column]
            weights = softmax(np.array([query[:, row, column] @ key[:, r, c] for _, r, c in cross]))
            for (j, _, _), weight in zip(cross, weights, strict=True):
                matrix[p, j] = weight
        context = mixed(matrix, value)
        features = numbers(block.gamma)[0] * context + features
        matrices[f"cross {number}"] = matrix
        product = matrix @ product
    return Expected(features, context, {**matrices, "cross": product})


def expectation_maximization(block: blocks.ExpectationMaximization, x: Array) -> Expected:
    """A5, EMAU: three EM steps, then `relu(BN(conv(relu(mu z))) + x)`; "z" holds the responsibilities."""
    projected = convolved(x, block.before)
    cells = [projected[:, row, column] for _, row, column in places(*x.shape[1:])]
    bases = numbers(block.initial_bases).T  # (bases, channels)
    for _ in range(block.steps):
        z = np.array([softmax(np.array([cell @ base for base in bases])) for cell in cells])
        fitted = []
        for k in range(len(bases)):
            mean = sum(z[n, k] / (1e-6 + z[:, k].sum()) * cell for n, cell in enumerate(cells))
            fitted.append(mean / (1e-6 + np.sqrt((mean**2).sum())))
        bases = np.array(fitted)
    context = np.zeros_like(x)
    for p, row, column in places(*x.shape[1:]):
        context[:, row, column] = np.maximum(sum(z[p, k] * base for k, base in enumerate(bases)), 0)
    matrix = np.array([[sum(z[p] * z[j] / z.sum(0)) for j in range(len(cells))] for p in range(len(cells))])
    return Expected(np.maximum(applied(context, block.after) + x, 0), context, {"bases": matrix, "z": z, "mu": bases})


def fully_attentional(block: blocks.FullyAttentional, x: Array) -> Expected:
    """A1: each row meets the picture pooled over rows, each column the picture pooled over columns."""
    channels, height, width = x.shape
    row_weight, row_bias = numbers(block.pooled_rows.weight), numbers(block.pooled_rows.bias)
    column_weight, column_bias = numbers(block.pooled_columns.weight), numbers(block.pooled_columns.bias)
    q_h = np.stack([row_weight @ x[:, r, :].mean(1) + row_bias for r in range(height)], 1)
    q_w = np.stack([column_weight @ x[:, :, c].mean(1) + column_bias for c in range(width)], 1)
    columns, rows = np.zeros((width, channels, channels)), np.zeros((height, channels, channels))
    for j in range(channels):
        for c in range(width):
            columns[c, j] = softmax(np.array([(x[j, :, c] * q_h[i]).sum() for i in range(channels)]))
        for r in range(height):
            rows[r, j] = softmax(np.array([(x[j, r, :] * q_w[i]).sum() for i in range(channels)]))
    context = np.zeros_like(x)
    for _, r, c in places(height, width):
        context[:, r, c] = columns[c] @ x[:, r, c] + rows[r] @ x[:, r, c]
    return Expected(numbers(block.gamma)[0] * context + x, context, {"rows": rows, "columns": columns})


def strip(block: blocks.StripAttentionModule, x: Array) -> Expected:
    """A2: `out(p) = x(p) + sum_j softmax_j(q(p) . ks_j) vs_j`; "strips" is A as (cells, strips)."""
    query, key, value = (applied(x, layer) for layer in (block.query, block.key, block.value))
    vertical = block.axis == "vertical"
    count, length = (x.shape[2], x.shape[1]) if vertical else (x.shape[1], x.shape[2])
    keys = [key[:, :, j].mean(1) if vertical else key[:, j, :].mean(1) for j in range(count)]
    values = [value[:, :, j].mean(1) if vertical else value[:, j, :].mean(1) for j in range(count)]
    cells = x.shape[1] * x.shape[2]
    strips, matrix, context = np.zeros((cells, count)), np.zeros((cells, cells)), np.zeros_like(x)
    for p, row, column in places(*x.shape[1:]):
        strips[p] = softmax(np.array([query[:, row, column] @ one for one in keys]))
        context[:, row, column] = sum(weight * one for weight, one in zip(strips[p], values, strict=True))
        for j, r, c in places(*x.shape[1:]):
            matrix[p, j] = strips[p, c if vertical else r] / length
    return Expected(x + context, context, {"strip": matrix, "strips": strips})


def sparse(block: blocks.SparseNonLocal, x: Array) -> Expected:
    """A3: K displaced samples a cell; "weights" is S as (cells, K), "positions" as (cells, K, 2)."""
    height, width = x.shape[1:]
    query, key, value, offset = (convolved(x, layer) for layer in (block.query, block.key, block.value, block.offset))
    window = numbers(block.window)
    cells, grid = height * width, np.array([(r, c) for _, r, c in places(height, width)])
    positions, weights = np.zeros((cells, len(window), 2)), np.zeros((cells, len(window)))
    matrix = np.zeros((cells, cells))
    for p, row, column in places(height, width):
        shares = np.zeros((len(window), cells))  # G(q, t_k) for every cell q
        logits = np.full(len(window), -np.inf)
        for k, (down, along) in enumerate(window):
            t = np.array((row + down + offset[2 * k, row, column], column + along + offset[2 * k + 1, row, column]))
            if block.padding == "border":
                t = np.array((min(max(t[0], 0), height - 1), min(max(t[1], 0), width - 1)))
            positions[p, k] = t
            shares[k] = np.maximum(0, 1 - np.abs(grid - t)).prod(1)
            sampled = key.reshape(len(key), cells) @ shares[k]
            if block.padding != "mask" or shares[k].any():
                logits[k] = query[:, row, column] @ sampled
        weights[p] = softmax(logits) if np.isfinite(logits).any() else 0
        matrix[p] = weights[p] @ shares
    context = mixed(matrix, value)
    found = {"samples": matrix, "weights": weights, "positions": positions}
    return Expected(convolved(context, block.gamma) + x, context, found)


def sparse_with_pooling(block: blocks.SparseNonLocalWithPooling, x: Array) -> Expected:
    """A3: SNL beside the image mean."""
    own = sparse(block.sparse, x)
    pooled = applied(x.mean((1, 2), keepdims=True), block.pooled)
    return own._replace(features=np.concatenate((own.features, np.broadcast_to(pooled, x.shape))))


def resized(x: Array, height: int, width: int) -> Array:
    """Bilinear, with the corners aligned."""
    out = np.zeros((len(x), height, width))
    for _, row, column in places(height, width):
        y = row * (x.shape[1] - 1) / max(height - 1, 1)
        z = column * (x.shape[2] - 1) / max(width - 1, 1)
        for _, r, c in places(*x.shape[1:]):
            out[:, row, column] += max(0, 1 - abs(y - r)) * max(0, 1 - abs(z - c)) * x[:, r, c]
    return out


def point_wise_branch(block: blocks.PointWiseBranch, x: Array, size: tuple[int, int]) -> Expected:
    """A4: eq. 9 pair by pair; the logits are E, and A is normalised over sources."""
    reduced = resized(applied(x, block.reduce), *size)
    mask = applied(reduced, block.mask)
    cells, (mask_height, mask_width) = size[0] * size[1], block.mask_size
    energy = np.full((cells, cells), 0.0 if block.outside == "zero" else -np.inf)
    for i, *target in places(*size):
        for j, *source in places(*size):
            owner, other = (target, source) if block.direction == "collect" else (source, target)
            if block.compact:
                energy[i, j] = mask[other[0] * size[1] + other[1], owner[0], owner[1]]
                continue
            m, n = (b - a + (side - 1) // 2 for a, b, side in zip(owner, other, block.mask_size, strict=True))
            if 0 <= m < mask_height and 0 <= n < mask_width:
                energy[i, j] = mask[m * mask_width + n, owner[0], owner[1]]
    if block.softmax:
        matrix = np.stack([softmax(row) for row in energy])
    else:
        matrix = np.where(np.isinf(energy), 0, energy) / (block.norm or cells)
    context = mixed(matrix, reduced)
    return Expected(context, context, {block.direction: matrix, f"{block.direction} logits": energy})


def point_wise(block: blocks.PointWiseSpatialAttention, x: Array) -> Expected:
    """A4: both branches on the shrunk grid, projected, grown back, beside the input."""
    height, width = x.shape[1:]
    size = ((height - 1) // block.shrink + 1, (width - 1) // block.shrink + 1)
    moved = [point_wise_branch(branch, x, size) for branch in block.branches.values()]
    context = resized(applied(np.concatenate([one.features for one in moved]), block.project), height, width)
    matrices = {name: matrix for one in moved for name, matrix in one.matrices.items()}
    return Expected(np.concatenate((x, context)), context, matrices)


REFERENCES: dict[type[nn.Module], Callable[..., Expected]] = {
    blocks.ChannelNonLocal: channel,
    blocks.SpatialNonLocal: spatial,
    blocks.DualNonLocal: dual,
    blocks.ChannelSpatialNonLocal: channel_spatial,
    blocks.RecurrentCrissCross: criss_cross,
    blocks.ExpectationMaximization: expectation_maximization,
    blocks.FullyAttentional: fully_attentional,
    blocks.StripAttentionModule: strip,
    blocks.SpatialChannelNonLocal: spatial_channel,
    blocks.ProjectedNonLocal: projected,
    blocks.SparseNonLocal: sparse,
    blocks.SparseNonLocalWithPooling: sparse_with_pooling,
    blocks.PointWiseSpatialAttention: point_wise,
}


def expected(block: nn.Module, image: Tensor) -> Expected:
    """What a block should give for one image of a batch."""
    return REFERENCES[type(block)](block, numbers(image))
