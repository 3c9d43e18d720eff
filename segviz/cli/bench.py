"""`bench`: measure blocks, networks or the viewer, and print a table or JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json

from segviz.atomic_write import check_destination
from segviz.benchmarks.blocks import PUBLISHED_SIZE, BlockSize, bench_blocks
from segviz.benchmarks.measure import Report
from segviz.benchmarks.models import bench_models, record_costs
from segviz.benchmarks.networks import DEFAULT_SIZE, PROTOCOLS, bench_networks, forward_protocol
from segviz.benchmarks.sparse import bench_sparse
from segviz.benchmarks.viewer import bench_viewer
from segviz.catalogue.location import bundled_path
from segviz.cli.errors import UsageError
from segviz.models.registry import SPECS

FORWARD_OPTIONS = ("size", "batch", "option", "protocol", "count")  # each of them asks for a forward pass alone


def run_bench(options: argparse.Namespace) -> int:
    """Run a benchmark and print a table or JSON."""
    if options.record and (options.subject != "models" or measures_networks(options)):
        raise UsageError(
            "--record stores the bundled models' costs on one picture; use it with `bench models` and no other size"
        )
    for name in SPECS if options.record else ():
        check_destination(bundled_path(name))
    report = measure(options)
    if options.record:
        paths = ", ".join(map(str, record_costs(report)))
        note = f"Recorded in {paths}." if paths else "Nothing is recorded: none of these models has a checkpoint."
        report = dataclasses.replace(report, notes=(*report.notes, note))
    print(json.dumps(report.as_dict(), indent=2) if options.json else report.as_text())
    return 0


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
        case _:
            return bench_viewer(options.url, options.rounds)


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
    if options.size and len(options.size) != 2:
        raise UsageError(f"`bench models` takes --size HEIGHT WIDTH, and {len(options.size)} numbers were given")
    if options.protocol:
        published = PROTOCOLS[options.protocol]
        protocol = published.at((options.size[0], options.size[1])) if options.size else published
    else:
        height, width = options.size or DEFAULT_SIZE
        protocol = forward_protocol((height, width), options.batch)
    rounds = 0 if options.count else options.rounds
    return bench_networks(protocol, options.only, options.option, rounds, options.device)


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
