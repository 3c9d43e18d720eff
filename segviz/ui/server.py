"""What configures the server around Streamlit: the guard, our own routes, the log and answers to errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from streamlit.runtime import Runtime
from streamlit.runtime.memory_session_storage import MemorySessionStorage

from segviz.runtime.garbage_collection import freeze_objects, pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler
from segviz.server import logs, metrics
from segviz.server.blobs import blob_routes
from segviz.server.downloads import download_routes
from segviz.server.guard import Guard
from segviz.server.headers import script_hashes, security_headers
from segviz.server.health import health_routes
from segviz.server.visits import VisitCookie
from segviz.server.websocket_frames import bound_frames
from segviz.settings import Settings
from segviz.ui.deep_links import add_script, deep_link_routes
from segviz.ui.rerun_messages import RerunRules
from segviz.ui.sessions import ExpiringSessions, show_engine, sweep_sessions, uploaded_bytes_by_session

LOG = logging.getLogger(__name__)
ANY_ADDRESS = ("", "0.0.0.0", "::")  # the server can bind them, but no visitor uses them as a host


def configure_app(limits: Settings) -> dict[str, Any]:
    """The arguments of `app = st.App(__file__, **configure_app(settings()))`; Streamlit finds only an app written so.

    Also sets up the log and the check of the models.
    """
    bound_frames()
    page = add_script((Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8"))
    address = str(st.get_option("server.address") or "").lower()
    names = () if address in ANY_ADDRESS else (address,)
    metrics.add_check(
        "models", lambda: None if any(limits.checkpoints.glob("*.safetensors")) else "there are no checkpoints"
    )
    rules = RerunRules()
    guard = Middleware(
        Guard,
        limits=limits,
        uploaded=uploaded_bytes_by_session,
        rules=rules,
        scripts=script_hashes(page),
        names=names,
    )

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        logs.log_as_json(limits.log_level)  # again, for the loggers that the server has created since
        storage = getattr(Runtime.instance()._session_mgr, "_session_storage", None)
        ended: ExpiringSessions | None = None
        if isinstance(storage, MemorySessionStorage):
            original: Any = storage._cache
            storage._cache = ended = ExpiringSessions(original.maxsize, original.ttl)
        sweeper = asyncio.create_task(preload_and_sweep(ended, rules))
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    logs.log_as_json(limits.log_level)
    return {
        "routes": [*health_routes(), *blob_routes(), *download_routes(), *deep_link_routes(page)],
        "middleware": [guard, Middleware(VisitCookie)],
        "lifespan": lifespan,
        "on_script_error": report_page_error,
        "exception_handlers": {Exception: answer_request_error},
    }


def report_page_error(error: Exception) -> bool:
    """Log an error that a page did not catch, and show the visitor a sentence with its id in the log."""
    request = logs.request_id()
    LOG.error("a page failed", exc_info=error)
    metrics.count_error("page")
    st.error(
        f"Something went wrong, and it was not your fault. Reload the page or go back one step; if it happens again, "
        f"tell the operator of this server the number **{request}**.",
        icon=":material/error:",
    )
    return True  # Streamlit then shows no message of its own


def answer_request_error(_: Request, error: Exception) -> PlainTextResponse:
    """The same for an HTTP request; the server then logs the traceback under the same id."""
    metrics.count_error("request")
    return PlainTextResponse(
        f"segviz: something went wrong; try again, and if it happens again, tell the operator the number "
        f"{logs.request_id()}.\n",
        500,
        dict(security_headers()),
    )


async def preload_and_sweep(ended: ExpiringSessions | None, rules: RerunRules) -> None:
    """Preload, and from then on look after the sessions."""
    try:
        await asyncio.to_thread(preload)
    except Exception:
        LOG.exception("preloading failed; the first page that needs a library loads it")
    await sweep_sessions(ended, rules)


def preload() -> None:
    """Import what every page needs, torch above all, before the first visitor waits for it."""
    with pause_collector(), defer_compiler():
        for name in ("page_address", "page_table", "picture_sidebar", "show_viewer"):  # in the order of app.py
            import_module(f"segviz.ui.{name}")
        show_engine()
    freeze_objects()
