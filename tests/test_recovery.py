"""What is killed in mid-work comes back, the server and a training; what is damaged stops nothing else."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import torch
import websockets
from app_server import app_server, python_path, wait_until_healthy
from load_client import View, Visitor
from test_training import data as data
from test_training import options, same_weights

from segviz.benchmarks.viewer import find_free_port
from segviz.catalogue import checkpoint_checks, checkpoint_file
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.location import checkpoints_folder
from segviz.models.registry import MODELS
from segviz.server.launch import app_command, app_environment, app_script
from segviz.training import loop as training
from segviz.training.loop import train_model
from segviz.training.resume import read_state
from segviz.training.run import TrainingRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does"),
]
BACK_S = 10.0
SLOW = 2.0  # on a machine that takes longer: times what a new Python takes to import the libraries, and do no more


# ---- the server -----------------------------------------------------------------------------------------


@contextmanager
def started(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server on this port, which the test may kill."""
    environment = {**app_environment(), "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"}
    command = app_command(app_script(), port, "--server.headless", "true")
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=app_script().parent, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def component(view: View, field: str) -> dict[str, Any]:
    """What the page gave to its only component that has this field."""
    found = [json.loads(one.json or "[{}]")[0] for one in view.of("bidi_component")]
    (data,) = (one for one in found if field in one)
    return data


def told(view: View) -> tuple[Any, ...]:
    """What a link restores: the page's own link, maps, points, settings."""
    data = component(view, "panels")
    titles = [panel["title"] for panel in data["panels"]]
    return component(view, "parameters")["parameters"], titles, data["pins"], data["settings"]


LINK = "seed=7&model=sam&pin=100-200-4&pin=20-30-1&scale=log"


async def killed_in_mid_forward(address: str, process: subprocess.Popen[bytes]) -> tuple[Any, ...]:
    """What the page of a link showed, before the server was killed while it worked on another street."""
    async with Visitor(address) as visitor:
        visitor.query = LINK
        before = told(await visitor.run("inspect"))
        visitor.set("number_input", "Street", double_value=99)
        await visitor.click("inspect")
        while "segviz_computations_running 0" in await asyncio.to_thread(metrics, address):
            await asyncio.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        with pytest.raises(websockets.ConnectionClosed):
            await visitor.seconds_until_settled()
    return before


def metrics(address: str) -> str:
    return str(urlopen(f"{address}/metrics", timeout=30).read(), "utf-8").replace(".0", "")


async def page_of(address: str) -> View:
    async with Visitor(address) as visitor:
        visitor.query = LINK
        return await visitor.run("inspect")


def import_s() -> float:
    """Seconds that a new Python takes to import what every page needs: how slow the machine is just now."""
    start = time.monotonic()
    subprocess.run((sys.executable, "-c", "import streamlit, torch, timm"), check=True)
    return time.monotonic() - start


@pytest.mark.alone
def test_a_killed_server_is_back_and_a_link_restores_its_page(tmp_path: Path) -> None:
    port = find_free_port()
    address = f"http://127.0.0.1:{port}"
    with started(port, tmp_path / "first") as process:
        wait_until_healthy(address, process, tmp_path / "first")
        before = asyncio.run(killed_in_mid_forward(address, process))
        assert process.wait(10) == -signal.SIGKILL
    start = time.monotonic()
    with started(port, tmp_path / "second") as process:
        wait_until_healthy(address, process, tmp_path / "second")
        healthy = time.monotonic() - start
        view = asyncio.run(page_of(address))
        seconds = time.monotonic() - start
    bare = import_s()
    print(f"healthy after {healthy:.1f} s, the page there after {seconds:.1f} s; imports alone take {bare:.1f} s")
    assert healthy < BACK_S
    assert seconds < max(BACK_S, SLOW * bare)
    assert not view.errors and not view.failed
    assert told(view) == before
    assert sorted("=".join(one) for one in before[0]) == sorted(LINK.split("&"))
    assert "Column map" in before[1] and before[2] == [[100, 200, 4], [20, 30, 1]]


# ---- training -------------------------------------------------------------------------------------------

STEPS = 6
MOMENTS = (
    "step 1", "step 4", "sync state 1", "sync state 3", "rename state 1", "rename state 4", "sync checkpoint 1",
    "rename checkpoint 1", "sync log 1", "rename log 1",
)  # fmt: skip
KINDS = {".resume.pt.part": "state", ".safetensors.part": "checkpoint", ".csv.part": "log"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_until(moment: str, data: Path, out: Path) -> None:
    """In a process of its own: train, saving the state after every step, and be killed at the moment."""
    seen: dict[str, int] = {}
    step, sync, rename = TrainingRun.step, os.fsync, Path.replace

    def at(what: str) -> None:
        seen[what] = seen.get(what, 0) + 1
        if f"{what} {seen[what]}" == moment:
            die()

    def of(path: Path) -> str:
        return next(kind for ending, kind in KINDS.items() if path.name.endswith(ending))

    def stepped(self: TrainingRun, *given: Any) -> Any:
        at("step")
        return step(self, *given)

    def synced(file: int) -> None:
        at(f"sync {of(Path(f'/proc/self/fd/{file}').readlink())}")
        sync(file)

    def renamed(self: Path, target: Path) -> Path:
        at(f"rename {of(self)}")
        return rename(self, target)

    TrainingRun.step, os.fsync, Path.replace = stepped, synced, renamed  # type: ignore[method-assign,assignment]
    training.SECONDS_BETWEEN_SAVES = 0.0
    torch.set_num_threads(1)  # as in the tests: another number gives other last digits
    train_model(options(data, out, steps=STEPS))


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "sam.safetensors"
    train_model(options(data, out, steps=STEPS))
    return out


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that begin with torch imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_recovery"])
    with pytest.MonkeyPatch.context() as patch:  # Python 3.11 tells the server no path, and says nothing when it fails
        patch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parent), python_path())))
        forkserver.ensure_running()
    return context


