"""DF1 and DF2, the bodies that Partial Order Pruning found (Li et al., CVPR 2019): plain residual blocks."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from timm.models.resnet import BasicBlock
from torch import Tensor, nn

from segviz.models.backbone import Pyramid
from segviz.models.blocks.layers import conv_bn_relu

# Each stage: output channels, blocks, stride; the strides of 2 lead to 1/8, 1/16 and 1/32.
DF_STAGES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "df1": ((64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 1, 1)),
    "df2": ((64, 2, 2), (128, 1, 1), (128, 10, 2), (256, 1, 1), (256, 4, 2), (512, 2, 1)),
}
STEM_WIDTHS = (32, 64)  # two 3x3 convolutions of stride 2


class DfBody(nn.Module):
    """DF1 or DF2 without its classifier, giving features of strides 2, 4, 8, 16 and 32.

    No weights are published with the papers here: AttaNet trains both from random ones (Table 4).

    Args:
        name: a key of DF_STAGES.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.output_stride, self.finest_channels, self.fine_channels = 32, *STEM_WIDTHS
        self.stem = nn.ModuleList(conv_bn_relu(*sides, 3) for sides in ((3, STEM_WIDTHS[0]), STEM_WIDTHS))
        for layer in self.stem:
            layer.get_submodule("0").stride = (2, 2)  # type: ignore[assignment]
        levels: list[list[nn.Module]] = []
        channels = STEM_WIDTHS[1]
        widths: list[int] = []
        for width, blocks, stride in DF_STAGES[name]:
            stage = make_stage(channels, width, blocks, stride)
            channels = width
            if stride == 2:
                levels.append([])
                widths.append(width)
            levels[-1].append(stage)
            widths[-1] = width
        self.levels = nn.ModuleList(nn.Sequential(*stages) for stages in levels)
        self.eighth_channels, self.middle_channels, self.deep_channels = widths

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Pyramid:
        """Features of normalised pictures."""
        finest = self.stem[0](image)
        fine = self.stem[1](finest)
        eighth = self.levels[0](fine)
        middle = self.levels[1](eighth)
        return Pyramid(finest, fine, eighth, middle, self.levels[2](middle))


def make_stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """Residual blocks, the first of which changes channels and size."""
    make: Any = BasicBlock  # timm's types take an instance where it takes a class
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = make(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(make(outputs, outputs) for _ in range(blocks - 1)))
