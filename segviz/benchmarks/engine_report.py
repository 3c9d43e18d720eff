"""The figures of `bench engine`: turns of several rounds as a row for each backend, and ratios with their spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from segviz.benchmarks.engine_turn import Turn
from segviz.benchmarks.measure import Report, format_measurement

DEFINITIONS = (
    "Medians over the rounds; ratios are of turns of one round, with their lowest and highest. Counts are sums, memory "
    "the most of any turn.",
    "Visitors ask again once they have their answer; one question in ten is Saliency, the others are predictions. "
    "A question without a model takes a picture there and as many bytes as a prediction back.",
    "Memory is PSS; that of the app's process is without pages (Streamlit), and with what the libraries take.",
)


@dataclass(frozen=True)
class Measured:
    """A turn, and the most memory that it took, in MiB: in the app's process, in all below it, and in both at once."""

    turn: Turn
    app_mib: float
    ray_mib: float
    both_mib: float


class Line(NamedTuple):
    """One line of the table.

    Attributes:
        name: its key in JSON.
        title: its words.
        of: its value in one turn; None where there is none.
        over: makes one value of those of all rounds.
        compared: whether backends are compared by it.
    """

    name: str
    title: str
    of: Callable[[Measured], float | int | None]
    over: Callable[[Sequence[Any]], float | int] = median
    compared: bool = False


FIGURES = (
    Line("rate", "answers a second, all visitors", lambda one: one.turn.rate, compared=True),
    Line("p50_ms", "their predictions, p50, ms", lambda one: quantile(one.turn.predict_ms, 50), compared=True),
    Line("p95_ms", "their predictions, p95, ms", lambda one: quantile(one.turn.predict_ms, 95), compared=True),
    Line("long_p50_ms", "their long question, p50, ms", lambda one: quantile(one.turn.long_ms, 50), compared=True),
    Line("alone_ms", "a prediction for one visitor, ms", lambda one: quantile(one.turn.alone_ms, 50), compared=True),
    Line("first_warm_ms", "the first once the model is loaded, ms", lambda one: next(iter(one.turn.alone_ms), None)),
    Line("forward_ms", "of one alone: the model, ms", lambda one: quantile(one.turn.forward_ms, 50)),
    Line("call_ms", "of one alone: a call without data, ms", lambda one: one.turn.empty_ms),
    Line("there_ms", "of one alone: the picture there, ms", lambda one: one.turn.picture_ms - one.turn.empty_ms),
    Line("back_ms", "of one alone: the answer back, ms", lambda one: one.turn.answer_ms - one.turn.picture_ms),
    Line("rest_ms", "of one alone: the rest, ms", lambda one: rest_ms(one.turn)),
    Line("way_ms", "a question without a model, ms", lambda one: one.turn.answer_ms),
    Line("passing_rate", "answers a second without a model", lambda one: one.turn.passing_rate, compared=True),
    Line("app_cpu_ms", "CPU for an answer: the app, ms", lambda one: one.turn.app_cpu_ms),
    Line("bridge_cpu_ms", "CPU for an answer: the bridge, ms", lambda one: one.turn.bridge_cpu_ms),
    Line("ray_cpu_ms", "CPU for an answer: Ray and replicas, ms", lambda one: one.turn.ray_cpu_ms),
    Line("app_passing_ms", "without a model: the app, ms", lambda one: one.turn.app_passing_ms),
    Line("bridge_passing_ms", "without a model: the bridge, ms", lambda one: one.turn.bridge_passing_ms),
    Line("ray_passing_ms", "without a model: Ray and replicas, ms", lambda one: one.turn.ray_passing_ms),
    Line("request_bytes", "bytes of a request", lambda one: one.turn.bytes.get("request"), max),
    Line("answer_bytes", "bytes of an answer", lambda one: one.turn.bytes.get("answer"), max),
    Line("start_s", "start to the first answer, s", lambda one: one.turn.start_s),
    Line("close_s", "close, s", lambda one: one.turn.close_s),
    Line("app_mib", "memory of the app's process, MiB", lambda one: one.app_mib, max),
    Line("ray_mib", "memory of Ray's processes, MiB", lambda one: one.ray_mib, max),
    Line("both_mib", "memory in all at once, MiB", lambda one: one.both_mib, max),
    Line("answered", "answers in all", lambda one: len(one.turn.predict_ms) + len(one.turn.long_ms), sum),
    Line("reused", "answers from the cache", lambda one: one.turn.reused, sum),
    Line("failed", "questions that failed", lambda one: one.turn.failed, sum),
)  # fmt: skip


