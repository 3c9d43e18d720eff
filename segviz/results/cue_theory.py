"""What each block can tell of a thing's cue, by what it computes; measured numbers are shown beside it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class CanTell(Enum):
    """How far a block can tell a thing's class; the value is the word in the table."""

    YES = "can"
    EITHER = "1 of 2"
    REACH = "in reach"
    NO = "cannot"

    @property
    def meaning(self) -> str:
        """A clause that explains the word."""
        return {
            CanTell.YES: "the class can be told",
            CanTell.EITHER: "both cues are seen, but not which is meant: 50 %",
            CanTell.REACH: "as far as the block reaches; beyond it as with *1 of 2*",
            CanTell.NO: "nothing of the cue is seen: chance, 33 %",
        }[self]


YES, EITHER, IN_REACH, NO = CanTell.YES, CanTell.EITHER, CanTell.REACH, CanTell.NO

# By block; the kinds in the order of CUE_KINDS: anywhere, row, column, shape, nearer.
THEORY: Mapping[str, tuple[CanTell, ...]] = MappingProxyType({
    "fcn": (NO, NO, NO, NO, NO),
    "channel_nl": (YES, EITHER, EITHER, YES, EITHER),
    "spatial_nl": (YES, EITHER, EITHER, YES, EITHER),
    "dual_nl": (YES, EITHER, EITHER, YES, EITHER),
    "cs_nl": (YES, EITHER, EITHER, YES, EITHER),
    "ema": (YES, EITHER, EITHER, YES, EITHER),
    "rcca": (YES, YES, YES, YES, EITHER),
    "fla": (YES, YES, YES, YES, EITHER),
    "sam": (YES, EITHER, EITHER, YES, EITHER),
    "snl": (YES, IN_REACH, IN_REACH, IN_REACH, IN_REACH),
    "psa": (YES, YES, YES, YES, YES),
})  # fmt: skip

CUE_REASONS: Mapping[str, str] = MappingProxyType({
    "fcn": "sees 5 x 5 cells, and every cue is further away",
    "channel_nl": "one matrix of channels for the whole picture, so it knows which marks there are, but not where",
    "spatial_nl": "weighs places by appearance; it has no position information, so things that look alike get "
    "one answer",
    "dual_nl": "adds the two above: neither has position information",
    "cs_nl": "does the two above in turn: neither has position information",
    "ema": "gathers by appearance through 64 bases, without position information; it weighs and reads the same "
    "features, so a cue whose features are like the thing's brings hardly any colour",
    "rcca": "its cross is the thing's own row and column; a cue off the cross takes the second pass, which "
    "takes longer to learn; it knows no distances",
    "fla": "has a matrix of channels for every row and every column; what is off both arrives only in their means",
    "sam": "reads whole columns by appearance: not which one the thing is in, and two cues in one column blend",
    "snl": "samples 9 x 9 cells, moved by learned offsets; its pooled branch tells which marks there are, not where",
    "psa": "masks are predicted by relative position, so it can tell rows, columns and distances; a mask cannot pick a "
    "place by appearance, but its last layers join what it gathered with the thing's own appearance, which takes "
    "longer to learn",
})  # fmt: skip
