"""Jobs for workers in a cluster whose tasks say what goes wrong."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OddJob:
    """A job whose tasks are words.

    Attributes:
        folder: where it notes what it has begun.
        notes: see `JobOnWorker`.
        broken: what opening it raises; "" for nothing.
    """

    folder: str
    notes: str = ""
    broken: str = ""

    def open(self) -> OddJob:
        if self.broken:
            raise ValueError(self.broken)
        return self

    def run(self, task: str) -> Any:
        word, _, value = task.partition(" ")
        begun = Path(self.folder) / task
        first = not begun.exists()
        begun.touch()
        if word == "die" or (word == "die-once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "sleep":
            time.sleep(float(value))
        if word == "raise":
            raise StrangeError(value, 3)
        return f"{task}, {os.environ['OMP_NUM_THREADS']}"


class StrangeError(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, value: str, number: int) -> None:
        super().__init__(value)
