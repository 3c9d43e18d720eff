"""Every backend against the contract, and for each clause a backend that breaks it and must be found out."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import backend_contract as contract
import pytest
from backend_contract import Make, Models

from segviz.engine import (
    Answer,
    Capacity,
    EmbeddedBackend,
    Request,
    Result,
    Runner,
    Standing,
    ops,
    runner,
    thread_backend,
)
from segviz.engine.fair_queue import FairQueue
from segviz.engine.result_cache import Cache

CHECKS = [getattr(contract, name) for name in dir(contract) if name.startswith("check_")]
MAKERS: dict[str, type[EmbeddedBackend]] = {"embedded": EmbeddedBackend}


@pytest.fixture
def maker() -> Iterator[Callable[[type[EmbeddedBackend]], Make]]:
    """Backends of a class, closed in the end."""
    made: list[EmbeddedBackend] = []

    def of(kind: type[EmbeddedBackend]) -> Make:
        def make(models: Models, capacity: Capacity) -> EmbeddedBackend:
            made.append(kind(Runner(models.load, models.identify), capacity))
            return made[-1]

        return make

    yield of
    for backend in made:
        backend.close()


def run(check: Callable[..., None], make: Make, folder: Path) -> None:
    check(make, folder) if "folder" in inspect.signature(check).parameters else check(make)


@pytest.mark.parametrize("backend", MAKERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_backend_keeps_the_contract(check: Callable[..., None], backend: str, maker: Any, tmp_path: Path) -> None:
    run(check, maker(MAKERS[backend]), tmp_path)


# ---- what must be found out -----------------------------------------------------------------------------


class Leaking(EmbeddedBackend):
    """Keeps the value on itself between making and handing over, as a hook on a shared model does."""

    def _outcome(self, job: Any) -> Any:
        self.last = super()._outcome(job)
        time.sleep(0.001)
        return self.last


class Crowded(EmbeddedBackend):
    """As many workers as it likes."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, workers=8, memory_mb=10**6))


class Unshared(EmbeddedBackend):
    """Everyone computes for themselves."""

    number = 0

    def key(self, request: Request) -> str:
        self.number += 1
        return f"{super().key(request)} {self.number}"


class AllLeave(EmbeddedBackend):
    """Who leaves ends the computation for all."""

    def _leave(self, job: Any, answer: Answer) -> bool:
        left = super()._leave(job, answer)
        if answer.cancelled():
            for other in list(job.waiters):
                other.cancel()
        return left


class DeafToTickets(EmbeddedBackend):
    """Cancels all that the session has."""

    def cancel(self, session: str, before_ticket: int) -> None:
        super().cancel(session, 10**9)


class OneLine(FairQueue[Any]):
    """First come, first served."""

    def push(self, session: str, job: Any) -> None:
        super().push("everyone", job)


class Unfair(EmbeddedBackend):
    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._queue = OneLine()


class KeepsOld(EmbeddedBackend):
    """Answers every click of a storm."""

    def _supersede(self, request: Request, key: str) -> None:
        pass


class StartsOver(EmbeddedBackend):
    """Sends who asks again to the end of the queue."""

    def _supersede(self, request: Request, key: str) -> None:
        super()._supersede(request, "")


class Unbounded(EmbeddedBackend):
    """Takes whatever comes."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, queue=10**9))


class NoShares(EmbeddedBackend):
    """One session may take all of the queue."""

    @property
    def _share(self) -> int:
        return self.capacity.queue


class Timeless(EmbeddedBackend):
    """Attends to no clock."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, deadline_s=1e6))


class Faithful(EmbeddedBackend):
    """Computes for those who have gone."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, lease_s=1e6))


class Placeless(EmbeddedBackend):
    """Does not tell the place."""

    def _standing(self, job: Any, waiter: Any) -> Standing:
        return replace(super()._standing(job, waiter), place=0)


class Clogged(EmbeddedBackend):
    """Long work may take all workers."""

    def _has_no_worker(self, job: Any) -> bool:
        return False


class Sampling(EmbeddedBackend):
    """Tells pictures apart by Streamlit's hash."""

    def key(self, request: Request) -> str:
        return contract.sampled_key(request.image) + self._runner.identity(request.model) + repr(request.op)

    def _finish(self, job: Any, outcome: Any) -> None:
        super()._finish(job, outcome)
        if isinstance(outcome, Result):
            self._cache.put(job.key, outcome)


