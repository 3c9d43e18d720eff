"""The blocks under test, with every parameter random: a gamma left at zero would hide all errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from segviz.attention.maps import SpatialMap, detach
from segviz.models.blocks import (
    ChannelNonLocal,
    ChannelSpatialNonLocal,
    DualNonLocal,
    ExpectationMaximization,
    FullyAttentional,
    NoContext,
    PointWiseSpatialAttention,
    ProjectedNonLocal,
    RecurrentCrissCross,
    SparseNonLocal,
    SparseNonLocalWithPooling,
    SpatialChannelNonLocal,
    SpatialNonLocal,
    StripAttentionModule,
)
from segviz.models.registry import MODELS

C = 4
SHAPES = [(1, C, 1, 1), (2, C, 1, 5), (2, C, 5, 1), (2, C, 4, 3), (3, C, 5, 7)]


def psa(mask: tuple[int, int] = (9, 13), **options: object) -> PointWiseSpatialAttention:
    """PSA with three inner channels, on the whole grid; a 9 x 13 mask just covers a 5 x 7 map."""
    return PointWiseSpatialAttention(C, 3, mask, **{"shrink": 1, **options})


CASES: dict[str, Callable[[], nn.Module]] = {
    "channel, code": ChannelNonLocal,
    "channel, equation": lambda: ChannelNonLocal(negate=False),
    "spatial": lambda: SpatialNonLocal(C, 2),
    "dual": lambda: DualNonLocal(C, 2),
    "dual, equation": lambda: DualNonLocal(C, 2, negate=False),
    "channel, then spatial": lambda: ChannelSpatialNonLocal(C, 2),
    "spatial, then channel": lambda: SpatialChannelNonLocal(C, 2),
    "projected": lambda: ProjectedNonLocal(C),
    "EMA": lambda: ExpectationMaximization(C, bases=3),
    "criss-cross once": lambda: RecurrentCrissCross(C, 2, passes=1),
    "criss-cross twice": lambda: RecurrentCrissCross(C, 2),
    "FLA": lambda: FullyAttentional(C),
    "SAM": lambda: StripAttentionModule(C, 3),
    "SAM, horizontal": lambda: StripAttentionModule(C, 3, axis="horizontal"),
    "SAM, plain": lambda: StripAttentionModule(C, 3, activated=False),
    "SAM, plain, horizontal": lambda: StripAttentionModule(C, 3, axis="horizontal", activated=False),
    "SNL 3x3": lambda: SparseNonLocal(C, (3, 3)),
    "SNL 3x3, border": lambda: SparseNonLocal(C, (3, 3), "border"),
    "SNL 3x3, mask": lambda: SparseNonLocal(C, (3, 3), "mask"),
    "SNL 2x3": lambda: SparseNonLocal(C, (2, 3)),
    "SNL 2x3, border": lambda: SparseNonLocal(C, (2, 3), "border"),
    "SNL 9x9": lambda: SparseNonLocal(C, (9, 9)),
    "SNL 9x11, mask": lambda: SparseNonLocal(C, (9, 11), "mask"),
    "SNL with pooling": lambda: SparseNonLocalWithPooling(C, (3, 3)),
    "PSA": psa,
    "PSA, collect": lambda: psa(directions=("collect",)),
    "PSA, distribute": lambda: psa(directions=("distribute",)),
    "PSA, shrunk": lambda: psa((5, 7), shrink=2),
    "PSA, larger mask": lambda: psa((11, 17)),
    "PSA, smaller mask": lambda: psa((3, 5)),
    "PSA, smaller mask, zero": lambda: psa((3, 5), outside="zero"),
    "PSA, no softmax": lambda: psa(softmax=False),
    "PSA, no softmax, smaller mask": lambda: psa((3, 5), softmax=False),
    "PSA, no softmax, norm 7": lambda: psa(softmax=False, norm=7.0),
}
# A row of the registry whose block has no case above is a case by itself.
COVERED = {type(make()) for make in CASES.values()} | {NoContext}
CASES |= {name: partial(row.block, C) for name, row in MODELS.items() if type(row.block(row.channels)) not in COVERED}


def randomised(block: nn.Module, scale: float = 0.4) -> nn.Module:
    """The block in float64 and eval mode with random parameters and running statistics."""
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=scale)
    randomise_norms(block, scale)
    return block.double().eval()


def randomise_norms(network: nn.Module, scale: float) -> None:
    """Scales and running statistics as if trained: as built, BatchNorms in eval mode change next to nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=scale)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def made(case: str) -> nn.Module:
    """A block of the table, randomised."""
    return randomised(CASES[case]())


def image(*shape: int) -> Tensor:
    """Random features in float64."""
    return torch.randn(*shape, dtype=torch.float64)


def block_maps(grid: tuple[int, int]) -> Iterator[SpatialMap]:
    """The maps over places that the cases give on a grid, as a page would get them."""
    for case in CASES:
        with torch.no_grad():
            maps = made(case)(image(1, C, *grid)).maps[0]
        yield from (one for one in detach(maps) if isinstance(one, SpatialMap))
