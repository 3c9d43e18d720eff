"""A run over many pictures on the terminal: progress bar, lines of output, and where the files go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from segviz.atomic_write import check_destination
from segviz.batch.archive import Archive
from segviz.batch.inputs import Source
from segviz.batch.run import Folder, PictureOutput, PutError, PutFile, Step, run_pictures
from segviz.cli.errors import MAX_ERROR_LENGTH, UsageError, describe_error
from segviz.image import Rgb
from segviz.runtime.interrupts import note_interrupt
from segviz.runtime.progress import progress_bar
from segviz.text import plain_text


def process_pictures(
    sources: Sequence[Source], work: Callable[[Source, Rgb], PictureOutput], put: PutFile, options: argparse.Namespace
) -> int:
    """Process each picture and print its result; returns 1 if one failed or Ctrl-C stopped the run, else 0."""
    done: list[Step] = []
    with note_interrupt() as interrupted:
        steps = run_pictures(sources, work, put, interrupted)
        bar = progress_bar(steps, total=len(sources), unit="picture", leave=False, disable=len(sources) == 1)
        try:
            for step in bar:
                done.append(step)
                print_step(step, options.json)
        except PutError as error:
            bar.close()
            print_problem(error.source, error)
    if options.json:
        print(json.dumps([step.summary for step in done if step.summary is not None], indent=2))
    if len(done) < len(sources):
        print(f"segviz: stopped after {len(done)} of {len(sources)} pictures; their files are kept", file=sys.stderr)
        return 1
    return 1 if any(step.problem for step in done) else 0


def print_step(step: Step, as_json: bool) -> None:
    """Print one line for a picture: its files, if there are any, or its error."""
    if step.problem is not None:
        print_problem(step.source, step.problem)
    elif step.files and not as_json:
        tqdm.write(plain_text(f"{step.source.text}: {', '.join(step.files)}", 10 * MAX_ERROR_LENGTH), file=sys.stdout)


def print_problem(source: Source, problem: Exception) -> None:
    """Print a picture's error on stderr."""
    cause = describe_error(problem)
    text = cause if source.text in cause else f"{source.text}: {cause}"
    tqdm.write(f"segviz: {plain_text(text, MAX_ERROR_LENGTH)}", file=sys.stderr)


@contextmanager
def open_target(options: argparse.Namespace) -> Iterator[PutFile]:
    """Open the folder of `--out` or the ZIP of `--zip`, and yield the function that writes a file to it.

    Raises:
        UsageError: the target is also an input.
        OSError: it cannot be written.
    """
    inputs = resolve_inputs(options.images)
    with ExitStack() as stack:
        if options.zip is not None:
            check_destination(options.zip)
            refuse_input(options.zip, inputs)
            yield stack.enter_context(Archive(options.zip)).put
            return
        if options.out.resolve() in inputs and options.out.is_dir():
            raise UsageError(
                f"{options.out} is both input and output, so the next run would read these results as pictures; "
                "name another folder with --out"
            )
        check_destination(options.out / "file")
        folder = Folder(options.out)

        def put(name: str, data: bytes) -> str:
            refuse_input(options.out / name, inputs)
            return folder.put(name, data)

        yield put


def resolve_inputs(texts: Iterable[str | Path]) -> set[Path]:
    """The absolute paths of the inputs, links followed; names that cannot be paths are left out."""
    paths = set()
    for text in texts:
        with suppress(OSError, ValueError):
            paths.add(Path(text).resolve())
    return paths


def refuse_input(target: Path, inputs: set[Path]) -> None:
    """Refuse to write over a picture that was given as input.

    Raises:
        UsageError: the target is one of the inputs.
    """
    if target.resolve() in inputs and not target.is_symlink():
        raise UsageError(f"{target} is an input, which the output would replace; name another file or folder")
