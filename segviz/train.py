"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from platform import machine, processor, python_version
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from segviz import checkpoint
from segviz.data.augmentation import augment
from segviz.data.classes import CAMVID, VOID
from segviz.data.folder import DataError, Sample, Split, load_split
from segviz.data.pool import scene_pool
from segviz.evaluate import class_iou, evaluate, evaluate_scenes
from segviz.models.blocks import ExpectationMaximization
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.registry import build, spec_of
from segviz.models.segmenter import Segmentation, Segmenter
from segviz.predict import choose_device, device_title

AUXILIARY_WEIGHT = 0.4  # of the loss on the backbone's middle features (PSANet, FLANet)
POLY_POWER = 0.9
CLASS_POWER = -0.2
GAMMA_RATE = 10.0  # gammas start at zero and are few: at the common rate a short training leaves them there
BACKBONE_RATE = 0.4
STEPS_BETWEEN_SAVES = 25  # under a minute, on two CPU cores
PREFETCHED = 3


@dataclass(frozen=True)
class TrainOptions:
    """What the command line sets.

    Attributes:
        model: a row of MODELS.
        data: the data set's folder.
        out: the checkpoint to write.
        init: weights to start from: a checkpoint of ours, or a timm backbone's safetensors.
        steps, batch, crop: length, images a step, (height, width) of a view in pixels.
        rate: the largest learning rate; it falls to zero by the poly rule.
        budget: minutes, after which training ends however many steps it made; the schedule is fitted to it.
        scenes, scene_share: how many drawn scenes to mix in, and their share of each batch.
        freeze_backbone: leave the backbone as `init` has it, which halves the time of a step.
        output_stride: of the backbone while training; the model's own by default. Weights fit any.
        resume: go on from the state of an interrupted run.
        command: what the record says was typed.
    """

    model: str
    data: Path
    out: Path
    init: Path | None = None
    steps: int = 1000
    batch: int = 4
    crop: tuple[int, int] = (288, 288)
    rate: float = 1e-3
    budget: float | None = None
    seed: int = 0
    scenes: int = 300
    scene_share: float = 0.3
    freeze_backbone: bool = False
    output_stride: int | None = None
    resume: bool = False
    device: str = "auto"
    command: str = ""


