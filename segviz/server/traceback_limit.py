"""Bounds what one failure can write into the log, however often a visitor repeats it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PERIOD_S = 60.0
LINES_PER_FAILURE = 20  # of one failure in a period, its traceback included
MOST_FAILURES = 1000  # that are remembered; beyond, the oldest is forgotten

Failure = tuple[str, type[BaseException] | None, int]  # logger, exception, a hash of its traceback's files and lines


@dataclass
class Repeats:
    """How often a failure was logged since `since`, by `time.monotonic`."""

    since: float
    count: int = 0


class TracebackLimit(logging.Filter):
    """Passes a failure's traceback once a minute, then short lines, then nothing; the next traceback has the count.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.RLock()  # the collector may run meanwhile, and what it ends may log, in the same thread
        self._failures: dict[Failure, Repeats] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; one without an exception always is. A repeat loses its traceback."""
        if not record.exc_info or record.exc_info[0] is None:
            return True
        with self._lock:
            repeats = self._count(identify_failure(record), record)
        if repeats > LINES_PER_FAILURE:
            return False
        if repeats > 1:
            record.exc_info = record.exc_text = None
            record.msg, record.args = f"{record.getMessage()} (an earlier line of this logger has the traceback)", ()
        return True

    def _count(self, failure: Failure, record: logging.LogRecord) -> int:
        """How often the failure has occurred in this period, now included."""
        now, repeats = self._clock(), self._failures.get(failure)
        if repeats is None or now - repeats.since >= PERIOD_S:
            dropped = 0 if repeats is None else max(0, repeats.count - LINES_PER_FAILURE)
            if dropped:
                record.msg, record.args = f"{record.getMessage()} (and {dropped} times that were not logged)", ()
            self._failures.pop(failure, None)
            while len(self._failures) >= MOST_FAILURES:
                del self._failures[next(iter(self._failures))]
            repeats = self._failures[failure] = Repeats(now)
        repeats.count += 1
        return repeats.count


def identify_failure(record: logging.LogRecord) -> Failure:
    """What tells a record's failure from others: its logger, the exception's type, and its traceback's lines."""
    kind, _, trace = record.exc_info or (None, None, None)
    places = []
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return record.name, kind, hash(tuple(places))