@pytest.mark.skipif(sys.platform != "linux", reason="looks a file's name up as Linux has it")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_training_loses_a_step_at_most_and_leaves_nothing_half_written(
    moment: str, data: Path, undisturbed: Path, processes: Any, tmp_path: Path
) -> None:
    out = tmp_path / "sam.safetensors"
    process = processes.Process(target=train_until, args=(moment, data, out))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    if out.exists():
        checkpoint_file.load_checkpoint(out)
    state = out.with_suffix(".resume.pt")
    done = read_state(state, options(data, out, steps=STEPS).identity)["step"] if state.exists() else 0
    what, count = moment.split()[0], int(moment.split()[-1])
    assert done == (STEPS if "state" not in moment and what != "step" else count - 1)
    train_model(options(data, out, steps=STEPS, resume=state.exists()))
    assert same_weights(undisturbed, out)
    assert {path.name for path in tmp_path.iterdir()} == {"sam.safetensors", "sam.csv"}


def test_the_state_is_kept_often_enough() -> None:
    assert training.SECONDS_BETWEEN_SAVES <= 30  # and a step: under a minute


def test_the_log_of_a_resumed_training_is_that_of_one_undisturbed(data: Path, tmp_path: Path, processes: Any) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, killed = (tmp_path / name / "sam.safetensors" for name in ("whole", "killed"))
    train_model(options(data, whole, steps=STEPS))
    process = processes.Process(target=train_until, args=("step 4", data, killed))
    process.start()
    process.join(120)
    train_model(options(data, killed, steps=STEPS, resume=True))
    rows = [[line.split(",") for line in path.with_suffix(".csv").read_text().splitlines()] for path in (whole, killed)]
    assert [[row[0], *row[2:]] for row in rows[0]] == [[row[0], *row[2:]] for row in rows[1]]  # but for the minutes


# ---- damaged checkpoints --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled checkpoints, one with a flipped bit, one cut, one gone, one with another's content."""
    found = tmp_path / "checkpoints"
    shutil.copytree(checkpoints_folder(), found, copy_function=link_or_copy)
    fresh(found / "fla.safetensors")
    checkpoint_file.rewrite_record(found / "fla.safetensors", checkpoint_file.read_record(found / "fla.safetensors"))
    data = bytearray((found / "fla.safetensors").read_bytes())
    data[-1000] ^= 1
    (found / "fla.safetensors").write_bytes(data)
    fresh(found / "psa.safetensors").write_bytes((checkpoints_folder() / "psa.safetensors").read_bytes()[:-1])
    (found / "rcca.safetensors").unlink()
    fresh(found / "ema.safetensors").write_bytes((checkpoints_folder() / "sam.safetensors").read_bytes())
    return found


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


def fresh(path: Path) -> Path:
    """A file of its own in the place of a link to one that others have too."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    return path


DAMAGED = {
    "fla": "is damaged: its weights are not those that were written",
    "psa": "is not a whole safetensors file",
    "ema": "holds a 'sam' model, not 'ema'",
}


async def pages(address: str) -> dict[str, View]:
    async with Visitor(address) as visitor:
        found = {page: await visitor.run(page) for page in ("same_pixel", "fla", "psa", "sam", "results")}
    async with Visitor(address) as visitor:
        visitor.query = "model=sam"
        return {**found, "inspect": await visitor.run("inspect")}


def test_damaged_checkpoints_are_named_and_the_other_models_go_on(folder: Path, tmp_path: Path) -> None:
    bundled = {path.name: file_digest(path) for path in checkpoints_folder().glob("*.safetensors")}
    with app_server(tmp_path / "log", SEGVIZ_CHECKPOINTS=str(folder)) as address:
        found = asyncio.run(pages(address))
    assert not any(view.of("exception") or view.failed for view in found.values())
    blocks = "\n".join(found["same_pixel"].errors)
    for name, words in DAMAGED.items():
        assert f"{name}.safetensors {words}" in blocks.replace("\\", "")
    titles = {panel["title"]: panel for panel in component(found["same_pixel"], "panels")["panels"]}
    sound = [name for name in MODELS if name not in DAMAGED and name != "rcca" and MODELS[name].maps]
    assert all(titles[MODELS[name].title]["map"] for name in sound if name != "channel_nl")
    assert MODELS["rcca"].title not in titles
    assert DAMAGED["fla"] in found["fla"].errors[0] and DAMAGED["psa"] in found["psa"].errors[0]
    for page in ("sam", "inspect"):
        assert not found[page].errors and component(found[page], "panels")["panels"]
    assert any("psa.safetensors" in one for one in found["results"].errors)
    assert {path.name: file_digest(path) for path in checkpoints_folder().glob("*.safetensors")} == bundled


def test_a_flipped_bit_is_found_in_any_model(tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes((checkpoints_folder() / "sam.safetensors").read_bytes())
    checkpoint_file.rewrite_record(path, checkpoint_file.read_record(path))
    sound = path.read_bytes()
    checkpoint_file.load_checkpoint(path)
    for at in (checkpoint_checks.weights_start(sound), len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        for use in (
            checkpoint_file.load_checkpoint,
            lambda path: checkpoint_file.rewrite_record(path, checkpoint_file.read_record(path)),
        ):
            with pytest.raises(CheckpointError, match=r"sam\.safetensors is damaged: its weights are not those that"):
                use(path)
