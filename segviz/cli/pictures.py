"""The commands that make files of pictures: predict, attend, figure. Nothing is written but what the options name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segviz.batch.archive import Archive
from segviz.batch.attention_files import AttentionOptions, export_attention
from segviz.batch.inputs import Source, find_sources
from segviz.batch.run import Folder, PictureOutput, PutFile, Step, export_prediction, run_pictures, stop_on_interrupt
from segviz.cli.errors import FORMATS, MAX_ERROR_LENGTH, UsageError, describe_error
from segviz.data.dataset import read_labels
from segviz.data.scenes.by_name import SourceError
from segviz.figures.export import export
from segviz.figures.map_subplots import MapLook
from segviz.figures.paper_layouts import Style
from segviz.figures.papers import WIDTHS, PlaceError, check_places, paper_figure_spec
from segviz.figures.prediction_subplots import ALL_LOOKS
from segviz.image import Rgb
from segviz.prediction.predictor import load_predictor
from segviz.text import plain_text


def run_predict(options: argparse.Namespace) -> int:
    """Labels, overlay and confidence of each picture; a picture that fails does not stop the others."""
    chosen = read_sources(options)
    with open_target(options) as put:
        return process_pictures(
            chosen, partial(export_prediction, load_predictor(options.model, options.device)), put, options
        )


def run_attend(options: argparse.Namespace) -> int:
    """An overlay for each map and place, the numbers behind them, and what each map does."""
    chosen, asked = read_sources(options), read_attention_options(options)
    if len(chosen) == 1 and asked.places:
        check_places_of_picture(chosen[0], asked)
    predictor = load_predictor(options.model, options.device)
    if options.zip is None and is_single_file(options.out):
        if len(chosen) > 1:
            raise UsageError(f"--out {options.out} is one file, but there are {len(chosen)} pictures; name a folder")
        return process_pictures(
            chosen, partial(export_into_one_file, predictor, asked, options.out), Folder(options.out.parent).put, options
        )
    with open_target(options) as put:
        return process_pictures(chosen, partial(export_attention, predictor, asked), put, options)


def read_attention_options(options: argparse.Namespace) -> AttentionOptions:
    """What is asked of each picture's attention."""
    looks: tuple[MapLook, ...] = tuple(options.look or ALL_LOOKS)
    asked = AttentionOptions(
        places=tuple(options.at or ()),
        maps=tuple(options.map or ()),
        looks=looks,
        kind=options.scale,
        one_scale=options.shared_scale,
        colours=options.colours,
        forms=tuple(dict.fromkeys(options.format)),
        size=options.size,
        whole=options.page,
    )
    return replace(asked, forms=(file_format(options.out),), whole=True) if is_single_file(options.out) else asked


def export_into_one_file(predict: Any, asked: AttentionOptions, out: Path, source: Source, picture: Rgb) -> PictureOutput:
    """A picture's attention in the one file that was named."""
    done = export_attention(predict, asked, source, picture)
    return PictureOutput(((out.name, data) for _, data in done.files), done.summary)


def check_places_of_picture(source: Source, asked: AttentionOptions) -> None:
    """Places outside a single picture are wrong usage, found before any model is loaded.

    Raises:
        UsageError: one lies outside.
    """
    with report_as_usage():
        check_places(asked.places, source.open(), source.text)


def run_figure(options: argparse.Namespace) -> int:
    """One of the papers' figures."""
    if options.columns and options.name != "atta-9":
        raise UsageError(f"--columns belongs to atta-9, not to {options.name}; use --at Y,X")
    if options.labels and options.name != "fla-5":
        raise UsageError(f"--labels belongs to fla-5, not to {options.name}; leave it away")
    chosen = read_sources(options)
    if options.labels and len(options.labels) != len(chosen):
        raise UsageError(f"there are {len(options.labels)} --labels for {len(chosen)} pictures; give one for each")
    places = options.at or [(0, column) for column in options.columns or ()]
    with report_as_usage():
        spec = paper_figure_spec(
            options.name,
            [source.text for source in chosen],
            places,
            options.models,
            [read_labels(path) for path in options.labels] if options.labels else None,
            Style(options.feature, options.colours, options.scale, options.shared_scale),
            options.device,
        )
    data = export(
        spec,
        file_format(options.out),
        size=options.size,
        width=WIDTHS[options.width],
        letters=options.letters,
        caption=options.caption,
    )
    print(Folder(options.out.parent).put(options.out.name, data))
    return 0


@contextmanager
def report_as_usage() -> Iterator[None]:
    """Pictures and places that were named wrongly are wrong usage.

    Raises:
        UsageError: one was.
    """
    try:
        yield
    except (SourceError, PlaceError) as error:
        raise UsageError(str(error)) from None


def read_sources(options: argparse.Namespace) -> list[Source]:
    """The pictures that the options name.

    Raises:
        UsageError: a scene has no number, or a folder no picture.
    """
    with report_as_usage():
        return find_sources(options.images)


# ---- many pictures -----------------------------------------------------------------------------------------


def process_pictures(
    chosen: Sequence[Source], work: Callable[[Source, Rgb], PictureOutput], put: PutFile, options: argparse.Namespace
) -> int:
    """Work on each picture, and tell of it; 1 where one failed, or Ctrl-C stopped the rest."""
    done: list[Step] = []
    with stop_on_interrupt() as stop:
        steps = run_pictures(chosen, work, put, stop)
        bar = tqdm(steps, total=len(chosen), unit="picture", leave=False, disable=None if len(chosen) > 1 else True)
        for step in bar:
            done.append(step)
            print_step(step, options.json)
    if options.json:
        print(json.dumps([step.summary for step in done if step.summary is not None], indent=2))
    if len(done) < len(chosen):
        print(f"segviz: stopped after {len(done)} of {len(chosen)} pictures; their files are kept", file=sys.stderr)
        return 1
    return 1 if any(step.problem for step in done) else 0


def print_step(step: Step, as_json: bool) -> None:
    """A line on a picture: its files, or what is wrong with it."""
    if step.problem is not None:
        named = describe_error(step.problem)
        text = named if step.source.text in named else f"{step.source.text}: {named}"
        tqdm.write(f"segviz: {plain_text(text, MAX_ERROR_LENGTH)}", file=sys.stderr)
    elif not as_json:
        tqdm.write(plain_text(f"{step.source.text}: {', '.join(step.files)}", 10 * MAX_ERROR_LENGTH), file=sys.stdout)


@contextmanager
def open_target(options: argparse.Namespace) -> Iterator[PutFile]:
    """The folder of `--out`, or the ZIP of `--zip`."""
    with ExitStack() as stack:
        yield (Folder(options.out) if options.zip is None else stack.enter_context(Archive(options.zip))).put


def is_single_file(out: Path | None) -> bool:
    """Whether `--out` names a file, by its ending, and not a folder."""
    return out is not None and file_format(out) in FORMATS and not out.is_dir()


def file_format(path: Path) -> str:
    """A file's form."""
    return path.suffix.lower().lstrip(".")
