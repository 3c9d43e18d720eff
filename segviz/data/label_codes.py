"""Label files whose values or colours are given by a data set, not by the order of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from segviz.data.classes import VOID, RgbColour
from segviz.data.label_png import decode_levels
from segviz.data.label_reading import LEVELS_NAMED, MOST_COLOURS, find_first
from segviz.image import ImageError
from segviz.text import pixels_text, plain_text

Values = UInt8[np.ndarray, " 256"]
LET_OTHERS_BE_VOID = 'or write "others": "void" into the class map'
OTHER_LABELS = "unpack the set's own labels again, or say in a class map what the ids are (--class-map FILE)"


@dataclass(frozen=True)
class LabelCodes:
    """Which class an id or a colour of a label file stands for; 255 is void.

    Attributes:
        ids: the class of each id, from 0 to 255; read from grey and palette PNGs, whatever the palette.
        colours: the class of each colour; read from RGB PNGs, and from palette PNGs where there are no ids.
        others_void: whether everything else is void, and not a fault.
        mapped: whether they are those of a class map, which a user can change.
    """

    ids: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[RgbColour, int] = field(default_factory=dict)
    others_void: bool = False
    mapped: bool = False

    def decode(self, data: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
        """Decode the bytes of a PNG.

        Args:
            data: the file's bytes: grey of up to 8 bits, palette, or RGB.
            size: the picture's (height, width), which the file must share.

        Raises:
            ImageError: the file is not a sound PNG, has another size, or holds an id or colour without a class; the
                message names the first few, each with its pixel count and first position.
        """
        levels = decode_levels(data, size)
        if levels.mode == "RGB" or (levels.mode == "P" and not self.ids):
            return self._decode_colours(levels.convert("RGB"))
        if not self.ids:
            raise ImageError("the file holds ids, but only colours are given to the classes; use RGB or palette PNGs")
        values = np.asarray(levels)
        return self.decode_ids(values)

    def decode_ids(self, values: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
        """The class of each pixel's id.

        Raises:
            ImageError: an id has no class.
        """
        unknown = np.flatnonzero(np.array(Image.fromarray(values).histogram()) * ~self._known)
        if len(unknown) and not self.others_void:
            raise ImageError(self._describe_ids(values, [int(one) for one in unknown]))
        return np.asarray(cv2.LUT(values, self._table))

    @cached_property
    def _table(self) -> Values:
        table = np.full(256, VOID, np.uint8)
        for number, index in self.ids.items():
            table[number] = index
        return table

    @cached_property
    def _known(self) -> np.ndarray:
        known = np.zeros(256, bool)
        known[list(self.ids)] = True
        return known

    def _decode_colours(self, levels: Image.Image) -> UInt8[np.ndarray, "height width"]:
        if not self.colours:
            raise ImageError("the file holds colours, but only ids are given to the classes; use grey or palette PNGs")
        found = levels.getcolors(MOST_COLOURS)
        if found is None:
            raise ImageError(
                f"it has more than {MOST_COLOURS:,} colours, as photographs have; labels need flat colours"
            )
        counts: dict[RgbColour, int] = {colour: count for count, colour in found}  # type: ignore[misc]
        pixels = np.asarray(levels)
        packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        unknown = [colour for colour in counts if colour not in self.colours]
        if unknown and not self.others_void:
            named = [
                f"#{bytes(colour).hex().upper()} ({pixels_text(counts[colour])}, first at {find_first(levels, colour)})"
                for colour in unknown[:LEVELS_NAMED]
            ]
            raise ImageError(
                f"no class has the colour{'s' if len(unknown) > 1 else ''} {join_unknown(named, len(unknown))}; "
                f'add each to "colours" of a class or to "void_colours", {LET_OTHERS_BE_VOID}'
            )
        labels = np.full(packed.shape, VOID, np.uint8)
        for red, green, blue in counts.keys() & self.colours.keys():
            labels[packed == (red << 16 | green << 8 | blue)] = self.colours[red, green, blue]
        return labels

    def _describe_ids(self, values: np.ndarray, unknown: list[int]) -> str:
        """Name the ids without a class, with their pixels, and the ids that have one."""
        named = [
            f"{one} ({pixels_text(int((values == one).sum()))}, first at {find_first(Image.fromarray(values), one)})"
            for one in unknown[:LEVELS_NAMED]
        ]
        cure = f'add each to "ids" of a class or to "void_ids", {LET_OTHERS_BE_VOID}' if self.mapped else OTHER_LABELS
        return (
            f"no class has the id{'s' if len(unknown) > 1 else ''} {join_unknown(named, len(unknown))}; "
            f"this set has the ids {list_ranges(self.ids)}, so {cure}"
        )


def join_unknown(named: list[str], count: int) -> str:
    """The first few unknown levels, and how many more there are."""
    return ", ".join(named) + (f" and {count - len(named)} more" if count > len(named) else "")


def list_ranges(numbers: Mapping[int, int]) -> str:
    """Whole numbers in words, neighbours together, such as "0 to 18, 255"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    texts = [f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]
    return plain_text(", ".join(texts), 120)
