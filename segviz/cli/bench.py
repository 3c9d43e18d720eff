"""`bench`: measure blocks, networks, the viewer or the engine, and print a table or JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from segviz.atomic_write import check_destination
from segviz.benchmarks.blocks import PUBLISHED_SIZE, BlockSize, bench_blocks
from segviz.benchmarks.engine import bench_engine
from segviz.benchmarks.engine_plan import plan_report
from segviz.benchmarks.engine_report import EngineReport, read_report
from segviz.benchmarks.measure import Report
from segviz.benchmarks.models import BENCH_PICTURE, bench_models, record_costs
from segviz.benchmarks.networks import DEFAULT_SIZE, PROTOCOLS, bench_networks, forward_protocol
from segviz.benchmarks.sparse import bench_sparse
from segviz.benchmarks.viewer import bench_viewer
from segviz.catalogue.location import bundled_path
from segviz.cli.errors import UsageError
from segviz.models.registry import SPECS
from segviz.runtime.interrupts import note_interrupt

FORWARD_OPTIONS = ("size", "batch", "option", "protocol", "count")  # each of them asks for a forward pass alone


def run_bench(options: argparse.Namespace) -> int:
    """Run a benchmark and print a table or JSON."""
    if options.record and (options.subject != "models" or measures_networks(options)):
        raise UsageError(
            "--record stores the bundled models' costs on one picture; use it with `bench models` and no other size"
        )
    if options.json and options.markdown:
        raise UsageError("--json and --markdown both choose how the figures are printed; give one of them")
    for name in SPECS if options.record else ():
        check_destination(bundled_path(name))
    report = measure(options)
    if options.record:
        paths = ", ".join(map(str, record_costs(report)))
        note = f"Recorded in {paths}." if paths else "Nothing is recorded: none of these models has a checkpoint."
        report = dataclasses.replace(report, notes=(*report.notes, note))
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(report.as_markdown() if options.markdown else report.as_text())
    return 1 if isinstance(report, EngineReport) and report.stopped and options.measured is None else 0


def measure(options: argparse.Namespace) -> Report:
    """Measure what the options name."""
    match options.subject:
        case "blocks":
            return bench_blocks(read_block_size(options), options.rounds, options.only, options.device, options.plain)
        case "sparse":
            return bench_sparse(read_block_size(options), options.samples, options.rounds, options.device)
        case "models" if measures_networks(options):
            return measure_networks(options)
        case "models":
            return bench_models(options.rounds, options.only, options.device)
        case "engine":
            return measure_engine(options)
        case _:
            return bench_viewer(options.url, options.rounds)


def measure_engine(options: argparse.Namespace) -> Report:
    """Measure the engine's backends, or read what was measured; and plan a cluster.

    Raises:
        UsageError: a plan has no forward time, or the size is no height and width.
        ValueError: the file has no results of `bench engine`.
    """
    if options.plan and options.forward_ms is None:
        raise UsageError(
            "--plan needs --forward-ms MS, a forward's time on such a GPU; `bench models` measures it there"
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
    others = any(name not in SPECS for name in options.only or ())
    return others or any(name in options.given for name in FORWARD_OPTIONS)


def measure_networks(options: argparse.Namespace) -> Report:
    """Measure forward passes.

    Raises:
        UsageError: the size is no height and width, or the batch belongs to a protocol.
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
    """The height and width of the pictures.

    Raises:
        UsageError: the size has other than two numbers.
    """
    size = tuple(options.size or default)
    if len(size) != 2:
        raise UsageError(f"`bench {options.subject}` takes --size HEIGHT WIDTH, and {len(size)} numbers were given")
    return size[0], size[1]


def read_block_size(options: argparse.Namespace) -> BlockSize:
    """The height, width and channels of a block's input.

    Raises:
        UsageError: the size has other than three numbers.
    """
    size = tuple(options.size or PUBLISHED_SIZE)
    if len(size) != 3:
        raise UsageError(
            f"`bench {options.subject}` takes --size HEIGHT WIDTH CHANNELS, and {len(size)} numbers were given"
        )
    return size[0], size[1], size[2]
