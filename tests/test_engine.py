"""The engine around its backend: short ways to ask, sessions, capacity, and the bundled models themselves."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backend_contract import PATIENCE, Models, Scaled, picture, until
from streets import street

from segviz import engine as module
from segviz.attribution import METHODS, AttributionError, Options, Target, attribute
from segviz.catalogue.checkpoint_file import CheckpointError, write_checkpoint
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.record import Record
from segviz.data.classes import CAMVID
from segviz.data.scenes import draw_scene
from segviz.engine import (
    Attribute,
    Backend,
    BusyError,
    Capacity,
    Engine,
    EngineError,
    Request,
    Runner,
    ThreadBackend,
    capacity,
    capacity_for,
)
from segviz.engine.fair_queue import FairQueue
from segviz.engine.request import digest, parameter_key
from segviz.engine.result_cache import arrays_of, size_of
from segviz.models.registry import MODELS, build
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor, load_predictor
from segviz.settings import read_settings

CAPACITY = Capacity(workers=2)
QUICK = Options(steps=2, window=120, stride=120)


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def fake(models: Models) -> Iterator[Engine]:
    """An engine of fake models."""
    backend = ThreadBackend(Runner(models.load, models.identify), CAPACITY)
    yield Engine(backend)
    backend.close()


@pytest.fixture(scope="module")
def real() -> Iterator[Engine]:
    """An engine of the bundled models."""
    backend = ThreadBackend(Runner(), CAPACITY)
    yield Engine(backend)
    backend.close()


# ---- the short ways -------------------------------------------------------------------------------------


def test_a_picture_runs_once_for_each_model(fake: Engine, models: Models) -> None:
    first = fake.predict("fla", picture(1))
    assert fake.predict("fla", picture(1)) is first
    assert fake.predict("psa", picture(1)).model == "psa"
    assert models.ran == [("fla", 1, 1), ("psa", 1, 1)]
    assert fake.is_cached("fla", picture(1)) and not fake.is_cached("fla", picture(2))
    assert {name: count for name, count in fake.health().counts.items() if count} == {"reused": 1, "computed": 2}


def test_a_newer_question_counts_as_such_only_within_its_session(fake: Engine, models: Models) -> None:
    with models.held():
        answers = [fake.ask("fla", picture(value), session=session) for value, session in enumerate("aabbcc")]
    outcomes = [type(answer.exception(PATIENCE)).__name__ for answer in answers]
    assert outcomes[1::2] == ["NoneType"] * 3  # the newest of each
    assert outcomes.count("SupersededError") >= 1  # all but those that two workers had begun


def test_questions_asked_together_take_nobodys_place_and_a_refusal_is_one_answers_own(models: Models) -> None:
    backend = ThreadBackend(Runner(models.load, models.identify), Capacity(workers=1, queue=8))
    engine = Engine(backend)
    with models.held():
        engine.ask("fla", picture(0), session="other")
        until(lambda: models.running == 1)
        answers = engine.ask_all("fla", picture(1), [Scaled(1), Scaled(2), Scaled(3)], "a")
    totals = [answer.result(PATIENCE).value.total[0] for answer in answers[:2]]
    assert totals == [picture(1).sum(), 2 * picture(1).sum()]
    assert isinstance(answers[2].exception(PATIENCE), BusyError)  # a session may hold a quarter of the queue
    backend.close()


def test_threads_that_name_no_session_are_one_each(fake: Engine) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda value: fake.predict("fla", picture(value)), range(60)))
    assert [int(one.labels[0, 0]) for one in answers] == list(range(60))


def test_a_closed_engine_leaves_nobody_waiting_and_no_thread(models: Models) -> None:
    backend = ThreadBackend(Runner(models.load, models.identify), CAPACITY)
    engine = Engine(backend)
    with models.held():
        answers = [engine.ask("fla", picture(value), session=str(value)) for value in range(5)]
        closing = threading.Thread(target=backend.close)
        closing.start()
        assert all("stopped" in str(answer.exception(PATIENCE)) for answer in answers)
    closing.join(PATIENCE)
    assert not any(thread.is_alive() for thread in backend._threads)
    with pytest.raises(module.EngineError, match="closed"):
        engine.predict("fla", picture(9))


def test_a_worker_computes_with_its_share_of_the_cores(models: Models) -> None:
    threads: list[int] = []
    models.misdeeds = {1: lambda shrink: threads.append(torch.get_num_threads())}
    backend = ThreadBackend(Runner(models.load, models.identify), Capacity(workers=1, threads=3))
    Engine(backend).predict("fla", picture(1))
    backend.close()
    torch.set_num_threads(1)  # a part of what the worker set holds for the whole process
    assert threads == [3]


def test_the_thread_backend_is_a_backend(fake: Engine) -> None:
    assert isinstance(fake.backend, Backend)


# ---- the bundled models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_engine_answers_as_the_model_alone_and_all_is_finite(
    real: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "psa":  # its masks end inside the picture at full size alone
        monkeypatch.setattr("segviz.image.WORKING_PIXELS", 96 * 128)
    image = street(7).image
    answer = real.ask(name, image)
    result = answer.result(PATIENCE * 5)
    alone = dict(arrays_of(load_predictor(name)(image)))
    assert result.notes == ()
    found = dict(arrays_of(result.value))
    assert found.keys() == alone.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(np.asarray(array), np.asarray(alone[key]), key)
    for height, width in ((96, 120), (200, 90)):  # where PSA's masks end inside the picture
        assert real.ask(name, image[:height, :width]).result(PATIENCE * 5).notes == ()


@pytest.mark.slow
def test_sessions_on_one_model_never_get_each_others_maps(real: Engine) -> None:
    images = [street(seed).image for seed in range(4)]
    alone = [dict(arrays_of(load_predictor("cs_nl")(image))) for image in images]
    assert len({digest(np.asarray(one["attended.output"])) for one in alone}) == 4
    engine = Engine(ThreadBackend(Runner(), replace(CAPACITY, cache_mb=1)))  # too small: each answer is a forward

    def session(number: int) -> list[int]:
        wrong = []
        for turn in range(3):
            at = (number + turn) % 4
            found = dict(arrays_of(engine.predict("cs_nl", images[at])))
            wrong += [at for key in found if not np.array_equal(np.asarray(found[key]), np.asarray(alone[at][key]))]
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(session, range(4))) == [[]] * 4
    engine.backend.close()  # type: ignore[attr-defined]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models see pictures at 90 x 120 pixels instead of 360 x 480."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", 90 * 120)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_an_attribution_beside_predictions_is_the_one_made_alone(real: Engine, small: None, method: str) -> None:
    image = street(8).image
    target = Target(3, pixel=(200, 200))
    alone = attribute(load_predictor("fla"), image, method, target, options=QUICK)
    answer = real.ask("fla", image, Attribute(method, target, QUICK), session="a")
    others = [real.ask("fla", street(seed).image, session=f"b {seed}") for seed in range(20, 23)]
    np.testing.assert_array_equal(answer.result(PATIENCE * 5).value.values, alone.values)
    assert all(isinstance(other.result(PATIENCE * 5).value, Prediction) for other in others)
    assert real.is_cached("fla", image, Attribute(method, target, QUICK))


def test_what_an_attribution_cannot_do_reaches_who_asked(real: Engine) -> None:
    image = street(7).image
    with pytest.raises(AttributionError, match="class 99"):
        real.ask("fla", image, Attribute("saliency", Target(99), QUICK)).result()
    with pytest.raises(AttributionError, match="MiB"):
        real.ask("fla", image, Attribute("saliency", Target(1), replace(QUICK, memory_mib=1))).result()


OUT_OF_MEMORY = """
import resource
import numpy as np
import segviz.image
from segviz.engine import Capacity, ThreadBackend, Engine, Runner, TooLargeError

