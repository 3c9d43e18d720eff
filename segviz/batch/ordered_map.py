"""A map over items by workers elsewhere: in order, bounded in memory, and ended at once when it is cancelled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from segviz.batch.run import PROBLEMS

MapItem = TypeVar("MapItem")
LOOK_EVERY_S = 0.1  # between two looks at whether the run was cancelled
ATTEMPTS_ON_LOSS = 2  # an item whose worker is lost is tried once more, on another


class WorkerLostError(RuntimeError):
    """The workers that an item was sent to were lost while they worked on it."""


@dataclass(frozen=True)
class LostTask:
    """What comes back of a task whose worker was lost.

    Attributes:
        began: whether the worker was at this task; false where the task was waiting behind another. A worker that dies
            as it begins the next task may take the outcome of the one before with it, so this may name the wrong task.
        cause: in words.
    """

    began: bool
    cause: str = ""


class PictureWorkers(Protocol):
    """Workers that take tasks and give their outcomes in any order."""

    def has_room(self, alone: bool) -> bool:
        """Whether a task may be sent now; `alone`: to a worker that has no other."""

    @property
    def ahead(self) -> int:
        """How many tasks may be sent beyond the first one whose outcome is missing; it bounds memory."""

    def send(self, number: int, task: Any, alone: bool) -> None:
        """Have a worker do a task; its outcome comes under the number. `alone`: the worker gets no other meanwhile."""

    def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
        """Numbers and outcomes that have come; waits for the first at most so many seconds."""


def map_in_order(
    workers: PictureWorkers,
    items: Iterable[MapItem],
    pack: Callable[[MapItem], Any],
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Any]:
    """The outcomes of all items, in the items' order.

    What was lost with a worker goes alone to another before anything else is sent, so a second loss can only be its own
    fault.

    Args:
        workers: they do the tasks.
        items: taken one by one, as workers have room.
        pack: makes an item's task; its ValueError, MemoryError or RuntimeError is the item's outcome.
        cancelled: looked at ten times a second; True ends the map, and what is under way is not waited for.
    """
    source, ended = enumerate(items), False
    again: deque[tuple[int, Any]] = deque()
    sent: dict[int, Any] = {}
    outcomes: dict[int, Any] = {}
    losses = Counter[int]()
    first = 0  # the first item whose outcome was not given yet
    while not cancelled():
        while workers.has_room(alone := bool(again)) and (
            again or (not ended and len(sent) + len(outcomes) < workers.ahead)
        ):
            try:
                number, task = again.popleft() if again else pack_next(source, pack)
            except StopIteration:
                ended = True
                break
            if isinstance(task, Exception):
                outcomes[number] = task
            else:
                sent[number] = task
                workers.send(number, task, alone)
        if first in outcomes:
            yield outcomes.pop(first)
            first += 1
            continue
        if ended and not sent:
            return
        for number, outcome in workers.receive(LOOK_EVERY_S):
            task = sent.pop(number)
            if not isinstance(outcome, LostTask):
                outcomes[number] = outcome
                continue
            losses[number] += outcome.began
            if losses[number] < ATTEMPTS_ON_LOSS:
                again.append((number, task))
                sent[number] = task
            else:
                outcomes[number] = WorkerLostError(
                    f"{ATTEMPTS_ON_LOSS} workers were lost while they worked on it ({outcome.cause}); "
                    "use a smaller picture, or give each worker more memory"
                )


def pack_next(source: Iterator[tuple[int, MapItem]], pack: Callable[[MapItem], Any]) -> tuple[int, Any]:
    """The next item's number and task, or its problem.

    Raises:
        StopIteration: there is none.
    """
    number, item = next(source)
    try:
        return number, pack(item)
    except PROBLEMS as problem:
        return number, problem
