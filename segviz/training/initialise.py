"""The start of a training: initial weights, and the learning rate of each part of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from segviz.catalogue.checkpoint_checks import read_tensors
from segviz.catalogue.checkpoint_header import CheckpointError, is_pytorch, open_checkpoint
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.stored_record import RECORD_KEY, record_in
from segviz.models.backbone import Backbone
from segviz.models.blocks import ContextBlock
from segviz.models.conventions import COUNTER, PARALLEL_PREFIX
from segviz.models.input_statistics import OF_BACKBONE, backbone_input
from segviz.models.segmenter import BlockNetwork
from segviz.training.imagenet import IMAGENET, fetch_imagenet

BACKBONE_RATE, BLOCK_RATE = 0.4, 3.0  # the backbone was trained before, the block is new
PREFIXES = (PARALLEL_PREFIX, "model.", "encoder.", "backbone.", "body.")  # that stand before a backbone's names
GAMMA_RATE = 10.0  # at the common rate a short training leaves gammas where they start
UNDRAWN = (COUNTER, "running_mean", "running_var")  # begin at 0 or 1, and are not random
# A ResNet whose stem has three convolutions, as PSANet's, CCNet's and FLANet's authors name it in their ImageNet files.
DEEP_STEM = {
    "conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3", "bn2": "conv1.4", "conv3": "conv1.6", "bn3": "bn1",
}  # fmt: skip


@dataclass(frozen=True)
class Start:
    """The start of a training, for its record: in words, and the commands that led there.

    Attributes:
        title: the weights, in words.
        lineage: the commands that trained them.
        random: names of the network's tensors outside its body that stayed random, the modules that are random
            throughout by their name alone; empty also where all did.
    """

    title: str
    lineage: tuple[str, ...] = ()
    random: tuple[str, ...] = ()

    def describe(self) -> str:
        """The weights, what of the body stayed random, and then what else."""
        return f"{self.title}; outside the backbone random: {', '.join(self.random)}" if self.random else self.title


def initialise(model: BlockNetwork, path: Path, gamma: float = 0.0) -> Start:
    """Start from a segviz checkpoint, from a body's weights in a file, or from ImageNet weights.

    Every tensor of a checkpoint with the same name and shape is copied. A layer that reads more channels than the
    checkpoint's starts with zeros for the new ones, so the model starts as the checkpoint's unless `gamma` lets a
    new block in. Names may have the prefixes that training frameworks add, such as `module.` or `encoder.`.

    Args:
        model: the model, changed in place. Started from ImageNet weights, it also takes their input statistics.
        path: a safetensors file or a PyTorch checkpoint; "imagenet": what timm or torchvision has for the body.
        gamma: initial value of the gammas that the file lacks. At 0, as in the papers, a block returns its input
            unchanged; if the rest of the network is already trained, that may remain so.

    Raises:
        CheckpointError: the file is missing or damaged, or holds values that are not finite, or weights for less than
            half of the model's backbone, or ImageNet weights cannot be had; the model is then unchanged.
    """
    source, stored, lineage = read_start(model, path)
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; start from other weights")
    own, root = model.state_dict(), body_prefix(model)
    weights = match_names(own, tensors, root)
    check_match(path, own, weights, len(tensors), root)
    for name, value in weights.items():
        own[name].zero_()[tuple(slice(size) for size in value.shape)] = value
    for name, value in own.items():
        if name.endswith("gamma") and name not in weights:
            value.fill_(gamma)
    if str(path) == IMAGENET:
        take_statistics(model)
    drawn = [name for name in own if not name.endswith(UNDRAWN)]
    inside = name_random([name.removeprefix(root) for name in drawn if name.startswith(root)],
                         {name.removeprefix(root) for name in weights})  # fmt: skip
    left = f"; of the backbone {', '.join(inside)} stayed random" if inside else ""
    random = tuple(name_random([name for name in drawn if not name.startswith(root)], set(weights)))
    return Start(f"{source} ({len(weights)} of {len(own)} tensors{left})", lineage, random)


def name_random(names: Sequence[str], known: Set[str]) -> list[str]:
    """What of some tensors is not known: modules without a known one by their name, tensors of the others.

    Args:
        names: tensors in their order, with dots between a module's name and those inside.
        known: the tensors that have a value.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0], []).append(name.partition(".")[2])
    found: list[str] = []
    for module, inside in groups.items():
        filled = {name.partition(".")[2] for name in known if name.partition(".")[0] == module}
        if not filled:
            found.append(module)
        elif inside != [""]:
            found += [f"{module}.{name}" for name in name_random(inside, filled)]
    return found


