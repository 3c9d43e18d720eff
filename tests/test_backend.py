"""Every backend against the contract, and for each clause a backend that breaks it and must be found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import backend_contract as contract
import pytest
from backend_contract import Make, Models

from segviz.engine import (
    Answer,
    Capacity,
    Request,
    Result,
    Runner,
    Status,
    ThreadBackend,
    ops,
    queue_backend,
    runner,
)
from segviz.engine.fair_queue import FairQueue
from segviz.engine.result_cache import ResultCache

CHECKS = [getattr(contract, name) for name in dir(contract) if name.startswith("check_")]
MAKERS: dict[str, type[ThreadBackend]] = {"threads": ThreadBackend}


@pytest.fixture
def maker() -> Iterator[Callable[[type[ThreadBackend]], Make]]:
    """Backends of a class, closed in the end."""
    made: list[ThreadBackend] = []

    def of(kind: type[ThreadBackend]) -> Make:
        def make(models: Models, capacity: Capacity) -> ThreadBackend:
            made.append(kind(Runner(models.load, models.identify), capacity))
            return made[-1]

        return make

    yield of
    for backend in made:
        backend.close()


@pytest.mark.parametrize("backend", MAKERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_backend_keeps_the_contract(check: Callable[[Make], None], backend: str, maker: Any) -> None:
    check(maker(MAKERS[backend]))


# ---- what must be found out -----------------------------------------------------------------------------


class Leaking(ThreadBackend):
    """Keeps the value on itself between making and handing over, as a hook on a shared model does."""

    def _outcome(self, computation: Any) -> Any:
        self.last = super()._outcome(computation)
        time.sleep(0.001)
        return self.last


class Crowded(ThreadBackend):
    """As many workers as it likes."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, workers=8, memory_mb=10**6))


class Unshared(ThreadBackend):
    """Everyone computes for themselves."""

    number = 0

    def key(self, request: Request) -> str:
        self.number += 1
        return f"{super().key(request)} {self.number}"


class AllLeave(ThreadBackend):
    """Who leaves ends the computation for all."""

    def _leave(self, computation: Any, answer: Answer) -> bool:
        left = super()._leave(computation, answer)
        if answer.cancelled():
            for other in list(computation.waiters):
                other.cancel()
        return left


class OneLine(FairQueue[Any]):
    """First come, first served."""

    def push(self, session: str, computation: Any) -> None:
        super().push("everyone", computation)


class Unfair(ThreadBackend):
    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._queue = OneLine()


class KeepsOld(ThreadBackend):
    """Answers every click of a storm."""

    def _supersede(self, request: Request, key: str) -> None:
        pass


class StartsOver(ThreadBackend):
    """Sends who asks again to the end of the queue."""

    def _supersede(self, request: Request, key: str) -> None:
        super()._supersede(request, "")


class Unbounded(ThreadBackend):
    """Takes whatever comes."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, queue=10**9))


class NoShares(ThreadBackend):
    """One session may take all of the queue."""

    @property
    def _share(self) -> int:
        return self.capacity.queue


class Timeless(ThreadBackend):
    """Attends to no clock."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, deadline_s=1e6))


class Faithful(ThreadBackend):
    """Computes for those who have gone."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, lease_s=1e6))


class Loyal(ThreadBackend):
    """Computes for sessions that have left."""

    def leave(self, session: str) -> None:
        pass


class Positionless(ThreadBackend):
    """Does not report the position."""

    def _status(self, computation: Any, waiter: Any) -> Status:
        return replace(super()._status(computation, waiter), position=0)


class Clogged(ThreadBackend):
    """Long work may take all workers."""

    def _lacks_worker(self, computation: Any) -> bool:
        return False


class Sampling(ThreadBackend):
    """Tells pictures apart by Streamlit's hash."""

    def key(self, request: Request) -> str:
        return contract.sampled_key(request.image) + self._runner.identity(request.model) + repr(request.op)

    def _finish(self, computation: Any, outcome: Any) -> None:
        super()._finish(computation, outcome)
        if isinstance(outcome, Result):
            self._cache.put(computation.key, outcome)


class Hoarding(ThreadBackend):
    """Keeps everything."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._cache = ResultCache(10**12)


class Greedy(ThreadBackend):
    """Starts whatever there is a worker for."""

    def _fits(self, computation: Any) -> bool:
        return True


BAD: dict[str, tuple[type[ThreadBackend], tuple[Any, str, Any] | None]] = {
    "everyone_gets_their_own_answer": (Leaking, None),
    "no_more_run_at_once_than_there_are_workers": (Crowded, None),
    "those_who_wait_for_the_same_share_one_computation": (Unshared, None),
    "who_leaves_takes_nobody_along": (AllLeave, None),
    "sessions_take_turns": (Unfair, None),
    "the_newest_question_of_a_session_replaces_its_queued_ones": (KeepsOld, None),
    "asking_the_same_again_keeps_the_position": (StartsOver, None),
    "a_full_queue_says_so_at_once": (Unbounded, None),
    "one_session_cannot_fill_the_queue": (NoShares, None),
    "an_answer_that_is_late_is_refused_in_time": (Timeless, None),
    "a_question_that_nobody_looks_after_is_taken_back": (Faithful, None),
    "a_session_that_leaves_takes_its_requests_along_and_no_other_s": (Loyal, None),
    "the_position_in_the_queue_is_reported": (Positionless, None),
    "long_work_tells_its_steps_leaves_a_worker_and_stops_when_nobody_waits": (Clogged, None),
    "a_cache_key_tells_everything_apart": (Sampling, None),
    "the_cache_is_bounded_in_bytes": (Hoarding, None),
    "a_crash_is_tried_again_once": (ThreadBackend, (queue_backend, "ATTEMPTS", 3)),
    "a_broken_checkpoint_is_named_and_the_others_go_on": (ThreadBackend, (queue_backend, "ValueError", KeyError)),
    "too_little_memory_shows_less_then_refuses_and_the_next_is_right": (
        ThreadBackend, (ops, "is_out_of_memory", lambda error: isinstance(error, MemoryError)),
    ),
    "what_exceeds_the_budget_is_shown_smaller_or_refused_before_it_runs": (
        ThreadBackend, (ops, "fitting_shrink", lambda size, budget, **wanted: 1),
    ),
    "no_more_runs_at_once_than_the_memory_holds": (Greedy, None),
    "values_that_are_not_finite_are_counted": (ThreadBackend, (runner, "count_not_finite", lambda array: 0)),
    "an_answer_cannot_be_written_to": (ThreadBackend, (runner, "protect", lambda value: None)),
    "a_picture_that_changes_while_it_waits_poisons_nothing": (
        ThreadBackend, (runner, "digest", lambda image: contract.ask(1).image_sha),
    ),
}  # fmt: skip


def test_every_clause_has_a_backend_that_breaks_it() -> None:
    assert {f"check_{clause}" for clause in BAD} == {check.__name__ for check in CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("clause", BAD)
def test_a_backend_that_breaks_a_clause_is_found_out(clause: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, fault = BAD[clause]
    if fault is not None:
        monkeypatch.setattr(*fault, raising=False)
    monkeypatch.setattr(contract, "PATIENCE", 2.0)
    with pytest.raises((AssertionError, contract.EngineError)):
        getattr(contract, f"check_{clause}")(maker(kind))
