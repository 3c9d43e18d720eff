"""How much memory a forward needs, and what running out of it looks like."""

from __future__ import annotations

import gc
import math

import torch

from segviz.engine.capacity import MIB
from segviz.engine.request import TooLargeError
from segviz.image import working_size
from segviz.prediction.predictor import ROWS_AT_ONCE

SHRINKS = (1, 2, 4)  # what the working sides are divided by, one after the other
FORWARD_BYTES = 1024  # a pixel that the model sees: up to 360 in tensors, up to 900 in the process (SNL)
PICTURE_BYTES = 8  # a pixel of the picture: itself, its label, its confidence
BAND_BYTES = 150  # a pixel of the rows that logits are stretched to at a time
SIGNS = ("DefaultCPUAllocator", "out of memory", "not enough memory", "Insufficient memory")


def forward_need(size: tuple[int, int], shrink: int) -> int:
    """Bytes that a forward on a picture of (height, width) needs, on the safe side."""
    height, width = size
    seen = math.prod(working_size(height, width, shrink))
    return FORWARD_BYTES * seen + PICTURE_BYTES * height * width + BAND_BYTES * min(height, ROWS_AT_ONCE) * width


def fitting_shrink(size: tuple[int, int], budget: int) -> int:
    """The least shrink whose forward fits into the budget.

    Raises:
        TooLargeError: none does.
    """
    for shrink in SHRINKS:
        if forward_need(size, shrink) <= budget:
            return shrink
    raise too_large(size, budget)


def too_large(size: tuple[int, int], budget: int) -> TooLargeError:
    """The refusal of a picture."""
    return TooLargeError(
        f"a picture of {size[1]} x {size[0]} pixels needs more memory than there is, even at 1/{SHRINKS[-1]} scale "
        f"({budget // MIB} MiB are allowed); scale it down first, or raise SEGVIZ_MEMORY_MB on the server"
    )


def scale_note(shrink: int) -> str:
    """What people are told of a smaller scale."""
    return f"shown at 1/{shrink} scale, because the server has too little memory for more"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a CPU (there torch has no type of its own for it) or a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, Exception) and any(sign in str(error) for sign in SIGNS)


def release() -> None:
    """Give back what a failed forward held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