@dataclass(frozen=True)
class EngineReport(Report):
    """The report of `bench engine`: a row for each backend, of which people read the columns."""

    def remarks(self) -> list[str]:
        """What was asked, the bytes of its parts, and the notes."""
        asked = self.totals
        told = [
            f"Model {asked['model']}, pictures of {asked['width']} x {asked['height']}; {asked['visitors']} visitors "
            f"ask for {asked['seconds']:g} s in each round."
        ]
        parts = {name.removeprefix("bytes_"): count for name, count in asked.items() if name.startswith("bytes_")}
        listed = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in parts.items())
        return [*told, *([f"Pickled bytes: {listed}."] if parts else []), *self.notes]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """A line for each figure, a column for each backend, and its ratio to the first where it is compared."""
        first, *others = self.rows
        titles = ["", *(row["backend"] for row in self.rows)]
        titles += [f"{row['backend']} / {first['backend']}" for row in others]
        body = []
        for figure in FIGURES:
            cells = [format_measurement(row[figure.name]) for row in self.rows]
            ratios = [format_ratio(row, figure.name) if figure.compared else "" for row in others]
            body.append([figure.title, *cells, *ratios])
        return titles, body


def summarise_rounds(
    turns: Mapping[str, Sequence[Measured]],
    machine: Mapping[str, str],
    totals: Mapping[str, Any],
    notes: tuple[str, ...] = (),
    stopped: bool = False,
) -> EngineReport:
    """The report of turns by backend; the first backend is what the others are compared with."""
    first = next(iter(turns.values()))
    rows = tuple(summarise_backend(name, own, first) for name, own in turns.items())
    moved = next((one.turn.bytes for own in turns.values() for one in own if one.turn.bytes), {})
    parts = {f"bytes_{name.replace(' ', '_')}": count for name, count in moved.items()}
    problems = {one.turn.problem: name for name, own in turns.items() for one in own if one.turn.problem}
    told = [f"A question to {name} failed: {problem}" for problem, name in problems.items()]
    return EngineReport("engine", machine, rows, {**totals, **parts}, (*notes, *told, *DEFINITIONS), stopped)


def summarise_backend(name: str, own: Sequence[Measured], first: Sequence[Measured]) -> dict[str, Any]:
    """A backend's row; its ratios are to the turns of another in the same rounds."""
    row: dict[str, Any] = {"backend": name, "turns": len(own)}
    for figure in FIGURES:
        values = [value for one in own if (value := figure.of(one)) is not None]
        row[figure.name] = figure.over(values) if values else None
    for figure in FIGURES:
        if figure.compared:
            pairs = [(figure.of(one), figure.of(other)) for one, other in zip(own, first, strict=False)]
            ratios = [one / other for one, other in pairs if one is not None and other]
            row[f"{figure.name}_ratio"] = (
                {"median": median(ratios), "low": min(ratios), "high": max(ratios)} if ratios else None
            )
    return row


def format_ratio(row: Mapping[str, Any], name: str) -> str:
    """A ratio with its lowest and highest, as "0.62 (0.58 to 0.66)"."""
    ratio = row[f"{name}_ratio"]
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else "-"


def quantile(values: Sequence[float], percent: float) -> float | None:
    """A percentile of values; None where there are none."""
    return float(np.percentile(values, percent)) if values else None


def rest_ms(turn: Turn) -> float | None:
    """What one visitor waits beside the model and the way: pickling many small parts, and what is noisy."""
    alone, forward = quantile(turn.alone_ms, 50), quantile(turn.forward_ms, 50)
    return None if alone is None or forward is None else alone - forward - turn.answer_ms


def read_report(found: Mapping[str, Any]) -> EngineReport:
    """The report of the JSON that `bench engine --json` has printed.

    Raises:
        ValueError: it is that of another benchmark, or none.
    """
    if not isinstance(found, Mapping) or found.get("subject") != "engine" or not found.get("rows"):
        raise ValueError("it has no results of `bench engine --json`")
    return EngineReport(
        "engine",
        found["machine"],
        tuple(found["rows"]),
        found["totals"],
        tuple(found["notes"]),
        bool(found.get("stopped")),
    )