engine = Engine(ThreadBackend(Runner(), Capacity(workers=1, memory_mb=10**6)))
first, second = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), np.uint8)
segviz.image.WORKING_PIXELS = 10_000
engine.predict("fcn", first[:64, :64])
segviz.image.WORKING_PIXELS, segviz.image.LONGEST_SIDE = 2_000_000, 4096  # a full forward needs half a gigabyte


def limit(mib):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + mib * 2**20 if mib else -1, -1))


limit(320)
print(engine.ask("fcn", first).result().notes)
segviz.image.WORKING_PIXELS, segviz.image.LONGEST_SIDE = 32_000_000, 8192  # a sixteenth of it would not fit
try:
    engine.predict("fcn", second)
except TooLargeError as error:
    print(type(error).__name__)
limit(None)
segviz.image.WORKING_PIXELS = 2_000_000
print(engine.ask("fcn", first).result().notes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits address space by Linux's rules")
def test_the_process_survives_running_out_of_memory_and_the_next_answer_is_whole() -> None:
    ran = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    smaller, refused, whole = ran.stdout.splitlines()
    assert "computed at 1/" in smaller and refused == "TooLargeError" and whole == "()", ran.stdout


def test_the_model_itself_is_loaded_once() -> None:
    runner = Runner()
    assert runner.model("fcn")[1] is runner.model("fcn")[1]
    assert runner.model("fcn")[1].record.model == "fcn"


def test_a_path_is_no_model(real: Engine) -> None:
    with pytest.raises(CheckpointError, match="is not a model"):
        real.predict("../../etc/passwd", picture(1))


def test_a_corrupt_checkpoint_is_named_the_others_go_on_and_a_restored_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fla", "sam"):
        (tmp_path / f"{name}.safetensors").write_bytes(module.open_model.bundled_path(name).read_bytes())
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    backend = ThreadBackend(Runner(), CAPACITY)
    engine, image = Engine(backend), street(7).image
    first = engine.predict("fla", image)
    whole = (tmp_path / "fla.safetensors").read_bytes()
    (tmp_path / "fla.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"fla\.safetensors"):
        engine.predict("fla", image)
    assert engine.predict("sam", image).model == "sam"
    (tmp_path / "fla.safetensors").unlink()
    with pytest.raises(CheckpointError, match="fla"):
        engine.predict("fla", image)
    (tmp_path / "fla.safetensors").write_bytes(whole)
    assert engine.predict("fla", image) is first
    backend.close()


def put_model(folder: Path, seed: int) -> tuple[bytes, str]:
    """Write an untrained model; returns its bytes and their digest."""
    torch.manual_seed(seed)
    path = folder / "fcn.safetensors"
    write_checkpoint(path, build("fcn", 11), Record("fcn", CAMVID.names, "mobilenetv2_100", 8, seed=seed))
    return path.read_bytes(), file_digest(path)


def test_an_answer_names_the_file_that_computed_it_also_if_another_came_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    (first, old), (second, new) = (put_model(tmp_path, seed) for seed in (1, 2))
    path, runner = tmp_path / "fcn.safetensors", Runner()

    def swap_and_load(name: str) -> Predictor:
        path.write_bytes(second)  # between the digest and the weights
        return load_predictor(name)

    path.write_bytes(first)
    assert runner.identity("fcn") == old
    monkeypatch.setattr(module.open_model, "load_predictor", swap_and_load)
    sha, predictor = runner.model("fcn")
    assert sha == new == predictor.digest and predictor.record.seed == 2


def test_a_checkpoint_of_ones_own_is_read_once_and_its_answers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(tmp_path, 1)
    path = tmp_path / "fcn.safetensors"
    (tmp_path / "models.toml").write_text(f'[[model]]\nname = "mine"\nsource = "{path}"\n')
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))
    opened: list[str] = []

    def open_and_note(name: str) -> Any:
        opened.append(name)
        return module.open_model.open_model(name)

    backend = ThreadBackend(Runner(open_and_note), CAPACITY)
    engine, image = Engine(backend), draw_scene(5, width=96, height=72).image
    first = engine.predict("mine", image)
    assert engine.predict("mine", image) is first and engine.is_cached("mine", image)
    assert engine.predict("mine", image[::-1].copy()) is not first and opened == ["mine"]
    put_model(tmp_path, 2)
    assert engine.predict("mine", image) is not first and opened == ["mine", "mine"]
    backend.close()


