"""A few steps of training, in one process or several: `torchrun --nproc_per_node N two_processes.py DATA OUT ...`.

`NO_ROOM` in the environment plants errors in the first step: [[process, "forward" or "backward"], ...].
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from segviz.data.dataset import load_split
from segviz.training.options import TrainOptions
from segviz.training.processes import join_processes
from segviz.training.run import TrainingRun


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
    with join_processes(torch.device("cpu")) as (processes, device):
        torch.manual_seed(0)
        run = TrainingRun(options, load_split(options.data, "train"), device, processes)
        run.bfloat16 = False
        losses = []
        for process, where in json.loads(os.environ.get("NO_ROOM", "[]")):
            if process == processes.index:
                plant_error(run, where)
        for step in range(int(os.environ.get("STEPS", "3"))):
            run.set_rate(options.rate)
            images, labels = run.sampler(step)
            losses.append(float(run.step((images.to(torch.get_default_dtype()), labels), step)))
        if processes.is_first:
            average = {f"average.{name}": value for name, value in run.average.state_dict().items()}
            torch.save({"losses": losses, "weights": {**run.networks.state_dict(), **average}}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
