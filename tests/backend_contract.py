"""What any backend must hold, as checks of a factory: threads now, others when they come.

`make(models, capacity)` gives a backend that loads `models.load(name)`, identifies files by `models.identify(name)`
and keeps to `capacity`. tests/test_backend.py runs every check, and for each a backend that must fail it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from segviz.attention.maps import AttendedFeatures
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.data.classes import CAMVID
from segviz.engine import (
    Answer,
    Backend,
    BusyError,
    Capacity,
    CrashError,
    DeadlineError,
    EngineError,
    LeaseError,
    OpResult,
    Predict,
    Request,
    SupersededError,
    TooLargeError,
)
from segviz.engine.memory_budget import forward_need
from segviz.engine.request import DEADLINE_S
from segviz.prediction.prediction import Prediction

PATIENCE = 20.0  # seconds for what takes milliseconds
SOON = 1.0  # seconds within which a refusal has to come
TURNS = 12  # questions of each of 16 sessions at once
MEANWHILE = 0.1  # seconds within which one too many would have started
SIZE = (8, 8)
MIB = 1024**2


class Models:
    """Models that answer with their own name and the picture's first value, and do what they are told to.

    Attributes:
        open: computations wait for it.
        pause: seconds that a computation takes.
        misdeeds: what to do by a picture's first value, before it is answered.
        broken: models that cannot be loaded.
        shas: the identities of files, where they are not the model's name.
    """

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.pause = 0.0
        self.misdeeds: dict[int, Callable[[int], None]] = {}
        self.broken: set[str] = set()
        self.shas: dict[str, str] = {}
        self.ran: list[tuple[str, int, int]] = []  # model, the picture's first value, shrink
        self.running = self.most = 0
        self._lock = threading.Lock()

    def load(self, name: str) -> Callable[..., Prediction]:
        if name in self.broken:
            raise CheckpointError(f"{name}.safetensors is not a whole safetensors file; copy or train it again")
        return lambda image, shrink=1: self.predict(name, image, shrink)

    def identify(self, name: str) -> str:
        return self.shas.get(name, name)

    def predict(self, name: str, image: np.ndarray, shrink: int) -> Prediction:
        self.perform(name, int(image[0, 0, 0]), shrink)
        return prediction(name, image)

    def perform(self, name: str, value: int, shrink: int) -> None:
        """What happens during a computation; models in other processes ask for it here."""
        with self._lock:
            self.ran.append((name, value, shrink))
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            assert self.open.wait(PATIENCE)
            time.sleep(self.pause)
            if value in self.misdeeds:
                self.misdeeds[value](shrink)
        finally:
            with self._lock:
                self.running -= 1

    def semaphore(self) -> Any:
        """A semaphore that computations can wait for, wherever they run."""
        return threading.Semaphore(0)

    def values(self) -> list[int]:
        """First values of the pictures in the order of their computations."""
        return [value for _, value, _ in self.ran]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Computations wait until the block's end."""
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()


Make = Callable[[Models, Capacity], Backend]
ONE, TWO = Capacity(workers=1, queue=64), Capacity(workers=2, queue=64)


@dataclass(frozen=True)
class Scaled:
    """An op with a parameter, and with nothing in its value but the sum of all the picture's values times it."""

    factor: int
    long = False
    deadline_s = DEADLINE_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        return 0

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: Callable[[int, int], None]) -> OpResult:
        predictor(image)
        return OpResult(Total(np.array([image.sum(dtype=np.int64) * self.factor])))


@dataclass(frozen=True, eq=False)
class Total:
    total: np.ndarray


@dataclass(frozen=True)
class Stepped:
    """A long op of many steps; each waits until it is let on."""

    steps: int
    step: Any  # a semaphore
    long = True
    deadline_s = DEADLINE_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        return 0

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: Callable[[int, int], None]) -> OpResult:
        for number in range(self.steps):
            report(number, self.steps)
            assert self.step.acquire(timeout=PATIENCE)
        report(self.steps, self.steps)
        return OpResult(Total(np.zeros(1)))


