"""The benchmark's instruments, tried on things whose cost is known."""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from segviz.benchmarks import blocks, measure, models
from segviz.benchmarks.blocks import BLOCKS, bench_blocks
from segviz.benchmarks.measure import (
    Report,
    count_gflops,
    measure_peak_memory,
    select_devices,
    select_names,
    time_calls,
)
from segviz.benchmarks.models import bench_models, record_costs
from segviz.benchmarks.networks import PROTOCOLS, bench_networks, forward_protocol
from segviz.benchmarks.sparse import attend_densely, bench_sparse
from segviz.benchmarks.viewer import SYNTHETIC
from segviz.catalogue import checkpoint_file
from segviz.catalogue.record import VAL, Cost, Evaluation, Record
from segviz.cli import bench_all, bench_parser, main
from segviz.cli.bench import SUBJECT_MEASURES
from segviz.data.classes import CAMVID
from segviz.models.block_kinds import SNL_WINDOWS
from segviz.models.blocks import SparseNonLocal
from segviz.models.blocks.sampling import sum_rows
from segviz.models.registry import MODELS, build
from segviz.models.size import count_parameters

CPU = torch.device("cpu")
MEGA = 2**20
WAYS = ("snl gather", "snl products", "dense", "dense, whole")


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


def test_a_plain_formulation_is_measured_beside_ours() -> None:
    (row,) = bench_blocks((12, 16, 32), 2, ["spatial_nl"], "cpu", plain=True).rows
    assert row["plain_ms"] > 0 and row["plain_over_ours"] > 0
    assert row["plain_peak_mib"] > 2 * (12 * 16) ** 2 * 4 / MEGA  # the N x N matrix before and after its softmax
    assert 0 <= row["plain_differs"] < 1e-5


def test_a_plain_formulation_that_gives_other_results_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "run_plainly", lambda block, x: x)  # what a block with a gamma of 0 would give
    report = bench_blocks((6, 8, 16), 1, ["spatial_nl", "sam"], "cpu", plain=True)
    assert min(row["plain_differs"] for row in report.rows) > 0.01
    assert "The plain formulations of spatial_nl, sam give other results on cpu" in report.as_text()


def test_the_arithmetic_of_a_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "GPU arithmetic" not in measure.describe_machine()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an accelerator")
    found = measure.describe_machine()
    assert found["GPU arithmetic"] == "convolutions in TF32 and matrix products in float32"  # torch's defaults

    class Mixed:
        fp32_precision = "tf32"

        @property
        def allow_tf32(self) -> bool:
            raise RuntimeError("mix of the legacy and new APIs")

    assert measure.allows_tf32(Mixed()) and not measure.allows_tf32(SimpleNamespace(allow_tf32=False))


def test_gathering_costs_the_same_for_each_cell_on_any_grid_and_dense_attention_more() -> None:
    report = bench_sparse((16, 20, 32), [9], 1, "cpu")
    assert [row["cells"] for row in report.rows[::4]] == [20, 80, 320]
    cost = {way: [row["mflops_per_cell"] for row in report.rows if row["way"] == way] for way in WAYS}
    assert cost["snl gather"] == pytest.approx([cost["snl gather"][0]] * 3)
    per_cell = 2 * (32 * 16 * 2 + 32 * 32 * 2 + 32 * 18) + 2 * 9 * (4 * 16 + 16 + 4 * 32)  # N K C, and no N^2
    assert cost["snl gather"][0] == pytest.approx(per_cell / 1e6)
    for way in ("dense", "dense, whole", "snl products"):
        grown = np.diff(cost[way]) * 1e6
        assert grown == pytest.approx([2 * 60 * (16 + 32), 2 * 240 * (16 + 32)])
    assert [row["differs"] is None for row in report.rows[:4]] == [True, False, True, False]
    assert all(row["differs"] is None or row["differs"] < 1e-5 for row in report.rows)
    peak = {row["way"]: row["peak_mib"] for row in report.rows[-4:]}
    assert peak["dense, whole"] > 2 * 320**2 * 4 / MEGA
    with pytest.raises(ValueError, match="K = 10 is unknown; use 9, 49, 81, 99, 121"):
        bench_sparse((4, 4, 8), [10], 1, "cpu")


def test_dense_attention_beside_snl_is_that_of_the_paper() -> None:
    block, x = SparseNonLocal(16, (1, 1), zero_start=False), torch.randn(2, 16, 5, 7)
    query, key, value = (layer(x).flatten(2) for layer in (block.query, block.key, block.value))
    wanted = block.gamma((value @ (query.mT @ key).softmax(2).mT).view_as(x)) + x
    for queries in (6, 35):
        torch.testing.assert_close(attend_densely(block, x, queries), wanted)


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
    assert row["weights"] == "random" and row["definition"] == "picture to labels: 480 x 360, maps kept"
    assert any("random weights" in note for note in report.notes)
    assert report.totals["cpu_total_ms"] == pytest.approx(row["median_ms"])
    assert 0.2 < row["keeping_ratio"] < 5
    assert row["maps_mib"] > 0
    assert report.machine["CPU"] and report.machine["threads"] == "1"
    assert row["parameters"] > 2e6 and row["gflops"] > 1
    assert record_costs(report) == [] and not list(tmp_path.iterdir())


