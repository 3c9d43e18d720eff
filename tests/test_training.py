"""Training: on two pictures, interrupted and resumed, from another model's weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from segviz import checkpoint
from segviz import train as training
from segviz.checkpoint import CheckpointError
from segviz.data.classes import CAMVID
from segviz.data.folder import DataError
from segviz.data.scenes import draw_scene
from segviz.models.registry import build
from segviz.train import TrainOptions, initialise, train


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
    start = TrainOptions("sam", data, out, steps=6, batch=2, crop=(64, 64), scenes=0, device="cpu", command="as typed")
    return dataclasses.replace(start, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, checkpoint.Record]:
    out = tmp_path_factory.mktemp("out") / "sam.safetensors"
    return out, train(options(data, out))


def test_the_record_says_how_the_checkpoint_was_made(finished: tuple[Path, checkpoint.Record]) -> None:
    path, record = finished
    assert checkpoint.read_record(path) == record
    assert (record.model, record.steps, record.seed, record.command) == ("sam", 6, 0, "as typed")
    assert record.val_miou is not None and 0 <= record.val_miou <= 1
    assert set(record.iou) == set(CAMVID.names) and record.scenes_miou is None
    assert {"torch", "timm", "numpy", "python"} <= set(record.versions)


def test_the_score_is_that_of_the_file(finished: tuple[Path, checkpoint.Record], data: Path) -> None:
    from segviz.evaluate import evaluate_split

    path, record = finished
    model, _ = checkpoint.load(path)
    assert evaluate_split(model, data, "val", CAMVID.names).mean_iou == pytest.approx(record.val_miou, abs=1e-4)


def test_stopping_and_resuming_gives_the_weights_of_not_stopping(
    finished: tuple[Path, checkpoint.Record], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sam.safetensors"
    calls = 0

    def stop_at_step_four(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # in the middle of the fourth step, behind the optimizer's
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "STEPS_BETWEEN_SAVES", 2)
        patch.setattr(training, "update_bases", stop_at_step_four)
        with pytest.raises(KeyboardInterrupt):
            train(options(data, out))
    assert not out.exists() and out.with_suffix(".resume.pt").exists()
    record = train(options(data, out, resume=True))
    assert record.steps == 6 and not out.with_suffix(".resume.pt").exists()
    straight, resumed = checkpoint.load(finished[0])[0].state_dict(), checkpoint.load(out)[0].state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


def test_resuming_nothing_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to resume from"):
        train(options(data, tmp_path / "sam.safetensors", resume=True))


def test_the_budget_ends_a_long_training(data: Path, tmp_path: Path) -> None:
    record = train(options(data, tmp_path / "sam.safetensors", steps=100_000, budget=0.03))
    assert 0 < record.steps < 1000 and record.minutes < 1


def test_bad_data_stops_training_before_its_first_step(data: Path, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"classes": list(CAMVID.names)}))
    with pytest.raises(DataError, match=r"train\.txt is missing"):
        train(options(tmp_path, tmp_path / "sam.safetensors"))
    assert not list(tmp_path.glob("*.safetensors"))


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    before = train(options(data, tmp_path / "before.safetensors", steps=1, rate=1e-9))
    after = train(options(data, tmp_path / "after.safetensors", steps=30, rate=3e-3))
    assert after.val_miou is not None and before.val_miou is not None
    assert after.val_miou > before.val_miou + 0.05


@pytest.mark.parametrize("name", ["channel_nl", "spatial_nl", "rcca", "fla", "cs_nl", "snl", "psa"])
def test_a_model_starts_out_as_the_checkpoint_that_it_starts_from(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = build("fcn", 3).eval()
    record = checkpoint.Record("fcn", ("a", "b", "c"), "mobilenetv2_100", 8)
    checkpoint.write(tmp_path / "fcn.safetensors", base, record)
    base, _ = checkpoint.load(tmp_path / "fcn.safetensors")
    model = build(name, 3).eval()
    initialise(model, tmp_path / "fcn.safetensors")
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(model(image).logits, base(image).logits, atol=1e-4, rtol=1e-4)


def test_weights_that_fit_nowhere_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no weight that fits"):
        initialise(build("fcn", 3), tmp_path / "other.safetensors")


def test_batches_depend_on_seed_and_step_alone(data: Path) -> None:
    from segviz.data.folder import load_split

    samples = load_split(data, "train").samples
    start = options(data, data / "x.safetensors")
    first, again = (training.make_batch(samples, [], start, 5) for _ in range(2))
    other = training.make_batch(samples, [], start, 6)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_every_picture_comes_once_an_epoch(data: Path) -> None:
    start = options(data, data / "x.safetensors")
    assert sorted(training.shuffled(start, number, 7) for number in range(7, 14)) == list(range(7))


def test_a_frozen_backbone_stays_as_it_was(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    record = checkpoint.Record("fcn", CAMVID.names, "mobilenetv2_100", 8)
    checkpoint.write(tmp_path / "fcn.safetensors", build("fcn", 11), record)
    start, _ = checkpoint.load(tmp_path / "fcn.safetensors")
    changes = {"steps": 3, "init": tmp_path / "fcn.safetensors", "freeze_backbone": True}
    train(options(data, tmp_path / "sam.safetensors", **changes))
    trained, _ = checkpoint.load(tmp_path / "sam.safetensors")
    before, after = start.backbone.state_dict(), trained.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    moved, kept = trained.decoder.state_dict(), start.decoder.state_dict()
    assert not torch.equal(moved["mix.1.0.weight"], kept["mix.1.0.weight"])
