"""mmsegmentation's ISANet, whose cells attend in two interlaced passes."""

from __future__ import annotations

from torch import nn

from segviz.models.blocks import ContextBlock, InterlacedNonLocal
from segviz.models.networks.heads import ConvReduction, StackedClassifier
from segviz.models.networks.layout import Choices
from segviz.models.networks.mmsegmentation import MMSEG_HEAD, HeadPlan, make_layout
from segviz.models.networks.stored_tensors import ForeignWeightsError, NamePair, StoredTensors, pair_conv_module


def read_interlaced(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """ISANet's head.

    Raises:
        ForeignWeightsError: a tensor is missing, or the option `block` is not two numbers.
    """
    width = stored.width(f"{MMSEG_HEAD}.in_conv.conv.weight")
    reduced = stored.width(f"{MMSEG_HEAD}.global_relation.key_project.0.conv.weight")
    classes = stored.width(f"{MMSEG_HEAD}.conv_seg.weight")
    block = choices.decide("block", (8, 8), "the size of a block has no tensor; all configurations have this one")
    if len(block) != 2 or any(not isinstance(side, int) or side < 1 for side in block):
        raise ForeignWeightsError(f"option 'block' is {block}; give rows and columns of a block, such as (8, 8)")

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        attention = InterlacedNonLocal(width, reduced, (block[0], block[1]))
        return ConvReduction(deep, width), attention, StackedClassifier(width, classes)

    pairs: list[NamePair] = [
        *pair_conv_module(f"{MMSEG_HEAD}.in_conv", "reduction.layers.0"),
        *pair_conv_module(f"{MMSEG_HEAD}.out_conv", "block.join"),
        (f"{MMSEG_HEAD}.conv_seg", "classifier.classifier"),
    ]
    for foreign, own in (("global_relation", "block.far"), ("local_relation", "block.near")):
        for number in (0, 1):
            for one in ("query", "key"):
                pairs += pair_conv_module(f"{MMSEG_HEAD}.{foreign}.{one}_project.{number}", f"{own}.{one}.{number}")
        pairs.append((f"{MMSEG_HEAD}.{foreign}.value_project", f"{own}.value"))
        pairs += pair_conv_module(f"{MMSEG_HEAD}.{foreign}.output_project", f"{own}.after")
    return HeadPlan(make, tuple(pairs))


ISANET_OF_MMSEGMENTATION = make_layout("isanet", "ISANet", "global_relation.key_project.0.conv.weight", read_interlaced)
