"""Starts of a training: the weights of a paper's body in a file or from ImageNet, and what stayed random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.models.input_statistics import backbone_input
from segviz.models.registry import build
from segviz.models.segmenter import BlockNetwork
from segviz.training.imagenet import IMAGENET
from segviz.training.initialise import body_prefix, initialise

GET_MODEL, CREATE_MODEL = torchvision.models.get_model, timm.create_model
NORMALISED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def ones_of(network: nn.Module) -> dict[str, Tensor]:
    """A library's weights, all 1."""
    return {name: torch.ones_like(value) for name, value in network.state_dict().items()}


def body_values(network: BlockNetwork) -> dict[str, Tensor]:
    """The body's tensors by its library's names."""
    root = body_prefix(network)
    inside = {name.removeprefix(root): value for name, value in network.state_dict().items() if name.startswith(root)}
    return {name: value for name, value in inside.items() if "num_batches" not in name}


@pytest.mark.parametrize(("name", "body"), [("flanet_r18", "resnet18"), ("attanet_shufflenet", "shufflenet_v2_x1_0")])
def test_torchvision_s_weights_fill_the_whole_body(name: str, body: str, tmp_path: Path) -> None:
    torch.save(ones_of(GET_MODEL(body, weights=None)), tmp_path / "body.pth")
    network = build(name, 3)
    start = initialise(network, tmp_path / "body.pth")
    assert all(bool((value == 1).all()) for value in body_values(network).values())
    assert not [one for one in start.random if one.startswith("body.")]
    assert start.random == ("reduction", "block", "classifier")
    assert "random" not in start.title and "random: reduction, block, classifier" in start.describe()


def test_a_deep_stem_has_the_names_of_the_authors_files(tmp_path: Path) -> None:
    network = build("psanet_r50", 3, "resnet18", options={"stem": "deep", "block": "none"})
    names = {"conv1.0": "conv1", "conv1.1": "bn1", "conv1.3": "conv2", "conv1.4": "bn2", "conv1.6": "conv3"}
    state = {}
    for name, value in body_values(network).items():
        module, _, last = name.rpartition(".")
        state[f"{names.get(module, 'bn3' if module == 'bn1' else module)}.{last}"] = torch.ones_like(value)
    safetensors.torch.save_file(state, tmp_path / "resnet_v2.safetensors")
    start = initialise(network, tmp_path / "resnet_v2.safetensors")
    assert all(bool((value == 1).all()) for value in body_values(network).values())
    assert not [one for one in start.random if one.startswith("body.")]


def test_every_tensor_of_the_body_that_stays_random_is_named(tmp_path: Path) -> None:
    state = ones_of(GET_MODEL("shufflenet_v2_x1_0", weights=None))
    missing = ("conv1.", "stage2.0.branch1.0.weight", "stage2.0.branch1.1.running_mean")
    safetensors.torch.save_file(
        {name: value for name, value in state.items() if not name.startswith(missing)}, tmp_path / "part.safetensors"
    )
    start = initialise(build("attanet_shufflenet", 3), tmp_path / "part.safetensors")
    # a module that is random throughout by its name, a tensor by its own; running means begin at 0
    assert "; of the backbone conv1, stage2.0.branch1.0 stayed random)" in start.title
    told = start.describe()
    assert len(told) < 300 and told.count("conv1") == 1 and "running" not in told
    assert {"block", "classifier"} <= set(start.random) and not [one for one in start.random if "body" in one]


def test_a_start_that_is_not_there_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*nope\.pth; check the path, or let --init imagenet fetch"):
        initialise(build("fcn", 3), tmp_path / "nope.pth")


def fake_downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Let timm and torchvision give random networks in place of trained ones; returns what was asked for."""
    asked: list[tuple[str, object]] = []

    def get_model(name: str, weights: Any = None) -> nn.Module:
        asked.append((name, weights))
        return GET_MODEL(name, weights=None)

    def create_model(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        asked.append((name, pretrained))
        return CREATE_MODEL(name, pretrained=False, **options)

    monkeypatch.setattr("torchvision.models.get_model", get_model)
    monkeypatch.setattr("timm.create_model", create_model)
    return asked


@pytest.mark.parametrize(
    ("name", "wanted", "title"),
    [
        ("attanet_r18", ("resnet18", "IMAGENET1K_V1"), "torchvision's ImageNet weights resnet18 IMAGENET1K_V1 ("),
        ("ssanet_mbv2", ("mobilenetv2_100", True), "timm's ImageNet weights mobilenetv2_100.ra_in1k ("),
        ("fcn", ("mobilenetv2_100", True), "timm's ImageNet weights mobilenetv2_100.ra_in1k ("),
    ],
)
def test_imagenet_weights_bring_their_input_statistics(
    name: str, wanted: tuple[str, object], title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build(name, 3)
    asked = fake_downloads(monkeypatch)
    start = initialise(network, Path(IMAGENET))
    assert asked == [wanted] and title in start.title and "stayed random" not in start.title
    assert {"mean": network.expects.mean, "std": network.expects.std} == NORMALISED
    assert network.options["input"] == "backbone"
    again = build(name, 3, network.backbone_name, options=network.options)
    assert again.expects == network.expects


@pytest.mark.parametrize("name", ["attanet_r18", "ssanet_mbv2"])
def test_without_internet_one_sentence_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(name, 3)

    def fail(*_: object, **__: object) -> nn.Module:
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr("torchvision.models.get_model", fail)
    monkeypatch.setattr("timm.create_model", fail)
    with pytest.raises(CheckpointError, match=r"cannot be fetched \(Name or service not known\); fetch the file on"):
        initialise(network, Path(IMAGENET))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attanet_df1", {}, "there are no ImageNet weights for 'df1', which its paper trains from random ones; remove"),
        ("attanet_light", {}, "there are no ImageNet weights for 'attanet_light'"),
        ("flanet_r18", {"stem": "deep"}, "a deep stem of 64, 64 and 128 channels; give the file of PSANet's"),
    ],
)
def test_bodies_without_imagenet_weights_say_so(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        initialise(build(name, 3, options=options), Path(IMAGENET))


def test_input_statistics_are_those_of_the_weights() -> None:
    for body in ("mobilenetv2_100", "resnet101", "hrnet_w48", "shufflenet_v2_x1_0", "df1"):
        expected = backbone_input(body)
        assert {"mean": expected.mean, "std": expected.std} == NORMALISED
    halves = backbone_input("tf_mobilenetv3_large_100")  # a network whose weights expect [-1, 1]
    assert halves.mean == halves.std == (0.5, 0.5, 0.5)
    own = build("fcn", 3, "resnet18", options={"input": "backbone"}).expects
    assert {"mean": own.mean, "std": own.std} == NORMALISED
