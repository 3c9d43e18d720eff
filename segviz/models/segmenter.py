"""A network around one context block, as the bundled models are: backbone, reduction, block, decoder, classifier.

Its order is SSANet's (arXiv 2109.01915, section 3.3), so that the block is the only difference. Two things differ from
SSANet: the block works at stride 8 where theirs does at 16, and the decoder joins the features of strides 8, 4 and 2
where theirs joins one level.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.backbone import Backbone, DeepFeatures, Pyramid
from segviz.models.blocks.attention_fusion import AddedFusion, AttentionFusion, JoinedFusion
from segviz.models.blocks.context_block import ContextBlock
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.options import NetworkOption, OptionValue
from segviz.models.picture_input import SIGNED_INPUT, PictureInput

FINEST_WIDTH, FINE_WIDTH = 16, 32
DECODER_WIDTH, CLASSIFIER_WIDTH = 64, 24  # a wider decoder would cost more than the backbone
DETAIL_WIDTH = 48
PROBE = 64  # side of a picture that every backbone accepts, in pixels
FUSIONS = {"afm": AttentionFusion, "addition": AddedFusion, "concatenation": JoinedFusion}
FUSION_OPTION = NetworkOption(
    "fusion",
    "afm",
    "what joins the two deepest levels: AFM, or what AttaNet's Table 3 compares it with",
    tuple(FUSIONS),
)


@dataclass(frozen=True)
class Segmentation:
    """What a model returns: logits at the image's size, the block's output, and the backbone's middle features."""

    logits: Float[Tensor, "batch classes height width"]
    attended: Attended
    middle: Float[Tensor, "batch middle middle_height middle_width"]


class Reduction(nn.Module):
    """A 3x3 convolution from the backbone's width to the block's."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.layer = conv_bn_relu(backbone.deep_channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The reduced deep features; no maps."""
        features = self.layer(pyramid.deep)
        return Attended(features, features, ((),) * len(features))