class Hoarding(EmbeddedBackend):
    """Keeps everything."""

    def __init__(self, runner: Runner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._cache = Cache(10**12)


class Greedy(EmbeddedBackend):
    """Starts whatever there is a worker for."""

    def _fits(self, job: Any) -> bool:
        return True


class Forgetful(EmbeddedBackend):
    """Starts a map anew each time."""

    def map(self, requests: Iterable[Request], *, checkpoint: Path) -> Iterator[tuple[Request, Answer]]:
        checkpoint.unlink(missing_ok=True)
        return super().map(requests, checkpoint=checkpoint)


BAD: dict[str, tuple[type[EmbeddedBackend], tuple[Any, str, Any] | None]] = {
    "everyone_gets_their_own_answer": (Leaking, None),
    "no_more_run_at_once_than_there_are_workers": (Crowded, None),
    "those_who_wait_for_the_same_share_one_computation": (Unshared, None),
    "who_leaves_takes_nobody_along": (AllLeave, None),
    "cancelling_leaves_newer_tickets_alone": (DeafToTickets, None),
    "sessions_take_turns": (Unfair, None),
    "the_newest_question_of_a_session_replaces_its_queued_ones": (KeepsOld, None),
    "asking_the_same_again_keeps_the_place": (StartsOver, None),
    "a_full_queue_says_so_at_once": (Unbounded, None),
    "one_session_cannot_fill_the_queue": (NoShares, None),
    "an_answer_that_is_late_is_refused_in_time": (Timeless, None),
    "a_question_that_nobody_looks_after_is_taken_back": (Faithful, None),
    "the_place_in_the_queue_is_told": (Placeless, None),
    "long_work_tells_its_steps_leaves_a_worker_and_stops_when_nobody_waits": (Clogged, None),
    "a_cache_key_tells_everything_apart": (Sampling, None),
    "the_cache_is_bounded_in_bytes": (Hoarding, None),
    "a_crash_is_tried_again_once": (EmbeddedBackend, (thread_backend, "TRIES", 3)),
    "a_broken_checkpoint_is_named_and_the_others_go_on": (EmbeddedBackend, (thread_backend, "ValueError", KeyError)),
    "too_little_memory_shows_less_then_refuses_and_the_next_is_right": (
        EmbeddedBackend, (ops, "is_out_of_memory", lambda error: isinstance(error, MemoryError)),
    ),
    "what_exceeds_the_budget_is_shown_smaller_or_refused_before_it_runs": (
        EmbeddedBackend, (ops, "fitting_shrink", lambda size, budget: 1),
    ),
    "no_more_runs_at_once_than_the_memory_holds": (Greedy, None),
    "values_that_are_not_finite_are_counted": (EmbeddedBackend, (runner, "count_not_finite", lambda array: 0)),
    "an_answer_cannot_be_written_to": (EmbeddedBackend, (runner, "protect", lambda value: None)),
    "a_picture_that_changes_while_it_waits_poisons_nothing": (
        EmbeddedBackend, (runner, "digest", lambda image: contract.ask(1).image_sha),
    ),
    "map_keeps_the_order_and_goes_on_where_it_ended": (Forgetful, None),
}  # fmt: skip


def test_every_clause_has_a_backend_that_breaks_it() -> None:
    assert {f"check_{clause}" for clause in BAD} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize("clause", BAD)
def test_a_backend_that_breaks_a_clause_is_found_out(
    clause: str, maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, fault = BAD[clause]
    if fault is not None:
        monkeypatch.setattr(*fault, raising=False)
    monkeypatch.setattr(contract, "PATIENCE", 2.0)
    with pytest.raises((AssertionError, contract.EngineError)):
        run(getattr(contract, f"check_{clause}"), maker(kind), tmp_path)
