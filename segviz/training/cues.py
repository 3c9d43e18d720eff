"""Trains the tiny networks of the Cues page, one for each block and kind of cue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from platform import machine, processor, python_version

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from tqdm import tqdm

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.cue_file import cue_path, read_cue_record, write_cue_network
from segviz.catalogue.cue_record import CueRecord
from segviz.data.scenes.cues import CUE_COLOURS, CUE_GRID, CueScene, draw_cue_scene
from segviz.evaluation.cues import measure_cues
from segviz.models.blocks import ExpectationMaximization
from segviz.models.cue_network import CHANNELS, CueNetwork, images_of
from segviz.prediction.predictor import choose_device, device_title
from segviz.runtime.progress import progress_bar
from segviz.text import count_words
from segviz.training.cue_options import CueOptions
from segviz.training.initialise import attention_rates
from segviz.training.make_record import round_to_half
from segviz.training.run import has_bfloat16_units

RATE = 2e-3
WARM_UP = 20  # steps
SOLVED, SOLVED_STEPS = 0.01, 20  # training ends when the mean loss of so many steps is below this
NO_LABEL = -1
SCENES_PER_NETWORK = 2400  # training scenes of a kind, the same for all blocks


def train_cues(options: CueOptions) -> Iterator[CueRecord]:
    """Train each network and write it; one whose file is already there with the same settings is left as it is.

    So an interrupted run goes on with the network that it was at.

    Raises:
        OSError: a file cannot be written; raised before the first step.
    """
    pairs = [(block, kind) for kind in options.kinds for block in options.blocks]
    for block, kind in pairs:
        check_destination(cue_path(block, kind, options.out))
    for block, kind in progress_bar(pairs, desc="networks", unit="network"):
        path = cue_path(block, kind, options.out)
        record = finished_record(path, options)
        if record is None:
            with quick_arithmetic():
                network, record = train_network(block, kind, options)
            write_cue_network(path, network, record)
        measured = record.measured
        tqdm.write(f"{kind:9s} {block:11s} {measured.accuracy:6.1%} after {count_words(record.steps, 'step')}")
        yield record


def finished_record(path: Path, options: CueOptions) -> CueRecord | None:
    """The record of a network that these options would train again; None if there is none."""
    try:
        record = read_cue_record(path)
    except CheckpointError:
        return None
    same = (record.most_steps, record.batch, record.seed) == (options.steps, options.batch, options.seed)
    return record if same else None


def train_network(block: str, kind: str, options: CueOptions) -> tuple[CueNetwork, CueRecord]:
    """Train one network and measure it; its weights are those that float16 can hold."""
    start, device = time.monotonic(), choose_device("cpu")
    network = first_network(block, options.seed)
    images, labels = training_scenes(kind, options.seed)
    slow = attention_rates(network)
    groups = [{"params": [one], "scale": slow.get(one, 1.0)} for one in network.parameters()]
    optimizer = torch.optim.AdamW(groups, RATE, weight_decay=1e-4)
    losses: list[float] = []
    while len(losses) < options.steps and not is_solved(losses):
        step = len(losses)
        rate = RATE * min(1, (step + 1) / WARM_UP) * (1 - step / options.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        picked = torch.arange(step * options.batch, (step + 1) * options.batch) % len(images)
        losses.append(take_step(network, optimizer, images[picked], labels[picked]))
    network.load_state_dict({name: round_to_half(value) for name, value in network.state_dict().items()})
    measured = measure_cues(network.eval(), kind)
    return network, CueRecord(
        block, kind, CUE_COLOURS, options.seed, options.steps, len(losses), options.batch, RATE,
        round(float(np.mean(losses[-SOLVED_STEPS:])), 5), options.command,
        round((time.monotonic() - start) / 60, 2), f"{device_title(device)}, {processor() or machine()}",
        date.today().isoformat(),
        {"python": python_version(), **{name: version(name) for name in ("torch", "numpy")}}, measured,
    )  # fmt: skip


def first_network(block: str, seed: int) -> CueNetwork:
    """A network before training; its context counts from the first step on, as its block's gamma is 1."""
    torch.manual_seed(seed)
    network = CueNetwork(block, len(CUE_COLOURS))
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("gamma"):
                value.fill_(1)
            elif name.endswith("gamma.weight"):  # SNL's gamma is a convolution
                value.copy_(torch.eye(CHANNELS)[..., None, None])
    return network.to(memory_format=torch.channels_last).train()


@lru_cache(maxsize=1)
def training_scenes(kind: str, seed: int) -> tuple[Float[Tensor, "n 3 height width"], Int64[Tensor, "n height width"]]:
    """The training scenes of a kind, and the classes of their things' cells; other cells have no label."""
    first = seed * SCENES_PER_NETWORK
    scenes = [draw_cue_scene(kind, first + number) for number in range(SCENES_PER_NETWORK)]
    images = images_of(scenes).contiguous(memory_format=torch.channels_last)
    return images, torch.stack([label_cells(scene) for scene in scenes])


def label_cells(scene: CueScene) -> Int64[Tensor, "height width"]:
    """The classes of the things' cells, and `NO_LABEL` elsewhere."""
    labels = torch.full(CUE_GRID, NO_LABEL)
    for thing, number in zip(scene.things, scene.classes, strict=True):
        labels[thing.cells] = number
    return labels


def take_step(network: CueNetwork, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    """One step; returns the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16_units(torch.device("cpu"))):
        answer = network(images)
    loss = F.cross_entropy(answer.logits.float(), labels, ignore_index=NO_LABEL)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    for module in network.modules():
        if isinstance(module, ExpectationMaximization):
            module.update(answer.attended.maps)
    return float(loss.detach())


def is_solved(losses: Sequence[float]) -> bool:
    """Whether the loss has vanished."""
    return len(losses) >= SOLVED_STEPS and float(np.mean(losses[-SOLVED_STEPS:])) < SOLVED


@contextmanager
def quick_arithmetic() -> Iterator[None]:
    """Numbers below 1e-38 as 0: a sharp softmax's gradients are full of them, and a CPU is slow with them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
