"""Where a training starts: the weights it takes over, and how quickly each part of the network learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from segviz.catalogue.checkpoint_checks import open_checkpoint
from segviz.catalogue.checkpoint_file import CheckpointError, read_record
from segviz.models.segmenter import Segmenter

BACKBONE_RATE, BLOCK_RATE = 0.4, 3.0  # what was trained before moves slowly, the block is new
GAMMA_RATE = 10.0  # gammas are few: at the common rate a short training leaves them where they start


@dataclass(frozen=True)
class Start:
    """Where a training starts, for its record: in words, and the commands that led there."""

    title: str
    lineage: tuple[str, ...] = ()


def initialise(model: Segmenter, path: Path, gamma: float = 0.0) -> Start:
    """Start from a checkpoint of ours or from a backbone's weights.

    From a checkpoint, every tensor of the same name and shape is taken. A layer that reads more channels than
    the checkpoint's starts with zeros on the further ones, so the model starts out as the checkpoint's
    unless `gamma` lets a new block in.

    Args:
        model: it is changed in place.
        path: the file.
        gamma: where the gammas begin that the file does not have. At 0, as in the papers, a block leaves its input as
            it is; where the rest of the network is trained already, it may stay so.

    Raises:
        CheckpointError: the file is missing or damaged, holds values that are not finite, or nothing that fits; the
            model is then as it was.
    """
    with open_checkpoint(path) as file:
        stored: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; start from other weights")
    own = model.state_dict()
    before = read_record(path) if any(name.startswith("backbone.") for name in weights) else None
    if before is None:  # a backbone of timm's
        weights = {f"backbone.body.{name}": value for name, value in weights.items()}
    taken = 0
    for name, value in weights.items():
        if name in own and fits(own[name], value):
            own[name].zero_()[tuple(slice(size) for size in value.shape)] = value
            taken += 1
    if not taken:
        raise CheckpointError(f"{path} holds no weight that fits the model; use a checkpoint or a backbone's weights")
    for name, value in own.items():
        if name.endswith("gamma") and name not in weights:
            value.fill_(gamma)
    lineage = (*before.lineage, before.command) if before else ()
    return Start(f"{path.name} ({taken} of {len(own)} tensors)", lineage)


def fits(own: Tensor, value: Tensor) -> bool:
    """The same shape, or but for more input channels."""
    if own.shape == value.shape:
        return True
    return own.dim() == value.dim() == 4 and own.shape[0] == value.shape[0] and own.shape[1] > value.shape[1]


def parameter_groups(networks: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Parameters by the factor on their learning rate: backbone, block, gammas, all others."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in networks.named_parameters():
        groups.setdefault(rate_factor(name), []).append(parameter)
    return [{"params": members, "scale": scale, "lr": rate * scale} for scale, members in groups.items()]


def rate_factor(name: str) -> float:
    """The factor on the learning rate of the parameter of this name."""
    if name.endswith("gamma"):
        return GAMMA_RATE
    if ".backbone." in name:
        return BACKBONE_RATE
    return BLOCK_RATE if ".block." in name else 1.0
