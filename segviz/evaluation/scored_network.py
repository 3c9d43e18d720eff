"""What is scored: a network that gives class scores for views of a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import AttentionMap
from segviz.image import Rgb
from segviz.models.ablation import without_context
from segviz.models.blocks import ContextBlock
from segviz.models.picture_input import PictureInput
from segviz.models.segmenter import BlockNetwork, Segmentation

ViewShares = Float[Tensor, "views classes height width"]
TwoMaps = tuple[tuple[AttentionMap, ...], tuple[AttentionMap, ...]]


@runtime_checkable  # as the tests check types as they run
class RunNetwork(Protocol):
    """Runs a network."""

    def __call__(
        self, views: Tensor, contexts: Sequence[bool], other: ContextBlock | None, /
    ) -> tuple[Mapping[bool, ViewShares], TwoMaps | None]:
        """Softmax scores in [0, 1] at the views' size, with and without context, and maps of the first view.

        Args:
            views: (n, 3, height, width), as `NetworkToScore.see` makes them, or crops of these.
            contexts: True, False or both: whether the context is on.
            other: a block whose maps are wanted beside the network's own.
        """


@runtime_checkable
class NetworkToScore(Protocol):
    """A network that can be scored: a `BlockNetwork` as `ScoredBlockNetwork`, any other as the caller wraps it."""

    @property
    def class_count(self) -> int:
        """The number of classes."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    def see(self, picture: Rgb) -> Float[Tensor, "1 3 height width"]:
        """A view of a picture; zeros are the mean colour, which pads small pictures."""

    def prepare(self, contexts: Collection[bool]) -> RunNetwork:
        """What runs it with the context on, off, or both.

        Raises:
            ValueError: it has no context to switch off.
        """


class ScoredBlockNetwork:
    """A network around one context block: a bundled model, a paper's network, or published weights.

    Args:
        network: in eval mode, on the device where it is to run.
        expects: what it expects of a picture, where that is not what the network itself says.
    """

    def __init__(self, network: BlockNetwork, expects: PictureInput | None = None) -> None:
        self.network, self.expects = network, expects or network.expects
        self.class_count: int = network.class_count
        self.device = next(network.parameters()).device

    def see(self, picture: Rgb) -> Float[Tensor, "1 3 height width"]:
        """The picture as the network expects it."""
        return self.expects.prepare(picture, self.device)

    def prepare(self, contexts: Collection[bool]) -> RunNetwork:
        """What runs it; the block without context is a copy."""
        blocks = {True: self.network.block}
        if False in contexts:
            blocks[False] = without_context(self.network).block

        def run(
            views: Tensor, wanted: Sequence[bool], other: ContextBlock | None, /
        ) -> tuple[Mapping[bool, ViewShares], TwoMaps | None]:
            seen = views.contiguous(memory_format=torch.channels_last)
            results, others = run_blocks(self.network, blocks, seen, wanted, other)
            shares = {context: results[context].logits.softmax(1) for context in wanted}
            return shares, (results[True].attended.maps[0], others) if other else None

        return run


def run_blocks(
    network: BlockNetwork,
    blocks: Mapping[bool, ContextBlock],
    views: Tensor,
    contexts: Sequence[bool],
    other: ContextBlock | None,
) -> tuple[dict[bool, Segmentation], tuple[AttentionMap, ...]]:
    """The network's results with and without context, and the other block's maps of the first view."""
    if other is None and tuple(contexts) == (True,):
        return {True: network(views)}, ()
    pyramid, reduced = network.encode(views)
    results = {
        context: network.decode(views, pyramid, reduced, blocks[context](reduced.features))
        for context in (dict.fromkeys((True, *contexts)) if other else contexts)
    }
    return results, other(reduced.features[:1]).maps[0] if other else ()
