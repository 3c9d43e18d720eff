"""`bench` and its subjects, each with its own options. Quick to import: no torch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from segviz.cli.arguments import integer_reader, number_reader
from segviz.cli.bench_subjects import SubjectParser
from segviz.cli.shared_options import Commands, Parser, add_command, add_device, add_json

PROTOCOL_NAMES = ("attanet", "ssanet")
SAMPLE_COUNTS = (9, 49, 81, 99, 121)
BACKENDS_MEASURED = ("threads", "ray:1", "ray:2")
QUESTION_ROUNDS = 3
SIDE = integer_reader(1, 4096)


def add_bench(commands: Commands) -> None:
    """Add `bench`."""
    bench = commands.add_parser(
        "bench", help="measure speed and memory",
        description="Measure speed and memory on this machine. Each subject has options of its own: "
        "`bench SUBJECT --help`.",
    )  # fmt: skip
    subjects: Commands = bench.add_subparsers(
        dest="subject", required=True, metavar="SUBJECT", parser_class=SubjectParser
    )
    for add in SUBJECTS.values():
        add(subjects)
    for subject in subjects.choices.values():
        if isinstance(subject, SubjectParser):
            subject.subjects = subjects.choices


def add_blocks(subjects: Commands) -> None:
    """Add `bench blocks`."""
    blocks = add_command(
        subjects, "blocks", "each attention block alone",
        "Time, peak memory and operations of each with its maps kept, beside FLANet's Table 3.",
    )  # fmt: skip
    add_block_size(blocks, "the features")
    add_rounds(blocks)
    blocks.add_argument("--only", nargs="+", metavar="BLOCK", help="measure only these, such as spatial_nl fla")
    blocks.add_argument(
        "--plain", action="store_true", help="also measure a plain formulation of each, and compare the results"
    )
    add_device(blocks)
    add_form(blocks)


def add_sparse(subjects: Commands) -> None:
    """Add `bench sparse`."""
    sparse = add_command(
        subjects, "sparse", "SNL at K beside dense attention, on growing grids",
        "Both ways to compute SNL, and dense attention with the same layers, on a quarter, half and the whole of the "
        "height and width.",
    )  # fmt: skip
    add_block_size(sparse, "the largest features")
    sparse.add_argument(
        "--samples", type=int, choices=SAMPLE_COUNTS, nargs="+", default=[81], metavar="K",
        help=f"samples of each cell, of {', '.join(map(str, SAMPLE_COUNTS))} (default: 81)",
    )  # fmt: skip
    add_rounds(sparse)
    add_device(sparse)
    add_form(sparse)


def add_bundled(subjects: Commands) -> None:
    """Add `bench models`."""
    models = add_command(
        subjects, "models", "the bundled models on one picture, or any network at any size",
        "Without the options for a forward pass: the bundled models from the picture to labels, with and without "
        "keeping the maps.",
    )  # fmt: skip
    models.add_argument("--only", nargs="+", metavar="NAME", help="measure only these models, or these networks")
    add_rounds(models)
    models.add_argument(
        "--record", action="store_true",
        help="store the bundled models' costs in the checkpoints' records (with --device auto, the CPU's)",
    )  # fmt: skip
    group = models.add_argument_group(
        "a forward pass", "of networks with random weights; each of these options, or a network in --only, asks for it"
    )
    add_picture_size(group, "360 480, or the protocol's")
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
    add_device(models)
    add_form(models)


def add_questions(subjects: Commands) -> None:
    """Add `bench questions`."""
    questions = add_command(
        subjects, "questions", "each question that the app asks a model",
        "Predictions, influence, similarity and attributions of one drawn picture, through the app's engine: the "
        "first time with loading the model, then the median, the peak memory and the bytes of the answer.",
    )  # fmt: skip
    questions.add_argument("--only", nargs="+", metavar="MODEL", help="ask only these bundled models")
    questions.add_argument(
        "--ask", nargs="+", metavar="QUESTION", help="ask only these questions, such as predict occlusion"
    )
    add_picture_size(questions, "360 480")
    questions.add_argument(
        "--rounds", type=integer_reader(1, 1000), default=QUESTION_ROUNDS,
        help="timed rounds after the first time (default: %(default)s)",
    )  # fmt: skip
    add_device(questions)
    add_form(questions)


def add_viewer(subjects: Commands) -> None:
    """Add `bench viewer`."""
    viewer = add_command(
        subjects, "viewer", "from pointer to drawn frame in a browser", "Needs Playwright and a headless Chromium."
    )
    viewer.add_argument("--url", help="the address of a running app (default: start one)")
    add_rounds(viewer)
    add_form(viewer)


def add_engine(subjects: Commands) -> None:
    """Add `bench engine`."""
    engine = add_command(
        subjects, "engine", "visitors who ask the app's engine, on threads and in a Ray cluster",
        "Answers a second, answer times, bytes moved and memory.",
    )  # fmt: skip
    add_picture_size(engine, "360 480")
    add_rounds(engine)
    engine.add_argument(
        "--backends", type=read_measured_backend, nargs="+", default=list(BACKENDS_MEASURED), metavar="NAME",
        help="threads, or ray:N for N replicas; the others are compared with the first (default: threads ray:1 ray:2)",
    )  # fmt: skip
    engine.add_argument("--model", default="psa", help="the model that visitors ask (default: %(default)s)")
    engine.add_argument(
        "--seconds", type=number_reader(0.5, 3600), default=20.0, metavar="S",
        help="how long they ask in each round (default: %(default)g)",
    )  # fmt: skip
    engine.add_argument(
        "--visitors", type=integer_reader(1, 64), default=4, metavar="N",
        help="how many ask at once (default: %(default)s)",
    )  # fmt: skip
    engine.add_argument(
        "--measured", type=Path, metavar="FILE", help="read what `bench engine --json` has printed, and measure nothing"
    )
    engine.add_argument(
        "--plan", type=integer_reader(1, 10_000), nargs="+", metavar="GPUS",
        help="compute from the measured figures what a cluster with this many GPUs would answer",
    )  # fmt: skip
    engine.add_argument(
        "--forward-ms", type=number_reader(0.01, 1e6), nargs="+", metavar="MS",
        help="--plan: milliseconds of a forward pass on such a GPU, as `bench models` measures it there",
    )  # fmt: skip
    add_form(engine)


def add_whole_run(subjects: Commands) -> None:
    """Add `bench all`."""
    whole = add_command(
        subjects, "all", "blocks, sparse, models and questions into a folder, in one run",
        "Each subject's JSON and Markdown are written as soon as it is measured; one that fails does not end the rest. "
        "Needs no Streamlit.",
    )  # fmt: skip
    whole.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; created if missing")
    whole.add_argument(
        "--rounds", type=integer_reader(1, 1000), help="timed rounds of each subject (default: the subject's own)"
    )
    add_device(whole)


def add_rounds(subject: Parser) -> None:
    """Add `--rounds`."""
    subject.add_argument(
        "--rounds", type=integer_reader(1, 1000), default=5, help="timed rounds after a warm-up (default: %(default)s)"
    )


def add_block_size(subject: Parser, what: str) -> None:
    """Add the `--size` of features."""
    subject.add_argument(
        "--size", type=SIDE, nargs=3, metavar=("H", "W", "C"),
        help=f"height, width and channels of {what} (default: 96 96 512)",
    )  # fmt: skip


def add_picture_size(subject: argparse._ActionsContainer, default: str) -> None:
    """Add the `--size` of pictures."""
    subject.add_argument(
        "--size", type=SIDE, nargs=2, metavar=("H", "W"), help=f"height and width of the pictures (default: {default})"
    )


def add_form(subject: Parser) -> None:
    """Add `--json` and `--markdown`."""
    add_json(subject)
    subject.add_argument("--markdown", action="store_true", help="print a Markdown table instead of text")


def read_measured_backend(text: str) -> str:
    """Read "threads", or "ray:N" with N replicas.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    if not re.fullmatch(r"threads|ray:[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a backend; use threads, or ray:N for N replicas")
    return text


SUBJECTS: Mapping[str, Callable[[Commands], None]] = MappingProxyType({
    "blocks": add_blocks,
    "sparse": add_sparse,
    "models": add_bundled,
    "questions": add_questions,
    "viewer": add_viewer,
    "engine": add_engine,
    "all": add_whole_run,
})  # fmt: skip


def bring_subject_forward(words: Sequence[str]) -> list[str]:
    """The words of a command line with the subject of `bench` before its options, where it stands behind them."""
    command, *rest = words or [""]
    subject = next((word for word in rest if word in SUBJECTS), None)
    if command != "bench" or subject is None or not rest[0].startswith("--"):
        return list(words)
    rest.remove(subject)
    return [command, subject, *rest]
