"""`timm:NAME` and `torchvision:NAME`: networks of two libraries that segviz needs anyway."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from segviz.catalogue.entry import RANDOM_WEIGHTS
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.sources.hub import reach_hub
from segviz.catalogue.sources.load_weights import load_weights, other_class_count
from segviz.catalogue.sources.opened_network import UNTRAINED, OpenedNetwork, OpenError, call_library
from segviz.text import plain_text

FETCH_CURE = "give a file of weights, or 'random' as the weights of the untrained network"
Build = Callable[[dict[str, Any]], nn.Module]


def open_timm(name: str, weights: str | Path | None) -> OpenedNetwork:
    """A network of timm: with its pretrained weights, those of a file, or untrained.

    A vision transformer of timm takes pictures of any size where timm can interpolate its positions.

    Raises:
        OpenError: timm has no such network, or its weights cannot be fetched.
        CheckpointError: the file of weights cannot be used.
    """
    import timm

    if not timm.is_model(name):
        raise OpenError(f"timm has no network '{plain_text(name, 80)}'{suggest(name, timm.list_models())}")

    def build(options: dict[str, Any]) -> nn.Module:
        try:
            network: nn.Module = timm.create_model(name, dynamic_img_size=True, **options)
        except TypeError:  # the network knows no such option
            network = timm.create_model(name, **options)
        return network

    if weights is None:
        fetch = reach_hub()(lambda: build({"pretrained": True}))
        network = call_library(f"the weights of 'timm:{name}' cannot be had", FETCH_CURE, fetch)
        return OpenedNetwork(network.eval(), f"timm:{name}")
    network, notes = build_with_weights(f"timm:{name}", build, weights)
    return OpenedNetwork(network, f"timm:{name}", notes=notes)


def open_torchvision(name: str, weights: str | Path | None) -> OpenedNetwork:
    """A network of torchvision, its classes and normalisation from its weights' description.

    Raises:
        OpenError: torchvision has no such network, or its weights cannot be fetched.
        CheckpointError: the file of weights cannot be used.
    """
    from torchvision import models

    if name not in models.list_models():
        raise OpenError(f"torchvision has no network '{plain_text(name, 80)}'{suggest(name, models.list_models())}")
    builder = models.get_model_builder(name)
    trained = models.get_model_weights(name).DEFAULT
    bare = {one: None for one in ("weights", "weights_backbone") if one in inspect.signature(builder).parameters}
    notes: tuple[str, ...] = ()
    if weights is None:
        network = call_library(
            f"the weights of 'torchvision:{name}' cannot be had", FETCH_CURE, lambda: builder(weights=trained)
        )
    else:
        network, notes = build_with_weights(f"torchvision:{name}", lambda options: builder(**bare, **options), weights)
    preset = trained.transforms()
    mean, std, crop = (getattr(preset, one, None) for one in ("mean", "std", "crop_size"))
    return OpenedNetwork(
        network.eval(),
        f"torchvision:{name}",
        tuple(trained.meta.get("categories", ())) if weights in (None, RANDOM_WEIGHTS) else (),
        mean=tuple(mean) if mean else None,
        std=tuple(std) if std else None,
        size=(crop[0], crop[0]) if crop else None,
        origin="of torchvision's weights",
        notes=notes,
    )


def build_with_weights(name: str, build: Build, weights: str | Path) -> tuple[nn.Module, tuple[str, ...]]:
    """A network with the weights of a file, or untrained, and notes on it; the file tells the number of classes.

    Raises:
        OpenError: it cannot be built.
        CheckpointError: the file of weights cannot be used.
    """
    cure = "choose another network"
    if weights == RANDOM_WEIGHTS:
        return call_library(f"'{name}' cannot be built", cure, lambda: build({})).eval(), (UNTRAINED,)
    path = Path(str(weights))
    stored = read_weights(path)
    options = {"aux_loss": True} if any(one.startswith("aux_classifier.") for one in stored.tensors) else {}
    network = call_library(f"'{name}' cannot be built", cure, lambda: build(options))
    if (count := other_class_count(network, stored)) is not None:
        network = call_library(
            f"'{name}' cannot be built for {count} classes", cure, lambda: build({**options, "num_classes": count})
        )
    return network.eval(), load_weights(network, stored, path)


def suggest(name: str, names: Sequence[str]) -> str:
    """The cure for a wrong name: the names that look like it."""
    near = get_close_matches(name, names, 3)
    return f"; near are {', '.join(near)}" if near else "; use a name that the library lists"