class FusionReduction(nn.Module):
    """AttaNet's way to the block: the two deepest levels joined by AFM, then a 3x3 convolution.

    Args:
        backbone: the body, which tells the channels of both levels.
        channels: output channels.
        fusion: "afm", or what AttaNet's Table 3 compares it with: "addition" or "concatenation".
    """

    def __init__(self, backbone: DeepFeatures, channels: int, fusion: str = "afm") -> None:
        super().__init__()
        self.fusion = FUSIONS[fusion](backbone.middle_channels, backbone.deep_channels, channels)
        self.layer = conv_bn_relu(channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The fused features; AFM's gate as a map."""
        fused = self.fusion(pyramid.middle, pyramid.deep)
        return Attended(self.layer(fused.features), fused.context, fused.maps)


class Decoder(nn.Module):
    """The context, joined with the backbone's features of strides 8, 4 and 2.

    Stride 8 is added (as in FPN, Lin et al., CVPR 2017); 3x3 convolutions follow the other two, one of them at
    stride 2, because poles are two or three pixels wide in a 480 x 360 picture: even perfect labels,
    averaged at stride 4 and resized back, keep 58 % of CamVid's poles; at stride 2, 85 %.
    """

    def __init__(self, channels: int, backbone: Backbone) -> None:
        super().__init__()
        self.context = conv_bn_relu(channels, DECODER_WIDTH)
        self.eighth = nn.Sequential(
            nn.Conv2d(backbone.eighth_channels, DECODER_WIDTH, 1, bias=False), silent_norm(DECODER_WIDTH)
        )
        self.fine = conv_bn_relu(backbone.fine_channels, FINE_WIDTH)
        self.mix = conv_bn_relu(DECODER_WIDTH + FINE_WIDTH, DECODER_WIDTH, 3)
        self.deepen = nn.Sequential(
            conv_bn_relu(DECODER_WIDTH, DECODER_WIDTH, 3),
            nn.Conv2d(DECODER_WIDTH, DECODER_WIDTH, 3, padding=1, bias=False),
            silent_norm(DECODER_WIDTH),
        )
        self.narrow = conv_bn_relu(DECODER_WIDTH, CLASSIFIER_WIDTH)
        self.finest = conv_bn_relu(backbone.finest_channels, FINEST_WIDTH)
        self.refine = conv_bn_relu(CLASSIFIER_WIDTH + FINEST_WIDTH, CLASSIFIER_WIDTH, 3)

    def forward(self, context: Tensor, pyramid: Pyramid) -> Tensor:
        """Features of stride 2."""
        eighth = grow(self.context(context), pyramid.eighth) + self.eighth(pyramid.eighth)
        mixed = self.mix(torch.cat((grow(eighth, pyramid.fine), self.fine(pyramid.fine)), 1))
        mixed = (mixed + self.deepen(mixed)).relu()
        finest = grow(self.narrow(mixed), pyramid.finest), self.finest(pyramid.finest)
        return self.refine(torch.cat(finest, 1))  # type: ignore[no-any-return]


class Detail(nn.Module):
    """A correction of each pixel's logits, from the picture's own pixels: what resizing from stride 2 loses.

    It computes at stride 2, with the four pixels of a cell as channels, and puts them back into their places
    (sub-pixel convolution, Shi et al., CVPR 2016). The correction starts at zero.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            conv_bn_relu(CLASSIFIER_WIDTH + 4 * 3, DETAIL_WIDTH, 3), conv_bn_relu(DETAIL_WIDTH, DETAIL_WIDTH, 3)
        )
        self.classifier = nn.Conv2d(DETAIL_WIDTH, 4 * classes, 1, bias=False)
        nn.init.zeros_(self.classifier.weight)

    def forward(self, decoded: Tensor, image: Tensor) -> Tensor:
        """Logits to add, at the image's size."""
        (height, width), (rows, columns) = image.shape[2:], decoded.shape[2:]
        even = F.pad(image, (0, 2 * columns - width, 0, 2 * rows - height), mode="replicate")
        mixed = self.mix(torch.cat((decoded, F.pixel_unshuffle(even, 2)), 1))
        return F.pixel_shuffle(self.classifier(mixed), 2)[:, :, :height, :width]


def silent_norm(channels: int) -> nn.BatchNorm2d:
    """A BatchNorm that starts at zero, so that a sum starts as its other term (Goyal et al., arXiv 1706.02677)."""
    norm = nn.BatchNorm2d(channels)
    nn.init.zeros_(norm.weight)
    return norm


def grow(features: Tensor, other: Tensor) -> Tensor:
    """The features resized to the other's height and width, bilinearly."""
    same = features.shape[2:] == other.shape[2:]
    return features if same else F.interpolate(features, other.shape[2:], mode="bilinear")


class BlockNetwork(nn.Module, ABC):
    """A semantic segmentation network around one context block. A subclass says what is before and after the block.

    Args:
        reduction: from the pyramid to the block's input, as `Attended`: it may have maps of its own.
        block: the context block.

    Attributes:
        expects: what the network expects of a picture.
        options: its options as `build` resolved them, by name; empty where it was made in another way.
        backbone_name: the name of its body, as `build` takes it; "" where it was made in another way.
    """

    expects: PictureInput = PictureInput()
    options: Mapping[str, OptionValue] = MappingProxyType({})
    backbone_name: str = ""

    def __init__(self, reduction: nn.Module, block: ContextBlock) -> None:
        super().__init__()
        self.reduction = reduction
        self.block: ContextBlock = block

    @property
    def only_size(self) -> tuple[int, int] | None:
        """The (height, width) of the only pictures that it takes, as its block takes one grid; None for any."""
        if self.block.only_grid is None:
            return None
        rows, columns = ((side - 1) * self.output_stride + 1 for side in self.block.only_grid)
        return self.expects.crop or (rows, columns)

    def make_probe(self) -> Float[Tensor, "1 3 height width"]:
        """A picture of zeros on the network's device, as small as the network takes it."""
        return next(self.parameters()).new_zeros(1, 3, *(self.only_size or (PROBE, PROBE)))

    @property
    @abstractmethod
    def extractor(self) -> nn.Module:
        """The body, which is what weights from ImageNet fill."""

    @property
    @abstractmethod
    def class_count(self) -> int:
        """The number of classes."""

    @property
    def output_stride(self) -> int:
        """The stride of the body's deepest features, in pixels."""
        stride: int = self.extractor.output_stride  # type: ignore[assignment]
        return stride

    @property
    def middle_channels(self) -> int:
        """Channels of `Segmentation.middle`."""
        channels: int = self.extractor.middle_channels  # type: ignore[assignment]
        return channels

    @abstractmethod
    def pyramid(self, image: Float[Tensor, "batch 3 height width"]) -> Pyramid:
        """The features of normalised images."""

    @abstractmethod
    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The features before the classifier, from the block's."""

    @abstractmethod
    def logits(self, features: Tensor, pyramid: Pyramid, image: Tensor) -> Tensor:
        """Logits at the image's size from the block's features."""

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Segmentation:
        """Logits and maps of normalised images."""
        pyramid, reduced = self.encode(image)
        return self.decode(image, pyramid, reduced, self.block(reduced.features))

    def encode(self, image: Float[Tensor, "batch 3 height width"]) -> tuple[Pyramid, Attended]:
        """What comes before the block: the features, and the block's input with the reduction's maps."""
        pyramid = self.pyramid(image)
        return pyramid, self.reduction(pyramid)

    def decode(self, image: Tensor, pyramid: Pyramid, reduced: Attended, attended: Attended) -> Segmentation:
        """What comes after the block, from what `encode` and a block returned."""
        logits = self.logits(attended.features, pyramid, image)
        maps = tuple(own + earlier for own, earlier in zip(attended.maps, reduced.maps, strict=True))
        return Segmentation(logits, Attended(attended.features, attended.context, maps), pyramid.middle)


class Segmenter(BlockNetwork):
    """A semantic segmentation network around one context block.

    Args:
        backbone: the feature extractor.
        reduction: from the backbone's pyramid to the block's input.
        block: the context block.
        width: the block's output channels.
        classes: the number of classes.
    """

    expects = SIGNED_INPUT

    def __init__(self, backbone: Backbone, reduction: nn.Module, block: ContextBlock, width: int, classes: int) -> None:
        super().__init__(reduction, block)
        self.backbone = backbone
        self.decoder = Decoder(width, backbone)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(CLASSIFIER_WIDTH, classes, 1)
        self.detail = Detail(classes)

    @property
    def extractor(self) -> Backbone:
        """The backbone."""
        return self.backbone

    @property
    def class_count(self) -> int:
        """The number of classes."""
        return self.classifier.out_channels

    def pyramid(self, image: Tensor) -> Pyramid:
        """The backbone's features of images scaled to [-1, 1]; any size from 32 x 32."""
        found: Pyramid = self.backbone(image)
        return found

    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The decoder's features, of stride 2."""
        return self.decoder(features, pyramid)  # type: ignore[no-any-return]

    def logits(self, features: Tensor, pyramid: Pyramid, image: Tensor) -> Tensor:
        """Logits at the image's size from the block's features: the decoder's, resized, plus the detail."""
        decoded = self.decoder(features, pyramid)
        coarse = grow(self.classifier(self.dropout(decoded)), image)
        return coarse + self.detail(decoded, image)  # type: ignore[no-any-return]
