"""Bodies of the papers' networks by name: dilated ResNets, AttaNet's light body, and any backbone."""

from __future__ import annotations

from typing import Any

from segviz.models.backbone import Backbone
from segviz.models.networks.attanet import LightBody
from segviz.models.networks.df_body import DF_STAGES, DfBody
from segviz.models.networks.resnet_body import DEPTHS, Dilations, ResNetBody, ResNetDesign
from segviz.models.options import NetworkOption, NetworkOptionError
from segviz.text import join_choices

STEMS = {"plain": (64,), "deep": (64, 64, 128)}
STEM_OPTION = NetworkOption(
    "stem", "plain", "a ResNet's first layers: one 7x7 convolution, or three of 3x3 as the authors' code has",
    tuple(STEMS),
)  # fmt: skip
RESNETS = {"resnet34": ((3, 4, 6, 3), False)} | {
    f"resnet{depth}": (blocks, depth > 34) for blocks, depth in DEPTHS.items()
}
LIGHT = "attanet_light"
UNSTRIDED = {LIGHT: 16, **dict.fromkeys(DF_STAGES, 32)}  # bodies that nobody dilates, and their output stride
DILATIONS: dict[int, tuple[Dilations, Dilations]] = {8: ((2,), (4,)), 16: ((1,), (2,)), 32: ((1,), (1,))}


def make_body(name: str, output_stride: int, stem: str = "plain") -> Any:
    """A body, from pictures to a `Pyramid`; it knows its channels and its output stride.

    ResNets are dilated as PSANet says (section 4.2): at stride 8 all blocks of stage 4 by 2, of stage 5 by 4.

    Args:
        name: `resnet18`, `_34`, `_50`, `_101`, `_152`, `df1`, `df2`, `attanet_light`, or a name of `Backbone`'s.
        output_stride: the deepest features' stride: 8, 16 or 32.
        stem: a key of STEMS; for ResNets alone.

    Raises:
        NetworkOptionError: a deep stem is asked of another body than a ResNet.
        ValueError: the name or the output stride is unknown.
    """
    if name in RESNETS:
        if output_stride not in DILATIONS:
            raise ValueError(f"output stride {output_stride} is not possible; use {join_choices(DILATIONS)}")
        blocks, bottleneck = RESNETS[name]
        third, fourth = DILATIONS[output_stride]
        return ResNetBody(
            ResNetDesign(
                blocks, stem=STEMS[stem], bottleneck=bottleneck, stride=output_stride, third=third, fourth=fourth
            )
        )
    if stem != "plain":
        raise NetworkOptionError(f"option 'stem' has no effect on the backbone '{name}'; remove it, or use a ResNet")
    if name in UNSTRIDED:
        if output_stride != UNSTRIDED[name]:
            raise ValueError(f"output stride {output_stride} is not possible with '{name}'; use {UNSTRIDED[name]}")
        return LightBody() if name == LIGHT else DfBody(name)
    return Backbone(name, output_stride, as_bundled=False)
