"""`bench questions`: every op of the engine is asked, through the engine, and nothing stays on the device."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import segviz.engine
from segviz.attribution import METHODS
from segviz.benchmarks import questions
from segviz.benchmarks.question_list import OF_OWN_NETWORKS, QUESTIONS, list_questions
from segviz.benchmarks.questions import MeterPeak, bench_questions
from segviz.catalogue import checkpoint_file
from segviz.catalogue.record import Record
from segviz.cli import bench_parser, main
from segviz.data.classes import CAMVID
from segviz.engine import ops
from segviz.engine.errors import TooLargeError
from segviz.engine.request import Op, OpResult
from segviz.models.registry import MODELS, build
from segviz.prediction.similarity import STAGES

ROOT = Path(__file__).parents[1]
MEGA = 2**20


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two bundled checkpoints, untrained."""
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    for name in ("fcn", "sam"):
        row = MODELS[name]
        record = Record(name, CAMVID.names, row.backbone, row.output_stride)
        checkpoint_file.write_checkpoint(tmp_path / f"{name}.safetensors", build(name, len(CAMVID.names)), record)


def ops_of_the_engine() -> set[type]:
    """All classes of the engine's modules that can be asked."""
    modules = [
        importlib.import_module(f"segviz.engine.{one.name}")
        for one in pkgutil.iter_modules(segviz.engine.__path__)
        if not one.ispkg
    ]
    return {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind is not Op and all(hasattr(kind, name) for name in ("need", "run", "long", "deadline_s"))
    }


def test_every_op_of_the_engine_is_a_question() -> None:
    own = {kind for kind in ops_of_the_engine() if kind.__module__ == ops.__name__}
    assert len(own) >= 4 and own == set(QUESTIONS)
    assert ops_of_the_engine() == set(QUESTIONS) | OF_OWN_NETWORKS


def test_every_method_and_stage_is_a_question() -> None:
    asked = [one.name for one in list_questions((360, 480))]
    assert asked == ["predict", "influence", *(f"similarity_{stage}" for stage in STAGES), *METHODS]
    assert "predict_own_size" in [one.name for one in list_questions((1024, 2048))]
    assert all(isinstance(one.op, kind) for kind, ask in QUESTIONS.items() for one in ask((90, 120)))


def test_questions_are_measured_through_the_engine(
    bundle: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: set[str] = set()

    def run(self: ops.Predict, predictor: object, image: np.ndarray, budget: int, report: object) -> OpResult:
        threads.add(threading.current_thread().name)
        return OpResult(torch.ones(MEGA) * 2)  # 4 MiB, twice

    monkeypatch.setattr(ops.Predict, "run", run)
    words = ["--only", "fcn", "sam", "--ask", "predict", "influence", "--size", "36", "48"]
    assert main.main(["bench", "questions", *words, "--rounds", "2", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["model"], row["question"]) for row in found["rows"]] == [
        ("fcn", "predict"), ("sam", "predict"), ("sam", "influence"),
    ]  # fmt: skip
    assert "fcn has no context, so it is not asked about influence." in found["notes"]
    predict, influence = found["rows"][1:]
    assert predict["peak_mib"] == pytest.approx(8, rel=0.01) and predict["rounds"] == 2
    assert predict["answer_bytes"] == pytest.approx(4 * MEGA, rel=0.01)
    assert predict["first_ms"] > predict["median_ms"] >= predict["min_ms"] > 0  # the first time loads the model
    assert influence["peak_mib"] > 1 and influence["answer_bytes"] > 1000
    assert found["totals"]["cpu_slowest_prediction_ms"] == max(row["median_ms"] for row in found["rows"][:2])
    assert threads == {"segviz engine"}


def test_a_question_that_fails_is_told_and_the_others_are_measured(
    bundle: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> OpResult:
        raise TooLargeError("it needs more memory than is available")

    monkeypatch.setattr(ops.CompareFeatures, "run", refuse)
    monkeypatch.setattr(ops.Predict, "run", lambda *_: OpResult(torch.ones(3)))
    words = ["--only", "sam", "--ask", "predict", "similarity_deep", "--rounds", "1", "--device", "cpu"]
    assert main.main(["bench", "questions", *words]) == 1
    told = capsys.readouterr().out
    assert "sam, similarity_deep, failed on cpu: it needs more memory than is available." in told
    with pytest.raises(RuntimeError, match="failed on cpu"):
        bench_questions((36, 48), 1, ["sam"], ["similarity_deep"], "cpu")


def test_what_stays_on_the_device_is_told(bundle: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "measure_peak_memory", lambda *_: 1)
    monkeypatch.setattr(ops.Predict, "run", lambda *_: OpResult({"maps": torch.empty(3, device="meta")}))
    monkeypatch.setattr("segviz.engine.runner.not_finite_notes", lambda _: ())  # numbers that it cannot look at
    with pytest.raises(RuntimeError, match="its answer keeps maps on the device"):
        bench_questions((36, 48), 1, ["sam"], ["predict"], "cpu")


def test_ctrl_c_ends_with_what_is_measured(bundle: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ops.Predict, "run", lambda *_: OpResult(asked.append("") or torch.ones(3)))
    report = bench_questions((36, 48), 2, ["fcn", "sam"], ["predict"], "cpu", lambda: len(asked) >= 6)
    assert [row["model"] for row in report.rows] == ["fcn"] and report.stopped
    assert report.notes[-1] == "Stopped after 1 question."
    with pytest.raises(RuntimeError, match="stopped before the first question"):
        bench_questions((36, 48), 1, ["sam"], ["predict"], "cpu", lambda: True)


def test_a_slow_question_is_not_asked_for_all_rounds(bundle: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "ENOUGH_S", 0.0)
    monkeypatch.setattr(ops.Predict, "run", lambda *_: OpResult(torch.ones(3)))
    (row,) = bench_questions((36, 48), 9, ["sam"], ["predict"], "cpu").rows
    assert row["rounds"] == 1


def test_the_peak_is_that_of_the_op_alone() -> None:
    class Ones:
        def run(self, *_: object) -> OpResult:
            return OpResult(torch.ones(2 * MEGA))

    value = MeterPeak(Ones(), "cpu").run(None, np.zeros((1, 1, 3), np.uint8), 0, lambda *_: None).value
    assert value.count == pytest.approx(8 * MEGA, rel=0.01)


def test_the_benchmarks_of_a_gpu_need_no_streamlit() -> None:
    code = """import sys
sys.modules["streamlit"] = None
from segviz.cli import bench
from segviz.cli.bench_all import WHOLE_RUN
from segviz.benchmarks.question_list import list_questions
list_questions((8, 8))
assert set(WHOLE_RUN) <= set(bench.SUBJECT_MEASURES)"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_parser_has_the_rounds_of_the_benchmark() -> None:
    default = inspect.signature(bench_questions).parameters["rounds"].default
    assert default == bench_parser.QUESTION_ROUNDS
