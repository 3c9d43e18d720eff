"""What each model costs on one picture, from pixels to labels, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from segviz.benchmarks.measure import (
    MEGA,
    Report,
    count_gflops,
    describe_machine,
    measure_peak_memory,
    select_devices,
    select_names,
    time_calls,
)
from segviz.catalogue.checkpoint_file import load_checkpoint, read_record, require_model, rewrite_record
from segviz.catalogue.location import bundled_path
from segviz.catalogue.record import Cost, Record
from segviz.data.classes import CAMVID
from segviz.data.scenes import draw_scene
from segviz.image import resize, to_tensor, working_size
from segviz.models.folding import fold
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import BlockNetwork
from segviz.models.size import count_parameters
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor, classify

SCENE_SEED = 7
BENCH_PICTURE = (360, 480)  # height, width
DEFINITION = f"picture to labels: {BENCH_PICTURE[1]} x {BENCH_PICTURE[0]}, maps kept"


def bench_models(rounds: int = 5, only: Sequence[str] | None = None, device: str = "auto") -> Report:
    """Measure each model on one drawn 480 x 360 scene, from pixels to labels, with and without keeping its maps.

    "Without" is the same forward, which discards its maps and attended features.

    Args:
        rounds: timed runs of each variant, in turns, after a warm-up.
        only: names of models; all by default.
        device: "auto" measures the CPU, and the GPU if there is one.

    Raises:
        ValueError: a model is unknown, or this machine has no such device.
        CheckpointError: a bundled checkpoint is damaged.
    """
    names = select_names(only, tuple(MODELS))
    picture = draw_scene(SCENE_SEED, width=BENCH_PICTURE[1], height=BENCH_PICTURE[0]).image
    rows: list[dict[str, Any]] = []
    totals: dict[str, Any] = {}
    for place in select_devices(device):
        own = [measure_model(name, picture, rounds, place) for name in names]
        totals[f"{place.type}_total_ms"] = sum(row["median_ms"] for row in own)
        totals[f"{place.type}_keeping_ratio"] = sum(row["median_ms"] for row in own) / sum(
            row["without_ms"] for row in own
        )
        rows += own
    notes = ["Drawn scene of 480 x 360; loading a model is not counted; the ratio is the median over pairs of rounds."]
    random = sorted({row["model"] for row in rows if row["weights"] == "random"})
    if random:
        notes.append(f"No checkpoint for {', '.join(random)}: measured with random weights, which cost the same.")
    return Report("models", describe_machine(), tuple(rows), totals, tuple(notes))


def measure_model(
    name: str, picture: UInt8[ndarray, "height width 3"], rounds: int, device: torch.device
) -> dict[str, Any]:
    """Measure one model: time, memory, operations and parameters."""
    network, record, weights = load_or_build(name)
    predictor = Predictor(fold(network), record, str(device))

    def predict_and_keep() -> object:
        return predictor(picture)

    def without() -> object:
        return predict_labels(predictor, picture)

    prediction = predictor(picture)
    operations = count_gflops(predict_and_keep)
    without()
    with_maps, without_maps = time_calls([predict_and_keep, without], rounds, device)
    return {
        "device": device.type,
        "model": name,
        "weights": weights,
        "definition": DEFINITION,
        "median_ms": median(with_maps),
        "min_ms": min(with_maps),
        "without_ms": median(without_maps),
        "keeping_ratio": median(one / other for one, other in zip(with_maps, without_maps, strict=True)),
        "peak_mib": measure_peak_memory(predict_and_keep, device) / MEGA,
        "maps_mib": map_bytes(prediction) / MEGA,
        "gflops": operations,
        "parameters": count_parameters(network),
    }


def record_costs(report: Report) -> list[Path]:
    """Store the costs of `bench_models` in the bundled checkpoints' records; the weights stay as they are.

    Models without a checkpoint are skipped. Of several devices the first one counts, which is the CPU.

    Returns:
        The checkpoints that were written.

    Raises:
        CheckpointError: a checkpoint is gone, or holds another model by now.
        OSError: a checkpoint cannot be written.
    """
    costs: dict[str, Cost] = {}
    for row in report.rows:
        if row["weights"] == "checkpoint":
            costs.setdefault(row["model"], row_to_cost(row, report.machine))
    for name, cost in costs.items():
        record = read_record(bundled_path(name))
        require_model(bundled_path(name), record, name)
        rewrite_record(bundled_path(name), replace(record, cost=cost))
    return [bundled_path(name) for name in costs]


def row_to_cost(row: Mapping[str, Any], place: Mapping[str, str]) -> Cost:
    """Convert a row to the rounded costs that a record holds."""
    hardware = place["GPU"] if row["device"] == "cuda" else f"{place['CPU']}, {place['threads']} threads"
    return Cost(
        size=BENCH_PICTURE,
        milliseconds=round(row["median_ms"], 2),
        peak_mb=round(row["peak_mib"], 2),
        gflops=round(row["gflops"], 4),
        parameters=row["parameters"],
        hardware=f"{hardware}, torch {place['torch']}",
    )


def load_or_build(name: str) -> tuple[BlockNetwork, Record, str]:
    """Load a bundled model and its record, or build it with random weights if it has no checkpoint.

    Returns:
        The model, its record, and "checkpoint" or "random".

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    path = bundled_path(name)
    if path.is_file():
        return *load_checkpoint(path), "checkpoint"
    torch.manual_seed(0)
    row = MODELS[name]
    record = Record(name, CAMVID.names, row.backbone, row.output_stride)
    return build(name, len(CAMVID.names)).eval(), record, "random"


def predict_labels(predictor: Predictor, picture: UInt8[ndarray, "height width 3"]) -> object:
    """Predict labels as a predictor does, without keeping the maps."""
    size = (picture.shape[0], picture.shape[1])
    with torch.inference_mode():
        result = predictor.model(to_tensor(resize(picture, working_size(*size)), predictor.device))
        return classify(result.logits[0], size)


def map_bytes(prediction: Prediction) -> int:
    """The bytes that a prediction's maps hold; memory that several maps share counts once."""
    held: dict[int, int] = {}
    for one in prediction.maps.values():
        for entry in fields(one):
            value = getattr(one, entry.name)
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                held[storage.data_ptr()] = storage.nbytes()
    return sum(held.values())
