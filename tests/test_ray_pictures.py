"""Many pictures over a real local Ray cluster: the bytes of one machine, and workers that die, stop or are too many."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from long_runs import files_of, make_album, make_data

from segviz import paths
from segviz.batch.finished_pictures import LIST_NAME
from segviz.cli import scores
from segviz.cli.main import read_command, run_command

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    import ray
    from ray.exceptions import RayError
    from ray_jobs import OddJob
    from ray_models import python_path
    from ray_nodes import QUICK

    from segviz.batch.ordered_map import WorkerLostError, map_in_order
    from segviz.batch.ray_cluster import NoWorkersError, WorkerShare, join_cluster
    from segviz.batch.ray_workers import JOIN_S, HiredWorker, RayWorkers
    from segviz.cluster.picture_worker import WorkerReport
    from segviz.version import VERSION

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
WORKER = "PictureWorker"  # in the title of a worker's process
SMALL = ["--input-size", "64,96"]
SERVE_CLUSTER = """
import sys
import ray
from segviz.cluster.few_processes import leave_out_processes
with leave_out_processes():
    found = ray.init(
        address="local", num_cpus=2, include_dashboard=False, object_store_memory=150 * 2**20,
        _node_ip_address="127.0.41.1",
    )
print(found.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[str, psutil.Process]]:
    """A cluster of two cores in another process, for which this one has the token: its address and that process."""
    with pytest.MonkeyPatch.context() as patch, python_path():
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_AUTH_MODE", "token")
        for name, value in QUICK.items():
            patch.setenv(name, value)
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVE_CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address, psutil.Process(process.pid)
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="module")
def cluster(started: tuple[str, psutil.Process]) -> str:
    return started[0]


