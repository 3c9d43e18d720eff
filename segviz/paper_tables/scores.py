"""The checkpoints of a folder that belong to a table's rows, and their recorded scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segviz.catalogue.checkpoint_file import CheckpointError, read_record
from segviz.catalogue.record import Evaluation, Record
from segviz.data.class_sets import CLASS_SETS, give_colours
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import NetworkOptionError
from segviz.paper_tables.commands import TableRun
from segviz.paper_tables.description import ScoreColumn
from segviz.paper_tables.showing import follow_protocol


@dataclass(frozen=True)
class StoredRun:
    """A checkpoint of a folder.

    Attributes:
        path: the file.
        record: its record.
    """

    path: Path
    record: Record


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of a folder, and a sentence (without full stop) about each file that could not be read."""

    path: Path
    stored: tuple[StoredRun, ...]
    problems: tuple[str, ...] = ()


def read_folder(folder: Path) -> CheckpointFolder:
    """Read the records of all .safetensors files in a folder, by name; their weights are not read.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; name one that holds checkpoints")
    stored: list[StoredRun] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            stored.append(StoredRun(path, read_record(path)))
        except CheckpointError as error:
            problems.append(str(error))
    return CheckpointFolder(folder, tuple(stored), tuple(problems))


def find_run(run: TableRun, stored: Iterable[StoredRun]) -> StoredRun | None:
    """The checkpoint of a run: the same network and options, trained on the same split of data with its classes.

    Of several, the one with the file name that `table --commands` gives it; else one whose training command names the
    recipe; else the first.
    """
    matching = [one for one in stored if is_network(run, one.record) and is_trained_alike(run, one.record)]
    ranked = sorted(matching, key=lambda one: (one.path.name != run.file, run.recipe not in one.record.command.split()))
    return ranked[0] if ranked else None


def is_network(run: TableRun, record: Record) -> bool:
    """Whether a record is of a run's network: its own body and stride, and all its options the same."""
    row = NETWORKS[run.network.model]
    if (record.model, record.backbone, record.output_stride) != (row.name, row.backbone, row.output_stride):
        return False
    try:
        return row.resolve(record.options) == row.resolve(run.network.options)
    except NetworkOptionError:  # of a later version
        return False


def is_trained_alike(run: TableRun, record: Record) -> bool:
    """Whether a record is of a training on a run's split and classes; a record without data may be of any split."""
    _, _, split = record.data.rpartition(" ")
    return split in ("", run.split) and has_classes(run.data, record.classes)


def has_classes(data: str, classes: tuple[str, ...]) -> bool:
    """Whether classes are those of a class set, however a library spells them."""
    known = CLASS_SETS[data]
    return len(classes) == len(known.names) and give_colours(classes).palette == known.palette


def find_evaluation(recipe: str, column: ScoreColumn, evaluations: Mapping[str, Evaluation]) -> Evaluation | None:
    """The recorded evaluation that a column asks for, of a network of a recipe.

    Its split, mirror images, crops and size are those of `follow_protocol`, and the context is on. Where the column is
    of several scales, they may be any, since no paper names them.
    """
    protocol = follow_protocol(recipe, column)
    for name, one in evaluations.items():
        seen = (one.flip, one.crop, one.step or protocol.step, one.size, one.long_side, one.context)
        if seen != (protocol.flip, protocol.crop, protocol.step, protocol.size, protocol.long_side, protocol.context):
            continue
        scales_fit = len(one.scales) > 1 if column.multi_scale else one.scales == protocol.scales
        if scales_fit and name.partition(",")[0] == column.split:
            return one
    return None
