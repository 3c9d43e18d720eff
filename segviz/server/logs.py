"""The server's log: JSON, a line a record, each with the id of the request that it belongs to.

A visitor who meets an error is shown that id, and the log holds the traceback under it.
"""

from __future__ import annotations

import json
import logging
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime

OTHERS = ("streamlit", "uvicorn", "websockets")  # libraries that bring handlers and formats of their own
TWICE = ("streamlit.error_util", "Uncaught app execution")  # the logger and message by which Streamlit repeats ours

_request: ContextVar[str] = ContextVar("request")


def new_request() -> str:
    """A new id for what this thread or task does from here on."""
    _request.set(secrets.token_hex(4))
    return _request.get()


def request_id() -> str:
    """The id of what this thread or task does; a new one where there is none yet."""
    return _request.get("") or new_request()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, request and, of an exception, the traceback."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := _request.get(""):
            line["request"] = request
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_json(level: str) -> None:
    """Let every logger write JSON lines to stderr, from this level up; may be called again."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    handler.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] in OTHERS]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger(TWICE[0]).addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return record.msg != TWICE[1]
