"""Protocols to score pictures by, and one pass over a picture for all of them, which shares what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import AttentionMap, Grid
from segviz.catalogue.protocol_words import describe_protocol
from segviz.evaluation.scored_network import NetworkToScore, RunNetwork
from segviz.image import SHORTEST_SIDE, Rgb, resize
from segviz.models.blocks import ContextBlock
from segviz.models.conventions import USUAL_STEP
from segviz.prediction.crops import CropMean, Scores, place_crops

SINGLE_SCALE = (1.0,)
OWN_SIZE = 1.0


@dataclass(frozen=True)
class ScoringProtocol:
    """How a picture is scored: a test protocol.

    The picture is resized to each scale, shown whole or in crops, and mirrored if `flip` asks it. Softmax scores are
    averaged over mirror images, then over overlapping crops; they are resized to the picture and averaged over scales.

    Attributes:
        scales: factors on the picture's size, each above 0.
        flip: whether to average the mirrored picture in.
        context: False switches the context of the model's block off, see `ablation.without_context`.
        crop: (height, width) of the crops that are slid over the scaled picture; None shows it whole.
        step: how far crops are apart at most, as a share of their sides.
        size: the (height, width) of scale 1; None for the picture's own.
        long_side: the longer side of scale 1, with the picture's ratio; None for the picture's own.
    """

    scales: tuple[float, ...] = SINGLE_SCALE
    flip: bool = False
    context: bool = True
    crop: Grid | None = None
    step: float = USUAL_STEP
    size: Grid | None = None
    long_side: int | None = None

    def seen_size(self, picture: Grid, scale: float) -> Grid:
        """The (height, width) of the picture at a scale; each side has at least the 32 pixels that networks need."""
        if self.long_side is not None:  # rounded as PSANet's code does
            long = round(scale * self.long_side)
            height, width = (round(long * side / max(picture)) for side in picture)
        else:
            height, width = (round(side * scale) for side in self.size or picture)
        return max(SHORTEST_SIDE, height), max(SHORTEST_SIDE, width)

    @property
    def words(self) -> str:
        """What differs from the picture's own size, whole, without mirror images; "" where nothing does."""
        return describe_protocol(self.scales, self.flip, self.crop, self.step, self.size, self.long_side)

    def check(self) -> None:
        """Refuse a protocol that cannot be followed.

        Raises:
            ValueError: the message names the cause and the cure.
        """
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales {self.scales} cannot be used; give one or more factors above 0, such as (1.0,)")
        if self.crop is not None and (min(self.crop) < SHORTEST_SIDE or not 0 < self.step <= 1):
            raise ValueError(
                f"crops of {self.crop[0]} x {self.crop[1]} with a step of {self.step:g} cannot be used; "
                f"give sides from {SHORTEST_SIDE} and a step above 0, at most 1"
            )
        if self.size is not None and self.long_side is not None:
            raise ValueError("size and long_side are two ways to say one thing; give one of them")
        if min(self.size or (SHORTEST_SIDE,)) < SHORTEST_SIDE or (self.long_side or SHORTEST_SIDE) < SHORTEST_SIDE:
            raise ValueError(f"networks need {SHORTEST_SIDE} pixels a side; give a larger size")


@dataclass(frozen=True)
class PictureMaps:
    """The block's maps of one picture at its own size, and those of another block on the same features."""

    own: tuple[AttentionMap, ...]
    other: tuple[AttentionMap, ...]


