"""The start of a training: initial weights, and the learning rate of each part of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from segviz.catalogue.checkpoint_checks import open_checkpoint
from segviz.catalogue.checkpoint_file import CheckpointError, read_record
from segviz.models.segmenter import Segmenter

BACKBONE_RATE, BLOCK_RATE = 0.4, 3.0  # the backbone was trained before, the block is new
GAMMA_RATE = 10.0  # at the common rate a short training leaves gammas where they start


@dataclass(frozen=True)
class Start:
    """The start of a training, for its record: in words, and the commands that led there."""

    title: str
    lineage: tuple[str, ...] = ()


def initialise(model: Segmenter, path: Path, gamma: float = 0.0) -> Start:
    """Start from a segviz checkpoint or from a backbone's weights.

    Every tensor of a checkpoint with the same name and shape is copied. A layer that reads more channels than the
    checkpoint's starts with zeros for the new ones, so the model starts as the checkpoint's unless `gamma` lets a
    new block in.

    Args:
        model: the model, changed in place.
        path: the file.
        gamma: initial value of the gammas that the file lacks. At 0, as in the papers, a block returns its input
            unchanged; if the rest of the network is already trained, that may remain so.

    Raises:
        CheckpointError: the file is missing or damaged, or holds values that are not finite or no weight that fits;
            the model is then unchanged.
    """
    with open_checkpoint(path) as file:
        stored: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; start from other weights")
    own = model.state_dict()
    before = read_record(path) if any(name.startswith("backbone.") for name in weights) else None
    if before is None:  # timm's weights of a backbone
        weights = {f"backbone.body.{name}": value for name, value in weights.items()}
    copied = 0
    for name, value in weights.items():
        if name in own and fits(own[name], value):
            own[name].zero_()[tuple(slice(size) for size in value.shape)] = value
            copied += 1
    if not copied:
        raise CheckpointError(f"{path} holds no weight that fits the model; use a checkpoint or a backbone's weights")
    for name, value in own.items():
        if name.endswith("gamma") and name not in weights:
            value.fill_(gamma)
    lineage = (*before.lineage, before.command) if before else ()
    return Start(f"{path.name} ({copied} of {len(own)} tensors)", lineage)


def fits(own: Tensor, value: Tensor) -> bool:
    """Whether a weight fits: the shapes are equal, or differ only by more input channels in ours."""
    if own.shape == value.shape:
        return True
    return own.dim() == value.dim() == 4 and own.shape[0] == value.shape[0] and own.shape[1] > value.shape[1]


def parameter_groups(networks: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Parameters grouped by the factor on their learning rate: backbone, block, gammas, and the others."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in networks.named_parameters():
        groups.setdefault(rate_factor(name), []).append(parameter)
    return [{"params": members, "scale": scale, "lr": rate * scale} for scale, members in groups.items()]


def rate_factor(name: str) -> float:
    """The factor on the learning rate of a parameter, by its name."""
    if name.endswith("gamma"):
        return GAMMA_RATE
    if ".backbone." in name:
        return BACKBONE_RATE
    return BLOCK_RATE if ".block." in name else 1.0
