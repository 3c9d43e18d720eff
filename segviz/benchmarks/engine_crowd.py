"""Visitors who ask the engine at once, and what that costs its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

from segviz.engine.client import Engine
from segviz.engine.request import Op
from segviz.image import Rgb

LONG_EVERY = 10  # one question in so many is the long one
RETRY_S = 0.2  # after a question that failed
Clock = Callable[[], float]


@dataclass(frozen=True)
class TurnPlan:
    """What is measured in a turn.

    Attributes:
        backend: "threads", or "ray:N" with N replicas.
        model: the model's name.
        size: the pictures' (height, width).
        seconds: how long the visitors ask.
        visitors: how many ask at once, each a session; each asks again once its answer is there.
    """

    backend: str
    model: str
    size: tuple[int, int]
    seconds: float
    visitors: int


@dataclass
class Crowd:
    """What visitors who ask at once have met: milliseconds of answers, when each came by the clock, and errors."""

    predict_ms: list[float] = field(default_factory=list)
    long_ms: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    end: float = 0.0

    @property
    def in_time(self) -> int:
        """Answers that came before the end."""
        return sum(ended <= self.end for ended in self.ended)


def ask_at_once(
    plan: TurnPlan,
    engine: Engine,
    pictures: Iterator[Rgb],
    choose: Callable[[int], Op],
    stopped: threading.Event,
    clock: Clock,
) -> Crowd:
    """Have all visitors ask until the seconds are over; each waits for its last answer.

    Args:
        plan: how many, and how long.
        engine: what they ask.
        pictures: what about.
        choose: the question, by its number among the visitor's own, from 1.
        stopped: ends it.
        clock: seconds.
    """
    crowd = Crowd(end=clock() + plan.seconds)

    def visit(visitor: int) -> None:
        number = visitor * LONG_EVERY // max(1, plan.visitors)  # long questions do not come all at once
        while clock() < crowd.end and not stopped.is_set():
            number += 1
            op, picture, began = choose(number), next(pictures), clock()
            try:
                engine.ask(plan.model, picture, op, f"visitor {visitor}").result()
            except Exception as error:  # whatever it is, it is counted and told
                crowd.problems.append(f"{type(error).__name__}: {error}")
                stopped.wait(RETRY_S)
                continue
            ended = clock()
            (crowd.long_ms if op.long else crowd.predict_ms).append(1000 * (ended - began))
            crowd.ended.append(ended)

    threads = [threading.Thread(target=visit, args=(visitor,), daemon=True) for visitor in range(plan.visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return crowd


class CpuSeconds(NamedTuple):
    """CPU seconds so far: of this process, of its children (the bridge to a cluster), and of all below them."""

    app: float
    bridge: float
    rest: float

    def since(self, before: CpuSeconds) -> CpuSeconds:
        """What was used since an earlier look."""
        return CpuSeconds(*(now - then for now, then in zip(self, before, strict=True)))


def read_cpu() -> CpuSeconds:
    """Read the CPU seconds of this process and of all below it that are there."""
    own = psutil.Process()
    children, below = own.children(), own.children(recursive=True)
    bridge = sum(map(cpu_of, children))
    return CpuSeconds(time.process_time(), bridge, sum(map(cpu_of, below)) - bridge)


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process; 0 where it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
