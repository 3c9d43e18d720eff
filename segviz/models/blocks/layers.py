"""Parts that blocks and networks share: a plain layer, and the softmax of attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny  # 1.2e-38


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, without bias, then BatchNorm and ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def attention_softmax(logits: Tensor) -> Tensor:
    """The softmax over the last dimension, in which weights below 1.2e-38 are 0 where no gradient needs them.

    Such numbers are denormal in float32. Where attention is sharp, many are, and an Intel Xeon then takes several times
    as long for the product with the values. A GPU multiplies them as any other number, and would only lose the time of
    one more pass over the weights.
    """
    weights = logits.softmax(-1)
    kept = weights.requires_grad or weights.is_cuda
    return weights if kept else torch.threshold_(weights, SMALLEST_NORMAL, 0.0)
