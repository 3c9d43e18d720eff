"""How much memory a forward needs, and how it is freed where it did not suffice."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable

import torch

from segviz.engine.errors import TooLargeError
from segviz.image import SeenSize, working_size
from segviz.prediction.predictor import ROWS_AT_ONCE
from segviz.settings import MIB

SHRINKS = (1, 2, 4)  # divisors of the working sides, tried in this order
FORWARD_BYTES = 1024  # per pixel of the model's input: up to 360 in tensors, up to 900 in the process (SNL)
PICTURE_BYTES = 8  # per pixel of the picture: its colour, label and confidence
MASK_BYTES, MASK_STRIDE = 32, 16  # for each pair of PSA's cells beyond the size of training: 2 GB at 1024 x 2048
KEPT_BYTES = 1536  # per pixel of the model's input, for an influence: 380 to 915 kept (SNL), and the slopes
BAND_BYTES = 150  # per pixel of the rows to which logits are resized at a time


def forward_need(size: tuple[int, int], shrink: int, wanted: SeenSize = None) -> int:
    """Upper estimate of the bytes that a forward on a picture of (height, width) needs, see `working_size`."""
    height, width = size
    seen = math.prod(working_size(height, width, shrink, wanted))
    masks = 0 if wanted is None else MASK_BYTES * (seen // MASK_STRIDE**2) ** 2
    return (
        FORWARD_BYTES * seen + masks + PICTURE_BYTES * height * width + BAND_BYTES * min(height, ROWS_AT_ONCE) * width
    )


def influence_need(size: tuple[int, int], shrink: int, wanted: SeenSize = None) -> int:
    """The same for an influence, whose backward keeps what the block and the decoder made."""
    height, width = size
    return forward_need(size, shrink, wanted) + KEPT_BYTES * math.prod(working_size(height, width, shrink, wanted))


def fitting_shrink(
    size: tuple[int, int],
    budget: int,
    need: Callable[[tuple[int, int], int, SeenSize], int] = forward_need,
    wanted: SeenSize = None,
) -> int:
    """The smallest shrink whose forward, or what `need` estimates, fits into the budget.

    Raises:
        TooLargeError: none fits.
    """
    for shrink in SHRINKS:
        if need(size, shrink, wanted) <= budget:
            return shrink
    raise too_large_error(size, budget)


def too_large_error(size: tuple[int, int], budget: int) -> TooLargeError:
    """The error for a picture that does not fit."""
    return TooLargeError(
        f"a picture of {size[1]} x {size[0]} pixels needs more memory than is available, even at 1/{SHRINKS[-1]} "
        f"scale ({budget // MIB} MiB are allowed); scale it down first, or raise SEGVIZ_MEMORY_MB on the server"
    )


def scale_note(shrink: int) -> str:
    """The note about a smaller scale."""
    return f"computed at 1/{shrink} scale, because the server lacks the memory for full size"


def release_memory() -> None:
    """Free what a failed forward held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
