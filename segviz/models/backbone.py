"""Backbones: any of timm's or torchvision's ShuffleNetV2, giving features at strides 2 to 32, or dilated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import timm
import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from segviz.text import join_choices

OUTPUT_STRIDES = (8, 16, 32)
JOIN_STRIDES = (4, *OUTPUT_STRIDES)  # of HRNet's branches, of which the finest has stride 4


@dataclass(frozen=True)
class Pyramid:
    """Features from fine to coarse: strides 2, 4 and 8, one stage before the deepest, and the output stride."""

    finest: Float[Tensor, "batch finest finest_height finest_width"]
    fine: Float[Tensor, "batch fine fine_height fine_width"]
    eighth: Float[Tensor, "batch eighth eighth_height eighth_width"]
    middle: Float[Tensor, "batch middle middle_height middle_width"]
    deep: Float[Tensor, "batch deep height width"]


@runtime_checkable  # as the tests check types as they run
class DeepFeatures(Protocol):
    """What a reduction asks of a body: the channels of its two deepest features."""

    middle_channels: int
    deep_channels: int


class Backbone(nn.Module):
    """A classification network without its head.

    Args:
        name: a timm name (`mobilenetv2_100`, `resnet18`, `hrnet_w48`, ...) or `shufflenet_v2_x1_0` and its kin.
        output_stride: the deepest features' stride: 8, 16 or 32; below 32 the last stages are dilated. HRNet never
            dilates: it is where its branches are joined, which may be 4, too.
        as_bundled: give MobileNetV2 TensorFlow's padding, as the bundled models were trained with; its ImageNet weights
            expect the same padding on both sides.

    Raises:
        ValueError: the name is unknown, or the output stride is none of these.
    """

    def __init__(self, name: str, output_stride: int = 8, as_bundled: bool = True) -> None:
        super().__init__()
        self.high_resolution = name.startswith("hrnet")
        possible = JOIN_STRIDES if self.high_resolution else OUTPUT_STRIDES
        if output_stride not in possible:
            raise ValueError(f"output stride {output_stride} is not possible; use {join_choices(possible)}")
        self.output_stride = output_stride
        if name.startswith("shufflenet_v2"):
            body: Any = ShuffleNet(name, output_stride)
            channels = body.channels
        elif timm.is_model(name):
            body = timm_body(name, output_stride, as_bundled)
            channels = tuple(body.feature_info.channels()[-5:])
        else:
            raise ValueError(
                f"backbone '{name}' is unknown; use a timm name such as mobilenetv2_100, or shufflenet_v2_x1_0"
            )
        self.body = body
        self.finest_channels, self.fine_channels, self.eighth_channels, self.middle_channels = channels[:4]
        self.deep_channels = sum(channels[1:]) if self.high_resolution else channels[4]

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Pyramid:
        """Features of images scaled to [-1, 1]; a stride that does not divide the size rounds up."""
        if self.high_resolution:
            return self.stack_branches(image)
        return Pyramid(*self.body(image)[-5:])

    def stack_branches(self, image: Tensor) -> Pyramid:
        """HRNet's features. It never dilates: its branches are resized to one stride and stacked.

        The branches fit together only if every halving is exact, so the image is padded and the features are cropped.
        """
        size = (image.shape[2], image.shape[3])
        filled = F.pad(image, (0, -size[1] % 32, 0, -size[0] % 32), mode="replicate")
        branches = []
        for features, stride in zip(self.body(filled)[-5:], (2, 4, 8, 16, 32), strict=True):
            height, width = output_size(size, stride)
            branches.append(features[:, :, :height, :width])
        grid = output_size(size, self.output_stride)
        deep = torch.cat([F.interpolate(branch, grid, mode="bilinear") for branch in branches[1:]], 1)
        finest, fine, eighth, middle, _ = branches
        return Pyramid(finest, fine, eighth, middle, deep)


def timm_body(name: str, output_stride: int, as_bundled: bool) -> Any:
    """A feature extractor of timm; HRNet's gives its branches, not what its classification heads make of them."""
    options: dict[str, Any] = {"pad_type": "same"} if name.startswith("mobilenetv2") and as_bundled else {}
    if name.startswith("hrnet"):
        options["feature_location"] = ""
    else:
        options["output_stride"] = output_stride
    body = timm.create_model(name, pretrained=False, features_only=True, **options)
    for layer in body.modules():
        if type(layer) is nn.Conv2d and is_dilated_depthwise(layer):
            layer.__class__ = DilatedDepthwise
    return body


