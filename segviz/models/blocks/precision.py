"""Float32 where half precision would change the attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor


@contextmanager
def full_precision(x: Tensor) -> Iterator[Tensor]:
    """Autocast off, and the tensor in at least float32."""
    available = torch.amp.is_autocast_available(x.device.type)
    with torch.autocast(x.device.type, enabled=False) if available else nullcontext():
        yield x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