def prediction(name: str, image: np.ndarray) -> Prediction:
    """All labels are the picture's first value; a value of 255 makes three numbers NaN."""
    labels = np.full(image.shape[:2], image[0, 0, 0], np.uint8)
    confidence = labels.astype(np.float32)
    if image[0, 0, 0] == 255:
        confidence.flat[:3] = np.nan
    means = AttendedFeatures("attended", (1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    return Prediction(name, labels, confidence, CAMVID, MappingProxyType({}), means)


def picture(value: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def ask(value: int, session: str = "a", ticket: int = 0, **more: Any) -> Request:
    return Request(more.pop("model", "fla"), picture(value, more.pop("size", SIZE)), Predict(), session, ticket, **more)


def label(answer: Answer) -> int:
    """The picture's first value, by the answer."""
    error = error_of(answer)
    assert error is None, error
    return int(answer.result().value.labels[0, 0])


def error_of(answer: Answer) -> BaseException | None:
    try:
        return answer.exception(PATIENCE)
    except (CancelledError, TimeoutError) as error:
        return error


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


# ---- the checks -----------------------------------------------------------------------------------------


def check_everyone_gets_their_own_answer(make: Make) -> None:
    models = Models()
    models.pause = 0.002
    backend = make(models, TWO)

    def session(number: int) -> list[tuple[int, str, int, str]]:
        found = []
        for turn in range(TURNS):
            value, model = number * TURNS + turn, ("fla", "psa")[turn % 2]
            answer = backend.submit(ask(value, f"session {number}", turn, model=model))
            found.append((label(answer), answer.result().value.model, value, model))
        return found

    with ThreadPoolExecutor(16) as pool:
        found = [one for rows in pool.map(session, range(16)) for one in rows]
    assert len({value for _, _, value, _ in found}) == 16 * TURNS
    wrong = [one for one in found if one[:2] != one[2:]]
    assert wrong == []


def check_no_more_run_at_once_than_there_are_workers(make: Make) -> None:
    models = Models()
    backend = make(models, TWO)
    with models.held():
        answers = [backend.submit(ask(value, f"session {value}")) for value in range(12)]
        until_more_than_two_run(models)
    assert [label(one) for one in answers] == list(range(12))
    assert models.most == 2


def until_more_than_two_run(models: Models) -> None:
    """Wait for two, and then for a third, which must not come."""
    until(lambda: models.running >= 2)
    end = time.monotonic() + MEANWHILE
    until(lambda: models.most > 2 or time.monotonic() > end)


def check_those_who_wait_for_the_same_share_one_computation(make: Make) -> None:
    models = Models()
    backend = make(models, TWO)
    with models.held():
        answers = [backend.submit(ask(1, f"session {number}")) for number in range(8)]
        until(lambda: len(models.ran) > 0)
        answers += [backend.submit(ask(1, f"late {number}")) for number in range(8)]
    assert [label(one) for one in answers] == [1] * 16
    assert label(backend.submit(ask(1, "after"))) == 1
    assert models.values() == [1]
    assert backend.find_cached(ask(1)) is not None and backend.find_cached(ask(2)) is None


def check_who_leaves_takes_nobody_along(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = [backend.submit(ask(1, session)) for session in "ab"]
        until(lambda: models.running == 1)
        queued = [backend.submit(ask(2, session)) for session in "abc"]
        alone = backend.submit(ask(3, "d"))
        for answer in (running[0], queued[0], queued[2], alone):
            assert answer.cancel()
    assert label(running[1]) == 1 and label(queued[1]) == 2
    assert isinstance(error_of(queued[2]), CancelledError)
    assert label(backend.submit(ask(4))) == 4
    assert models.values() == [1, 2, 4]


def check_sessions_take_turns(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        blocker = backend.submit(ask(99, "blocker"))
        until(lambda: models.running == 1)
        greedy = [backend.submit(ask(value, "greedy")) for value in range(10)]
        others = [backend.submit(ask(50 + number, f"other {number}")) for number in range(4)]
    for answer in (blocker, *greedy, *others):
        label(answer)
    order = models.values()
    assert max(order.index(50 + number) for number in range(4)) < order.index(1), order
    assert order.index(0) < order.index(50)  # who came first is first


def check_the_newest_question_of_a_session_replaces_its_queued_ones(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = backend.submit(ask(1, "a", ticket=1))
        until(lambda: models.running == 1)
        old = backend.submit(ask(2, "a", ticket=2))
        theirs = backend.submit(ask(2, "b", ticket=1))  # the same picture, still wanted by another
        lost = backend.submit(ask(3, "a", ticket=3))
        newest = [backend.submit(ask(value, "a", ticket=4)) for value in (4, 5)]  # one page, two models' worth
        assert old.done() and lost.done()  # at once, not when their turn comes
    assert all(isinstance(error_of(one), SupersededError) for one in (old, lost))
    assert [label(one) for one in (running, theirs, *newest)] == [1, 2, 4, 5]
    assert 3 not in models.values()


def check_asking_the_same_again_keeps_the_position(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = backend.submit(ask(100, "first"))
        until(lambda: models.running == 1)
        before, other = backend.submit(ask(1, "a", ticket=1)), backend.submit(ask(2, "b"))
        again = backend.submit(ask(1, "a", ticket=2))  # the page ran anew while it waited
        assert (again.status().position, other.status().position) == (1, 2)
    assert [label(one) for one in (running, before, again, other)] == [100, 1, 1, 2]
    assert models.values() == [100, 1, 2]


def check_a_full_queue_says_so_at_once(make: Make) -> None:
    models = Models()
    backend = make(models, replace(ONE, queue=8))
    refused, taken = 0, []
    with models.held():
        first = backend.submit(ask(100, "first"))
        until(lambda: models.running == 1)
        start = time.monotonic()
        for number in range(20):
            try:
                taken.append(backend.submit(ask(number, f"session {number}")))
            except BusyError as error:
                refused += 1
                assert "try again" in str(error)
        assert time.monotonic() - start < SOON
        assert (len(taken), refused) == (8, 12)
        assert backend.health().queued == 8 == backend.health().queue_limit
    assert [label(one) for one in (first, *taken)] == [100, *range(8)]
    assert label(backend.submit(ask(30))) == 30


def check_one_session_cannot_fill_the_queue(make: Make) -> None:
    models = Models()
    backend = make(models, replace(ONE, queue=16))
    with models.held():
        backend.submit(ask(100, "first"))
        until(lambda: models.running == 1)
        answers = []
        for value in range(16):
            with suppress(BusyError):
                answers.append(backend.submit(ask(value, "greedy")))
        assert len(answers) == 4
        other = backend.submit(ask(50, "other"))
    assert label(other) == 50


def check_an_answer_that_is_late_is_refused_in_time(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        start = time.monotonic()
        running = backend.submit(ask(1, "a", deadline_s=0.2))
        until(lambda: models.running == 1)
        queued = backend.submit(ask(2, "b", deadline_s=0.3))
        patient = backend.submit(ask(3, "c"))
        until(lambda: (running.done() and queued.done()) or time.monotonic() > start + 2)
        assert running.done() and queued.done()
        assert all(isinstance(error_of(one), DeadlineError) for one in (running, queued))
    assert label(patient) == 3
    assert models.values() == [1, 3]


def check_a_question_that_nobody_looks_after_is_taken_back(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = backend.submit(ask(1, "a"))
        until(lambda: models.running == 1)
        gone = backend.submit(ask(2, "b", lease_s=0.3))
        watched = backend.submit(ask(3, "c", lease_s=1.0))
        until(lambda: watched.status().position > 0 and gone.done())  # each look at the status renews its lease
        end = time.monotonic() + 1.2
        until(lambda: watched.status().position > 0 and time.monotonic() > end)
        assert not watched.done()
    assert isinstance(error_of(gone), LeaseError) and backend.health().counts["left"] == 1
    assert [label(one) for one in (running, watched)] == [1, 3]
    assert models.values() == [1, 3]


def check_the_position_in_the_queue_is_reported(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = backend.submit(ask(1, "a"))
        until(lambda: models.running == 1)
        answers = [backend.submit(ask(value, session)) for value, session in ((2, "b"), (3, "b"), (4, "c"), (5, "d"))]
        assert [one.status().position for one in (running, *answers)] == [0, 1, 4, 2, 3]
        answers[0].cancel()
        assert [one.status().position for one in answers[1:]] == [1, 2, 3]
    assert [label(one) for one in answers[1:]] == [3, 4, 5]
    assert answers[1].status().position == 0


def check_long_work_tells_its_steps_leaves_a_worker_and_stops_when_nobody_waits(make: Make) -> None:
    models = Models()
    backend = make(models, TWO)
    step = models.semaphore()
    long = [backend.submit(replace(ask(value, f"long {value}"), op=Stepped(3, step))) for value in range(3)]
    assert label(backend.submit(ask(9, "quick"))) == 9
    step.release(1)
    until(lambda: long[0].status().done == 1)
    assert long[0].status().total == 3 and long[0].status().seconds > 0
    long[0].cancel()
    time.sleep(MEANWHILE)  # a backend may look now and then
    step.release(1)  # its next step; the one after would wait for ever
    until(lambda: long[1].status().position == 0)
    step.release(6)
    assert [one.result(PATIENCE).value.total[0] for one in long[1:]] == [0, 0]


def check_a_cache_key_tells_everything_apart(make: Make) -> None:
    models = Models()
    backend = make(models, TWO)
    image, twin = streamlit_twins()

    def total(pixels: np.ndarray, factor: int = 1, model: str = "fla") -> int:
        return int(backend.submit(Request(model, pixels, Scaled(factor))).result(PATIENCE).value.total[0])

    def runs(pixels: np.ndarray, factor: int = 1, model: str = "fla") -> int:
        before = len(models.ran)
        assert total(pixels, factor, model) == pixels.sum(dtype=np.int64) * factor
        return len(models.ran) - before

    assert runs(image) == 1 and runs(image.copy()) == 0
    assert runs(twin) == 1
    for place in np.random.default_rng(0).integers(0, image.size, 8):
        dot = image.copy()
        dot.flat[place] ^= 1
        assert runs(dot) == 1
    assert runs(image.reshape(image.shape[0] // 2, -1, 3)) == 1
    assert runs(image, factor=2) == 1 and runs(image, model="psa") == 1
    models.shas["fla"] = "another file"
    assert runs(image) == 1 and runs(image) == 0


def streamlit_twins() -> tuple[np.ndarray, np.ndarray]:
    """Two pictures that differ in 97 % of their values, to which Streamlit's cache gives one key."""
    image = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
    numbers = np.arange(image.size)
    sampled = np.random.RandomState(0).choice(numbers, size=100_000)
    changed = np.ones(image.size, bool)
    changed[sampled] = False
    twin = image.copy()
    twin.flat[changed] ^= 0xFF
    assert (image != twin).mean() > 0.965
    assert sampled_key(image) == sampled_key(twin)  # else the attack has become another one: find it
    return image, twin


def sampled_key(image: np.ndarray) -> str:
    """What `st.cache_data` would take for the picture."""
    import hashlib

    from streamlit.runtime.caching.cache_type import CacheType  # here, because replicas import this module too
    from streamlit.runtime.caching.hashing import update_hash

    hasher = hashlib.new("md5", usedforsecurity=False)
    update_hash(image, hasher, CacheType.DATA)
    return hasher.hexdigest()


def check_the_cache_is_bounded_in_bytes(make: Make) -> None:
    models = Models()
    backend = make(models, replace(TWO, cache_mb=1))
    size = (200, 200)  # 0.2 MB of labels and confidence
    for value in range(20):
        assert label(backend.submit(ask(value, size=size))) == value
        health = backend.health()
        assert health.cache_bytes <= health.cache_limit == MIB
    assert health.cache_bytes > MIB // 2
    assert [backend.find_cached(ask(value, size=size)) is not None for value in (0, 1, 18, 19)] == [
        False,
        False,
        True,
        True,
    ]
    assert label(backend.submit(ask(7, size=(1000, 1000)))) == 7  # larger than the whole cache
    assert backend.health().cache_bytes <= MIB


def check_a_crash_is_tried_again_once(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    remaining = Counter({1: 1, 2: 100, 3: 1})

    def crash(value: int, error: type[BaseException]) -> Callable[[int], None]:
        def misdeed(shrink: int) -> None:
            remaining[value] -= 1
            if remaining[value] >= 0:
                raise error("boom")

        return misdeed

    models.misdeeds = {1: crash(1, RuntimeError), 2: crash(2, RuntimeError), 3: crash(3, SystemExit)}
    assert label(backend.submit(ask(1))) == 1
    assert isinstance(error_of(backend.submit(ask(2))), CrashError)
    assert label(backend.submit(ask(3))) == 3
    assert label(backend.submit(ask(4))) == 4
    assert Counter(models.values()) == {1: 2, 2: 2, 3: 2, 4: 1}
    assert backend.health().counts["crashed"] == 4 and not backend.health().ok


def check_a_broken_checkpoint_is_named_and_the_others_go_on(make: Make) -> None:
    models = Models()
    models.broken = {"fla"}
    backend = make(models, TWO)
    error = error_of(backend.submit(ask(1)))
    assert isinstance(error, CheckpointError) and "fla" in str(error)
    assert label(backend.submit(ask(1, model="psa"))) == 1
    models.broken = set()  # the operator has restored it
    assert label(backend.submit(ask(1))) == 1


def check_too_little_memory_shows_less_then_refuses_and_the_next_is_right(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
    gpu = torch.OutOfMemoryError("CUDA out of memory")
    library = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    def short(error: Exception, least: int) -> Callable[[int], None]:
        def misdeed(shrink: int) -> None:
            if shrink < least:
                raise error

        return misdeed

    models.misdeeds = {1: short(cpu, 2), 2: short(gpu, 4), 3: short(cpu, 99), 4: short(MemoryError(), 2)}
    models.misdeeds[6] = short(library, 2)
    notes = {value: backend.submit(ask(value)).result(PATIENCE).notes for value in (1, 2, 4, 5, 6)}
    assert "computed at 1/2 scale" in str(notes[1]) and "computed at 1/4 scale" in str(notes[2])
    assert "computed at 1/2 scale" in str(notes[4]) and notes[5] == () and "computed at 1/2 scale" in str(notes[6])
    assert isinstance(error_of(backend.submit(ask(3))), TooLargeError)
    models.misdeeds = {}  # memory is back
    for value in (1, 2, 3):
        answer = backend.submit(ask(value))
        assert label(answer) == value and answer.result().notes == ()


def check_what_exceeds_the_budget_is_shown_smaller_or_refused_before_it_runs(make: Make) -> None:
    models = Models()
    size = (360, 480)
    full, half = forward_need(size, 1), forward_need(size, 2)
    budget = (full - 1) // MIB
    assert half <= budget * MIB < full
    backend = make(models, replace(TWO, memory_mb=budget))
    assert "computed at 1/2 scale" in str(backend.submit(ask(1, size=size)).result(PATIENCE).notes)
    assert models.ran == [("fla", 1, 2)]
    assert backend.find_cached(ask(1, size=size)) is not None
    error = error_of(backend.submit(ask(1, size=(6000, 6000))))
    assert isinstance(error, TooLargeError) and "6000 x 6000" in str(error)
    assert len(models.ran) == 1


def check_no_more_runs_at_once_than_the_memory_holds(make: Make) -> None:
    models = Models()
    need = forward_need(SIZE, 1)
    backend = make(models, Capacity(workers=4, memory_mb=2 * need // MIB + 1))
    with models.held():
        answers = [backend.submit(ask(value, f"session {value}")) for value in range(8)]
        until_more_than_two_run(models)
    assert [label(one) for one in answers] == list(range(8))
    assert models.most == 2


def check_values_that_are_not_finite_are_counted(make: Make) -> None:
    backend = make(Models(), TWO)
    notes = backend.submit(ask(255)).result(PATIENCE).notes
    assert len(notes) == 1
    note = notes[0]
    assert note.startswith("3 values are not finite") and "confidence" in note
    assert backend.submit(ask(254)).result(PATIENCE).notes == ()


def check_an_answer_cannot_be_written_to(make: Make) -> None:
    answer = make(Models(), TWO).submit(ask(1)).result(PATIENCE)
    assert not answer.value.labels.flags.writeable and not answer.value.confidence.flags.writeable


def check_a_picture_that_changes_while_it_waits_poisons_nothing(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        backend.submit(ask(100))
        until(lambda: models.running == 1)
        request = ask(1, "b")
        answer = backend.submit(request)
        request.image[:] = 2
    assert isinstance(error_of(answer), ValueError | EngineError)
    assert label(backend.submit(ask(1))) == 1


def check_a_session_that_leaves_takes_its_requests_along_and_no_other_s(make: Make) -> None:
    models = Models()
    backend = make(models, ONE)
    with models.held():
        running = backend.submit(ask(1, "a"))
        until(lambda: models.running == 1)
        own, shared = backend.submit(ask(2, "b")), backend.submit(ask(3, "b"))
        other = backend.submit(ask(3, "c"))
        backend.leave("b")
        assert own.done() and shared.done() and not other.done()
    assert all(isinstance(error_of(answer), LeaseError) for answer in (own, shared))
    assert [label(answer) for answer in (running, other)] == [1, 3]
    assert models.values() == [1, 3]
