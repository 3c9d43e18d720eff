"""`bench engine`: its clock, statistics, table and plan; and a real run, with Ray where it is installed."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from backend_contract import prediction

from segviz.benchmarks import engine as bench
from segviz.benchmarks import engine_crowd
from segviz.benchmarks.engine import TurnError, bench_engine, take_turns
from segviz.benchmarks.engine_crowd import TurnPlan
from segviz.benchmarks.engine_plan import (
    PLAN_TITLES,
    Passage,
    describe_plan,
    erlang_c,
    pays_from,
    plan_cluster,
    plan_report,
    wait_s,
)
from segviz.benchmarks.engine_questions import ReturnBytes, number_pictures
from segviz.benchmarks.engine_report import FIGURES, EngineReport, Measured, quantile, read_report, summarise_rounds
from segviz.benchmarks.engine_turn import ALONE_QUESTIONS, Turn, measure_turn, read_turn
from segviz.cli.main import main
from segviz.engine import Answer, Attribute, BusyError, Engine, Health, Predict, Request, Result
from segviz.engine.request import digest

ROOT = Path(__file__).parents[1]
SIZE = (16, 24)
ASKED = {"model": "fla", "height": 16, "width": 24, "seconds": 2.0, "visitors": 3}
PASSAGE = Passage(passage_ms=20, app_cpu_ms=5, bridge_cpu_ms=10, request_bytes=500_000, answer_bytes=5_000_000)


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now, self._lock = 0.0, threading.Lock()

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class TimedBackend:
    """Answers at once, after as long by the clock as the question takes; every `busy`-th question is refused."""

    def __init__(self, clock: Clock, busy: int = 0) -> None:
        self.clock, self.busy = clock, busy
        self.pictures: list[str] = []
        self._number = itertools.count(1)
        self._asked = False

    def submit(self, request: Request) -> Answer:
        if self.busy and next(self._number) % self.busy == 0:
            raise BusyError("5 requests are waiting already")
        self.pictures.append(digest(request.image))
        seconds = {Predict: 0.1, ReturnBytes: 0.01, Attribute: 0.3}[type(request.op)] if self._asked else 3.0
        self._asked = True
        self.clock.pass_time(seconds)
        answer = Answer()
        answer.settle(Result(prediction(request.model, request.image), (), True, "", 0.8 * seconds))
        return answer

    def find_cached(self, request: Request) -> None:
        return None

    def leave(self, session: str) -> None:
        pass

    def health(self) -> Health:
        return Health(True, 1, 0, 0, 1, 0, 0, 0)


def plan_of(backend: str = "ray:1", seconds: float = 2.0, visitors: int = 1) -> TurnPlan:
    return TurnPlan(backend, "fla", SIZE, seconds, visitors)


def measured(backend: str, rate: float, p50: float = 100.0, **values: Any) -> Measured:
    times = {"predict_ms": (p50,) * 3, "alone_ms": (150.0, 160.0), "forward_ms": (100.0,)}
    return Measured(Turn(backend, rate=rate, **times, **values), 400, 300, 650)


@pytest.fixture
def report() -> EngineReport:
    counts = {"request": 500_000, "answer": 5_000_000, "map collect": 2_000_000}
    moved = {
        "empty_ms": 5.0,
        "picture_ms": 8.0,
        "answer_ms": 20.0,
        "app_passing_ms": 5.0,
        "bridge_passing_ms": 10.0,
        "bytes": counts,
    }
    turns = {
        "threads": [measured("threads", 4.0), measured("threads", 2.0), measured("threads", 4.0)],
        "ray:1": [measured("ray:1", rate, **moved) for rate in (2.0, 1.2, 1.6)],
    }
    return summarise_rounds(turns, {"CPU": "x", "cores": "2"}, ASKED)


# ---- one turn -------------------------------------------------------------------------------------------


def test_a_turn_tells_what_the_clock_saw() -> None:
    clock, closed = Clock(), list[float]()
    backend = TimedBackend(clock)

    def close() -> None:
        closed.append(clock())
        clock.pass_time(1.5)

    phases: list[str] = []
    turn = measure_turn(plan_of(seconds=2.05), Engine(backend), close, phases.append, clock=clock)
    assert phases == ["starts", "answers one", "answers all", "ends"]
    assert (turn.start_s, turn.close_s, len(closed)) == (pytest.approx(3.0), pytest.approx(1.5), 1)
    assert turn.alone_ms == pytest.approx([100.0] * ALONE_QUESTIONS)
    assert turn.forward_ms == pytest.approx([80.0] * ALONE_QUESTIONS)
    assert (turn.empty_ms, turn.picture_ms, turn.answer_ms) == pytest.approx((10.0, 10.0, 10.0))
    # Nine predictions and a long question in 1.2 s, eight predictions until 2.0 s, and one that comes too late.
    assert len(turn.long_ms) == 1 and turn.long_ms[0] == pytest.approx(300.0)
    assert turn.predict_ms == pytest.approx([100.0] * 18)
    assert turn.rate == pytest.approx(18 / 2.05)
    assert turn.passing_rate == pytest.approx(100, rel=0.02)
    assert (turn.failed, turn.problem, turn.reused) == (0, "", 0)
    assert turn.bytes["answer"] > turn.bytes["maps"] > 0 and turn.bytes["request"] > turn.bytes["picture there"] > 0


def test_the_pictures_of_a_turn_are_distinct_so_that_the_cache_does_not_answer() -> None:
    backend = TimedBackend(clock := Clock())
    measure_turn(plan_of(visitors=3), Engine(backend), lambda: None, clock=clock)
    assert len(set(backend.pictures)) == len(backend.pictures) > 50


def test_threads_share_one_numbering_of_pictures() -> None:
    pictures, seen = number_pictures((2, 2)), list[bytes]()

    def take() -> None:
        for _ in range(300):
            seen.append(next(pictures).tobytes())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == len(seen) == 1200


def test_questions_that_fail_are_counted_and_the_first_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_crowd, "RETRY_S", 0.0)
    backend = TimedBackend(clock := Clock(), busy=4)
    crowd = engine_crowd.ask_at_once(
        plan_of(seconds=4.0), Engine(backend), number_pictures(SIZE), lambda _: Predict(), threading.Event(), clock
    )
    assert len(crowd.problems) == len(crowd.predict_ms) // 3 == 3  # of 3 s and ten times 0.1 s
    assert crowd.problems[0] == "BusyError: 5 requests are waiting already"


def test_a_turn_survives_its_way_through_json() -> None:
    turn = Turn("ray:2", predict_ms=(1.5, 2.0), bytes={"request": 3})
    assert read_turn(json.loads(json.dumps(turn.__dict__))) == turn


# ---- rounds ---------------------------------------------------------------------------------------------


def test_turns_alternate_and_a_backend_that_fails_is_given_up() -> None:
    order: list[str] = []

    def run(plan: TurnPlan, _: Callable[[], bool]) -> Measured:
        order.append(plan.backend)
        if plan.backend == "ray:2":
            raise TurnError("no memory")
        return measured(plan.backend, 1.0)

    found = take_turns([plan_of(name) for name in ("threads", "ray:1", "ray:2")], 3, lambda: False, run)
    assert order == ["threads", "ray:1", "ray:2", "ray:1", "threads", "threads", "ray:1"]
    assert {name: len(turns) for name, turns in found.turns.items()} == {"threads": 3, "ray:1": 3}
    assert found.problems == {"ray:2": "no memory"} and not found.stopped


def test_ctrl_c_keeps_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = itertools.count(1)

    def run(plan: TurnPlan, interrupted: Callable[[], bool]) -> Measured:
        if next(turns) == 4:
            raise InterruptedError
        return measured(plan.backend, 1.0)

    monkeypatch.setattr(bench, "run_turn", run)
    monkeypatch.setattr(bench, "find_spec", lambda _: True)
    monkeypatch.setattr(bench, "read_ray_version", lambda: "2")
    found = bench_engine(["threads", "ray:1"], "fla", SIZE, 1.0, 2, 9)
    assert found.stopped and [row["turns"] for row in found.rows] == [1, 2]
    assert "Stopped after 3 of 18 turns." in found.notes


def test_a_turn_whose_process_ctrl_c_has_ended_is_interrupted_and_did_not_fail() -> None:
    told = iter([False, True])
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE, bufsize=0) as ended:
        assert ended.stdout is not None
        with pytest.raises(InterruptedError):
            bench.follow_turn(ended, ended.stdout, plan_of(), lambda: next(told), set())


def test_without_ray_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "run_turn", lambda plan, interrupted: measured(plan.backend, 1.0))
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    found = bench_engine(["threads", "ray:1", "ray:2"], "fla", SIZE, 1.0, 2, 1)
    assert [row["backend"] for row in found.rows] == ["threads"]
    assert "ray:1 and ray:2 are not measured: Ray is not installed; pip install 'ray[serve]'." in found.notes
    with pytest.raises(RuntimeError, match="ray:1 is not measured: Ray is not installed"):
        bench_engine(["ray:1"], "fla", SIZE, 1.0, 2, 1)


# ---- the table ------------------------------------------------------------------------------------------


def test_ratios_are_of_turns_of_one_round_and_have_a_spread(report: EngineReport) -> None:
    threads, ray = report.rows
    assert ray["rate_ratio"] == {"median": pytest.approx(0.5), "low": pytest.approx(0.4), "high": pytest.approx(0.6)}
    assert (threads["rate"], ray["rate"]) == (4.0, 1.6)
    line = next(line for line in report.as_text().splitlines() if line.startswith("answers a second, all"))
    assert re.split(r" {2,}", line)[1:] == ["4", "1.6", "0.50 (0.40 to 0.60)"]
    parts = [ray[f"{name}_ms"] for name in ("forward", "call", "there", "back", "rest")]
    assert parts == [100.0, 5.0, 3.0, 12.0, 35.0] and sum(parts) == ray["alone_ms"]
    assert threads["answer_bytes"] is None and ray["answer_bytes"] == 5_000_000
    assert report.remarks()[0] == "Model fla, pictures of 24 x 16; 3 visitors ask for 2 s in each round."
    assert report.remarks()[1] == "Pickled bytes: request 500,000, answer 5,000,000, map collect 2,000,000."


def test_every_figure_is_a_line_of_the_table(report: EngineReport) -> None:
    lines = report.as_markdown().splitlines()
    assert lines[0] == "|  | threads | ray:1 | ray:1 / threads |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2 : 2 + len(FIGURES)]] == [
        figure.title for figure in FIGURES
    ]


def test_a_report_survives_its_way_through_json(report: EngineReport) -> None:
    assert read_report(json.loads(json.dumps(report.as_dict()))) == report
    with pytest.raises(ValueError, match="no results of `bench engine"):
        read_report({"subject": "blocks", "rows": [1]})


def test_a_quantile_of_nothing_is_unknown() -> None:
    assert quantile((), 50) is None and quantile((1.0, 3.0), 50) == 2.0


# ---- the plan -------------------------------------------------------------------------------------------


def test_erlang_c_has_its_known_values() -> None:
    assert erlang_c(1, 0.7) == pytest.approx(0.7)  # M/M/1: the load
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 7.0) == pytest.approx(0.2217, abs=1e-4)
    assert erlang_c(500, 400.0) < 1e-6


def test_the_wait_of_one_server_is_that_of_m_m_1() -> None:
    # P(W > t) = 0.7 exp(-(10 - 7) t) is 0.05 at t = ln(14) / 3.
    assert wait_s(1, 10.0, 7.0, 0.05) == pytest.approx(0.8797, abs=1e-4)
    assert wait_s(1, 10.0, 0.1, 0.05) == 0.0


def test_a_plan_is_bound_by_what_is_full_first() -> None:
    few, many = (plan_cluster(PASSAGE, gpus, forward_ms=100.0) for gpus in (4, 32))
    assert (few.bound_by, many.bound_by) == ("the GPUs", "the bridge")
    assert few.gpus_rate == pytest.approx(40.0) and few.rate == pytest.approx(28.0)
    assert many.gpus_rate == pytest.approx(320.0) and many.bridge_rate == pytest.approx(100.0)
    assert many.rate == pytest.approx(70.0) and many.app_rate == pytest.approx(200.0)
    assert many.pages_rate == pytest.approx(1000 / 42) and (few.apps, many.apps) == (2, 14)
    assert few.bytes_per_s == pytest.approx(28.0 * 5_500_000)
    assert few.store_bytes == 2 * 4 * 2 * 5_000_000
    assert 120 <= few.p50_ms <= few.p95_ms


def test_a_short_forward_is_bound_by_the_slots() -> None:
    assert plan_cluster(PASSAGE, 1, forward_ms=5.0).gpus_rate == pytest.approx(2 * 1000 / 25)
    assert plan_cluster(PASSAGE, 1, forward_ms=5.0, slots=8).gpus_rate == pytest.approx(200.0)


def test_ray_pays_from_the_first_core_that_makes_up_for_the_way() -> None:
    assert pays_from(passage_ms=0.0, forward_ms=100.0, cores=2) == 3
    assert pays_from(passage_ms=30.0, forward_ms=100.0, cores=2) == 3
    assert pays_from(passage_ms=60.0, forward_ms=100.0, cores=2) == 4


def test_a_plan_needs_a_measured_cluster(report: EngineReport) -> None:
    found = plan_report(report, [4, 32], [100.0])
    assert [row["bound_by"] for row in found.rows] == ["the GPUs", "the bridge"]
    assert found.as_markdown().startswith("|  | 4 GPUs, 100 ms | 32 GPUs, 100 ms |")
    assert "SEGVIZ_REPLICAS=4 or 32 and SEGVIZ_REPLICA_GPUS=1; a replica then has 2 slots" in found.notes[0]
    assert found.notes[-1].endswith(
        "2 cores with threads answer at most 20 a second; replicas of one core on other machines answer more from 3 on."
    )
    alone = EngineReport("engine", {}, report.rows[:1], {})
    with pytest.raises(ValueError, match="add ray:1 to --backends"):
        plan_report(alone, [4], [100.0])


def read_block(name: str) -> dict[str, dict[str, str]]:
    """A table of docs/ray.md that a command has written: its columns, each a cell by its line's title."""
    text = (ROOT / "docs" / "ray.md").read_text()
    block = text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0]
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in block.partition("\n\n")[0].splitlines()
    )
    return {column: {line[0]: line[at] for line in lines} for at, column in enumerate(head) if at}


