"""What stands around Streamlit in the server: the guard, our own routes, the log and answers to errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from streamlit.runtime import Runtime
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from segviz import logs, telemetry
from segviz.settings import Settings
from segviz.web import blobs, downloads, watch
from segviz.web.guard import Guard
from segviz.web.headers import script_hashes, security_headers

LOG = logging.getLogger(__name__)
EVERYWHERE = ("", "0.0.0.0", "::")  # addresses to listen at that no visitor calls
SWEEP = 15.0  # seconds between looks for sessions that ended


def around(limits: Settings) -> dict[str, Any]:
    """For `app = st.App(__file__, **around(settings()))`, which Streamlit finds only where it is written like this."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    address = str(st.get_option("server.address") or "").lower()
    names = () if address in EVERYWHERE else (address,)
    telemetry.add_check(
        "models", lambda: None if any(limits.checkpoints.glob("*.safetensors")) else "no model's checkpoint is there"
    )
    guard = Middleware(Guard, limits=limits, held=held_uploads, scripts=script_hashes(page), names=names)

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        logs.write_json(limits.log_level)  # once more, for the loggers that the server made meanwhile
        sweeper = asyncio.create_task(sweep())
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    logs.write_json(limits.log_level)
    return {
        "routes": [*watch.routes(), *blobs.routes(), *downloads.routes()],
        "middleware": [guard],
        "lifespan": lifespan,
        "on_script_error": page_failed,
        "exception_handlers": {Exception: request_failed},
    }


def page_failed(error: Exception) -> bool:
    """Log what a page did not catch, and show its reader a sentence with the id under which it stands there."""
    request = logs.request_id()
    LOG.error("a page failed", exc_info=error)
    telemetry.error("page")
    st.error(
        f"Something went wrong here, and it was not your doing. Reload the page or go back one step; if it happens "
        f"again, tell whoever runs this server the number **{request}**.",
        icon=":material/error:",
    )
    return True  # Streamlit shows nothing of its own


def request_failed(_: Request, error: Exception) -> PlainTextResponse:
    """The same for an HTTP request; the server logs the traceback after it under the same id."""
    telemetry.error("request")
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


async def sweep() -> None:
    """Drop sessions, with their uploads, when their time is over: Streamlit does so only when another one ends."""
    while True:
        await asyncio.sleep(SWEEP)
        storage = getattr(getattr(Runtime.instance(), "_session_mgr", None), "_session_storage", None)
        if isinstance(storage, MemorySessionStorage):
            storage._cache.expire()  # type: ignore[attr-defined]
        telemetry.store_bytes("uploads", sum(held_uploads().values()))
