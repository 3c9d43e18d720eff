"""Predictor: a picture in, labels, confidence and attention maps out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from segviz.attention import AttendedFeatures, AttentionMap, CrissCrossAttention, cell_of_pixel, detached
from segviz.checkpoint import checkpoint_path, load
from segviz.data.classes import ClassSet, class_set
from segviz.image import ImageLike, as_rgb, resized, to_tensor, working_size
from segviz.keeping import to_keep
from segviz.models.folding import folded
from segviz.models.segmenter import Segmentation, Segmenter
from segviz.record import Record

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

Kind = TypeVar("Kind")
Place = tuple[int, int]  # an image pixel (y, x)
ROWS_AT_ONCE = 256  # of a large picture's logits


@dataclass(frozen=True)
class Prediction:
    """What a model made of one picture.

    Attributes:
        model: its name.
        labels: class indices at the picture's own size.
        confidence: the softmax of the winning class, in [0, 1].
        class_set: names and colours of the classes.
        maps: the attention maps by name; none for `fcn`.
        attended: channel means of the block's output and context.
        image: the picture as the model saw it, at most 1024 pixels a side, for `show`; None where it was not kept.
    """

    model: str
    labels: UInt8[np.ndarray, "height width"]
    confidence: Float[np.ndarray, "height width"]
    class_set: ClassSet
    maps: Mapping[str, AttentionMap]
    attended: AttendedFeatures
    image: UInt8[np.ndarray, "rows columns 3"] | None = None

    def show(
        self,
        name: str = "labels",
        at: Place | Sequence[Place] | None = None,
        *,
        look: Literal["from", "by", "strip", "points"] | None = None,
        scale: Literal["linear", "log", "percentile"] = "linear",
        colours: str = "viridis",
        image: ImageLike | None = None,
        backend: Literal["plotly", "matplotlib"] = "plotly",
    ) -> go.Figure | Figure:
        """A figure for a notebook: the classes over the picture, or a map as pixels see it.

        Args:
            name: "labels", "confidence", "output" or "context" (the block's channel means), or a name in `maps`.
            at: the pixel (y, x) of the picture, or several, which then share one scale; by default the innermost
                pixel of the largest class.
            look: "from" is what the pixel draws from each place, "by" what each draws from it, "strip" how much each
                reads its strip, "points" the places that it samples; by default what the map's own page shows first.
            scale: linear from 0, logarithmic over three decades, or from the 1st to the 99th percentile.
            colours: "viridis", "cividis", "magma" or "gray".
            image: the picture, to draw on it at its own size; by default as the model saw it.
            backend: "plotly" is interactive, "matplotlib" for print; both show themselves in a notebook.

        Raises:
            KeyError: the model has no map of that name.
            ValueError: a pixel lies outside the picture, or the map cannot be looked at so.
            ImageError: the picture cannot be used, or is not the one that was predicted on.
        """
        from segviz.views.prediction import shown_sheet

        sheet = shown_sheet(self, name, at, look, scale, colours, None if image is None else as_rgb(image))
        if backend == "matplotlib":
            from segviz.views.drawing import draw

            return draw(sheet, caption=False)
        from segviz.views.interactive import interactive

        return interactive(sheet)

    def map_of(self, kind: type[Kind], name: str) -> Kind:
        """A map by name, of the kind that is expected.

        Raises:
            KeyError: the model has no map of that name and kind.
        """
        found = self.maps.get(name)
        if not isinstance(found, kind):
            raise KeyError(f"model '{self.model}' has no {kind.__name__} '{name}'; its maps are {list(self.maps)}")
        return found

    def has(self, part: object) -> bool:
        """Whether something is a part of it, the very same object: a map, the labels, the confidence, the features."""
        passes = (one.last_pass for one in self.maps.values() if isinstance(one, CrissCrossAttention))
        parts = (self.labels, self.confidence, self.attended, *self.maps.values(), *passes)
        return any(part is one for one in parts)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.class_set.names

    @property
    def palette(self) -> UInt8[np.ndarray, "classes 3"]:
        """The RGB colour of each class."""
        return self.class_set.colours

    def cell(self, y: int, x: int) -> tuple[int, int]:
        """The cell of the block's feature grid that covers an image pixel.

        PSA works on a shrunk grid of its own: ask its maps with `maps["collect"].cell(y, x, height, width)`.
        """
        height, width = self.labels.shape
        return cell_of_pixel(y, x, (height, width), self.attended.grid)


class Predictor:
    """A trained model, ready for pictures. Calls share nothing, so threads may call it at once.

    Args:
        model: the network; it is put into eval mode on the device.
        record: how it was made.
        device: "auto" takes a GPU where there is one.
    """

    def __init__(self, model: Segmenter, record: Record, device: str = "auto") -> None:
        self.device = choose_device(device)
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.record = record

    def __call__(self, image: ImageLike, shrink: int = 1) -> Prediction:
        """Segment a picture and keep what the block attended to.

        Args:
            image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
            shrink: divides the sides that the model sees the picture at; the labels keep the picture's own size.

        Raises:
            ImageError: the picture cannot be used.
        """
        picture = as_rgb(image)
        size = (picture.shape[0], picture.shape[1])
        with torch.inference_mode():
            seen = resized(picture, working_size(*size, shrink))
            result = self.model(to_tensor(seen, self.device))
            labels, confidence = classified(result.logits[0], size)
            maps = {one.name: one for one in detached(result.attended.maps[0])}
            attended: AttendedFeatures = detached([channel_means(result)])[0]
        classes = class_set(self.record.classes)
        return Prediction(
            self.record.model,
            to_keep(labels),
            to_keep(confidence),
            classes,
            MappingProxyType(maps),
            attended,
            image=to_keep(seen),
        )


def load_predictor(model: str | Path, device: str = "auto") -> Predictor:
    """A bundled model by name, or any checkpoint by path.

    Raises:
        CheckpointError: there is no such model or checkpoint, or it is damaged.
    """
    network, record = load(checkpoint_path(model))
    return Predictor(folded(network), record, device)


def choose_device(device: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one.

    Raises:
        ValueError: the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device '{device}' is not available on this machine; use 'cpu' or 'auto'")
    return torch.device(device)


def device_title(device: torch.device) -> str:
    """The device in words, for people."""
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    return "GPU (Apple)" if device.type == "mps" else f"CPU ({torch.get_num_threads()} threads)"


def channel_means(result: Segmentation) -> AttendedFeatures:
    """The first image's block output and context, averaged over channels."""
    output, context = result.attended.features[0].mean(0), result.attended.context[0].mean(0)
    return AttendedFeatures("attended", (output.shape[0], output.shape[1]), output, context)


def classified(
    logits: Float[Tensor, "classes rows columns"], size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Labels and confidence at the picture's own size, from bilinearly stretched logits.

    A band of rows at a time, so that a picture of many megapixels needs no more memory than a small one.
    """
    height, width = size
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.float32)
    for top in range(0, height, ROWS_AT_ONCE):
        band = slice(top, min(top + ROWS_AT_ONCE, height))
        stretched = stretch_rows(logits, band, height)
        if stretched.shape[2] != width:
            stretched = F.interpolate(stretched, width, mode="linear")
        best, index = stretched.softmax(0).max(0)
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