class Scorer:
    """Scores pictures by several protocols.

    What comes before the block runs once for each view, whether the context is on or off. A single scale is one of the
    views of several, so it costs nothing beside them; the numbers are the same, bit by bit, as by each protocol alone.

    Args:
        network: what is scored.
        protocols: those to score by, by name.
        other_block: a block whose maps are wanted beside the network's own, at the picture's own size.

    Raises:
        ValueError: maps are wanted, but no protocol shows whole pictures at their own size; or the network has no
            context to switch off.
    """

    def __init__(
        self, network: NetworkToScore, protocols: Mapping[str, ScoringProtocol], other_block: ContextBlock | None = None
    ) -> None:
        whole = [one for one in protocols.values() if (one.crop, one.size, one.long_side) == (None, None, None)]
        if other_block and not any(OWN_SIZE in protocol.scales for protocol in whole):
            raise ValueError("maps are measured of whole pictures at their own size; add a protocol with scale 1")
        self.network, self.protocols, self.other_block = network, protocols, other_block
        self.run: RunNetwork = network.prepare({protocol.context for protocol in protocols.values()})

    def __call__(self, image: Rgb) -> tuple[dict[str, Scores], PictureMaps | None]:
        """The scores by the name of their protocol, see `class_scores`, and the maps if another block is given."""
        size = (image.shape[0], image.shape[1])
        classes, device = self.network.class_count, self.network.device
        totals = {name: torch.zeros(classes, *size, device=device) for name in self.protocols}
        maps, own_size = None, ScoringProtocol().seen_size(size, OWN_SIZE)
        for (seen, crop, step), wanted in self._views(size).items():
            view = self.network.see(resize(image, seen))
            if crop is None:
                shares, found = self._whole(view, wanted, self.other_block if seen == own_size else None)
                maps = found or maps
            else:
                shares = self._crops(view, wanted, crop, step)
            for shown, scores in shares.items():
                own = F.interpolate(scores[None], size, mode="bilinear")[0]
                for name in wanted[shown]:
                    totals[name] += own
        return {name: total / len(self.protocols[name].scales) for name, total in totals.items()}, maps

    def _views(self, size: Grid) -> dict[tuple[Grid, Grid | None, float], dict[tuple[bool, bool], list[str]]]:
        """What is shown, by size, crop and step; for each, the names of the protocols by context and flip."""
        found: dict[tuple[Grid, Grid | None, float], dict[tuple[bool, bool], list[str]]] = {}
        for name, protocol in self.protocols.items():
            for scale in protocol.scales:
                key = protocol.seen_size(size, scale), protocol.crop, protocol.step if protocol.crop else 0.0
                found.setdefault(key, {}).setdefault((protocol.context, protocol.flip), []).append(name)
        return found

    def _whole(
        self, view: Tensor, wanted: Mapping[tuple[bool, bool], object], other: ContextBlock | None
    ) -> tuple[dict[tuple[bool, bool], Scores], PictureMaps | None]:
        """The scores of a whole view by context and flip, and the maps if another block is given."""
        views = torch.cat((view, view.flip(3))) if any(flip for _, flip in wanted) else view
        contexts = tuple(dict.fromkeys(context for context, _ in wanted))
        shares, maps = self.run(views, contexts, other)
        found = {(context, flip): average_mirrored(shares[context], flip) for context, flip in wanted}
        return found, PictureMaps(*maps) if maps else None

    def _crops(
        self, view: Tensor, wanted: Mapping[tuple[bool, bool], object], crop: Grid, step: float
    ) -> dict[tuple[bool, bool], Scores]:
        """The mean scores over the crops of a view, by context and flip; a bounded number of crops at a time."""
        grid = place_crops((view.shape[2], view.shape[3]), crop, step)
        flips = any(flip for _, flip in wanted)
        contexts = tuple(dict.fromkeys(context for context, _ in wanted))
        means = {one: CropMean(grid, self.network.class_count, self.network.device) for one in wanted}
        padded = grid.pad(view)
        for numbers in grid.batches(2 if flips else 1):
            crops = grid.cut(padded, numbers)
            shares, _ = self.run(torch.cat((crops, crops.flip(3))) if flips else crops, contexts, None)
            for (context, flip), mean in means.items():
                for at, number in enumerate(numbers):
                    mean.add(number, average_mirrored(shares[context][at :: len(numbers)], flip))
        return {one: mean.mean() for one, mean in means.items()}


def average_mirrored(scores: Float[Tensor, "views classes rows columns"], flip: bool) -> Scores:
    """The first view's scores, averaged with those of the second, which is mirrored, if `flip` asks it."""
    return (scores[0] + scores[1].flip(2)) / 2 if flip else scores[0]
