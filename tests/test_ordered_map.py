"""A map over workers elsewhere: in order, bounded, cancelled at once, and no item is lost with its worker."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from segviz.batch.ordered_map import LostTask, WorkerLostError, map_in_order
from segviz.batch.thread_workers import ThreadWorkers

Lose = Callable[[Any, int], bool | None]  # of a task and its attempt: whether the lost worker was at it


class FakeWorkers:
    """Workers whose outcomes come when a test says so: the last one sent comes first, unless it says otherwise."""

    def __init__(
        self, count: int = 2, ahead: int = 4, lose: Callable[[Any, int], bool | None] = lambda *_: None
    ) -> None:
        self._count, self.ahead, self._lose = count, ahead, lose
        self.sent: list[tuple[int, Any]] = []
        self.attempts: dict[Any, int] = {}
        self.most = self.held = 0

    def has_room(self, alone: bool) -> bool:
        return len(self.sent) < self._count

    def send(self, number: int, task: Any, alone: bool) -> None:
        assert self.has_room(alone)
        self.sent.append((number, task))
        self.most = max(self.most, len(self.sent))

    def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
        number, task = self.sent.pop()
        self.attempts[task] = self.attempts.get(task, 0) + 1
        began = self._lose(task, self.attempts[task])
        return [(number, f"{task} is done" if began is None else LostTask(began, "it was killed"))]


def test_outcomes_come_in_the_items_order_whatever_order_they_are_made_in() -> None:
    workers = FakeWorkers(count=3, ahead=6)
    assert list(map_in_order(workers, range(10), str)) == [f"{one} is done" for one in range(10)]
    assert workers.most == 3


def test_nothing_is_taken_further_ahead_than_is_allowed() -> None:
    taken = itertools.count()
    outcomes = map_in_order(FakeWorkers(count=2, ahead=4), taken, lambda one: one)
    for _ in range(20):
        next(outcomes)
    assert next(taken) <= 20 + 4


def test_an_item_that_cannot_be_packed_is_its_own_problem() -> None:
    def pack(one: int) -> int:
        if one == 1:
            raise ValueError("there is no file")
        return one

    first, second, third = map_in_order(FakeWorkers(), range(3), pack)
    assert (first, third) == ("0 is done", "2 is done")
    assert isinstance(second, ValueError)


def test_a_cancel_ends_the_map_while_workers_are_at_work() -> None:
    stop = threading.Event()

    class Busy(FakeWorkers):
        def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
            if len(self.attempts) < 2:
                return super().receive(timeout_s)
            stop.set()
            return ()

    assert len(list(map_in_order(Busy(), range(100), str, stop.is_set))) <= 2


def test_an_item_whose_worker_dies_is_tried_once_more_and_only_once() -> None:
    workers = FakeWorkers(lose=lambda task, attempt: True if task == "1" and attempt == 1 else None)
    assert list(map_in_order(workers, range(4), str)) == [f"{one} is done" for one in range(4)]
    assert workers.attempts["1"] == 2
    workers = FakeWorkers(lose=lambda task, attempt: True if task == "1" else None)
    outcomes = list(map_in_order(workers, range(4), str))
    assert isinstance(outcomes[1], WorkerLostError)
    assert "2 workers were lost while they worked on it (it was killed)" in str(outcomes[1])
    assert [outcomes[0], *outcomes[2:]] == ["0 is done", "2 is done", "3 is done"]
    assert workers.attempts["1"] == 2


def test_an_item_that_only_waited_behind_another_is_not_blamed() -> None:
    workers = FakeWorkers(lose=lambda task, attempt: False if task == "2" and attempt < 5 else None)
    assert list(map_in_order(workers, range(4), str)) == [f"{one} is done" for one in range(4)]
    assert workers.attempts["2"] == 5


class OneWorker:
    """One worker that holds two tasks; one that dies at the second takes the first one's outcome with it."""

    ahead = 8

    def __init__(self) -> None:
        self.tasks: list[tuple[int, str]] = []
        self.alone = False

    def has_room(self, alone: bool) -> bool:
        return not self.tasks if alone else not self.alone and len(self.tasks) < 2

    def send(self, number: int, task: str, alone: bool) -> None:
        assert self.has_room(alone)
        self.tasks.append((number, task))
        self.alone = alone

    def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
        taken, self.tasks, self.alone = self.tasks, [], False
        if "die" in [task for _, task in taken]:
            return [(number, LostTask(place == 0, "it was killed")) for place, (number, _) in enumerate(taken)]
        return [(number, f"{task} is done") for number, task in taken]


def test_an_item_is_not_blamed_twice_for_one_that_kills_the_worker_behind_it() -> None:
    outcomes = list(map_in_order(OneWorker(), ["a", "die", "b", "die", "c"], str))
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["a is done", "b is done", "c is done"]
    assert [isinstance(outcome, WorkerLostError) for outcome in outcomes] == [False, True, False, True, False]


def test_threads_work_on_as_many_at_once_as_there_are_and_give_what_was_raised() -> None:
    together = threading.Barrier(3, timeout=10)

    def work(one: int) -> int:
        together.wait()
        if one == 4:
            raise KeyError(one)
        time.sleep(0.01 * (5 - one))
        return one

    workers = ThreadWorkers(work, 3)
    outcomes = list(map_in_order(workers, range(6), lambda one: one))
    assert [one for one in outcomes if not isinstance(one, KeyError)] == [0, 1, 2, 3, 5]
    assert isinstance(outcomes[4], KeyError)
    workers.close()


def test_a_worker_that_ends_the_run_raises_where_outcomes_are_taken() -> None:
    class Broken(FakeWorkers):
        def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
            raise RuntimeError("no worker is left")

    with pytest.raises(RuntimeError, match="no worker is left"):
        list(map_in_order(Broken(), range(3), str))


def test_a_process_that_ends_waits_for_no_picture_under_way() -> None:
    script = """
import atexit, threading
from segviz.batch.thread_workers import ThreadWorkers
begun = threading.Semaphore(0)
def work(task):
    begun.release()
    threading.Event().wait(600)
workers = ThreadWorkers(work, 2)
for number in range(2):
    workers.send(number, number)
    begun.acquire()
atexit.register(print, "closed", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "closed\n"


def test_threads_start_as_they_are_needed_and_end_when_they_are_closed() -> None:
    before = threading.active_count()
    workers = ThreadWorkers(str, 8)
    assert threading.active_count() == before
    assert list(map_in_order(workers, range(40), lambda item: item)) == [str(number) for number in range(40)]
    assert threading.active_count() <= before + 8
    workers.close()
    end = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.005)
