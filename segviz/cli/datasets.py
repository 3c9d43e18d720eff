"""`datasets`: what a folder of pictures and labels is, and all that is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segviz.data.data_set import DataSet
from segviz.data.open_data_set import open_data_set
from segviz.data.readers.table import READERS
from segviz.data.sample import DataError, LazySamples, count_pixels, list_first
from segviz.data.split_scan import scan_split
from segviz.runtime.progress import progress_bar
from segviz.text import count_words, format_percent, format_table, plain_text, size_text

SIZES_LISTED = 3
CLASSES_LISTED = 8
LINE_LENGTH = 1000  # characters of a fault


@dataclass(frozen=True)
class SplitReport:
    """What was found in one split.

    Attributes:
        name: the split's.
        pictures: the samples that its list or folder names.
        sound: the samples whose files are all there and can be used.
        labelled: whether it has labels; a test split may have none.
        sizes: how often each size occurs among the sound ones.
        pixels: of each class.
        faults: all that is wrong, in sentences.
    """

    name: str
    pictures: int
    sound: int
    labelled: bool
    sizes: Counter[tuple[int, int]]
    pixels: np.ndarray
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The values for JSON."""
        return {
            "pictures": self.pictures,
            "sound": self.sound,
            "labelled": self.labelled,
            "sizes": {size_text(size): count for size, count in self.sizes.most_common()},
            "pixels": [int(count) for count in self.pixels],
            "faults": list(self.faults),
        }


def run_datasets(options: argparse.Namespace) -> int:
    """Read every file of a data set once, and say what is there and what is wrong; returns 1 if anything is.

    Raises:
        DataError: the folder is no data set, or lacks a split.
    """
    data = open_data_set(options.folder, options.class_map)
    for name in options.split or ():
        if not set(name.split("+")) <= set(data.splits):
            data.list_files(name)  # refuses a split that is not there, before any file is read
    reports = [report_split(data, name) for name in options.split or data.splits]
    if not reports:
        raise DataError(f"{data.root} has no split; {title_of_layout(data)} needs {READERS['segviz'].folders}")
    if options.json:
        print(json.dumps(describe_data(data, reports), indent=2))
    else:
        print(format_report(data, reports))
    for one in reports:
        shown = list_first(one.faults) if not options.json else ()
        for fault in shown:
            print(f"segviz: {one.name}: {plain_text(fault, LINE_LENGTH)}", file=sys.stderr)
    wrong = [one for one in reports if one.faults]
    can_skip = all(0 < one.sound < one.pictures for one in wrong)
    if wrong and can_skip and (options.skip_damaged or not options.json):
        left = ", ".join(f"{one.sound:,} of {one.pictures:,} in {one.name}" for one in wrong)
        print(f"segviz: with --skip-damaged, `train` and `evaluate` use {left}", file=sys.stderr)
    return 1 if wrong and not (can_skip and options.skip_damaged) else 0


def report_split(data: DataSet, name: str) -> SplitReport:
    """Read a split's files once; what is wrong goes into the report."""
    nothing = np.zeros(len(data.classes.names), np.int64)
    try:
        listing = data.list_files(name)
    except DataError as fault:
        return SplitReport(name, 0, 0, False, Counter(), nothing, (str(fault),))
    count = len(listing.files) + listing.missing
    if any(one.labels is None for one in listing.files):
        return SplitReport(name, count, len(listing.files), False, Counter(), nothing, listing.faults)
    scan = scan_split(data, name, listing.files, 0, progress_bar)
    sizes = Counter(scan.samples.sizes if isinstance(scan.samples, LazySamples) else ())
    pixels = count_pixels(scan.samples, len(nothing)).sum(0) if len(scan.samples) else nothing
    faults = (*listing.faults, *scan.faults)
    if len(scan.samples) and not pixels.any():
        faults = (*faults, "every pixel is void; give the labels classes, or use a class map")
    return SplitReport(name, count, len(scan.samples), True, sizes, pixels, faults)


def title_of_layout(data: DataSet) -> str:
    """The layout's title."""
    return READERS[data.layout].title if data.layout in READERS else f"a folder with a {data.layout}"


def format_report(data: DataSet, reports: Sequence[SplitReport]) -> str:
    """What was found, as text: the set, its splits, and its classes."""
    classes = count_words(len(data.classes.names), "class", "classes")
    lines = [f"{data.root}: {title_of_layout(data)}, {classes}", f"Labels: {data.label_form}."]
    if data.server:
        lines.append(f"Test server: predict --server-format {data.server}")
    lines += [f"Note: {note}." for note in data.notes]
    rows = [
        [one.name, f"{one.pictures:,}", f"{one.sound:,}" if one.labelled else "no labels", list_sizes(one.sizes)]
        for one in reports
    ]
    lines += ["", format_table(["split", "pictures", "sound", "sizes"], rows), ""]
    scored = [one for one in reports if one.pixels.any()]
    heads = ["index", "class", "colour", *(f"{one.name}, %" for one in scored)]
    shares = [one.pixels / one.pixels.sum() for one in scored]
    table = [
        [str(at), name, "#" + bytes(colour).hex().upper(), *(format_percent(float(share[at])) for share in shares)]
        for at, (name, colour) in enumerate(zip(data.classes.names, data.classes.palette, strict=True))
    ]
    lines.append(format_table(heads, table))
    for one in scored:
        if absent := [name for name, count in zip(data.classes.names, one.pixels, strict=True) if not count]:
            lines.append(f"Classes without a pixel in {one.name}: {list_absent(absent, len(one.pixels))}.")
    return "\n".join(lines)


def list_absent(absent: Sequence[str], classes: int) -> str:
    """The classes without a pixel; their number too, and the first few, if there are many."""
    if len(absent) <= CLASSES_LISTED:
        return ", ".join(absent)
    return f"{len(absent)} of {classes} classes, such as {', '.join(absent[:CLASSES_LISTED])}"


def list_sizes(sizes: Counter[tuple[int, int]]) -> str:
    """The commonest sizes, width first, and how many others there are."""
    named = [f"{size_text(size)} ({count:,})" if len(sizes) > 1 else size_text(size)
             for size, count in sizes.most_common(SIZES_LISTED)]  # fmt: skip
    more = f" and {len(sizes) - SIZES_LISTED:,} other sizes" if len(sizes) > SIZES_LISTED else ""
    return (", ".join(named) + more) or "-"


def describe_data(data: DataSet, reports: Sequence[SplitReport]) -> dict[str, Any]:
    """The values of `--json`."""
    return {
        "folder": str(data.root),
        "layout": data.layout,
        "title": title_of_layout(data),
        "labels": data.label_form,
        "server_format": data.server,
        "notes": list(data.notes),
        "classes": [
            {"name": name, "colour": "#" + bytes(colour).hex().upper()}
            for name, colour in zip(data.classes.names, data.classes.palette, strict=True)
        ],
        "splits": {one.name: one.as_dict() for one in reports},
    }
