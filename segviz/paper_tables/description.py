"""What a table of a paper is, as plain data: columns, rows as printed, and the network of this package for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

OptionValues = Mapping[str, "bool | int | float | str | tuple[int, ...]"]
ColumnKind = Literal["text", "miou", "accuracy", "gain", "parameters", "gflops", "memory", "time", "fps"]
COUNTED_KINDS: tuple[ColumnKind, ...] = ("parameters", "gflops")
MEASURED_KINDS: tuple[ColumnKind, ...] = ("memory", "time", "fps")
SCORED_KINDS: tuple[ColumnKind, ...] = ("miou", "accuracy", "gain")
CITED = "cited by the paper; not a network of this package"


@dataclass(frozen=True)
class ScoreColumn:
    """What a column of scores was computed on, and how.

    Attributes:
        data: the class set of the data, see `segviz.data.class_sets`.
        split: val, or test, whose labels are not public.
        multi_scale: whether scores are averaged over several scales.
    """

    data: str
    split: Literal["val", "test"] = "val"
    multi_scale: bool = False


@dataclass(frozen=True)
class PaperColumn:
    """A column of a table.

    Attributes:
        title: as the paper prints it.
        kind: what its values are: text; mIoU and pixel accuracy in percent; a gain in mIoU over the first row, in
            points; parameters in millions; GFLOPs; memory in MB; time in milliseconds; frames per second.
        scored: what a column of scores was computed on, and how.
        over_baseline: whether a cost is what the row adds to the first row of its group.
        operations: GFLOPs only: what the paper counts for one multiply-add, 1 or 2.
    """

    title: str
    kind: ColumnKind
    scored: ScoreColumn | None = None
    over_baseline: bool = False
    operations: int = 2


@dataclass(frozen=True)
class NetworkChoice:
    """A network of this package.

    Attributes:
        model: a name of `segviz.models.registry`.
        options: its options where they are not the defaults.
    """

    model: str
    options: OptionValues = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class PaperRow:
    """A row of a table.

    Attributes:
        label: the row's name as the paper prints it, without its citation's number.
        printed: a value for each column; None where the paper prints none.
        network: the row's network; None where this package has none.
        reason: why there is none.
        group: the rows that share a heading or a baseline.
        recipe: the training recipe where it is not the table's: the row is another paper's network.
        block: the block alone whose costs are shown, a name of the registry; where the table has a `block_size`.
        split: what the paper trained it on where that is not the data's usual split, as `train --split` has it.
    """

    label: str
    printed: Sequence[float | str | None]
    network: NetworkChoice | None = None
    reason: str = CITED
    group: str = ""
    recipe: str = ""
    split: str = ""
    block: str = ""


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    Attributes:
        name: as the command line calls it, such as flanet-3.
        source: paper and number.
        title: what the table shows, in a clause.
        columns: without the row's label.
        rows: from the top down.
        recipe: the paper's training recipe, a name of `train --recipe`.
        size: (height, width) of the picture that costs are counted and measured at; None where there are no costs.
        batch: pictures at once when time and memory are measured.
        block_size: (height, width, channels) of the features, where costs are those of the block alone.
        resized: (height, width) that the network sees, where the picture is resized on the way, both resizings timed.
        notes: sentences on how the table is to be read.
    """

    name: str
    source: str
    title: str
    columns: tuple[PaperColumn, ...]
    rows: tuple[PaperRow, ...]
    recipe: str
    size: tuple[int, int] | None = None
    batch: int = 1
    block_size: tuple[int, int, int] | None = None
    resized: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the table's form.

        Raises:
            ValueError: a row has another number of values than there are columns.
        """
        for row in self.rows:
            if len(row.printed) != len(self.columns):
                raise ValueError(
                    f"{self.name}: row '{row.label}' has {len(row.printed)} values for {len(self.columns)} columns; "
                    "write None where the paper prints none"
                )

    def has(self, kinds: Sequence[ColumnKind]) -> bool:
        """Whether a column is of one of these kinds."""
        return any(column.kind in kinds for column in self.columns)

    def baseline_of(self, row: PaperRow) -> PaperRow:
        """The first row of the row's group."""
        return next(one for one in self.rows if one.group == row.group)

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The class sets that its scores need."""
        named = (column.scored.data for column in self.columns if column.scored)
        return tuple(dict.fromkeys(named))


def cite(label: str, *printed: float | str | None, group: str = "") -> PaperRow:
    """A row that the paper took from another one, and whose network is not in this package."""
    return PaperRow(label, printed, group=group)
