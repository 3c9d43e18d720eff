"""One pass over a picture for all ways to score it: what several ways need is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import AttentionMap
from segviz.image import SHORTEST_SIDE, Rgb, resize, to_tensor
from segviz.models.ablation import without_context
from segviz.models.blocks import ContextBlock
from segviz.models.segmenter import Segmentation, Segmenter

SINGLE_SCALE = (1.0,)
OWN_SIZE = 1.0
Scores = Float[Tensor, "classes height width"]


@dataclass(frozen=True)
class Way:
    """One way to score a picture.

    Attributes:
        scales: factors on the picture's size, each above 0; the softmax scores are averaged over them.
        flip: whether to average the mirrored picture in.
        context: False switches the context of the model's block off, see `ablation.without_context`.
    """

    scales: tuple[float, ...] = SINGLE_SCALE
    flip: bool = False
    context: bool = True


@dataclass(frozen=True)
class PictureMaps:
    """The block's maps of one picture at its own size, and those of another block on the same features."""

    own: tuple[AttentionMap, ...]
    other: tuple[AttentionMap, ...]


class Scorer:
    """Scores pictures in several ways.

    Backbone and reduction run once for each scale, whether the context is on or off. A single scale is one of the views
    of several, so it costs nothing beside them; the numbers are the same, bit by bit, as of each way alone.

    Args:
        model: a model in eval mode.
        ways: the ways by name.
        other_block: a block whose maps are wanted beside the model's own, at the picture's own size.

    Raises:
        ValueError: maps are wanted, but no way scores pictures at their own size.
    """

    def __init__(self, model: Segmenter, ways: Mapping[str, Way], other_block: ContextBlock | None = None) -> None:
        if other_block and not any(OWN_SIZE in way.scales for way in ways.values()):
            raise ValueError("maps are measured at the pictures' own size; add a way with scale 1")
        self.model, self.ways, self.other_block = model, ways, other_block
        off = any(not way.context for way in ways.values())
        self.blocks = {True: model.block} | ({False: without_context(model).block} if off else {})
        self.device = next(model.parameters()).device

    def __call__(self, image: Rgb) -> tuple[dict[str, Scores], PictureMaps | None]:
        """The scores by the name of their way, see `class_scores`, and the maps if another block is given."""
        size = (image.shape[0], image.shape[1])
        classes = self.model.classifier.out_channels
        totals = {name: torch.zeros(classes, *size, device=self.device) for name in self.ways}
        maps = None
        for scale in dict.fromkeys(scale for way in self.ways.values() for scale in way.scales):
            wanted = {name: way for name, way in self.ways.items() if scale in way.scales}
            view = self._view(image, scale, any(way.flip for way in wanted.values()))
            contexts = dict.fromkeys(way.context for way in wanted.values())
            results, other = self._run(view, tuple(contexts), self.other_block if scale == OWN_SIZE else None)
            if other:
                maps = PictureMaps(results[True].attended.maps[0], other)
            shares = {context: results[context].logits.softmax(1) for context in contexts}
            for name, way in wanted.items():
                totals[name] += resize_scores(shares[way.context], way.flip, size)
        return {name: total / len(self.ways[name].scales) for name, total in totals.items()}, maps

    def _view(self, image: Rgb, scale: float, flip: bool) -> Float[Tensor, "views 3 height width"]:
        """The picture at a scale, and its mirror image; each side has at least the 32 pixels that networks need."""
        height, width = image.shape[:2]
        size = (max(SHORTEST_SIDE, round(height * scale)), max(SHORTEST_SIDE, round(width * scale)))
        view = to_tensor(resize(image, size), self.device)
        return torch.cat((view, view.flip(3))).contiguous(memory_format=torch.channels_last) if flip else view

    def _run(
        self, view: Tensor, contexts: Sequence[bool], other: ContextBlock | None
    ) -> tuple[dict[bool, Segmentation], tuple[AttentionMap, ...]]:
        """The network's results with and without context, and the other block's maps of the first view."""
        if other is None and contexts == (True,):
            return {True: self.model(view)}, ()
        pyramid, reduced = self.model.encode(view)
        results = {
            context: self.model.decode(view, pyramid, reduced, self.blocks[context](reduced.features))
            for context in (dict.fromkeys((True, *contexts)) if other else contexts)
        }
        return results, other(reduced.features[:1]).maps[0] if other else ()


def resize_scores(scores: Float[Tensor, "views classes rows columns"], flip: bool, size: tuple[int, int]) -> Scores:
    """The first view's scores at the picture's size, averaged with those of the mirrored view if `flip` asks it."""
    shown = (scores[:1] + scores[1:].flip(3)) / 2 if flip else scores[:1]
    return F.interpolate(shown, size, mode="bilinear")[0]
