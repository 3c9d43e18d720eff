"""Several processes train as one does: the same weights, one set of files, one error, and --resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from timm.layers import BatchNormAct2d
from torch import nn

from segviz.catalogue.checkpoint_file import load_checkpoint, read_record
from segviz.cli import main
from segviz.data.classes import CAMVID
from segviz.data.sample import DataError
from segviz.data.scenes import draw_scene
from segviz.training.process_group import release_when
from segviz.training.processes import ALONE, Processes, join_processes
from segviz.training.synchronised import SHARED, SharedNorm, share_over

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds for a training of a few steps on a busy machine
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes with much void in one of them, so that the processes have unequal numbers of labelled pixels."""
    root = tmp_path_factory.mktemp("data")
    (root / "meta.json").write_text(json.dumps({"classes": list(CAMVID.names), "void": 255}))
    for split, seeds in (("train", (0, 1, 2, 3)), ("val", (4,))):
        (root / f"{split}.txt").write_text("\n".join(map(str, seeds)))
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for seed in seeds:
            scene = draw_scene(seed, width=96, height=72)
            labels = scene.labels.copy()
            labels[: 20 * (seed % 2)] = 255
            Image.fromarray(scene.image).save(root / split / "images" / f"{seed}.png")
            Image.fromarray(labels).save(root / split / "labels" / f"{seed}.png")
    return root


def launch(*words: str, count: int = 2, **planted: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **planted}
    command = [*TORCHRUN, str(count), *words] if count > 1 else [sys.executable, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, env=environment, cwd=ROOT
    )


# ---- one process's weights ---------------------------------------------------------------------------------


def tiny(norm: type[nn.Module]) -> nn.ModuleDict:
    return nn.ModuleDict({"net": nn.Sequential(nn.Conv2d(3, 4, 3), norm(4), nn.Dropout2d(0.5), nn.Dropout(0.1))})


def test_in_one_process_nothing_is_replaced() -> None:
    networks = tiny(nn.BatchNorm2d)
    share_over(ALONE, networks, torch.device("cpu"))
    assert not any(isinstance(module, tuple(SHARED.values())) for module in networks.modules())


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_the_shared_norm_is_batch_norm(kind: type[nn.Module]) -> None:
    own, shared = (kind(5).double() for _ in range(2))
    shared.__class__ = SHARED[kind]
    shared.processes = ALONE  # type: ignore[assignment]
    for step in range(3):
        x, y = (torch.randn(4, 5, 6, 7, generator=torch.Generator().manual_seed(step)).double() for _ in range(2))
        x.requires_grad_(), y.requires_grad_()
        own(x).square().sum().backward()
        shared(y).square().sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    own_state, shared_state = own.state_dict(), shared.state_dict()
    assert own_state.keys() == shared_state.keys()
    for name, value in own_state.items():
        torch.testing.assert_close(value, shared_state[name])
    torch.testing.assert_close(own.eval()(x), shared.eval()(x))


def test_the_shared_norm_refuses_a_single_value_as_batch_norm_does() -> None:
    norm = nn.BatchNorm2d(2)
    norm.__class__ = SharedNorm
    norm.processes = ALONE  # type: ignore[assignment]
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(torch.zeros(1, 2, 1, 1))


