"""How large a network is."""

from __future__ import annotations

from torch import nn


def count_parameters(network: nn.Module) -> int:
    """Count the trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def describe_size(network: nn.Module) -> str:
    """Its number of parameters, such as "14.1 M parameters"."""
    return f"{count_parameters(network) / 1e6:.1f} M parameters"
