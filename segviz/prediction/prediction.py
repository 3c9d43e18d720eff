"""Prediction: a model's labels, confidence and maps of one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from segviz.attention.maps import AttendedFeatures, AttentionMap, ChannelMap, SpatialMap, cell_of_pixel
from segviz.attention.region import Region
from segviz.data.classes import ClassSet
from segviz.viewer.viewable import Viewable, choose_maps

if TYPE_CHECKING:
    from segviz.viewer.page_content import WebPage

Kind = TypeVar("Kind")
Place = tuple[int, int]  # an image pixel (y, x)


class Maps(Mapping[str, AttentionMap]):
    """The attention maps of a prediction by name; a wrong name is answered by the names that there are."""

    def __init__(self, model: str, maps: Mapping[str, AttentionMap]) -> None:
        self._model, self._maps = model, dict(maps)

    def __getitem__(self, name: str) -> AttentionMap:
        """The map of a name.

        Raises:
            KeyError: the model has no such map.
        """
        if name in self._maps:
            return self._maps[name]
        names = ", ".join(self._maps) or "none"
        raise KeyError(f"model '{self._model}' has no map '{name}'; its maps are {names}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    def __repr__(self) -> str:
        return f"Maps({', '.join(f'{name}: {type(one).__name__}' for name, one in self._maps.items())})"


@dataclass(frozen=True, eq=False, repr=False)
class CropView:
    """The crop of a picture that a prediction's maps belong to, as the network saw it.

    Attributes:
        region: where it is in the picture, in the picture's own pixels; it reaches beyond a picture that was padded.
        image: its pixels, with the network's mean colour where the picture was padded.
        labels: its pixels' classes, averaged over all crops.
        confidence: the averaged score of the winning class, in [0, 1].
        regions: all crops that were slid over the picture, row by row, in its own pixels.
    """

    region: Region
    image: UInt8[np.ndarray, "rows columns 3"]
    labels: UInt8[np.ndarray, "rows columns"]
    confidence: Float[np.ndarray, "rows columns"]
    regions: tuple[Region, ...]

    def pixel(self, place: Place) -> Place:
        """The crop's pixel (y, x) of a pixel of the picture.

        Raises:
            ValueError: it lies outside the crop.
        """
        if place not in self.region:
            raise ValueError(
                f"pixel {place} lies outside the crop whose maps these are ({self.region}); predict with place=(y, x)"
            )
        sides = zip(place, (self.region.top, self.region.left), self._scales, self.labels.shape, strict=True)
        y, x = (min(int((at - first + 0.5) * scale), length - 1) for at, first, scale, length in sides)
        return y, x

    def place(self, pixel: Place) -> Place:
        """The picture's pixel (y, x) of a pixel of the crop; it may lie in the padding."""
        sides = zip(pixel, (self.region.top, self.region.left), self._scales, strict=True)
        y, x = (first + int((at + 0.5) / scale) for at, first, scale in sides)
        return y, x

    @property
    def _scales(self) -> tuple[float, float]:
        """Pixels of the crop for one of the picture."""
        return self.labels.shape[0] / self.region.height, self.labels.shape[1] / self.region.width

    def __str__(self) -> str:
        """Which crop it is, in words."""
        return f"the maps are those of one of its {len(self.regions)} crops, {self.region}"


