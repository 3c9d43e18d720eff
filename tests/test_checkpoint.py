"""Checkpoints: whole or not at all, and only a model's own weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from segviz import checkpoint
from segviz.checkpoint import CheckpointError
from segviz.models.registry import build
from segviz.record import Record, to_json

CLASSES = ("a", "b", "c")
RECORD = Record("sam", CLASSES, "mobilenetv2_100", 32, command="segviz train", gammas={"block.gamma": 0.5})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoints") / "sam.safetensors"
    checkpoint.write(path, build("sam", 3), RECORD)
    return path


def tampered(
    source: Path, target: Path, change: dict[str, torch.Tensor | None], metadata: dict[str, str] | None = None
) -> Path:
    tensors = {name: value for name, value in {**load_file(source), **change}.items() if value is not None}
    kept = {checkpoint.KEY: to_json(RECORD)}
    save_file(tensors, target, kept if metadata is None else metadata)
    return target


def test_a_model_and_its_record_come_back(saved: Path) -> None:
    model, record = checkpoint.load(saved)
    assert record == RECORD
    assert not model.training
    stored = load_file(saved)
    assert all(value.dtype == torch.float16 for value in stored.values() if value.is_floating_point())
    for name, value in model.state_dict().items():
        assert torch.equal(value, stored[name].to(value.dtype))


def test_no_half_written_file_is_left(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == ["sam.safetensors"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .*none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_a_truncated_file_is_refused(saved: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors is not a whole safetensors file"):
        checkpoint.load(path)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "pickle.safetensors"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        checkpoint.load(path)


def test_missing_extra_and_misshapen_tensors_are_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing \['classifier\.bias'\]"):
        checkpoint.load(tampered(saved, tmp_path / "a.safetensors", {"classifier.bias": None}))
    with pytest.raises(CheckpointError, match=r"unexpected \['other'\]"):
        checkpoint.load(tampered(saved, tmp_path / "b.safetensors", {"other": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"'classifier.bias' has shape \(4,\)"):
        checkpoint.load(tampered(saved, tmp_path / "c.safetensors", {"classifier.bias": torch.zeros(4)}))


def test_weights_that_are_not_finite_are_refused(saved: Path, tmp_path: Path) -> None:
    change = {"classifier.bias": torch.tensor([0.0, float("nan"), 0.0])}
    with pytest.raises(CheckpointError, match=r"'classifier\.bias' holds values that are not finite"):
        checkpoint.load(tampered(saved, tmp_path / "nan.safetensors", change))


@pytest.mark.parametrize("metadata", [{}, {checkpoint.KEY: "no json"}, {checkpoint.KEY: '{"model": "sam"}'}])
def test_a_file_without_a_record_is_refused(saved: Path, tmp_path: Path, metadata: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="has no segviz record"):
        checkpoint.load(tampered(saved, tmp_path / "bare.safetensors", {}, metadata))


def test_an_unknown_model_is_named(saved: Path, tmp_path: Path) -> None:
    text = json.dumps({**json.loads(to_json(RECORD)), "model": "other"})
    with pytest.raises(CheckpointError, match="holds a 'other' model"):
        checkpoint.load(tampered(saved, tmp_path / "other.safetensors", {}, {checkpoint.KEY: text}))


def test_weights_beyond_float16_are_not_written(tmp_path: Path) -> None:
    model = build("sam", 3)
    with torch.no_grad():
        model.classifier.bias.fill_(1e6)
    with pytest.raises(CheckpointError, match="not finite in float16"):
        checkpoint.write(tmp_path / "large.safetensors", model, RECORD)
    assert not list(tmp_path.iterdir())
