"""Sees calls of attention kernels that bypass torch's functions, by Python's profiling hook of this thread alone.

Nothing is replaced in any module, so it does not matter by which name, or when, a network's file imported a kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import torch

from segviz.watch.kernel_calls import KERNEL_NAMES, is_kernel, kernel_module

KERNELS = "attention kernels (flex_attention, and those of xformers and flash_attn)"
PROFILED = f"a profiler runs in this thread, and calls of {KERNELS} cannot be seen beside it; watch without it"
REPLACED = (
    f"the network sets or removes a profiler, after which calls of {KERNELS} cannot be seen; watch it without that"
)
IMPORTED_LATE = "{module} was imported while the network ran; if the network calls it, watch the network once more"

Profile = Callable[[FrameType, str, Any], None]


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

    The hook slows every call of a Python function. So it is set only where a module with kernels has been imported.

    A profiling function that is set already is called as before. One that is not written in Python, such as cProfile's
    up to Python 3.11, is left alone, and kernels are missed. Python does not show a profiler that was set in C without
    an object: that one is replaced, and ends.
    """
    if not find_kernel_modules():
        yield
        for module in find_kernel_modules():
            listener.miss_kernels(IMPORTED_LATE.format(module=module))
        return
    before: Any = sys.getprofile()
    if before is not None and not callable(before):
        listener.miss_kernels(PROFILED)
        yield
        return
    look = make_look(listener, before)
    sys.setprofile(look)
    try:
        yield
    finally:
        now = sys.getprofile()
        if now is not look:
            listener.miss_kernels(REPLACED)
        if now is look or now is None:
            sys.setprofile(before)


def find_kernel_modules() -> list[str]:
    """The imported packages and modules that have attention kernels; submodules are left out."""
    return sorted({found for name in list(sys.modules) if (found := kernel_module(name)) is not None})


def make_look(listener: KernelListener, before: Profile | None) -> Profile:
    """A profiling function that tells a listener of kernels, and calls the one before it."""
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

    return look
