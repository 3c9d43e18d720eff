"""What a page that stands alone shows: a picture, panels and words; its maps, packed, and not larger than needed."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import UInt8

from segviz.viewer.display import Display
from segviz.viewer.pack_map import identity_of, pack_map
from segviz.viewer.panel import LabelMap, Panel, PanelMap, Pin, ShareMap
from segviz.viewer.view import ZoomedView

MOST_PIXELS = 1024 * 2048  # larger pictures, labels and shares are scaled down to so many


@dataclass(frozen=True)
class WebPage:
    """What a page shows.

    Attributes:
        title: the heading, and the name of the browser's tab.
        sentence: what is seen, in one plain sentence.
        facts: names and values that stand below the heading, such as the picture's name and the model's.
        caveats: what a reader should know about the maps, a sentence each.
        image: the picture.
        size: the (height, width) in which pixels are counted; the picture itself may be scaled down.
        panels: what is shown over it.
        pins: the points to begin with.
        display: the settings to begin with.
        view: the zoom to begin with; None for the whole picture.
        columns: how many panels stand side by side where there is room.
        rest: the pixel (y, x) whose maps are shown first, where there are no pins; None for the middle.
        first: what is said of that pixel, until the reader points or pins.
        pin_rows: whether each pinned point gets the maps once more, in a row of its own.
        advice: how to make the page smaller, as the end of an error.
        details: lines of text that stand folded at the end, such as a table of what was found.
    """

    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    caveats: tuple[str, ...]
    image: UInt8[np.ndarray, "rows columns 3"]
    size: tuple[int, int]
    panels: tuple[Panel, ...]
    pins: tuple[Pin, ...] = ()
    display: Display = field(default_factory=Display)
    view: ZoomedView | None = None
    columns: int = 2
    rest: tuple[int, int] | None = None
    first: str = ""
    pin_rows: bool = True
    advice: str = "choose fewer panels, or allow a larger file"
    details: str = ""


@dataclass(frozen=True)
class PackedMaps:
    """A page's maps as text, each once.

    Attributes:
        names: the name of each map in the page, by the identity of its arrays.
        texts: compressed bytes as base64, by name.
    """

    names: dict[int, str]
    texts: dict[str, str]

    def name_of(self, value: PanelMap) -> str:
        """The name of a map in the page."""
        return self.names[id(identity_of(value))]


def pack_maps(panels: Sequence[Panel], known: dict[int, str] | None = None) -> PackedMaps:
    """The maps of panels, without those that are known."""
    before = known or {}
    names: dict[int, str] = {}
    texts: dict[str, str] = {}
    for panel in panels:
        for one in (panel, *(panel.sides or ())):
            if one.map is None:
                continue
            key = id(identity_of(one.map))
            if key in before or key in names:
                continue
            names[key] = f"map-{len(before) + len(names) + 1}"
            texts[names[key]] = base64.b64encode(gzip.compress(pack_map(one.map), 6, mtime=0)).decode("ascii")
    return PackedMaps(names, texts)


def shrink_pixels(page: WebPage) -> WebPage:
    """The page with picture, labels and shares of at most `MOST_PIXELS`; pixels are counted as before."""
    height, width = page.size
    ratio = (MOST_PIXELS / (height * width)) ** 0.5
    if ratio >= 1:
        return page
    small = max(1, int(height * ratio)), max(1, int(width * ratio))
    known: dict[int, PanelMap] = {}

    def shrink(panel: Panel) -> Panel:
        sides = None if panel.sides is None else (shrink(panel.sides[0]), shrink(panel.sides[1]))
        return replace(panel, map=None if panel.map is None else shrink_map(panel.map, small, known), sides=sides)

    image = page.image if page.image.shape[0] * page.image.shape[1] <= MOST_PIXELS else resize_pixels(page.image, small)
    return replace(page, image=image, panels=tuple(shrink(panel) for panel in page.panels))


def shrink_map(value: PanelMap, size: tuple[int, int], known: dict[int, PanelMap]) -> PanelMap:
    """Labels or shares of a smaller size, made once; any other map itself."""
    if not isinstance(value, LabelMap | ShareMap):
        return value
    key = id(identity_of(value))
    if key not in known:
        if isinstance(value, LabelMap):
            known[key] = replace(value, labels=resize_pixels(value.labels, size))
        else:
            known[key] = ShareMap(resize_pixels(value.shares, size))
    return known[key]


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture's mean colours at a smaller size; of labels and shares, one pixel's value each."""
    method = cv2.INTER_AREA if pixels.ndim == 3 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=method))
