"""Training: on two pictures, interrupted and resumed, from another model's weights."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from segviz.catalogue import checkpoint_file
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.record import VAL, Record
from segviz.data.classes import CAMVID
from segviz.data.open_data_set import load_split
from segviz.data.sample import DataError, Sample
from segviz.data.scenes import draw_scene
from segviz.evaluation.evaluate import evaluate_samples
from segviz.models.ablation import block_gammas
from segviz.models.registry import build
from segviz.training import loop as training
from segviz.training import optimizer as training_optimizer
from segviz.training import run as training_run
from segviz.training.checks import DivergedError, describe_absent
from segviz.training.initialise import initialise
from segviz.training.loop import train_model
from segviz.training.options import TrainOptions, poly_rate
from segviz.training.resume import check_output, read_state, save_state
from segviz.training.run import TrainingRun


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of drawn scenes: three to train on, two to score."""
    root = tmp_path_factory.mktemp("data")
    (root / "meta.json").write_text(json.dumps({"classes": list(CAMVID.names), "void": 255}))
    for split, seeds in (("train", (0, 1, 2)), ("val", (3, 4))):
        (root / f"{split}.txt").write_text("\n".join(map(str, seeds)))
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for seed in seeds:
            scene = draw_scene(seed, width=96, height=72)
            Image.fromarray(scene.image).save(root / split / "images" / f"{seed}.png")
            Image.fromarray(scene.labels).save(root / split / "labels" / f"{seed}.png")
    return root


def options(data: Path, out: Path, **changes: object) -> TrainOptions:
    start = TrainOptions(
        "sam", data, out, steps=6, batch=2, crop=(64, 64), rate=1e-3, scenes=0, device="cpu", command="as typed"
    )
    return dataclasses.replace(start, **changes)  # type: ignore[arg-type]


def same_weights(first: Path, second: Path) -> bool:
    one, other = (checkpoint_file.load_checkpoint(path)[0].state_dict() for path in (first, second))
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    out = tmp_path_factory.mktemp("out") / "sam.safetensors"
    return out, train_model(options(data, out))


def test_the_record_says_how_the_checkpoint_was_made(finished: tuple[Path, Record]) -> None:
    path, record = finished
    assert checkpoint_file.read_record(path) == record
    assert (record.model, record.steps, record.seed, record.command) == ("sam", 6, 0, "as typed")
    assert record.val_miou is not None and 0 <= record.val_miou <= 1
    assert set(record.evaluations[VAL].iou) == set(CAMVID.names) and record.scenes_miou is None
    assert {"torch", "timm", "numpy", "python"} <= set(record.versions)
    told = {name: record.settings[name] for name in ("recipe", "batch", "crop", "optimizer", "auxiliary", "scales")}
    assert list(told.values()) == ["segviz", "2", "64 64", "adamw", "middle=0.4 context=0.4", "0.6-1.8"]


def test_the_score_is_that_of_the_file(finished: tuple[Path, Record], data: Path) -> None:
    path, record = finished
    model, _ = checkpoint_file.load_checkpoint(path)
    samples = load_split(data, "val").samples
    assert evaluate_samples(model, samples, CAMVID.names, "val").miou == pytest.approx(record.val_miou, abs=1e-4)


