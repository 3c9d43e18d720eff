"""One training's networks, optimizer, loss and data; one step; and how they are saved and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segviz.catalogue.curve import LogRow
from segviz.data.sample import DataError, Split
from segviz.data.scenes.pool import scene_pool
from segviz.models.ablation import block_gammas
from segviz.models.blocks import ExpectationMaximization
from segviz.models.registry import build
from segviz.models.segmenter import BlockNetwork, Segmentation
from segviz.runtime.out_of_memory import is_out_of_memory
from segviz.training.augmentation import random_view
from segviz.training.auxiliary import make_auxiliary_heads, run_with_features
from segviz.training.batch_parts import check_norms, describe_halving, describe_single_value, is_single_value
from segviz.training.initialise import Start, initialise
from segviz.training.losses import Loss, class_weights
from segviz.training.optimizer import make_optimizer
from segviz.training.options import TrainOptions
from segviz.training.processes import ALONE, Processes
from segviz.training.resume import read_state, save_state
from segviz.training.sampling import Batch, Sampler, make_pool
from segviz.training.synchronised import share_over


class TrainingRun:
    """The networks of one training, their optimizer, loss and data, and one step.

    Args:
        options: what to train, and how.
        training: the split to train on.
        device: where.
        processes: those that share each batch.
    """

    def __init__(
        self, options: TrainOptions, training: Split, device: torch.device, processes: Processes = ALONE
    ) -> None:
        classes = len(training.classes.names)
        self.options, self.device, self.parts, self.processes = options, device, options.parts, processes
        self.bfloat16 = has_bfloat16_units(device)
        self.model = build(options.model, classes, options.backbone, options.output_stride, options.options)
        if options.gamma and not block_gammas(self.model):
            raise DataError(f"--gamma has no effect on {options.model}, whose block has no gamma; remove it")
        self.start = initialise(self.model, options.init, options.gamma) if options.init else Start("random weights")
        self.heads = make_auxiliary_heads(self.model, options.auxiliary, options.auxiliary_width, classes)
        self.networks = nn.ModuleDict({"model": self.model, "heads": self.heads})
        self.model.extractor.requires_grad_(not options.freeze_backbone)
        self.set_mode()
        check_norms(self.networks, options, processes)
        self.networks.to(device).to(memory_format=torch.channels_last)
        processes.copy_from_first(self.networks)
        self.average = deepcopy(self.model).requires_grad_(False)
        self.optimizer = make_optimizer(options, self.networks, device)
        share_over(processes, self.networks, device)
        weights = class_weights(training.samples, classes) if options.class_weights else torch.ones(classes)
        self.loss = Loss(
            weights.to(device), options.smoothing, options.hard_share, options.jaccard, options.ohem, processes
        )
        scenes = scene_pool(options.scenes, 0) if options.scenes else []
        self.sampler = Sampler(
            make_pool(training.samples, classes, device),
            make_pool(scenes, classes, device),
            options.seed,
            options.batch,
            options.crop,
            options.scene_share,
            options.balance,
            partial(random_view, views=options.views),
            (processes.index, processes.count),
        )

    def set_mode(self) -> None:
        """Set everything but a frozen backbone to training mode."""
        self.networks.train()
        self.model.extractor.train(not self.options.freeze_backbone)

    @property
    def checkpoint_model(self) -> BlockNetwork:
        """The averaged model, or the trained one if there is no averaging."""
        return self.average if self.options.average else self.model

    @torch.no_grad()
    def _average(self, number: int) -> None:
        """Update the exponential mean; its memory grows with the training, so the first steps are soon forgotten."""
        decay = min(self.options.average, (1 + number) / (10 + number))
        networks = (self.average, self.model)
        average, newest = (
            [value for value in network.state_dict().values() if value.is_floating_point()] for network in networks
        )
        get_ema_multi_avg_fn(decay)(average, newest, torch.tensor(number))

    @property
    def rate(self) -> float:
        """The learning rate that was set last, also by the run that this one resumes, without the groups' factors."""
        group = self.optimizer.param_groups[0]
        return float(group["lr"] / group["scale"])

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step, scaled by each group's factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

    def is_finite(self) -> bool:
        """Whether every weight can be written to a checkpoint, in float16."""
        with torch.no_grad():
            largest = [
                value.abs().max()
                for network in (self.model, self.checkpoint_model)
                for value in network.state_dict().values()
                if value.is_floating_point() and value.numel()
            ]
            return bool(torch.stack(largest).max() <= torch.finfo(torch.float16).max)  # False for NaN

    def step(self, batch: Batch, number: int) -> Tensor:
        """Take one optimizer step and return the loss; where memory is short, all processes halve their parts.

        Raises:
            DataError: a part became so small that BatchNorm cannot work.
            OutOfMemoryError: there is no room for one picture.
        """
        parameters, buffers = list(self.networks.parameters()), list(self.networks.buffers())
        before = [one.clone() for one in buffers]
        while True:
            torch.manual_seed(self.options.seed * 1_000_003 + number)  # dropout resumes where it stopped, too
            try:
                loss = self.processes.do_together(
                    lambda: self.processes.sum_gradients(parameters, self._backward(batch))
                )
                break
            except ValueError as error:
                if not is_single_value(error):
                    raise
                raise DataError(describe_single_value(self.options, self.parts)) from None
            except RuntimeError as error:
                if not is_out_of_memory(error) or self.parts * 2 > len(batch[0]):
                    raise
                reason = str(error) if self.processes.count > 1 else "out of memory"
            self._halve(reason, len(batch[0]))
            for one, kept in zip(buffers, before, strict=True):
                one.copy_(kept)  # as if nothing had been tried
        if self.options.clip:
            nn.utils.clip_grad_norm_(parameters, self.options.clip)
        self.optimizer.step()
        if self.options.average:
            self._average(number)
        return loss

    def _halve(self, reason: str, pictures: int) -> None:
        """Process half as many of a batch's pictures at a time, and say so."""
        self.parts *= 2
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        self.processes.say(describe_halving(reason, -(-pictures // self.parts), self.processes))

    def _backward(self, batch: Batch) -> Tensor:
        """Compute the gradients of the batch's mean loss, part by part, and return the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        images, labels = (part.chunk(self.parts) for part in batch)
        for image, label in zip(images, labels, strict=True):
            share = len(image) / len(batch[0])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                result, features = run_with_features(self.model, self.model.expects.from_signed(image))
                sides = {point: head(features[point]) for point, head in self.heads.items()}
            loss = share * (self.loss(result.logits, label) + self._auxiliary_loss(sides, label))
            loss.backward()
            update_bases(self.model, result, self.processes)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _auxiliary_loss(self, sides: Mapping[str, Tensor], label: Tensor) -> Tensor | float:
        """The weighted sum of the auxiliary losses."""
        stride = self.options.auxiliary_stride  # they are coarse: a part of the pixels may be enough
        first = (stride - 1) // 2
        coarse = label[:, first::stride, first::stride]
        losses: dict[float, list[Tensor]] = {}
        for point, logits in sides.items():
            grown = F.interpolate(logits, coarse.shape[1:], mode="bilinear")
            losses.setdefault(self.options.auxiliary[point], []).append(self.loss(grown, coarse))
        return sum(weight * torch.stack(some).sum() for weight, some in losses.items())

    def save(self, path: Path, step: int, seconds: float, log: list[LogRow], losses: list[Tensor]) -> None:
        """Save what `restore` needs."""
        state = {"identity": self.options.identity, "step": step, "seconds": seconds, "losses": losses}
        state |= {"log": [tuple(getattr(row, field.name) for field in fields(LogRow)) for row in log]}
        state |= {"networks": self.networks.state_dict(), "average": self.average.state_dict()}
        save_state(path, state | {"optimizer": self.optimizer.state_dict()})

    def restore(self, path: Path, log: list[LogRow], losses: list[Tensor]) -> tuple[int, float]:
        """Restore an interrupted run's weights, log and losses; return its steps and seconds.

        Raises:
            DataError: see `read_state`.
        """
        state = read_state(path, self.options.identity)
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        log[:] = [LogRow(*row) for row in state["log"]]
        losses[:] = [loss.to(self.device) for loss in state.get("losses", ())]
        return int(state["step"]), float(state["seconds"])


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: a GPU, or a CPU with AMX."""
    # Older versions of torch lack get_capabilities.
    capabilities: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    return device.type == "cuda" or bool(capabilities().get("amx_bf16"))


def update_bases(model: BlockNetwork, result: Segmentation, processes: Processes = ALONE) -> None:
    """Update EMA's initial bases from the batch's, outside the forward pass."""
    for module in model.modules():
        if isinstance(module, ExpectationMaximization):
            module.update(result.attended.maps)
            processes.average(module.initial_bases)
