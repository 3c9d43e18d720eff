"""Weights of any network from a file: safetensors, or a PyTorch checkpoint of which nothing is run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from segviz.catalogue.checkpoint_header import (
    FIRST_BYTES,
    CheckpointError,
    is_pytorch,
    open_checkpoint,
    read_header,
    read_whole,
)
from segviz.catalogue.torch_file import Stub, read_stubbed
from segviz.catalogue.weights_check import broken_checkpoint, refuse_pointer, refuse_script
from segviz.data.classes import RgbColour
from segviz.models.conventions import PARALLEL_PREFIX
from segviz.text import plain_text

STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "teacher",
)
WRAPPERS = (PARALLEL_PREFIX, "_orig_mod.")  # what DataParallel and torch.compile put before every name
MOST_NAMED = 12  # keys in a message


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """What a file of weights holds.

    Attributes:
        tensors: by name, on the CPU, without the prefixes of DataParallel and torch.compile.
        classes: names of the classes that the file names, as mmsegmentation's do; empty where it names none.
        palette: an RGB colour for each of them; empty where there is none.
        skipped: names of entries beside the tensors that are not tensors.
    """

    tensors: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    palette: tuple[RgbColour, ...] = ()
    skipped: tuple[str, ...] = ()


def read_weights(path: Path) -> StoredWeights:
    """Read the weights in a safetensors file or a PyTorch checkpoint (.pth, .pt, .ckpt, .bin), by its content.

    Of a PyTorch checkpoint, tensors and plain containers are built; every other object becomes a stub, and nothing in
    the file is run. The state dict is found where training frameworks put it; of a whole network that was pickled, its
    parameters and buffers are read.

    Raises:
        CheckpointError: the file is missing or damaged, is not a file of weights, or holds no tensors.
    """
    with open_checkpoint(path, ours=False) as file:
        refuse_pointer(path, file)
        start = file.read(FIRST_BYTES)
        file.seek(0)
        if not is_pytorch(start):
            tensors = safetensors.torch.load(read_whole(file, read_header(file)))
            return StoredWeights(remove_wrappers(tensors))
        content = read_pytorch(path, file)
    entries = dict(find_state(path, content))
    tensors = {name: value.detach() for name, value in entries.items() if isinstance(value, Tensor)}
    skipped = tuple(name for name in entries if name not in tensors)
    return StoredWeights(remove_wrappers(tensors), *find_classes(content), skipped)


def read_pytorch(path: Path, file: BinaryIO) -> object:
    """The content of an open PyTorch checkpoint: by torch, if it accepts every object in it, else with stubs.

    Raises:
        CheckpointError: it is damaged, or is no checkpoint of weights.
    """
    refuse_script(path, file)
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # torch raises whatever its readers raise
        file.seek(0)
    try:
        return read_stubbed(file)
    except pickle.UnpicklingError as error:
        raise broken_checkpoint(path, plain_text(str(error), 120)) from None


def find_state(path: Path, content: object) -> Iterator[tuple[str, object]]:
    """Names and values of a checkpoint's state dict.

    Raises:
        CheckpointError: it has none.
    """
    if isinstance(content, Stub):
        content = dict(walk_modules(content))
        if not content:
            raise CheckpointError(f"{path} holds a pickled object without tensors; save the network's state_dict()")
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {plain_text(type(content).__name__, 40)}, not a dictionary of tensors; save the network's "
            "state_dict()"
        )
    if any(isinstance(value, Tensor) for value in content.values()):
        yield from ((str(name), value) for name, value in content.items())
        return
    for key in (*STATE_KEYS, *content):
        if isinstance(inner := content.get(key), Mapping | Stub):
            state = dict(walk_modules(inner)) if isinstance(inner, Stub) else inner
            if any(isinstance(value, Tensor) for value in state.values()):
                yield from ((str(name), value) for name, value in state.items())
                return
    names = ", ".join(plain_text(repr(key), 40) for key in list(content)[:MOST_NAMED]) or "nothing"
    raise CheckpointError(f"{path} holds no tensors by name, only {names}; save the network's state_dict()")


def walk_modules(stub: Stub, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a pickled network, by the names of its state dict."""
    for part in ("_parameters", "_buffers"):
        for name, value in as_mapping(stub.state.get(part)).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    for name, inner in as_mapping(stub.state.get("_modules")).items():
        if isinstance(inner, Stub) and depth < 50:
            yield from walk_modules(inner, f"{prefix}{name}.", depth + 1)


def find_classes(content: object) -> tuple[tuple[str, ...], tuple[RgbColour, ...]]:
    """Names and colours of the classes where mmsegmentation stores them: `meta`, or its `dataset_meta`."""
    meta = as_mapping(as_mapping(content).get("meta"))
    meta = {str(key).lower(): value for key, value in (*meta.items(), *as_mapping(meta.get("dataset_meta")).items())}
    names, colours = meta.get("classes"), meta.get("palette")
    if not isinstance(names, Sequence) or not names or not all(isinstance(one, str) for one in names):
        return (), ()
    if not isinstance(colours, Sequence) or len(colours) != len(names):
        return tuple(names), ()
    try:
        return tuple(names), tuple((int(red), int(green), int(blue)) for red, green, blue in colours)
    except (TypeError, ValueError):
        return tuple(names), ()


def as_mapping(value: object) -> Mapping[Any, Any]:
    """A mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def remove_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without a wrapper's prefix, where all names have it."""
    for prefix in WRAPPERS * 2:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return dict(tensors)
