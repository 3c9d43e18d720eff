"""ImageNet weights of a network's body, fetched by timm and torchvision, which keep what they fetched."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import timm
import torchvision
from torch import Tensor

from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.sources.hub import reach_hub
from segviz.models.networks.bodies import LIGHT, RESNETS
from segviz.models.networks.df_body import DF_STAGES
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.segmenter import BlockNetwork
from segviz.text import plain_text

IMAGENET = "imagenet"  # what `--init` takes in place of a file
IMAGENET_VERSION = "IMAGENET1K_V1"  # torchvision's first weights, the files that the authors of AttaNet name
UNTRAINED_BODIES = (LIGHT, *DF_STAGES)
OFFLINE_CURE = (
    "fetch the file on a machine with internet and give it with --init FILE, or train from random weights, without it"
)


def fetch_imagenet(network: BlockNetwork) -> tuple[str, Mapping[str, Tensor]]:
    """The ImageNet weights for a network's body: what they are called, and the tensors by their library's names.

    ResNets of the papers' networks and ShuffleNetV2 come from torchvision, everything else from timm.

    Raises:
        CheckpointError: there are none for this body, or they cannot be fetched.
    """
    name = network.backbone_name
    if name in UNTRAINED_BODIES:
        raise CheckpointError(
            f"there are no ImageNet weights for '{name}', which its paper trains from random ones; remove --init"
        )
    if network.options.get("stem") == "deep":
        raise CheckpointError(
            "neither timm nor torchvision has ImageNet weights for a ResNet with a deep stem of 64, 64 and 128 "
            "channels; give the file of PSANet's or FLANet's authors with --init FILE, or use --option stem=plain"
        )
    of_torchvision = name.startswith("shufflenet_v2") or (name in RESNETS and isinstance(network.extractor, ResNetBody))
    library = "torchvision" if of_torchvision else "timm"
    title = f"{library}'s ImageNet weights {f'{name} {IMAGENET_VERSION}' if of_torchvision else describe_timm(name)}"
    try:
        with nullcontext() if of_torchvision else reach_hub():
            body: Any = (
                torchvision.models.get_model(name, weights=IMAGENET_VERSION)
                if of_torchvision
                else timm.create_model(name, pretrained=True)
            )
    except Exception as error:  # both raise whatever their downloads raise
        cause = plain_text(" ".join(str(error).split()), 120) or type(error).__name__
        raise CheckpointError(f"{title} cannot be fetched ({cause}); {OFFLINE_CURE}") from error
    return title, body.state_dict()


def describe_timm(name: str) -> str:
    """A network of timm with the tag of its weights."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return f"{name}.{config.tag}" if config is not None and config.tag else name
