"""A few steps of training, in one process or several: `torchrun --nproc_per_node N two_processes.py DATA OUT ...`.

`NO_ROOM` in the environment plants errors in one step: [[process, "forward" or "backward"], ...]; the step is taken in
four parts before, without an error, and both results are written.
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

from segviz.data.dataset import load_split
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


def main(data: str, out: str, model: str, precision: str, changes: str) -> None:
    """Train, and let the first process write weights and losses."""
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, precision))
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(changes).items()}
    options = TrainOptions(model, Path(data), Path(out), **{"batch": 4, **given}, crop=(64, 64), scenes=0, device="cpu")
    no_room = json.loads(os.environ.get("NO_ROOM", "[]"))
    with join_processes(torch.device("cpu")) as (processes, device):
        if no_room:
            whole = train(replace(options, parts=4), processes, device, 1)
            results: Any = [whole, train(options, processes, device, 1, no_room)]
        else:
            results = train(options, processes, device, STEPS)
        if processes.is_first:
            torch.save(results, out)


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
