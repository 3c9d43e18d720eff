"""Auxiliary losses: classifiers on features inside a network, which learn with it and are dropped after training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.backbone import Pyramid
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.segmenter import BlockNetwork, Segmentation
from segviz.training.auxiliary_points import AUXILIARY_POINTS


def find_features(pyramid: Pyramid, reduced: Attended, attended: Attended) -> dict[str, Tensor]:
    """The features at each of `AUXILIARY_POINTS`."""
    found = (pyramid.eighth, pyramid.middle, reduced.features, attended.context)
    return dict(zip(AUXILIARY_POINTS, found, strict=True))


def run_with_features(network: BlockNetwork, images: Tensor) -> tuple[Segmentation, dict[str, Tensor]]:
    """What a network makes of normalised images, and its features at each of `AUXILIARY_POINTS`."""
    pyramid, reduced = network.encode(images)
    attended = network.block(reduced.features)
    return network.decode(images, pyramid, reduced, attended), find_features(pyramid, reduced, attended)


def make_auxiliary_heads(
    network: BlockNetwork, weights: Mapping[str, float], width: int, classes: int
) -> nn.ModuleDict:
    """A classifier for each point with a weight: a 3x3 convolution and a 1x1, on the context a 1x1 alone.

    A deeper one on the context could make up for what the block does not learn.
    """
    channels = count_channels(network) if weights else {}
    heads = nn.ModuleDict()
    for point in AUXILIARY_POINTS:
        if point not in weights:
            continue
        if point == "context":
            heads[point] = nn.Conv2d(channels[point], classes, 1)
        else:
            heads[point] = nn.Sequential(conv_bn_relu(channels[point], width, 3), nn.Conv2d(width, classes, 1))
    return heads


@torch.no_grad()
def count_channels(network: BlockNetwork) -> dict[str, int]:
    """The number of channels at each point, found by one small forward pass that changes nothing."""
    training = network.training
    _, features = run_with_features(network.eval(), network.make_probe())
    network.train(training)
    return {point: one.shape[1] for point, one in features.items()}
