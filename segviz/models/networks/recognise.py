"""Which network a file's tensors are of, told by their names and shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from segviz.models.conventions import COUNTER, PARALLEL_PREFIX
from segviz.models.networks.attanet import ATTANET_OF_AUTHORS, LIGHT_ATTANET
from segviz.models.networks.authors import AUTHORS
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.flanet import FLANET_OF_AUTHORS
from segviz.models.networks.layout import Assumption, Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.mmseg_interlaced import ISANET_OF_MMSEGMENTATION
from segviz.models.networks.mmseg_pooled import POOLED_OF_MMSEGMENTATION
from segviz.models.networks.mmsegmentation import MMSEGMENTATION
from segviz.models.networks.semseg import PSANET_OF_SEMSEG
from segviz.models.networks.stored_tensors import (
    ForeignWeightsError,
    StoredTensors,
    fill_network,
    is_inside,
)

WEIGHTS_LAYOUTS: tuple[WeightsLayout, ...] = (
    PSANET_OF_SEMSEG,
    *AUTHORS,
    ATTANET_OF_AUTHORS,
    LIGHT_ATTANET,
    FLANET_OF_AUTHORS,
    *MMSEGMENTATION,
    *POOLED_OF_MMSEGMENTATION,
    ISANET_OF_MMSEGMENTATION,
)


@dataclass(frozen=True, eq=False)
class RecognisedNetwork:
    """A published network that was recognised, and how to build it.

    Attributes:
        name: the layout's identifier, such as "semseg-psanet".
        title: the network's name for people, with its body.
        source: whose code stores a network so.
        classes: the number of classes.
        expects: what the network expects of a picture.
        align_corners: how logits are resized to the picture.
        left_out: a sentence for each part of the file that is known and not used.
        assumptions: what tensors do not reveal, and what was taken.
    """

    name: str
    title: str
    source: str
    classes: int
    expects: PictureInput
    align_corners: bool
    left_out: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    plan: NetworkPlan
    stored: StoredTensors

    def build(self) -> ContextNetwork:
        """The network with the file's tensors, in eval mode and float32.

        Raises:
            ForeignWeightsError: tensors are unknown, missing or of another shape.
        """
        with torch.device("meta"):  # no time for random weights, nor memory
            network = self.plan.make()
        network.expects = self.expects
        fill_network(network, self.stored, self.plan.pairs, self.plan.changes, tuple(self.plan.unused))
        return network.eval()


def recognise_network(
    state: Mapping[str, Tensor], options: Mapping[str, object] | None = None
) -> RecognisedNetwork | None:
    """The published network whose tensors these are.

    Args:
        state: tensors by name, as in the network's state dict.
        options: what tensors do not reveal, by the names in `RecognisedNetwork.assumptions`; the rest is as published.

    Returns:
        The network, or None where the tensors have no known layout.

    Raises:
        ForeignWeightsError: a tensor that tells a size is missing, the tensors fit several layouts, or an option is
            unknown or of another type.
    """
    tensors = state
    if state and all(name.startswith(PARALLEL_PREFIX) for name in state):
        tensors = {name.removeprefix(PARALLEL_PREFIX): tensor for name, tensor in state.items()}
    fitting = [layout for layout in WEIGHTS_LAYOUTS if all(mark in tensors for mark in layout.marks)]
    if not fitting:
        return None
    if len(fitting) > 1:
        names = " and ".join(f"{layout.title} of {layout.source}" for layout in fitting)
        raise ForeignWeightsError(f"the tensors look like {names} at once; load one network's state dict")
    (layout,) = fitting
    stored, choices = StoredTensors(tensors, f"{layout.title} of {layout.source}"), Choices(options or {})
    plan = layout.read(stored, choices)
    if foreign := set(choices.given) - choices.used:
        known = ", ".join(sorted(choices.used)) or "none"
        raise ForeignWeightsError(f"{stored.title} has no option '{sorted(foreign)[0]}'; its options are {known}")
    return RecognisedNetwork(
        name=layout.name,
        title=plan.title,
        source=layout.source,
        classes=plan.classes,
        expects=plan.expects,
        align_corners=plan.align_corners,
        left_out=tuple(describe_unused(stored, plan)),
        assumptions=tuple(choices.assumptions),
        plan=plan,
        stored=stored,
    )


def describe_unused(stored: StoredTensors, plan: NetworkPlan) -> list[str]:
    """A sentence for each module of the file that is left out."""
    sentences = []
    for module, what in plan.unused.items():
        inside = [name for name in stored.tensors if is_inside(name, module) and not name.endswith(COUNTER)]
        if inside:
            sentences.append(f"{what} '{module}' is not used: {len(inside)} tensors")
    return sentences
