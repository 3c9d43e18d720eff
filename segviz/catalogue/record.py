"""A checkpoint's record: how it was trained, how it scored, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, isnan

from segviz.catalogue.map_record import MapMeasurement, check_map_measurement
from segviz.catalogue.protocol_words import describe_shown
from segviz.data.class_sets import give_colours
from segviz.data.classes import ClassSet, RgbColour
from segviz.models.options import OptionValue
from segviz.text import count_words, plain_text
from segviz.typed_json import parse_json

# The names of a record's evaluations: on CamVid's val split at a single scale, unless they say otherwise.
VAL, SCENES = "val", "scenes"
VAL_MULTI_SCALE = "val, multi-scale and flip"
VAL_WITHOUT_CONTEXT = "val, without context"
SCENES_WITHOUT_CONTEXT = "scenes, without context"
MOST_COUNT = 2**53  # from here on, whole numbers are not exact as floats
Shares = Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Scores on one set of labelled pictures.

    Attributes:
        data: the set of pictures, in words.
        images: number of pictures.
        miou: mean IoU of the classes that occur, in [0, 1].
        accuracy: share of correct pixels, in [0, 1].
        iou: IoU by class name, in [0, 1]; None for a class that neither occurs nor is predicted.
        boundary_iou: the same, within a few pixels of class borders only (see `metrics.boundary_band`).
        confusion: pixel counts, `confusion[truth][predicted]`.
        scales: factors on the picture's size; the softmax scores are averaged over them.
        flip: whether the average includes the mirrored picture.
        context: False if the block's context was switched off.
        crop: (height, width) of the crops that were slid over the scaled pictures; None if they were shown whole.
        step: how far crops were apart at most, as a share of their sides; None without crops.
        size: the (height, width) of scale 1; None for the pictures' own.
        long_side: the longer side of scale 1, with the pictures' ratio; None for the pictures' own.
        shown: all of that but the context in words, for whoever reads the JSON, see `describe_shown`.
    """

    data: str
    images: int
    miou: float
    accuracy: float
    iou: Shares
    boundary_iou: Shares
    confusion: tuple[tuple[int, ...], ...]
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    context: bool = True
    crop: tuple[int, int] | None = None
    step: float | None = None
    size: tuple[int, int] | None = None
    long_side: int | None = None
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        """Say in words how the pictures were shown."""
        shown = describe_shown(self.scales, self.flip, self.crop, self.step, self.size, self.long_side)
        object.__setattr__(self, "shown", shown)

    @property
    def pictures(self) -> str:
        """The set of pictures, with their number."""
        number = count_words(self.images, "picture")
        return self.data if str(self.images) in self.data.split() else f"{self.data} ({number})"

    @property
    def described(self) -> str:
        """What was scored and how it was shown, such as "camvid val (101 pictures), whole, at their own size"."""
        return ", ".join([self.pictures, self.shown, *([] if self.context else ["the block's context off"])])

    @property
    def boundary_miou(self) -> float | None:
        """Mean boundary IoU of the classes that have one, in [0, 1]; None if no class has."""
        known = [share for share in self.boundary_iou.values() if share is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Cost:
    """What one picture costs, measured on `hardware` and counted.

    Attributes:
        size: (height, width) of the picture in pixels.
        milliseconds: median time of a forward pass that keeps the maps.
        peak_mb: memory of the forward pass beyond the weights, in MiB.
        gflops: 10^9 operations, two per multiply-add; elementwise operations are not counted.
        parameters: number of parameters.
        hardware: the machine of the measurement.
    """

    size: tuple[int, int]
    milliseconds: float
    peak_mb: float
    gflops: float
    parameters: int
    hardware: str


@dataclass(frozen=True)
class Record:
    """How a checkpoint was trained, and what was measured on it.

    `lineage` holds the commands that trained the checkpoints it started from, the oldest first; `gammas` holds the
    trained factors on its block's context, by parameter name; `maps` says where its block looks, by evaluation;
    `options` are those of its network (`registry.options_of`), by name; `settings` are those of its training, as they
    are typed, by name: what `command` gave, and what its recipe and the defaults added; `palette` has the colours of
    the data's classes, and is empty in records that do not say.
    """

    model: str
    classes: tuple[str, ...]
    backbone: str
    output_stride: int
    command: str = ""
    data: str = ""
    initial: str = ""
    lineage: tuple[str, ...] = ()
    seed: int = 0
    steps: int = 0
    minutes: float = 0.0
    hardware: str = ""
    date: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    gammas: Mapping[str, float] = field(default_factory=dict)
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    cost: Cost | None = None
    maps: Mapping[str, MapMeasurement] = field(default_factory=dict)
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    palette: tuple[RgbColour, ...] = ()

    @property
    def class_set(self) -> ClassSet:
        """The classes in the record's colours or, without them, as the data set with these classes is drawn."""
        return ClassSet(self.classes, self.palette) if self.palette else give_colours(self.classes)

    def miou(self, evaluation: str) -> float | None:
        """Mean IoU of an evaluation, in [0, 1]; None if there is no such evaluation or no class occurred."""
        result = self.evaluations.get(evaluation)
        return None if result is None or isnan(result.miou) else result.miou

    @property
    def val_miou(self) -> float | None:
        """Mean IoU on val at a single scale, in [0, 1]."""
        return self.miou(VAL)

    @property
    def scenes_miou(self) -> float | None:
        """Mean IoU on drawn scenes that were not trained on, in [0, 1]."""
        return self.miou(SCENES)


def to_json(record: Record) -> str:
    """The record as one line of JSON."""
    return json.dumps(asdict(record), sort_keys=True)


def from_json(text: str) -> Record:
    """Read a record from a line of JSON; unknown fields, from a later version, are ignored.

    Raises:
        ValueError: it is not a record; the message names the field and what is wrong with it.
    """
    record = parse_json(Record, text)
    distinct = {name for name in record.classes if name.strip()}
    if not record.classes or len(distinct) < len(record.classes):
        raise ValueError(f"'classes' are {plain_text(str(list(record.classes)), 80)}, not one or more different names")
    for field_name in ("model", "backbone"):
        if not getattr(record, field_name).strip():
            raise ValueError(f"'{field_name}' is empty")
    check_palette(record.palette, len(record.classes))
    check_number("'output_stride'", record.output_stride, above_zero=True)
    for field_name in ("seed", "steps", "minutes"):
        check_number(f"'{field_name}'", getattr(record, field_name))
    for name, value in record.gammas.items():
        if not isfinite(value):
            raise ValueError(f"gamma '{plain_text(name, 40)}' is {value}, not finite")
    for name, setting in record.options.items():
        if isinstance(setting, float) and not isfinite(setting):
            raise ValueError(f"option '{plain_text(name, 40)}' is {setting}, not finite")
    if record.cost:
        check_recorded_cost(record.cost)
    for name, evaluation in record.evaluations.items():
        check_evaluation(evaluation, name, record.classes)
    for name, measurement in record.maps.items():
        check_map_measurement(measurement, name)
    return record


def check_palette(palette: tuple[RgbColour, ...], count: int) -> None:
    """Check the colours of a record's classes.

    Raises:
        ValueError: there is not one for each of `count` classes, or a value is outside 0 to 255.
    """
    if palette and len(palette) != count:
        raise ValueError(f"'palette' does not have one colour for each of {count} classes")
    if not all(0 <= value <= 255 for colour in palette for value in colour):
        raise ValueError("'palette' has a value outside 0 to 255")


def check_number(name: str, value: float, *, above_zero: bool = False) -> None:
    """Check a number of a record.

    Raises:
        ValueError: it is negative, or 0 where it must be above 0, or infinite, or no number, or too large to be exact.
    """
    if isinstance(value, int) and abs(value) >= MOST_COUNT:
        raise ValueError(f"{name} is not a whole number below 2^53")
    if not (isfinite(value) and (value > 0 if above_zero else value >= 0)):
        raise ValueError(f"{name} is {value}, not {'above 0' if above_zero else '0 or more'}")


def check_recorded_cost(cost: Cost) -> None:
    """Check what one picture costs.

    Raises:
        ValueError: a number is negative, infinite or no number.
    """
    for side in cost.size:
        check_number("'cost.size'", side, above_zero=True)
    for name in ("milliseconds", "peak_mb", "gflops", "parameters"):
        check_number(f"'cost.{name}'", getattr(cost, name))


def check_evaluation(evaluation: Evaluation, name: str, classes: tuple[str, ...]) -> None:
    """Check an evaluation against its record's classes.

    Raises:
        ValueError: its scores or counts do not fit these classes.
    """
    sizes = {len(evaluation.confusion), *map(len, evaluation.confusion)}
    if sizes != {len(classes)}:
        raise ValueError(f"'confusion' of '{name}' is not {len(classes)} x {len(classes)}, a row and column per class")
    if min(map(min, evaluation.confusion)) < 0:
        raise ValueError(f"'confusion' of '{name}' has a negative pixel count")
    if max(map(max, evaluation.confusion)) >= MOST_COUNT:
        raise ValueError(f"'confusion' of '{name}' has a pixel count of 2^53 or more")
    check_number(f"'images' of '{name}'", evaluation.images)
    if not evaluation.scales or not all(isfinite(scale) and scale > 0 for scale in evaluation.scales):
        raise ValueError(f"'scales' of '{name}' are not one or more finite factors above 0")
    check_protocol(evaluation, name)
    for kind, shares in (("iou", evaluation.iou), ("boundary_iou", evaluation.boundary_iou)):
        if not set(shares) <= set(classes):
            others = plain_text(str(sorted(set(shares) - set(classes))), 80)
            raise ValueError(f"'{kind}' of '{name}' names {others}, which are not classes")
        if any(share is not None and not 0 <= share <= 1 for share in shares.values()):
            raise ValueError(f"'{kind}' of '{name}' has a share outside 0 to 1")
    if not all(0 <= share <= 1 or isnan(share) for share in (evaluation.miou, evaluation.accuracy)):
        raise ValueError(f"'{name}' has a share outside 0 to 1")


def check_protocol(evaluation: Evaluation, name: str) -> None:
    """Check the sizes and the step at which pictures were shown.

    Raises:
        ValueError: one of them is not above 0, or the step is above 1.
    """
    one_side = () if evaluation.long_side is None else (evaluation.long_side,)
    for side in (*(evaluation.crop or ()), *(evaluation.size or ()), *one_side):
        check_number(f"a side of '{name}'", side, above_zero=True)
    if evaluation.step is not None and not 0 < evaluation.step <= 1:
        raise ValueError(f"'step' of '{name}' is {evaluation.step}, not above 0 and at most 1")
