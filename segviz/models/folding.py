"""A network for inference alone: BatchNorm, fixed after training, becomes part of the convolution before it."""

from __future__ import annotations

from copy import deepcopy

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from segviz.models.segmenter import Segmenter

PROBE = 64  # pixels a side; every backbone takes it


def fold(model: Segmenter) -> Segmenter:
    """A copy of a trained network that computes the same with fewer passes over memory, to rounding.

    Backbone, reduction and decoder are folded. The block stays as it is, layer by layer, as what it computes is what
    is shown, and as its context can be switched off. A copy does not train: its norms are gone.

    Args:
        model: in eval mode; it stays as it is.
    """
    copy = deepcopy(model)
    places = {child: (parent, name) for parent in copy.modules() for name, child in parent.named_children()}
    for convolution, norm in find_norm_pairs(copy):
        rest = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        for layer, instead in ((convolution, fuse_conv_bn_eval(convolution, norm)), (norm, rest)):
            parent, name = places[layer]
            setattr(parent, name, instead)
    return copy


def find_norm_pairs(model: Segmenter) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The convolutions outside the block whose outputs a BatchNorm takes, as seen when a small picture passes."""
    kept = set(model.block.modules())
    made: list[tuple[Tensor, nn.Conv2d]] = []  # the tensors are held, so that `is` tells them apart
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            made.append((output, layer))

    def before(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(layer, nn.BatchNorm2d):
            found.extend((source, layer) for output, source in made if output is given[0])

    layers = [layer for layer in model.modules() if layer not in kept]
    handles = [layer.register_forward_hook(after) for layer in layers]
    handles += [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        with torch.no_grad():
            model(next(model.parameters()).new_zeros(1, 3, PROBE, PROBE))
    finally:
        for handle in handles:
            handle.remove()
    return found
