"""`bench all`: the subjects that a GPU is measured by, one after the other, each into files of its own."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from segviz.atomic_write import check_destination, write_atomically
from segviz.benchmarks.measure import Report
from segviz.cli.errors import describe_error, is_stop, print_error
from segviz.cli.parser import build_parser, typed_options

# The subjects in their order, with what else is asked of them. The app's questions come last: they take longest.
WHOLE_RUN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"blocks": ("--plain",), "sparse": (), "models": (), "questions": ()}
)


def run_all(options: argparse.Namespace, measures: Mapping[str, Callable[[argparse.Namespace], Report]]) -> int:
    """Measure each subject and write its figures; returns 1 if one failed or was stopped.

    Args:
        options: of `bench all`.
        measures: what measures a subject, by its name.

    Raises:
        OSError: a file cannot be written.
    """
    folder: Path = options.out
    for path in (path for subject in WHOLE_RUN for path in report_paths(folder, subject)):
        check_destination(path)
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for subject in WHOLE_RUN:
        print(f"bench {subject}", file=sys.stderr, flush=True)
        try:
            report = measures[subject](read_subject(options, subject))
        except (ValueError, LookupError, RuntimeError, MemoryError, ImportError) as error:
            if is_stop(error):
                raise
            failed += 1
            print_error(f"bench {subject} failed: {describe_error(error)}")
            continue
        plain, table = report_paths(folder, subject)
        write_atomically(plain, (json.dumps(report.as_dict(), indent=2) + "\n").encode())
        write_atomically(table, (report.as_markdown() + "\n").encode())
        print(f"{subject}: {plain}, {table}", flush=True)
        failed += report.failures
        if report.stopped:
            return print_error("stopped")
    return 1 if failed else 0


def read_subject(options: argparse.Namespace, subject: str) -> argparse.Namespace:
    """The options of a subject, as if they had been typed."""
    words = ["bench", subject, *WHOLE_RUN[subject], "--device", options.device]
    words += [] if options.rounds is None else ["--rounds", str(options.rounds)]
    parsed = build_parser().parse_args(words)
    parsed.given = typed_options(words)
    return parsed


def report_paths(folder: Path, subject: str) -> tuple[Path, Path]:
    """The files of a subject: JSON and Markdown."""
    return folder / f"{subject}.json", folder / f"{subject}.md"
