"""Stored weights put into a network; tensors that are missing, of another shape or left over are named with counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from segviz.catalogue.checkpoint_checks import CheckpointError, name_first
from segviz.catalogue.read_weights import StoredWeights
from segviz.models.conventions import COUNTER


def load_weights(network: nn.Module, stored: StoredWeights, path: Path) -> tuple[str, ...]:
    """Copy stored tensors into a network; returns a note on those that were left out, if there are any.

    A prefix that all of the network's tensors have in the file, or in the network alone, is ignored.

    Raises:
        CheckpointError: a tensor is missing, has another shape, or holds values that are not finite; the network is
            unchanged.
    """
    expected = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    tensors = match_prefix(stored.tensors, expected)
    missing = [name for name in expected if name not in tensors and not name.endswith(COUNTER)]
    common = [name for name in expected if name in tensors]
    unlike = [name for name in common if tensors[name].shape != expected[name].shape]
    extra = [name for name in tensors if name not in expected]
    faults = []
    if missing:
        faults.append(f"it lacks {len(missing)} of {len(expected)} tensors: {name_first(missing)}")
    if unlike:
        first = unlike[0]
        shapes = f"'{first}' is {tuple(tensors[first].shape)}, expected {tuple(expected[first].shape)}"
        faults.append(f"{len(unlike)} tensors have another shape: {shapes}")
    if faults:
        left = f", and {len(extra)} of its tensors belong to nothing: {name_first(extra)}" if extra else ""
        raise CheckpointError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(faults)}{left}; build the network with the "
            "options that it was trained with"
        )
    for name in common:
        if tensors[name].is_floating_point() and not tensors[name].isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; use other weights")
    network.load_state_dict({name: tensors[name] for name in common}, strict=False)
    return describe_extra(path, extra)


def describe_extra(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The note on tensors that the network has no place for."""
    if not names:
        return ()
    return (
        f"{len(names)} tensors of {path.name} belong to nothing in the network and are left out: {name_first(names)}",
    )


def match_prefix(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the network's names: without the prefix, or with the one, that lets most names fit."""

    def count(names: Mapping[str, Tensor]) -> int:
        return sum(name in expected for name in names)

    candidates = [dict(tensors)]
    for prefix in sorted({name.partition(".")[0] + "." for name in tensors if "." in name}):
        candidates.append({name.removeprefix(prefix): value for name, value in tensors.items()})
    for prefix in sorted({name.partition(".")[0] + "." for name in expected if "." in name}):
        candidates.append({f"{prefix}{name}": value for name, value in tensors.items()})
    best = max(candidates, key=count)
    return best if len(best) == len(tensors) else dict(tensors)


def other_class_count(network: nn.Module, stored: StoredWeights) -> int | None:
    """The number of classes in a file, where only the first sides of some tensors tell it from the network's."""
    own = network.state_dict()
    counts = {
        (own[name].shape[0], value.shape[0])
        for name, value in match_prefix(stored.tensors, own).items()
        if name in own and own[name].shape != value.shape and own[name].shape[1:] == value.shape[1:]
    }
    return counts.pop()[1] if len(counts) == 1 else None
