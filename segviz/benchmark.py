"""What blocks and models cost: operations, parameters, memory, time. Figures are of the machine that they name.

Times are taken in turns, so that whatever else a machine does falls on all alike, and given as median and
minimum. Peak memory is what a call adds at its worst moment to what was allocated before it, so without input
and parameters: on a CPU from torch's profiler (memory that libraries take behind torch's back is not in it),
on a GPU from CUDA's allocator.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from segviz.checkpoint import bundled_path, load
from segviz.record import Record
from segviz.data.classes import CAMVID
from segviz.data.scenes import draw_scene
from segviz.image import resized, to_tensor, working_size
from segviz.models import blocks
from segviz.models.registry import SPECS, build
from segviz.predict import Prediction, Predictor, choose_device, classified
from segviz.views.text import table

MEGA = 2**20
SCENE_SEED = 7
Call = Callable[[], object]


@dataclass(frozen=True)
class Report:
    """The outcome of a benchmark.

    Attributes:
        subject: what was measured.
        machine: where.
        rows: one a line, all with the same keys; None where there is no figure.
        totals: figures over all rows.
        notes: what a reader should know, in sentences.
    """

    subject: str
    machine: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def as_text(self) -> str:
        """For people: machine, table, totals, notes."""
        heads = list(self.rows[0]) if self.rows else []
        body = [[told(row[head]) for head in heads] for row in self.rows]
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        totals = [f"{name}: {told(value)}" for name, value in self.totals.items()]
        titles = [head.replace("_", " ") for head in heads]
        return "\n".join([machine, "", table(titles, body), "", *totals, *self.notes]).rstrip()


def plain(value: Any) -> Any:
    """Tuples and mappings as JSON has them."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def told(value: Any) -> str:
    """A figure with about four digits; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine() -> dict[str, str]:
    """Where this runs: processor, cores, threads, torch, and the GPU if there is one."""
    found = {
        "CPU": cpu_name(),
        "cores": str(available_cores()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    return found


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices(device: str) -> list[torch.device]:
    """For "auto" the CPU, and the GPU where there is one; else the one that is named.

    Raises:
        ValueError: the device is not there.
    """
    if device != "auto":
        return [choose_device(device)]
    return [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])


def chosen(only: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names to measure.

    Raises:
        ValueError: a name is unknown.
    """
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is unknown; use {', '.join(known)}")
    return [name for name in known if only is None or name in only]


def timings(calls: Sequence[Call], rounds: int, device: torch.device) -> list[list[float]]:
    """Milliseconds of each call in each round, in turns and in alternating order; the caller warms up.

    Args:
        calls: what to time.
        rounds: how often.
        device: is waited for before the clock is read.
    """
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(rounds):
        order = range(len(calls)) if number % 2 == 0 else range(len(calls) - 1, -1, -1)
        for which in order:
            settle(device)
            started = time.perf_counter()
            calls[which]()
            settle(device)
            taken[which].append((time.perf_counter() - started) * 1000)
    return taken


