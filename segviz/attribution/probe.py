"""A private copy of a model that computes the target's score, counts its evaluations and bounds their memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from segviz.attention.maps import Attended, Grid
from segviz.attribution.target import AttributionError
from segviz.models.blocks import ContextBlock
from segviz.settings import MIB

PLAIN_MIB = 96  # a forward pass without gradients at the working size: 38 to 58 MiB measured for the registry's models
HEADROOM = 1.1  # the backward's gradients, on top of what the forward keeps: 2 to 5 % measured
LARGEST_BATCH = {"cuda": 16}  # one picture elsewhere: a CPU gains little, and answers a cancel sooner

Progress = Callable[[int, int], None]
Check = Callable[[], None]


class ProbedBlock(ContextBlock):
    """A block whose input and output features pass through modules, where Captum can watch them."""

    def __init__(self, block: ContextBlock) -> None:
        super().__init__()
        self.before, self.block, self.after = nn.Identity(), block, nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """What the block returns."""
        attended: Attended = self.block(self.before(x), residual)
        return replace(attended, features=self.after(attended.features))

    def switch_off(self) -> None:
        """Switch the block's context off."""
        self.block.switch_off()


class LayerProbe(nn.Module):
    """A layer of any network, whose input and output features pass through modules, where Captum can watch them.

    Args:
        layer: the module; its first argument and its output, or the output's first part, are features.
        grid: rows and columns of its cells; features that do not lie on them pass unseen.
        tokens: which of its tokens the cells are, as `HeadMap.cell_tokens`.
    """

    def __init__(self, layer: nn.Module, grid: Grid, tokens: Sequence[int] | None = None) -> None:
        super().__init__()
        self.tokens = tokens
        self.before, self.layer, self.after = nn.Identity(), layer, nn.Identity()
        self.grid = grid

    def forward(self, *args: Any, **options: Any) -> Any:
        """What the layer returns."""
        if args:
            args = (pass_through(self.before, args[0], self.grid, self.tokens), *args[1:])
        output = self.layer(*args, **options)
        if isinstance(output, tuple):
            return (pass_through(self.after, output[0], self.grid, self.tokens), *output[1:])
        return pass_through(self.after, output, self.grid, self.tokens)

    def __getattr__(self, name: str) -> Any:
        """A layer's own attributes, which the code around it may read."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def pass_through(module: nn.Module, features: Any, grid: Grid, tokens: Sequence[int] | None = None) -> Any:
    """Features after a module that sees them as (batch, channels, rows, columns).

    Forms: (B, C, H, W); (B, H, W, C); (B, N, C) with the cells last, or those that `tokens` number. Others pass unseen.
    """
    if not isinstance(features, Tensor):
        return features
    cells = grid[0] * grid[1]
    if features.dim() == 4 and tuple(features.shape[2:]) == grid:
        return module(features)
    if features.dim() == 4 and tuple(features.shape[1:3]) == grid:
        return module(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    if features.dim() == 3 and 0 < cells <= features.shape[1]:
        numbers = range(features.shape[1] - cells, features.shape[1]) if tokens is None else tokens
        if max(numbers) >= features.shape[1]:
            return features
        chosen = torch.tensor(list(numbers), device=features.device)
        seen = module(features[:, chosen].mT.unflatten(2, grid)).flatten(2).mT
        return features.index_copy(1, chosen, seen)
    return features


class Probe:
    """The score of a target as a function of pictures, on a private copy of the model.

    Captum registers hooks on modules, so a shared model would hand one session's activations to another.
    `progress(done, total)` is called before each evaluation; whatever it raises ends the attribution and frees the
    copy. `score` is that of the first picture evaluated, which is the picture itself.

    Args:
        model: the model; it is copied with frozen parameters, and stays as it is.
        class_index: the target's class.
        weights: the target's weight of each pixel; they sum to 1.
        total: how many pictures will be evaluated.
        progress: called with the number of pictures evaluated so far, and `total`.
        memory_mib: what one forward may keep for its backward, in MiB.
        check: called before each layer of a forward pass, and for each tensor of a backward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        class_index: int,
        weights: Float[Tensor, "height width"],
        total: int,
        progress: Progress | None,
        memory_mib: int,
        check: Check | None = None,
    ) -> None:
        self.model: Any = deepcopy(model).eval().requires_grad_(False)
        ask = check or (lambda: None)
        for layer in self.model.modules():
            layer.register_forward_pre_hook(lambda *_: ask())  # no reference to the probe here: in a reference
        self.unpack = partial(unpack_tensor, ask)  # cycle it would outlive its call, with all that it keeps
        block: Any = self.model.block
        self.block = block if isinstance(block, LayerProbe) else ProbedBlock(block)
        self.model.block = self.block
        self.class_index, self.weights = class_index, weights
        self.done, self.total, self.progress, self.memory_mib = 0, total, progress, memory_mib
        self.kept_mib = 0.0
        self.score = math.nan

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        """Each picture's score.

        Raises:
            AttributionError: the forward keeps more than `memory_mib` for its backward.
        """
        self.report(self.done)
        kept = KeptMemory(self.model, self.memory_mib)
        with saved_tensors_hooks(kept.pack, self.unpack):
            logits = self.model(images).logits[:, self.class_index]
            scores: Tensor = (logits * self.weights).sum((1, 2))
        if self.done == 0:
            self.score = float(scores.detach()[0])
        self.done += len(images)
        self.kept_mib = max(self.kept_mib, kept.bytes / MIB / len(images))
        return scores

    def report(self, done: int) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(done, self.total)

    def batch(self, need_mib: float) -> int:
        """How many pictures fit into the bound at once, at least one."""
        return max(1, min(LARGEST_BATCH.get(self.weights.device.type, 1), int(self.memory_mib / max(need_mib, 1e-9))))


def unpack_tensor(check: Check, tensor: Tensor) -> Tensor:
    """Autograd's call for each tensor that a backward needs."""
    check()
    return tensor


class KeptMemory:
    """Counts the memory that a forward pass keeps for its backward pass: each storage once, without the weights."""

    def __init__(self, model: nn.Module, limit_mib: int) -> None:
        self.limit_mib, self.bytes = limit_mib, 0
        self.seen = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}

    def pack(self, tensor: Tensor) -> Tensor:
        """Autograd's call for each tensor that it keeps.

        Raises:
            AttributionError: the forward keeps more than the bound.
        """
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen:
            self.seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
            if self.bytes > self.limit_mib * MIB:
                raise AttributionError(
                    f"gradients of this model need more than {self.limit_mib} MiB a picture; raise memory_mib, or use "
                    "Occlusion, which needs none"
                )
        return tensor.detach()  # the tensor itself would refer to the graph that keeps it, and never be freed
