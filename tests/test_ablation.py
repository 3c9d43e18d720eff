"""Context switched off: what is left sees no other cell, depends on no attention, and is trained as before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.ablation import block_gammas, has_context, without_context
from segviz.models.blocks import AtrousPyramid, ContextBlock, GlobalPooling, PyramidPooling
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import Segmenter
from tests.block_cases import CASES, C, image, made, randomised

NAMES = [name for name in MODELS if name != "fcn"]
ATTENTION = ("query", "key", "mask", "offset", "before", "initial_bases", "pooled_rows", "pooled_columns")
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "pyramid pooling": lambda: PyramidPooling(C),
    "atrous pyramid": lambda: AtrousPyramid(C, rates=(1, 2)),
    "global pooling": lambda: GlobalPooling(C),
}
SWITCHED = {
    "channel_nl": {"block.gamma"},
    "spatial_nl": {"block.gamma"},
    "dual_nl": {"block.spatial.gamma", "block.channel.gamma"},
    "cs_nl": {"block.spatial.gamma", "block.channel.gamma"},
    "ema": {"block.after.1.weight", "block.after.1.bias"},
    "rcca": {"block.gamma"},
    "fla": {"block.gamma"},
    "sam": {"block.value.1.weight", "block.value.1.bias"},
    "snl": {"block.sparse.gamma.weight", "block.sparse.gamma.bias", "block.pooled.0.weight", "block.pooled.0.bias"},
    "psa": {"block.project.1.weight", "block.project.1.bias"},
}


@pytest.fixture(scope="module")
def models() -> dict[str, Segmenter]:
    """All models with a context, as if trained: no gamma, offset or bias is left at zero."""
    torch.manual_seed(0)
    return {name: awake(build(name, 3)) for name in NAMES}


@torch.no_grad()
def awake(model: Segmenter) -> Segmenter:
    for value in model.block.parameters():
        if not value.any():
            value.normal_(std=0.5 if value.numel() == 1 else 0.1)
    return model.eval()


@torch.no_grad()
def perturb_attention(model: Segmenter) -> None:
    """Other queries, keys, masks, offsets, bases; the channel block has no weights, so its energies change sign.

    Of a block that has none of these, all weights change that are not switched off.
    """
    weights = {name: value for name, value in model.block.state_dict().items() if value.is_floating_point()}
    known = {name for name in weights if set(name.split(".")) & set(ATTENTION)}
    negated = [module for module in model.modules() if hasattr(module, "negate")]
    for name in known or (
        {} if negated else {name for name, _ in model.block.named_parameters() if weights[name].any()}
    ):
        weights[name].add_(torch.randn_like(weights[name]) * weights[name].std(correction=0).clamp_min(0.1))
    for module in negated:
        module.negate = not module.negate


def logits(model: Segmenter, picture: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(picture).logits


@pytest.fixture(scope="module")
def picture() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96) * 2 - 1


@pytest.mark.parametrize("name", SWITCHED)
def test_only_what_lets_the_context_in_is_changed(models: dict[str, Segmenter], name: str) -> None:
    before, after = models[name].state_dict(), without_context(models[name]).state_dict()
    assert {key for key, value in after.items() if not torch.equal(value, before[key])} == SWITCHED[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_original_is_left_alone(models: dict[str, Segmenter], name: str) -> None:
    before = {key: value.clone() for key, value in models[name].state_dict().items()}
    without_context(models[name])
    assert all(torch.equal(value, before[key]) for key, value in models[name].state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_without_context_the_attention_does_not_matter(
    models: dict[str, Segmenter], picture: Tensor, name: str
) -> None:
    silent = without_context(models[name])
    before = logits(silent, picture)
    perturb_attention(silent)
    assert torch.equal(logits(silent, picture), before)


@pytest.mark.parametrize("name", NAMES)
def test_with_context_the_attention_does_matter(models: dict[str, Segmenter], picture: Tensor, name: str) -> None:
    other = build(name, 3).eval()
    other.load_state_dict(models[name].state_dict())
    perturb_attention(other)
    assert (logits(other, picture) - logits(models[name], picture)).abs().max() > 1e-4


@pytest.mark.parametrize("case", [*CASES, *POOLINGS])
def test_without_context_a_cell_sees_no_other(case: str) -> None:
    block = made(case) if case in CASES else randomised(POOLINGS[case]())
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)  # else a ReLU may hide what one cell draws from the others
    pictures = image(20, C, 5, 7)  # in some of which a channel's softmax is not all its own
    pictures[..., 2, 3] = pictures[0, :, 2, 3]
    seen = block(pictures).features[..., 2, 3]
    block.switch_off()
    unseen = block(pictures).features[..., 2, 3]
    assert (seen - seen[0]).abs().max() > 1e-6 and (unseen - unseen[0]).abs().max() < 1e-12


@pytest.mark.parametrize(
    "case", ["channel, code", "spatial", "channel, then spatial", "criss-cross twice", "FLA", "SAM", "SNL 3x3"]
)
def test_a_block_of_one_residual_returns_its_input(case: str) -> None:
    block, x = made(case), image(2, C, 5, 7)
    block.switch_off()
    torch.testing.assert_close(block(x).features, x, rtol=0, atol=0)


def test_the_dual_block_returns_its_input_twice_over() -> None:
    block, x = made("dual"), image(2, C, 5, 7)
    block.switch_off()
    torch.testing.assert_close(block(x).features, 2 * x, rtol=0, atol=0)


def test_ema_returns_its_input_behind_its_relu() -> None:
    block, x = made("EMA"), image(2, C, 5, 7)
    block.switch_off()
    torch.testing.assert_close(block(x).features, x.relu(), rtol=0, atol=0)


@pytest.mark.parametrize("case", ["SNL with pooling", "PSA", "pyramid pooling", "global pooling"])
def test_a_block_that_widens_returns_its_input_beside_zeros(case: str) -> None:
    block, x = made(case) if case in CASES else randomised(POOLINGS[case]()), image(2, C, 5, 7)
    block.switch_off()
    torch.testing.assert_close(block(x).features, torch.cat((x, torch.zeros_like(x)), 1), rtol=0, atol=0)


def test_a_model_without_context_has_none_to_switch_off() -> None:
    model = build("fcn", 3)
    assert not has_context(model)
    with pytest.raises(ValueError, match="no context to switch off; score it as it is"):
        without_context(model)


@pytest.mark.parametrize("name", NAMES)
def test_every_other_model_has_a_context(models: dict[str, Segmenter], name: str) -> None:
    assert has_context(models[name])


class Forgetful(ContextBlock):
    """A block that says nothing of how to switch it off."""

    def forward(self, x: Tensor) -> Attended:
        return Attended(x, x, ((),) * len(x))


def test_a_block_that_cannot_be_switched_off_is_named() -> None:
    with pytest.raises(TypeError, match=r"abstract class Forgetful .*switch_off"):
        Forgetful()


def test_gammas_are_told_by_name(models: dict[str, Segmenter]) -> None:
    dual = models["dual_nl"]
    assert block_gammas(dual) == {
        "block.spatial.gamma": dual.block.spatial.gamma.item(),
        "block.channel.gamma": dual.block.channel.gamma.item(),
    }
    assert (
        block_gammas(models["snl"]) == block_gammas(models["psa"]) == {}
    )  # SNL's gamma is a convolution, PSA has none
