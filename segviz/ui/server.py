"""What stands around Streamlit in the server: the guard, our own routes, the log and answers to errors."""

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

from segviz.runtime.garbage_collection import keep_for_good, paused
from segviz.server import blobs, downloads, health, logs, metrics
from segviz.server.guard import Guard
from segviz.server.headers import script_hashes, security_headers
from segviz.settings import Settings

LOG = logging.getLogger(__name__)
EVERYWHERE = ("", "0.0.0.0", "::")  # addresses to listen at that no visitor calls
SWEEP = 5.0  # seconds between looks for sessions that ended, and for what was loaded


def around(limits: Settings) -> dict[str, Any]:
    """For `app = st.App(__file__, **around(settings()))`, which Streamlit finds only where it is written like this."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    address = str(st.get_option("server.address") or "").lower()
    names = () if address in EVERYWHERE else (address,)
    metrics.add_check(
        "models", lambda: None if any(limits.checkpoints.glob("*.safetensors")) else "no model's checkpoint is there"
    )
    guard = Middleware(Guard, limits=limits, held=held_uploads, scripts=script_hashes(page), names=names)

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        logs.write_json(limits.log_level)  # once more, for the loggers that the server made meanwhile
        storage = getattr(Runtime.instance()._session_mgr, "_session_storage", None)
        left: EndingSessions | None = None
        if isinstance(storage, MemorySessionStorage):
            given: Any = storage._cache
            storage._cache = left = EndingSessions(given.maxsize, given.ttl)
        sweeper = asyncio.create_task(sweep(left))
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    logs.write_json(limits.log_level)
    return {
        "routes": [*health.routes(), *blobs.routes(), *downloads.routes()],
        "middleware": [guard],
        "lifespan": lifespan,
        "on_script_error": page_failed,
        "exception_handlers": {Exception: request_failed},
    }


def page_failed(error: Exception) -> bool:
    """Log what a page did not catch, and show its reader a sentence with the id under which it stands there."""
    request = logs.request_id()
    LOG.error("a page failed", exc_info=error)
    metrics.error("page")
    st.error(
        f"Something went wrong here, and it was not your doing. Reload the page or go back one step; if it happens "
        f"again, tell whoever runs this server the number **{request}**.",
        icon=":material/error:",
    )
    return True  # Streamlit shows nothing of its own


def request_failed(_: Request, error: Exception) -> PlainTextResponse:
    """The same for an HTTP request; the server logs the traceback after it under the same id."""
    metrics.error("request")
    return PlainTextResponse(
        f"segviz: something went wrong here; try again, and if it stays, tell the operator the number "
        f"{logs.request_id()}.\n",
        500,
        dict(security_headers()),
    )


def held_uploads() -> dict[str, int]:
    """The bytes of uploaded files that Streamlit holds, by session."""
    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    stored = manager.file_storage.copy()
    return {session: sum(len(file.data) for file in list(files.values())) for session, files in stored.items()}


async def sweep(left: EndingSessions | None) -> None:
    """Now and then, end the sessions whose time is over: Streamlit looks for them only when another one leaves.

    After a library or a model was loaded, all that is there is kept out of the garbage collector's way.
    """
    await asyncio.to_thread(preload)
    known = loaded()
    while True:
        await asyncio.sleep(SWEEP)
        if left is not None:
            left.expire()
        if known != (known := loaded()):
            keep_for_good()  # sessions that are there stay as well, but `end` empties them
        metrics.store_bytes("uploads", sum(held_uploads().values()))


class EndingSessions(TTLCache[str, SessionInfo]):
    """The sessions that were disconnected; those that go are ended and emptied.

    Streamlit ends them only once nothing refers to them any more, which a cycle can put off for long.
    """

    def expire(self, at_time: float | None = None) -> list[tuple[str, SessionInfo]]:
        """End those whose time is over."""
        removed = super().expire(at_time)
        for _, info in removed:
            end(info.session)
        return removed

    def _evict_lru(self, reason: TTLCacheEvictionReason) -> SessionInfo:
        info = super()._evict_lru(reason)
        end(info.session)
        return info


def end(session: AppSession) -> None:
    """Free a session's uploads and what its pages keep."""
    session.shutdown()
    session.session_state.clear()


def loaded() -> tuple[int, int]:
    """How many libraries and models there are."""
    from segviz.engine import engine  # with torch, after the server has begun to listen

    return len(sys.modules), engine().health().models


def preload() -> None:
    """Import what every page needs, torch above all, before the first visitor waits for it."""
    with paused():
        for name in ("page_frame", "picture_sidebar", "show"):  # as app.py does, so that nobody meets a half of it
            import_module(f"segviz.ui.{name}")
        from segviz.engine import engine

        metrics.watch_engine(engine().health)
        engine().observe(metrics.computed)
    keep_for_good()
