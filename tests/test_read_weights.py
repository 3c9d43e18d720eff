"""Weights of foreign files: what they hold, and that nothing in them is run."""

from __future__ import annotations

import collections
import io
import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.read_weights import StoredWeights, read_weights
from segviz.catalogue.torch_file import STORAGE_TYPES, read_stubbed

STATE = {"conv.weight": torch.arange(12.0).reshape(3, 4).T, "conv.bias": torch.tensor([1.5, -2.0], dtype=torch.float16),
         "count": torch.tensor(7)}  # fmt: skip


class Logger:
    """A foreign object, such as older mmsegmentation stores."""

    def __init__(self) -> None:
        self.name, self.handlers = "mmseg", [logging.INFO]


class Attack:
    """An object whose unpickling would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.target,)


def save(content: object, path: Path, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_state(weights: StoredWeights) -> None:
    assert list(weights.tensors) == list(STATE)
    for name, value in STATE.items():
        assert weights.tensors[name].dtype == value.dtype and torch.equal(weights.tensors[name], value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "extra", [None, Logger(), collections.defaultdict(list, a=[1]), {1, 2}], ids=lambda one: type(one).__name__
)
def test_tensors_are_read_whatever_stands_beside_them(legacy: bool, extra: object, tmp_path: Path) -> None:
    content = {"meta": {"logger": extra}, "state_dict": collections.OrderedDict(STATE), "optimizer": {"state": {}}}
    assert_state(read_weights(save(content, tmp_path / "net.pth", legacy)))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_malicious_pickle_does_not_run(legacy: bool, tmp_path: Path) -> None:
    target = tmp_path / "made"
    path = save({"evil": Attack(target), "state_dict": STATE}, tmp_path / "net.pth", legacy)
    assert_state(read_weights(path))
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()  # so the file does hold the attack


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "builtins.getattr", "torch.load", "torch._utils._rebuild_tensor_v2.__globals__",
     "posix.system", "collections.OrderedDict.fromkeys", "subprocess.Popen", "torch.hub.load"],
)  # fmt: skip
def test_no_name_of_a_file_is_imported(name: str) -> None:
    module, _, attribute = name.rpartition(".") if name.count(".") == 1 else name.partition(".")
    code = b"\x80\x04" + pickle.SHORT_BINUNICODE + bytes([len(module)]) + module.encode()
    code += pickle.SHORT_BINUNICODE + bytes([len(attribute)]) + attribute.encode() + pickle.STACK_GLOBAL + b"."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", code)
    buffer.seek(0)
    stub = read_stubbed(buffer)
    assert isinstance(stub, type) and stub.__module__.startswith("segviz.")


def test_a_file_cannot_change_how_later_files_are_read(tmp_path: Path) -> None:
    code = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N}X\x04\x00\x00\x00_howK\x01stb."
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("net/data.pkl", code)
    with pytest.raises(CheckpointError, match=r"not a whole PyTorch checkpoint .*changes how tensors are made"):
        read_weights(tmp_path / "net.pth")
    assert_state(read_weights(save({"state_dict": STATE, "logger": Logger()}, tmp_path / "other.pth")))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_all_types_and_views_are_read_as_torch_reads_them(legacy: bool, tmp_path: Path) -> None:
    row = torch.arange(24.0)
    state: dict[str, Any] = {str(dtype): torch.tensor([[0, 1, 1]]).to(dtype) for dtype in STORAGE_TYPES.values()}
    state |= {"view": row[4:16].view(3, 4), "transposed": row.view(4, 6).T, "whole": row, "empty": torch.zeros(0),
              "parameter": nn.Parameter(torch.ones(2)), "logger": Logger()}  # fmt: skip
    weights = read_weights(save(state, tmp_path / "net.pth", legacy))
    assert weights.skipped == ("logger",)
    for name, value in weights.tensors.items():
        assert value.dtype == state[name].dtype and torch.equal(value, state[name]) and not value.requires_grad


def test_a_pickled_network_gives_its_state_dict(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    for content in (net, {"model": net, "epoch": 3}):
        weights = read_weights(save(content, tmp_path / "net.pth"))
        assert weights.tensors.keys() == net.state_dict().keys()
        assert all(torch.equal(value, weights.tensors[name]) for name, value in net.state_dict().items())


def test_wrappers_prefixes_go(tmp_path: Path) -> None:
    wrapped = {f"module._orig_mod.{name}": value for name, value in STATE.items()}
    assert_state(read_weights(save(wrapped, tmp_path / "net.pt")))
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({f"module.{name}": value.contiguous() for name, value in STATE.items()}, path)
    assert read_weights(path).tensors.keys() == STATE.keys()


@pytest.mark.parametrize(
    "meta",
    [{"CLASSES": ("road", "sky"), "PALETTE": [[1, 2, 3], [4, 5, 6]]},
     {"dataset_meta": {"classes": ["road", "sky"], "palette": [(1, 2, 3), (4, 5, 6)]}}],
)  # fmt: skip
def test_mmsegmentation_s_files_name_their_classes(meta: dict[str, object], tmp_path: Path) -> None:
    weights = read_weights(save({"meta": meta, "state_dict": STATE}, tmp_path / "net.pth"))
    assert (weights.classes, weights.palette) == (("road", "sky"), ((1, 2, 3), (4, 5, 6)))


def broken(path: Path, cut: int) -> Path:
    path.write_bytes(path.read_bytes()[:cut])
    return path


def stored(path: Path) -> Path:
    safetensors.torch.save_file({"weight": torch.zeros(9)}, path)
    return path


NEITHER = "is neither a PyTorch checkpoint nor a safetensors file; copy or download it again"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, r"there is no file .*net\.pth; check the path$"),
        (lambda path: save([1, 2], path), "holds a list, not a dictionary"),
        (lambda path: save({"epoch": 1, "best": 0.5}, path), r"no tensors by name, only 'epoch', 'best'"),
        (lambda path: save(Logger(), path), "a pickled object without tensors"),
        (lambda path: broken(save(STATE, path, legacy=True), 300), "not a whole PyTorch checkpoint"),
        (lambda path: broken(save(STATE, path), 900), "not a whole PyTorch checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})) and path, "a Python pickle, and not PyTorch's"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1") and path, "git lfs pull"),
        (lambda path: path.write_bytes(b"<html>") and path, NEITHER),
        (lambda path: path.write_bytes(bytes(9999)) and path, NEITHER),
        (lambda path: path.touch() or path, NEITHER),
        (lambda path: broken(stored(path), 90), r"not a whole safetensors file \(.*\); copy it again$"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_a_sentence(make: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_weights(make(tmp_path / "net.pth"))


def test_torchscript_is_recognised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_weights(tmp_path / "net.pt")


def test_a_legacy_file_cannot_claim_more_values_than_it_has(tmp_path: Path) -> None:
    path = save({"a": torch.zeros(1000), "b": Logger()}, tmp_path / "net.pth", legacy=True)
    claimed = path.read_bytes().replace((1000).to_bytes(2, "little"), (65000).to_bytes(2, "little"))
    path.write_bytes(claimed)
    with pytest.raises(CheckpointError, match="cut off"):
        read_weights(path)


def test_values_stay_in_their_storage(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4), "b": Logger()}, buffer)
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b"K\x04\x85", b"K\x09\x85") if name.endswith("data.pkl") else data)
    with pytest.raises(CheckpointError, match="out of bounds"):
        read_weights(path)
