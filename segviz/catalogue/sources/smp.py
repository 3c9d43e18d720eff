"""`smp:ARCHITECTURE`, `smp:ARCHITECTURE:ENCODER` and `smp:FOLDER`: segmentation-models-pytorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from segviz.catalogue.sources.opened_network import OpenedNetwork, OpenError, call_library, require_library
from segviz.catalogue.sources.vision_libraries import build_with_weights
from segviz.text import plain_text

USUAL_ENCODER = "resnet34"


def open_smp(name: str, weights: str | Path | None) -> OpenedNetwork:
    """A network of segmentation-models-pytorch: an architecture with weights of a file, or what its library saved.

    Args:
        name: an architecture such as "manet", with ":ENCODER" behind it where that is not resnet34; or a folder that
            `save_pretrained` wrote, or its name on the hub (with a slash).
        weights: a file of weights for an architecture, or "random"; the file tells the number of classes.

    Raises:
        OpenError: the library is missing, or has no such network.
        CheckpointError: the file of weights cannot be used.
    """
    require_library("segmentation_models_pytorch", "smp:", "segmentation-models-pytorch")
    import segmentation_models_pytorch as smp

    if "/" in name or Path(name).is_dir():
        cure = "name a folder that save_pretrained wrote, or a network on the hub"
        network = call_library(
            f"'smp:{plain_text(name, 80)}' cannot be opened", cure, lambda: smp.from_pretrained(name)
        )
        return OpenedNetwork(network.eval(), f"smp:{Path(name).name}", **read_normalisation(smp, network))
    if weights is None:
        raise OpenError(f"'smp:{name}' has no trained decoder; give a file of weights, or 'random' as its weights")
    architecture, _, encoder = name.partition(":")

    def build(options: dict[str, Any]) -> nn.Module:
        options = {"classes": options["num_classes"]} if "num_classes" in options else {}
        made: nn.Module = smp.create_model(architecture, encoder or USUAL_ENCODER, encoder_weights=None, **options)
        return made

    network, notes = build_with_weights(f"smp:{name}", build, weights)
    return OpenedNetwork(network, f"smp:{name}", notes=notes, **read_normalisation(smp, network))


def read_normalisation(smp: Any, network: nn.Module) -> dict[str, Any]:
    """Mean and std of an encoder that is timm's ("tu-NAME"); empty for others, whose values the library would fetch."""
    encoder = str(getattr(network, "name", "")).partition("-")[2]
    if not encoder.startswith("tu-"):
        return {}
    try:
        settings = smp.encoders.get_preprocessing_params(encoder)
    except (KeyError, ValueError):
        return {}
    mean, std = settings.get("mean"), settings.get("std")
    return {"mean": tuple(mean), "std": tuple(std), "origin": "of its encoder"} if mean and std else {}