def test_the_plan_of_the_page_follows_from_its_table() -> None:
    measured, planned = read_block("bench engine"), read_block("plan")
    assert {"threads", "ray:1", "ray:2"} <= set(measured)
    assert list(measured["ray:1"]) == [figure.title for figure in FIGURES]
    assert len(planned) == 4

    def number(title: str) -> float:
        return float(measured["ray:1"][title].replace(",", ""))

    way, app, bridge = (number(f"{name}, ms") for name in (
        "a question without a model", "without a model: the app", "without a model: the bridge"
    ))  # fmt: skip
    passage = Passage(way, app, bridge, int(number("bytes of a request")), int(number("bytes of an answer")))
    for title, column in planned.items():
        gpus, forward = re.findall(r"[\d.]+", title)
        expected = describe_plan(plan_cluster(passage, int(gpus), float(forward)), float(forward))
        assert (
            expected.pop("plan") == title
            and list(expected) == list(PLAN_TITLES)
            and [*PLAN_TITLES.values()] == list(column)
        )
        for line, value in zip(column, expected.values(), strict=True):
            if isinstance(value, str):
                assert column[line] == value, line
            else:
                assert float(column[line].replace(",", "")) == pytest.approx(value, rel=0.02), line


# ---- the command ----------------------------------------------------------------------------------------


