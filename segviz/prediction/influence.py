"""Influence on a network's answer at a pixel, through its block's context: a map for every block with a context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from segviz.attention.maps import cell_of_pixel
from segviz.attention.rank_correlation import correlate_with_map
from segviz.image import ImageLike, as_rgb, resize
from segviz.models.ablation import has_context
from segviz.models.influence import measure_influence
from segviz.prediction.block_predictor import BlockPredictor
from segviz.prediction.prediction import Place, Prediction
from segviz.runtime.mmap_copy import copy_array

UNIT = "influence"


class NoContextError(ValueError):
    """The network's block gathers nothing, so nothing can have influence through it."""


@dataclass(frozen=True, eq=False)
class Influence:
    """How strongly each cell of the block's input moves the score of the winning class at a pixel.

    Attributes:
        model: the model's name.
        pixel: the image pixel (y, x).
        class_index: the class that wins at the pixel, at the size at which the model sees the picture.
        score: its logit.
        values: `sum_c |d score / d x_c|` through the block's context alone, for each cell of the block's input; at
            least 0, in logits for a unit of the features.
    """

    model: str
    pixel: Place
    class_index: int
    score: float
    values: Float32[np.ndarray, "rows columns"]


def measure_pixel_influence(
    predictor: BlockPredictor, image: ImageLike, pixel: Place, shrink: int = 1, check: Callable[[], None] | None = None
) -> Influence:
    """The influence on a network's answer at a pixel (`segviz.models.influence`).

    The rest of the network is held fixed: the backbone's features that the decoder reads, and the picture. The model is
    only read, so threads may call this at once.

    Args:
        predictor: the model.
        image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
        pixel: (y, x) in the picture's own pixels.
        shrink: divides the size at which the model sees the picture.
        check: called between the parts of the computation; may raise to cancel.

    Raises:
        NoContextError: the model has no context.
        ImageError: the picture cannot be used.
        ValueError: the pixel lies outside the picture.
    """
    model, picture = predictor.model, as_rgb(image)
    if not has_context(model):
        raise NoContextError(
            f"'{predictor.record.model}' has no context, so no place has influence through it; choose a model with a "
            "context, such as psa"
        )
    size = (picture.shape[0], picture.shape[1])
    working = predictor.seen_size(size, shrink)
    row, column = cell_of_pixel(*pixel, size, working)
    scores: list[Float[Tensor, " classes"]] = []
    pause = check or (lambda: None)

    with torch.inference_mode(False), torch.no_grad():  # a backward cannot use tensors made in inference mode
        pause()
        seen = model.expects.prepare(resize(picture, working), predictor.device)
        pyramid = model.pyramid(seen)
        features = model.reduction(pyramid).features

        def answer(attended: Tensor) -> Tensor:
            pause()
            scores.append(model.logits(attended, pyramid, seen)[0, :, row, column])
            pause()
            return scores[0].max()

        values = measure_influence(model.block, features, answer).float().cpu().numpy()
    best = int(scores[0].argmax())
    return Influence(predictor.record.model, pixel, best, float(scores[0][best].detach()), copy_array(values))


def correlate_influence(influence: Influence, prediction: Prediction) -> dict[str, float]:
    """The rank correlation of an influence with each map's weights, by the map's name; NaN where one is constant."""
    size = (prediction.labels.shape[0], prediction.labels.shape[1])
    return {
        one.name: correlate_with_map(influence.values, one, *one.cell(*influence.pixel, *size))
        for one in prediction.spatial_maps
    }
