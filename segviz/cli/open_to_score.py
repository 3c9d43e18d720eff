"""From `--model` and the options that describe a network to what gives its class scores, view by view."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from segviz.cli.open_networks import open_from_options
from segviz.data.classes import ClassSet
from segviz.data.sample import DataError
from segviz.evaluation.scored_network import NetworkToScore, ScoredBlockNetwork
from segviz.models.picture_input import PictureInput
from segviz.prediction.predictor import Predictor
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_scores import NetworkScores
from segviz.watch.published_predictor import PublishedPredictor


@dataclass(frozen=True)
class OpenedToScore:
    """An open network that gives class scores.

    Attributes:
        name: what to call it.
        classes: its classes.
        network: what gives its scores.
        predictor: its predictor, which sees pictures at their own size.
        expects: what a published network expects, with its authors' crops; None for any other.
    """

    name: str
    classes: ClassSet
    network: NetworkToScore
    predictor: Predictor | NetworkPredictor | PublishedPredictor
    expects: PictureInput | None = None


def open_to_score(options: argparse.Namespace) -> OpenedToScore:
    """Open the network of `--model`; `--input-size` is left to the protocol.

    Raises:
        UsageError: an option would have no effect.
        CheckpointError: a file of weights cannot be used.
        OpenError: the network cannot be opened.
        DataError: the network's classes are not known.
    """
    predictor = open_from_options(argparse.Namespace(**{**vars(options), "input_size": None}))
    if isinstance(predictor, Predictor):
        record = predictor.record
        return OpenedToScore(record.model, record.class_set, ScoredBlockNetwork(predictor.model), predictor)
    if predictor.class_set is None:
        raise DataError(f"the classes of '{options.model}' are not known; name them with --classes")
    if isinstance(predictor, PublishedPredictor):
        network = ScoredBlockNetwork(predictor.network, predictor.expects)
        return OpenedToScore(predictor.name, predictor.class_set, network, predictor, predictor.expects)
    return OpenedToScore(predictor.name, predictor.class_set, NetworkScores(predictor), predictor)