@dataclass(frozen=True, repr=False)
class Prediction(Viewable):
    """A model's labels, confidence and maps of one picture. A notebook shows it as the live viewer; `save` writes that.

    Labels and confidence are NumPy arrays, as files and figures need them; maps are and return torch tensors on the
    CPU, as the blocks made them. `tensor.numpy()` gives an array that shares the tensor's memory.

    Attributes:
        model: the model's name.
        labels: class indices at the picture's own size.
        confidence: the softmax of the winning class, in [0, 1].
        class_set: names and colours of the classes.
        maps: the attention maps by name; none for `fcn`.
        attended: channel means of the block's output and context.
        image: the picture as the model saw it, at most 1024 x 2048 pixels, for `show`; None if it was not kept.
        worth: what the context of the model's block is worth, in words; "" where it is not known.
        crop: the crop that the maps and `attended` belong to; None where the network saw the whole picture.
        picture: the name of the picture's file; "" where it was not given as a path.
    """

    model: str
    labels: UInt8[np.ndarray, "height width"]
    confidence: Float[np.ndarray, "height width"]
    class_set: ClassSet
    maps: Mapping[str, AttentionMap]
    attended: AttendedFeatures
    image: UInt8[np.ndarray, "rows columns 3"] | None = None
    worth: str = ""
    crop: CropView | None = None
    picture: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", Maps(self.model, self.maps))

    def __repr__(self) -> str:
        height, width = self.labels.shape
        names = ", ".join(self.maps) or "none"
        of_crop = f" of {self.crop.region}" if self.crop is not None else ""
        return (
            f"Prediction({self.model}, {width} x {height} pixels, {len(self.classes)} classes, maps{of_crop}: {names})"
        )

    @property
    def region(self) -> Region | None:
        """The part of the picture that the maps belong to, in its pixels; None for all of it."""
        return None if self.crop is None else self.crop.region

    @property
    def seen_size(self) -> tuple[int, int] | None:
        """The (height, width) at which the model saw the whole picture; None where it saw crops, or kept no picture."""
        return None if self.image is None or self.crop is not None else (self.image.shape[0], self.image.shape[1])

    def of_crop(self) -> Prediction:
        """The part of this prediction that its maps belong to: labels, confidence and picture of the crop.

        Maps, figures and pixels then share the crop's own coordinates. Without crops, it is the prediction itself.
        """
        if self.crop is None:
            return self
        one = self.crop
        return replace(self, labels=one.labels, confidence=one.confidence, image=one.image, crop=None)

    def map_of(self, kind: type[Kind], name: str) -> Kind:
        """The map of a name and kind.

        Raises:
            KeyError: the model has no map of that name and kind.
        """
        attention = self.maps.get(name)
        if not isinstance(attention, kind):
            raise KeyError(f"model '{self.model}' has no {kind.__name__} '{name}'; its maps are {list(self.maps)}")
        return attention

    @property
    def spatial_maps(self) -> tuple[SpatialMap, ...]:
        """The maps that give weights to places."""
        return tuple(one for one in self.maps.values() if isinstance(one, SpatialMap))

    @property
    def channel_maps(self) -> tuple[ChannelMap, ...]:
        """The maps that relate or weigh channels."""
        return tuple(one for one in self.maps.values() if not isinstance(one, SpatialMap))

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

        PSA works on a shrunk grid of its own; ask its maps: `maps["collect"].cell(y, x, height, width)`. Where the maps
        are of a crop, `of_crop` has its pixels.

        Raises:
            ValueError: the pixel lies outside the picture, or outside the crop.
        """
        if self.crop is not None:
            return self.of_crop().cell(*self.crop.pixel((y, x)))
        height, width = self.labels.shape
        return cell_of_pixel(y, x, (height, width), self.attended.grid)

    def web_page(self, maps: str | Sequence[str] | None = None, title: str = "", picture: str = "") -> WebPage:
        """The page that `save` writes: the predicted classes, and the maps over places.

        Raises:
            ValueError: a pattern fits no map, or the prediction carries no picture.
        """
        from segviz.viewer.page_of_panels import page_of_panels
        from segviz.viewer.panels_of_maps import labels_panel, panels_of_features, panels_of_map

        if self.image is None:
            raise ValueError("this prediction carries no picture, so it cannot be drawn; predict again")
        if self.crop is not None:
            part = replace(self.of_crop(), worth=" ".join(filter(None, (self.worth, f"Shown is a crop: {self.crop}."))))
            return part.web_page(maps, title, picture)
        panels = [labels_panel(self.labels, self.class_set, "Prediction", model=self.model)]
        for name in choose_maps(tuple(self.maps), maps):
            panels += panels_of_map(self.maps[name], self.model)
        if not self.spatial_maps:
            panels += panels_of_features(self.attended, bool(self.maps), model=self.model)
        size = self.labels.shape[0], self.labels.shape[1]
        return page_of_panels(
            self.model,
            self.image,
            size,
            panels,
            title=title,
            picture=picture or self.picture,
            caveats=(self.worth,),
        )
