"""A network of one's own as the attribution methods want a model: class scores of a picture, and a layer to read."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import PlacedMap
from segviz.attribution.probe import LayerProbe
from segviz.attribution.target import AttributionError
from segviz.image import working_size
from segviz.models.picture_input import IMAGENET_MEAN, IMAGENET_STD, SIGNED_INPUT
from segviz.watch.layer_features import module_path, share_weights
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_view import NetworkView
from segviz.watch.outputs import crop_padding, find_logits
from segviz.watch.placement import InputRules, Placement
from segviz.watch.run_network import call_network, first_float

NO_SCORE = (
    "the network has no classes for pixels, so there is no score to explain; choose a network that scores each pixel"
)


@dataclass(frozen=True)
class DifferentiablePredictor:
    """What `segviz.attribution.attribute` reads of a predictor.

    Attributes:
        model: returns `logits`, and has a `block`.
        device: where it runs.
        record: the model's name, and its classes.
    """

    model: Any
    device: torch.device
    record: Any

    def seen_size(self, picture: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) of the picture that methods change; the network sees it enlarged to its own size."""
        return working_size(*picture)


class ScoredNetwork(nn.Module):
    """The logits of a network's classes, differentiable with respect to the picture; its modules are a copy.

    Args:
        network: its copy.
        rules: how it takes pictures.
        placement: how it saw this one.
        block: the layer whose features can be read, inside of `network`.
    """

    def __init__(self, network: nn.Module, rules: InputRules, placement: Placement, block: LayerProbe) -> None:
        super().__init__()
        self.expects = SIGNED_INPUT  # what `forward` expects; it normalises as the network's rules say
        self.network, self.block = network, block
        self.rules, self.placement = rules, placement

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> SimpleNamespace:
        """Logits at the pictures' size; the pictures are RGB in [-1, 1], as `segviz.image.to_tensor` makes them.

        Raises:
            AttributionError: the output has no classes.
        """
        scores = torch.cat([self.score(one[None]) for one in images])
        return SimpleNamespace(logits=F.interpolate(scores, images.shape[2:], mode="bilinear"))

    def score(self, image: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "1 classes rows columns"]:
        """The scores of one picture, at the network's own size.

        Raises:
            AttributionError: the output has no classes.
        """
        found = find_logits(call_network(self.network, self.as_input(image)))
        if found is None:
            raise AttributionError(NO_SCORE)
        return crop_padding(found[0], self.placement)[None]

    def as_input(self, image: Tensor) -> Tensor:
        """The network's input, of its own type, as `make_input` makes it of pixels."""
        mean, std = self.rules.mean or IMAGENET_MEAN, self.rules.std or IMAGENET_STD
        shown = F.interpolate((image + 1) / 2 * self.rules.unit, self.placement.shown, mode="bilinear", antialias=True)
        centre, spread = (torch.tensor(values, device=image.device).reshape(1, 3, 1, 1) for values in (mean, std))
        values = (shown - centre) / spread
        values = values.flip(1) if self.rules.bgr else values
        bottom, right = (seen - own for seen, own in zip(self.placement.seen, self.placement.shown, strict=True))
        padded = F.pad(values, (0, right, 0, bottom))
        like = first_float(self.network)
        return padded if like is None else padded.to(like.dtype)


def make_differentiable(predictor: NetworkPredictor, view: NetworkView, layer: str) -> DifferentiablePredictor:
    """A network as the attribution methods want it.

    Args:
        predictor: the network; it is only read.
        view: what it computed for the picture, with the layer's map.
        layer: the path of the layer that Grad-CAM reads; "" for none.

    Raises:
        AttributionError: it has no classes.
        LayerError: its modules cannot be copied.
    """
    if view.prediction is None:
        raise AttributionError(NO_SCORE)
    network = share_weights(predictor.network)
    path, one = module_path(network, layer), view.maps.get(layer)
    tokens = one.cell_tokens if isinstance(one, PlacedMap) else None
    block = LayerProbe(network.get_submodule(path) if path else nn.Identity(), one.grid if one else (0, 0), tokens)
    if path:
        parent, _, name = path.rpartition(".")
        setattr(network.get_submodule(parent), name, block)
    model = ScoredNetwork(network, predictor.rules.complete(predictor.network), view.placement, block)
    record = SimpleNamespace(model=predictor.name, classes=view.prediction.class_set.names)
    return DifferentiablePredictor(model, predictor.device, record)
