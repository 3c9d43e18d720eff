"""The tiny network of the Cues page: two 3x3 convolutions, a context block, and a linear classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.data.scenes.cues import CueScene
from segviz.models import blocks
from segviz.models.blocks import ContextBlock
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.influence import measure_influences
from segviz.models.registry import MODELS

CHANNELS = 64
PSA_INNER, CUE_MASK = 32, (23, 31)  # 2H-1 x 2W-1 of the 12 x 16 grid that 24 x 32 cells are shrunk to

CUE_BLOCKS: Mapping[str, Callable[[int], ContextBlock]] = MappingProxyType(
    {name: row.block for name, row in MODELS.items()}
    | {"psa": lambda channels: blocks.PointWiseSpatialAttention(channels, PSA_INNER, CUE_MASK)}
)


@dataclass(frozen=True)
class CueAnswer:
    """What the network returns: a logit of each class for every cell, and what the block returned."""

    logits: Float[Tensor, "batch classes height width"]
    attended: Attended


class CueNetwork(nn.Module):
    """A network that sees 5 x 5 cells without its block.

    The classifier is linear: what a thing's class depends on has to be brought together by the block.

    Args:
        block: a row of MODELS.
        classes: the number of classes.

    Raises:
        KeyError: there is no such block.
    """

    def __init__(self, block: str, classes: int) -> None:
        super().__init__()
        if block not in CUE_BLOCKS:
            raise KeyError(f"block '{block}' is unknown; the blocks are {', '.join(CUE_BLOCKS)}")
        self.backbone = nn.Sequential(conv_bn_relu(3, CHANNELS, 3), conv_bn_relu(CHANNELS, CHANNELS, 3))
        self.block: ContextBlock = CUE_BLOCKS[block](CHANNELS)
        self.classifier = nn.Conv2d(CHANNELS * MODELS[block].widening, classes, 1)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> CueAnswer:
        """Logits and maps of images scaled to [-1, 1]."""
        attended = self.block(self.backbone(images))
        return CueAnswer(self.classifier(attended.features), attended)


def images_of(scenes: Sequence[CueScene]) -> Float[Tensor, "batch 3 height width"]:
    """The scenes' pictures as a network sees them, from -1 to 1."""
    pixels = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def cell_influences(
    network: CueNetwork, images: Float[Tensor, "batch 3 height width"], cells: Sequence[tuple[int, int]]
) -> Float[Tensor, "batch height width"]:
    """For each picture, the influence on the winning score at a (row, column) (`segviz.models.influence`)."""
    rows, columns = zip(*cells, strict=True)
    with torch.inference_mode(False), torch.no_grad():
        features = network.backbone(images.clone())

    def answer(attended: Tensor) -> Tensor:
        logits: Tensor = network.classifier(attended)[range(len(cells)), :, rows, columns]
        return logits.max(1).values.sum()

    return measure_influences(network.block, features, answer)
