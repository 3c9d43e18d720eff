"""What led to an error. Quick to import: no torch."""

from __future__ import annotations

from collections.abc import Iterator


def causes_of(error: BaseException, stated: bool = False) -> Iterator[BaseException]:
    """Yields an error, and what led to it, each once: `raise error from error` makes a circle.

    Args:
        error: where to begin.
        stated: whether to follow only what `raise ... from` states, and not what was handled meanwhile.
    """
    seen = set[int]()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if stated else cause.__context__)
