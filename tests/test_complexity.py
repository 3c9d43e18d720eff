"""What a forward pass costs: the FLOPs, multiply-adds and parameters of BLOCKS.md, section C."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from segviz.models.blocks import (
    AttentionFusion,
    ChannelNonLocal,
    ChannelSpatialNonLocal,
    DualNonLocal,
    ExpectationMaximization,
    FullyAttentional,
    PointWiseSpatialAttention,
    RecurrentCrissCross,
    SparseNonLocal,
    SpatialNonLocal,
    StripAttentionModule,
)

FLANET = {  # 96 x 96 x 512, two operations a multiply-add (FLANet, Table 3)
    "EMA": (lambda: ExpectationMaximization(512), 13.8915),
    "channel": (ChannelNonLocal, 9.6637),
    "RCCA": (lambda: RecurrentCrissCross(512), 16.1565),
    "spatial": (lambda: SpatialNonLocal(512), 103.8845),
    "dual": (lambda: DualNonLocal(512), 113.5482),
    "channel, then spatial": (lambda: ChannelSpatialNonLocal(512), 113.5482),
    "FLA": (lambda: FullyAttentional(512), 19.4280),
}
ATTANET = {  # 64 x 64 x 128, billions of multiply-adds (AttaNet, Tables 2-3), queries and keys of 64 channels
    "SAM": (lambda: StripAttentionModule(128), 0.184549),
    "spatial": (lambda: SpatialNonLocal(128, 64), 3.355443),
    "RCCA": (lambda: RecurrentCrissCross(128, 64), 0.469762),
}
PARAMETERS = {
    "FLA": (lambda: FullyAttentional(512), 525_313),
    "spatial": (lambda: SpatialNonLocal(512), 328_321),
    "EMA": (lambda: ExpectationMaximization(512), 525_824),
    "SNL": (lambda: SparseNonLocal(512, (9, 9)), 871_074),
    "SAM": (lambda: StripAttentionModule(128), 33_280),  # BatchNorm's 512 among them
    "channel": (ChannelNonLocal, 1),
    "dual": (lambda: DualNonLocal(512), 328_322),
    "RCCA": (lambda: RecurrentCrissCross(512), 328_321),
}


def flops(build: object, *shape: int) -> FlopCounterMode:
    """A forward pass counted on tensors that have a shape and no numbers."""
    counter = FlopCounterMode(display=False, depth=3)
    with FakeTensorMode(), torch.no_grad():
        block = build().eval()
        with counter:
            block(torch.empty(shape))
    return counter


def parameters(block: nn.Module) -> int:
    return sum(parameter.numel() for parameter in block.parameters())


@pytest.mark.parametrize("name", FLANET)
def test_gflops_of_flanets_table(name: str) -> None:
    build, wanted = FLANET[name]
    assert flops(build, 1, 512, 96, 96).get_total_flops() / 1e9 == pytest.approx(wanted, rel=1e-4)


def test_gflops_of_fla_without_its_linears() -> None:
    counts = flops(lambda: FullyAttentional(512), 1, 512, 96, 96)
    by_layer = {name: sum(each.values()) for name, each in counts.get_flop_counts().items()}
    linears = sum(count for name, count in by_layer.items() if "pooled" in name)
    assert (by_layer["Global"] - linears) / 1e9 == pytest.approx(19.3274, rel=1e-4)


@pytest.mark.parametrize("name", ATTANET)
def test_multiply_adds_of_attanets_table(name: str) -> None:
    build, wanted = ATTANET[name]
    assert flops(build, 1, 128, 64, 64).get_total_flops() / 2e9 == pytest.approx(wanted, rel=1e-4)


def test_multiply_adds_of_attanets_fusion() -> None:
    def gate() -> nn.Module:
        fusion = AttentionFusion(256, 512, 128)  # the table counts the joining convolution and the gate
        return nn.Sequential(fusion.joined, nn.AdaptiveAvgPool2d(1), fusion.gate)

    assert flops(gate, 1, 640, 64, 64).get_total_flops() / 2e9 == pytest.approx(0.335561, rel=1e-5)


@pytest.mark.parametrize(("size", "wanted"), [(59, 13.70), (89, 42.54)])
def test_multiply_adds_of_psa(size: int, wanted: float) -> None:
    counter = flops(lambda: PointWiseSpatialAttention(2048, 512, (size, size)), 1, 2048, size, size)
    assert counter.get_total_flops() / 2e9 == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(("size", "wanted"), [(59, 8.28), (89, 12.83)])
def test_weights_of_psa(size: int, wanted: float) -> None:
    with FakeTensorMode():
        block = PointWiseSpatialAttention(2048, 512, (size, size))
    weights = sum(layer.weight.numel() for layer in block.modules() if isinstance(layer, nn.Conv2d))
    assert weights / 1e6 == pytest.approx(wanted, abs=5e-3)


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name: str) -> None:
    build, wanted = PARAMETERS[name]
    assert parameters(build()) == wanted


def test_fla_costs_a_sixth_of_the_dual_block() -> None:
    fla, dual = (flops(FLANET[name][0], 1, 512, 96, 96).get_total_flops() for name in ("FLA", "dual"))
    assert 1 - fla / dual == pytest.approx(0.83, abs=5e-3)