def test_a_network_whose_file_changes_while_it_is_read_is_read_again() -> None:
    identities = iter(["first", "second", "second", "second"])
    opened = itertools.count(1)
    runner = Runner(lambda name: next(opened), lambda name: next(identities))
    assert runner.model("mine") == ("second", 2)
    assert runner.model("mine") == ("second", 2)


@pytest.mark.timeout(30)
def test_a_network_whose_file_changes_all_the_time_is_given_up() -> None:
    identities, opened = itertools.count(), list[str]()
    runner = Runner(opened.append, lambda name: str(next(identities)))
    with pytest.raises(EngineError, match="the files of 'mine' change while they are read; wait until they are wr"):
        runner.model("mine")
    assert opened == ["mine"] * 3 and not runner.model_names


@pytest.mark.slow
def test_answers_name_their_file_while_two_files_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    path, image = tmp_path / "fcn.safetensors", draw_scene(5, width=96, height=72).image
    contents, expected = [], {}
    for seed in (1, 2):
        data, sha = put_model(tmp_path, seed)
        contents.append(data)
        expected[sha] = load_predictor("fcn", "cpu")(image).confidence
    engine, stop = Engine(ThreadBackend(Runner(), CAPACITY)), threading.Event()

    def take_turns() -> None:
        while not stop.wait(0.01):
            for data in contents:
                (tmp_path / "next").write_bytes(data)
                (tmp_path / "next").replace(path)

    swapper = threading.Thread(target=take_turns)
    swapper.start()
    try:
        for _ in range(96):
            result = engine.ask("fcn", image).result()
            assert np.array_equal(result.value.confidence, expected[result.model_sha])
    finally:
        stop.set()
        swapper.join()
        engine.backend.close()


