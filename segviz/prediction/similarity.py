"""Similarity: which places have features like a point's, at any stage of a network."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import FeatureSimilarity, detach
from segviz.image import ImageLike, as_rgb, resize
from segviz.models.segmenter import BlockNetwork
from segviz.prediction.block_predictor import BlockPredictor

Stage = Literal["middle", "deep", "block_input", "block_output", "decoder"]
STAGES: Mapping[Stage, str] = MappingProxyType({
    "middle": "backbone, one stage before the last",
    "deep": "backbone, last stage",
    "block_input": "block's input",
    "block_output": "block's output",
    "decoder": "decoder, before the classifier",
})  # fmt: skip


class StageError(ValueError):
    """There is no such stage."""


def compare_features(predictor: BlockPredictor, image: ImageLike, stage: str, shrink: int = 1) -> FeatureSimilarity:
    """The cosine of each place's feature with every place's, at a stage of the network.

    Computed on demand: predictions keep no features. The model is only read, so threads may call this at once.

    Args:
        predictor: the model.
        image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
        stage: a name of STAGES.
        shrink: divides the size at which the model sees the picture.

    Raises:
        StageError: there is no such stage.
        ImageError: the picture cannot be used.
    """
    if stage not in STAGES:
        raise StageError(f"stage '{stage}' is unknown; use {', '.join(STAGES)}")
    picture = as_rgb(image)
    seen = resize(picture, predictor.seen_size((picture.shape[0], picture.shape[1]), shrink))
    with torch.inference_mode():
        features = features_at(predictor.model, predictor.model.expects.prepare(seen, predictor.device), stage)[0]
        unit = F.normalize(features.float(), dim=0).flatten(1).mT
        (similarity,) = detach([FeatureSimilarity(stage, (features.shape[1], features.shape[2]), unit)])
    assert isinstance(similarity, FeatureSimilarity)
    return similarity


def features_at(model: BlockNetwork, image: Tensor, stage: str) -> Float[Tensor, "batch channels height width"]:
    """The features of a stage; what follows it is not computed."""
    pyramid = model.pyramid(image)
    if stage == "middle":
        return pyramid.middle
    if stage == "deep":
        return pyramid.deep
    reduced: Tensor = model.reduction(pyramid).features
    if stage == "block_input":
        return reduced
    attended: Tensor = model.block(reduced).features
    return attended if stage == "block_output" else model.decode_features(attended, pyramid)
