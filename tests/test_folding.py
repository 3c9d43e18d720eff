"""A folded network computes what the trained one does."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from segviz.models.ablation import has_context, without_context
from segviz.models.folding import fold
from segviz.models.options import OptionValue
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import Segmenter
from tests.block_cases import randomise_norms

BACKBONES = ("resnet18", "shufflenet_v2_x1_0", "hrnet_w18_small")


def trained(name: str, backbone: str | None = None) -> Segmenter:
    """A model in which every norm and correction does something, in float64."""
    torch.manual_seed(0)
    model = build(name, 11, backbone)
    randomise_norms(model, 0.1)
    for key, value in model.named_parameters():
        if key.endswith(("bias", "detail.classifier.weight")):
            nn.init.normal_(value, std=0.1)
        elif key.endswith("gamma") and value.numel() == 1:
            nn.init.constant_(value, 0.5)
    return model.double().eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


@torch.inference_mode()
def assert_same(one: Segmenter, other: Segmenter) -> None:
    picture = torch.rand(1, 3, 65, 98, dtype=torch.float64) * 2 - 1
    expected, found = one(picture), other(picture)
    for wanted, own in ((expected.logits, found.logits), (expected.attended.features, found.attended.features)):
        scale = wanted.abs().max().item()
        assert scale > 0.01
        torch.testing.assert_close(own, wanted, atol=1e-9 * scale, rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_folded_model_computes_the_same(name: str) -> None:
    model = trained(name)
    quick = fold(model)
    assert_same(model, quick)
    assert norms(quick) == norms(quick.block) == norms(model.block) < norms(model)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_other_backbones_fold_whole(backbone: str) -> None:
    model = trained("fla", backbone)
    quick = fold(model)
    assert_same(model, quick)
    assert not norms(quick.backbone)


def test_the_model_itself_stays_as_it_was() -> None:
    model = trained("sam")
    before = deepcopy(model.state_dict())
    fold(model)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())


@pytest.mark.parametrize("name", [name for name in MODELS if name != "fcn"])
def test_a_context_can_be_switched_off_in_a_folded_model(name: str) -> None:
    model = trained(name)
    assert has_context(fold(model))
    assert_same(fold(without_context(model)), without_context(fold(model)))


def test_a_folded_model_has_gradients() -> None:
    quick = fold(trained("psa"))
    picture = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    quick(picture).logits.sum().backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "options"), [("psa", {"compact": True}), ("psanet_r50", {"compact": True, "mask": (4, 6)})]
)
@torch.inference_mode()
def test_a_network_with_compact_masks_is_folded_on_pictures_that_it_takes(
    name: str, options: dict[str, OptionValue]
) -> None:
    torch.manual_seed(0)
    model = build(name, 3, options=options).eval()
    randomise_norms(model, 0.1)
    quick = fold(model)
    assert norms(quick) < norms(model)
    picture = model.make_probe() + 0.1
    torch.testing.assert_close(quick(picture).logits, model(picture).logits, atol=1e-4, rtol=1e-3)
