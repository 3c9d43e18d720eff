"""AttaNet Fig. 1: speed against mIoU, measured networks beside the paper's own points."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from segviz.catalogue.bundled import available_models
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.location import checkpoint_path
from segviz.catalogue.record import VAL, Record
from segviz.figures.content import Dot, Scatter
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.matplotlib_backend import Drawing, draw
from segviz.figures.subplot import Subplot
from segviz.figures.subplot_rows import free_name
from segviz.models.registry import own_body, read_options, resolve_network
from segviz.text import plain_text

SPEED_FIGURE = "atta-1"
OURS = "measured here"
ATTANET_GROUP = "AttaNet (paper: Cityscapes test, GTX 1080Ti, 512 x 1024)"
OTHERS = "others (paper: Cityscapes test)"  # it says of its own method alone where it was timed
OWN_COLOURS = ("#0072B2", "#009E73", "#E69F00", "#CC79A7")  # one for each data set, machine and definition
COLOURS: Mapping[str, str] = MappingProxyType({ATTANET_GROUP: "#D62728", OTHERS: "#8C8C8C"})
# AttaNet, Table 1: mIoU on Cityscapes' test set in percent, frames per second; * is the paper's dagger, TensorRT.
# The first AttaNet's backbone is a dash there, and in the text "only eight convolution layers".
PAPER_POINTS = (
    ("ICNet", 69.5, 34.0), ("BiSeNetV1 A", 68.4, 105.8), ("SwiftNet", 75.5, 39.9), ("SwiftNet-ens", 76.5, 18.4),
    ("DFANet A", 71.3, 100.0), ("DFANet A'", 70.3, 160.0), ("DFANet B", 67.1, 120.0), ("DF1-Seg*", 73.0, 80.8),
    ("DF2-Seg*", 74.8, 55.0), ("CellNet", 70.5, 108.0), ("BiSeNetV2*", 72.6, 156.0), ("BiSeNetV2*", 75.8, 47.3),
    ("SFNet (DF1)", 74.5, 74.0), ("SFNet (DF2)", 77.8, 53.0), ("SFNet (ResNet18)", 78.9, 18.0),
    ("SFNet (ResNet18), Mapillary", 80.4, 18.0), ("FANet-18", 74.4, 72.0), ("FANet-34", 75.5, 58.0),
    ("AttaNet (eight layers)", 70.1, 180.0), ("AttaNet (ResNet18)", 78.5, 130.0), ("AttaNet (DF2)", 79.9, 71.0),
)  # fmt: skip
PAPER_NOTE = (
    "the paper's: Cityscapes test, AttaNet on a GTX 1080Ti, 1024 x 2048 resized to 512 x 1024; "
    "* with TensorRT (AttaNet, Table 1)"
)


class BenchError(ValueError):
    """A file is not the JSON of `bench models`, or none of its rows has a score."""


def speed_figure(
    benches: Sequence[str | Path], models: Sequence[str | Path] | None = None, width: float = 6.9, caption: bool = True
) -> Drawing:
    """AttaNet Fig. 1 as a matplotlib figure.

    Args:
        benches: files of `bench models --json`, with frames per second.
        models: names or checkpoints whose records have the mIoU; all bundled ones by default.
        width: width in inches.
        caption: whether the title and what was measured are written below.

    Raises:
        BenchError: a file is not such a benchmark, or no row has a score.
        CheckpointError: there is no such model or checkpoint, or it is damaged.
    """
    return draw(speed_spec(benches, models), width, caption=caption)


def speed_spec(benches: Sequence[str | Path], models: Sequence[str | Path] | None = None) -> FigureSpec:
    """The spec of AttaNet Fig. 1; see `speed_figure`.

    Raises:
        BenchError: as in `speed_figure`.
    """
    records = dict[str, Record]()
    for model in available_models() if models is None else models:
        records[free_name(Path(str(model)).stem, records)] = read_record(checkpoint_path(model))
    notes: dict[str, None] = {}
    dots = [dot for path in benches for dot in measured_dots(Path(path), records, notes)]
    if not dots:
        raise BenchError("no network of the benchmark has a record with a val score; name checkpoints with --models")
    published = [
        Dot(name, speed, miou, ATTANET_GROUP if name.startswith("AttaNet") else OTHERS)
        for name, miou, speed in PAPER_POINTS
    ]
    own = dict(zip(dict.fromkeys(dot.group for dot in dots), itertools.cycle(OWN_COLOURS), strict=False))
    chart = Scatter((*dots, *published), "frames per second", "mIoU, %", {**own, **COLOURS})
    blank = np.full((1, 1, 3), 255, np.uint8)  # the chart stands in the picture's place
    subplot = Subplot("", blank, chart, "speed_and_miou")
    note = "; ".join([*notes, PAPER_NOTE])
    return FigureSpec("Speed against mIoU, after AttaNet Fig. 1", ((subplot,),), note=note)


def measured_dots(path: Path, records: Mapping[str, Record], notes: dict[str, None]) -> Iterator[Dot]:
    """Yields a dot for each record of a network that a benchmark measured; what was measured is added to the notes.

    Raises:
        BenchError: the file is not the JSON of `bench models`.
    """
    bench = read_bench(path)
    machine = bench["machine"]
    for row in bench["rows"]:
        speed, place = speed_of(row, path), machine.get("GPU" if row["device"] == "cuda" else "CPU", row["device"])
        for name, record in records.items():
            scores = record.evaluations.get(VAL)
            if scores is not None and row_fits(row, record):
                what = row.get("definition") or "picture to labels"
                where = f"{plain_text(scores.data)}, {plain_text(str(place))}, {plain_text(str(what))}"
                notes[f"measured: {where}"] = None
                yield Dot(name, speed, 100 * scores.miou, f"{OURS}: {where}")


def row_fits(row: Mapping[str, Any], record: Record) -> bool:
    """Whether a benchmark's row measured the network of a record: with the same options, and on the network's own body.

    `bench models` measures each network on that.
    """
    if row["model"] != record.model or (record.backbone, record.output_stride) != own_body(record.model):
        return False
    given = read_options(record.model, str(row.get("options") or "").split())
    return resolve_network(record.model, given) == resolve_network(record.model, record.options)


def speed_of(row: Mapping[str, Any], path: Path) -> float:
    """Frames per second of a row.

    Raises:
        BenchError: it was counted alone, and not timed.
    """
    if "fps" in row:
        return float(row["fps"])
    if "median_ms" in row:
        return 1000 / float(row["median_ms"])
    raise BenchError(f"{plain_text(str(path))} has operations and no times; run `bench models` without --count")


def read_bench(path: Path) -> dict[str, Any]:
    """A benchmark from its file.

    Raises:
        BenchError: the file is not the JSON of `bench models`; it may be empty or hold its error.
        OSError: it cannot be read.
    """
    data, again = path.read_bytes(), "run `bench models --json > FILE` again and look at what it says"
    if not data.strip():
        raise BenchError(f"{plain_text(str(path))} is empty, so the benchmark did not end; {again}")
    if data.lstrip().startswith(b"segviz: "):
        said = plain_text(data.strip().splitlines()[0].decode(errors="replace").removeprefix("segviz: "), 120)
        raise BenchError(f"{plain_text(str(path))} holds the error '{said}' in place of a benchmark; {again}")
    try:
        bench = json.loads(data)
        rows = bench["rows"] if bench["subject"] == "models" and isinstance(bench["machine"], dict) else None
    except (ValueError, KeyError, TypeError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"model", "device"} <= set(row) for row in rows):
        raise BenchError(f"{plain_text(str(path))} is not a benchmark; write one with `bench models --json > FILE`")
    return bench  # type: ignore[no-any-return]