# ---- any network at any size -------------------------------------------------------------------------------


def test_a_forward_pass_is_measured_at_its_size_and_says_so() -> None:
    (row,) = bench_networks(forward_protocol((64, 96), 2), ["sam"], (), 1, "cpu").rows
    assert row["definition"] == "forward: 2 x 3 x 64 x 96, run"
    assert row["fps"] == pytest.approx(2000 / row["latency_ms"]) and row["peak_mib"] > 0
    (single,) = bench_networks(forward_protocol((64, 96), 1), ["sam"], (), 0, "cpu").rows
    assert "fps" not in single and row["gflops"] == pytest.approx(2 * single["gflops"], rel=1e-3)
    (larger,) = bench_networks(forward_protocol((128, 192), 1), ["sam"], (), 0, "cpu").rows
    assert larger["gflops"] == pytest.approx(4 * single["gflops"], rel=0.01)
    assert larger["parameters"] == single["parameters"] == count_parameters(build("sam", 19))


def test_the_protocols_are_those_of_the_papers() -> None:
    attanet, ssanet = PROTOCOLS["attanet"], PROTOCOLS["ssanet"]
    assert (attanet.size, attanet.batch, attanet.inner) == ((1024, 2048), 1, (512, 1024))
    assert (ssanet.size, ssanet.batch, ssanet.inner) == ((1024, 2048), 2, None)


def test_a_protocol_at_another_size_says_so() -> None:
    attanet, ssanet = (PROTOCOLS[name].at((128, 256)) for name in ("attanet", "ssanet"))
    assert (attanet.size, attanet.batch, attanet.inner) == ((128, 256), 1, (64, 128))
    assert attanet.definition == (
        "AttaNet, but of another size: 1 x 3 x 128 x 256, resized to 64 x 128, run, logits resized back"
    )
    assert (ssanet.batch, ssanet.inner) == (2, None)
    assert ssanet.definition == "SSANet, but of another size: 2 x 3 x 128 x 256, run"
    assert PROTOCOLS["attanet"].at((1024, 2048)) is PROTOCOLS["attanet"]


def test_a_protocol_can_be_tried_at_a_small_size(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "models", "--only", "fcn", "--protocol", "attanet", "--size", "64", "128", "--count", "--json"]
    assert main.main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["definition"].startswith("AttaNet, but of another size: 1 x 3 x 64 x 128, resized to 32 x 64")


def test_attanets_protocol_resizes_to_the_network_and_back() -> None:
    sizes = []

    class Network(nn.Module):
        def forward(self, x: torch.Tensor) -> SimpleNamespace:
            sizes.append(tuple(x.shape))
            return SimpleNamespace(logits=x[:, :2])

    logits = replace(PROTOCOLS["attanet"], size=(16, 32), inner=(8, 16)).run(Network(), torch.rand(1, 3, 16, 32))
    assert sizes == [(1, 3, 8, 16)] and logits.shape == (1, 2, 16, 32)


def test_any_network_of_the_papers_is_counted_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "models", "--only", "attanet_r18", "--size", "512", "1024", "--count", "--json"]
    found = []
    for more in ([], ["--option", "fusion=addition"]):
        assert main.main([*words, *more]) == 0
        found.append(json.loads(capsys.readouterr().out)["rows"][0])
    assert found[0]["definition"] == "forward: 1 x 3 x 512 x 1024, run"
    assert found[0]["gflops"] > found[1]["gflops"] and found[1]["options"] == "fusion=addition"


