"""AttaNet Fig. 1: speed against mIoU, measured networks beside the paper's own points."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from segviz.catalogue.bundled import available_models
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.location import checkpoint_path
from segviz.catalogue.record import VAL, Evaluation, Record
from segviz.figures.content import Dot, Scatter
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.matplotlib_backend import Drawing, draw
from segviz.figures.subplot import Subplot
from segviz.figures.subplot_rows import free_name
from segviz.models.registry import own_body, read_options, resolve_network
from segviz.text import join_with_commas, plain_text

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
    """A file is not the JSON of `bench models`, or none of its rows has a record with a score."""


@dataclass(frozen=True)
class Speed:
    """A row of `bench models`.

    Attributes:
        model: the network's name.
        options: its options, as `NAME=VALUE`.
        fps: frames per second.
        place: the machine's part that it ran on.
        definition: what was timed.
        sees: the (height, width) at which the network saw pictures; None of older benchmarks.
    """

    model: str
    options: tuple[str, ...]
    fps: float
    place: str
    definition: str
    sees: tuple[int, int] | None


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


def speed_spec(
    benches: Sequence[str | Path],
    models: Sequence[str | Path] | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> FigureSpec:
    """The spec of AttaNet Fig. 1.

    Args:
        benches: as in `speed_figure`.
        models: as in `speed_figure`.
        tell: called with a sentence on what is left out, if there is anything.

    Raises:
        BenchError: as in `speed_figure`.
    """
    records = dict[str, Record]()
    for model in available_models() if models is None else models:
        records[free_name(Path(str(model)).stem, records)] = read_record(checkpoint_path(model))
    speeds = [speed for path in benches for speed in read_speeds(Path(path))]
    dots = [dot for speed in speeds for dot in measured_dots(speed, records)]
    left_out = "; ".join(describe_left_out(speeds, records, bool(models)))
    if not dots:
        cure = "name checkpoints with a val score, of the options and body that were measured, with --models"
        raise BenchError(f"no network of the benchmark can be drawn: {left_out}; {cure}")
    if left_out:
        tell(f"not drawn: {left_out}")
    published = [
        Dot(name, speed, miou, ATTANET_GROUP if name.startswith("AttaNet") else OTHERS)
        for name, miou, speed in PAPER_POINTS
    ]
    own = dict(zip(dict.fromkeys(dot.group for dot in dots), itertools.cycle(OWN_COLOURS), strict=False))
    chart = Scatter((*dots, *published), "frames per second", "mIoU, %", {**own, **COLOURS})
    blank = np.full((1, 1, 3), 255, np.uint8)  # the chart stands in the picture's place
    subplot = Subplot("", blank, chart, "speed_and_miou")
    measured = dict.fromkeys(f"measured: {dot.group.removeprefix(f'{OURS}: ')}" for dot in dots)
    note = "; ".join([*measured, PAPER_NOTE])
    return FigureSpec("Speed against mIoU, after AttaNet Fig. 1", ((subplot,),), note=note)


def measured_dots(speed: Speed, records: Mapping[str, Record]) -> Iterator[Dot]:
    """Yields a dot for each record of the network that a row of a benchmark measured."""
    for name, record in records.items():
        score = find_score(record, speed.sees) if is_of(speed, record) else None
        if score is not None:
            where = f"{plain_text(score.data)}, {score.shown}; {speed.place}, {speed.definition}"
            yield Dot(name, speed.fps, 100 * score.miou, f"{OURS}: {where}")


def find_score(record: Record, sees: tuple[int, int] | None) -> Evaluation | None:
    """The score on val of whole pictures at the size at which the speed was measured, or else the record's val score.

    AttaNet's speed and mIoU are both of pictures at 512 x 1024.
    """
    for name, one in record.evaluations.items():
        plain = one.context and one.scales == (1.0,) and not one.flip and one.crop is None
        if name.startswith(f"{VAL},") and plain and sees is not None and one.size == sees:
            return one
    return record.evaluations.get(VAL)


def is_of(speed: Speed, record: Record) -> bool:
    """Whether a row of a benchmark measured the network of a record: with the same options, and on its own body.

    `bench models` measures each network on that.
    """
    if speed.model != record.model or (record.backbone, record.output_stride) != own_body(record.model):
        return False
    given = read_options(record.model, speed.options)
    return resolve_network(record.model, given) == resolve_network(record.model, record.options)


def describe_left_out(speeds: Sequence[Speed], records: Mapping[str, Record], named: bool) -> list[str]:
    """Which networks are not drawn, each with its reason, which is told once.

    Args:
        speeds: the rows of the benchmarks.
        records: the models' records, by name.
        named: whether the user named the models: of the bundled ones, those without a speed are not missed.
    """
    networks = {record.model for record in records.values()}
    reasons = [f"{one} has no record" for one in dict.fromkeys(speed.model for speed in speeds) if one not in networks]
    unlike = list_unlike(speeds, records)
    for network, names in unlike.items():
        own = f"{names[0]}'s" if len(names) == 1 else f"those of {join_with_commas(names)}"
        reasons.append(f"{network} was measured with other options, or on another body, than {own}")
    for name, record in records.items():
        measured = [speed for speed in speeds if is_of(speed, record)]
        if measured and all(find_score(record, speed.sees) is None for speed in measured):
            reasons.append(f"the record of {name} has no val score")
        elif named and not measured and not any(name in names for names in unlike.values()):
            reasons.append(f"{name} is measured in no row of the benchmark, with its options and on its body")
    return reasons


def list_unlike(speeds: Sequence[Speed], records: Mapping[str, Record]) -> dict[str, list[str]]:
    """The networks that were measured with other options, or on another body, than all of their records, with these."""
    unlike = dict[str, list[str]]()
    for speed in speeds:
        names = [name for name, record in records.items() if record.model == speed.model]
        if names and not any(is_of(speed, records[name]) for name in names):
            unlike[" ".join((speed.model, *speed.options))] = names
    return unlike


def read_speeds(path: Path) -> list[Speed]:
    """The rows of a benchmark.

    Raises:
        BenchError: the file is not the JSON of `bench models`, or it has no times.
    """
    bench = read_bench(path)
    machine = bench["machine"]
    return [
        Speed(
            str(row["model"]),
            tuple(str(row.get("options") or "").split()),
            fps_of(row, path),
            plain_text(str(machine.get("GPU" if row["device"] == "cuda" else "CPU", row["device"]))),
            plain_text(str(row.get("definition") or "picture to labels")),
            tuple(row["sees"]) if isinstance(row.get("sees"), list) else None,
        )
        for row in bench["rows"]
    ]


def fps_of(row: Mapping[str, Any], path: Path) -> float:
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
