"""Small checkpoints with records but without weights, logs beside them, and records of further seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from segviz.catalogue.checkpoint_file import RECORD_KEY
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Cost, Evaluation, Record, to_json
from segviz.results.seeds import SEEDS_FOLDER

CLASSES = ("Sky", "Road", "Pole")
CONFUSION = ((90, 10, 0), (5, 45, 0), (0, 0, 0))
LOG = "step,minutes,rate,loss,val_miou\n25,0.5,0.001,0.9,\n50,1,0.0005,0.7,0.61\n"


def evaluation(miou: float, **more: Any) -> Evaluation:
    """Scores of 101 pictures in which no pole occurs."""
    iou = {"Sky": miou + 0.1, "Road": miou - 0.1, "Pole": None}
    boundary = {"Sky": 0.5, "Road": 0.3, "Pole": None}
    return replace(Evaluation("camvid val", 101, miou, 0.9, iou, boundary, CONFUSION), **more)


def record(model: str, **more: Any) -> Record:
    """A record with every evaluation and a cost; switching the context off costs 2 points."""
    evaluations: Mapping[str, Evaluation] = {
        VAL: evaluation(0.7),
        SCENES: evaluation(0.75, data="drawn scenes", images=50),
        VAL_MULTI_SCALE: evaluation(0.72, scales=(0.75, 1.0, 1.25), flip=True),
        VAL_WITHOUT_CONTEXT: evaluation(0.68, context=False),
    }
    cost = Cost((360, 480), 150.0, 120.0, 9.1, 2_700_000, "a machine")
    full = Record(model, CLASSES, "mobilenetv2_100", 8, seed=4, steps=400, hardware="another machine")
    return replace(full, **{"evaluations": evaluations, "gammas": {"block.gamma": -0.25}, "cost": cost} | more)


def put(folder: Path, *records: Record) -> None:
    """A checkpoint and a log for each record."""
    for one in records:
        save_file({"none": torch.zeros(1)}, folder / f"{one.model}.safetensors", {RECORD_KEY: to_json(one)})
        (folder / f"{one.model}.csv").write_text(LOG)


def put_seed(folder: Path, one: Record, name: str = "") -> Path:
    """The record of a further seed, under its own or another name."""
    path = folder / SEEDS_FOLDER / f"{name or f'{one.model}-seed{one.seed}'}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(to_json(one))
    return path
