"""Which class a pixel of a label file is: its value is an index, or its colour is a class's; refused where both fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from segviz.data.class_sets import voc_colour
from segviz.data.classes import VOID, VOID_COLOUR, ClassSet, RgbColour
from segviz.picture_files.errors import ImageError

LEVELS_NAMED = 3  # unknown values or colours in a message
MOST_COLOURS = 4096  # a file with more is a photograph
SEARCH_ROWS = 512  # rows searched at a time for an unknown value
Level = int | RgbColour  # a pixel of the file: a value or a colour
Reading = Literal[
    "class indices", "colours",
    "ADE20K's numbers (0 is void, 1 to 150 are the classes)",
    "Cityscapes label ids (34 ids, 19 of them classes)",
    "Cityscapes train ids (0 to 18 are the classes)",
    "PASCAL Context's numbers (0 is background, 1 to 59 are the classes by alphabet)",
]  # fmt: skip


@dataclass(frozen=True)
class LabelCode:
    """One way to read a file: the pixel count of each level, and the classes of the known levels."""

    reading: Reading
    counts: Mapping[Level, int]
    labels: Mapping[Level, int]

    @property
    def unknown(self) -> dict[Level, int]:
        """Pixel counts of the levels without a class, the largest first."""
        wrong = ((level, count) for level, count in self.counts.items() if level not in self.labels)
        return dict(sorted(wrong, key=lambda pair: -pair[1]))

    @property
    def classes(self) -> dict[Level, int]:
        """The class of each level in the file."""
        return {level: self.labels[level] for level in self.counts if level in self.labels}


def choose_code(levels: Image.Image, classes: ClassSet) -> LabelCode:
    """Choose how to read the pixels of a picture in mode "L" (indices), "RGB" (colours) or "P" (either).

    A palette is read by its colours if those of all pixels are classes' colours, and else by its indices. If both fit
    and differ, it is read by its colours if it holds no others, and by its indices if it is a usual colour map of
    labels, VOC's or shades of grey.

    Raises:
        ImageError: there are too many colours for labels, a level has no class, or both readings fit and neither is
            sure.
    """
    values: dict[Level, int] = {classes.void: VOID, VOID: VOID, **{index: index for index in range(len(classes.names))}}
    times = Counter([VOID_COLOUR, *classes.palette])  # a colour of two classes is neither's
    colours: dict[Level, int] = {VOID_COLOUR: VOID, **{colour: index for index, colour in enumerate(classes.palette)}}
    colours = {colour: index for colour, index in colours.items() if times[colour] == 1}  # type: ignore[index]
    histogram = levels.getcolors(MOST_COLOURS)
    if histogram is None:
        raise ImageError(
            f"it has more than {MOST_COLOURS:,} colours, as photographs and JPEG copies have; "
            "labels need one flat colour per class"
        )
    counts: dict[Level, int] = {level: count for count, level in histogram}  # type: ignore[misc]
    if levels.mode == "RGB":
        code = LabelCode("colours", counts, colours)
    elif levels.mode == "L":
        code = LabelCode("class indices", counts, values)
    else:
        by_colour = {level: colours[colour] for level in counts if (colour := colour_of(levels, level)) in colours}
        by_index = LabelCode("class indices", counts, values)
        code = choose_palette_code(levels, LabelCode("colours", counts, by_colour), by_index, colours)
    if code.unknown:
        raise ImageError(describe_unknown(levels, code, classes))
    return code


def choose_palette_code(
    levels: Image.Image, by_colour: LabelCode, by_index: LabelCode, colours: Mapping[Level, int]
) -> LabelCode:
    """Choose how to read a palette.

    Raises:
        ImageError: both readings fit and neither is sure.
    """
    entries = palette_colours(levels)
    used = [level for level in by_index.counts if isinstance(level, int)]
    foreign = any(colour not in colours for colour in entries)
    usual = any(all(colour_of(levels, level) == colour_map[level] for level in used) for colour_map in USUAL_MAPS)
    if foreign and usual and by_colour.classes != by_index.classes:
        return by_index
    if by_colour.unknown or by_index.unknown:
        return min(by_colour, by_index, key=lambda code: sum(code.unknown.values()))  # colours win a tie
    if by_colour.classes == by_index.classes or not (foreign or usual):
        return by_colour
    raise ImageError(
        "its palette can be read by its colours or by its indices, and the two differ; "
        "save class indices as 8-bit grey, or the classes' colours as RGB"
    )


def palette_colours(levels: Image.Image) -> Sequence[RgbColour]:
    """The colours of a palette."""
    flat = levels.getpalette("RGB") or []
    return list(zip(flat[::3], flat[1::3], flat[2::3], strict=False))


def colour_of(levels: Image.Image, level: Level) -> RgbColour:
    """The colour of a level; black beyond the end of the palette."""
    if isinstance(level, tuple):
        return level
    palette = palette_colours(levels)
    return palette[level] if level < len(palette) else VOID_COLOUR


# Pascal VOC's colour map, and shades of grey.
USUAL_MAPS: tuple[Sequence[RgbColour], ...] = (
    [voc_colour(index) for index in range(256)],
    [(index, index, index) for index in range(256)],
)


# ---- what is wrong ---------------------------------------------------------------------------------------


def describe_unknown(levels: Image.Image, code: LabelCode, classes: ClassSet) -> str:
    """Name the levels without a class, with their pixels, and the levels that are allowed."""
    unknown = code.unknown
    named = [
        f"{level_name(levels, code, level)} ({count:,} pixel{'s' if count > 1 else ''}, "
        f"first at {find_first(levels, level)})"
        for level, count in list(unknown.items())[:LEVELS_NAMED]
    ]
    more = f" and {len(unknown) - LEVELS_NAMED} more" if len(unknown) > LEVELS_NAMED else ""
    many = len(unknown) > 1
    if code.reading == "colours":
        colour = "colours" if many else "colour"
        return f"no class has the {colour} {', '.join(named)}{more}; use the classes' own colours, and black for void"
    return (
        f"no class has the {'indices' if many else 'index'} {', '.join(named)}{more}; "
        f"classes are 0 to {len(classes.names) - 1}, void is {classes.void}"
    )


def level_name(levels: Image.Image, code: LabelCode, level: Level) -> str:
    """A level as image editors show it."""
    return str(level) if code.reading == "class indices" else "#" + bytes(colour_of(levels, level)).hex().upper()


def find_first(levels: Image.Image, level: Level) -> str:
    """The first pixel with a level, row by row.

    Raises:
        ValueError: no pixel has it.
    """
    for top in range(0, levels.height, SEARCH_ROWS):
        band = np.asarray(levels.crop((0, top, levels.width, min(top + SEARCH_ROWS, levels.height))))
        hits = band == level if band.ndim == 2 else (band == level).all(2)
        if hits.any():
            y, x = divmod(int(hits.argmax()), levels.width)
            return f"x {x}, y {top + y}"
    raise ValueError(f"no pixel holds {level}")
