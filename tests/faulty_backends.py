"""For each clause of the contract a backend that breaks it, whatever it is derived from, and where it is found out."""

from __future__ import annotations

import pkgutil
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import backend_contract as contract
from backend_contract import Make

from segviz.engine import Answer, Capacity, Request, Result, Runner, Status
from segviz.engine.fair_queue import FairQueue
from segviz.engine.queue_backend import ComputationRunner, QueueBackend
from segviz.engine.result_cache import ResultCache


class Leaking(QueueBackend):
    """Keeps the value on itself between making and handing over, as a hook on a shared model does."""

    def _outcome(self, computation: Any) -> Any:
        self.last = super()._outcome(computation)
        time.sleep(0.005)
        return self.last


class Crowded(QueueBackend):
    """As many workers as it likes."""

    def __init__(self, runner: ComputationRunner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, workers=8, memory_mb=10**6))


class Unshared(QueueBackend):
    """Everyone computes for themselves."""

    number = 0

    def key(self, request: Request) -> str:
        self.number += 1
        return f"{super().key(request)} {self.number}"


class AllLeave(QueueBackend):
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


class Unfair(QueueBackend):
    """Has one line for all sessions."""

    def __init__(self, runner: ComputationRunner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._queue = OneLine()


class KeepsOld(QueueBackend):
    """Answers every click of a storm."""

    def _supersede(self, request: Request, key: str) -> None:
        pass


class StartsOver(QueueBackend):
    """Sends who asks again to the end of the queue."""

    def _supersede(self, request: Request, key: str) -> None:
        super()._supersede(request, "")


class Unbounded(QueueBackend):
    """Takes whatever comes."""

    def __init__(self, runner: ComputationRunner, capacity: Capacity) -> None:
        super().__init__(runner, replace(capacity, queue=10**9))


class NoShares(QueueBackend):
    """One session may take all of the queue."""

    @property
    def _share(self) -> int:
        return self.capacity.queue


class Timeless(QueueBackend):
    """Attends to no clock."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, deadline_s=1e6))


class Faithful(QueueBackend):
    """Computes for those who have gone."""

    def submit(self, request: Request) -> Answer:
        return super().submit(replace(request, lease_s=1e6))


class Loyal(QueueBackend):
    """Computes for sessions that have left."""

    def leave(self, session: str) -> None:
        pass


class Positionless(QueueBackend):
    """Does not report the position."""

    def _status(self, computation: Any, waiter: Any) -> Status:
        return replace(super()._status(computation, waiter), position=0)


class Clogged(QueueBackend):
    """Long work may take all workers."""

    def _lacks_worker(self, computation: Any) -> bool:
        return False


class Sampling(QueueBackend):
    """Tells pictures apart by Streamlit's hash."""

    def key(self, request: Request) -> str:
        return contract.sampled_key(request.image) + self._runner.identity(request.model) + repr(request.op)

    def _finish(self, computation: Any, outcome: Any) -> None:
        super()._finish(computation, outcome)
        if isinstance(outcome, Result):
            self._cache.put(computation.key, outcome)


class Hoarding(QueueBackend):
    """Keeps everything."""

    def __init__(self, runner: ComputationRunner, capacity: Capacity) -> None:
        super().__init__(runner, capacity)
        self._cache = ResultCache(10**12)


class Greedy(QueueBackend):
    """Starts whatever there is a worker for."""

    def _fits(self, computation: Any) -> bool:
        return True


# ---- faults of modules ----------------------------------------------------------------------------------

RUN = Runner.run


class Anything:
    """Equals whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def run_and_leak(runner: Any, request: Request, *more: Any) -> Result:
    """Keep the result on the runner, as a hook on a shared model does."""
    runner.last = RUN(runner, request, *more)
    time.sleep(0.005)
    return runner.last


def digest_nothing(array: object) -> Anything:
    return Anything()


def see_python_s_error_only(error: BaseException) -> bool:
    return isinstance(error, MemoryError)


def shrink_never(size: object, budget: object, **wanted: object) -> int:
    return 1


def count_none(array: object) -> int:
    return 0


def protect_nothing(value: object) -> None:
    pass


def report_only(is_stopped: Callable[[int, int], bool]) -> Callable[[int, int], None]:
    """Ends nothing that nobody waits for."""

    def report(done: int, total: int) -> None:
        is_stopped(done, total)

    return report


def stop_nothing(*arguments: object) -> None:
    pass


@dataclass(frozen=True)
class Patch:
    """Another value for a name of a module or a class. It is pickled on its way to a replica."""

    owner: str
    name: str
    value: Any


class Planted:
    """The patches of this process."""

    def __init__(self) -> None:
        self._patches: tuple[Patch, ...] = ()
        self._patched = ExitStack()
        self._lock = threading.Lock()

    def set(self, patches: tuple[Patch, ...]) -> None:
        """Plant these, and take back all others."""
        with self._lock:
            if patches == self._patches:
                return
            self._patched.close()
            for patch in patches:
                owner = pkgutil.resolve_name(patch.owner)
                self._patched.enter_context(mock.patch.object(owner, patch.name, patch.value, create=True))
            self._patches = patches


PLANTED = Planted()


@dataclass(frozen=True)
class Fault:
    """A faulty backend.

    Attributes:
        found_at: the line of the check that finds it out.
        kind: what it does otherwise.
        here: patches where the queue is.
        there: patches where models run.
        waits: whether the check waits for what never comes.
    """

    found_at: str
    kind: type[QueueBackend] = QueueBackend
    here: tuple[Patch, ...] = ()
    there: tuple[Patch, ...] = ()
    waits: bool = False

    def backend(self, kind: type[QueueBackend]) -> type[QueueBackend]:
        """A backend of this kind, with the fault."""
        return (
            kind if self.kind is QueueBackend else type(f"{self.kind.__name__}{kind.__name__}", (self.kind, kind), {})
        )


QUEUE, RUNNER, OPS = "segviz.engine.queue_backend", "segviz.engine.runner", "segviz.engine.ops"
BAD = {
    "everyone_gets_their_own_answer": Fault("assert wrong == []", Leaking),
    "no_more_run_at_once_than_there_are_workers": Fault("assert models.most == 2", Crowded),
    "those_who_wait_for_the_same_share_one_computation": Fault("assert models.values() == [1]", Unshared),
    "who_leaves_takes_nobody_along": Fault("assert label(running[1]) == 1 and label(queued[1]) == 2", AllLeave),
    "sessions_take_turns": Fault("assert max(order.index(50 + number)", Unfair),
    "the_newest_question_of_a_session_replaces_its_queued_ones": Fault("assert old.done() and lost.done()", KeepsOld),
    "asking_the_same_again_keeps_the_position": Fault("assert (again.status().position", StartsOver),
    "a_full_queue_says_so_at_once": Fault("assert (len(taken), refused) == (8, 12)", Unbounded),
    "one_session_cannot_fill_the_queue": Fault("assert len(answers) == 4", NoShares),
    "an_answer_that_is_late_is_refused_in_time": Fault("assert running.done() and queued.done()", Timeless),
    "a_question_that_nobody_looks_after_is_taken_back": Fault("and gone.done())", Faithful, waits=True),
    "a_session_that_leaves_takes_its_requests_along_and_no_other_s": Fault("assert own.done() and shared", Loyal),
    "the_position_in_the_queue_is_reported": Fault("assert [one.status().position", Positionless),
    "long_work_tells_its_steps_leaves_a_worker_and_stops_when_nobody_waits": Fault(
        'assert label(backend.submit(ask(9, "quick"))) == 9', Clogged, waits=True
    ),
    "a_cache_key_tells_everything_apart": Fault("assert runs(twin) == 1", Sampling),
    "the_cache_is_bounded_in_bytes": Fault("assert health.cache_bytes <= health.cache_limit", Hoarding),
    "a_crash_is_tried_again_once": Fault("assert Counter(models.values())", here=(Patch(QUEUE, "ATTEMPTS", 3),)),
    "a_broken_checkpoint_is_named_and_the_others_go_on": Fault(
        "assert isinstance(error, CheckpointError)", here=(Patch(QUEUE, "ValueError", KeyError),)
    ),
    "too_little_memory_shows_less_then_refuses_and_the_next_is_right": Fault(
        "notes = {value", there=(Patch(OPS, "is_out_of_memory", see_python_s_error_only),)
    ),
    "what_exceeds_the_budget_is_shown_smaller_or_refused_before_it_runs": Fault(
        'assert "computed at 1/2 scale"', there=(Patch(OPS, "fitting_shrink", shrink_never),)
    ),
    "no_more_runs_at_once_than_the_memory_holds": Fault("assert models.most == 2", Greedy),
    "values_that_are_not_finite_are_counted": Fault(
        "assert len(notes) == 1", there=(Patch(RUNNER, "count_not_finite", count_none),)
    ),
    "an_answer_cannot_be_written_to": Fault(
        "assert not answer.value.labels.flags.writeable", there=(Patch(RUNNER, "protect", protect_nothing),)
    ),
    "a_picture_that_changes_while_it_waits_poisons_nothing": Fault(
        "assert isinstance(error_of(answer), ValueError", there=(Patch(RUNNER, "digest", digest_nothing),)
    ),
}


def find_out(clause: str, make: Make) -> str:
    """The line at which a clause's check of a faulty backend fails; empty if it does not."""
    name = f"check_{clause}"
    try:
        getattr(contract, name)(make)
    except (AssertionError, contract.EngineError) as error:
        return next(frame.line or "" for frame in traceback.extract_tb(error.__traceback__) if frame.name == name)
    return ""
