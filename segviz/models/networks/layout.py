"""How a published network's tensors are recognised and read: the parts of which each layout is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.stored_tensors import Change, ForeignWeightsError, NamePair, StoredTensors
from segviz.models.picture_input import PictureInput as PictureInput

Setting = TypeVar("Setting", bool, int, float, str, tuple[int, ...], tuple[float, ...])


@dataclass(frozen=True)
class Assumption:
    """Something that tensors do not reveal.

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
    """Settings that tensors do not reveal: as the user gave them, or else as published, which is noted."""

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
        expects: what the network expects.
        align_corners: how logits are resized.
        changes: see `fill_network`.
        unused: modules of the file that are left out, and what they are.
    """

    title: str
    classes: int
    make: Callable[[], ContextNetwork]
    pairs: tuple[NamePair, ...]
    expects: PictureInput
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
