"""Arrays that stay for long, in memory of their own.

glibc gives large blocks out of the heap once it has seen some freed. What stays then lies between what a forward frees,
and the heap cannot shrink: in a server with 256 MiB of results that was 500 MiB more. Lowering its threshold instead
costs each forward half its time again in page faults.
"""

from __future__ import annotations

import mmap

import numpy as np
import torch
from torch import Tensor

SMALL = 64 * 1024  # bytes; less is not worth its pages
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # else Windows


def to_keep(array: np.ndarray) -> np.ndarray:
    """A contiguous copy whose memory goes back to the system as soon as it is freed."""
    if array.nbytes < SMALL:
        return array.copy()
    own = np.frombuffer(_pages(array.nbytes), array.dtype).reshape(array.shape)
    np.copyto(own, array)
    return own


def tensor_to_keep(tensor: Tensor) -> Tensor:
    """The same for a tensor, which ends up on the CPU. Torch copies quicker than NumPy, strided ones above all."""
    if tensor.nbytes < SMALL:
        return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    own = torch.frombuffer(_pages(tensor.nbytes), dtype=tensor.dtype).view(tensor.shape)
    return own.copy_(tensor.detach())


def _pages(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, **PRIVATE)
