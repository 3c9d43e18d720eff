"""The benchmark's instruments, tried on things whose cost is known."""

from __future__ import annotations

import json
import time

import pytest
import torch

from segviz import benchmark
from segviz.benchmark import BLOCKS, bench_blocks, bench_models, chosen, peak_memory, timings

CPU = torch.device("cpu")
MEGA = 2**20


def test_peak_memory_counts_what_lives_at_once() -> None:
    def call() -> torch.Tensor:
        first = torch.ones(2 * MEGA)  # 8 MiB
        second = first + 1  # 16 MiB now
        del first
        return second[:MEGA] * 2  # 8 + 4

    assert peak_memory(call, CPU) / MEGA == pytest.approx(16, rel=0.01)


def test_peak_memory_leaves_out_what_was_there_before() -> None:
    before = torch.ones(4 * MEGA)
    assert peak_memory(lambda: before[:MEGA] + 1, CPU) / MEGA == pytest.approx(4, rel=0.01)


def test_timings_take_turns() -> None:
    order: list[str] = []
    taken = timings([lambda: order.append("a"), lambda: order.append("b"), lambda: time.sleep(0.02)], 3, CPU)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [len(one) for one in taken] == [3, 3, 3]
    assert min(taken[2]) >= 20


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_measured(name: str) -> None:
    report = bench_blocks((8, 10, 32), 1, [name], "cpu")
    (row,) = report.rows
    assert row["block"] == name
    assert row["gflops"] > 0 and row["parameters"] > 0 and row["peak_mib"] > 0 and row["median_ms"] > 0
    assert row["published_gflops"] is None  # Table 3 is of another size
    assert name in report.as_text()
    assert json.loads(json.dumps(report.as_dict()))["rows"][0]["block"] == name


def test_channel_non_local_at_the_papers_size() -> None:
    report = bench_blocks(rounds=1, only=["channel_nl"], device="cpu")
    assert report.rows[0]["gflops"] == pytest.approx(9.6637, rel=1e-3)
    assert report.rows[0]["published_gflops"] == 9.66


def test_a_model_without_a_checkpoint_is_measured_and_said_to_be_random(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(benchmark, "bundled_path", lambda name: tmp_path / name)
    report = bench_models(2, ["sam"], "cpu")
    (row,) = report.rows
    assert row["weights"] == "random"
    assert any("random weights" in note for note in report.notes)
    assert report.totals["cpu_total_ms"] == pytest.approx(row["median_ms"])
    assert 0.2 < row["keeping_ratio"] < 5
    assert row["maps_mib"] > 0
    assert report.machine["CPU"] and report.machine["threads"] == "1"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'unet' is unknown; use a, b"):
        chosen(["unet"], ("a", "b"))