def test_the_command_prints_what_was_measured_and_plans_from_it(
    report: EngineReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "bench.json"
    stored.write_text(json.dumps(report.as_dict()))
    assert main(["bench", "engine", "--measured", str(stored), "--markdown"]) == 0
    assert "0.50 (0.40 to 0.60)" in capsys.readouterr().out
    planned = ["--measured", str(stored), "--plan", "4", "32", "--forward-ms", "100"]
    assert main(["bench", "engine", *planned, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["rate"] for row in rows] == pytest.approx([28.0, 70.0])


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--plan", "4"], 2, "--plan needs --forward-ms MS"),
        (["--forward-ms", "4"], 2, "--forward-ms belongs to --plan; give --plan GPUS"),
        (["--plan", "4", "--forward-ms", "9", "--backends", "threads"], 2, "add ray:1 to --backends"),
        (["--backends", "ray:0"], 2, "'ray:0' is not a backend; use threads, or ray:N"),
        (["--measured", "FILE", "--seconds", "3"], 2, "--seconds is for a new measurement, and --measured reads"),
        (["--measured", "FILE", "--rounds", "3"], 2, "--rounds is for a new measurement"),
        (["--measured", "FILE", "--size", "3", "3"], 2, "--size is for a new measurement"),
        (["--measured", "FILE"], 1, "give what `bench engine --json` has printed"),
        (["--json", "--markdown"], 2, "--json and --markdown both choose"),
        (["--size", "3"], 2, "argument --size: expected 2 arguments"),
        (["--device", "cpu"], 2, "and does nothing in `bench engine`; remove it"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    options: list[str], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.json").write_text('{"subject": "blocks"}')
    words = [str(tmp_path / "text.json") if word == "FILE" else word for word in options]
    try:
        found = main(["bench", "engine", *words])
    except SystemExit as left:
        found = int(left.code or 0)
    assert (found, sentence in capsys.readouterr().err) == (code, True)


# ---- real runs ------------------------------------------------------------------------------------------


def run_bench(*options: str) -> list[str]:
    """The command with the model that takes the least."""
    return [sys.executable, "-m", "segviz", "bench", "engine", "--model", "sam", "--size", "64", "96", *options]


@pytest.fixture
def no_process_left() -> Iterator[None]:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    yield
    left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    assert left == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_run_measures_threads_and_a_replica(no_process_left: None) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed; pip install 'ray[serve]' to run this test")
    options = ("--backends", "threads", "ray:1", "--rounds", "1", "--seconds", "1", "--visitors", "2", "--json")
    done = subprocess.run(run_bench(*options), cwd=ROOT, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["backend"] for row in found["rows"]] == ["threads", "ray:1"], found["notes"]
    threads, ray = found["rows"]
    for row in (threads, ray):
        assert row["failed"] == row["reused"] == 0 < row["answered"]
        assert row["p50_ms"] > 0 and row["app_mib"] > 50  # on a slow machine no answer may come within the second
        assert row["way_ms"] < row["start_s"] * 1000
    assert threads["bridge_passing_ms"] == 0
    assert threads["ray_mib"] < 1  # a process that the app starts for a moment may be seen
    assert ray["ray_mib"] > 100 and ray["way_ms"] > threads["way_ms"]
    assert ray["answer_bytes"] > found["totals"]["bytes_maps"] > 0
    assert ray["request_bytes"] > 64 * 96 * 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_ends_a_real_run_with_what_it_has_measured(no_process_left: None) -> None:
    options = ("--backends", "threads", "--rounds", "1000", "--seconds", "0.5", "--visitors", "1")
    process = subprocess.Popen(
        run_bench(*options), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 120
    while not psutil.Process(process.pid).children():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1)  # while the first turn's process imports what it needs, or in the middle of the turn
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of its processes
    out, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"Stopped after \d+ of 1000 turns|stopped before the first turn ended", out + words)
