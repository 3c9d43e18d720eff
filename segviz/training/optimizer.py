"""A training's optimizer, whose memory is there before the first step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segviz.training.initialise import parameter_groups
from segviz.training.options import TrainOptions


def make_optimizer(options: TrainOptions, networks: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum; each group of parameters has a factor on the learning rate as its "scale".

    Raises:
        OutOfMemoryError: there is no room for what it keeps of each parameter.
    """
    groups = parameter_groups(networks, options.rate)
    if not options.part_rates:
        groups = [{"params": list(networks.parameters()), "scale": 1.0, "lr": options.rate}]
    fused, decay = device.type == "cuda", options.weight_decay
    optimizer: torch.optim.Optimizer
    if options.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=options.momentum, weight_decay=decay, fused=fused)
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=decay, fused=fused)
    allocate_state(optimizer)
    return optimizer


def allocate_state(optimizer: torch.optim.Optimizer) -> None:
    """Allocate what the optimizer keeps of each parameter, such as its momentum, as zeros.

    Otherwise the first step allocates it. Memory that runs out in a step cannot be won back by halving the batch,
    since the step is half taken; memory that runs out in a backward pass can.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    parameters = [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # at a rate of zero no weight changes
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, Tensor):  # the number of steps, too
                value.zero_()
