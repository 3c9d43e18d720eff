"""Progress of long work on stderr: a bar in a terminal, and a line every ten seconds in a log."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0
LINE = "{desc}: {percentage:.0f}%, {n_fmt} of {total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]"


class LogBar(tqdm):  # type: ignore[type-arg]  # tqdm is generic in its stubs only
    """A progress bar for a log: whole lines, none in the first ten seconds, and no carriage returns."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._written = time.monotonic()
        super().__init__(*arguments, **{**options, "mininterval": 0, "miniters": 1, "bar_format": LINE})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line if the last one is ten seconds old; tqdm calls this whenever it would draw."""
        now = time.monotonic()
        if msg is None and now - self._written >= SECONDS_BETWEEN_LINES:
            self._written = now
            print(str(self).removeprefix(": "), file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        """Nothing: lines stay."""

    def close(self) -> None:
        """End without the line break that would close a bar."""
        if not self.disable:
            self.fp = io.StringIO()
        super().close()


def progress_bar(iterable: Iterable[Any] | None = None, **options: Any) -> Any:
    """A tqdm bar, or its lines where stderr is not a terminal; the options are tqdm's."""
    return (tqdm if sys.stderr.isatty() else LogBar)(iterable, **options)
