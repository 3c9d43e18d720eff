"""A network for inference only: each BatchNorm, fixed after training, becomes part of the convolution before it."""

from __future__ import annotations

from copy import deepcopy

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from segviz.models.segmenter import BlockNetwork


def fold(model: BlockNetwork) -> BlockNetwork:
    """A copy of a trained network that computes the same, up to rounding, with fewer passes over memory.

    Backbone, reduction and decoder are folded. The block is left alone: what it computes is shown, and its context can
    be switched off. The copy cannot be trained: its norms are gone.

    Args:
        model: the network, in eval mode; it stays as it is.
    """
    copy = deepcopy(model)
    places = {child: (parent, name) for parent in copy.modules() for name, child in parent.named_children()}
    for convolution, norm in find_norm_pairs(copy):
        rest = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        for layer, instead in ((convolution, fuse_conv_bn_eval(convolution, norm)), (norm, rest)):
            parent, name = places[layer]
            setattr(parent, name, instead)
    return copy


def find_norm_pairs(model: BlockNetwork) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The convolutions outside the block whose output goes into a BatchNorm, found by running a small picture."""
    inside = set(model.block.modules())
    outputs: list[tuple[Tensor, nn.Conv2d]] = []  # the tensors are held, so that `is` can distinguish them
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            outputs.append((output, layer))

    def before(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, nn.BatchNorm2d):
            pairs.extend((source, layer) for output, source in outputs if output is inputs[0])

    layers = [layer for layer in model.modules() if layer not in inside]
    handles = [layer.register_forward_hook(after) for layer in layers]
    handles += [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        with torch.no_grad():
            model(model.make_probe())
    finally:
        for handle in handles:
            handle.remove()
    return pairs
