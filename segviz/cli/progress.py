"""A run over many pictures on the terminal: progress bar, lines of output, and where the files go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tqdm import tqdm

from segviz.batch.archive import Archive
from segviz.batch.inputs import Source
from segviz.batch.run import Folder, PictureOutput, PutFile, Step, run_pictures, stop_on_interrupt
from segviz.cli.errors import MAX_ERROR_LENGTH, describe_error
from segviz.image import Rgb
from segviz.text import plain_text


def process_pictures(
    sources: Sequence[Source], work: Callable[[Source, Rgb], PictureOutput], put: PutFile, options: argparse.Namespace
) -> int:
    """Process each picture and print its result; returns 1 if one failed or Ctrl-C stopped the run, else 0."""
    done: list[Step] = []
    with stop_on_interrupt() as stop:
        steps = run_pictures(sources, work, put, stop)
        bar = tqdm(steps, total=len(sources), unit="picture", leave=False, disable=None if len(sources) > 1 else True)
        for step in bar:
            done.append(step)
            print_step(step, options.json)
    if options.json:
        print(json.dumps([step.summary for step in done if step.summary is not None], indent=2))
    if len(done) < len(sources):
        print(f"segviz: stopped after {len(done)} of {len(sources)} pictures; their files are kept", file=sys.stderr)
        return 1
    return 1 if any(step.problem for step in done) else 0


def print_step(step: Step, as_json: bool) -> None:
    """Print one line for a picture: its files, or its error."""
    if step.problem is not None:
        cause = describe_error(step.problem)
        text = cause if step.source.text in cause else f"{step.source.text}: {cause}"
        tqdm.write(f"segviz: {plain_text(text, MAX_ERROR_LENGTH)}", file=sys.stderr)
    elif not as_json:
        tqdm.write(plain_text(f"{step.source.text}: {', '.join(step.files)}", 10 * MAX_ERROR_LENGTH), file=sys.stdout)


@contextmanager
def open_target(options: argparse.Namespace) -> Iterator[PutFile]:
    """Open the folder of `--out` or the ZIP of `--zip`, and yield the function that writes a file to it."""
    with ExitStack() as stack:
        yield (Folder(options.out) if options.zip is None else stack.enter_context(Archive(options.zip))).put
