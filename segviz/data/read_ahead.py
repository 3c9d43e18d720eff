"""Work done in background threads, a little ahead of whoever takes the results; Pillow and NumPy let go of the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from segviz.runtime.cores import available_cores

WorkItem = TypeVar("WorkItem")
Done = TypeVar("Done")
MOST_WORKERS = 16


def worker_count() -> int:
    """As many threads as the process may use cores, up to 16."""
    return min(available_cores(), MOST_WORKERS)


def map_ahead(
    work: Callable[[WorkItem], Done], items: Iterable[WorkItem], workers: int | None = None
) -> Iterator[Done]:
    """The results of work on each item, in order; at most two per worker are waiting, so memory stays bounded.

    Args:
        work: runs in a background thread.
        items: taken as they are needed.
        workers: the number of threads; see `worker_count`.
    """
    count = workers or worker_count()
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(count, "segviz-read") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
