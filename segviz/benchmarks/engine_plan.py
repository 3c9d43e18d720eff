"""What a cluster would answer: computed from what one machine measured, by the simplest queueing model.

Nothing here is measured on a cluster. An answer takes S = forward + passage, and holds a slot of a replica so long; the
passage is everything beside the forward. A GPU computes one forward at a time, so with k slots it answers

    min(1 / forward, k / S)

a second, and g GPUs answer g times as many. All answers go through the app's process and its bridge to the cluster.
Each spends c of CPU on an answer, most of it under Python's lock, so it passes at most 1 / c, however large the cluster
is. Waits are those of M/M/g (Erlang C) at the GPUs, and of M/M/1 at the app and at the bridge: questions come at
random, and a forward pass varies as an exponential time does. Real forward passes vary less, so real waits are shorter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from segviz.benchmarks.engine_report import EngineReport
from segviz.benchmarks.measure import MEGA, Report, format_measurement
from segviz.text import count_words

SLOTS = 2  # of a replica with a GPU, as the engine has them: one prepares or copies back while the other computes
USED = 0.7  # the part of the most that is planned for
PAGE_CPU_MS = 37.0  # of a rerun of a whole page in the app's process, as docs/reliability.md has it
PASSAGES_IN_STORE = 2  # a request or an answer lies in the object store on both machines, until Python has read it
PLAN_TITLES: Mapping[str, str] = MappingProxyType({  # of a row's figures, in their order
    "slots": "computations at once",
    "gpus_rate": "GPU limit, answers/s",
    "app_rate": "limit of the app, answers/s",
    "bridge_rate": "limit of the bridge, answers/s",
    "pages_rate": "limit of one app with pages, answers/s",
    "apps": "apps with pages needed to saturate the GPUs",
    "bound_by": "bottleneck, without pages",
    "rate": "planned load without pages, answers/s",
    "p50_ms": "p50 at that load, ms",
    "p95_ms": "p95 at that load, ms",
    "network_mb_per_s": "network at that load, MB/s",
    "store_mib": "object store of the app's machine, MiB",
})  # fmt: skip


@dataclass(frozen=True)
class Passage:
    """What was measured of an answer's way, beside the forward.

    Attributes:
        passage_ms: everything but the forward, of a question alone.
        app_cpu_ms, bridge_cpu_ms: CPU of the app's process, and of its bridge to the cluster.
        request_bytes, answer_bytes: what moves.
    """

    passage_ms: float
    app_cpu_ms: float
    bridge_cpu_ms: float
    request_bytes: int
    answer_bytes: int

    @property
    def bytes(self) -> int:
        """What moves, both ways."""
        return self.request_bytes + self.answer_bytes


@dataclass(frozen=True)
class ClusterPlan:
    """What so many GPUs would answer.

    Attributes:
        gpus: how many; each has a replica.
        slots: computations of a replica at once.
        gpus_rate: answers a second of all GPUs at most.
        app_rate, bridge_rate: answers a second that the app's process and its bridge can pass on.
        pages_rate: answers a second that the app can show, where each is a view of a page.
        rate: what is planned for, USED of the smallest of these but the pages'.
        p50_ms, p95_ms: answer times at that rate; the sum of the waits' own quantiles, so at most that.
        bytes_per_s: what moves between app and replicas at that rate.
        store_bytes: what lies in the object store of the app's machine while all slots are in use.
    """

    gpus: int
    slots: int
    gpus_rate: float
    app_rate: float
    bridge_rate: float
    pages_rate: float
    rate: float
    p50_ms: float
    p95_ms: float
    bytes_per_s: float
    store_bytes: int

    @property
    def apps(self) -> int:
        """How many apps these GPUs can serve, where each answer is a view of a page."""
        return math.ceil(self.gpus_rate / min(self.pages_rate, self.bridge_rate))

    @property
    def bound_by(self) -> str:
        """The bottleneck: what reaches its limit first."""
        rates = {"the GPUs": self.gpus_rate, "the app": self.app_rate, "the bridge": self.bridge_rate}
        return min(rates, key=lambda name: rates[name])


def plan_cluster(passage: Passage, gpus: int, forward_ms: float, slots: int = SLOTS, used: float = USED) -> ClusterPlan:
    """Compute what a cluster would answer.

    Args:
        passage: as measured.
        gpus: how many, at least 1.
        forward_ms: of one prediction on such a GPU, as `bench models` measures it there.
        slots: computations of a replica at once.
        used: the part of the most that is planned for, above 0 and below 1.
    """
    each = min(1000 / forward_ms, slots * 1000 / (forward_ms + passage.passage_ms))
    gpus_rate, doors = gpus * each, (1000 / passage.app_cpu_ms, 1000 / passage.bridge_cpu_ms)
    rate = used * min(gpus_rate, *doors)

    def answer_ms(share_over: float) -> float:
        waits = wait_s(gpus, each, rate, share_over) + sum(wait_s(1, door, rate, share_over) for door in doors)
        return forward_ms + passage.passage_ms + 1000 * waits

    return ClusterPlan(
        gpus,
        slots,
        gpus_rate,
        *doors,
        pages_rate=1000 / (PAGE_CPU_MS + passage.app_cpu_ms),
        rate=rate,
        p50_ms=answer_ms(0.5),
        p95_ms=answer_ms(0.05),
        bytes_per_s=rate * passage.bytes,
        store_bytes=PASSAGES_IN_STORE * gpus * slots * max(passage.request_bytes, passage.answer_bytes),
    )


def wait_s(servers: int, each: float, rate: float, share_over: float) -> float:
    """Seconds of waiting that this share of questions exceeds, in M/M/c: P(W > t) = C exp(-(c m - l) t).

    Args:
        servers: c.
        each: m, answers a second of one of them.
        rate: l, questions a second; below c m.
        share_over: 0.05 for the 95th percentile.
    """
    waiting = erlang_c(servers, rate / each)
    return max(0.0, math.log(waiting / share_over)) / (servers * each - rate) if waiting > 0 else 0.0


def erlang_c(servers: int, load: float) -> float:
    """The probability that a question waits (Erlang's C formula).

    Args:
        servers: how many.
        load: questions that come while one is answered; below `servers`.
    """
    blocked = 1.0  # Erlang's B, by its recursion, which neither overflows nor cancels
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def pays_from(passage_ms: float, forward_ms: float, cores: int) -> int:
    """The least number of cores in replicas on other machines that answer more than `cores` cores with threads.

    Each core of a replica answers 1 / (forward + passage), each of the threads' cores 1 / forward.
    """
    return math.floor(cores * (forward_ms + passage_ms) / forward_ms) + 1


def read_passage(report: EngineReport) -> Passage:
    """The passage that a report has measured, on its first row with replicas.

    Raises:
        ValueError: it measured threads alone.
    """
    row: Mapping[str, Any] | None = next((row for row in report.rows if row["answer_bytes"] is not None), None)
    if row is None:
        raise ValueError("the plan needs a measured Ray backend; add ray:1 to --backends")
    return Passage(
        row["way_ms"],
        row["app_passing_ms"],
        row["bridge_passing_ms"],
        int(row["request_bytes"]),
        int(row["answer_bytes"]),
    )


@dataclass(frozen=True)
class PlanReport(Report):
    """Plans: a row for each, of which people read the columns."""

    def table(self) -> tuple[list[str], list[list[str]]]:
        """A line for each figure, and a column for each plan."""
        body = [[title, *(format_measurement(row[name]) for row in self.rows)] for name, title in PLAN_TITLES.items()]
        return ["", *(row["plan"] for row in self.rows)], body


def plan_report(report: EngineReport, gpus: Sequence[int], forwards_ms: Sequence[float]) -> PlanReport:
    """A plan for each forward time and each number of GPUs.

    Raises:
        ValueError: the report measured threads alone.
    """
    passage = read_passage(report)
    rows = tuple(
        describe_plan(plan_cluster(passage, count, forward), forward) for forward in forwards_ms for count in gpus
    )
    notes = [
        f"Settings: SEGVIZ_BACKEND=ray, SEGVIZ_RAY_ADDRESS, SEGVIZ_REPLICAS={' or '.join(map(str, gpus))} and "
        f"SEGVIZ_REPLICA_GPUS=1; a replica then has {SLOTS} slots.",
        f"Computed, not measured: the forward times are assumptions; the plan uses {USED:.0%} of each limit; waits are "
        "those of M/M/c.",
        f"Measured, on this machine: {passage.passage_ms:.3g} ms beside the forward pass, "
        f"{passage.app_cpu_ms:.3g} and {passage.bridge_cpu_ms:.3g} ms of CPU in the app's process and its bridge, "
        f"{passage.request_bytes:,} bytes there and {passage.answer_bytes:,} back.",
    ]
    notes.append(
        f"A view of a page takes {PAGE_CPU_MS:g} ms of CPU in the app's process besides (docs/reliability.md, another "
        "machine); `predict`, `attend` and `evaluate` have no pages."
    )
    if (threads := next((row for row in report.rows if row["backend"] == "threads"), None)) is not None:
        cores = int(report.machine["cores"])
        notes.append(
            f"On CPUs as here, a forward pass takes {threads['forward_ms']:.3g} ms, so {cores} cores with threads "
            f"answer at most {cores * 1000 / threads['forward_ms']:.3g} a second; replicas of one core on other "
            f"machines answer more from {pays_from(passage.passage_ms, threads['forward_ms'], cores)} on."
        )
    return PlanReport("engine plan", report.machine, rows, {}, tuple(notes))


def describe_plan(plan: ClusterPlan, forward_ms: float) -> dict[str, Any]:
    """A plan's row."""
    return {
        "plan": f"{count_words(plan.gpus, 'GPU')}, {forward_ms:g} ms",
        "slots": plan.gpus * plan.slots,
        "gpus_rate": plan.gpus_rate,
        "app_rate": plan.app_rate,
        "bridge_rate": plan.bridge_rate,
        "pages_rate": plan.pages_rate,
        "apps": plan.apps,
        "bound_by": plan.bound_by,
        "rate": plan.rate,
        "p50_ms": plan.p50_ms,
        "p95_ms": plan.p95_ms,
        "network_mb_per_s": plan.bytes_per_s / 1e6,
        "store_mib": plan.store_bytes / MEGA,
    }
