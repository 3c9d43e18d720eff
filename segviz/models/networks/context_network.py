"""A network of the papers: a body, a reduction, one context block, and a classifier."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from segviz.models.backbone import Pyramid
from segviz.models.blocks.context_block import ContextBlock
from segviz.models.picture_input import PictureInput
from segviz.models.segmenter import BlockNetwork


class ContextNetwork(BlockNetwork):
    """A semantic segmentation network around one context block, as its paper or its code has it.

    It answers as a `Segmenter` does. The difference is what stands around the block: a `Segmenter` has one decoder for
    all blocks, so that they can be compared.

    Args:
        body: from pictures to a `Pyramid`.
        reduction: from the pyramid to the block's input, as `Attended`: it may have maps of its own.
        block: the context block.
        classifier: from the block's output and the pyramid to logits on any grid.
        align_corners: how the logits are resized to the picture.
        expects: what the network expects of a picture.
    """

    def __init__(
        self,
        body: nn.Module,
        reduction: nn.Module,
        block: ContextBlock,
        classifier: nn.Module,
        align_corners: bool,
        expects: PictureInput | None = None,
    ) -> None:
        super().__init__(reduction, block)
        self.expects = expects or PictureInput()
        self.body = body
        self.classifier, self.align_corners = classifier, align_corners

    @property
    def extractor(self) -> nn.Module:
        """The body."""
        return self.body

    @property
    def class_count(self) -> int:
        """The number of classes."""
        return int(self.classifier.get_submodule("classifier").out_channels)  # type: ignore[arg-type]

    def pyramid(self, image: Tensor) -> Pyramid:
        """The body's features of pictures that are normalised as the weights expect."""
        found: Pyramid = self.body(image)
        return found

    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The features that the last 1x1 convolution classifies."""
        decode: Callable[[Tensor, Pyramid], Tensor] = self.classifier.decode_features  # type: ignore[assignment]
        return decode(features, pyramid)

    def logits(self, features: Tensor, pyramid: Pyramid, image: Tensor) -> Tensor:
        """Logits at the picture's size from the block's features."""
        coarse = self.classifier(features, pyramid)
        return F.interpolate(coarse, image.shape[2:], mode="bilinear", align_corners=self.align_corners)
