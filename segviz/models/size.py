"""How large a network is, in words."""

from __future__ import annotations

from torch import nn


def describe_size(network: nn.Module) -> str:
    """Its number of parameters, such as "14.1 M parameters"."""
    return f"{sum(one.numel() for one in network.parameters()) / 1e6:.1f} M parameters"