def settle(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(call: Call, device: torch.device) -> int:
    """The most bytes that were alive at once during a call, beyond those alive before it."""
    gc.collect()
    if device.type == "cuda":
        settle(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        kept = call()
        settle(device)
        del kept
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        kept = call()
    del kept
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak


# ---- blocks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BlockRow:
    """How a block is made for (height, width, channels), and FLANet Table 3's figures at 96 x 96 x 512."""

    make: Callable[[int, int, int], nn.Module]
    gflops: float | None = None
    megabytes: float | None = None


PUBLISHED_SIZE = (96, 96, 512)
BLOCKS: Mapping[str, BlockRow] = {
    "channel_nl": BlockRow(lambda h, w, c: blocks.ChannelNonLocal(), 9.66, 40),
    "spatial_nl": BlockRow(lambda h, w, c: blocks.SpatialNonLocal(c), 103.90, 1320),
    "dual_nl": BlockRow(lambda h, w, c: blocks.DualNonLocal(c), 113.56, 1378),
    "cs_nl": BlockRow(lambda h, w, c: blocks.ChannelSpatialNonLocal(c), 113.56, 1378),
    "ema": BlockRow(lambda h, w, c: blocks.ExpectationMaximization(c), 13.91, 98),
    "rcca": BlockRow(lambda h, w, c: blocks.RecurrentCrissCross(c), 16.18, 174),
    "fla": BlockRow(lambda h, w, c: blocks.FullyAttentional(c), 19.37, 436),
    "sam": BlockRow(lambda h, w, c: blocks.StripAttentionModule(c)),
    "snl": BlockRow(lambda h, w, c: blocks.SparseNonLocal(c)),
    "psa": BlockRow(lambda h, w, c: blocks.PointWiseSpatialAttention(c, c, shrunk_mask(h, w))),
}


def shrunk_mask(height: int, width: int) -> tuple[int, int]:
    """PSA's over-completed mask for a grid that is shrunk by 2."""
    rows, columns = (height - 1) // 2 + 1, (width - 1) // 2 + 1
    return 2 * rows - 1, 2 * columns - 1


def bench_blocks(
    size: tuple[int, int, int] = PUBLISHED_SIZE,
    rounds: int = 5,
    only: Sequence[str] | None = None,
    device: str = "auto",
) -> Report:
    """Each block alone in inference, its maps kept, on features of one picture.

    Args:
        size: (height, width, channels) of the features.
        rounds: timed runs, after one to warm up.
        only: names of BLOCKS; all by default.
        device: "auto" measures the CPU, and the GPU where there is one.

    Raises:
        ValueError: an unknown block, or a device that is not there.
    """
    names = chosen(only, tuple(BLOCKS))
    rows = tuple(block_row(name, size, rounds, place) for place in devices(device) for name in names)
    note = f"Features of {size[0]} x {size[1]} x {size[2]}; 2 operations a multiply-add, elementwise ones not counted."
    published = "Published: FLANet, Table 3; how its memory was measured is not said."
    return Report("blocks", machine(), rows, {}, (note, published) if size == PUBLISHED_SIZE else (note,))


def block_row(name: str, size: tuple[int, int, int], rounds: int, device: torch.device) -> dict[str, Any]:
    """One block's figures."""
    spec, (height, width, channels) = BLOCKS[name], size
    torch.manual_seed(0)
    block = spec.make(height, width, channels).eval().to(device)
    features = torch.randn(1, channels, height, width, device=device)

    def call() -> object:
        with torch.inference_mode():
            return block(features)

    with FlopCounterMode(display=False) as counter:
        call()
    (taken,) = timings([call], rounds, device)
    published = size == PUBLISHED_SIZE
    return {
        "device": device.type,
        "block": name,
        "gflops": counter.get_total_flops() / 1e9,
        "published_gflops": spec.gflops if published else None,
        "parameters": sum(parameter.numel() for parameter in block.parameters()),
        "peak_mib": peak_memory(call, device) / MEGA,
        "published_mb": spec.megabytes if published else None,
        "median_ms": median(taken),
        "min_ms": min(taken),
    }


# ---- models ------------------------------------------------------------------------------------------------


def bench_models(rounds: int = 5, only: Sequence[str] | None = None, device: str = "auto") -> Report:
    """Each model on one drawn 480 x 360 scene, from pixels to labels, with and without its maps.

    Without: the same forward, but its maps and attended features are thrown away.

    Args:
        rounds: timed runs of each way, in turns, after one to warm up.
        only: names of models; all by default.
        device: "auto" measures the CPU, and the GPU where there is one.

    Raises:
        ValueError: an unknown model, or a device that is not there.
        CheckpointError: a bundled checkpoint is damaged.
    """
    names = chosen(only, tuple(SPECS))
    picture = draw_scene(SCENE_SEED).image
    rows: list[dict[str, Any]] = []
    totals: dict[str, Any] = {}
    for place in devices(device):
        own = [model_row(name, picture, rounds, place) for name in names]
        totals[f"{place.type}_total_ms"] = sum(row["median_ms"] for row in own)
        totals[f"{place.type}_keeping_ratio"] = sum(row["median_ms"] for row in own) / sum(
            row["without_ms"] for row in own
        )
        rows += own
    notes = ["Drawn scene of 480 x 360; loading a model is not counted; ratio is the median over pairs of rounds."]
    random = sorted({row["model"] for row in rows if row["weights"] == "random"})
    if random:
        notes.append(f"No checkpoint for {', '.join(random)}: measured with random weights, which cost the same.")
    return Report("models", machine(), tuple(rows), totals, tuple(notes))


def model_row(
    name: str, picture: UInt8[ndarray, "height width 3"], rounds: int, device: torch.device
) -> dict[str, Any]:
    """One model's figures."""
    predictor, weights = predictor_of(name, str(device))

    def kept() -> object:
        return predictor(picture)

    def without() -> object:
        return labels_alone(predictor, picture)

    prediction = predictor(picture)
    without()
    with_maps, without_maps = timings([kept, without], rounds, device)
    return {
        "device": device.type,
        "model": name,
        "weights": weights,
        "median_ms": median(with_maps),
        "min_ms": min(with_maps),
        "without_ms": median(without_maps),
        "keeping_ratio": median(one / other for one, other in zip(with_maps, without_maps, strict=True)),
        "peak_mib": peak_memory(kept, device) / MEGA,
        "maps_mib": map_bytes(prediction) / MEGA,
    }


def predictor_of(name: str, device: str) -> tuple[Predictor, str]:
    """The bundled model, or one with random weights where it has no checkpoint; and which of them it is.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    path = bundled_path(name)
    if path.is_file():
        return Predictor(*load(path), device=device), "checkpoint"
    torch.manual_seed(0)
    model = build(name, len(CAMVID.names)).to(memory_format=torch.channels_last)
    spec = SPECS[name]
    return Predictor(model, Record(name, CAMVID.names, spec.backbone, spec.output_stride), device), "random"


def labels_alone(predictor: Predictor, picture: UInt8[ndarray, "height width 3"]) -> object:
    """What a predictor does, but for the maps."""
    size = (picture.shape[0], picture.shape[1])
    with torch.inference_mode():
        result = predictor.model(to_tensor(resized(picture, working_size(*size)), predictor.device))
        return classified(result.logits[0], size)


def map_bytes(prediction: Prediction) -> int:
    """What the kept maps hold; memory that several maps share counts once."""
    held: dict[int, int] = {}
    for one in prediction.maps.values():
        for field in fields(one):
            value = getattr(one, field.name)
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                held[storage.data_ptr()] = storage.nbytes()
    return sum(held.values())
