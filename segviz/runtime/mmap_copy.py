"""Copies of long-lived arrays in memory maps of their own.

glibc takes large blocks from the heap once some have been freed. Long-lived arrays then sit between the blocks that a
forward frees, and the heap cannot shrink: 500 MiB more in a server with 256 MiB of results. Lowering malloc's threshold
instead makes each forward half as slow again, by page faults.
"""

from __future__ import annotations

import mmap

import numpy as np
import torch
from torch import Tensor

SMALL_BYTES = 64 * 1024  # smaller arrays are not worth a map
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # empty on Windows


def copy_array(array: np.ndarray) -> np.ndarray:
    """A contiguous copy whose memory returns to the system as soon as it is freed."""
    if array.nbytes < SMALL_BYTES:
        return array.copy()
    own = np.frombuffer(_pages(array.nbytes), array.dtype).reshape(array.shape)
    np.copyto(own, array)
    return own


def copy_tensor(tensor: Tensor) -> Tensor:
    """The same for a tensor, on the CPU. Torch copies faster than NumPy, strided tensors above all."""
    if tensor.nbytes < SMALL_BYTES:
        return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    own = torch.frombuffer(_pages(tensor.nbytes), dtype=tensor.dtype).view(tensor.shape)
    return own.copy_(tensor.detach())


def _pages(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, **PRIVATE)