def is_dilated_depthwise(layer: nn.Conv2d) -> bool:
    """Whether the layer is depthwise and dilated, and keeps the size."""
    alone = layer.groups == layer.in_channels == layer.out_channels
    return alone and layer.stride == (1, 1) and layer.dilation[0] > 1 and layer.padding == layer.dilation


class DilatedDepthwise(nn.Conv2d):
    """A dilated 3x3 depthwise convolution; where that is quicker, plain ones over every `dilation`-th row and column.

    The libraries' own dilated kernels took half the time of a whole training step in bfloat16: cuDNN's on an H200,
    and the backward pass of oneDNN's on a Xeon with AMX.
    """

    def forward(self, features: Tensor) -> Tensor:
        """The same values either way."""
        trained = self.weight.requires_grad and torch.is_autocast_enabled("cpu")
        return self.by_phases(features) if features.is_cuda or trained else super().forward(features)

    def by_phases(self, features: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Each phase of rows and columns is a picture of its own: every tap stays inside it."""
        batch, channels, height, width = features.shape
        step = self.dilation[0]
        last = F.pad(features.permute(0, 2, 3, 1), (0, 0, 0, -width % step, 0, -height % step))  # channels last
        rows, columns = last.shape[1] // step, last.shape[2] // step
        phases = last.reshape(batch, rows, step, columns, step, channels).permute(0, 2, 4, 1, 3, 5)
        phases = phases.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
        mixed = F.conv2d(phases, self.weight, self.bias, padding=1, groups=self.groups).permute(0, 2, 3, 1)
        joined = mixed.reshape(batch, step, step, rows, columns, channels).permute(0, 3, 1, 4, 2, 5)
        return joined.reshape(last.shape)[:, :height, :width].contiguous().permute(0, 3, 1, 2)


class ShuffleNet(nn.Module):
    """torchvision's ShuffleNetV2; its last stages are dilated if the output stride asks for it."""

    def __init__(self, name: str, output_stride: int) -> None:
        super().__init__()
        network = torchvision.models.get_model(name, weights=None)
        self.conv1, self.maxpool = network.conv1, network.maxpool  # torchvision's names, which its weights have
        self.stage2, self.stage3, self.stage4 = network.stage2, network.stage3, network.stage4
        self.conv5 = network.conv5
        dilation = 1
        for stage, stride in ((self.stage3, 16), (self.stage4, 32)):
            if stride > output_stride:
                dilation = dilate(stage, dilation)
        widths = [network.conv1[0].out_channels] * 2  # before and after the pooling
        widths += [stage[-1].branch2[-2].num_features * 2 for stage in (self.stage2, self.stage3)]
        self.channels = (*widths, network.conv5[0].out_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of strides 2, 4, 8, 16 and 32; dilated stages keep the stride before them."""
        features = [self.conv1(image)]
        features.append(self.maxpool(features[0]))
        for stage in (self.stage2, self.stage3, self.stage4):
            features.append(stage(features[-1]))
        return [*features[:4], self.conv5(features[4])]


def dilate(stage: nn.Module, dilation: int) -> int:
    """Trade a stage's stride for dilation, in place; returns the dilation with which the next stage starts."""
    for first, block in enumerate(stage.children()):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                layer.stride = (1, 1)
                rate = dilation if first == 0 else dilation * 2
                layer.dilation = layer.padding = (rate, rate)
    return dilation * 2


def output_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The feature grid of an image size: each halving rounds up."""
    for _ in range(stride.bit_length() - 1):
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return size
