"""Many requests in one go: in their order, a few at a time, and from where an earlier run ended."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from segviz.engine.request import Answer, BusyError, Request

BUSY_PAUSE_S = 0.05
Key = Callable[[Request], str]
Submit = Callable[[Request], Answer]


def run_all(
    requests: Iterable[Request], checkpoint: Path, *, submit: Submit, key: Key, at_once: int
) -> Iterator[tuple[Request, Answer]]:
    """`Backend.map` by way of `submit`.

    Args:
        requests: what to ask; taken as they are needed.
        checkpoint: keeps the key of each request that was dealt with, a line each.
        submit: asks.
        key: what an answer depends on; empty where that cannot be told.
        at_once: how many are asked before the first is answered.
    """
    done = Counter(checkpoint.read_text().split() if checkpoint.exists() else ())
    waiting: deque[tuple[Request, Answer]] = deque()
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with checkpoint.open("a") as file:
        file.write("\n")  # a line that an earlier run left unfinished must not swallow the next
        try:
            for request in requests:
                if done[name := key(request)] and name:
                    done[name] -= 1
                    continue
                waiting.append((request, patiently(submit, request)))
                if len(waiting) == at_once:
                    yield from handed_over(*waiting.popleft(), key, file)
            while waiting:
                yield from handed_over(*waiting.popleft(), key, file)
        finally:
            for _, answer in waiting:
                answer.cancel()


def patiently(submit: Submit, request: Request) -> Answer:
    """Ask until there is room."""
    while True:
        try:
            return submit(request)
        except BusyError:
            time.sleep(BUSY_PAUSE_S)


def handed_over(request: Request, answer: Answer, key: Key, file: TextIO) -> Iterator[tuple[Request, Answer]]:
    """Wait for an answer, hand it over, and note it once the caller comes back for more."""
    with suppress(CancelledError):
        answer.exception()
    yield request, answer
    if not answer.cancelled() and answer.exception() is None:
        file.write(key(request) + "\n")
        file.flush()
        os.fsync(file.fileno())
