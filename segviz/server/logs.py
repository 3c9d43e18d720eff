"""The server's log: one JSON object per line, with the id of the request that it belongs to.

A visitor who meets an error sees that id, and the log has the traceback under it.
"""

from __future__ import annotations

import json
import logging
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime

from segviz.server.traceback_limit import TracebackLimit

LIBRARIES = ("streamlit", "uvicorn", "websockets")  # they bring handlers and formats of their own
REPEATED = {
    "streamlit.error_util": "Uncaught app execution",  # repeats what `report_page_error` logs
    "uvicorn.error": "ASGI callable returned without completing handshake.",  # follows each websocket that is refused
}  # by logger, a message that says nothing new

TRACEBACKS = TracebackLimit()

_request: ContextVar[str] = ContextVar("request")


def new_request_id() -> str:
    """Set and return a new id for what this thread or task does from here on."""
    _request.set(secrets.token_hex(4))
    return _request.get()


def request_id() -> str:
    """The id of what this thread or task does; a new one if there is none yet."""
    return _request.get("") or new_request_id()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, request id and, for an exception, the traceback."""
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


def log_as_json(level: str) -> None:
    """Make every logger write JSON lines to stderr, from this level up. May be called again."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    handler.addFilter(TRACEBACKS)
    handler.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for name in [name for name in list(logging.root.manager.loggerDict) if name.split(".")[0] in LIBRARIES]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in REPEATED:
        logging.getLogger(name).addFilter(_is_new)


def _is_new(record: logging.LogRecord) -> bool:
    return record.msg != REPEATED[record.name]
