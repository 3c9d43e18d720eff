"""A network of the papers: a body, a reduction, one context block, and a classifier."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.backbone import Pyramid
from segviz.models.blocks.context_block import ContextBlock
from segviz.models.segmenter import Segmentation


class ContextNetwork(nn.Module):
    """A semantic segmentation network around one context block, as its paper or its code has it.

    It answers as a `Segmenter` does. The difference is what stands around the block: a `Segmenter` has one decoder for
    all blocks, so that they can be compared.

    Args:
        body: from pictures to a `Pyramid`.
        reduction: from the pyramid to the block's input, as `Attended`: it may have maps of its own.
        block: the context block.
        classifier: from the block's output and the pyramid to logits on any grid.
        align_corners: how the logits are resized to the picture.
    """

    def __init__(
        self, body: nn.Module, reduction: nn.Module, block: ContextBlock, classifier: nn.Module, align_corners: bool
    ) -> None:
        super().__init__()
        self.body, self.reduction = body, reduction
        self.block: ContextBlock = block
        self.classifier, self.align_corners = classifier, align_corners

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Segmentation:
        """Logits and maps of pictures that are normalised as the weights expect."""
        pyramid, reduced = self.encode(image)
        return self.decode(image, pyramid, reduced, self.block(reduced.features))

    def encode(self, image: Float[Tensor, "batch 3 height width"]) -> tuple[Pyramid, Attended]:
        """What comes before the block: the body's features, and the block's input with the reduction's maps."""
        pyramid = self.body(image)
        return pyramid, self.reduction(pyramid)

    def decode(self, image: Tensor, pyramid: Pyramid, reduced: Attended, attended: Attended) -> Segmentation:
        """What comes after the block, from what `encode` and a block returned."""
        logits = self.logits(attended.features, pyramid, image)
        maps = tuple(own + earlier for own, earlier in zip(attended.maps, reduced.maps, strict=True))
        return Segmentation(logits, Attended(attended.features, attended.context, maps), pyramid.middle)

    def logits(self, features: Tensor, pyramid: Pyramid, image: Tensor) -> Tensor:
        """Logits at the picture's size from the block's features."""
        coarse = self.classifier(features, pyramid)
        return F.interpolate(coarse, image.shape[2:], mode="bilinear", align_corners=self.align_corners)
