"""Scores of a model on labelled pictures or drawn scenes, by one test protocol or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segviz.catalogue.map_record import MapMeasurement
from segviz.catalogue.record import Evaluation
from segviz.data.classes import CAMVID
from segviz.data.sample import DataError, Sample
from segviz.data.scenes.pool import UNSEEN, UNSEEN_COUNT, scene_pool
from segviz.evaluation.map_numbers import EvenMeans, MapMeans, MeanMaps
from segviz.evaluation.metrics import Confusion, boundary_confusion, confusion
from segviz.evaluation.protocols import SINGLE_SCALE, Scorer, ScoringProtocol
from segviz.evaluation.scored_network import NetworkToScore, ScoredBlockNetwork
from segviz.image import Rgb
from segviz.models.blocks import ContextBlock
from segviz.models.segmenter import BlockNetwork
from segviz.runtime.progress import progress_bar
from segviz.text import count_words

# The scales of --multi-scale. The papers name none; these are those in the configurations of PSANet's authors.
MULTI_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@dataclass(frozen=True)
class Scored:
    """What one pass over pictures gave: scores by the names of protocols, and the maps' numbers if asked for."""

    evaluations: Mapping[str, Evaluation]
    maps: MapMeasurement | None = None


@dataclass(frozen=True)
class SampleCounts:
    """What is counted on one sample: integers, which can be added in any order, and sums over its maps.

    Attributes:
        everywhere: counts of all pixels, by the names of protocols.
        near_borders: counts of the pixels near class borders.
        maps: the means of its maps by name; empty unless they are measured.
    """

    everywhere: Mapping[str, Confusion]
    near_borders: Mapping[str, Confusion]
    maps: Mapping[str, MapMeans]


class SampleScorer:
    """Counts what a model does on one sample after the other.

    Args:
        model: a network in eval mode, or what gives class scores of pictures.
        protocols: those to score by, by name.
        classes: the number of classes.
        other_block: as in `evaluate_by_protocols`.

    Raises:
        ValueError: a protocol cannot be followed.
    """

    def __init__(
        self,
        model: BlockNetwork | NetworkToScore,
        protocols: Mapping[str, ScoringProtocol],
        classes: int,
        other_block: ContextBlock | None = None,
    ) -> None:
        for protocol in protocols.values():
            protocol.check()
        network = ScoredBlockNetwork(model) if isinstance(model, BlockNetwork) else model
        self._score, self._classes = Scorer(network, protocols, other_block), classes
        self._even = EvenMeans()

    def __call__(self, sample: Sample) -> SampleCounts:
        """The counts of a sample."""
        everywhere, near_borders, maps = dict[str, Confusion](), dict[str, Confusion](), MeanMaps(self._even)
        with torch.inference_mode():
            scores, picture_maps = self._score(sample.image)
            for name, one in scores.items():
                predicted = one.argmax(0).to(torch.uint8).cpu().numpy()
                everywhere[name] = confusion(sample.labels, predicted, self._classes)
                near_borders[name] = boundary_confusion(sample.labels, predicted, self._classes)
            if picture_maps:
                maps.add(picture_maps.own, picture_maps.other, sample.labels)
        return SampleCounts(everywhere, near_borders, maps.means)


CountSamples = Callable[[SampleScorer, Sequence[Sample]], Iterator[SampleCounts]]  # in the samples' order


def evaluate_by_protocols(
    model: BlockNetwork | NetworkToScore,
    samples: Sequence[Sample],
    classes: tuple[str, ...],
    data: str,
    protocols: Mapping[str, ScoringProtocol],
    other_block: ContextBlock | None = None,
    count: CountSamples = map,
) -> Scored:
    """Score a model on every sample at the sample's own size, on the model's device, by several protocols at once.

    Args:
        model: a network in eval mode, or what gives class scores of pictures.
        samples: pictures with labels; each is read when its turn comes.
        classes: the names of the model's classes, in index order.
        data: the set of pictures, in words.
        protocols: those to score by, by name.
        other_block: the same block with random weights, to measure the maps of both at the pictures' own size too.
        count: has samples counted, by the scorer that it is given or by others that do the same.

    Raises:
        ValueError: the arguments leave nothing to score; raised before the first picture.
    """
    scorer = SampleScorer(model, protocols, len(classes), other_block)
    network = ScoredBlockNetwork(model) if isinstance(model, BlockNetwork) else model
    check_arguments(network, samples, classes, data)
    empty = Confusion(np.zeros((len(classes), len(classes)), np.int64))
    everywhere, near_borders = dict.fromkeys(protocols, empty), dict.fromkeys(protocols, empty)
    maps = MeanMaps()
    title = f"evaluating {data}" + (f", {len(protocols)} protocols" if len(protocols) > 1 else "")
    for one in progress_bar(count(scorer, samples), total=len(samples), desc=title, unit="image", leave=False):
        for name in protocols:
            everywhere[name] += one.everywhere[name]
            near_borders[name] += one.near_borders[name]
        maps.merge(one.maps)
    evaluations = {
        name: make_evaluation(data, len(samples), classes, everywhere[name], near_borders[name], protocol)
        for name, protocol in protocols.items()
    }
    return Scored(evaluations, maps.measurement(data, len(samples)) if other_block else None)


