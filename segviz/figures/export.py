"""Figures as files: PNG at several sizes, SVG, PDF, NPZ and CSV, each with title, model, pixel and scale inside."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Literal, assert_never

import numpy as np

from segviz.figures.content import Bars, Classes, Heat, Matrix, Points, Scaled, Scatter, Strips, in_percent
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.matplotlib_backend import DOTS_PER_INCH, draw
from segviz.figures.overlay import legend
from segviz.figures.subplot import Subplot
from segviz.filenames import safe_name
from segviz.table import escape_formula
from segviz.text import plain_text

PICTURES, NUMBERS = ("png", "svg", "pdf"), ("npz", "csv")
FORMS = PICTURES + NUMBERS
SIZES = (1, 2, 4)
DOTS = 144  # dots per inch of a PNG at size 1: 475 pixels for one subplot, 994 for several
MOST_CSV_ROWS = 1_000_000
CSV_COLUMNS = ("model", "panel", "quantity", "number", "row", "column", "value")


def export(
    spec: FigureSpec,
    form: str,
    *,
    size: int = 1,
    width: float | None = None,
    letters: bool = False,
    caption: bool = True,
) -> bytes:
    """The bytes of a file; the same spec always gives the same bytes.

    Args:
        spec: the figure.
        form: "png", "svg" or "pdf" for the picture, "npz" or "csv" for the numbers behind it.
        size: size of a PNG: 1, 2 or 4 times 144 dots per inch.
        width: width in inches; by default 3.3 for a single column of subplots, 6.9 for more.
        letters: whether titles begin with a, b, c.
        caption: whether title, model, pixel and scale are drawn below; the file's metadata always has them.

    Raises:
        ValueError: the form or size is unknown, or a CSV would have more than a million rows.
    """
    if form not in FORMS:
        raise ValueError(f"file format '{form}' is unknown; use {', '.join(FORMS)}")
    if size not in SIZES:
        raise ValueError(f"size {size} is unknown; use {', '.join(map(str, SIZES))}")
    if form == "npz":
        return npz_bytes(spec)
    if form == "csv":
        return figure_csv(spec).encode()
    dots = DOTS * size if form == "png" else DOTS_PER_INCH
    buffer = io.BytesIO()
    draw(spec, width, letters=letters, caption=caption, dots=dots).savefig(buffer, format=form, dpi=dots)
    return buffer.getvalue()


# ---- numbers -----------------------------------------------------------------------------------------------


def npz_bytes(spec: FigureSpec) -> bytes:
    """An NPZ with the arrays, `title`, `models`, `places` (y, x), and `details` as JSON text."""
    places = np.array(spec.places, np.int64).reshape(-1, 2)
    details = {"title": np.array(spec.title), "models": np.array(spec.models, dtype=np.str_), "places": places}
    return pack_arrays({**spec.arrays(), **details, "details": np.array(json.dumps(spec.details()))})


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed NPZ of the arrays, without pickles."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{safe_name(name): values for name, values in arrays.items()})
    return buffer.getvalue()


def figure_csv(spec: FigureSpec) -> str:
    """A CSV of one value per line (see `CSV_COLUMNS`), below comment lines on the figure.

    Row and column are those of a map's grid, and empty elsewhere; the number is that of a class, a channel, a sample, a
    place or a dot. No two values have the same panel, quantity, number, row and column.
    `pandas.read_csv(file, comment="#")` reads it. Label maps are reduced to the share of each class.

    Raises:
        ValueError: the CSV would have more than a million rows.
    """
    listed = [subplot for subplot in spec.subplots if not isinstance(subplot.content, Classes)]
    count = sum(values.size for subplot in listed for values in subplot.arrays().values())
    if count > MOST_CSV_ROWS:
        raise ValueError(f"{count:,} values are too many for a CSV file, which holds {MOST_CSV_ROWS:,}; use NPZ")
    text = io.StringIO()
    for line in comment_lines(spec):
        text.write(f"# {escape_formula(line)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for panel, subplot in zip(spec.panel_names, spec.subplots, strict=True):
        model = escape_formula(subplot.model)
        for quantity, *where, value in cells(subplot):
            writer.writerow((model, panel, escape_formula(quantity), *where, value))
    return text.getvalue()


def comment_lines(spec: FigureSpec) -> Iterator[str]:
    """Yields the comment lines of a CSV, without the "#"."""
    yield f"title: {plain_text(spec.title)}"
    yield f"model: {' '.join(map(plain_text, spec.models))}"
    yield f"pixel: {' and '.join(f'y {y} x {x}' for y, x in spec.places)}"
    for panel, subplot in zip(spec.panel_names, spec.subplots, strict=True):
        if isinstance(subplot.content, Scaled):
            unit = subplot.content.unit + ", as a share; pictures show percent" * in_percent(subplot.content)
            scale = subplot.content.scale
            yield f"scale of {plain_text(panel)}: {scale.kind} from {scale.low:.6g} to {scale.high:.6g} ({unit})"


Index = int | Literal[""]
Cell = tuple[str, Index, Index, Index, float]


def cells(subplot: Subplot) -> Iterator[Cell]:
    """Yields the numbers of a subplot as (quantity, number, row, column, value)."""
    match subplot.content:
        case None:
            return
        case Heat(values=values, unit=unit) | Matrix(values=values, unit=unit):
            for (row, column), value in np.ndenumerate(values):
                yield unit, "", row, column, float(value)
        case Bars(values=values, unit=unit):
            for channel, value in enumerate(values):
                yield unit, channel, "", "", float(value)
        case Strips(weights=weights, names=names, unit=unit):
            for (place, strip), value in np.ndenumerate(weights):
                yield f"{unit} from {names[place]}", place, "", strip, float(value)
        case Scatter(dots=dots, across=across, up=up):
            for number, dot in enumerate(dots):
                yield f"{across} of {dot.name} ({dot.group})", number, "", "", dot.x
                yield f"{up} of {dot.name} ({dot.group})", number, "", "", dot.y
        case Points(at=at, weights=weights):
            for sample, (point, weight) in enumerate(zip(at, weights, strict=True)):
                for quantity, value in zip(("y", "x", "weight"), (*point, weight), strict=True):
                    yield quantity, sample, "", "", float(value)
        case Classes(labels=labels, class_set=class_set):
            for entry in legend(labels, class_set):
                yield f"share of {entry.name}", entry.index, "", "", entry.share
        case _:
            assert_never(subplot.content)
