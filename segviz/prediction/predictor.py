"""Predictor: a picture in, labels, confidence and attention maps out."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from segviz.attention.maps import AttendedFeatures, detach
from segviz.catalogue.checkpoint_file import read_checkpoint
from segviz.catalogue.context_worth import caption_worths, context_worth
from segviz.catalogue.location import checkpoint_path
from segviz.catalogue.record import Record
from segviz.data.classes import ClassSet
from segviz.image import ImageLike, Rgb, SeenSize, as_rgb, name_picture, resize, working_size
from segviz.models.folding import fold
from segviz.models.registry import MODELS
from segviz.models.segmenter import BlockNetwork, Segmentation
from segviz.models.size import describe_size
from segviz.prediction.prediction import Prediction
from segviz.runtime.mmap_copy import copy_array
from segviz.text import count_words, plain_text

PredictorKind = Literal["checkpoint", "published", "network"]  # what a predictor answers with differs by its kind
ROWS_AT_ONCE = 256  # rows of the picture whose logits are stretched at a time


class Predictor:
    """A trained model, ready for pictures. Calls share no state, so threads may run them at once.

    Args:
        model: the network; it is moved to the device and put into eval mode.
        record: how the network was trained.
        device: a name of torch's; "auto" takes a GPU if there is one.
        digest: the SHA-256 of the checkpoint that the network was loaded from; empty if it came from elsewhere.
        size: the (height, width) at which the network sees pictures, or "own" for their own, at most 1024 x 2048; None
            for the area of training of the models of `MODELS`, and "own" for other networks.

    Attributes:
        kind: it answers with a `Prediction`, and has a `Segmenter` or another network around a block.
    """

    kind: ClassVar[PredictorKind] = "checkpoint"

    def __init__(
        self,
        model: BlockNetwork,
        record: Record,
        device: str = "auto",
        digest: str = "",
        size: SeenSize = None,
    ) -> None:
        self.device = choose_device(device)
        self.size: SeenSize = size or (None if record.model in MODELS else "own")
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.record, self.digest = record, digest

    def __repr__(self) -> str:
        """One line."""
        classes = len(self.record.class_set.names)
        return f"Predictor({self.record.model}, {describe_size(self.model)}, {classes} classes, on {self.device})"

    def __call__(self, image: ImageLike, shrink: int = 1) -> Prediction:
        """Segment a picture and keep the block's maps.

        Args:
            image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
            shrink: divides the size at which the model sees the picture; the labels keep the picture's own size.

        Raises:
            ImageError: the picture cannot be used.
        """
        picture = as_rgb(image)
        size = (picture.shape[0], picture.shape[1])
        with torch.inference_mode():
            seen = resize(picture, self.seen_size(size, shrink))
            result = self.model(self.model.expects.prepare(seen, self.device))
            worth = caption_worths([context_worth(self.record)])
            made = make_prediction(self.record.model, result, self.record.class_set, size, seen, worth)
        return replace(made, picture=name_picture(image))

    def seen_size(self, picture: tuple[int, int], shrink: int = 1) -> tuple[int, int]:
        """The (height, width) at which the network sees a picture of (height, width)."""
        return working_size(*picture, shrink, self.size)

    def at_size(self, size: SeenSize) -> Predictor:
        """The same predictor, which sees pictures at another size; the network is shared."""
        if size == self.size or size is None:
            return self
        other = copy(self)
        other.size = size
        return other


def make_prediction(
    model: str, result: Segmentation, classes: ClassSet, size: tuple[int, int], seen: Rgb, worth: str = ""
) -> Prediction:
    """The first image's prediction, cut off from the network's memory.

    Args:
        model: the model's name.
        result: what the network computed.
        classes: its classes.
        size: the picture's own (height, width).
        seen: the picture as the network saw it.
        worth: what the block's context is worth, in words; "" where it is not known.
    """
    labels, confidence = classify(result.logits[0].float(), size)
    return Prediction(
        model,
        copy_array(labels),
        copy_array(confidence),
        classes,
        {one.name: one for one in detach(result.attended.maps[0])},
        detach([channel_means(result)])[0],
        image=copy_array(seen),
        worth=worth,
    )


def load_predictor(model: str | Path, device: str = "auto", size: SeenSize = None) -> Predictor:
    """A bundled model by name, or any checkpoint by path; see `Predictor`.

    Raises:
        CheckpointError: there is no such model or checkpoint, or it is damaged.
    """
    place = choose_device(device)
    checkpoint = read_checkpoint(checkpoint_path(model))
    return Predictor(fold(checkpoint.model), checkpoint.record, str(place), checkpoint.digest, size)


def choose_device(device: str | torch.device) -> torch.device:
    """The device of a name; "auto" is a GPU if there is one.

    Raises:
        ValueError: there is no such device, or this machine lacks it.
    """
    name = str(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        place = torch.device(name)
    except RuntimeError:
        place = None
    if place is None or place.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device '{plain_text(name, 40)}' is unknown; use 'cpu', 'cuda', 'mps' or 'auto'")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[place.type]
    if (place.index or 0) >= count:
        raise ValueError(f"device '{name}' is not available on this machine; use 'cpu' or 'auto'")
    return place


def device_title(device: torch.device) -> str:
    """The device's name for people."""
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    return "GPU (Apple)" if device.type == "mps" else f"CPU ({count_words(torch.get_num_threads(), 'thread')})"


def channel_means(result: Segmentation) -> AttendedFeatures:
    """The first image's block output and context, averaged over channels."""
    output, context = result.attended.features[0].mean(0), result.attended.context[0].mean(0)
    return AttendedFeatures("attended", (output.shape[0], output.shape[1]), output, context)


def classify(
    scores: Float[Tensor, "classes rows columns"], size: tuple[int, int], shares: bool = False
) -> tuple[UInt8[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Labels and confidence at the picture's own size, from bilinearly stretched logits.

    A band of rows at a time, so that a picture of many megapixels needs no more memory than a small one.

    Args:
        scores: logits, or softmax scores in [0, 1] where `shares` is true.
        size: the picture's (height, width).
        shares: whether the scores sum to 1 over the classes already.
    """
    height, width = size
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.float32)
    for top in range(0, height, ROWS_AT_ONCE):
        band = slice(top, min(top + ROWS_AT_ONCE, height))
        stretched = stretch_rows(scores, band, height)
        if stretched.shape[2] != width:
            stretched = F.interpolate(stretched, width, mode="linear")
        best, index = (stretched if shares else stretched.softmax(0)).max(0)
        labels[band], confidence[band] = index.to(torch.uint8).cpu().numpy(), best.float().cpu().numpy()
    return labels, confidence


def stretch_rows(logits: Tensor, band: slice, height: int) -> Float[Tensor, "classes band columns"]:
    """Rows `band` of the logits stretched to `height` rows, with half-pixel centres."""
    rows = logits.shape[1]
    if rows == height:
        return logits[:, band]
    at = (torch.arange(band.start, band.stop, device=logits.device) + 0.5) * rows / height - 0.5
    at = at.clamp(0, rows - 1)
    low = at.floor().long()
    return torch.lerp(logits[:, low], logits[:, (low + 1).clamp_max(rows - 1)], (at - low)[None, :, None])
