"""A row of `registry.MODELS`: what a bundled model is called, where it comes from, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from segviz.models.backbone import Backbone
from segviz.models.block_kinds import BLOCK_KINDS, complete_settings, options_of_block
from segviz.models.blocks import ContextBlock
from segviz.models.input_statistics import INPUT_OPTION, choose_input
from segviz.models.options import NetworkOption, OptionValue, resolve_options
from segviz.models.segmenter import FUSION_OPTION, FusionReduction, Reduction, Segmenter

PSA_CROP, PSA_STRIDE = (360, 480), 8  # the size of training, whose grid PSA's masks cover


class PublishedCost(NamedTuple):
    """What FLANet's Table 3 says that a block costs at 96 x 96 x 512; it does not say how memory was measured."""

    gflops: float
    megabytes: float


@dataclass(frozen=True)
class ModelRow:
    """One of the bundled models: what it is called, where it comes from, and how its block is made.

    Attributes:
        name: the name in commands, addresses and file names.
        title: the name for people.
        paper: where the block comes from.
        help: how the block attends, for the page's help: a clause with its equation, in Markdown and LaTeX.
        maps: names of the block's maps, in order; the reduction's last.
        kind: the kind of its block (`BLOCK_KINDS`), the row's name by default.
        defaults: defaults of the block's options that differ from the kind's own.
        channels: the block's input channels.
        backbone: the feature extractor's name.
        output_stride: the deepest features' stride.
        fused: whether AttaNet's fusion joins the two deepest levels before the block.
        alone: makes the block that `bench blocks` measures, for (height, width, channels); None: as `block` does.
        published: its published cost, if there is one.
    """

    name: str
    title: str
    paper: str
    help: str
    maps: tuple[str, ...] = ()
    kind: str = ""
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    channels: int = 256
    backbone: str = "mobilenetv2_100"
    output_stride: int = 8
    fused: bool = False
    alone: Callable[[int, int, int], ContextBlock] | None = None
    published: PublishedCost | None = None

    @property
    def options(self) -> tuple[NetworkOption, ...]:
        """What can be switched in the block and around it."""
        around = (FUSION_OPTION,) if self.fused else ()
        return (*options_of_block(self.kind or self.name), *around, INPUT_OPTION)

    def resolve(self, options: Mapping[str, OptionValue] | None = None) -> dict[str, OptionValue]:
        """The values of all options.

        Raises:
            NetworkOptionError: there is no such option or value.
        """
        kind = self.kind or self.name
        given = {**self.defaults, **(options or {})}
        return complete_settings(kind, resolve_options(self.name, self.options, given), PSA_CROP, PSA_STRIDE)

    def block(self, channels: int, options: Mapping[str, OptionValue] | None = None) -> ContextBlock:
        """The block for a number of input channels."""
        return BLOCK_KINDS[self.kind or self.name].make(channels, self.resolve(options))

    @property
    def widening(self) -> int:
        """The block's output channels over its input channels, without options."""
        return 2 if BLOCK_KINDS[self.kind or self.name].doubles(self.resolve()) else 1

    def build_block(
        self,
        options: Mapping[str, OptionValue] | None = None,
        backbone: str | None = None,
        output_stride: int | None = None,
    ) -> ContextBlock:
        """Its block alone with random weights; width and masks do not depend on the body."""
        return self.block(self.channels, options)

    def maps_with(self, options: Mapping[str, OptionValue] | None = None) -> tuple[str, ...]:
        """The names of its maps with options, in order."""
        settings = self.resolve(options)
        gate = ("gate",) if settings.get("fusion") == "afm" else ()
        return (*BLOCK_KINDS[self.kind or self.name].maps(settings), *gate)

    def build(
        self,
        classes: int,
        backbone: str | None = None,
        output_stride: int | None = None,
        options: Mapping[str, OptionValue] | None = None,
    ) -> Segmenter:
        """The network with random weights; see `registry.build`."""
        settings = self.resolve(options)
        body = Backbone(backbone or self.backbone, output_stride or self.output_stride)
        block, width = self.block(self.channels, settings), self.channels
        if BLOCK_KINDS[self.kind or self.name].doubles(settings):
            width *= 2
        fusion = str(settings.get("fusion"))
        reduction = FusionReduction(body, self.channels, fusion) if self.fused else Reduction(body, self.channels)
        network = Segmenter(body, reduction, block, width, classes)
        network.expects = choose_input(str(settings["input"]), backbone or self.backbone)
        network.options, network.backbone_name = settings, backbone or self.backbone
        return network
