"""PSANet as hszhao/semseg stores it: the authors' PyTorch code."""

from __future__ import annotations

import math

from segviz.attention.maps import MaskDirection
from segviz.models.blocks import PointWiseSpatialAttention
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.heads import ConvReduction, StackedClassifier
from segviz.models.networks.layout import Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.networks.stored_tensors import ForeignWeightsError, StoredTensors, pair_sequential, pair_stages

SEMSEG_LAYERS = ("layer1", "layer2", "layer3", "layer4")
SEMSEG_STEM = ("layer0.0", "layer0.3", "layer0.6")
SEMSEG_STEM_PAIRS = (
    ("layer0.0", "body.conv1.0"),
    ("layer0.1", "body.conv1.1"),
    ("layer0.3", "body.conv1.3"),
    ("layer0.4", "body.conv1.4"),
    ("layer0.6", "body.conv1.6"),
    ("layer0.7", "body.bn1"),
)
SEMSEG_CROPS = {59: 465, 89: 705}  # by the mask's side, in the released configurations; stride 8, shrunk by 2


def read_psanet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """PSANet, with one branch or two.

    Raises:
        ForeignWeightsError: a tensor is missing, or the mask's sides cannot be found.
    """
    design = stored.read_resnet(SEMSEG_LAYERS, SEMSEG_STEM, third=(2,), fourth=(4,))
    wide, inner = stored.shape("psa.proj.0.weight")[0], stored.width("psa.reduce.0.weight")
    directions = mask_directions("psa.attention_p.3.weight" in stored.tensors, choices)
    compact, mask = mask_shape(stored.width("psa.attention.3.weight"), choices)
    shrink = choices.decide("shrink", 2, "the released configurations shrink by 2")
    softmax = choices.decide("softmax", True, "the released configurations take a softmax over the masks")
    side = SEMSEG_CROPS.get(mask[0], 8 * shrink * (mask[0] - 1 if compact else mask[0] // 2) + 1)
    crop = choices.decide("crop", (side, side), f"crops whose grid a mask of {mask[0]} x {mask[1]} just covers")
    classes, width = stored.shape("cls.4.weight")[0], stored.width("cls.0.weight")

    def make() -> ContextNetwork:
        block = PointWiseSpatialAttention(
            wide, inner, mask, directions, shrink, compact, outside="zero", softmax=softmax, norm=1.0
        )
        return ContextNetwork(
            ResNetBody(design),
            ConvReduction(wide),
            block,
            StackedClassifier(2 * wide, classes, width),
            align_corners=True,
        )

    pairs = [*SEMSEG_STEM_PAIRS, *pair_stages(SEMSEG_LAYERS), *pair_sequential("psa.proj", "block.project")]
    for direction, ending in zip(directions, ("", "_p"), strict=False):
        own = f"block.branches.{direction}"
        pairs += pair_sequential(f"psa.reduce{ending}", f"{own}.reduce")
        pairs += pair_sequential(f"psa.attention{ending}", f"{own}.mask.0")
        pairs.append((f"psa.attention{ending}.3", f"{own}.mask.1"))
    pairs += [*pair_sequential("cls", "classifier.after"), ("cls.4", "classifier.classifier")]
    return NetworkPlan(
        title=f"PSANet, {design.title}",
        classes=classes,
        make=make,
        pairs=tuple(pairs),
        expects=PictureInput(crop=(crop[0], crop[1])),
        align_corners=True,
        unused={"aux": "the auxiliary head"},
    )


def mask_directions(both: bool, choices: Choices) -> tuple[MaskDirection, ...]:
    """The branches in the order of the file.

    Raises:
        ForeignWeightsError: the direction that was given is none.
    """
    if both:
        return "collect", "distribute"
    direction = choices.decide("direction", "collect", "one branch is stored alike for collect and distribute")
    if direction == "collect":
        return ("collect",)
    if direction == "distribute":
        return ("distribute",)
    raise ForeignWeightsError(f"option 'direction' is {direction!r}; give 'collect' or 'distribute'")


def mask_shape(channels: int, choices: Choices, even_is_compact: bool = True) -> tuple[bool, tuple[int, int]]:
    """Whether masks are compact, and their rows and columns, from how many numbers a mask has.

    Raises:
        ForeignWeightsError: they are not a square, and no sides that give this number were given.
    """
    side = math.isqrt(channels)
    square = side * side == channels
    sides = choices.decide("mask", (side, side), f"a mask has {channels} numbers; all published ones are square")
    if len(sides) != 2 or sides[0] * sides[1] != channels:
        cause = "are not a square" if not square and sides == (side, side) else f"do not fit {sides}"
        raise ForeignWeightsError(f"the {channels} numbers of PSANet's masks {cause}; give mask=(rows, columns)")
    even = not all(one % 2 for one in sides)
    reason = "an over-complete mask has odd sides" if even_is_compact else "no configuration has compact masks"
    compact = choices.decide("compact", even and even_is_compact, reason)
    return compact, (sides[0], sides[1])


PSANET_OF_SEMSEG = WeightsLayout(
    "semseg-psanet",
    "PSANet",
    "hszhao/semseg",
    ("layer0.0.weight", "psa.reduce.0.weight", "psa.attention.3.weight", "psa.proj.0.weight", "cls.4.weight"),
    read_psanet,
)
