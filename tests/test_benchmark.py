"""The benchmark's instruments, tried on things whose cost is known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from segviz.benchmarks import models
from segviz.benchmarks.blocks import BLOCKS, bench_blocks
from segviz.benchmarks.measure import (
    Report,
    count_gflops,
    count_parameters,
    measure_peak_memory,
    select_names,
    time_calls,
)
from segviz.benchmarks.models import bench_models, record_costs
from segviz.benchmarks.viewer import SYNTHETIC
from segviz.catalogue import checkpoint_file
from segviz.catalogue.record import VAL, Cost, Evaluation, Record
from segviz.cli import main
from segviz.data.classes import CAMVID
from segviz.models.blocks.sampling import sum_rows
from segviz.models.registry import SPECS, build

CPU = torch.device("cpu")
MEGA = 2**20


def test_peak_memory_counts_what_lives_at_once() -> None:
    def call() -> torch.Tensor:
        first = torch.ones(2 * MEGA)  # 8 MiB
        second = first + 1  # 16 MiB now
        del first
        return second[:MEGA] * 2  # 8 + 4

    assert measure_peak_memory(call, CPU) / MEGA == pytest.approx(16, rel=0.01)


def test_peak_memory_leaves_out_what_was_there_before() -> None:
    before = torch.ones(4 * MEGA)
    assert measure_peak_memory(lambda: before[:MEGA] + 1, CPU) / MEGA == pytest.approx(4, rel=0.01)


def test_timings_take_turns() -> None:
    order: list[str] = []
    taken = time_calls([lambda: order.append("a"), lambda: order.append("b"), lambda: time.sleep(0.02)], 3, CPU)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [len(one) for one in taken] == [3, 3, 3]
    assert min(taken[2]) >= 20


def test_operations_are_two_a_multiply_add() -> None:
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert count_gflops(lambda: layer(torch.zeros(1, 3, 8, 10))) == pytest.approx(2 * 8 * 10 * 5 * 3 * 9 / 1e9)
    assert count_parameters(layer) == 5 * 3 * 9


def test_the_sums_of_rows_of_sampling_are_counted() -> None:
    rows, index, weight = torch.zeros(7, 5), torch.zeros(3, 4, dtype=torch.long), torch.ones(3, 4)
    assert count_gflops(lambda: sum_rows(rows, index, weight)) == pytest.approx(2 * 3 * 4 * 5 / 1e9)


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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    report = bench_models(2, ["sam"], "cpu")
    (row,) = report.rows
    assert row["weights"] == "random"
    assert any("random weights" in note for note in report.notes)
    assert report.totals["cpu_total_ms"] == pytest.approx(row["median_ms"])
    assert 0.2 < row["keeping_ratio"] < 5
    assert row["maps_mib"] > 0
    assert report.machine["CPU"] and report.machine["threads"] == "1"
    assert row["parameters"] > 2e6 and row["gflops"] > 1
    assert record_costs(report) == [] and not list(tmp_path.iterdir())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'unet' is unknown; use a, b"):
        select_names(["unet"], ("a", "b"))


def test_the_viewer_s_page_is_there() -> None:
    assert SYNTHETIC.is_file()


# ---- costs in the records ----------------------------------------------------------------------------------

SCORES = Evaluation("val", 1, 0.5, 0.5, {}, {}, tuple((0,) * len(CAMVID.names) for _ in CAMVID.names))
PLACE = {"CPU": "a processor", "cores": "2", "threads": "2", "torch": "2.15.0", "GPU": "an accelerator"}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one bundled checkpoint, SAM's, untrained."""
    spec = SPECS["sam"]
    record = Record("sam", CAMVID.names, spec.backbone, spec.output_stride, steps=7, evaluations={VAL: SCORES})
    checkpoint_file.write_checkpoint(tmp_path / "sam.safetensors", build("sam", len(CAMVID.names)), record)
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sam.safetensors"]


def row(device: str, model: str = "sam", weights: str = "checkpoint", milliseconds: float = 74.0) -> dict[str, object]:
    return {"device": device, "model": model, "weights": weights, "median_ms": milliseconds, "peak_mib": 120.0,
            "gflops": 9.1, "parameters": 2_700_000}  # fmt: skip


def test_the_costs_of_a_bundled_model_enter_its_record(bundle: Path) -> None:
    path = bundle / "sam.safetensors"
    before, weights = checkpoint_file.read_record(path), checkpoint_file.load_checkpoint(path)[0].state_dict()
    report = bench_models(1, ["sam"], "cpu")
    (measured,) = report.rows
    assert record_costs(report) == [path]
    cost = checkpoint_file.read_record(path).cost
    assert cost is not None and cost.size == (360, 480)
    assert cost.milliseconds == pytest.approx(measured["median_ms"], abs=0.01)
    assert cost.peak_mb == pytest.approx(measured["peak_mib"], abs=0.01)
    assert cost.gflops == pytest.approx(measured["gflops"], abs=1e-4)
    assert cost.parameters == sum(one.numel() for one in build("sam", len(CAMVID.names)).parameters())
    assert cost.hardware == f"{report.machine['CPU']}, 1 threads, torch {torch.__version__}"
    assert replace(checkpoint_file.read_record(path), cost=None) == before
    assert all(
        torch.equal(value, weights[name])
        for name, value in checkpoint_file.load_checkpoint(path)[0].state_dict().items()
    )


@pytest.mark.parametrize(("devices", "hardware"), [
    (("cpu", "cuda"), "a processor, 2 threads, torch 2.15.0"),
    (("cuda",), "an accelerator, torch 2.15.0"),
])  # fmt: skip
def test_of_several_devices_the_first_is_recorded(bundle: Path, devices: tuple[str, ...], hardware: str) -> None:
    rows = tuple(row(device, milliseconds=74.0 + number) for number, device in enumerate(devices))
    record_costs(Report("models", PLACE, rows, {}))
    assert checkpoint_file.read_record(bundle / "sam.safetensors").cost == Cost(
        (360, 480), 74.0, 120.0, 9.1, 2_700_000, hardware
    )


def test_a_model_without_a_checkpoint_records_nothing(bundle: Path) -> None:
    assert record_costs(Report("models", PLACE, (row("cpu", "fla", "random"),), {})) == []


def test_a_checkpoint_of_another_model_gets_no_costs(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "bundled_path", lambda name: bundle / "sam.safetensors")
    before = (bundle / "sam.safetensors").read_bytes()
    with pytest.raises(checkpoint_file.CheckpointError, match="holds a 'sam' model, not 'fla'"):
        record_costs(Report("models", PLACE, (row("cpu", "fla"),), {}))
    assert (bundle / "sam.safetensors").read_bytes() == before


@pytest.mark.parametrize("record", [True, False])
def test_the_command_records_only_when_asked(
    bundle: Path, record: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Report("models", PLACE, (row("cpu"),), {}, ("A note.",))
    monkeypatch.setattr("segviz.cli.checkpoints.bench_models", lambda *_: measured)
    assert main.main(["bench", "models", "--json", *(["--record"] if record else [])]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert notes == ["A note.", *([f"Recorded in {bundle / 'sam.safetensors'}."] if record else [])]
    assert (checkpoint_file.read_record(bundle / "sam.safetensors").cost is not None) == record


def test_only_models_have_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["bench", "blocks", "--record"]) == 2
    assert "use it with `bench models`" in capsys.readouterr().err
