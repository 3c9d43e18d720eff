"""What is added to the logits, in the simplest form that holds it exactly: a full bias has N x M numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid

CLOSE = 2e-6  # of the largest logit: rounding


def simplify(bias: Tensor) -> Tensor | None:
    """Nothing for a bias that is the same for all keys, which a softmax ignores; one row where all rows are equal.

    A row of -inf is no constant: its query may look at nothing.

    Args:
        bias: (heads or 1, tokens or 1, key tokens).

    Returns:
        None, (heads or 1, 1, key tokens), or the bias itself.
    """
    limit = tolerance(bias)
    first = bias[:, :, :1]
    if not (first == -torch.inf).any() and is_close(bias, first, limit):
        return None
    row = bias[:, :1]
    return row if is_close(bias, row, limit) else bias


def tolerance(bias: Tensor) -> float:
    """What rounding may change in a bias."""
    finite = bias.masked_fill(bias.isinf(), 0)
    return CLOSE * max(1.0, float(finite.abs().max()))


def is_close(found: Tensor, expected: Tensor, limit: float) -> bool:
    """Whether two biases are the same up to rounding; infinite parts must be equal."""
    return bool((((found - expected).abs() <= limit) | (found == expected)).all())


def offset_table(bias: Tensor, grid: Grid, key_grid: Grid, prefix: int, key_prefix: int) -> Tensor | None:
    """The bias by relative position, (heads or 1, 2h - 1, 2w - 1), of a bias that depends on nothing else."""
    if grid != key_grid or prefix or key_prefix:
        return None
    height, width = grid
    pairs = bias.reshape(-1, height, width, height, width)
    # The last query sees all offsets up and to the left, the first all down and to the right.
    table = bias.new_empty(len(pairs), 2 * height - 1, 2 * width - 1)
    for down, rows in ((0, slice(height - 1, None)), (height - 1, slice(0, height))):
        for along, columns in ((0, slice(width - 1, None)), (width - 1, slice(0, width))):
            table[:, rows, columns] = pairs[:, down, along]
    for row in range(height):
        for column in range(width):
            window = table[:, height - 1 - row : 2 * height - 1 - row, width - 1 - column : 2 * width - 1 - column]
            if not is_close(pairs[:, row, column], window, tolerance(table)):
                return None
    return table


def fold_separable(
    queries: Tensor, keys: Tensor, bias: Tensor, key_grid: Grid, key_prefix: int
) -> tuple[Tensor, Tensor] | None:
    """Longer queries and keys whose products contain a bias that is a row's part plus a column's, as in SAM and MViTv2.

    Args:
        queries: (heads, tokens, dim), scaled.
        keys: (heads, key tokens, dim).
        bias: (heads or 1, tokens, key tokens).
        key_grid: rows and columns of the keys.
        key_prefix: their prefix tokens, which get a part each.

    Returns:
        Queries and keys of dim + prefix + rows + columns, or None if the bias has another form.
    """
    height, width = key_grid
    prefixes, cells = bias[:, :, :key_prefix], bias[:, :, key_prefix:].unflatten(2, key_grid)
    if not bias.isfinite().all():
        return None
    rows, columns = cells[..., 0], cells[..., 0, :] - cells[..., 0, :1]
    limit = tolerance(bias)
    if not is_close(cells, rows[..., None] + columns[:, :, None], limit):
        return None
    parts = torch.cat([prefixes, rows, columns], 2).expand(len(queries), -1, -1).cpu()
    hot = torch.zeros(key_prefix + height * width, key_prefix + height + width)
    hot[:key_prefix, :key_prefix] = torch.eye(key_prefix)
    hot[key_prefix:, key_prefix : key_prefix + height] = torch.eye(height).repeat_interleave(width, 0)
    hot[key_prefix:, key_prefix + height :] = torch.eye(width).repeat(height, 1)
    return torch.cat([queries, parts], 2), torch.cat([keys, hot.expand(len(keys), -1, -1)], 2)


def split_mask(bias: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """A bias of (windows, heads, tokens, key tokens) as one that all windows share and a mask that all heads share.

    A bias of another form comes back whole.
    """
    shared = bias[:1]
    mask = bias[:, :1] - shared[:, :1]
    if not bias.isfinite().all() or not is_close(bias, shared + mask, tolerance(bias)):
        return bias, None
    shared_part = simplify(shared[0])
    mask_part = None if is_close(mask, mask.new_zeros(()), tolerance(bias)) else mask
    return None if shared_part is None else shared, mask_part
