"""Steps of which each is done, whatever becomes of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable


def do_each(log: logging.Logger, failure: str, *steps: Callable[[], object]) -> None:
    """Do all steps; one that fails is logged as `failure`."""
    for step in steps:
        try:
            step()
        except Exception:
            log.exception(failure)
