"""`hf:NAME` and `hf:FOLDER`: networks of transformers, with classes and normalisation from their configurations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from segviz.catalogue.checkpoint_checks import name_first
from segviz.catalogue.entry import RANDOM_WEIGHTS
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.sources.hub import reach_hub
from segviz.catalogue.sources.load_weights import load_weights
from segviz.catalogue.sources.opened_network import (
    UNTRAINED,
    OpenedNetwork,
    OpenError,
    call_library,
    require_library,
)

AUTO_CLASSES = ("AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation", "AutoModel")


def open_transformers(name: str, weights: str | Path | None) -> OpenedNetwork:
    """A network of transformers: a name on the hub, or a folder that `save_pretrained` wrote. No code of it is run.

    Args:
        name: the name or the folder.
        weights: a file of weights in place of its own, or "random".

    Raises:
        OpenError: transformers is missing, or cannot open it.
        CheckpointError: the file of weights cannot be used.
    """
    require_library("transformers", "hf:", "transformers scipy")
    import transformers

    cure = "name a folder with config.json and weights, or a network on the hub; segviz runs no code from there"
    here = "" if Path(name).is_dir() else ", and there is no such folder here"
    what = f"'hf:{name}' cannot be opened{here}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_config = reach_hub()(lambda: transformers.AutoConfig.from_pretrained(name, trust_remote_code=False))
        config = call_library(what, cure, read_config)
        kind = choose_class(transformers, config)
        title = f"hf:{Path(name).name if Path(name).is_dir() else name}"
        if weights is None:
            fetch = reach_hub()(lambda: kind.from_pretrained(name, output_loading_info=True))
            network, report = call_library(what, cure, fetch)
            notes = describe_report(report)
        else:
            network = call_library(what, cure, lambda: build_untrained(kind, config))
            notes = (UNTRAINED,)
        if weights not in (None, RANDOM_WEIGHTS):
            notes = load_weights(network, read_weights(Path(str(weights))), Path(str(weights)))
        values = read_processor(transformers, name)
    return OpenedNetwork(network.eval(), title, notes=notes, **values)  # its configuration has the classes


def choose_class(transformers: Any, config: Any) -> Any:
    """The class that the configuration names, or the first automatic one that knows it.

    Raises:
        OpenError: there is none.
    """
    for name in getattr(config, "architectures", None) or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    for name in AUTO_CLASSES:
        automatic = getattr(transformers, name)
        if type(config) in automatic._model_mapping:
            return automatic._model_mapping[type(config)]
    raise OpenError(f"transformers has no network for '{type(config).__name__}'; update transformers")


def build_untrained(kind: Any, config: Any) -> nn.Module:
    """The network of a configuration with random weights; transformers fetches no weights of its backbone for it."""
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False
    network: nn.Module = kind(config)
    return network


def describe_report(report: dict[str, Any]) -> tuple[str, ...]:
    """Notes on tensors that the file lacks, or that the network has no place for."""
    notes = []
    for key, what in (
        ("missing_keys", "of the network's tensors are not in its file and are random"),
        ("mismatched_keys", "of the network's tensors have another shape in its file and are random"),
        ("unexpected_keys", "tensors of its file belong to nothing in the network and are left out"),
    ):
        names: Sequence[Any] = sorted(map(str, report.get(key) or ()))
        if names:
            notes.append(f"{len(names)} {what}: {name_first(names)}")
    return tuple(notes)


def read_processor(transformers: Any, name: str) -> dict[str, Any]:
    """Mean, std, size, multiple and channel order from the image processor's configuration; empty without one.

    The processor computes (value * factor - mean) / std; mean and std become those of values in [0, 1].
    """
    try:
        with reach_hub():
            settings, _ = transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict(name)
    except (OSError, ValueError, AttributeError):
        return {}
    scaled, normalised = settings.get("do_rescale", True), settings.get("do_normalize", True)
    factor = 255 * (settings.get("rescale_factor") or 1 / 255) if scaled else 255.0
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if not normalised:
        mean, std = (0.0,) * 3, (1.0,) * 3
    values: dict[str, Any] = {"bgr": bool(settings.get("do_flip_channel_order"))}
    if mean and std and len(mean) == len(std) == 3:
        values |= {"mean": tuple(one / factor for one in mean), "std": tuple(one / factor for one in std)}
        values["origin"] = "of its image processor"
    size = settings.get("size")
    if isinstance(size, dict) and size.get("height") and size.get("width"):
        values["size"] = int(size["height"]), int(size["width"])
    divisor = settings.get("size_divisor") or settings.get("pad_size_divisor")
    if isinstance(divisor, int) and divisor > 1:
        values["multiple"] = divisor
    return values
