"""The app's sessions after their visitors have left: what they hold is freed, and what they have asked is dropped."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Sequence
from functools import cache

from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.caching.ttl_cache import TTLCache, TTLCacheEvictionReason
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from segviz.runtime.do_each import do_each
from segviz.runtime.garbage_collection import freeze_objects
from segviz.server import metrics
from segviz.server.blobs import STORE
from segviz.server.visits import VISITS
from segviz.settings import KIB
from segviz.ui.rerun_messages import RerunRules

LOG = logging.getLogger(__name__)
SWEEP_EVERY_S = 1.0
SWEEPS_UNTIL_GONE = 5  # a browser that has only lost its connection is back by then, with its computations under way
FILE_BYTES = KIB  # of an uploaded file beside its content and names


def uploaded_bytes_by_session() -> dict[str, int]:
    """The bytes of uploads by session: the files that Streamlit holds, and the pictures that are kept for reloads."""
    sizes = VISITS.bytes_by_session()
    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    if isinstance(manager, MemoryUploadedFileManager):
        for session, files in manager.file_storage.copy().items():
            sizes[session] += sum(map(held_bytes, list(files.values())))
    return sizes


def held_bytes(file: UploadedFileRec) -> int:
    """The bytes that an uploaded file takes; its names may be larger than its content."""
    return len(file.data) + sum(map(sys.getsizeof, (file.file_id, file.name, file.type))) + FILE_BYTES


async def sweep_sessions(ended: ExpiringSessions | None, rules: RerunRules) -> None:
    """Regularly look after the sessions."""
    sweeper = SessionSweeper(ended, rules)
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        sweeper.sweep()


class SessionSweeper:
    """Ends the sessions that have expired, and collects what they leave.

    Streamlit ends an expired session only when another visitor leaves. It collects garbage after each run of a page,
    with the objects of all runs then under way, so that a thousand runs at once took 36 seconds; here one collection
    serves all runs since the last one (2 seconds).

    Args:
        ended: the sessions whose visitors have left; None if Streamlit keeps them elsewhere.
        rules: count the runs of pages.
    """

    def __init__(self, ended: ExpiringSessions | None, rules: RerunRules) -> None:
        self._ended, self._rules = ended, rules
        self._loaded: tuple[int, int] | None = None
        self._runs = 0
        self._sweeps_gone: dict[str, int] = {}  # by session

    def sweep(self) -> None:
        """Look once; what fails is logged, and the rest is done."""
        failure = "a part of a sweep over the sessions failed"
        do_each(LOG, failure, self._expire, show_engine, self._leave, self._collect)

    def _expire(self) -> None:
        if self._ended is not None:
            self._ended.expire()
        VISITS.expire()
        metrics.set_store_bytes("uploads", sum(uploaded_bytes_by_session().values()))

    def _leave(self) -> None:
        gone = [] if self._ended is None else list(self._ended)
        self._sweeps_gone = {session: self._sweeps_gone.get(session, 0) + 1 for session in gone}
        leave_engine([session for session, sweeps in self._sweeps_gone.items() if sweeps == SWEEPS_UNTIL_GONE])

    def _collect(self) -> None:
        """Collect garbage; whenever a library or model has been loaded, everything present is exempt from then on."""
        before, self._loaded = self._loaded, count_loaded()
        if before not in (None, self._loaded):
            freeze_objects()  # this freezes open sessions as well, but `end_session` empties them
        elif self._runs != (runs := self._rules.runs):
            self._runs = runs
            gc.collect()  # in the event loop, where Streamlit's sessions want to be finalised


@cache
def show_engine() -> None:
    """Have /metrics and /healthz show the engine: once, and again only if that failed."""
    from segviz.engine import engine  # imports torch, after the server has begun to listen

    metrics.report_engine(engine().health)
    engine().observe(metrics.record_computation)


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
    """Free a session's uploads, state and viewer data."""
    failure = "a part of an ended session could not be freed"
    do_each(LOG, failure, session.shutdown, session.session_state.clear, lambda: STORE.release(session.id))


def leave_engine(sessions: Sequence[str]) -> None:
    """Drop what sessions have asked of the engine, and let what runs for them alone end."""
    from segviz.engine import engine

    for session in sessions:
        engine().leave(session)


def count_loaded() -> tuple[int, int]:
    """How many libraries and models are loaded."""
    from segviz.engine import engine  # imports torch, after the server has begun to listen

    return len(sys.modules), engine().health().models
