"""What each block can tell of an object's cue, by what it computes; measured numbers are shown beside it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class CanTell(Enum):
    """How far a block can tell an object's class; the value is the word in the table."""

    YES = "can"
    EITHER = "1 of 2"
    REACH = "in reach"
    NO = "cannot"

    @property
    def meaning(self) -> str:
        """A clause that explains the word."""
        return {
            CanTell.YES: "can be solved",
            CanTell.EITHER: "sees both cues but cannot tell which applies (50 %)",
            CanTell.REACH: "can be solved within the block's reach, else 50 %",
            CanTell.NO: "sees no cue (33 %)",
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

# Of the objects of "nearer" scenes, the share whose cue also has the smaller offset in rows or in columns.
NEARER_ALONG_AN_AXIS = 0.76

CUE_REASONS: Mapping[str, str] = MappingProxyType({
    "fcn": "sees 5 x 5 cells, and every cue is further away",
    "channel_nl": "one matrix of channels for the whole picture, so it knows which objects and cues there are, but "
    "not where",
    "spatial_nl": "weighs places by appearance; it has no position information, so objects that look alike get "
    "one answer",
    "dual_nl": "adds what channel and spatial non-local gather; neither has position information",
    "cs_nl": "channel non-local first, then spatial non-local on its result; neither has position information",
    "ema": "gathers by appearance through 64 bases, without position information; it weighs and reads the same "
    "features, so a cue whose features are like the object's brings hardly any colour",
    "rcca": "its cross is the object's own row and column; a cue off the cross takes the second pass, which "
    "takes longer to learn; it knows no distances",
    "fla": "has a matrix of channels for every row and every column; what is off both arrives only in their means",
    "sam": "reads whole columns by appearance: not which one the object is in, and two cues in one column blend",
    "snl": "samples 9 x 9 cells, moved by learned offsets; its pooled branch tells which objects "
    "and cues there are, not where",
    "psa": "masks are predicted by relative position, so it can tell rows, columns and distances; a mask cannot pick a "
    "place by appearance, but its last layers join what it gathered with the object's own appearance, which takes "
    "longer to learn",
})  # fmt: skip
