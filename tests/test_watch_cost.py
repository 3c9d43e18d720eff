"""What watching a network costs. It is measured in a process of its own, where no types are checked."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from segviz.watch.findings import Findings
from segviz.watch.recipes.find_recipes import find_recipes
from segviz.watch.watch_network import record_calls

SIDE = 224
PAIRS, ROUNDS = 7, 5


@pytest.mark.slow
@pytest.mark.alone
def test_watching_a_small_vit_costs_at_most_a_quarter_of_its_forward() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    ratios = [float(one) for one in done.stdout.split()]
    assert len(ratios) == ROUNDS and min(ratios) <= 1.25, ratios


def measure() -> list[float]:
    """The processor time of a watched forward over that of a plain one, in each of the rounds."""
    network = timm.create_model("vit_small_patch16_224", pretrained=False).eval()
    picture = torch.rand(1, 3, SIDE, SIDE)

    def watched() -> None:
        with record_calls(network, Findings((SIDE, SIDE), (1.0, 1.0), recipes=find_recipes())):
            network(picture)

    torch.set_num_threads(1)  # so that this thread's time is all that is computed
    ratios = []
    with torch.no_grad():
        network(picture), watched()
        for _ in range(ROUNDS):
            pairs = [(seconds_of(lambda: network(picture)), seconds_of(watched)) for _ in range(PAIRS)]
            plain, seen = (statistics.median(one) for one in zip(*pairs, strict=True))
            ratios.append(seen / plain)
    return ratios


def seconds_of(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


if __name__ == "__main__":
    print(*measure())
