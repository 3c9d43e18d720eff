"""Ctrl-C and SIGTERM: at once while nothing is lost by it, and otherwise after what must not be cut in half."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM by a function; outside the main thread, which alone gets signals, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if earlier is not None else signal.SIG_DFL)


@contextmanager
def block_signals() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait until the block ends, and in processes that it starts until `unblock_signals`.

    A Python that is starting has no handlers yet: it would answer Ctrl-C by a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Let Ctrl-C and SIGTERM come, and those that have waited since `block_signals`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, also for SIGTERM, so that blocks end as they should."""
    raise KeyboardInterrupt


def exit_at_once(number: int, frame: FrameType | None) -> None:
    """End the process with one line: while libraries are imported, an exception would end in their tracebacks."""
    print("segviz: stopped", file=sys.stderr, flush=True)
    os._exit(1)


@contextmanager
def note_interrupt() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C or SIGTERM instead of raising; a second signal raises at once.

    Yields a function that says whether a signal came. Outside the main thread it is always False.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        for each in SIGNALS:
            signal.signal(each, raise_interrupt)

    with handle_signals(ask):
        yield asked.is_set


@contextmanager
def hold_interrupt() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C and SIGTERM, however many: a launcher repeats to each process what a terminal sent to all of them.

    Yields a function that says whether a signal came. Outside the main thread it is always False.
    """
    asked = threading.Event()
    with handle_signals(lambda number, frame: asked.set()):
        yield asked.is_set


@contextmanager
def delay_interrupt() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C or SIGTERM at the end of the block; a second signal raises at once."""
    with note_interrupt() as interrupted:
        yield
    if interrupted():
        raise KeyboardInterrupt