@pytest.fixture
def worker_count(started: tuple[str, psutil.Process]) -> Callable[[], int]:
    """What counts the processes of workers of this cluster."""

    return lambda: names_of(started[1].children(recursive=True)).count(WORKER)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_album(tmp_path_factory.mktemp("album") / "in", 5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads as a worker has, on which the last bits of results depend."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def segviz(*words: object) -> int:
    """Run a command in this process, which is in the cluster then, and not in a child of its own."""
    options = read_command([str(word) for word in words])
    options.cluster_folder = ""  # of no use to a cluster that runs already
    return run_command(options)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# ---- equal to one machine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "--model", "fcn"],
        ["predict", "--model", "ema", "--crop", "48", "48", "--flip"],
        ["attend", "--model", "psa", "--at", "30,40", "--map", "collect", "--format", "svg", "npz"],
    ],
    ids=["predict", "predict by a protocol", "attend"],
)
def test_two_workers_write_the_bytes_of_one_process(
    words: list[str],
    cluster: str,
    worker_count: Callable[[], int],
    album: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = []
    for name, more in (("one", []), ("two", ["--ray", cluster, "--workers", "2"])):
        size = [] if "--crop" in words else SMALL
        assert segviz(words[0], album, "scene:5", *words[1:], *size, "--json", "--out", tmp_path / name, *more) == 1
        said = capsys.readouterr()
        problems = [line for line in said.err.splitlines() if line.startswith("segviz:")]
        told.append((json.loads(said.out.replace(f"/{name}/", "/x/")), problems))
    assert told[0] == told[1]
    assert len(told[0][0]) == 5 and re.search(r"03\.jpg: ", told[0][1][0])
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    until(lambda: worker_count() == 0)


def test_scores_are_those_of_one_process(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MODELS", {"fcn": None, "psa": None})
    data = make_data(tmp_path / "streets", 5)
    more = ["--multi-scale", "--scales", "1,1.5", "--without-context", "--scenes", "1", "--maps"]
    words = ["evaluate", "--model", "all", "--data", data, *more, "--json"]
    assert segviz(*words) == 0
    one = capsys.readouterr().out
    assert segviz(*words, "--ray", cluster, "--resume", tmp_path / "counts.jsonl") == 0
    assert capsys.readouterr().out == one
    assert segviz(*words, "--resume", tmp_path / "counts.jsonl") == 0
    assert capsys.readouterr().out == one


def test_a_zip_and_a_network_of_ones_own_travel_too(
    cluster: str, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    import torch\n"
        "    torch.manual_seed(0)\n"
        "    return nn.Conv2d(3, 3, 3, padding=1)\n"
    )
    words = ["predict", album, "--model", "net.py:build", "--classes", "a,b,c"]
    assert segviz(*words, "--zip", "one.zip") == 1
    assert segviz(*words, "--zip", "two.zip", "--ray", cluster) == 1
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()


# ---- what goes wrong -------------------------------------------------------------------------------------


@pytest.fixture
def workers(cluster: str) -> Iterator[RayWorkers]:
    with join_cluster(cluster, ""):
        made = RayWorkers(WorkerShare(cpus=0.5), 2)
        yield made
        made.close()


def run_tasks(workers: RayWorkers, tasks: Sequence[str]) -> list[Any]:
    return list(map_in_order(workers, tasks, lambda task: task))


def test_a_worker_that_dies_costs_one_more_attempt_and_the_second_is_the_pictures_problem(
    workers: RayWorkers, tmp_path: Path
) -> None:
    workers.open(OddJob(str(tmp_path), "a note\n"))
    tasks = ["sleep 0.1", "die-once", "die", "raise it", *(f"sleep 0.{number}1" for number in range(4))]
    found = run_tasks(workers, tasks)
    assert isinstance(found[2], WorkerLostError)
    assert isinstance(found[3], RuntimeError) and str(found[3]) == "StrangeError: it"
    good = [f"{task}, 1" for task in tasks]
    assert [found[at] for at in (0, 1, 4, 5, 6, 7)] == [good[at] for at in (0, 1, 4, 5, 6, 7)]


def test_a_cancel_kills_workers_in_the_middle_of_a_picture(
    workers: RayWorkers, worker_count: Callable[[], int], tmp_path: Path
) -> None:
    workers.open(OddJob(str(tmp_path)))
    assert worker_count() == 2
    start = time.monotonic()
    over = lambda: (tmp_path / "sleep 60").exists()  # noqa: E731
    assert list(map_in_order(workers, ["sleep 0", "sleep 60", "sleep 61"], str, over)) in ([], ["sleep 0, 1"])
    workers.close()
    until(lambda: worker_count() == 0)
    assert time.monotonic() - start < 30


def test_what_cannot_start_is_said_and_not_waited_for(
    cluster: str, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", album, "--model", "fcn", "--out", tmp_path / "out"]
    assert segviz(*words, "--ray", cluster, "--workers", "9") == 1
    assert (
        "9 workers with 1 CPU core each were asked for, but the cluster has only 2 CPU cores" in capsys.readouterr().err
    )
    assert segviz(*words, "--ray", "127.0.0.1:1") == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err
    assert segviz(*words, "--ray", cluster, "--workers", "1", "--flip", "--whole") == 2
    assert "is shown whole anyway; remove --whole" in capsys.readouterr().err
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert segviz(*words, "--ray", cluster) == 1
    assert "holds no token" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert not ray.is_initialized()


def test_a_job_that_cannot_be_opened_raises_its_own_error(workers: RayWorkers, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the network has no classes"):
        workers.open(OddJob(str(tmp_path), broken="the network has no classes"))


def test_where_the_rest_dies_as_it_starts_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    report = WorkerReport("", VERSION, torch.__version__)
    references = iter(range(99))
    looks: list[int] = []

    def get(reference: int) -> WorkerReport:
        if reference:  # all but the first worker
            raise RayError("it died")
        return report

    def wait(open_ones: list[int], **_: Any) -> tuple[list[int], list[int]]:
        looks.append(len(open_ones))
        return open_ones, []

    for name, fake in (("put", lambda job: job), ("get", get), ("wait", wait), ("kill", lambda actor: None)):
        monkeypatch.setattr(ray, name, fake)
    made = RayWorkers(WorkerShare(), 3)
    monkeypatch.setattr(made, "_hire", lambda: HiredWorker(None, next(references)))
    start = time.monotonic()
    assert made.open(OddJob("")) is report
    assert made.count == 1 and time.monotonic() - start < JOIN_S / 2
    assert looks == [3, 2, 1]


def test_a_share_of_nothing_is_refused(cluster: str) -> None:
    from segviz.batch.ray_cluster import count_fitting

    with pytest.raises(NoWorkersError, match="above 0"):
        count_fitting(WorkerShare(0.0, 0.0), 2, 0)


# ---- Ctrl-C in a terminal, and going on ------------------------------------------------------------------


def start_command(*words: object) -> subprocess.Popen[str]:
    """A command as a person starts it, in a terminal of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "segviz", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=paths.PACKAGE.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


def started_by(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def names_of(processes: Sequence[psutil.Process]) -> str:
    found = []
    for one in processes:
        with suppress(psutil.Error):  # it has ended since
            found += one.cmdline()
    return " ".join(found)


def test_a_command_that_is_killed_leaves_nothing_of_its_cluster(tmp_path: Path) -> None:
    process = start_command("predict", "scene:0", "scene:1", "--model", "fcn", "--out", tmp_path / "out", "--ray")
    until(lambda: "RuntimeEnvAgent" in names_of(started_by(process)), 200)
    own = started_by(process)
    assert "raylet" in names_of(own)
    folder = Path(next(one.cmdline() for one in own if "segviz.cli.cluster_child" in one.cmdline())[4])
    assert folder.is_dir()
    process.kill()
    process.communicate(timeout=60)
    assert not psutil.wait_procs(own, timeout=30)[1]
    until(lambda: not folder.exists())


def test_ctrl_c_ends_the_command_and_its_cluster_and_a_resume_ends_like_one_run(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    album, out = make_album(tmp_path / "album", 14), tmp_path / "out"
    words = ["predict", str(album), "--model", "fcn", "--input-size", "360,480", "--out"]
    process = start_command(*words, out, "--ray", "--workers", "1")
    assert process.stdout is not None
    process.stdout.readline()
    own = started_by(process)
    assert "raylet" in names_of(own)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(
        r"^segviz: stopped after \d+ of 14 pictures; their files are kept; add --resume to process the rest$",
        said,
        re.MULTILINE,
    ), said
    assert "Traceback" not in said
    assert not psutil.wait_procs(own, timeout=30)[1], "the command's cluster has ended with it"
    assert (out / LIST_NAME).is_file()
    assert segviz(*words, out, "--resume", "--ray", cluster, "--workers", "1") == 1  # for the damaged picture
    assert "are finished already" in capsys.readouterr().err
    assert segviz(*words, tmp_path / "whole") == 1
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_cluster_that_is_lost_ends_the_command_with_a_sentence_and_what_is_finished_is_kept(
    started: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    """The last test of this file: the cluster is gone then."""
    address, head = started
    out = tmp_path / "out"
    scenes = [f"scene:{seed}" for seed in range(2000)]
    process = start_command(
        "predict", *scenes, "--model", "fcn", *SMALL, "--out", out, "--ray", address, "--workers", "1"
    )
    assert process.stdout is not None
    process.stdout.readline()
    own = started_by(process)
    for one in head.children(recursive=True):
        if one.name() == "raylet":
            one.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1] == (
        f"segviz: the Ray cluster at {address} was lost, and the command with it; the files of finished pictures are "
        f"kept in {out}; add --resume to process the rest"
    )
    assert "Traceback" not in said
    assert (out / LIST_NAME).is_file() and (out / "scene-0_labels.png").is_file()
    assert not psutil.wait_procs(own, timeout=30)[1]
