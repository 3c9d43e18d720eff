"""What each question of the app costs: asked through its engine, on threads, on one picture, without any page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any, ClassVar

import torch
from torch import Tensor

from segviz.benchmarks.engine_questions import pickled_bytes
from segviz.benchmarks.measure import (
    MEGA,
    Interrupted,
    Report,
    describe_machine,
    measure_peak_memory,
    select_devices,
    select_names,
    synchronise,
)
from segviz.benchmarks.models import SCENE_SEED
from segviz.benchmarks.question_list import Question, list_questions
from segviz.data.scenes import draw_scene
from segviz.engine.answer import Answer, Result
from segviz.engine.capacity import capacity_for
from segviz.engine.client import Engine
from segviz.engine.errors import EngineError
from segviz.engine.ops import Predict
from segviz.engine.request import LONG_DEADLINE_S, Op, OpResult, ReportProgress
from segviz.engine.result_cache import arrays_of
from segviz.engine.runner import Runner
from segviz.engine.thread_backend import ThreadBackend
from segviz.image import Rgb, resize
from segviz.models.registry import MODELS
from segviz.prediction.influence import NoContextError
from segviz.prediction.predictor import load_predictor
from segviz.runtime.progress import progress_bar
from segviz.settings import settings
from segviz.text import count_words

WAIT_LOOK_S = 0.2  # between two looks at whether the user has stopped the benchmark
ENOUGH_S = 20.0  # a question that has taken so long is not asked again for another round
QUESTION_WORDS = (
    "first: the first time, with loading the model; libraries are loaded before. median: from asking to the answer, "
    "with the model loaded and nothing cached.",
    f"A question that has taken {ENOUGH_S:g} s is not timed again; rounds says how often it was.",
    "peak: the most memory alive at once beyond the loaded weights, where the model runs. answer: its bytes, pickled.",
)


@dataclass(frozen=True)
class PeakBytes:
    """The most memory alive at once, in bytes."""

    count: int


@dataclass(frozen=True)
class MeterPeak:
    """An op whose answer is the memory that another takes, see `measure_peak_memory`, on the thread that runs it."""

    op: Op
    device: str
    long: ClassVar[bool] = True
    deadline_s: ClassVar[float] = LONG_DEADLINE_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """What the other needs."""
        return self.op.need(size, budget)

    def run(self, predictor: Any, image: Rgb, budget: int, report: ReportProgress) -> OpResult:
        """A PeakBytes."""
        place = torch.device(self.device)
        return OpResult(PeakBytes(measure_peak_memory(lambda: self.op.run(predictor, image, budget, report), place)))


def bench_questions(
    size: tuple[int, int],
    rounds: int = 3,
    only: Sequence[str] | None = None,
    ask: Sequence[str] | None = None,
    device: str = "auto",
    interrupted: Interrupted = lambda: False,
) -> Report:
    """Measure each question to each model on one drawn scene.

    Args:
        size: the scene's (height, width).
        rounds: timed rounds after the first time; fewer of a question that takes long.
        only: names of bundled models; all by default.
        ask: names of questions; all by default.
        device: "auto" measures the CPU, and the GPU if there is one.
        interrupted: whether to end with what is measured.

    Raises:
        ValueError: a model or question is unknown, or this machine has no such device.
        RuntimeError: nothing could be measured.
    """
    models = select_names(only, tuple(MODELS))
    known = {one.name: one for one in list_questions(size)}
    todo = [(model, known[name]) for model in models for name in select_names(ask, tuple(known))]
    picture = resize(draw_scene(SCENE_SEED).image, size)
    measure_peak_memory(lambda: None, torch.device("cpu"))  # torch's profiler wants to be started by this thread
    found = Measurements()
    for place in select_devices(device):
        found.notes.append(f"{place.type}: {threads_words(place)} for a question, as in the app.")
        found.measure(todo, picture, rounds, place, interrupted)
    if not found.rows:
        raise RuntimeError("stopped before the first question" if found.stopped else found.notes[-1].rstrip("."))
    shown = f"Drawn scene of {size[1]} x {size[0]}, asked about its centre; the app's engine on threads, without pages."
    machine = {name: value for name, value in describe_machine().items() if name != "threads"}  # not the engine's
    return Report(
        "questions", machine, tuple(found.rows), find_slowest(found.rows), (shown, *QUESTION_WORDS, *found.notes),
        found.stopped, found.failures,
    )  # fmt: skip


@dataclass
class Measurements:
    """What was measured so far, and what was not."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    failures: int = 0

    def measure(
        self,
        todo: Sequence[tuple[str, Question]],
        picture: Rgb,
        rounds: int,
        device: torch.device,
        interrupted: Interrupted,
    ) -> None:
        """Ask models questions on a device, one after the other, until the user stops it."""
        with progress_bar(total=len(todo), unit="question", leave=False) as bar:
            for number, (model, question) in enumerate(todo):
                bar.set_postfix_str(f"{model}, {question.name}")
                if self.stopped:
                    break
                try:
                    if number == 0:  # libraries are loaded, and a GPU is started
                        ask_once(model, Predict(), picture, device, interrupted)
                    self.rows.append(measure_question(model, question, picture, rounds, device, interrupted))
                except InterruptedError:
                    self.stopped = True
                    self.notes.append(f"Stopped after {count_words(len(self.rows), 'question')}.")
                except NoContextError:
                    self.notes.append(f"{model} has no context, so it is not asked about influence.")
                except (ValueError, EngineError) as error:
                    self.failures += 1
                    self.notes.append(f"{model}, {question.name}, failed on {device.type}: {error}.")
                bar.update()


