"""`figure`: draws a figure as the papers have it, from pictures or from a benchmark."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segviz.batch.inputs import Source
from segviz.batch.run import Folder
from segviz.cli.arguments import file_suffix
from segviz.cli.errors import UsageError
from segviz.cli.pictures import check_output_file, read_sources, report_as_usage
from segviz.data.label_png import GroundTruth
from segviz.data.readers.single_labels import read_labels
from segviz.figures.export import export
from segviz.figures.figure_input import Style
from segviz.figures.figure_labels import common_classes
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.papers import LABELLED, PAPER_FIGURES, WIDTHS, choose_models, paper_figure_spec
from segviz.figures.speed import SPEED_FIGURE, speed_spec
from segviz.image import Rgb


def run_figure(options: argparse.Namespace) -> int:
    """Draw one of the papers' figures into a file.

    Raises:
        UsageError: an option belongs to another figure, or labels are missing.
    """
    if options.columns and options.name != "atta-9":
        raise UsageError(f"--columns belongs to atta-9, not to {options.name}; use --at Y,X")
    if options.labels and options.name not in LABELLED:
        raise UsageError(f"--labels belongs to {', '.join(LABELLED)}, not to {options.name}; remove it")
    check_output_file(options.out, options)
    if options.name == SPEED_FIGURE:
        spec = speed_spec(options.images, options.models, lambda words: print(f"segviz: {words}", file=sys.stderr))
        return write_figure(spec, options)
    sources = read_sources(options)
    if options.labels and len(options.labels) != len(sources):
        raise UsageError(f"there are {len(options.labels)} --labels for {len(sources)} pictures; give one for each")
    places = options.at or [(0, column) for column in options.columns or ()]
    with report_as_usage():
        pictures, truth = read_truth(sources, options) if options.labels else ([one.text for one in sources], None)
        spec = paper_figure_spec(
            options.name,
            pictures,
            places,
            options.models,
            truth,
            Style(options.feature, options.colours, options.scale, options.shared_scale),
            options.device,
        )
    return write_figure(spec, options)


def write_figure(spec: FigureSpec, options: argparse.Namespace) -> int:
    """Write a figure into the file that `--out` names."""
    data = export(
        spec,
        file_suffix(options.out),
        size=options.size,
        width=WIDTHS[options.width],
        letters=options.letters,
        caption=options.caption,
    )
    print(Folder(options.out.parent).put(options.out.name, data))
    return 0


def read_truth(sources: Sequence[Source], options: argparse.Namespace) -> tuple[list[Rgb], list[GroundTruth]]:
    """The pictures and their `--labels`, read by the models' classes before a model is loaded; says how on stderr.

    Raises:
        DataError: a label file cannot be used.
        ValueError: the models differ in their classes.
    """
    classes = common_classes(choose_models(options.models, PAPER_FIGURES[options.name]))
    pictures, truth = [source.open() for source in sources], list[GroundTruth]()
    for path, picture in zip(options.labels, pictures, strict=True):
        labels = read_labels(path, classes, (picture.shape[0], picture.shape[1]))
        caution = f"; {labels.caution}" if labels.caution else ""
        print(f"{path}: read as {labels.reading}, {labels.void:.1%} void{caution}", file=sys.stderr)
        truth.append(labels)
    return pictures, truth
