"""NETWORKS: the papers' networks, one literal row each: body, width of the block, and what their options start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch

from segviz.models.block_kinds import BLOCK_KINDS, complete_settings
from segviz.models.blocks import ContextBlock
from segviz.models.input_statistics import choose_input
from segviz.models.networks.bodies import LIGHT, make_body
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.skeletons import (
    FLA_SKELETON,
    LIGHT_SKELETON,
    PSA_SKELETON,
    SAM_SKELETON,
    SNL_SKELETON,
    Skeleton,
)
from segviz.models.options import NetworkOption, OptionValue, resolve_options

BlockDefaults = Mapping[str, Mapping[str, OptionValue]]
NO_DEFAULTS: BlockDefaults = MappingProxyType({})
ATTANET_TABLE_3: BlockDefaults = {"nl": {"keys": 64, "project": False}, "rcca": {"keys": 64}}
STRIDE_16: BlockDefaults = {"aspp": {"rates": (6, 12, 18)}}  # DeepLabV3's dilations at stride 16; its others are of 8


@dataclass(frozen=True)
class NetworkRow:
    """One of the papers' networks.

    Attributes:
        name: its name in commands and records.
        title: the name for people.
        skeleton: what stands around its block.
        backbone: its body.
        width: the block's input channels, or what they are narrowed to.
        output_stride: the deepest features' stride.
        crop: (height, width) of the paper's crops in training, which PSA's masks cover.
        block_defaults: defaults of blocks' options that differ from the blocks' own.
    """

    name: str
    title: str
    skeleton: Skeleton
    backbone: str
    width: int = 512
    output_stride: int = 8
    crop: tuple[int, int] = (769, 769)
    block_defaults: BlockDefaults = field(default_factory=lambda: NO_DEFAULTS)

    @property
    def paper(self) -> str:
        """The paper."""
        return self.skeleton.paper

    @property
    def options(self) -> tuple[NetworkOption, ...]:
        """Its options."""
        return self.skeleton.options

    def resolve(
        self, options: Mapping[str, OptionValue] | None = None, output_stride: int | None = None
    ) -> dict[str, OptionValue]:
        """The values of all options, PSA's mask for the row's crop.

        Raises:
            NetworkOptionError: there is no such option or value, or it has no effect on the chosen block.
        """
        stride = (output_stride or self.output_stride) // self.skeleton.finer  # of the block
        defaults = {**self.block_defaults, **(STRIDE_16 if stride >= 16 else {})}
        settings = resolve_options(self.name, self.options, options or {}, defaults)
        return complete_settings(str(settings["block"]), settings, self.crop, stride)

    def build_block(
        self,
        options: Mapping[str, OptionValue] | None = None,
        backbone: str | None = None,
        output_stride: int | None = None,
    ) -> ContextBlock:
        """Its block alone with random weights; see `registry.build_block`."""
        settings = self.resolve(options, output_stride)
        with torch.device("meta"):  # only to ask for the channels
            deep: int = make_body(backbone or self.backbone, output_stride or self.output_stride).deep_channels
        return BLOCK_KINDS[str(settings["block"])].make(self.skeleton.block_width(deep, self.width, settings), settings)

    def maps_with(self, options: Mapping[str, OptionValue] | None = None) -> tuple[str, ...]:
        """The names of its maps with options, in order."""
        settings = self.resolve(options)
        gate = ("gate",) if self.skeleton.gated or settings.get("fusion") == "afm" else ()
        return (*BLOCK_KINDS[str(settings["block"])].maps(settings), *gate)

    def build(
        self,
        classes: int,
        backbone: str | None = None,
        output_stride: int | None = None,
        options: Mapping[str, OptionValue] | None = None,
    ) -> ContextNetwork:
        """The network with random weights; see `registry.build`."""
        settings, stride = self.resolve(options, output_stride), output_stride or self.output_stride
        body = make_body(backbone or self.backbone, stride, str(settings.get("stem", "plain")))
        channels = self.skeleton.block_width(body.deep_channels, self.width, settings)
        block = BLOCK_KINDS[str(settings["block"])].make(channels, settings)
        reduction, classifier = self.skeleton.make(body, channels, settings, classes)
        expects = choose_input(str(settings["input"]), backbone or self.backbone)
        if "mask" in settings:
            expects = replace(expects, crop=self.cover(settings, stride // self.skeleton.finer))
        network = ContextNetwork(body, reduction, block, classifier, align_corners=True, expects=expects)
        network.options, network.backbone_name = settings, backbone or self.backbone
        return network

    def cover(self, settings: Mapping[str, OptionValue], stride: int) -> tuple[int, int]:
        """The (height, width) of crops whose grid PSA's masks just cover; the row's own where they fit it."""
        if settings["mask"] == complete_settings("psa", {**settings, "mask": (0, 0)}, self.crop, stride)["mask"]:
            return self.crop
        rows, columns = (side if settings["compact"] else side // 2 + 1 for side in sides_of(settings["mask"]))
        apart = stride * int(str(settings["shrink"]))
        return ((rows - 1) * apart + 1, (columns - 1) * apart + 1)


def sides_of(value: OptionValue | None) -> tuple[int, ...]:
    """The numbers of an option that is a tuple; none of another."""
    return value if isinstance(value, tuple) else ()


NETWORK_ROWS = (
    NetworkRow("flanet_r101", "FLANet, ResNet-101", FLA_SKELETON, "resnet101", crop=(768, 768)),
    NetworkRow("flanet_r50", "FLANet, ResNet-50", FLA_SKELETON, "resnet50", crop=(768, 768)),
    NetworkRow("flanet_r18", "FLANet, ResNet-18", FLA_SKELETON, "resnet18", crop=(768, 768)),
    NetworkRow("flanet_shufflenet", "FLANet, ShuffleNetV2", FLA_SKELETON, "shufflenet_v2_x1_0", crop=(768, 768)),
    NetworkRow("flanet_hrnet48", "FLANet, HRNetV2-W48", FLA_SKELETON, "hrnet_w48", output_stride=4, crop=(768, 768)),
    NetworkRow("attanet_r18", "AttaNet, ResNet-18", SAM_SKELETON, "resnet18", 128, 32, (1024, 1024), ATTANET_TABLE_3),
    NetworkRow("attanet_r50", "AttaNet, ResNet-50", SAM_SKELETON, "resnet50", 512, 32, (1024, 1024), ATTANET_TABLE_3),
    NetworkRow(
        "attanet_r101", "AttaNet, ResNet-101", SAM_SKELETON, "resnet101", 512, 32, (1024, 1024), ATTANET_TABLE_3
    ),
    NetworkRow(
        "attanet_shufflenet", "AttaNet, ShuffleNetV2", SAM_SKELETON, "shufflenet_v2_x1_0", 128, 32, (1024, 1024),
        ATTANET_TABLE_3,
    ),
    NetworkRow("attanet_df1", "AttaNet, DF1", SAM_SKELETON, "df1", 128, 32, (1024, 1024), ATTANET_TABLE_3),
    NetworkRow("attanet_df2", "AttaNet, DF2", SAM_SKELETON, "df2", 128, 32, (1024, 1024), ATTANET_TABLE_3),
    NetworkRow("attanet_light", "AttaNet, light", LIGHT_SKELETON, LIGHT, 64, 16, (1024, 1024), ATTANET_TABLE_3),
    NetworkRow("ssanet_r101", "SSANet, ResNet-101", SNL_SKELETON, "resnet101", 512, 16, (769, 769)),
    NetworkRow("ssanet_mbv2", "SSANet, MobileNetV2", SNL_SKELETON, "mobilenetv2_100", 256, 16, (769, 769)),
    NetworkRow("psanet_r50", "PSANet, ResNet-50", PSA_SKELETON, "resnet50", crop=(465, 465)),
    NetworkRow("psanet_r101", "PSANet, ResNet-101", PSA_SKELETON, "resnet101", crop=(465, 465)),
)  # fmt: skip

NETWORKS: Mapping[str, NetworkRow] = MappingProxyType({row.name: row for row in NETWORK_ROWS})
