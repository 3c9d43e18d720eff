"""The contract that every model of the table keeps."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

import segviz
from segviz.models.backbone import Backbone, DilatedDepthwise, output_size
from segviz.models.model_row import ModelRow
from segviz.models.registry import MODEL_ROWS, MODELS, build
from segviz.models.segmenter import Detail, Segmenter
from segviz.runtime.lazy_dynamo import COMPILER, remove_stand_in

PAPERS = ("fcn", "channel_nl", "spatial_nl", "dual_nl", "cs_nl", "ema", "rcca", "fla", "sam", "snl", "psa")
NAMES = tuple(MODELS)
BACKBONES = ("mobilenetv2_100", "resnet18", "shufflenet_v2_x1_0", "hrnet_w18_small")


@pytest.fixture(scope="module")
def models() -> dict[str, Segmenter]:
    torch.manual_seed(0)
    return {name: build(name, 3).eval() for name in NAMES}


def test_the_table_begins_with_the_models_of_the_papers_figures() -> None:
    assert NAMES[: len(PAPERS)] == PAPERS
    assert segviz.MODELS is MODELS


@pytest.mark.parametrize("row", MODEL_ROWS, ids=NAMES)
def test_every_row_says_how_its_block_attends(row: ModelRow) -> None:
    assert row.title and row.paper and len(row.help) > 40 and row.help.endswith(".")
    assert row.help.count("$") % 2 == 0, "a formula is not closed"


def test_a_row_without_help_is_refused() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'help'"):
        ModelRow("new", "New", "A paper", kind="spatial_nl")  # type: ignore[call-arg]


def test_a_name_stands_for_one_row() -> None:
    assert len(MODEL_ROWS) == len(MODELS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_logits_have_the_image_size_and_maps_their_names(
    models: dict[str, Segmenter], name: str, size: tuple[int, int]
) -> None:
    with torch.inference_mode():
        result = models[name](torch.rand(2, 3, *size) * 2 - 1)
    assert result.logits.shape == (2, 3, *size)
    assert [tuple(one.name for one in image) for image in result.attended.maps] == [MODELS[name].maps] * 2
    stride = MODELS[name].output_stride if name != "sam" else 16
    assert result.attended.features.shape[2:] == output_size(size, stride)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_in_a_batch_gets_the_answer_that_it_gets_alone(models: dict[str, Segmenter], name: str) -> None:
    images = torch.rand(3, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        together = models[name](images).logits
        alone = torch.cat([models[name](image[None]).logits for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_nothing(models: dict[str, Segmenter], name: str) -> None:
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        plain = models[name](image).logits
        last = models[name](image.contiguous(memory_format=torch.channels_last)).logits
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_forward_leaves_no_trace_on_the_model(models: dict[str, Segmenter], name: str) -> None:
    model = models[name]
    before = [dict(vars(module)) for module in model.modules()]
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():
        model(torch.rand(1, 3, 64, 96))
    assert [dict(vars(module)) for module in model.modules()] == before
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", NAMES)
def test_autocast_to_bfloat16_stays_finite(models: dict[str, Segmenter], name: str) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        result = models[name](torch.rand(1, 3, 64, 96) * 2 - 1)
    assert result.logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_reaches_every_weight_that_it_should(name: str) -> None:
    torch.manual_seed(1)
    model = build(name, 3).train()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "gamma" in key:
                value.normal_()  # at zero a gamma hides the gradients behind it
            if "offset" in key:
                value.normal_(std=0.02)
    model(torch.rand(2, 3, 64, 96) * 2 - 1).logits.square().mean().backward()
    silent = [key for key, value in model.named_parameters() if value.grad is None]
    assert silent == (["block.before.weight", "block.before.bias"] if name == "ema" else [])
    dead = {key for key, value in model.named_parameters() if value.grad is not None and not value.grad.any()}
    assert not {key for key in dead if key.startswith("block.") and not key.endswith("key.bias")}


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(models: dict[str, Segmenter], name: str) -> None:
    twin = build(name, 3)
    twin.load_state_dict(models[name].state_dict())
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(twin.eval()(image).logits, models[name](image).logits)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("stride", [8, 16])
def test_backbones_are_interchangeable(backbone: str, stride: int) -> None:
    model = build("fla", 3, backbone, stride).eval()
    with torch.inference_mode():
        result = model(torch.rand(1, 3, 64, 96))
        odd = model(torch.rand(1, 3, 77, 90))
    assert result.attended.features.shape[2:] == (64 // stride, 96 // stride)
    assert result.logits.shape == (1, 3, 64, 96)
    assert odd.attended.features.shape[2:] == output_size((77, 90), stride)
    assert odd.logits.shape == (1, 3, 77, 90)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_features_have_the_strides_that_they_are_named_for(backbone: str) -> None:
    body = Backbone(backbone, 16).eval()
    with torch.inference_mode():
        pyramid = body(torch.rand(1, 3, 64, 96))
    assert pyramid.finest.shape[1:] == (body.finest_channels, 32, 48)
    assert pyramid.fine.shape[1:] == (body.fine_channels, 16, 24)
    assert pyramid.eighth.shape[1:] == (body.eighth_channels, 8, 12)
    assert pyramid.middle.shape[1:] == (body.middle_channels, 4, 6)
    assert pyramid.deep.shape[1:] == (body.deep_channels, 4, 6)


def test_dilation_keeps_the_weights_of_a_backbone() -> None:
    assert (
        Backbone("shufflenet_v2_x1_0", 8).state_dict().keys() == Backbone("shufflenet_v2_x1_0", 32).state_dict().keys()
    )
    dilated, plain = Backbone("shufflenet_v2_x1_0", 8), Backbone("shufflenet_v2_x1_0", 32)
    dilated.load_state_dict(plain.state_dict())
    rates = {layer.dilation for layer in dilated.modules() if isinstance(layer, torch.nn.Conv2d)}
    assert rates == {(1, 1), (2, 2), (4, 4)}


@pytest.mark.parametrize("size", [(45, 60), (5, 3)])
def test_a_dilated_convolution_by_phases_is_the_plain_one(size: tuple[int, int]) -> None:
    layers = [one for one in Backbone("mobilenetv2_100", 8).modules() if isinstance(one, DilatedDepthwise)]
    assert {layer.dilation for layer in layers} == {(2, 2), (4, 4)}
    for layer in layers:
        features = torch.randn(2, layer.in_channels, *size).contiguous(memory_format=torch.channels_last)
        by_phases = layer.by_phases(features)
        assert by_phases.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(by_phases, layer(features))


@torch.inference_mode()
def test_the_detail_begins_with_nothing_and_tells_single_pixels_apart() -> None:
    torch.manual_seed(0)
    detail, image, decoded = Detail(3).eval(), torch.rand(1, 3, 33, 47), torch.rand(1, 24, 17, 24)
    assert torch.equal(detail(decoded, image), torch.zeros(1, 3, 33, 47))
    detail.classifier.weight.normal_()
    other = image.clone()
    other[:, :, 15, 22] += 1
    changed = (detail(decoded, other) - detail(decoded, image)).abs().amax((0, 1))
    near = torch.zeros_like(changed)
    near[15 - 5 : 15 + 6, 22 - 4 : 22 + 6] = 1  # two cells of two pixels each way
    assert (changed[13:17, 20:24] > 1e-4).all() and not changed[near == 0].any()
    assert changed[14:16, 22:24].flatten().unique().numel() == 4  # the four pixels of a cell are told apart


def test_in_bfloat16_training_goes_by_phases_and_inference_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = DilatedDepthwise(4, 4, 3, padding=2, dilation=2, groups=4)
    features, calls, by_phases = torch.randn(1, 4, 7, 9), [], DilatedDepthwise.by_phases
    monkeypatch.setattr(DilatedDepthwise, "by_phases", lambda *args: calls.append(1) or by_phases(*args))
    plain = layer(features)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(features).float(), plain, atol=0.05, rtol=0.05)
        assert calls
        layer.requires_grad_(False)(features)
    assert len(calls) == 1


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="the models are fcn, channel_nl"):
        build("resnet", 3)
    with pytest.raises(ValueError, match="backbone 'nonsense' is unknown"):
        build("fcn", 3, "nonsense")
    with pytest.raises(ValueError, match="output stride 4"):
        build("fcn", 3, output_stride=4)


def test_rows_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS["fla"].title = "other"  # type: ignore[misc]


WITHOUT_COMPILER = """
import sys
import numpy as np
from segviz.runtime.lazy_dynamo import defer_compiler
with defer_compiler():
    import segviz, segviz.ui.models, segviz.attribution, segviz.prediction.predictor
