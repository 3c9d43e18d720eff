"""The options of `bench`. Quick to import: no torch."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from segviz.cli.arguments import integer_reader, number_reader
from segviz.cli.shared_options import Commands, Parser, add_command, add_device, add_json

BENCH_SUBJECTS = ("blocks", "sparse", "models", "viewer", "engine")
PROTOCOL_NAMES = ("attanet", "ssanet")
SAMPLE_COUNTS = (9, 49, 81, 99, 121)
BACKENDS_MEASURED = ("threads", "ray:1", "ray:2")


def add_bench(commands: Commands) -> None:
    """Add `bench`."""
    bench = add_command(
        commands, "bench", "measure speed and memory",
        "blocks: the attention blocks beside FLANet's Table 3; sparse: SNL at K beside dense attention on growing "
        "grids; models: the bundled models on one picture, with and without keeping the maps, or any network at any "
        "size; viewer: from pointer to drawn frame in a headless browser; engine: visitors who ask the app's engine, "
        "on threads and on replicas in a Ray cluster.",
    )  # fmt: skip
    bench.add_argument("subject", choices=BENCH_SUBJECTS, metavar="SUBJECT", help=", ".join(BENCH_SUBJECTS))
    bench.add_argument(
        "--size", type=integer_reader(1, 4096), nargs="+", metavar="N",
        help="blocks, sparse: height, width and channels of the input (default: 96 96 512); "
        "models, engine: height and width of the pictures (default: 360 480, or the protocol's)",
    )  # fmt: skip
    bench.add_argument(
        "--rounds", type=integer_reader(1, 1000), default=5, help="timed rounds after a warm-up (default: %(default)s)"
    )
    bench.add_argument("--only", nargs="+", metavar="NAME", help="measure only these blocks or networks")
    bench.add_argument(
        "--plain", action="store_true", help="blocks: also measure a plain formulation of each, with equal results"
    )
    bench.add_argument(
        "--samples", type=int, choices=SAMPLE_COUNTS, nargs="+", default=[81], metavar="K",
        help=f"sparse: samples of each cell, of {', '.join(map(str, SAMPLE_COUNTS))} (default: 81)",
    )  # fmt: skip
    add_network_measurement(bench)
    bench.add_argument("--url", help="viewer: the address of a running app (default: start one)")
    bench.add_argument(
        "--record", action="store_true",
        help="models: store the costs in the checkpoints' records (with --device auto, the CPU's)",
    )  # fmt: skip
    add_engine_measurement(bench)
    add_device(bench)
    add_json(bench)
    bench.add_argument("--markdown", action="store_true", help="print a Markdown table instead of text")


def read_measured_backend(text: str) -> str:
    """Read "threads", or "ray:N" with N replicas."""
    if not re.fullmatch(r"threads|ray:[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a backend; use threads, or ray:N for N replicas")
    return text


def add_engine_measurement(bench: Parser) -> None:
    """Add the options of `bench engine`."""
    group = bench.add_argument_group("engine", "engine: answers a second, answer times, bytes moved and memory")
    group.add_argument(
        "--backends", type=read_measured_backend, nargs="+", default=list(BACKENDS_MEASURED), metavar="NAME",
        help="threads, or ray:N for N replicas; the others are compared with the first (default: threads ray:1 ray:2)",
    )  # fmt: skip
    group.add_argument("--model", default="psa", help="the model that visitors ask (default: %(default)s)")
    group.add_argument(
        "--seconds", type=number_reader(0.5, 3600), default=20.0, metavar="S",
        help="how long they ask in each round (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--visitors", type=integer_reader(1, 64), default=4, metavar="N",
        help="how many ask at once (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--measured", type=Path, metavar="FILE", help="read what `bench engine --json` has printed, and measure nothing"
    )
    group.add_argument(
        "--plan", type=integer_reader(1, 10_000), nargs="+", metavar="GPUS",
        help="compute from the measured figures what a cluster of so many GPUs would answer",
    )  # fmt: skip
    group.add_argument(
        "--forward-ms", type=number_reader(0.01, 1e6), nargs="+", metavar="MS",
        help="--plan: milliseconds of a forward on such a GPU, as `bench models` measures it there",
    )  # fmt: skip


def add_network_measurement(bench: Parser) -> None:
    """Add the options of `bench models` that measure a network's forward pass, with random weights."""
    group = bench.add_argument_group("networks", "models: a forward pass with random weights; see --size and --only")
    group.add_argument(
        "--batch", type=integer_reader(1, 64), default=1, metavar="N", help="pictures at a time (default: %(default)s)"
    )
    group.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the networks; may be repeated"
    )
    group.add_argument(
        "--protocol", choices=PROTOCOL_NAMES,
        help="attanet: 1024 x 2048 resized to 512 x 1024, run, resized back; ssanet: two of 1024 x 2048",
    )  # fmt: skip
    group.add_argument(
        "--count", action="store_true", help="count operations and parameters at any size, and run nothing"
    )
