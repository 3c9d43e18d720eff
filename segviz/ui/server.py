"""What configures the server around Streamlit: the guard, our own routes, the log and answers to errors."""

from __future__ import annotations

import asyncio
import logging
import sys
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
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.caching.ttl_cache import TTLCache, TTLCacheEvictionReason
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo

from segviz.runtime.garbage_collection import freeze_objects, pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler
from segviz.server import logs, metrics
from segviz.server.blobs import blob_routes
from segviz.server.downloads import download_routes
from segviz.server.guard import Guard
from segviz.server.headers import script_hashes, security_headers
from segviz.server.health import health_routes
from segviz.settings import Settings

LOG = logging.getLogger(__name__)
ANY_ADDRESS = ("", "0.0.0.0", "::")  # the server can bind them, but no visitor uses them as a host
SWEEP_EVERY_S = 5.0


def configure_app(limits: Settings) -> dict[str, Any]:
    """The arguments of `app = st.App(__file__, **configure_app(settings()))`; Streamlit finds only an app written so.

    Also sets up the log and the check of the models.
    """
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    address = str(st.get_option("server.address") or "").lower()
    names = () if address in ANY_ADDRESS else (address,)
    metrics.add_check(
        "models", lambda: None if any(limits.checkpoints.glob("*.safetensors")) else "there are no checkpoints"
    )
    guard = Middleware(
        Guard, limits=limits, uploaded=uploaded_bytes_by_session, scripts=script_hashes(page), names=names
    )

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        logs.log_as_json(limits.log_level)  # again, for the loggers that the server has created since
        storage = getattr(Runtime.instance()._session_mgr, "_session_storage", None)
        ended: ExpiringSessions | None = None
        if isinstance(storage, MemorySessionStorage):
            original: Any = storage._cache
            storage._cache = ended = ExpiringSessions(original.maxsize, original.ttl)
        sweeper = asyncio.create_task(sweep_sessions(ended))
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    logs.log_as_json(limits.log_level)
    return {
        "routes": [*health_routes(), *blob_routes(), *download_routes()],
        "middleware": [guard],
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


def uploaded_bytes_by_session() -> dict[str, int]:
    """The bytes of uploaded files that Streamlit holds, by session."""
    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    stored = manager.file_storage.copy()
    return {session: sum(len(file.data) for file in list(files.values())) for session, files in stored.items()}


async def sweep_sessions(ended: ExpiringSessions | None) -> None:
    """Preload, then regularly end the sessions that have expired: Streamlit does so only when another one leaves.

    Whenever a library or model has been loaded, exempt everything present from garbage collection.
    """
    await asyncio.to_thread(preload)
    before = count_loaded()
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        if ended is not None:
            ended.expire()
        if before != (before := count_loaded()):
            freeze_objects()  # this freezes open sessions as well, but `end_session` empties them
        metrics.set_store_bytes("uploads", sum(uploaded_bytes_by_session().values()))


class ExpiringSessions(TTLCache[str, SessionInfo]):
    """The disconnected sessions; those that expire are ended and emptied.

    Streamlit ends a session only once nothing refers to it, which a reference cycle can delay for long.
    """

    def expire(self, at_time: float | None = None) -> list[tuple[str, SessionInfo]]:
        """End the sessions that have expired."""
        removed = super().expire(at_time)
        for _, info in removed:
            end_session(info.session)
        return removed

    def _evict_lru(self, reason: TTLCacheEvictionReason) -> SessionInfo:
        info = super()._evict_lru(reason)
        end_session(info.session)
        return info


def end_session(session: AppSession) -> None:
    """Free a session's uploads and state."""
    session.shutdown()
    session.session_state.clear()


def count_loaded() -> tuple[int, int]:
    """How many libraries and models are loaded."""
    from segviz.engine import engine  # imports torch, after the server has begun to listen

    return len(sys.modules), engine().health().models


def preload() -> None:
    """Import what every page needs, torch above all, before the first visitor waits for it."""
    with pause_collector(), defer_compiler():
        for name in ("page_address", "page_table", "picture_sidebar", "show_viewer"):  # in the order of app.py
            import_module(f"segviz.ui.{name}")
        from segviz.engine import engine

        metrics.report_engine(engine().health)
        engine().observe(metrics.record_computation)
    freeze_objects()
