"""Learning rates: which parameters train at which share of the common rate."""

from __future__ import annotations

import re

import pytest
from torch import nn

from segviz.models.blocks.context_block import SLOW
from segviz.models.blocks.dual_branches import DualBranches
from segviz.models.registry import MODELS, build
from segviz.training.initialise import BACKBONE_RATE, BLOCK_RATE, GAMMA_RATE, attention_rates, parameter_groups

MAKES_WEIGHTS = re.compile(r"\.block\..*\b(query|key|offset|mask)\.")


def expected_scale(model: str, name: str) -> float:
    if name.endswith("gamma"):
        return GAMMA_RATE
    if MAKES_WEIGHTS.search(f".{name}"):
        return 0.05 if model != "psa" else 0.3 if "collect" in name else 1.0
    if ".backbone." in name:
        return BACKBONE_RATE
    return BLOCK_RATE if ".block." in name else 1.0


@pytest.mark.parametrize("model", list(MODELS))
def test_queries_keys_masks_and_offsets_learn_slowly(model: str) -> None:
    networks = nn.ModuleDict({"model": build(model, 3)})
    scales = {parameter: group["scale"] for group in parameter_groups(networks, 1e-3) for parameter in group["params"]}
    wrong = {
        name: scales[parameter]
        for name, parameter in networks.named_parameters()
        if scales[parameter] != expected_scale(model, name)
    }
    assert not wrong
    assert len(scales) == sum(1 for _ in networks.parameters())  # each in exactly one group
    assert all(group["lr"] == pytest.approx(1e-3 * group["scale"]) for group in parameter_groups(networks, 1e-3))


def test_the_queries_and_keys_of_a_block_inside_learn_slowly() -> None:
    block = DualBranches(16, 8)
    made = (block.spatial.query, block.spatial.key)
    assert attention_rates(block) == {parameter: SLOW for layer in made for parameter in layer.parameters()}
