"""One training's networks, optimizer, loss and data; one step; and how they are saved and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from segviz.catalogue.curve import LogRow
from segviz.data.dataset import DataError, Split
from segviz.data.scenes.pool import scene_pool
from segviz.models.ablation import block_gammas
from segviz.models.blocks import ExpectationMaximization
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.registry import build
from segviz.models.segmenter import Segmentation, Segmenter
from segviz.training.initialise import Start, initialise, parameter_groups
from segviz.training.losses import Loss, class_weights
from segviz.training.options import TrainOptions
from segviz.training.resume import read_state, save_state
from segviz.training.sampling import Batch, Sampler, make_pool

AUXILIARY_WEIGHT = 0.4  # ours, of the losses on the middle features and on the context; FLANet and PSANet name none
SIDE_STRIDE = 4  # pixels between the labels in those losses


class TrainingRun:
    """The networks of one training, their optimizer, loss and data, and one step."""

    def __init__(self, options: TrainOptions, training: Split, device: torch.device) -> None:
        classes = len(training.classes.names)
        self.options, self.device, self.parts = options, device, 1
        self.bfloat16 = has_bfloat16_units(device)
        self.model = build(options.model, classes, output_stride=options.output_stride)
        if options.gamma and not block_gammas(self.model):
            raise DataError(f"--gamma has no effect on {options.model}, whose block has no gamma; remove it")
        self.start = initialise(self.model, options.init, options.gamma) if options.init else Start("random weights")
        middle = self.model.backbone.middle_channels
        self.auxiliary = nn.Sequential(conv_bn_relu(middle, 64, 3), nn.Conv2d(64, classes, 1))
        # The context has its own loss: through a gamma near zero the block would hardly learn.
        self.context = nn.Conv2d(context_channels(self.model), classes, 1)
        self.networks = nn.ModuleDict({"model": self.model, "auxiliary": self.auxiliary, "context": self.context})
        self.networks.to(device).to(memory_format=torch.channels_last)
        self.average = deepcopy(self.model).requires_grad_(False)
        groups = parameter_groups(self.networks, options.rate)
        self.optimizer = torch.optim.AdamW(groups, weight_decay=1e-4, fused=device.type == "cuda")
        weights = class_weights(training.samples, classes).to(device)
        self.loss = Loss(weights, options.smoothing, options.hard_share, options.jaccard)
        scenes = scene_pool(options.scenes, 0) if options.scenes else []
        self.sampler = Sampler(
            make_pool(training.samples, classes, device),
            make_pool(scenes, classes, device),
            options.seed,
            options.batch,
            options.crop,
            options.scene_share,
            options.balance,
        )
        self.model.backbone.requires_grad_(not options.freeze_backbone)
        self.set_mode()

    def set_mode(self) -> None:
        """Set everything but a frozen backbone to training mode."""
        self.networks.train()
        self.model.backbone.train(not self.options.freeze_backbone)

    @property
    def checkpoint_model(self) -> Segmenter:
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

    def set_rate(self, rate: float) -> float:
        """Set the learning rate of the next step, scaled by each group's factor, and return it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        return rate

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
        """Take one optimizer step and return the loss; out of memory, halve the batch and accumulate gradients."""
        while True:
            torch.manual_seed(self.options.seed * 1_000_003 + number)  # dropout resumes where it stopped, too
            try:
                loss = self._backward(batch)
                break
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise DataError(self._describe_single_value(len(batch[0]))) from None
            except torch.OutOfMemoryError:
                if self.parts * 2 > len(batch[0]):
                    raise
                self.parts *= 2
            torch.cuda.empty_cache()
            size = -(-len(batch[0]) // self.parts)
            tqdm.write(f"out of memory: from now on each batch is processed {size} pictures at a time")
        nn.utils.clip_grad_norm_(self.networks.parameters(), 5.0)
        self.optimizer.step()
        self._average(number)
        return loss

    def _describe_single_value(self, pictures: int) -> str:
        """Why BatchNorm has nothing to normalise over, and what to do about it."""
        at_once, (height, width) = -(-pictures // self.parts), self.options.crop
        stride = self.model.backbone.output_stride
        return (
            f"BatchNorm needs several values, but a batch of {at_once} with a crop of {height} x {width} at output "
            f"stride {stride} has only one in some layer; use a larger --batch or --crop, or a smaller --output-stride"
        )

    def _backward(self, batch: Batch) -> Tensor:
        """Compute the gradients of the batch's mean loss, part by part, and return the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        images, labels = (part.chunk(self.parts) for part in batch)
        for image, label in zip(images, labels, strict=True):
            share = len(image) / len(batch[0])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                result = self.model(image)
                sides = self.auxiliary(result.middle), self.context(result.attended.context)
                coarse = label[
                    :, 1::SIDE_STRIDE, 1::SIDE_STRIDE
                ]  # sides are coarse: a sixteenth of the pixels is enough
            grown = [F.interpolate(side, coarse.shape[1:], mode="bilinear") for side in sides]
            side = torch.stack([self.loss(logits, coarse) for logits in grown]).sum()
            loss = share * (self.loss(result.logits, label) + AUXILIARY_WEIGHT * side)
            loss.backward()
            update_bases(self.model, result)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

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


@torch.no_grad()
def context_channels(model: Segmenter) -> int:
    """The number of channels of the block's context, found by one small forward pass that changes nothing."""
    training = model.training
    channels = model.eval()(torch.zeros(1, 3, 64, 64)).attended.context.shape[1]
    model.train(training)
    return int(channels)


def update_bases(model: Segmenter, result: Segmentation) -> None:
    """Update EMA's initial bases from the batch's, outside the forward pass."""
    for module in model.modules():
        if isinstance(module, ExpectationMaximization):
            module.update(result.attended.maps)
