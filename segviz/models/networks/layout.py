"""How a published network's tensors are recognised and read: the parts of which each layout is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.stored_tensors import Change, ForeignWeightsError, NamePair, StoredTensors

Setting = TypeVar("Setting", bool, int, float, str, tuple[int, ...], tuple[float, ...])
ChannelNumbers = tuple[float, float, float]


@dataclass(frozen=True)
class PictureInput:
    """What a network expects of a picture.

    Attributes:
        mean, std: of red, green and blue, for a picture in [0, 1]: the network sees `(picture - mean) / std`.
        order: the order in which the network takes the channels.
        crop: (height, width) of the crops on which it was trained and is slid over larger pictures; None: any size.
        step: how far crops are apart at most, as a share of their size.
    """

    mean: ChannelNumbers = (0.485, 0.456, 0.406)  # ImageNet's
    std: ChannelNumbers = (0.229, 0.224, 0.225)
    order: Literal["RGB", "BGR"] = "RGB"
    crop: tuple[int, int] | None = None
    step: float = 2 / 3

    def normalise(self, picture: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """The network's input, from RGB pictures in [0, 1]."""
        mean, std = (torch.tensor(one, device=picture.device).view(3, 1, 1) for one in (self.mean, self.std))
        seen = (picture - mean) / std
        return seen if self.order == "RGB" else seen.flip(1)


@dataclass(frozen=True)
class Assumption:
    """Something that tensors do not tell.

    Attributes:
        option: its name among the options of `recognise_network`.
        value: what is taken.
        reason: why it has to be assumed, or why it is taken.
    """

    option: str
    value: object
    reason: str


@dataclass
class Choices:
    """Settings that tensors do not tell: as the user gave them, or else as published, which is noted."""

    given: Mapping[str, object]
    assumptions: list[Assumption] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def decide(self, option: str, published: Setting, reason: str) -> Setting:
        """The user's setting, or the published one.

        Raises:
            ForeignWeightsError: the user's has another type.
        """
        self.used.add(option)
        if self.given.get(option) is None:
            self.assumptions.append(Assumption(option, published, reason))
            return published
        value = self.given[option]
        if isinstance(value, list):
            value = tuple(value)
        if not isinstance(value, type(published)) or isinstance(value, bool) != isinstance(published, bool):
            kind = type(published).__name__
            raise ForeignWeightsError(f"option '{option}' is {value!r}; give a {kind}, such as {published!r}")
        return value


@dataclass(frozen=True)
class NetworkPlan:
    """What was read of a file's tensors.

    Attributes:
        title: the network's name for people, with its body.
        classes: the number of classes.
        make: makes the network.
        pairs: names of modules in the file and in the network.
        picture: what the network expects.
        align_corners: how logits are resized.
        changes: see `fill_network`.
        unused: modules of the file that are left out, and what they are.
    """

    title: str
    classes: int
    make: Callable[[], ContextNetwork]
    pairs: tuple[NamePair, ...]
    picture: PictureInput
    align_corners: bool
    changes: Mapping[str, Change] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightsLayout:
    """A published way to store a network.

    Attributes:
        name: an identifier, such as "semseg-psanet".
        title: the network's name for people.
        source: whose code stores it so.
        marks: tensors that together no other layout has.
        read: reads the plan from the tensors.
    """

    name: str
    title: str
    source: str
    marks: tuple[str, ...]
    read: Callable[[StoredTensors, Choices], NetworkPlan]