def test_stopping_and_resuming_gives_the_weights_of_not_stopping(
    finished: tuple[Path, Record],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sam.safetensors"
    calls = 0

    def stop_at_step_four(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # in the middle of the fourth step, behind the optimizer's
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "STEPS_BETWEEN_ROWS", 2)
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        patch.setattr(training_run, "update_bases", stop_at_step_four)
        with pytest.raises(KeyboardInterrupt):
            train_model(options(data, out))
    assert not out.exists() and out.with_suffix(".resume.pt").exists()
    assert "segviz: starting from random weights" in capsys.readouterr().err
    record = train_model(options(data, out, resume=True))
    said = capsys.readouterr().err
    assert "segviz: resuming at step " in said and "starting from" not in said
    assert record.steps == 6 and not out.with_suffix(".resume.pt").exists()
    assert same_weights(finished[0], out)


@pytest.mark.parametrize(
    "content", [b"", b"no state", b"PK\x05\x06" + bytes(18), b"\x80\x02]q\x00.", b"\x80\x04K\x01."]
)
def test_a_damaged_state_is_named(data: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sam.resume.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"sam\.resume\.pt is damaged; delete it and start without --resume"):
        train_model(options(data, tmp_path / "sam.safetensors", resume=True))


def test_a_state_of_other_options_is_told_with_them(tmp_path: Path) -> None:
    own = options(tmp_path, tmp_path / "sam.safetensors", steps=400)
    save_state(tmp_path / "sam.resume.pt", {"identity": own.identity})
    assert read_state(tmp_path / "sam.resume.pt", options(tmp_path, tmp_path / "b", steps=400, rate=0.5).identity)
    changed = options(tmp_path, tmp_path / "b", steps=30, mirror=False).identity
    with pytest.raises(
        DataError, match=r"other options \(steps: 400, now 30; mirror: yes, now no\); repeat its command"
    ):
        read_state(tmp_path / "sam.resume.pt", changed)


def test_a_finished_run_is_neither_resumed_nor_replaced_unasked(
    finished: tuple[Path, Record], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_split", lambda *_: pytest.fail("data were read"))
    out, before = finished[0], finished[0].read_bytes()
    with pytest.raises(
        DataError, match=r"the run is finished: .*sam\.safetensors has it, after 6 steps; to train again"
    ):
        train_model(options(data, out, resume=True))
    with pytest.raises(DataError, match=r"sam\.safetensors exists already; give another --out, or --overwrite to"):
        train_model(options(data, out))
    assert out.read_bytes() == before
    check_output(out, out.with_suffix(".resume.pt"), resume=False, overwrite=True)


def test_the_state_of_an_interrupted_run_is_not_replaced_unasked(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_split", lambda *_: pytest.fail("data were read"))
    out, state = tmp_path / "sam.safetensors", tmp_path / "sam.resume.pt"
    state.write_bytes(b"steps of another run")
    with pytest.raises(
        DataError, match=r"sam\.resume\.pt is the state of an interrupted run; .*another --out, or --over"
    ):
        train_model(options(data, out))
    assert state.read_bytes() == b"steps of another run"
    check_output(out, state, resume=False, overwrite=True)


@pytest.mark.parametrize("left", ["state", "checkpoint"])
def test_a_run_that_overwrites_is_the_one_that_is_resumed(
    left: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in its first half minute comes before the state is saved again."""
    out, state = tmp_path / "sam.safetensors", tmp_path / "sam.resume.pt"
    own = options(data, out)
    if left == "checkpoint":
        out.write_bytes(b"another run's")
    else:
        save_state(state, {"identity": own.identity, "step": 5})

    class Killed(BaseException):
        """What no handler of the training sees."""

    def kill(self: TrainingRun, batch: object, number: int) -> torch.Tensor:
        raise Killed

    monkeypatch.setattr(TrainingRun, "step", kill)
    with pytest.raises(Killed):
        train_model(dataclasses.replace(own, overwrite=True))
    check_output(out, state, resume=True, overwrite=False)
    assert read_state(state, own.identity)["step"] == 0


def test_what_a_run_would_overwrite_stays_until_its_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "sam.resume.pt"
    state.write_bytes(b"steps of another run")
    with pytest.raises(DataError, match="gamma has no effect"):
        train_model(options(data, tmp_path / "sam.safetensors", overwrite=True, gamma=0.5))
    assert state.read_bytes() == b"steps of another run"


def test_a_resumed_run_may_replace_the_checkpoint_that_it_began_beside(tmp_path: Path) -> None:
    (tmp_path / "sam.resume.pt").touch()
    (tmp_path / "sam.safetensors").touch()
    check_output(tmp_path / "sam.safetensors", tmp_path / "sam.resume.pt", resume=True, overwrite=False)


def test_resuming_nothing_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to resume from"):
        train_model(options(data, tmp_path / "sam.safetensors", resume=True))


def test_the_budget_ends_a_long_training(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = train_model(options(data, tmp_path / "sam.safetensors", steps=100_000, budget=0.01))
    assert 0 < record.steps < 1000 and record.minutes < 1
    assert f"--budget ended the training at step {record.steps} of 100000" in capsys.readouterr().err


def test_bad_data_stops_training_before_its_first_step(data: Path, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"classes": list(CAMVID.names)}))
    with pytest.raises(DataError, match=r"train\.txt is missing"):
        train_model(options(tmp_path, tmp_path / "sam.safetensors"))
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "units", [pytest.param(True, id="bfloat16", marks=pytest.mark.slow), pytest.param(False, id="float32")]
)
def test_training_lowers_the_loss(units: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "has_bfloat16_units", lambda device: units)
    before = train_model(options(data, tmp_path / "before.safetensors", steps=1, rate=1e-9))
    after = train_model(options(data, tmp_path / "after.safetensors", steps=30, rate=3e-3))
    assert after.val_miou is not None and before.val_miou is not None
    assert after.val_miou > before.val_miou + 0.05


def test_bfloat16_is_for_devices_that_have_units_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training_run.has_bfloat16_units(torch.device("cuda"))
    for found in ({"amx_bf16": True}, {"amx_bf16": False}, {}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        assert training_run.has_bfloat16_units(torch.device("cpu")) is found.get("amx_bf16", False)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not training_run.has_bfloat16_units(torch.device("cpu"))


@pytest.mark.parametrize("name", ["channel_nl", "spatial_nl", "rcca", "fla", "cs_nl", "snl", "psa"])
def test_a_model_starts_out_as_the_checkpoint_that_it_starts_from(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = build("fcn", 3).eval()
    record = Record("fcn", ("a", "b", "c"), "mobilenetv2_100", 8)
    checkpoint_file.write_checkpoint(tmp_path / "fcn.safetensors", base, record)
    base, _ = checkpoint_file.load_checkpoint(tmp_path / "fcn.safetensors")
    model = build(name, 3).eval()
    initialise(model, tmp_path / "fcn.safetensors")
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(model(image).logits, base(image).logits, atol=1e-4, rtol=1e-4)


def test_gammas_that_the_checkpoint_lacks_begin_where_they_are_told_to(tmp_path: Path) -> None:
    record = Record("fcn", ("a", "b", "c"), "mobilenetv2_100", 8)
    checkpoint_file.write_checkpoint(tmp_path / "fcn.safetensors", build("fcn", 3), record)
    model = build("cs_nl", 3)
    initialise(model, tmp_path / "fcn.safetensors", gamma=0.5)
    assert block_gammas(model) == {"block.spatial.gamma": 0.5, "block.channel.gamma": 0.5}
    checkpoint_file.write_checkpoint(tmp_path / "cs_nl.safetensors", model, dataclasses.replace(record, model="cs_nl"))
    again = build("cs_nl", 3)
    initialise(again, tmp_path / "cs_nl.safetensors", gamma=0.25)
    assert block_gammas(again) == {"block.spatial.gamma": 0.5, "block.channel.gamma": 0.5}


def test_weights_that_fit_nowhere_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no weight that fits"):
        initialise(build("fcn", 3), tmp_path / "other.safetensors")
    model = build("rcca", 3)
    with pytest.raises(CheckpointError, match="no weight that fits"):
        initialise(model, tmp_path / "other.safetensors", gamma=0.5)
    assert block_gammas(model) == {"block.gamma": 0.0}  # it is as it was


def test_weights_that_are_not_finite_are_refused_before_any_is_taken(tmp_path: Path) -> None:
    model = build("fcn", 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_file({"conv_stem.weight": torch.full((32, 3, 3, 3), torch.nan)}, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match=r"'conv_stem\.weight' holds values that are not finite"):
        initialise(model, tmp_path / "nan.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def rows_of(log: Path) -> list[dict[str, str]]:
    with log.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_stands_beside_the_checkpoint(data: Path, tmp_path: Path) -> None:
    own = options(data, tmp_path / "sam.safetensors", steps=12, validate=5)
    record = train_model(own)
    rows = rows_of(tmp_path / "sam.csv")
    assert [row["step"] for row in rows] == ["5", "10", "12"]
    rates = [poly_rate(own, done / 12) for done in (4, 9, 11)]  # of the latest step, also in the last row
    assert [float(row["rate"]) for row in rows] == pytest.approx(rates, rel=1e-5)
    assert all(float(row["loss"]) > 0 and float(row["minutes"]) >= 0 for row in rows)
    assert all(0 <= float(row["val_miou"]) <= 1 for row in rows)
    assert float(rows[-1]["val_miou"]) == pytest.approx(record.val_miou)


def test_validating_on_the_way_changes_no_weight(finished: tuple[Path, Record], data: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS_BETWEEN_ROWS", 2)
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        train_model(options(data, tmp_path / "sam.safetensors", validate=2))
    assert same_weights(finished[0], tmp_path / "sam.safetensors")


def test_the_kept_weights_are_a_mean_over_steps(finished: tuple[Path, Record], data: Path, tmp_path: Path) -> None:
    train_model(options(data, tmp_path / "sam.safetensors", average=0.0))
    assert not same_weights(finished[0], tmp_path / "sam.safetensors")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
        RuntimeError("could not create a primitive"),
    ],
    ids=["torch", "a library", "oneDNN"],
)
def test_out_of_memory_halves_the_batch_and_training_goes_on(
    error: Exception, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = []

    def room_for_two(self: TrainingRun, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        sizes.append(-(-len(batch[0]) // self.parts))
        if sizes[-1] > 2:
            raise error
        return backward(self, batch)

    backward = TrainingRun._backward
    monkeypatch.setattr(TrainingRun, "_backward", room_for_two)
    record = train_model(options(data, tmp_path / "sam.safetensors", batch=8, steps=3))
    assert record.steps == 3 and sizes == [8, 4, 2, 2, 2]
    assert (
        capsys.readouterr().err.count("out of memory: from now on each batch is processed 2 pictures at a time, and")
        == 1
    )


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_optimizer_needs_no_memory_in_its_first_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that ran out there would end the training: the step is half taken, so that halving the batch is too late.

    The weights are those of an optimizer that allocates as it goes.
    """
    own = dataclasses.replace(options(Path(), Path()), optimizer=name, part_rates=False)
    weights = []
    for allocates in (True, False):
        if not allocates:
            monkeypatch.setattr(training_optimizer, "allocate_state", lambda optimizer: None)
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 1))
        optimizer = training_optimizer.make_optimizer(own, network, torch.device("cpu"))
        states = [state_places(optimizer)]
        for _ in range(2):
            optimizer.zero_grad()
            network(torch.rand(1, 3, 8, 8)).square().sum().backward()
            optimizer.step()
            states.append(state_places(optimizer))
        assert states[1] and (states[0] == states[1]) is allocates  # no tensor is new
        assert states[1] == states[2] and optimizer.param_groups[0]["lr"] == own.rate
        weights.append(torch.cat([one.detach().flatten() for one in network.parameters()]))
    assert torch.equal(*weights)


def state_places(optimizer: torch.optim.Optimizer) -> list[int]:
    """Where in memory the optimizer keeps each of its tensors."""
    return [one.data_ptr() for kept in optimizer.state.values() for one in kept.values() if torch.is_tensor(one)]


def test_a_single_picture_too_large_is_an_error(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: TrainingRun, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TrainingRun, "_backward", no_room)
    with pytest.raises(torch.OutOfMemoryError):
        train_model(options(data, tmp_path / "sam.safetensors"))


def test_a_batch_in_parts_has_the_gradient_of_the_whole(data: Path, tmp_path: Path) -> None:
    """But for batch norm, whose statistics are those of a part; so all of it is in evaluation mode here."""
    run = TrainingRun(
        options(data, tmp_path / "sam.safetensors", batch=4), load_split(data, "train"), torch.device("cpu")
    )
    run.networks.eval()
    gradients = []
    for run.parts in (1, 2):
        run._backward(run.sampler(0))
        gradients.append([p.grad.clone() for p in run.networks.parameters() if p.grad is not None])
    norms = [float(torch.cat([g.flatten() for g in one]).norm()) for one in gradients]
    assert norms[1] == pytest.approx(norms[0], rel=0.2)  # a part's loss is weighed by its own classes and void


def test_a_frozen_backbone_stays_as_it_was(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    record = Record("fcn", CAMVID.names, "mobilenetv2_100", 8)
    checkpoint_file.write_checkpoint(tmp_path / "fcn.safetensors", build("fcn", 11), record)
    start, _ = checkpoint_file.load_checkpoint(tmp_path / "fcn.safetensors")
    changes = {"steps": 3, "init": tmp_path / "fcn.safetensors", "freeze_backbone": True}
    train_model(options(data, tmp_path / "sam.safetensors", **changes))
    trained, _ = checkpoint_file.load_checkpoint(tmp_path / "sam.safetensors")
    before, after = start.backbone.state_dict(), trained.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    moved, kept = trained.decoder.state_dict(), start.decoder.state_dict()
    assert not torch.equal(moved["mix.0.weight"], kept["mix.0.weight"])


# ---- weights to start from ---------------------------------------------------------------------------------


def backbone_weights() -> dict[str, torch.Tensor]:
    """A MobileNetV2's weights by timm's names, its classifier left out."""
    weights = build("fcn", 3).state_dict()
    root = "backbone.body."
    return {name.removeprefix(root): torch.ones_like(one) for name, one in weights.items() if name.startswith(root)}


@pytest.mark.parametrize("prefix", ["", "module.", "encoder.", "backbone.", "module.encoder.", "model.backbone.body."])
def test_prefixes_of_frameworks_are_removed(prefix: str, tmp_path: Path) -> None:
    weights = backbone_weights()
    save_file(
        {f"{prefix}{name}": one for name, one in weights.items()} | {"head.weight": torch.zeros(1)}, tmp_path / "w.st"
    )
    model = build("fcn", 3)
    start = initialise(model, tmp_path / "w.st")
    assert start.title == f"w.st ({len(weights)} of {len(model.state_dict())} tensors)"
    assert all(bool((one == 1).all()) for one in model.backbone.state_dict().values())


def test_a_whole_model_behind_a_prefix_fits_as_it_does_without(tmp_path: Path) -> None:
    weights = build("fcn", 3).state_dict()
    save_file({f"module.{name}": one for name, one in weights.items()}, tmp_path / "w.st")
    model = build("fcn", 3)
    assert f"({len(weights)} of {len(weights)} tensors)" in initialise(model, tmp_path / "w.st").title


def test_weights_that_hardly_fit_are_refused_with_their_count(tmp_path: Path) -> None:
    resnet = timm.create_model("resnet18").state_dict()
    save_file({name: one.contiguous() for name, one in resnet.items()}, tmp_path / "resnet18.st")
    model = build("fcn", 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"holds {len(resnet)} tensors, of which \d+ fit the model: \d+ of its"):
        initialise(model, tmp_path / "resnet18.st")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_half_of_a_backbone_is_enough(tmp_path: Path) -> None:
    weights = backbone_weights()
    names = list(weights)
    for count, fits in ((-(-len(names) // 2), True), (len(names) // 2 - 1, False)):
        save_file({name: weights[name] for name in names[:count]}, tmp_path / "part.st")
        with nullcontext() if fits else pytest.raises(CheckpointError, match="fit the model"):
            initialise(build("fcn", 3), tmp_path / "part.st")


# ---- what is known at the start, and what comes later ------------------------------------------------------


def relabel(data: Path, root: Path, labels: dict[str, int], classes: list[str]) -> Path:
    """A copy of a data set in which each split has labels of one value only."""
    shutil.copytree(data, root)
    (root / "meta.json").write_text(json.dumps({"classes": classes, "void": 255}))
    for split in ("train", "val"):
        for path in (root / split / "labels").iterdir():
            Image.fromarray(np.full((72, 96), labels[split], np.uint8)).save(path)
    return root


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"train": 255, "val": 0}, "train split: every pixel is void"),
        ({"train": 0, "val": 255}, "train split: every labelled pixel is bg, and none is of fg"),
    ],
)
def test_labels_that_cannot_be_right_stop_training_before_its_first_step(
    labels: dict[str, int], words: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingRun, "step", lambda *_: pytest.fail("a step ran"))
    root = relabel(data, tmp_path / "data", labels, ["bg", "fg"])
    with pytest.raises(DataError, match=words):
        train_model(options(root, tmp_path / "sam.safetensors"))


def test_a_val_split_without_labels_stops_training_before_its_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingRun, "step", lambda *_: pytest.fail("a step ran"))
    shutil.copytree(data, tmp_path / "data")
    for path in (tmp_path / "data" / "val" / "labels").iterdir():
        Image.fromarray(np.full((72, 96), 255, np.uint8)).save(path)
    with pytest.raises(DataError, match="val split: every pixel is void"):
        train_model(options(tmp_path / "data", tmp_path / "sam.safetensors"))


def test_a_class_that_training_lacks_is_named(data: Path) -> None:
    training = load_split(data, "train")
    void = Sample("void", training.samples[0].image, np.full((72, 96), 255, np.uint8))
    one = np.where(training.samples[0].labels == 3, 3, 0).astype(np.uint8)
    split = dataclasses.replace(training, samples=(void, dataclasses.replace(training.samples[0], labels=one)))
    absent = describe_absent(split)
    assert absent.startswith("train split: no pixel is of Building, Pole, Pavement, Tree, SignSymbol, and 4 more")
    assert absent.endswith("cannot learn them")
    assert "train split" not in describe_absent(dataclasses.replace(split, samples=(every_class(void),)))


def every_class(sample: Sample) -> Sample:
    return dataclasses.replace(sample, labels=(np.arange(72 * 96).reshape(72, 96) % 11).astype(np.uint8))


@pytest.mark.parametrize("suffix", [".safetensors", ".csv", ".resume.pt"])
def test_a_checkpoint_that_cannot_be_written_stops_training_before_its_first_step(
    suffix: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_split", lambda *_: pytest.fail("data were read"))
    (tmp_path / f"sam{suffix}").mkdir()
    with pytest.raises(IsADirectoryError):
        train_model(options(data, tmp_path / "sam.safetensors"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file, not a folder"):
        train_model(options(data, tmp_path / "file" / "deep" / "sam.safetensors"))


@pytest.mark.parametrize("worst", [torch.nan, pytest.param(torch.inf, marks=pytest.mark.slow), 1e5])
def test_weights_that_overflow_stop_training_and_the_last_good_state_stays(
    worst: float, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TrainingRun.step

    def overflow(self: TrainingRun, batch: object, number: int) -> torch.Tensor:
        loss = step(self, batch, number)  # type: ignore[arg-type]
        if number == 2:
            self.model.classifier.bias.data.fill_(worst)
        return loss

    out = tmp_path / "sam.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "step", overflow)
        patch.setattr(training, "STEPS_BETWEEN_ROWS", 1)
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        with pytest.raises(
            DivergedError, match=r"overflowed by step 3, .* smaller --rate \(.*resume.pt has the last good"
        ):
            train_model(options(data, out))
    state = torch.load(out.with_suffix(".resume.pt"), weights_only=True)
    assert state["step"] == 2 and not out.exists()
    assert train_model(options(data, out, resume=True, rate=1e-4)).steps == 6


def test_ctrl_c_waits_for_the_end_of_the_step_and_keeps_its_state(
    finished: tuple[Path, Record], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sam.safetensors"
    update = training_run.update_bases
    calls = 0

    def interrupt_in_step_four(*parts: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # in the middle of a step, in a training's first half minute
            os.kill(os.getpid(), signal.SIGINT)
        update(*parts)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "update_bases", interrupt_in_step_four)
        with pytest.raises(KeyboardInterrupt):
            train_model(options(data, out))
    assert torch.load(out.with_suffix(".resume.pt"), weights_only=True)["step"] == 4
    assert train_model(options(data, out, resume=True)).steps == 6
    assert same_weights(finished[0], out)


def test_ctrl_c_while_the_finished_training_is_scored_keeps_its_state(
    finished: tuple[Path, Record], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "sam.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(training, "make_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_model(options(data, out))
    train_model(options(data, out, resume=True))
    assert same_weights(finished[0], out)
    one, other = (rows_of(path.with_suffix(".csv"))[-1] for path in (finished[0], out))
    assert (one["step"], one["rate"], one["loss"]) == (other["step"], other["rate"], other["loss"])


def test_an_overflow_that_shows_after_the_last_step_is_told_with_that_step_s_rate(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingRun, "step", lambda *_: torch.tensor(torch.nan))
    own = options(data, tmp_path / "sam.safetensors", steps=2)
    with pytest.raises(
        DivergedError, match=rf"loss overflowed by step 2, at a learning rate of {poly_rate(own, 1 / 2):.2g};"
    ):
        train_model(own)


@pytest.mark.parametrize("resume", [False, True])
def test_a_budget_that_ends_before_the_first_step_is_refused(resume: bool, data: Path, tmp_path: Path) -> None:
    own = options(data, tmp_path / "sam.safetensors", budget=1e-9)
    if resume:
        run = TrainingRun(own, load_split(data, "train"), torch.device("cpu"))
        run.save(tmp_path / "sam.resume.pt", 0, 1.0, [], [])
    with pytest.raises(DataError, match=r"--budget ended before the first step; give it more time"):
        train_model(dataclasses.replace(own, resume=resume))
    assert not own.out.exists()


def test_what_is_saved_before_the_first_step_takes_no_time_of_the_budget(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--overwrite saves there."""
    now, hours = time.monotonic, []
    monkeypatch.setattr(time, "monotonic", lambda: now() + 3600 * len(hours))
    monkeypatch.setattr(TrainingRun, "save", lambda *_: hours.append(1))
    monkeypatch.setattr(TrainingRun, "step", lambda *_: torch.tensor(1.0))
    out = tmp_path / "sam.safetensors"
    out.write_bytes(b"another run's")
    assert train_model(options(data, out, steps=1, overwrite=True, budget=30.0)).steps == 1
    assert hours


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, r"a batch of 1, a crop of 32 x 32 and output stride 32, .* use a larger --batch$"),
        (
            {"model": "fcn", "output_stride": 32},
            r"a crop of 32 x 32 and output stride 32, .* a larger --batch or a larger --crop or a smaller --output-s",
        ),
        ({"batch": 3, "parts": 2}, r"a batch of 3 in 2 parts, .* use a larger --batch or fewer --parts$"),
    ],
)
def test_batch_norm_with_a_single_value_is_refused_before_the_first_step(
    changes: dict[str, object], words: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AFM's gate has one value for each channel in a picture of any size."""
    monkeypatch.setattr(TrainingRun, "step", lambda *_: pytest.fail("a step ran"))
    with pytest.raises(DataError, match=words):
        train_model(options(data, tmp_path / "sam.safetensors", **{"batch": 1, "crop": (32, 32), **changes}))


def test_a_batch_that_was_halved_to_single_pictures_may_be_too_small_for_batch_norm(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = TrainingRun._backward

    def room_for_one(self: TrainingRun, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        if self.parts == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backward(self, batch)

    monkeypatch.setattr(TrainingRun, "_backward", room_for_one)
    with pytest.raises(
        DataError, match=r"BatchNorm cannot normalise over one picture at a time, .*; use a smaller --crop"
    ):
        train_model(options(data, tmp_path / "sam.safetensors"))


def test_a_gamma_for_a_block_without_one_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--gamma has no effect on sam, whose block has no gamma"):
        train_model(options(data, tmp_path / "sam.safetensors", gamma=0.5))


def test_val_is_scored_at_the_steps_that_were_asked_for(data: Path, tmp_path: Path) -> None:
    train_model(options(data, tmp_path / "sam.safetensors", validate=4))
    rows = rows_of(tmp_path / "sam.csv")
    assert [(row["step"], bool(row["val_miou"])) for row in rows] == [("4", True), ("6", True)]