for name in segviz.MODELS:
    segviz.load(name)(np.zeros((64, 96, 3), np.uint8))
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))])
from timm.models.naflexvit import NaFlexRopeIterator
from torchvision.ops import roi_align
print(roi_align.__module__, sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu") in (True, False))
import torch
decorated = torch.compiler.disable(abs)
print(torch._dynamo.__file__ is not None, decorated(-2), NaFlexRopeIterator.__next__.__name__)
"""


ASKED_FOR_MORE = """
import torch
from segviz.runtime.lazy_dynamo import defer_compiler
with defer_compiler():
    from torch._dynamo import disable, is_compiling
import torch._dynamo
print(is_compiling is torch._dynamo.is_compiling, torch._dynamo.disable is not disable, disable(abs)(-2))
"""


class NameThatImports(str):
    """A module's name that imports another while one looks at it, as another thread may."""

    __slots__ = ()

    def startswith(self, *arguments: Any) -> bool:
        sys.modules[f"{self} and more"] = ModuleType("more")
        return super().startswith(*arguments)


def test_the_compilers_stand_in_leaves_while_another_thread_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, torch = ModuleType(COMPILER), ModuleType("torch")
    torch._dynamo = stand_in  # type: ignore[attr-defined]
    others = {name: module for name, module in sys.modules.items() if not name.startswith("torch")}
    imported = {COMPILER: stand_in, f"{COMPILER}.utils": stand_in}
    modules = {NameThatImports("one"): stand_in} | others | {"torch": torch} | imported
    monkeypatch.setattr(sys, "modules", modules)
    remove_stand_in(stand_in)
    assert modules.keys() - others.keys() == {"one", "torch", "one and more"}
    assert not hasattr(torch, "_dynamo")


@pytest.mark.slow  # imports torch's compiler
def test_a_library_that_needs_more_of_the_compiler_gets_it() -> None:
    ran = subprocess.run([sys.executable, "-c", ASKED_FOR_MORE], capture_output=True, text=True, timeout=200)
    assert ran.stdout.split() == ["True", "True", "2"], ran.stderr


@pytest.mark.slow
def test_models_run_without_the_import_of_torchs_compiler_which_still_works() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["[]", "torchvision.ops.roi_align True", "True 2 __next__"]
