"""From the text that names a source to its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import nn

from segviz.catalogue.checkpoint_checks import name_first
from segviz.catalogue.location import describe_untrained, is_file
from segviz.catalogue.read_weights import StoredWeights, read_weights
from segviz.catalogue.source_names import PYTHON_SOURCE, SOURCE_FORMS, is_saved_folder, lacks_function
from segviz.catalogue.sources.hugging_face import open_transformers
from segviz.catalogue.sources.opened_network import OpenedNetwork, OpenError
from segviz.catalogue.sources.python_source import open_python, refuse_file
from segviz.catalogue.sources.smp import open_smp
from segviz.catalogue.sources.vision_libraries import open_timm, open_torchvision
from segviz.models.networks.rows import NETWORKS
from segviz.models.registry import MODELS
from segviz.text import plain_text

OPENERS: Mapping[str, Callable[[str, str | Path | None], OpenedNetwork]] = {
    "timm": open_timm,
    "torchvision": open_torchvision,
    "hf": open_transformers,
    "smp": open_smp,
}
WEIGHTS_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")


def open_source(source: str | Path | nn.Module, weights: str | Path | None = None) -> OpenedNetwork:
    """Open a network by the text that names it, or take it as it is.

    Args:
        source: "net.py:build", "package.module:build", "timm:NAME", "torchvision:NAME", "hf:NAME", "hf:FOLDER",
            "smp:NAME", the folder of a network of transformers, or an `nn.Module`.
        weights: a file of weights for it (safetensors or a PyTorch checkpoint, of which nothing is run), "random", or
            None for those of the source.

    Raises:
        OpenError: it cannot be opened.
        CheckpointError: the weights cannot be used.
    """
    if isinstance(source, nn.Module):
        if weights is not None:
            raise OpenError("weights= belongs to a source that builds a network; load them into the nn.Module yourself")
        return OpenedNetwork(source, type(source).__name__)
    text = str(source)
    prefix, _, name = text.partition(":")
    if prefix in OPENERS and name:
        return OPENERS[prefix](name, weights)
    if PYTHON_SOURCE.fullmatch(text):
        return open_python(text, weights)
    if lacks_function(text):
        raise refuse_file(text)
    if is_saved_folder(text):
        return open_transformers(text, weights)
    if is_file(Path(text)):
        raise refuse_weights(Path(text), read_weights(Path(text)))
    if Path(text).suffix in WEIGHTS_SUFFIXES:
        raise OpenError(f"there is no file {plain_text(text)}; correct the path of the weights")
    if text in NETWORKS:
        raise OpenError(describe_untrained(text))
    raise OpenError(
        f"'{plain_text(text, 80)}' is neither a model, a checkpoint file nor a network; networks are {SOURCE_FORMS}; "
        f"the models are {', '.join(MODELS)}"
    )


def refuse_weights(path: Path, stored: StoredWeights) -> OpenError:
    """The error of a file whose tensors are those of no known network; it names the first ones."""
    names = list(stored.tensors)
    use = f"segviz.load('net.py:build', weights='{path.name}'), or --model net.py:build --weights {path.name}"
    return OpenError(
        f"{path} has no segviz record, and its {len(names)} tensors are of no network that segviz knows: "
        f"{name_first(names)}; give its network too: {use}"
    )
