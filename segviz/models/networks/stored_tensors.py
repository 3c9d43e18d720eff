"""The tensors of a foreign file by name, what their shapes tell, and how they get into a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segviz.models.conventions import COUNTER
from segviz.models.networks.resnet_body import Dilations, ResNetDesign
from segviz.text import plain_text

MOST_LISTED = 6  # names in one sentence
WHOLE_FILE = "use weights that this network's own code has saved"
NamePair = tuple[str, str]  # the name of a module or tensor in the file, and in our network
Change = Callable[[Tensor], Tensor]


class ForeignWeightsError(ValueError):
    """The tensors are not those of the network that they look like."""


@dataclass(frozen=True)
class StoredTensors:
    """A file's tensors, asked for their shapes.

    Attributes:
        tensors: by name.
        title: the network that they look like, for messages.
    """

    tensors: Mapping[str, Tensor]
    title: str

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            ForeignWeightsError: there is no such tensor.
        """
        if name not in self.tensors:
            raise ForeignWeightsError(f"the tensors look like {self.title}, but '{name}' is missing; {WHOLE_FILE}")
        return tuple(self.tensors[name].shape)

    def width(self, name: str) -> int:
        """Output channels of a convolution, by the name of its weight."""
        return self.shape(name)[0]

    def count(self, prefix: str) -> int:
        """How many modules are numbered below a name."""
        starts = {name[len(prefix) + 1 :].partition(".")[0] for name in self.tensors if name.startswith(f"{prefix}.")}
        return sum(start.isdecimal() for start in starts)

    def read_resnet(
        self,
        layers: Sequence[str],
        stem: Sequence[str],
        stride: int = 8,
        third: Dilations = (2,),
        fourth: Dilations = (4,),
        round_up: bool = False,
    ) -> ResNetDesign:
        """The ResNet body whose four stages and stem convolutions have these names.

        Raises:
            ForeignWeightsError: a tensor that tells a size is missing.
        """
        one, two, three, four = ((self.count(layer), self.width(f"{layer}.0.conv1.weight")) for layer in layers)
        return ResNetDesign(
            blocks=(one[0], two[0], three[0], four[0]),
            widths=(one[1], two[1], three[1], four[1]),
            stem=tuple(self.width(f"{name}.weight") for name in stem),
            bottleneck=f"{layers[0]}.0.conv3.weight" in self.tensors,
            stride=stride,
            third=third,
            fourth=fourth,
            round_up=round_up,
        )


def pair_sequential(foreign: str, own: str) -> tuple[NamePair, ...]:
    """Convolution and BatchNorm that are numbers 0 and 1 in both."""
    return (f"{foreign}.0", f"{own}.0"), (f"{foreign}.1", f"{own}.1")


def pair_conv_module(foreign: str, own: str) -> tuple[NamePair, ...]:
    """Convolution and BatchNorm that the file calls `conv` and `bn`."""
    return (f"{foreign}.conv", f"{own}.0"), (f"{foreign}.bn", f"{own}.1")


def pair_stages(layers: Sequence[str]) -> tuple[NamePair, ...]:
    """The four stages of a ResNet body."""
    return tuple((layer, f"body.layer{number}") for number, layer in enumerate(layers, 1))


def fill_network(
    network: nn.Module,
    stored: StoredTensors,
    pairs: Iterable[NamePair],
    changes: Mapping[str, Change],
    unused: Sequence[str],
) -> None:
    """Load all tensors into a network, which may be on the meta device, in float32.

    Args:
        network: the network.
        stored: the file's tensors.
        pairs: names in the file and in the network; a module's name stands for all in it.
        changes: what is done to a tensor, by its name in the network, such as another shape for the same numbers.
        unused: modules of the file that are known and left out.

    Raises:
        ForeignWeightsError: tensors are unknown, missing or of another shape; all are named.
    """
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    names = {foreign_name(name, pairs): name for name in wanted}
    given = {
        name: tensor
        for name, tensor in stored.tensors.items()
        if not name.endswith(COUNTER) and not any(is_inside(name, module) for module in unused)
    }
    faults = []
    if unknown := [name for name in given if name not in names]:
        faults.append(f"{count_tensors(unknown)} unknown: {list_names(unknown)}")
    if missing := [name for name in names if name not in given]:
        faults.append(f"{count_tensors(missing)} missing: {list_names(missing)}")
    filled = {own: changes.get(own, keep)(given[name]) for name, own in names.items() if name in given}
    wrong = [name for name, own in names.items() if own in filled and filled[own].shape != wanted[own].shape]
    if wrong:
        first = wrong[0]
        shapes = f"'{first}' is {describe_shape(given[first])}, not {describe_shape(wanted[names[first]])}"
        others = f", and so {list_names(wrong[1:])}" if wrong[1:] else ""
        faults.append(f"{count_tensors(wrong)} of another shape: {shapes}{others}")
    if faults:
        raise ForeignWeightsError(f"the tensors look like {stored.title}, but {'; '.join(faults)}; {WHOLE_FILE}")
    exact = {name: tensor.detach().to(torch.float32, copy=True).contiguous() for name, tensor in filled.items()}
    counters = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if name.endswith(COUNTER)}
    network.load_state_dict({**exact, **counters}, strict=True, assign=True)


def foreign_name(own: str, pairs: Iterable[NamePair]) -> str:
    """The name in the file of a tensor of our network, by the longest of our names that it is in."""
    fitting = [pair for pair in pairs if is_inside(own, pair[1])]
    if not fitting:
        raise AssertionError(f"no name in the file is known for '{own}'")
    foreign, ours = max(fitting, key=lambda pair: len(pair[1]))
    return foreign + own.removeprefix(ours)


def is_inside(name: str, module: str) -> bool:
    """Whether a tensor is a module's, or is called so itself."""
    return name == module or name.startswith(f"{module}.")


def keep(tensor: Tensor) -> Tensor:
    """The tensor as it is."""
    return tensor


def describe_shape(tensor: Tensor) -> str:
    """A shape in words."""
    return " x ".join(map(str, tensor.shape)) or "a single number"


def count_tensors(names: Sequence[str]) -> str:
    """How many tensors, with the verb."""
    return "1 is" if len(names) == 1 else f"{len(names)} are"


def list_names(names: Sequence[str]) -> str:
    """Names in quotes, the first few."""
    shown = ", ".join(f"'{plain_text(name, 80)}'" for name in names[:MOST_LISTED])
    return f"{shown} and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else shown
