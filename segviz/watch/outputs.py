"""Classes for every pixel from a network's output, in the forms that libraries give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.data.class_sets import choose_class_set, give_colours
from segviz.data.classes import ClassSet, RgbColour
from segviz.prediction.predictor import classify
from segviz.watch.placement import Placement

MOST_CLASSES = 255  # labels are bytes, and 255 is void


@dataclass(frozen=True, repr=False)
class NetworkPrediction:
    """The classes that a network gives to the picture's pixels.

    Attributes:
        labels: class indices at the picture's own size.
        confidence: the softmax of the winning class, in [0, 1].
        class_set: names and colours of the classes; numbers where no names were given.
        form: what the network's output was.
    """

    labels: UInt8[np.ndarray, "height width"]
    confidence: Float[np.ndarray, "height width"]
    class_set: ClassSet
    form: str

    def __repr__(self) -> str:
        """One line."""
        height, width = self.labels.shape
        return f"NetworkPrediction({width} x {height} pixels, {len(self.class_set.names)} classes, from {self.form})"


def find_logits(output: object) -> tuple[Tensor, str] | None:
    """Scores (classes, rows, columns) of the first image, and the form they were found in; None without classes.

    Forms: a (B, C, H, W) tensor; `{"out": ...}` of torchvision; `.logits` of transformers; class queries with masks
    (`.class_queries_logits` and `.masks_queries_logits`, or `.logits` and `.pred_masks`), whose scores are summed as in
    MaskFormer (NeurIPS 2021, eq. 4).
    """
    values = output if isinstance(output, Mapping) else {}
    for classes, masks in (("class_queries_logits", "masks_queries_logits"), ("logits", "pred_masks")):
        queries, regions = values.get(classes), values.get(masks)
        if isinstance(queries, Tensor) and isinstance(regions, Tensor) and (queries.dim(), regions.dim()) == (3, 4):
            shares = queries[0].float().softmax(-1)[:, :-1]  # the last class is "no object"
            scores = torch.einsum("qc,qhw->chw", shares, regions[0].float().sigmoid())
            return scores.clamp_min(1e-6).log(), "class queries and masks"
    found = find_tensor(output)
    return None if found is None else as_scores(*found)


def find_tensor(output: object) -> tuple[Tensor, str] | None:
    """The tensor of an output that would be its scores, and the form that it was found in; None without any."""
    values = output if isinstance(output, Mapping) else {}
    for name in ("out", "logits"):
        if isinstance(values.get(name), Tensor):
            return values[name], name
    if isinstance(output, Tensor):
        return output, "a tensor"
    if isinstance(output, Sequence) and not isinstance(output, str) and output and isinstance(output[0], Tensor):
        return output[0], "the first of several tensors"
    return None


def is_pyramid(output: object) -> bool:
    """Whether an output is several tensors of features, as a backbone returns them, rather than scores.

    None of the others has the first one's size, and some have other channels. Scores of auxiliary heads have the first
    one's channels, or its size.
    """
    if not isinstance(output, Sequence) or isinstance(output, str):
        return False
    shapes = [one.shape for one in output if isinstance(one, Tensor) and one.dim() == 4]
    sizes = [shape[2:] for shape in shapes]
    return bool(sizes) and sizes.count(sizes[0]) == 1 and len({shape[1] for shape in shapes}) > 1


def why_no_scores(output: object) -> str:
    """Why `find_logits` finds none, with the cure where there is one."""
    found = find_tensor(output)
    if found is not None and found[0].dim() == 4 and found[0].shape[1] == 1:
        return (
            "the output has one channel, which is not read as classes; let the network return one for each class, such "
            "as torch.cat([0 * x, x], 1), whose softmax is the sigmoid of x"
        )
    return "the output has no classes for pixels"


def as_scores(tensor: Tensor, form: str) -> tuple[Tensor, str] | None:
    """The scores of one image, if a tensor has classes and pixels."""
    if tensor.dim() != 4 or len(tensor) != 1 or not 2 <= tensor.shape[1] <= MOST_CLASSES:
        return None
    return tensor[0].float(), f"{form} of {tensor.shape[1]} x {tensor.shape[2]} x {tensor.shape[3]}"


def predict_classes(
    output: object,
    placement: Placement,
    classes: str | Sequence[str] | None,
    palette: Sequence[RgbColour] | None,
    known: ClassSet | None,
) -> NetworkPrediction | None:
    """The classes of the picture's pixels, with the padding cut off; None where the output has none.

    Args:
        output: what the network returned.
        placement: how the network saw the picture.
        classes: names of the classes, or the name of a class set; with them, scores may be coarse, and the first of
            several tensors counts whatever the others are.
        palette: a colour for each class.
        known: classes that the network's source names; they count where they are as many as the output's.

    Raises:
        ValueError: names or colours were given for another number of classes.
    """
    found = find_logits(output)
    if found is None:
        if classes is not None:
            raise ValueError(f"{why_no_scores(output)}; or name no classes, and maps are shown without")
        return None
    scores, form = found
    if classes is not None:
        chosen = choose_class_set(classes)
    else:
        fits = known is not None and len(known.names) == len(scores)
        if not is_segmentation(scores, placement.seen) or (is_pyramid(output) and not fits):
            return None
        chosen = known if fits and known else give_colours([f"class {number}" for number in range(len(scores))])
    colours = chosen.palette if palette is None else tuple(palette)
    for count in (len(chosen.names), len(colours)):
        if count != len(scores):
            given = f"names or colours of {count} were given; give one for each"
            raise ValueError(f"the output has {len(scores)} classes, but {given}")
    indices, confidence = classify(crop_padding(scores, placement), placement.picture)
    return NetworkPrediction(indices, confidence, ClassSet(chosen.names, colours), form)


def is_segmentation(scores: Tensor, seen: Grid) -> bool:
    """Whether scores are classes of a segmentation rather than features: at an eighth of the input's size or finer.

    With `classes` given, coarser scores count as well.
    """
    return scores.shape[1] * 8 >= seen[0] and scores.shape[2] * 8 >= seen[1]


def configured_classes(model: object) -> ClassSet | None:
    """The classes in a network's configuration, as transformers has it; None where it names none."""
    labels = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(labels, Mapping) or not labels or set(labels) != set(range(len(labels))):
        return None
    return give_colours([str(labels[number]).strip() for number in range(len(labels))])


def crop_padding(scores: Tensor, placement: Placement) -> Tensor:
    """Scores of the picture alone."""
    if placement.shown == placement.seen:
        return scores
    full = F.interpolate(scores[None], placement.seen, mode="bilinear")[0]
    return full[:, : placement.shown[0], : placement.shown[1]]
