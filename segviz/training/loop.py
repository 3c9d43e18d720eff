"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields
from datetime import date
from importlib.metadata import version
from pathlib import Path
from platform import machine, processor, python_version

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from segviz.catalogue import checkpoint_file
from segviz.catalogue.curve import LogRow, write_log
from segviz.catalogue.record import SCENES, VAL, Record
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Split, load_split
from segviz.data.scenes.pool import scene_pool
from segviz.evaluation.evaluate import evaluate_samples, evaluate_scenes
from segviz.models.ablation import block_gammas
from segviz.models.blocks import ExpectationMaximization
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.registry import build, spec_of
from segviz.models.segmenter import Segmentation, Segmenter
from segviz.prediction.predictor import choose_device, device_title
from segviz.runtime.malloc import held
from segviz.training.initialise import Start, initialise, parameter_groups
from segviz.training.losses import Loss, class_weights
from segviz.training.options import TrainOptions
from segviz.training.resume import read_state, remove_state, save_state
from segviz.training.sampling import Batch, Sampler, make_pool

AUXILIARY_WEIGHT = 0.4  # of the losses on the backbone's middle features (PSANet, FLANet) and on the block's context
SIDE_STRIDE = 4  # pixels between the labels that those losses read
POLY_POWER = 0.9
WARM_UP = 0.03  # of the training, while the rate rises to its full height
STEPS_BETWEEN_ROWS = 25  # of the log
SECONDS_BETWEEN_SAVES = 30.0


@held()
def train_model(options: TrainOptions) -> Record:
    """Train one model, write its checkpoint and its log, and return the record.

    Raises:
        DataError: the data is unsound; found before the first step.
        CheckpointError: the initial weights do not fit.
    """
    spec_of(options.model)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    training, validation = load_split(options.data, "train", tqdm), load_split(options.data, "val", tqdm)
    classes = training.classes.names
    if options.scenes and classes != CAMVID.names:
        raise DataError(f"drawn scenes have CamVid's classes, {options.data} has others; use --scenes 0")
    run = Run(options, training, device)
    torch.backends.cudnn.benchmark = device.type == "cuda"  # views are all of one size
    log: list[LogRow] = []
    state = options.out.with_suffix(".resume.pt")
    losses: list[Tensor] = []  # since the log's last row
    step, before = run.restore(state, log, losses) if options.resume else (0, 0.0)
    saved = time.monotonic()
    started = saved - before
    bar = tqdm(total=options.steps, initial=step, desc=options.model, unit="step")
    try:
        while step < options.steps:
            minutes = (time.monotonic() - started) / 60
            progress = max(step / options.steps, minutes / options.budget if options.budget else 0)
            if progress >= 1:
                break
            rate = run.set_rate(options.rate * min(1, (progress + 1e-3) / WARM_UP) * (1 - progress) ** POLY_POWER)
            losses.append(run.step(run.sampler(step), step))
            step += 1
            bar.update()
            if step % STEPS_BETWEEN_ROWS == 0:
                loss = float(torch.stack(losses).mean())
                losses.clear()
                score = None
                if options.validate and step % options.validate == 0 and step < options.steps:
                    pause = time.monotonic()
                    score = evaluate_samples(run.kept.eval(), validation.samples, classes, "val").miou
                    run.set_mode()
                    started += time.monotonic() - pause
                log.append(LogRow(step, (time.monotonic() - started) / 60, rate, loss, score))
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                run.save(state, step, time.monotonic() - started, log, losses)
                saved = time.monotonic()
    except KeyboardInterrupt:  # it may fall into the middle of a step, so only whole steps are ever saved
        if state.is_file():
            bar.write(f"stopped in step {step}; the same command with --resume goes on from the last saved step")
        raise
    finally:
        bar.close()

    minutes = (time.monotonic() - started) / 60
    record = make_record(run.kept.eval(), run.start, options, validation, step, minutes, device)
    loss = float(torch.stack(losses).mean()) if losses else log.pop().loss
    log.append(LogRow(step, minutes, 0.0, loss, record.val_miou))
    checkpoint_file.write_checkpoint(options.out, run.kept, record)
    write_log(options.out.with_suffix(".csv"), log)
    remove_state(state)
    return record


