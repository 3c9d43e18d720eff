"""Labels of pictures by a test protocol: those that a score by the same protocol compares with the truth."""

from __future__ import annotations

import torch

from segviz.data.classes import ClassSet
from segviz.evaluation.protocols import Scorer, ScoringProtocol
from segviz.evaluation.scored_network import NetworkToScore
from segviz.image import Rgb
from segviz.prediction.labelled import PixelLabels


class ProtocolLabels:
    """Labels pictures by a test protocol.

    Args:
        network: what is shown the pictures.
        protocol: the protocol.
        model: the network's name.
        classes: its classes.

    Raises:
        ValueError: the protocol cannot be followed, or has no context where the network has none to switch off.
    """

    def __init__(self, network: NetworkToScore, protocol: ScoringProtocol, model: str, classes: ClassSet) -> None:
        protocol.check()
        self.model, self.classes = model, classes
        self._score = Scorer(network, {"": protocol})

    def __call__(self, picture: Rgb) -> PixelLabels:
        """The classes with the highest mean softmax scores, and these scores, at the picture's own size.

        Args:
            picture: (height, width, 3) uint8 RGB.

        Raises:
            ValueError: the network refuses a view, or its output has no classes, or has others.
        """
        with torch.inference_mode():
            scores = self._score(picture)[0][""]
            labels = scores.argmax(0).to(torch.uint8).cpu().numpy()
            return PixelLabels(self.model, labels, scores.amax(0).cpu().numpy(), self.classes)
