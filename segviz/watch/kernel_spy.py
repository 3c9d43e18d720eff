"""Sees calls of attention kernels that bypass torch's functions, by Python's profiling hook of this thread alone.

Nothing is replaced in any module, so it does not matter by which name, or when, a network's file imported a kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import torch

from segviz.watch.kernel_calls import KERNEL_NAMES, KERNEL_PACKAGES, is_kernel

PROFILED = (
    "a profiler runs in this thread, and calls of xformers and flash_attn cannot be seen beside it; watch without it"
)


class KernelListener(Protocol):
    """Whoever wants to hear of kernels."""

    def begin_kernel(self, frame: FrameType) -> None:
        """A kernel is called; its frame holds the arguments. It must not raise."""

    def end_kernel(self, result: object) -> None:
        """The same kernel has returned, or raised if the result is None. It must not raise."""

    def miss_kernels(self, reason: str) -> None:
        """Calls of kernels cannot be seen."""


@contextmanager
def spy_on_kernels(listener: KernelListener) -> Iterator[None]:
    """Let a listener hear of the kernels that are called in this thread meanwhile; of nested ones, the outermost.

    A profiling function that is set already is called as before. One that is not written in Python, such as cProfile's
    up to Python 3.11, is left alone, and kernels are missed.
    """
    before: Any = sys.getprofile()
    running: FrameType | None = None
    begin, end = listener.begin_kernel, listener.end_kernel
    if "torch._dynamo" in sys.modules:  # else the compiler of a network's function would compile these as well
        begin, end = torch.compiler.disable(begin), torch.compiler.disable(end)

    def look(frame: FrameType, event: str, value: object) -> None:
        nonlocal running
        if event == "call":
            if running is None and frame.f_code.co_name in KERNEL_NAMES and is_kernel(frame):
                running = frame
                begin(frame)
        elif event == "return" and frame is running:
            running = None
            end(value)
        if before is not None:
            before(frame, event, value)

    if before is not None and not callable(before):
        if any(name in sys.modules for name in KERNEL_PACKAGES):
            listener.miss_kernels(PROFILED)
        yield
        return
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
