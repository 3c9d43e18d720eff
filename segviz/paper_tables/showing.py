"""How pictures are shown to a network when a table's scores are computed: what the papers say, as docs/protocols.md."""

from __future__ import annotations

from segviz.evaluation.evaluate import MULTI_SCALES
from segviz.evaluation.protocols import SINGLE_SCALE, ScoringProtocol
from segviz.paper_tables.description import ScoreColumn
from segviz.training.recipes import recipe_values

# "a full image of 1024 x 2048 as input which is resized into 512 x 1024 in the model" (AttaNet, on Cityscapes).
ATTANET_SIZE = (512, 1024)
# The longer side at scale 1 in the code of PSANet's authors (hszhao/semseg), on Cityscapes and on all other data.
PSANET_LONG_SIDES = (2048, 512)


def follow_protocol(recipe: str, column: ScoreColumn) -> ScoringProtocol:
    """What scores a network of a recipe for a column; papers name no scales, so several are `MULTI_SCALES`.

    FLANet, and all that no paper speaks of: whole pictures at their own size. AttaNet on Cityscapes: whole, at
    512 x 1024. SSANet on Cityscapes: crops of 769 x 769, since its footnote 1 has features of 49 x 49 "when evaluating
    on cityscapes dataset", at stride 16. PSANet says nothing; its authors' code slides crops of the training's size,
    which its masks cover, fixes the longer side, and always adds mirror images.
    """
    cityscapes = column.data == "cityscapes"
    scales = MULTI_SCALES if column.multi_scale else SINGLE_SCALE
    if recipe == "psanet":
        long_side = PSANET_LONG_SIDES[0 if cityscapes else 1]
        return ScoringProtocol(scales, flip=True, crop=training_crop(recipe, column.data), long_side=long_side)
    crop = training_crop(recipe, column.data) if recipe == "ssanet" and cityscapes else None
    size = ATTANET_SIZE if recipe == "attanet" and cityscapes else None
    return ScoringProtocol(scales, flip=column.multi_scale, crop=crop, size=size)


def training_crop(recipe: str, data: str) -> tuple[int, int]:
    """The (height, width) of a recipe's crops on a data set that its paper trained on."""
    crop = recipe_values(recipe, {"context59": "context"}.get(data, data))["crop"]
    assert isinstance(crop, tuple)
    return crop[0], crop[1]


def words_for_protocol(protocol: ScoringProtocol, *, also_single: bool = False) -> list[str]:
    """The words of `evaluate` and `predict` that ask for a protocol.

    Args:
        protocol: with a step of 2/3 and, where it has several scales, with mirror images.
        also_single: whether the same command scores the single scale without mirror images.
    """
    words = ["--crop", *map(str, protocol.crop)] if protocol.crop else []
    words += ["--input-size", ",".join(map(str, protocol.size))] if protocol.size else []
    words += ["--long-side", str(protocol.long_side)] if protocol.long_side else []
    if also_single:
        return ["--multi-scale", *words]
    words += ["--flip"] if protocol.flip else []
    return words + (
        ["--scales", ",".join(f"{one:g}" for one in protocol.scales)] if protocol.scales != SINGLE_SCALE else []
    )
