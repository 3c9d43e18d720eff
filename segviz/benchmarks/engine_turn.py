"""One backend of the engine, measured: start, one visitor, questions that run no model, all visitors, and close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from statistics import median
from typing import Any

from segviz.benchmarks.engine_crowd import LONG_EVERY, Clock, TurnPlan, ask_at_once, read_cpu
from segviz.benchmarks.engine_questions import (
    TINY_FROM,
    TINY_SIZE,
    ReturnBytes,
    count_answer_bytes,
    count_request_bytes,
    explain_centre,
    number_pictures,
)
from segviz.engine.client import Engine
from segviz.engine.ops import Predict
from segviz.engine.request import Op, Request
from segviz.image import Rgb

ALONE_QUESTIONS = 8  # questions of one visitor alone
STARTED_WITHIN_S = 300.0  # the first answer, for which a cluster has to start
WAY_QUESTIONS = 20  # questions without a model, of each kind
PASSING_S = 4.0  # how long visitors ask questions that run no model


@dataclass(frozen=True)
class Turn:
    """One backend's figures in one round. Milliseconds of answers are from asking to the answer.

    Attributes:
        backend: its name.
        start_s: seconds from making the engine to its first answer.
        close_s: seconds to close it.
        alone_ms: answers to one visitor alone, once the model is loaded; the first of them is the first warm one.
        forward_ms: what the model took of each of these.
        empty_ms: median answer of a question that runs no model, for a tiny picture.
        picture_ms: the same for a picture of the plan's size.
        answer_ms: the same, with as many bytes in the answer as a prediction has.
        predict_ms, long_ms: answers while all visitors ask: predictions, and the long question.
        rate: answers a second meanwhile.
        passing_rate: answers a second while all visitors ask questions that run no model, as in `answer_ms`.
        app_cpu_ms, bridge_cpu_ms, ray_cpu_ms: CPU for each answer while all visitors ask: of this process, of the
            process that is in the cluster for it, and of Ray's processes on this machine, replicas among them.
        app_passing_ms, bridge_passing_ms, ray_passing_ms: the same for each of the questions that run no model.
        failed: questions that were not answered.
        problem: what the first of these said.
        reused: answers from the cache, which distinct pictures leave idle.
        bytes: pickled, by what; empty for threads, which move nothing.
    """

    backend: str
    start_s: float = 0.0
    close_s: float = 0.0
    alone_ms: tuple[float, ...] = ()
    forward_ms: tuple[float, ...] = ()
    empty_ms: float = 0.0
    picture_ms: float = 0.0
    answer_ms: float = 0.0
    predict_ms: tuple[float, ...] = ()
    long_ms: tuple[float, ...] = ()
    rate: float = 0.0
    passing_rate: float = 0.0
    app_cpu_ms: float = 0.0
    bridge_cpu_ms: float = 0.0
    ray_cpu_ms: float = 0.0
    app_passing_ms: float = 0.0
    bridge_passing_ms: float = 0.0
    ray_passing_ms: float = 0.0
    failed: int = 0
    problem: str = ""
    reused: int = 0
    bytes: dict[str, int] = field(default_factory=dict)


class StoppedError(Exception):
    """The turn was stopped before its end."""


def measure_turn(
    plan: TurnPlan,
    engine: Engine,
    close: Callable[[], None],
    tell: Callable[[str], None] = lambda phase: None,
    stopped: threading.Event | None = None,
    clock: Clock = time.perf_counter,
) -> Turn:
    """Measure an engine that was just made.

    Args:
        plan: what is measured.
        engine: with the plan's backend.
        close: closes its backend.
        tell: called with the name of each phase.
        stopped: ends the turn.
        clock: seconds.

    Raises:
        StoppedError: the turn was stopped.
        EngineError, CheckpointError: the model cannot be asked.
    """
    stopped, pictures = stopped or threading.Event(), number_pictures(plan.size)

    def ask(op: Op, picture: Rgb) -> tuple[float, Any]:
        if stopped.is_set():
            raise StoppedError
        began = clock()
        result = engine.ask(plan.model, picture, op, "alone").result()
        return 1000 * (clock() - began), result

    try:
        tell("starts")
        began = clock()
        first = Request(plan.model, next(pictures), Predict(), "alone", deadline_s=STARTED_WITHIN_S)
        engine.backend.submit(first).result()
        start_s = clock() - began
        tell("answers one")
        alone = [ask(Predict(), next(pictures)) for _ in range(ALONE_QUESTIONS)]
        last = alone[-1][1]
        counts = count_answer_bytes(last)
        tiny = number_pictures(TINY_SIZE, TINY_FROM)
        ways = ((tiny, 0), (pictures, 0), (pictures, counts["answer"]))
        parts = [median(ask(ReturnBytes(size), next(shown))[0] for _ in range(WAY_QUESTIONS)) for shown, size in ways]
        sent = count_request_bytes(Request(plan.model, next(pictures), Predict()))
        tell("answers all")
        crowds = measure_crowds(plan, engine, pictures, counts["answer"], stopped, clock)
    finally:
        tell("ends")
        reused = engine.health().counts.get("reused", 0)
        began = clock()
        close()
    return replace(
        crowds,
        start_s=start_s,
        close_s=clock() - began,
        alone_ms=tuple(ms for ms, _ in alone),
        forward_ms=tuple(1000 * result.seconds for _, result in alone),
        empty_ms=parts[0],
        picture_ms=parts[1],
        answer_ms=parts[2],
        reused=reused,
        bytes={} if plan.backend == "threads" else sent | counts,
    )


def measure_crowds(
    plan: TurnPlan, engine: Engine, pictures: Iterator[Rgb], size: int, stopped: threading.Event, clock: Clock
) -> Turn:
    """The figures of all visitors at once, with the model and without it; the others of the turn are left out.

    Args:
        plan: what is measured.
        engine: what they ask.
        pictures: what about.
        size: bytes of a prediction.
        stopped: ends both.
        clock: seconds.

    Raises:
        StoppedError: the turn was stopped.
    """
    explain = explain_centre(plan.size)
    engine.ask(plan.model, next(pictures), explain, "alone").result()  # imports Captum where the model is
    before = read_cpu()
    real = ask_at_once(
        plan, engine, pictures, lambda number: Predict() if number % LONG_EVERY else explain, stopped, clock
    )
    between = read_cpu()
    brief = replace(plan, seconds=min(plan.seconds, PASSING_S))
    passing = ask_at_once(brief, engine, pictures, lambda number: ReturnBytes(size), stopped, clock)
    whole, way = between.since(before), read_cpu().since(between)
    if stopped.is_set():
        raise StoppedError
    problems = (*real.problems, *passing.problems)
    answered, passed = max(1, len(real.ended)), max(1, len(passing.ended))
    return Turn(
        plan.backend,
        predict_ms=tuple(real.predict_ms),
        long_ms=tuple(real.long_ms),
        rate=real.in_time / plan.seconds,
        passing_rate=passing.in_time / brief.seconds,
        app_cpu_ms=1000 * whole.app / answered,
        bridge_cpu_ms=1000 * whole.bridge / answered,
        ray_cpu_ms=1000 * whole.rest / answered,
        app_passing_ms=1000 * way.app / passed,
        bridge_passing_ms=1000 * way.bridge / passed,
        ray_passing_ms=1000 * way.rest / passed,
        failed=len(problems),
        problem=next(iter(problems), ""),
    )


def read_turn(found: Mapping[str, Any]) -> Turn:
    """A turn of its JSON values."""
    values: dict[str, Any] = {
        one.name: tuple(value) if isinstance(value := found[one.name], list) else value for one in fields(Turn)
    }
    return Turn(**values)
