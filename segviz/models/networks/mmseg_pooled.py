"""mmsegmentation's networks whose cells gather from pooled tokens: OCRNet and ANN."""

from __future__ import annotations

from torch import nn

from segviz.models.blocks import AsymmetricNonLocal, ContextBlock, ObjectContext
from segviz.models.blocks.asymmetric_non_local import PYRAMID_LEVELS
from segviz.models.networks.heads import AsymmetricFusion, RegionReduction, StackedClassifier
from segviz.models.networks.layout import Choices, WeightsLayout
from segviz.models.networks.mmsegmentation import (
    MMSEG_HEAD,
    MMSEG_LAYERS,
    MMSEG_SOURCE,
    HeadPlan,
    make_layout,
    read_with_body,
)
from segviz.models.networks.stored_tensors import ForeignWeightsError, NamePair, StoredTensors, pair_conv_module

FIRST_HEAD, LAST_HEAD = f"{MMSEG_HEAD}.0", f"{MMSEG_HEAD}.1"  # OCRNet's: the second reads the logits of the first
REGIONS = f"{LAST_HEAD}.object_context_block"


def read_object_context(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """OCRNet's heads: a classifier of the last stage but one, and the regions of its classes."""
    inner, middle, kernel, _ = stored.shape(f"{FIRST_HEAD}.convs.0.conv.weight")
    regions = stored.width(f"{FIRST_HEAD}.conv_seg.weight")
    width = stored.width(f"{LAST_HEAD}.bottleneck.conv.weight")
    reduced = stored.width(f"{REGIONS}.value_project.conv.weight")
    classes = stored.width(f"{LAST_HEAD}.conv_seg.weight")

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        reduction = RegionReduction(middle, deep, width, (inner, kernel), regions)
        return reduction, ObjectContext(width, regions, reduced), StackedClassifier(width, classes)

    pairs: list[NamePair] = [
        *pair_conv_module(f"{FIRST_HEAD}.convs.0", "reduction.before"),
        (f"{FIRST_HEAD}.conv_seg", "reduction.classifier"),
        *pair_conv_module(f"{LAST_HEAD}.bottleneck", "reduction.layer"),
        *pair_conv_module(f"{REGIONS}.value_project", "block.value"),
        *pair_conv_module(f"{REGIONS}.out_project", "block.after"),
        *pair_conv_module(f"{REGIONS}.bottleneck", "block.join"),
        (f"{LAST_HEAD}.conv_seg", "classifier.classifier"),
    ]
    for number in (0, 1):
        pairs += pair_conv_module(f"{REGIONS}.query_project.{number}", f"block.query.{number}")
        pairs += pair_conv_module(f"{REGIONS}.key_project.{number}", f"block.key.{number}")
    return HeadPlan(make, tuple(pairs))


def pyramid_pairs(foreign: str, own: str) -> tuple[NamePair, ...]:
    """The names of a `PyramidAttention` and of the layer that joins its result."""
    return (
        *pair_conv_module(f"{foreign}.stages.0.query_project", f"{own}.attend.query"),
        *pair_conv_module(f"{foreign}.stages.0.key_project", f"{own}.attend.key"),
        (f"{foreign}.stages.0.value_project", f"{own}.attend.value"),
        (f"{foreign}.stages.0.out_project", f"{own}.attend.after"),
        *pair_conv_module(f"{foreign}.bottleneck", f"{own}.join"),
    )


def read_asymmetric(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """ANN's head: the deepest features gather from a pyramid of the stage before, then from their own.

    Raises:
        ForeignWeightsError: a tensor is missing, or the option `levels` has none, or no numbers.
    """
    reduced, middle, _, _ = stored.shape(f"{MMSEG_HEAD}.fusion.stages.0.key_project.conv.weight")
    width = stored.width(f"{MMSEG_HEAD}.bottleneck.conv.weight")
    classes = stored.width(f"{MMSEG_HEAD}.conv_seg.weight")
    levels = choices.decide("levels", PYRAMID_LEVELS, "bins have no tensors; all configurations have these")
    if not levels or any(not isinstance(side, int) or side < 1 for side in levels):
        raise ForeignWeightsError(f"option 'levels' is {levels}; give bins along a side, such as {PYRAMID_LEVELS}")

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        reduction = AsymmetricFusion(middle, deep, width, reduced, levels)
        return reduction, AsymmetricNonLocal(width, reduced, levels), StackedClassifier(width, classes)

    pairs = (
        *pyramid_pairs(f"{MMSEG_HEAD}.fusion", "reduction"),
        *pair_conv_module(f"{MMSEG_HEAD}.bottleneck", "reduction.layer"),
        *pyramid_pairs(f"{MMSEG_HEAD}.context", "block"),
        (f"{MMSEG_HEAD}.conv_seg", "classifier.classifier"),
    )
    return HeadPlan(make, pairs)


POOLED_OF_MMSEGMENTATION: tuple[WeightsLayout, ...] = (
    WeightsLayout(
        "mmsegmentation-ocrnet",
        "OCRNet",
        MMSEG_SOURCE,
        # an HRNet, which is the body of most OCRNets, has no layer4
        (f"{MMSEG_LAYERS[3]}.0.conv1.weight", f"{REGIONS}.key_project.0.conv.weight", f"{LAST_HEAD}.conv_seg.weight"),
        read_with_body("OCRNet", read_object_context, LAST_HEAD),
    ),
    make_layout("ann", "ANN", "fusion.stages.0.key_project.conv.weight", read_asymmetric),
)
