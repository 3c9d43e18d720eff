"""The engine's backends side by side: threads, and replicas in a Ray cluster, each in a process of its own by turns."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import IO

import psutil

from segviz.benchmarks.engine_crowd import TurnPlan
from segviz.benchmarks.engine_report import EngineReport, Measured, summarise_rounds
from segviz.benchmarks.engine_turn import read_turn
from segviz.benchmarks.measure import MEGA, Interrupted, describe_machine
from segviz.runtime.progress import progress_bar
from segviz.server.launch import app_environment
from segviz.settings import settings

COMMAND = "from segviz.benchmarks.engine_serve import serve_turn; serve_turn()"
STOP_LOOK_S = 0.5  # between two looks at whether the user has stopped the benchmark
SAMPLE_S = 2.0  # between two looks at memory, each of which takes 20 ms of CPU and more
PATIENCE_S = 600.0  # for a turn beside the seconds that its visitors ask
END_WITHIN_S = 20.0  # a turn that is stopped may take so long
NO_RAY = "{} not measured: Ray is not installed; pip install 'ray[serve]'."


class TurnError(RuntimeError):
    """A backend could not be measured."""


@dataclass
class Peak:
    """The most memory of a turn in bytes: of the app's process, of all processes below it, and of all at once."""

    app: int = 0
    ray: int = 0
    both: int = 0

    def note(self, app: int, ray: int) -> None:
        """Note a sample."""
        self.app, self.ray, self.both = max(self.app, app), max(self.ray, ray), max(self.both, app + ray)


