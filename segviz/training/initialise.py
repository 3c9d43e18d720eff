"""The start of a training: initial weights, and the learning rate of each part of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from segviz.catalogue.checkpoint_checks import read_tensors
from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.stored_record import RECORD_KEY, record_in
from segviz.models.blocks import ContextBlock
from segviz.models.segmenter import BlockNetwork

BACKBONE_RATE, BLOCK_RATE = 0.4, 3.0  # the backbone was trained before, the block is new
BACKBONE = "backbone.body."  # where a model keeps the tensors that timm names
PREFIXES = ("module.", "model.", "encoder.", "backbone.", "body.")  # that frameworks put before a backbone's names
GAMMA_RATE = 10.0  # at the common rate a short training leaves gammas where they start


@dataclass(frozen=True)
class Start:
    """The start of a training, for its record: in words, and the commands that led there."""

    title: str
    lineage: tuple[str, ...] = ()


def initialise(model: BlockNetwork, path: Path, gamma: float = 0.0) -> Start:
    """Start from a segviz checkpoint or from a backbone's weights.

    Every tensor of a checkpoint with the same name and shape is copied. A layer that reads more channels than the
    checkpoint's starts with zeros for the new ones, so the model starts as the checkpoint's unless `gamma` lets a
    new block in. Names may have the prefixes that training frameworks add, such as `module.` or `encoder.`.

    Args:
        model: the model, changed in place.
        path: the file.
        gamma: initial value of the gammas that the file lacks. At 0, as in the papers, a block returns its input
            unchanged; if the rest of the network is already trained, that may remain so.

    Raises:
        CheckpointError: the file is missing or damaged, or holds values that are not finite, or weights for less than
            half of the model's backbone; the model is then unchanged.
    """
    header, stored = read_tensors(path)
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; start from other weights")
    own = model.state_dict()
    weights = match_names(own, tensors)
    check_match(path, own, weights, len(tensors))
    for name, value in weights.items():
        own[name].zero_()[tuple(slice(size) for size in value.shape)] = value
    for name, value in own.items():
        if name.endswith("gamma") and name not in weights:
            value.fill_(gamma)
    before = record_in(path, header) if RECORD_KEY in header.metadata else None
    lineage = (*before.lineage, before.command) if before else ()
    return Start(f"{path.name} ({len(weights)} of {len(own)} tensors)", lineage)


def match_names(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that fit, by the model's names: of all prefixes to remove, those that let most tensors fit."""
    best: dict[str, Tensor] = {}
    for prefix in sorted({prefix for name in tensors for prefix in known_prefixes(name)}, key=len):
        rest = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        for root in ("", BACKBONE):
            matched = {
                root + name: value
                for name, value in rest.items()
                if root + name in own and fits(own[root + name], value)
            }
            best = max(best, matched, key=len)
    return best


def known_prefixes(name: str) -> list[str]:
    """The beginnings of a tensor's name that training frameworks add, from the empty one to the longest."""
    prefixes, rest = [""], name
    while word := next((word for word in PREFIXES if rest.startswith(word)), ""):
        prefixes.append(prefixes[-1] + word)
        rest = rest.removeprefix(word)
    return prefixes


def check_match(path: Path, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], stored: int) -> None:
    """Check that the weights fill at least half of the model's backbone.

    Raises:
        CheckpointError: they do not.
    """
    cure = "use a checkpoint of this model's backbone, or that backbone's weights"
    if not weights:
        raise CheckpointError(f"{path} holds no weight that fits the model; {cure}")
    backbone = [name for name in own if name.startswith(BACKBONE)]
    filled = sum(name in weights for name in backbone)
    if 2 * filled < len(backbone):
        raise CheckpointError(
            f"{path} holds {stored} tensors, of which {len(weights)} fit the model: {filled} of its backbone's "
            f"{len(backbone)}; {cure}"
        )


def fits(own: Tensor, value: Tensor) -> bool:
    """Whether a weight fits: the shapes are equal, or differ only by more input channels in ours."""
    if own.shape == value.shape:
        return True
    return own.dim() == value.dim() == 4 and own.shape[0] == value.shape[0] and own.shape[1] > value.shape[1]


def parameter_groups(networks: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Parameters grouped by the factor on their learning rate: backbone, block, attention, gammas, and the others."""
    slow = attention_rates(networks)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in networks.named_parameters():
        groups.setdefault(slow.get(parameter, rate_factor(name)), []).append(parameter)
    return [{"params": members, "scale": scale, "lr": rate * scale} for scale, members in groups.items()]


def attention_rates(networks: nn.Module) -> dict[nn.Parameter, float]:
    """The factor on the learning rate of every parameter that makes attention weights (`attention_layers`)."""
    return {
        parameter: rate
        for block in networks.modules()
        if isinstance(block, ContextBlock)
        for layer, rate in block.attention_layers().items()
        for parameter in layer.parameters()
    }


def rate_factor(name: str) -> float:
    """The factor on the learning rate of any other parameter, by its name."""
    if name.endswith("gamma"):
        return GAMMA_RATE
    if ".backbone." in name:
        return BACKBONE_RATE
    return BLOCK_RATE if ".block." in name else 1.0