def read_start(model: BlockNetwork, path: Path) -> tuple[str, Mapping[str, Tensor], tuple[str, ...]]:
    """The initial weights: what they are, in words, the tensors, and the commands that trained them.

    Raises:
        CheckpointError: they cannot be read or fetched.
    """
    if str(path) == IMAGENET:
        title, tensors = fetch_imagenet(model)
        return title, tensors, ()
    if path.is_file():
        with open_checkpoint(path, ours=False) as file:
            if is_pytorch(file.read(8)):
                return path.name, read_weights(path).tensors, ()
    if not path.exists():
        raise CheckpointError(
            f"there is no file {path}; check the path, or let --init {IMAGENET} fetch the backbone's weights"
        )
    header, tensors = read_tensors(path)
    before = record_in(path, header) if RECORD_KEY in header.metadata else None
    return path.name, tensors, (*before.lineage, before.command) if before else ()


def take_statistics(model: BlockNetwork) -> None:
    """Let the network normalise pictures as its body's ImageNet weights expect, and its options say so."""
    if "input" in model.options:
        expected = backbone_input(model.backbone_name)
        model.expects = replace(model.expects, mean=expected.mean, std=expected.std)
        model.options = {**model.options, "input": OF_BACKBONE}


def body_prefix(model: BlockNetwork) -> str:
    """What stands in a network before the names that the body's library gives its tensors."""
    name = next(name for name, module in model.named_modules() if module is model.extractor)
    return f"{name}.body." if isinstance(model.extractor, Backbone) else f"{name}."


def match_names(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    """The tensors that fit, by the model's names: of all prefixes to remove, those that let most tensors fit."""
    best: dict[str, Tensor] = {}
    for prefix in sorted({prefix for name in tensors for prefix in known_prefixes(name)}, key=len):
        rest = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        for before, named in (("", rest), (root, rest), (root, name_deep_stem(rest))):
            matched = {
                before + name: value
                for name, value in named.items()
                if before + name in own and fits(own[before + name], value)
            }
            best = max(best, matched, key=len)
    return best


def name_deep_stem(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet's tensors with the names of its three stem convolutions as ours."""
    renamed = {}
    for name, value in tensors.items():
        module, _, rest = name.partition(".")
        renamed[f"{DEEP_STEM.get(module, module)}.{rest}"] = value
    return renamed


def known_prefixes(name: str) -> list[str]:
    """The beginnings of a tensor's name that training frameworks add, from the empty one to the longest."""
    prefixes, rest = [""], name
    while word := next((word for word in PREFIXES if rest.startswith(word)), ""):
        prefixes.append(prefixes[-1] + word)
        rest = rest.removeprefix(word)
    return prefixes


def check_match(path: Path, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], stored: int, root: str) -> None:
    """Check that the weights fill at least half of the model's backbone.

    Raises:
        CheckpointError: they do not.
    """
    cure = "use a checkpoint of this model's backbone, or that backbone's weights"
    if not weights:
        raise CheckpointError(f"{path} holds no weight that fits the model; {cure}")
    backbone = [name for name in own if name.startswith(root)]
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
    if ".body." in name:  # of a Segmenter's backbone, and of a network of the papers
        return BACKBONE_RATE
    return BLOCK_RATE if ".block." in name else 1.0