@dataclass
class Rounds:
    """What was measured: for each backend a turn in each round, and why a backend was given up."""

    turns: dict[str, list[Measured]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


RunTurn = Callable[[TurnPlan, Interrupted], Measured]


def bench_engine(
    backends: Sequence[str],
    model: str,
    size: tuple[int, int],
    seconds: float,
    visitors: int,
    rounds: int = 5,
    interrupted: Interrupted = lambda: False,
) -> EngineReport:
    """Measure backends with the same questions.

    Args:
        backends: "threads", or "ray:N" with N replicas; the first is what the others are compared with.
        model: the model's name.
        size: the pictures' (height, width).
        seconds: how long visitors ask in each turn.
        visitors: how many ask at once.
        rounds: turns of each backend, in alternating order.
        interrupted: whether to end with what is measured.

    Raises:
        RuntimeError: nothing could be measured.
    """
    there = [name for name in backends if name == "threads" or find_spec("ray")]
    absent = [name for name in backends if name not in there]
    plans = [TurnPlan(name, model, size, seconds, visitors) for name in there]
    found = take_turns(plans, rounds, interrupted)
    notes = [NO_RAY.format(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'}")] if absent else []
    notes += [f"{name} was given up: {problem}." for name, problem in found.problems.items()]
    if not found.turns:
        raise RuntimeError(" ".join(notes) or "stopped before the first turn ended, so nothing is measured")
    if found.stopped:
        notes.append(f"Stopped after {sum(map(len, found.turns.values()))} of {rounds * len(there)} turns.")
    machine = {name: value for name, value in describe_machine().items() if name != "threads"}  # of this process
    if any(name != "threads" for name in found.turns):
        machine |= {"Ray": read_ray_version(), "cluster": settings().ray_address}
    subject = {"model": model, "height": size[0], "width": size[1], "seconds": seconds, "visitors": visitors}
    return summarise_rounds(found.turns, machine, subject, tuple(notes), found.stopped)


def read_ray_version() -> str:
    """The version of Ray, without importing it."""
    from importlib.metadata import version

    return version("ray")


def take_turns(plans: Sequence[TurnPlan], rounds: int, interrupted: Interrupted, run: RunTurn | None = None) -> Rounds:
    """Run all plans in each round, the second round from the last plan to the first, and so on.

    Args:
        plans: one for each backend.
        rounds: how often.
        interrupted: whether to end.
        run: measures a turn; by default in a process of its own.
    """
    found, run = Rounds(), run or run_turn
    with progress_bar(total=rounds * len(plans), unit="turn", leave=False) as bar:
        for number in range(rounds):
            for plan in plans[:: 1 if number % 2 == 0 else -1]:
                bar.set_postfix_str(plan.backend)
                if plan.backend not in found.problems and not found.stopped:
                    try:
                        found.turns.setdefault(plan.backend, []).append(run(plan, interrupted))
                    except InterruptedError:
                        found.stopped = True
                    except TurnError as error:
                        found.problems[plan.backend] = str(error)
                found.stopped = found.stopped or interrupted()
                bar.update()
    found.turns = {plan.backend: turns for plan in plans if (turns := found.turns.get(plan.backend))}
    return found


def run_turn(plan: TurnPlan, interrupted: Interrupted) -> Measured:
    """Measure one backend in a process of its own, and its memory from here.

    Raises:
        TurnError: the backend fails, or does not end.
        InterruptedError: the user has stopped the benchmark.
    """
    with tempfile.TemporaryFile() as words:  # Ray's own
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=app_environment(),
            bufsize=0,  # so that a line which has come is never hidden from `select`
        )
        assert process.stdin is not None and process.stdout is not None
        below: set[psutil.Process] = set()
        try:
            process.stdin.write((json.dumps(asdict(plan)) + "\n").encode())
            process.stdin.flush()
            return follow_turn(process, process.stdout, plan, interrupted, below)
        finally:
            end_turn(process, below)


def follow_turn(
    process: subprocess.Popen[bytes],
    lines: IO[bytes],
    plan: TurnPlan,
    interrupted: Interrupted,
    below: set[psutil.Process],
) -> Measured:
    """Read a turn's lines until its figures are there, and look at its memory meanwhile.

    Raises:
        InterruptedError: the run was interrupted.
        TurnError: the turn's process ended, said why it cannot go on, or took too long.
    """
    now = time.monotonic()
    peak, end, sampled = Peak(), now + PATIENCE_S + 2 * plan.seconds, now
    with selectors.DefaultSelector() as selector:
        selector.register(lines, selectors.EVENT_READ)
        while (now := time.monotonic()) < end:
            if interrupted():
                raise InterruptedError
            if now > sampled + SAMPLE_S:
                peak.note(*sample_memory(process.pid, below))
                sampled = time.monotonic()
            if not selector.select(STOP_LOOK_S):
                continue
            line = lines.readline()
            if not line and interrupted():  # Ctrl-C ends it too, until it has imported what it needs
                raise InterruptedError
            if not line:
                raise TurnError(f"its process ended with {process.wait()}")
            told = json.loads(line)
            if "error" in told:
                raise TurnError(told["error"].rstrip("."))
            if "turn" in told:
                return Measured(read_turn(told["turn"]), peak.app / MEGA, peak.ray / MEGA, peak.both / MEGA)
            peak.note(*sample_memory(process.pid, below))
    raise TurnError("it did not end in time")


def sample_memory(pid: int, below: set[psutil.Process]) -> tuple[int, int]:
    """Bytes (PSS) of a process, and of all processes below it, which are added to `below`.

    Pages of libraries that this process shares with them count to the first of them.
    """
    with suppress(psutil.Error):
        app = psutil.Process(pid)
        below.update(app.children(recursive=True))
        own = psutil.Process().memory_full_info()
        held = proportional_bytes(app)
        return held + (own.pss - own.uss if held else 0), sum(map(proportional_bytes, below))
    return 0, 0


def proportional_bytes(process: psutil.Process) -> int:
    """A process's PSS: its own pages, and its part of those that it shares; 0 where it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):  # PSS is Linux's
        return 0


def end_turn(process: subprocess.Popen[bytes], below: set[psutil.Process]) -> None:
    """End a turn's process, which closes its cluster; what is left of it then is killed."""
    with suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        below.update(psutil.Process(process.pid).children(recursive=True))
        process.kill()
        process.wait()
    for one in below:
        with suppress(psutil.Error):  # it has ended; psutil compares the start time, so no other process is killed
            one.kill()
    if process.stdout is not None:
        process.stdout.close()
