"""What a block's context is worth to its own network, in words: the line that stands at every map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segviz.catalogue.record import SCENES, SCENES_WITHOUT_CONTEXT, VAL, VAL_WITHOUT_CONTEXT, Record
from segviz.models.registry import NETWORK_NAMES, maps_of

NO_LOSS = 0.1  # points of mIoU below which a change counts as none
WITHOUT = {VAL: VAL_WITHOUT_CONTEXT, SCENES: SCENES_WITHOUT_CONTEXT}
SETS = {VAL: "val", SCENES: "drawn scenes"}
GATE = "gate"  # the map of AttaNet's fusion, before the block
HARDLY = "this map hardly matters"
OWN_SCORE = "one seed"  # a score of one checkpoint; `score_origin` names that of several seeds
MEASURE = "python -m segviz evaluate --model {} --data camvid --scenes 50 --without-context --record"


@dataclass(frozen=True)
class ContextWorth:
    """What switching the context off changes in one checkpoint.

    Attributes:
        model: the model's name.
        changes: the change of mIoU in points, by the name of the evaluation; negative is a loss.
    """

    model: str
    changes: dict[str, float]

    @property
    def hardly_matters(self) -> bool:
        """Whether every measured change is below `NO_LOSS`, and there is one."""
        return bool(self.changes) and all(abs(change) < NO_LOSS for change in self.changes.values())

    def numbers(self) -> str:
        """The changes, such as "val −1.05 points, drawn scenes not measured"; "not measured" if there is none."""
        if not self.changes:
            return "not measured"
        if len(self.changes) == len(SETS):  # the unit once, at the end
            return ", ".join(f"{words} {format_points(self.changes[name])}" for name, words in SETS.items()) + " points"
        known = {name: f"{format_points(change)} points" for name, change in self.changes.items()}
        return ", ".join(f"{words} {known.get(name, 'not measured')}" for name, words in SETS.items())

    def sentence(self) -> str:
        """The line at a page's map, in Markdown."""
        if not self.changes:
            return f"What this map's context is worth was not measured; this does it: `{MEASURE.format(self.model)}`"
        verdict = f": {HARDLY}" if self.hardly_matters else ""
        return f"mIoU without the context: {self.numbers()}{verdict}"

    def note(self) -> str:
        """The line at one of many maps, whose page says what it means."""
        return f"mIoU without it: {self.numbers()}{f': {HARDLY}' if self.hardly_matters else ''}"


def context_worth(record: Record) -> ContextWorth | None:
    """What a checkpoint's context is worth, by its record.

    None where its block has no map: it has no context, or one that pools whole regions. AttaNet's gate is no context.
    """
    if record.model in NETWORK_NAMES and not {*maps_of(record.model, record.options)} - {GATE}:
        return None
    pairs = {name: (record.miou(name), record.miou(WITHOUT[name])) for name in SETS}
    changes = {name: 100 * (off - on) for name, (on, off) in pairs.items() if on is not None and off is not None}
    return ContextWorth(record.model, changes)


def caption_worths(worths: Iterable[ContextWorth | None]) -> str:
    """The line of a figure's caption; "" where no map has a context."""
    known = [one for one in worths if one is not None]
    if not known:
        return ""
    each = "; ".join(f"{one.model}: {one.numbers()}" for one in known)
    return f"mIoU without the context: {each}"


def format_points(points: float) -> str:
    """A difference in points with its sign, to two decimals as in the tables; never a negative zero."""
    return f"{points:+z.2f}".replace("-", "−")