def train(options: TrainOptions) -> checkpoint.Record:
    """Train one model, write its checkpoint, and return the record.

    Raises:
        DataError: the data is unsound; found before the first step.
        CheckpointError: the initial weights do not fit.
    """
    spec_of(options.model)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    training, validation = load_split(options.data, "train", tqdm), load_split(options.data, "val", tqdm)
    scenes = scene_pool(options.scenes, 0) if options.scenes else []
    classes = training.classes.names
    if options.scenes and classes != CAMVID.names:
        raise DataError(f"drawn scenes have CamVid's classes, {options.data} has others; use --scenes 0")
    model = build(options.model, len(classes), output_stride=options.output_stride)
    start = initialise(model, options.init) if options.init else Start("random weights")
    auxiliary = nn.Sequential(conv_bn_relu(model.backbone.middle_channels, 64, 3), nn.Conv2d(64, len(classes), 1))
    networks = nn.ModuleDict({"model": model, "auxiliary": auxiliary})
    networks.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(networks, options.rate), weight_decay=1e-4)

    weights = class_weights(training).to(device)
    state = options.out.with_suffix(".resume.pt")
    step, before = restore(state, networks, optimizer, options) if options.resume else (0, 0.0)
    started = time.monotonic() - before
    bar = tqdm(total=options.steps, initial=step, desc=options.model, unit="step")
    networks.train()
    if options.freeze_backbone:
        model.backbone.requires_grad_(False).eval()
    batches = prefetched(training.samples, scenes, options, step)
    try:
        for images, labels in batches:
            minutes = (time.monotonic() - started) / 60
            progress = max(step / options.steps, minutes / options.budget if options.budget else 0)
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = options.rate * group["scale"] * (1 - progress) ** POLY_POWER
            torch.manual_seed(options.seed * 1_000_003 + step)  # dropout too resumes where it stopped
            images, labels = normalised(images.to(device)), labels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                result = model(images)
                side = F.interpolate(auxiliary(result.middle), labels.shape[1:], mode="bilinear")
            loss = cross_entropy(result.logits, labels, weights)
            loss = loss + AUXILIARY_WEIGHT * cross_entropy(side, labels, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(networks.parameters(), 5.0)
            optimizer.step()
            update_bases(model, result)
            step += 1
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            if step % STEPS_BETWEEN_SAVES == 0:
                save_state(state, networks, optimizer, options, step, time.monotonic() - started)
    except KeyboardInterrupt:  # it may fall into the middle of a step, so only whole steps are ever saved
        if state.is_file():
            bar.write(f"stopped in step {step}; the same command with --resume goes on from the last saved step")
        raise
    finally:
        batches.close()
        bar.close()

    minutes = (time.monotonic() - started) / 60
    record = scored(model.eval(), options, validation, step, minutes, start, device)
    checkpoint.write(options.out, model, record)
    state.unlink(missing_ok=True)
    return record


def scored(
    model: Segmenter,
    options: TrainOptions,
    validation: Split,
    steps: int,
    minutes: float,
    start: Start,
    device: torch.device,
) -> checkpoint.Record:
    """The record of a finished training, with its scores on val and, where scenes were mixed in, on unseen scenes."""
    model.load_state_dict({name: rounded(value) for name, value in model.state_dict().items()})
    classes = validation.classes.names
    on_val = evaluate(model, validation.samples, len(classes), "evaluating val")
    on_scenes = evaluate_scenes(model, len(classes)) if options.scenes else None
    return checkpoint.Record(
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
        val_miou=round(on_val.mean_iou, 4),
        scenes_miou=round(on_scenes.mean_iou, 4) if on_scenes else None,
        iou=class_iou(on_val, classes),
        scenes_iou=class_iou(on_scenes, classes) if on_scenes else {},
        versions={
            "python": python_version(),
            **{name: version(name) for name in ("torch", "timm", "torchvision", "numpy")},
        },
    )


def rounded(value: Tensor) -> Tensor:
    """A weight as the checkpoint will hold it: the scores are those of the file, not of the float32 network."""
    return value.half().to(value.dtype) if value.is_floating_point() else value


@dataclass(frozen=True)
class Start:
    """Where a training starts, for its record: in words, and the commands that led there."""

    title: str
    lineage: tuple[str, ...] = ()


def initialise(model: Segmenter, path: Path) -> Start:
    """Start from a checkpoint of ours or from a backbone's weights.

    From a checkpoint, every tensor of the same name and shape is taken. A layer that reads more channels than
    the checkpoint's starts with zeros on the further ones, so the model starts out as the checkpoint's.

    Raises:
        CheckpointError: the file is missing, or nothing in it fits.
    """
    if not path.is_file():
        raise checkpoint.CheckpointError(f"there are no weights {path}; check --init")
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise checkpoint.CheckpointError(f"{path} is not a whole safetensors file ({error}); check --init") from None
    weights = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    own = model.state_dict()
    ours = any(name.startswith("backbone.") for name in weights)
    if not ours:
        weights = {f"backbone.body.{name}": value for name, value in weights.items()}
    taken = 0
    for name, value in weights.items():
        if name in own and fits(own[name], value):
            own[name].zero_()[tuple(slice(size) for size in value.shape)] = value
            taken += 1
    if not taken:
        raise checkpoint.CheckpointError(
            f"{path} holds no weight that fits the model; use a checkpoint or a backbone's weights"
        )
    before = checkpoint.read_record(path) if ours else None
    lineage = (*before.lineage, before.command) if before else ()
    return Start(f"{path.name} ({taken} of {len(own)} tensors)", lineage)


def fits(own: Tensor, value: Tensor) -> bool:
    """The same shape, or but for more input channels."""
    if own.shape == value.shape:
        return True
    return own.dim() == value.dim() == 4 and own.shape[0] == value.shape[0] and own.shape[1] > value.shape[1]


def parameter_groups(networks: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Parameters by the factor on their learning rate: backbone, gammas, all others."""
    groups: dict[float, list[nn.Parameter]] = {BACKBONE_RATE: [], GAMMA_RATE: [], 1.0: []}
    for name, parameter in networks.named_parameters():
        gamma = name.endswith("gamma")
        groups[GAMMA_RATE if gamma else BACKBONE_RATE if ".backbone." in name else 1.0].append(parameter)
    return [{"params": members, "scale": scale, "lr": rate * scale} for scale, members in groups.items() if members]


def class_weights(split: Split) -> Tensor:
    """Weights of the loss, `share ** -0.2` of each class's pixels, with mean 1 over pixels.

    Without weights rare classes lost recall (poles 0.51, at a precision of 0.76), with the square root of the
    share they lost precision (0.47, at a recall of 0.73); mIoU wants both alike.
    """
    classes = len(split.classes.names)
    counts = np.sum([np.bincount(sample.labels.ravel(), minlength=256)[:classes] for sample in split.samples], 0)
    share = np.maximum(counts, 1) / counts.sum()
    weights = share**CLASS_POWER
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy in float32; void pixels are left out."""
    return F.cross_entropy(logits.float(), labels, weights, ignore_index=VOID)


def normalised(images: Tensor) -> Tensor:
    """A uint8 batch (B, H, W, 3) as the network's input."""
    return (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def update_bases(model: Segmenter, result: Segmentation) -> None:
    """EMA's initial bases follow the batch's, outside of the forward pass."""
    for module in model.modules():
        if isinstance(module, ExpectationMaximization):
            module.update(result.attended.maps)


def prefetched(
    samples: tuple[Sample, ...], scenes: list[Sample], options: TrainOptions, first: int
) -> Generator[tuple[Tensor, Tensor]]:
    """Batches from step `first` on, made a few ahead in a thread; a batch depends on seed and step alone."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make_batch, samples, scenes, options, first + ahead) for ahead in range(PREFETCHED)]
        step = first + PREFETCHED
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(make_batch, samples, scenes, options, step))
                step += 1
        finally:
            for batch in waiting:
                batch.cancel()


def make_batch(
    samples: tuple[Sample, ...], scenes: list[Sample], options: TrainOptions, step: int
) -> tuple[Tensor, Tensor]:
    """One step's images (B, H, W, 3) uint8 and labels (B, H, W) int64."""
    rng = np.random.default_rng((options.seed, step))
    pairs = []
    for place in range(options.batch):
        drawn = bool(scenes) and rng.random() < options.scene_share
        # Real pictures in a shuffled order, each at most once an epoch; scenes at random.
        sample = (
            scenes[rng.integers(len(scenes))]
            if drawn
            else samples[shuffled(options, step * options.batch + place, len(samples))]
        )
        pairs.append(augment(sample.image, sample.labels, options.crop, rng))
    images, labels = (np.stack(parts) for parts in zip(*pairs, strict=True))
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def shuffled(options: TrainOptions, number: int, count: int) -> int:
    """The index of the `number`-th draw: each epoch is a permutation of its own."""
    epoch, place = divmod(number, count)
    return int(np.random.default_rng((options.seed, 1, epoch)).permutation(count)[place])


def identity(options: TrainOptions) -> str:
    """What must be the same for a resumed run to be the interrupted one."""
    same = (options.model, options.data.name, options.seed, options.steps, options.batch, options.crop, options.rate)
    return repr((*same, options.scenes, options.scene_share, options.freeze_backbone, options.output_stride))


def save_state(
    path: Path, networks: nn.Module, optimizer: torch.optim.Optimizer, options: TrainOptions, step: int, seconds: float
) -> None:
    """All that `--resume` needs, by way of a temporary file."""
    temporary = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "networks": networks.state_dict(),
            "optimizer": optimizer.state_dict(),
            "identity": identity(options),
            "step": step,
            "seconds": seconds,
        },
        temporary,
    )
    temporary.replace(path)


def restore(
    path: Path, networks: nn.Module, optimizer: torch.optim.Optimizer, options: TrainOptions
) -> tuple[int, float]:
    """The step and the seconds of an interrupted run, its weights put back.

    Raises:
        DataError: there is nothing to resume, or it was another run.
    """
    if not path.is_file():
        raise DataError(f"there is no {path} to resume from; start without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError, BadZipFile):
        raise DataError(f"{path} is damaged; delete it and start without --resume") from None
    if state["identity"] != identity(options):
        raise DataError(f"{path} is of a run with other options; repeat its command, or start without --resume")
    networks.load_state_dict(state["networks"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["seconds"])
