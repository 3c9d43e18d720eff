"""Class scores of any segmentation network for views of a picture, as `evaluate` needs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.image import Rgb
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.outputs import crop_padding, find_logits, why_no_scores
from segviz.watch.run_network import call_network, run_on_fitting_size


class NetworkScores:
    """The class scores of a network of any source. Views are run one by one, each at the size that the network takes.

    Args:
        predictor: the network and its rules for pictures.

    Raises:
        ValueError: nobody names its classes.
    """

    def __init__(self, predictor: NetworkPredictor) -> None:
        if predictor.class_set is None:
            raise ValueError(f"the classes of '{predictor.name}' are not known; name its classes")
        self.predictor, self.device = predictor, predictor.device
        self.class_count = len(predictor.class_set.names)
        self.rules = predictor.rules.complete(predictor.network)
        mean = self.rules.mean or (0.0, 0.0, 0.0)
        self._mean = torch.tensor([255 / self.rules.unit * one for one in mean]).reshape(1, 3, 1, 1)

    def see(self, picture: Rgb) -> Float[Tensor, "1 3 height width"]:
        """The picture's bytes less the network's mean colour, so that zeros pad with it."""
        return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() - self._mean

    def prepare(self, contexts: Collection[bool]) -> NetworkScores:
        """What runs it: this.

        Raises:
            ValueError: the context is to be switched off, which is possible in segviz's checkpoints alone.
        """
        if False in contexts:
            raise ValueError(f"the context of '{self.predictor.name}' cannot be switched off; score it as it is")
        return self

    def __call__(
        self, views: Tensor, contexts: Sequence[bool], other: object, /
    ) -> tuple[Mapping[bool, Float[Tensor, "views classes height width"]], None]:
        """Softmax scores at the views' size.

        Raises:
            ValueError: the network refuses a view, or its output has no classes, or has others.
        """
        pictures = (views + self._mean).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
        return {True: torch.stack([self._score(one) for one in pictures])}, None

    def _score(self, picture: Rgb) -> Float[Tensor, "classes height width"]:
        model = self.predictor.network
        placement, output = run_on_fitting_size(
            model, picture, self.rules, lambda placement, batch: call_network(model, batch)
        )
        found = find_logits(output)
        if found is None:
            raise ValueError(
                f"'{self.predictor.name}' cannot be scored: {why_no_scores(output)}; score a network that has some"
            )
        if len(found[0]) != self.class_count:
            raise ValueError(
                f"the output of '{self.predictor.name}' has {len(found[0])} classes, but {self.class_count} are named; "
                "name as many with --classes"
            )
        logits = crop_padding(found[0], placement)
        return F.interpolate(logits[None], picture.shape[:2], mode="bilinear")[0].softmax(0)
