"""Features of any layer of any network, and how similar they are from place to place."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.grid_map import Grid
from segviz.attention.maps import FeatureSimilarity, detach
from segviz.image import ImageLike, as_rgb
from segviz.text import plain_text
from segviz.watch.findings import ROOT
from segviz.watch.run_network import call_network, run_on_fitting_size

if TYPE_CHECKING:
    from segviz.watch.network_predictor import NetworkPredictor


MOST_PREFIX = 16  # class and register tokens


class LayerError(ValueError):
    """A layer's features cannot be compared."""


def compare_layer(
    predictor: NetworkPredictor, image: ImageLike, path: str, grid: Grid, tokens: Sequence[int] | None = None
) -> FeatureSimilarity:
    """The cosine of each place's feature with every place's, at the output of the block that holds a layer.

    Args:
        predictor: the network; it is only read.
        image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
        path: of an attention layer or any other module; the module that directly holds it is taken where that has
            features on the same grid.
        grid: rows and columns of the layer's tokens.
        tokens: which of its tokens the cells are, as `HeadMap.cell_tokens`.

    Raises:
        LayerError: there is no such module, or its output has no features on that grid.
        ImageError: the picture cannot be used.
        ValueError: the network refuses the picture.
    """
    name, path = path, module_path(predictor.network, path)
    if path not in dict(predictor.network.named_modules()):
        raise LayerError(f"there is no module '{plain_text(path, 80)}'; choose one of the layers that were found")
    wanted = [one for one in (path.rpartition(".")[0], path) if one] or [path]
    outputs = module_outputs(predictor, image, wanted)
    for one in wanted:
        features = find_grid(outputs.get(one), grid, tokens)
        if features is not None:
            unit = F.normalize(features.float(), dim=1)
            (similarity,) = detach([FeatureSimilarity(one or name, grid, unit)])
            assert isinstance(similarity, FeatureSimilarity)
            return similarity
    raise LayerError(
        f"'{path or name}' has no features on its grid of {grid[0]} x {grid[1]} cells; choose another layer"
    )


def module_path(network: nn.Module, layer: str) -> str:
    """The path of a found layer's module; "" is the network itself, which attends in its own forward."""
    path = layer.partition(":")[0]
    return "" if path == ROOT and path not in dict(network.named_modules()) else path


def module_outputs(predictor: NetworkPredictor, image: ImageLike, paths: list[str]) -> dict[str, Tensor]:
    """The outputs of modules, by path; those that are no tensor, nor a tuple that begins with one, are missing.

    Hooks are set on a copy of the modules, which shares the weights: other threads run the network meanwhile.
    """
    network, picture = share_weights(predictor.network), as_rgb(image)
    rules = predictor.rules.complete(network)
    found: dict[str, Tensor] = {}
    modules = dict(network.named_modules())

    def keep(path: str, output: object) -> None:
        first = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(first, Tensor):
            found[path] = first

    for path in paths:
        modules[path].register_forward_hook(lambda _, __, output, path=path: keep(path, output))

    def run(_: object, batch: Tensor) -> None:
        found.clear()  # of a size that the network refused half-way
        with torch.no_grad():
            call_network(network, batch)

    run_on_fitting_size(network, picture, rules, run)
    return found


def share_weights(network: nn.Module) -> nn.Module:
    """A copy of a network's modules that shares its parameters and buffers.

    Raises:
        LayerError: the network cannot be copied.
    """
    tensors = chain(network.parameters(), network.buffers())
    try:
        return deepcopy(network, {id(one): one for one in tensors})
    except Exception as error:  # whatever the network's own code raises
        raise LayerError(
            f"the network cannot be copied ({plain_text(str(error))}), so its features are not seen; give it a "
            "__deepcopy__ that works, or compare another network's"
        ) from None


def find_grid(
    output: Tensor | None, grid: Grid, tokens: Sequence[int] | None = None
) -> Float[Tensor, "cells channels"] | None:
    """The features of a grid's cells in a module's output of one picture; None where they do not lie on the grid.

    Forms: (1, C, H, W); (1, H, W, C); (1, N, C) with class and register tokens first, or those that `tokens` number.
    """
    if output is None or len(output) != 1:
        return None
    cells = grid[0] * grid[1]
    if output.dim() == 4 and tuple(output.shape[2:]) == grid:
        return output[0].flatten(1).mT
    if output.dim() == 4 and tuple(output.shape[1:3]) == grid:
        return output[0].flatten(0, 1)
    if tokens is not None:
        return output[0, list(tokens)] if output.dim() == 3 and output.shape[1] > max(tokens) else None
    if output.dim() == 3 and output.shape[1] >= cells and output.shape[1] - cells <= MOST_PREFIX:
        return output[0, -cells:]
    return None
