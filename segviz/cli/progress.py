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
from segviz.batch.finished_list import ResumeError
from segviz.batch.finished_pictures import FinishedPictures
from segviz.batch.inputs import Source
from segviz.batch.run import Folder, MapPictures, PutError, PutFile, Step, write_outcomes
from segviz.cli.errors import MAX_ERROR_LENGTH, UsageError, describe_error
from segviz.cli.run_words import describe_run
from segviz.runtime.interrupts import note_interrupt
from segviz.runtime.progress import progress_bar
from segviz.text import plain_text


def process_pictures(
    sources: Sequence[Source],
    work: MapPictures,
    put: PutFile,
    options: argparse.Namespace,
    finished: FinishedPictures | None = None,
    where: Callable[[], str] = lambda: "",
) -> int:
    """Process each picture and print its result; returns 1 if one failed or Ctrl-C stopped the run, else 0.

    Args:
        sources: the pictures.
        work: maps the work over them.
        put: writes a file.
        options: of the command.
        finished: what an earlier run has finished, where a list is kept; it writes the files then.
        where: says who works on the pictures, in words; "" for this process.
    """
    done: list[Step] = []
    with note_interrupt() as interrupted:
        if finished is None:
            steps = write_outcomes(sources, work(sources, interrupted), put)
        else:
            keep = finished.put
            steps = finished.run(lambda rest: write_outcomes(rest, work(rest, interrupted), keep))
        bar = progress_bar(
            steps, total=len(sources), desc=where() or None, unit="picture", leave=False, disable=len(sources) == 1
        )
        try:
            for step in bar:
                done.append(step)
                bar.set_description_str(where(), refresh=False)
                if not step.resumed:
                    print_step(step, options.json)
        except PutError as error:
            bar.close()
            print_problem(error.source, error)
    if options.json:
        print(json.dumps([step.summary for step in done if step.summary is not None], indent=2))
    if len(done) < len(sources):
        rest = "" if finished is None else "; add --resume to process the rest"
        print(
            f"segviz: stopped after {len(done)} of {len(sources)} pictures; their files are kept{rest}", file=sys.stderr
        )
        return 1
    failed = sum(step.problem is not None for step in done)
    if failed > 1:
        others = "; the others are complete" if failed < len(sources) else ""
        print(f"segviz: {failed} of {len(sources)} pictures failed{others}", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def keep_finished(
    options: argparse.Namespace, sources: Sequence[Source], put: PutFile
) -> Iterator[FinishedPictures | None]:
    """The list of finished pictures in the folder of `--out`; None for a ZIP, and for a single picture.

    Raises:
        UsageError: `--resume` cannot go on from what is there.
    """
    if options.zip is not None or (len(sources) == 1 and not options.resume):
        if options.resume:
            raise UsageError("--resume needs the files of the run before, and --zip has none; use --out DIR")
        yield None
        return
    try:
        finished = FinishedPictures(options.out, put, describe_run(options), sources, options.resume)
    except ResumeError as error:
        raise UsageError(str(error)) from None
    if count := len(sources) - len(finished.rest):
        print(f"segviz: {count} of {len(sources)} pictures are finished already", file=sys.stderr)
    try:
        yield finished
    finally:
        finished.close()


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
