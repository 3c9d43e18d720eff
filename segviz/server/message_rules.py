"""What the pump of a websocket's messages has to know about them. The app tells it (`segviz/ui/rerun_messages.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Run(Protocol):
    """A run of a page's script, such as a thread."""

    def is_alive(self) -> bool:
        """Whether it has not ended."""


class MessageRules(Protocol):
    """What the app knows about its messages."""

    def find_fault(self, message: bytes) -> str:
        """What is wrong with a message, "" if nothing is."""

    def supersedes(self, later: bytes, earlier: bytes) -> bool:
        """Whether nothing is lost if `earlier`, which waits directly before `later`, is left out."""

    def must_begin(self, message: bytes) -> bool:
        """Whether something is lost if the run that a message starts is replaced before it has begun."""

    def started_runs(self) -> Sequence[Run]:
        """The runs that have started since this was last called."""


class NoRules:
    """Rules for an app whose messages mean nothing to the pump."""

    def find_fault(self, message: bytes) -> str:
        """Nothing."""
        return ""

    def supersedes(self, later: bytes, earlier: bytes) -> bool:
        """Never."""
        return False

    def must_begin(self, message: bytes) -> bool:
        """Never."""
        return False

    def started_runs(self) -> Sequence[Run]:
        """None."""
        return ()
