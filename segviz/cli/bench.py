"""`bench`: measure blocks, networks, the app's questions, the viewer or the engine, and print a table or JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from segviz.atomic_write import check_destination
from segviz.benchmarks.blocks import PUBLISHED_SIZE, BlockSize, bench_blocks
from segviz.benchmarks.engine import bench_engine
from segviz.benchmarks.engine_plan import plan_report
from segviz.benchmarks.engine_report import EngineReport, read_report
from segviz.benchmarks.measure import Report
from segviz.benchmarks.models import BENCH_PICTURE, bench_models, record_costs
from segviz.benchmarks.networks import DEFAULT_SIZE, PROTOCOLS, bench_networks, forward_protocol
from segviz.benchmarks.questions import bench_questions
from segviz.benchmarks.sparse import bench_sparse
from segviz.benchmarks.viewer import bench_viewer
from segviz.catalogue.location import bundled_path
from segviz.cli.bench_all import run_all
from segviz.cli.errors import UsageError
from segviz.models.registry import MODELS
from segviz.runtime.interrupts import note_interrupt

FORWARD_OPTIONS = ("size", "batch", "option", "protocol", "count")  # each of them asks for a forward pass alone


def run_bench(options: argparse.Namespace) -> int:
    """Run a benchmark and print a table or JSON; returns 1 if it was stopped or in part failed.

    Raises:
        UsageError: options exclude each other.
    """
    if options.subject == "all":
        return run_all(options, SUBJECT_MEASURES)
    if options.json and options.markdown:
        raise UsageError("--json and --markdown both choose how the figures are printed; give one of them")
    report = SUBJECT_MEASURES[options.subject](options)
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(report.as_markdown() if options.markdown else report.as_text())
    anew = getattr(options, "measured", None) is None
    return 1 if anew and (report.stopped or report.failures) else 0


def measure_blocks(options: argparse.Namespace) -> Report:
    """Measure blocks."""
    return bench_blocks(read_block_size(options), options.rounds, options.only, options.device, options.plain)


def measure_sparse(options: argparse.Namespace) -> Report:
    """Measure SNL beside dense attention."""
    return bench_sparse(read_block_size(options), options.samples, options.rounds, options.device)


def measure_models(options: argparse.Namespace) -> Report:
    """Measure the bundled models, and record their costs if that is asked; or forward passes of any network.

    Raises:
        UsageError: forward passes have no costs to record.
    """
    if measures_networks(options):
        if options.record:
            raise UsageError(
                "--record stores the bundled models' costs on one picture; use it with `bench models` and no other size"
            )
        return measure_networks(options)
    for name in MODELS if options.record else ():
        check_destination(bundled_path(name))
    report = bench_models(options.rounds, options.only, options.device)
    if not options.record:
        return report
    paths = ", ".join(map(str, record_costs(report)))
    note = f"Recorded in {paths}." if paths else "Nothing is recorded: none of these models has a checkpoint."
    return dataclasses.replace(report, notes=(*report.notes, note))


def measure_questions(options: argparse.Namespace) -> Report:
    """Measure the app's questions; Ctrl-C ends with what is measured."""
    with note_interrupt() as interrupted:
        return bench_questions(
            read_picture_size(options, BENCH_PICTURE), options.rounds, options.only, options.ask, options.device,
            interrupted,
        )  # fmt: skip


def measure_viewer(options: argparse.Namespace) -> Report:
    """Measure the viewer in a browser."""
    return bench_viewer(options.url, options.rounds)


def measure_engine(options: argparse.Namespace) -> Report:
    """Measure the engine's backends, or read what was measured; and plan a cluster.

    Raises:
        UsageError: a plan has no forward time, or no Ray backend.
        ValueError: the file has no results of `bench engine`.
    """
    if options.plan and options.forward_ms is None:
        raise UsageError(
            "--plan needs --forward-ms MS, the time of a forward pass on such a GPU; `bench models` measures it there"
        )
    if options.plan and all(name == "threads" for name in options.backends):
        raise UsageError("--plan needs a measured Ray backend; add ray:1 to --backends")
    if options.measured is not None:
        report = read_measured(options.measured)
    else:
        height, width = read_picture_size(options, BENCH_PICTURE)
        with note_interrupt() as interrupted:
            report = bench_engine(
                list(dict.fromkeys(options.backends)), options.model, (height, width), options.seconds,
                options.visitors, options.rounds, interrupted,
            )  # fmt: skip
    return plan_report(report, options.plan, options.forward_ms) if options.plan else report


SUBJECT_MEASURES: Mapping[str, Callable[[argparse.Namespace], Report]] = MappingProxyType({
    "blocks": measure_blocks,
    "sparse": measure_sparse,
    "models": measure_models,
    "questions": measure_questions,
    "viewer": measure_viewer,
    "engine": measure_engine,
})  # fmt: skip


def read_measured(path: Path) -> EngineReport:
    """The report in a file.

    Raises:
        ValueError: it has none.
    """
    try:
        return read_report(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}; give what `bench engine --json` has printed") from None


def measures_networks(options: argparse.Namespace) -> bool:
    """Whether forward passes are measured, and not the bundled models from pictures to labels."""
    others = any(name not in MODELS for name in options.only or ())
    return others or any(name in options.given for name in FORWARD_OPTIONS)


def measure_networks(options: argparse.Namespace) -> Report:
    """Measure forward passes.

    Raises:
        UsageError: the batch belongs to a protocol.
    """
    if options.protocol and "batch" in options.given:
        raise UsageError(f"--protocol {options.protocol} has its own batch; remove --batch")
    size = read_picture_size(options, DEFAULT_SIZE)
    if options.protocol:
        published = PROTOCOLS[options.protocol]
        protocol = published.at(size) if options.size else published
    else:
        protocol = forward_protocol(size, options.batch)
    rounds = 0 if options.count else options.rounds
    return bench_networks(protocol, options.only, options.option, rounds, options.device)


def read_picture_size(options: argparse.Namespace, default: tuple[int, int]) -> tuple[int, int]:
    """The height and width of the pictures."""
    height, width = options.size or default
    return height, width


def read_block_size(options: argparse.Namespace) -> BlockSize:
    """The height, width and channels of a block's input."""
    height, width, channels = options.size or PUBLISHED_SIZE
    return height, width, channels