def threads_words(device: torch.device) -> str:
    """The threads of the CPU that the engine gives to a question."""
    threads = capacity_for(device, settings()).threads
    return f"{count_words(threads, 'thread')} of the CPU"


def find_slowest(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The slowest model's prediction on each device."""
    slowest: dict[str, float] = {}
    for row in rows:
        if row["question"] == "predict":
            name = f"{row['device']}_slowest_prediction_ms"
            slowest[name] = max(row["median_ms"], slowest.get(name, 0.0))
    return slowest


def measure_question(
    model: str, question: Question, picture: Rgb, rounds: int, device: torch.device, interrupted: Interrupted
) -> dict[str, Any]:
    """The figures of one question.

    Raises:
        InterruptedError: the user has stopped the benchmark.
        ValueError, EngineError: the question has no answer.
    """
    with open_engine(device) as engine:

        def ask(op: Op) -> tuple[float, Any]:
            synchronise(device)
            began = time.perf_counter()
            value = wait_for_answer(engine.ask(model, picture, op), interrupted).value
            synchronise(device)
            return 1000 * (time.perf_counter() - began), value

        first, value = ask(question.op)
        taken: list[float] = []
        while not taken or (len(taken) < rounds and sum(taken) < 1000 * ENOUGH_S):
            taken.append(ask(question.op)[0])
        peak = ask(MeterPeak(question.op, str(device)))[1].count
    if left := [name for name, one in arrays_of(value) if isinstance(one, Tensor) and one.device.type != "cpu"]:
        raise ValueError(f"its answer keeps {', '.join(left)} on the device, and pages need them on the CPU")
    return {
        "device": device.type,
        "model": model,
        "question": question.name,
        "first_ms": first,
        "median_ms": median(taken),
        "min_ms": min(taken),
        "rounds": len(taken),
        "peak_mib": peak / MEGA,
        "answer_bytes": pickled_bytes(value),
    }


def ask_once(model: str, op: Op, picture: Rgb, device: torch.device, interrupted: Interrupted) -> None:
    """Ask one question and forget the answer; raises as `measure_question`."""
    with open_engine(device) as engine:
        wait_for_answer(engine.ask(model, picture, op), interrupted)


@contextmanager
def open_engine(device: torch.device) -> Iterator[Engine]:
    """The app's engine on threads of this process, with no model loaded and a cache that keeps nothing."""
    runner = Runner(partial(load_predictor, device=str(device)))
    backend = ThreadBackend(runner, capacity_for(device, replace(settings(), cache_mb=0)))
    try:
        yield Engine(backend)
    finally:
        backend.close()


def wait_for_answer(answer: Answer, interrupted: Interrupted) -> Result:
    """The result of an answer; the question is withdrawn where it is waited for no more.

    Raises:
        InterruptedError: the user has stopped the benchmark.
    """
    try:
        while not interrupted():
            with suppress(TimeoutError):
                return answer.result(WAIT_LOOK_S)
        raise InterruptedError
    finally:
        answer.cancel()
