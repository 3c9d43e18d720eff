"""What is said where a process in a cluster was ended because its machine was short of memory; without Ray."""

from __future__ import annotations

import backend_contract as contract
import pytest

from segviz.cluster.losses import FOR_MEMORY, name_loss
from segviz.engine import Capacity, CrashError, Request, Result, ThreadBackend
from segviz.engine.computation import LostError
from segviz.engine.request import ReportProgress
from segviz.engine.runner import Runner


class ActorDiedError(Exception):
    """As Ray's class is called."""


class OutOfMemoryError(Exception):
    """As Ray's class is called."""


class LosingRunner(Runner):
    """Loses each attempt, for memory or not."""

    def __init__(self, *for_memory: bool) -> None:
        super().__init__(lambda name: None, lambda name: name)
        self.for_memory = list(for_memory)

    def run(self, request: Request, budget: int, report: ReportProgress) -> Result:
        raise LostError("it was lost", self.for_memory.pop(0))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutOfMemoryError("Task was killed"), FOR_MEMORY),
        (ActorDiedError("1 worker(s) were killed due to the node running low on memory."), FOR_MEMORY),
        (
            ActorDiedError(
                "Some common causes include: (1) the process was killed by the OOM killer due to high memory usage"
            ),
            "ActorDiedError",
        ),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_the_cause_is_named(error: Exception, words: str) -> None:
    assert name_loss(error) == words


@pytest.mark.parametrize(
    ("for_memory", "words"),
    [((True, True), "was ended 2 times on this picture, because a machine"), ((True, False), "the server's log has")],
)
def test_the_answer_says_memory_where_both_attempts_were_ended_for_it(for_memory: tuple[bool, ...], words: str) -> None:
    backend = ThreadBackend(LosingRunner(*for_memory), Capacity(workers=1))
    try:
        error = backend.submit(contract.ask(1)).exception(20)
    finally:
        backend.close()
    assert isinstance(error, CrashError) and words in str(error)