def test_snl_can_be_counted_at_the_papers_cost() -> None:
    costs = [
        bench_networks(forward_protocol((128, 256), 1), ["snl"], (f"sampling={way}",), 0).rows[0]["gflops"]
        for way in ("gather", "products")
    ]
    cells, channels, samples = 16 * 32, 256, 81
    gathered = cells * samples * (4 * channels // 2 + channels // 2 + 4 * channels)
    assert costs[0] - costs[1] == pytest.approx(2 * (gathered - cells**2 * (channels // 2 + channels)) / 1e9)


def run_command(*words: str) -> int:
    """Run `bench` and give its exit code."""
    try:
        return main.main(["bench", *words])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(("words", "message"), [
    (["models", "--size", "9", "9", "9"], "'9' is one value too many"),
    (["blocks", "--size", "9", "9"], "argument --size: expected 3 arguments"),
    (["models", "--protocol", "ssanet", "--batch", "2"], "has its own batch; remove --batch"),
    (["models", "--count", "--record"], "use it with `bench models` and no other size"),
    (["blocks", "--record"], "--record belongs to `bench models`, and does nothing in `bench blocks`; remove it"),
    (["blocks", "--batch", "2"], "--batch belongs to `bench models`"),
    (["models", "--plain"], "--plain belongs to `bench blocks`"),
    (["--samples", "9", "models"], "--samples belongs to `bench sparse`"),
    (["models", "--count", "--rounds", "3"], "--count runs nothing"),
    (["questions", "--json", "--markdown"], "both choose how the figures are printed"),
])  # fmt: skip
def test_options_of_another_benchmark_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(*words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("subject", bench_parser.SUBJECTS)
def test_a_subject_explains_its_own_options(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--help") == 0
    assert re.search(rf"^    {subject}\b", capsys.readouterr().out, re.MULTILINE)
    assert run_command(subject, "--help") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: python -m segviz bench {subject} [-h]")
    assert ("--plain" in told, "--url" in told) == (subject == "blocks", subject == "viewer")


@pytest.mark.parametrize("words", [
    ["--json", "--only", "fla", "--plain", "blocks"], ["--device", "cpu", "--rounds", "2", "models"], ["--help"],
    ["models", "--only", "all"], [],
])  # fmt: skip
def test_options_may_stand_before_the_subject(words: list[str]) -> None:
    found = bench_parser.bring_subject_forward(["bench", *words])
    forward = words and words[-1] in bench_parser.SUBJECTS and words[0].startswith("--")
    assert found == (["bench", words[-1], *words[:-1]] if forward else ["bench", *words])


def test_every_subject_can_be_measured() -> None:
    assert {*SUBJECT_MEASURES, "all"} == set(bench_parser.SUBJECTS)
    assert set(bench_all.WHOLE_RUN) < set(SUBJECT_MEASURES)


def test_all_subjects_are_written_and_a_failure_does_not_end_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def measure(options: argparse.Namespace) -> Report:
        asked.append((options.subject, options.device, options.rounds, getattr(options, "plain", None)))
        if options.subject == "sparse":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")
        return Report(options.subject, {"CPU": "a"}, ({"ms": 1.5},), {})

    monkeypatch.setattr("segviz.cli.bench.SUBJECT_MEASURES", dict.fromkeys(SUBJECT_MEASURES, measure))
    assert run_command("all", "--out", str(tmp_path / "new"), "--device", "cuda") == 1
    assert asked == [("blocks", "cuda", 5, True), ("sparse", "cuda", 5, None), ("models", "cuda", 5, None),
                     ("questions", "cuda", bench_parser.QUESTION_ROUNDS, None)]  # fmt: skip
    assert "bench sparse failed: not enough memory" in capsys.readouterr().err
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written == [f"{name}.{end}" for name in ("blocks", "models", "questions") for end in ("json", "md")]
    assert json.loads((tmp_path / "new" / "models.json").read_text())["rows"] == [{"ms": 1.5}]
    assert (tmp_path / "new" / "models.md").read_text().startswith("| ms |")


def test_ctrl_c_while_a_subject_loads_its_modules_ends_all_subjects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def stop(options: argparse.Namespace) -> Report:
        asked.append(options.subject)
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()  # as Python 3.11 wraps it

    monkeypatch.setattr("segviz.cli.bench.SUBJECT_MEASURES", dict.fromkeys(SUBJECT_MEASURES, stop))
    assert run_command("all", "--out", str(tmp_path)) == 1
    assert asked == ["blocks"] and capsys.readouterr().err.endswith("segviz: stopped\n")


def test_the_parser_offers_what_the_benchmarks_have() -> None:
    assert tuple(SNL_WINDOWS) == bench_parser.SAMPLE_COUNTS
    assert tuple(PROTOCOLS) == bench_parser.PROTOCOL_NAMES
    assert all(math.prod(window) == count for count, window in SNL_WINDOWS.items())


def test_of_several_gpus_the_one_that_is_measured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]
    monkeypatch.setattr(measure, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", lambda place: current.append(place.index))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: f"accelerator {current[-1]}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_devices("cuda:1") == [torch.device("cuda:1")]
    assert measure.describe_machine()["GPU"] == "accelerator 1"
    assert select_devices("cpu") == [CPU] and current == [0, 1]


def test_on_a_gpu_calls_run_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "synchronise", lambda device: order.append("wait"))
    order: list[str] = []
    time_calls([lambda: order.append("a"), lambda: order.append("b")], 1, torch.device("cuda"))
    assert order == ["a", "b", "a", "b", "wait", "a", "wait", "wait", "b", "wait"]


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
    row = MODELS["sam"]
    record = Record("sam", CAMVID.names, row.backbone, row.output_stride, steps=7, evaluations={VAL: SCORES})
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
    monkeypatch.setattr("segviz.cli.bench.bench_models", lambda *_: measured)
    assert main.main(["bench", "models", "--json", *(["--record"] if record else [])]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert notes == ["A note.", *([f"Recorded in {bundle / 'sam.safetensors'}."] if record else [])]
    assert (checkpoint_file.read_record(bundle / "sam.safetensors").cost is not None) == record
