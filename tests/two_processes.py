"""A few steps of training, in one process or several: `torchrun --nproc_per_node N two_processes.py DATA OUT CASES`.

CASES are [model, precision, options] by name. `NO_ROOM` in the environment plants errors in one step of each:
[[process, "forward" or "backward"], ...]. The step is taken in four parts before, without an error, and both results
are written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from segviz.data.open_data_set import load_split
from segviz.training.options import TrainOptions
from segviz.training.processes import Processes, join_processes
from segviz.training.run import TrainingRun

STEPS = 3


def plant_error(run: TrainingRun, where: str) -> None:
    """Let a layer be out of memory once, between the others' sums, as it runs or as its gradient is made."""

    def fail(*_: Any) -> None:
        handle.remove()
        raise torch.OutOfMemoryError("CUDA out of memory")

    layer = run.model.get_submodule("decoder.mix")
    handle = layer.register_forward_hook(fail) if where == "forward" else layer.register_full_backward_hook(fail)


def main(data: str, out: str, cases: str) -> None:
    """Train each case, and let the first process write weights and losses."""
    torch.set_num_threads(1)
    results = {}
    with join_processes(torch.device("cpu")) as (processes, device):
        for name, (model, precision, changes) in json.loads(cases).items():
            torch.set_default_dtype(getattr(torch, precision))
            given = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
            given = {"batch": 4, "crop": (64, 64), "scenes": 0, "device": "cpu", **given}
            results[name] = train_case(TrainOptions(model, Path(data), Path(out), **given), processes, device)
        if processes.is_first:
            torch.save(results, out)


def train_case(options: TrainOptions, processes: Processes, device: torch.device) -> Any:
    """The result of one case, or both results of `NO_ROOM`."""
    no_room = json.loads(os.environ.get("NO_ROOM", "[]"))
    if not no_room:
        return train(options, processes, device, STEPS)
    whole = train(replace(options, parts=4), processes, device, 1)
    return [whole, train(options, processes, device, 1, no_room)]


def train(
    options: TrainOptions, processes: Processes, device: torch.device, steps: int, no_room: Sequence[Any] = ()
) -> dict[str, Any]:
    """Losses and weights after a few steps."""
    torch.manual_seed(0)
    run = TrainingRun(options, load_split(options.data, "train"), device, processes)
    run.bfloat16 = False
    for process, where in no_room:
        if process == processes.index:
            plant_error(run, where)
    losses = []
    for step in range(steps):
        run.set_rate(options.rate)
        images, labels = run.sampler(step)
        losses.append(float(run.step((images.to(torch.get_default_dtype()), labels), step)))
    average = {f"average.{name}": value for name, value in run.average.state_dict().items()}
    return {"losses": losses, "weights": {**run.networks.state_dict(), **average}}


if __name__ == "__main__":
    main(*sys.argv[1:])