# In float64: in float32, one process differs from float64 as much as from two processes (docs/recipes.md).
CASES = {
    "own recipe": ("sam", "float64", {"jaccard": 0.5, "smoothing": 0.1, "rate": 1e-3}),
    "bases": ("ema", "float64", {"hard_share": 1.0, "rate": 1e-3}),
    "ohem": (
        "psa", "float64",
        {"ohem": 0.7, "hard_share": 1.0, "optimizer": "sgd", "rate": 1e-2, "part_rates": False, "average": 0.0,
         "auxiliary": {"eighth": 1.0, "reduced": 1.0}, "auxiliary_stride": 1, "rotation": 10.0, "blur": 0.5},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of all cases, of one process and of two."""
    results = []
    for count in (1, 2):
        out = tmp_path_factory.mktemp("trained") / "out.pt"
        ran = launch(str(ROOT / "tests" / "two_processes.py"), str(data), str(out), json.dumps(CASES), count=count)
        assert ran.returncode == 0, ran.stderr
        results.append(torch.load(out, weights_only=True))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_weights_of_one(case: str, trained: list[dict[str, Any]]) -> None:
    one, two = (results[case] for results in trained)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert one["weights"].keys() == two["weights"].keys()
    for name, value in one["weights"].items():
        torch.testing.assert_close(value, two["weights"][name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.slow
def test_where_one_process_is_out_of_memory_all_halve_their_parts(data: Path, tmp_path: Path) -> None:
    """First process 1 in the middle of the network, then process 0 on the way back; nothing of what was tried stays."""
    words = (str(ROOT / "tests" / "two_processes.py"), str(data), str(tmp_path / "out.pt"))
    cases = json.dumps({"short": ["ema", "float32", {"batch": 8, "rate": 1e-3}]})
    ran = launch(*words, cases, NO_ROOM=json.dumps([[1, "forward"], [0, "backward"]]))
    assert ran.returncode == 0, ran.stderr
    told, short = torch.load(tmp_path / "out.pt", weights_only=True)["short"]
    assert short["losses"] == told["losses"]
    assert all(torch.equal(value, told["weights"][name]) for name, value in short["weights"].items())
    rest = "at a time in each process, and BatchNorm normalises over these instead of the whole batch"
    assert [line for line in ran.stderr.splitlines() if line.startswith("segviz: ")] == [
        f"segviz: process {process} ran out of memory: from now on each batch is processed {some} {rest}"
        for process, some in ((1, "2 pictures"), (0, "1 picture"))
    ]


@pytest.mark.parametrize("told", [True, False])
def test_what_waits_is_released_where_another_has_no_room(told: bool) -> None:
    released = threading.Event()
    with release_when(lambda: told, released.set):
        assert released.wait(PATIENCE if told else 0.5) is told


# ---- files, errors, signals --------------------------------------------------------------------------------


def train_words(data: Path, out: Path, *more: str) -> tuple[str, ...]:
    options = "train --model sam --steps 4 --batch 4 --crop 64 64 --scenes 0 --device cpu --rate 0.001"
    return ("-m", "segviz", *options.split(), "--data", str(data), "--out", str(out), *more)


@pytest.mark.slow
def test_a_training_in_two_processes_writes_once_and_resumes_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    ran = launch(*train_words(data, tmp_path / "whole.safetensors"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("4 steps in") == 1 and ran.stderr.count("starting from") == 1
    command = read_record(tmp_path / "whole.safetensors").command
    assert command.startswith("torchrun --nproc_per_node 2 -m segviz train --model sam --steps 4")

    out = tmp_path / "stopped.safetensors"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [*TORCHRUN, "2", *train_words(data, out, "--validate", "1")]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
    )
    state, end = out.with_suffix(".resume.pt"), time.monotonic() + PATIENCE
    while not state.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # torchrun passes it on
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0 and not out.exists(), said
    assert "the same command with --resume goes on from the last saved step" in said
    assert 1 <= torch.load(state, weights_only=True)["step"] < 4
    ran = launch(*train_words(data, out, "--resume"))
    assert ran.returncode == 0, ran.stderr
    one, other = (load_checkpoint(path)[0].state_dict() for path in (tmp_path / "whole.safetensors", out))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def complaints(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """What segviz said, without notes about a training that starts."""
    lines = [line for line in ran.stderr.splitlines() if line.startswith("segviz: ")]
    return [line for line in lines if not line.startswith(("segviz: starting from", "segviz: train split"))]


@pytest.mark.slow
def test_an_error_in_one_process_ends_all_with_one_sentence(data: Path, tmp_path: Path) -> None:
    script = tmp_path / "fail.py"
    script.write_text(
        "import os, sys\n"
        "from segviz.cli import main\n"
        "from segviz.training.run import TrainingRun\n"
        "step = TrainingRun.step\n"
        "def failing(self, batch, number):\n"
        "    if os.environ['RANK'] == '1' and number == 2:\n"
        "        raise OSError(28, 'No space left on device', 'x')\n"
        "    return step(self, batch, number)\n"
        "TrainingRun.step = failing\n"
        "sys.exit(main.main())\n"
    )
    out = tmp_path / "sam.safetensors"
    ran = launch(str(script), *train_words(data, out)[2:])
    assert ran.returncode != 0 and not out.exists()
    assert complaints(ran) == ["segviz: x: no space left on device; check the path, its permissions and the free space"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "words"),
    [((), "meta.json is missing"), (("--batch", "3"), "a batch of 3 cannot be shared equally by 2 processes")],
)
def test_an_error_in_all_processes_is_told_once(more: tuple[str, ...], words: str, tmp_path: Path) -> None:
    ran = launch(*train_words(tmp_path, tmp_path / "sam.safetensors", *more))
    assert ran.returncode != 0
    (told,) = complaints(ran)
    assert words in told


def test_wrong_usage_is_told_by_the_first_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for rank, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        for words in (["train"], ["train", "--model", "sam", "--data", "x", "--steps", "1", "--epochs", "1"]):
            with suppress(SystemExit):
                assert main.main(words) == 2
            assert capsys.readouterr().err.count("segviz: ") == lines


# ---- what torchrun tells -----------------------------------------------------------------------------------


def test_a_half_set_environment_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(DataError, match="WORLD_SIZE is set, but RANK and MASTER_ADDR and MASTER_PORT not; start with"),
        join_processes(torch.device("cpu")),
    ):
        pass
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(DataError, match="WORLD_SIZE is 'two', not a whole number"), join_processes(torch.device("cpu")):
        pass


def test_a_part_of_a_batch_is_a_run_of_it() -> None:
    whole = torch.arange(6)
    assert [Processes(index, 3).own_part(whole).tolist() for index in range(3)] == [[0, 1], [2, 3], [4, 5]]
