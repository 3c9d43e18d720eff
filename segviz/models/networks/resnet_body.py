"""ResNet bodies for dense prediction: any stem, depth, width, stride and dilations, made of timm's blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from segviz.models.backbone import Pyramid

DEPTHS = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
Dilations = tuple[int, ...]  # of a stage's blocks in order; the last one holds for all that follow


@dataclass(frozen=True)
class ResNetDesign:
    """What a ResNet body is made of.

    Attributes:
        blocks: the number of blocks in each of the four stages.
        widths: the narrow channels of each stage; a bottleneck's output has four times as many.
        stem: channels of the first convolutions: three of 3x3, such as (64, 64, 128), or (64,), one of 7x7.
        bottleneck: whether the blocks are bottlenecks, as in ResNet-50 and deeper, or pairs of 3x3 convolutions.
        stride: the deepest features' stride, 8, 16 or 32; stages beyond it keep the size.
        third, fourth: dilations of the last two stages.
        round_up: whether the stem's pooling rounds sizes up, as CCNet's does; 1 more row where it is odd.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem: tuple[int, ...] = (64, 64, 128)
    bottleneck: bool = True
    stride: int = 8
    third: Dilations = (2,)
    fourth: Dilations = (4,)
    round_up: bool = False

    @property
    def title(self) -> str:
        """The name by its depth, such as ResNet-50."""
        depth = DEPTHS.get(self.blocks)
        if depth == 50 and not self.bottleneck:
            depth = 34
        return f"ResNet-{depth}" if depth else f"ResNet of {', '.join(map(str, self.blocks))} blocks"


class ResNetBody(nn.Module):
    """A ResNet without its classifier, giving features of strides 2, 4, 8, one stage before the last, and the last.

    Raises:
        ValueError: the stem is neither one convolution to 64 channels nor three, of which the last is twice as wide.
    """

    def __init__(self, design: ResNetDesign) -> None:
        super().__init__()
        deep = len(design.stem) == 3
        width = design.stem[0]
        if design.stem != ((width, width, 2 * width) if deep else (64,)):
            raise ValueError(f"a stem of {design.stem} channels is unknown; use (64,) or (n, n, 2 n)")
        make: Any = ResNet  # timm's types take an instance where it takes a class
        network: Any = make(
            Bottleneck if design.bottleneck else BasicBlock,
            layers=design.blocks,
            num_classes=0,
            output_stride=design.stride,
            stem_width=width,
            stem_type="deep" if deep else "",
            channels=design.widths,
        )
        self.conv1, self.bn1, self.act1, self.maxpool = network.conv1, network.bn1, network.act1, network.maxpool
        self.maxpool.ceil_mode = design.round_up
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        set_dilations(self.layer3, design.third)
        set_dilations(self.layer4, design.fourth)
        self.output_stride = design.stride
        wide = 4 if design.bottleneck else 1
        self.finest_channels = design.stem[-1]
        self.fine_channels, self.eighth_channels = design.widths[0] * wide, design.widths[1] * wide
        self.middle_channels, self.deep_channels = design.widths[2] * wide, design.widths[3] * wide

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Pyramid:
        """Features of pictures that are normalised as the weights expect."""
        finest = self.act1(self.bn1(self.conv1(image)))
        fine = self.layer1(self.maxpool(finest))
        eighth = self.layer2(fine)
        middle = self.layer3(eighth)
        return Pyramid(finest, fine, eighth, middle, self.layer4(middle))


def set_dilations(stage: nn.Module, dilations: Dilations) -> None:
    """Dilate the 3x3 convolutions of a stage, block by block."""
    for number, block in enumerate(stage.children()):
        rate = dilations[min(number, len(dilations) - 1)]
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (rate, rate)