# ---- parts ----------------------------------------------------------------------------------------------


def test_parameters_are_told_apart() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    ops = [
        Attribute("saliency", Target(1), QUICK),
        Attribute("occlusion", Target(1), QUICK),
        Attribute("saliency", Target(2), QUICK),
        Attribute("saliency", Target(1, pixel=(1, 2)), QUICK),
        Attribute("saliency", Target(1, mask=mask), QUICK),
        Attribute("saliency", Target(1, mask=~mask), QUICK),
        Attribute("grad_cam_input", Target(1), QUICK),
        Attribute("grad_cam_input", Target(1), replace(QUICK, relu=True)),
    ]
    keys = {Request("fla", picture(1), op).key("sha") for op in ops}
    assert len(keys) == len(ops)
    assert parameter_key(Attribute("saliency", Target(1, mask=mask.copy()), QUICK)) == parameter_key(ops[4])
    mask[:] = False
    assert parameter_key(ops[4]) != parameter_key(
        Attribute("saliency", Target(1, mask=mask), QUICK)
    )  # the op has a copy of its own


def test_sizes_count_shared_memory_once_and_views_whole() -> None:
    big = torch.zeros(1000)
    assert size_of({"a": big[:10], "b": big[10:20]}) == 4000
    assert size_of({"a": np.zeros(10), "b": (1, 2)}) == 80


def test_sessions_take_turns_and_positions_say_so() -> None:
    queue: FairQueue[str] = FairQueue()
    for session, item in (("a", "a1"), ("a", "a2"), ("a", "both"), ("b", "b1"), ("b", "both"), ("c", "c1")):
        queue.push(session, item)
    assert (len(queue), queue.length("a")) == (6 - 1, 3)
    positions = {item: queue.position(item) for item in ("a1", "b1", "c1", "a2", "both", "gone")}
    assert positions == {"a1": 1, "b1": 2, "c1": 3, "a2": 4, "both": 5, "gone": 0}
    order = []
    while (item := queue.first()) is not None:
        queue.take(item)
        order.append(item)
    assert order == ["a1", "b1", "c1", "a2", "both"]
    assert len(queue) == 0 and queue.length("a") == 0


def test_capacity_comes_from_the_machine_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for count, expected in ((1, (1, 1)), (2, (2, 1)), (4, (4, 1)), (16, (4, 4))):
        monkeypatch.setattr(capacity, "cores", lambda count=count: count)
        found = capacity_for(cpu, read_settings({}))
        assert (found.workers, found.threads) == expected
        assert found.workers * found.threads == count
    names = {"SEGVIZ_WORKERS": "3", "SEGVIZ_THREADS": "2", "SEGVIZ_MEMORY_MB": "900", "SEGVIZ_CACHE_MB": "9"}
    assert capacity_for(cpu, read_settings({**names, "SEGVIZ_QUEUE": "7"})) == Capacity(3, 2, 900, 9, 7)


def test_a_containers_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "CGROUP", tmp_path)
    own, free = capacity.cores(), capacity.free_mib(torch.device("cpu"))
    assert own >= 1 and free > 0
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(str(900 * capacity.MIB))
    (tmp_path / "memory.current").write_text(str(800 * capacity.MIB))
    assert capacity.cores() == 1 and capacity.free_mib(torch.device("cpu")) == 100
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {300 * capacity.MIB}\nactive_file 7\n")
    assert capacity.free_mib(torch.device("cpu")) == 400
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max")
    assert capacity.cores() == own and capacity.free_mib(torch.device("cpu")) > 100
