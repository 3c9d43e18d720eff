"""A model beside itself with one part switched off, for the papers' figures "without and with"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy

import torch
from torch import nn

from segviz.models.ablation import has_context, without_context
from segviz.models.blocks import AttentionFusion, PointWiseSpatialAttention
from segviz.models.blocks.context_block import zero
from segviz.models.segmenter import BlockNetwork
from segviz.prediction.predictor import Predictor

SWITCHED_NOTE = "parts in brackets are switched off in one trained model; the paper trained a model for each column"
Variant = tuple[str, Predictor]  # a name to show, and the predictor
Variants = Callable[[str, Predictor], Iterator[Variant]]


def with_network(predictor: Predictor, network: BlockNetwork) -> Predictor:
    """The predictor of another network."""
    other = copy(predictor)
    other.model = network
    return other


def without_and_with_context(name: str, predictor: Predictor) -> Iterator[Variant]:
    """The model with its block's context switched off, and the model. Its other parts were trained with the context."""
    if has_context(predictor.model):
        yield f"{name} (context off)", with_network(predictor, without_context(predictor.model))
    yield name, predictor


def even_and_own_gate(name: str, predictor: Predictor) -> Iterator[Variant]:
    """The model with AFM's gate at 1/2 in every channel, which adds both levels evenly, and the model."""
    network = deepcopy(predictor.model)
    fusions = [one for one in network.modules() if isinstance(one, AttentionFusion)]
    if fusions:
        for fusion in fusions:
            zero(fusion.gate.parameters())
        yield f"{name} (gate at 1/2)", with_network(predictor, network)
    yield name, predictor


def collect_and_both(name: str, predictor: Predictor) -> Iterator[Variant]:
    """PSA with what it distributes switched off, and with both; another model as it is."""
    network = deepcopy(predictor.model)
    block = network.block
    if isinstance(block, PointWiseSpatialAttention) and tuple(block.branches) == ("collect", "distribute"):
        convolution = block.project[0]
        assert isinstance(convolution, nn.Conv2d)
        with torch.no_grad():
            convolution.weight[:, convolution.in_channels // 2 :] = 0
        yield f"{name} (distribute off)", with_network(predictor, network)
    yield name, predictor