class Run:
    """The networks of one training, what they are trained with, and one step."""

    def __init__(self, options: TrainOptions, training: Split, device: torch.device) -> None:
        classes = len(training.classes.names)
        self.options, self.device, self.parts = options, device, 1
        self.bfloat16 = has_bfloat16_units(device)
        self.model = build(options.model, classes, output_stride=options.output_stride)
        self.start = initialise(self.model, options.init, options.gamma) if options.init else Start("random weights")
        middle = self.model.backbone.middle_channels
        self.auxiliary = nn.Sequential(conv_bn_relu(middle, 64, 3), nn.Conv2d(64, classes, 1))
        # The context alone must tell the classes too: through a gamma near zero the block would learn next to nothing.
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
        """Everything in training mode, but for a frozen backbone."""
        self.networks.train()
        self.model.backbone.train(not self.options.freeze_backbone)

    @property
    def kept(self) -> Segmenter:
        """The averaged model, or the trained one where nothing is averaged."""
        return self.average if self.options.average else self.model

    @torch.no_grad()
    def _average(self, number: int) -> None:
        """An exponential mean whose memory grows with the training: the first steps are soon forgotten."""
        decay = min(self.options.average, (1 + number) / (10 + number))
        networks = (self.average, self.model)
        kept, newest = ([value for value in one.state_dict().values() if value.is_floating_point()] for one in networks)
        get_ema_multi_avg_fn(decay)(kept, newest, torch.tensor(number))

    def set_rate(self, rate: float) -> float:
        """The learning rate of the next step, each group's by its own factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        return rate

    def step(self, batch: Batch, number: int) -> Tensor:
        """One optimizer step; returns the loss. Out of memory, the batch is halved and the gradients are added up."""
        while True:
            torch.manual_seed(self.options.seed * 1_000_003 + number)  # dropout too resumes where it stopped
            try:
                loss = self._backward(batch)
                break
            except torch.OutOfMemoryError:
                if self.parts * 2 > len(batch[0]):
                    raise
                self.parts *= 2
            torch.cuda.empty_cache()
            size = -(-len(batch[0]) // self.parts)
            tqdm.write(f"out of memory: batches are worked through {size} pictures at a time from now on")
        nn.utils.clip_grad_norm_(self.networks.parameters(), 5.0)
        self.optimizer.step()
        self._average(number)
        return loss

    def _backward(self, batch: Batch) -> Tensor:
        """Gradients of the mean loss over the batch's parts."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        images, labels = (part.chunk(self.parts) for part in batch)
        for image, label in zip(images, labels, strict=True):
            share = len(image) / len(batch[0])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                result = self.model(image)
                sides = self.auxiliary(result.middle), self.context(result.attended.context)
                coarse = label[:, 1::SIDE_STRIDE, 1::SIDE_STRIDE]  # sides are coarse: a sixteenth of the pixels will do
            grown = [F.interpolate(side, coarse.shape[1:], mode="bilinear") for side in sides]
            side = torch.stack([self.loss(logits, coarse) for logits in grown]).sum()
            loss = share * (self.loss(result.logits, label) + AUXILIARY_WEIGHT * side)
            loss.backward()
            update_bases(self.model, result)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def save(self, path: Path, step: int, seconds: float, log: list[LogRow], losses: list[Tensor]) -> None:
        """Keep what `restore` needs."""
        state = {"identity": self.options.identity, "step": step, "seconds": seconds, "losses": losses}
        state |= {"log": [tuple(getattr(row, one.name) for one in fields(LogRow)) for row in log]}
        state |= {"networks": self.networks.state_dict(), "average": self.average.state_dict()}
        save_state(path, state | {"optimizer": self.optimizer.state_dict()})

    def restore(self, path: Path, log: list[LogRow], losses: list[Tensor]) -> tuple[int, float]:
        """Put an interrupted run's weights, log and losses back; returns its steps and seconds.

        Raises:
            DataError: see `read_state`.
        """
        state = read_state(path, self.options.identity)
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        log[:] = [LogRow(*row) for row in state["log"]]
        losses[:] = [one.to(self.device) for one in state.get("losses", ())]
        return int(state["step"]), float(state["seconds"])


def make_record(
    model: Segmenter,
    start: Start,
    options: TrainOptions,
    validation: Split,
    steps: int,
    minutes: float,
    device: torch.device,
) -> Record:
    """The record of a finished training, with its scores on val and, where scenes were mixed in, on unseen scenes."""
    model.load_state_dict({name: round_to_half(value) for name, value in model.state_dict().items()})
    classes = validation.classes.names
    evaluations = {VAL: evaluate_samples(model, validation.samples, classes, f"{options.data.name} val")}
    if options.scenes:
        evaluations[SCENES] = evaluate_scenes(model, classes)
    return Record(
        model=options.model,
        classes=classes,
        backbone=spec_of(options.model).backbone,
        output_stride=model.backbone.output_stride,
        command=options.command,
        data=f"{options.data.name} train"
        + (f" and {options.scenes} drawn scenes ({options.scene_share:.0%} of each batch)" if options.scenes else ""),
        initial=start.title,
        lineage=start.lineage,
        seed=options.seed,
        steps=steps,
        minutes=round(minutes, 1),
        hardware=f"{device_title(device)}, {processor() or machine()}",
        date=date.today().isoformat(),
        versions={
            "python": python_version(),
            **{name: version(name) for name in ("torch", "timm", "torchvision", "numpy")},
        },
        gammas=block_gammas(model),
        evaluations=evaluations,
    )


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether the device has units that multiply in bfloat16: a GPU, or a CPU with AMX."""
    # Older versions of torch cannot tell.
    capabilities: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    return device.type == "cuda" or bool(capabilities().get("amx_bf16"))


@torch.no_grad()
def context_channels(model: Segmenter) -> int:
    """How many channels the block's context has: found by one small forward, which leaves no trace."""
    training = model.training
    channels = model.eval()(torch.zeros(1, 3, 64, 64)).attended.context.shape[1]
    model.train(training)
    return int(channels)


def round_to_half(value: Tensor) -> Tensor:
    """A weight as the checkpoint will hold it: the scores are those of the file, not of the float32 network."""
    return value.half().to(value.dtype) if value.is_floating_point() else value


def update_bases(model: Segmenter, result: Segmentation) -> None:
    """EMA's initial bases follow the batch's, outside of the forward pass."""
    for module in model.modules():
        if isinstance(module, ExpectationMaximization):
            module.update(result.attended.maps)