def evaluate_samples(
    model: BlockNetwork | NetworkToScore,
    samples: Sequence[Sample],
    classes: tuple[str, ...],
    data: str,
    *,
    scales: tuple[float, ...] = SINGLE_SCALE,
    flip: bool = False,
    context: bool = True,
) -> Evaluation:
    """Score a model by one `ScoringProtocol`; a network that takes one size alone sees crops of it.

    Raises:
        ValueError: the arguments leave nothing to score; raised before the first picture.
    """
    crop = model.only_size if isinstance(model, BlockNetwork) else None
    protocols = {"": ScoringProtocol(scales, flip, context, crop)}
    return evaluate_by_protocols(model, samples, classes, data, protocols).evaluations[""]


def make_evaluation(
    data: str,
    images: int,
    classes: tuple[str, ...],
    everywhere: Confusion,
    near_borders: Confusion,
    protocol: ScoringProtocol,
) -> Evaluation:
    """The scores of counts over all pixels and over those near class borders."""
    return Evaluation(
        data=data,
        images=images,
        miou=round(everywhere.mean_iou, 4),
        accuracy=round(everywhere.accuracy, 4),
        iou=class_iou(everywhere, classes),
        boundary_iou=class_iou(near_borders, classes),
        confusion=tuple(tuple(row) for row in everywhere.matrix.tolist()),
        scales=protocol.scales,
        flip=protocol.flip,
        context=protocol.context,
        crop=protocol.crop,
        step=protocol.step if protocol.crop is not None else None,
        size=protocol.size,
        long_side=protocol.long_side,
    )


def evaluate_scenes(model: BlockNetwork, classes: tuple[str, ...], count: int = UNSEEN_COUNT) -> Evaluation:
    """Score a model on drawn scenes that were not trained on, at a single scale.

    Raises:
        DataError: the classes are not the scenes' classes.
    """
    return evaluate_samples(model, unseen_scenes(classes, count), classes, scenes_title(count))


def unseen_scenes(classes: tuple[str, ...], count: int) -> list[Sample]:
    """Drawn scenes that no training uses.

    Raises:
        DataError: the classes are not the scenes' classes.
    """
    if classes != CAMVID.names:
        raise DataError("drawn scenes have CamVid's classes, but this model has others; score it on its own data")
    return scene_pool(count, UNSEEN)


def scenes_title(count: int) -> str:
    """Drawn scenes, in a record's words."""
    return count_words(count, "drawn scene")


def class_scores(
    model: BlockNetwork | NetworkToScore, image: Rgb, protocol: ScoringProtocol
) -> Float[Tensor, "classes height width"]:
    """Softmax scores in [0, 1] of each class at the picture's own size, by a protocol."""
    network = ScoredBlockNetwork(model) if isinstance(model, BlockNetwork) else model
    return Scorer(network, {"": protocol})(image)[0][""]


def check_arguments(network: NetworkToScore, samples: Sequence[Sample], classes: tuple[str, ...], data: str) -> None:
    """Find whatever would give a wrong score, or none, before the first picture.

    Raises:
        ValueError: the message names the cause and the cure.
    """
    if isinstance(network, ScoredBlockNetwork) and network.network.training:
        raise ValueError("the model is in training mode, with dropout active; call its eval() first")
    if network.class_count != len(classes):
        raise ValueError(
            f"the model has {network.class_count} classes but {len(classes)} are named; name the model's own"
        )
    if not any((sample.labels < len(classes)).any() for sample in samples):
        raise ValueError(f"{data} has no labelled pixel to score; give pictures with labels")


def class_iou(result: Confusion, classes: tuple[str, ...]) -> Mapping[str, float | None]:
    """IoU by class name, rounded to four places; None for a class that neither occurs nor is predicted."""
    return {
        name: None if np.isnan(iou) else round(float(iou), 4) for name, iou in zip(classes, result.iou, strict=True)
    }
