"""`predict` and `attend`: commands that turn pictures into files. They write only what the options name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from segviz.atomic_write import check_destination
from segviz.attention.maps import MapLook
from segviz.batch.attention_files import AttentionOptions, MeasureAt, export_attention
from segviz.batch.crop_attention import export_crop_attention
from segviz.batch.inputs import Source, find_sources
from segviz.batch.network_attention import export_network_attention
from segviz.batch.run import Folder, LabelPicture, PictureOutput, PutFile
from segviz.cli.arguments import file_suffix
from segviz.cli.errors import UsageError
from segviz.cli.open_networks import classify_pixels, open_from_options
from segviz.cli.open_to_score import open_to_score
from segviz.cli.predict_sets import choose_folder, export_as_wanted, split_sources
from segviz.cli.progress import keep_finished, open_target, process_pictures, refuse_input, resolve_inputs
from segviz.cli.protocol_options import names_protocol
from segviz.cli.score_protocols import check_view_options, choose_protocol
from segviz.cli.spread import spread_pictures
from segviz.data.scenes.by_name import SourceError
from segviz.evaluation.protocol_labels import ProtocolLabels
from segviz.figures.export import FORMS
from segviz.figures.papers import PlaceError, check_places
from segviz.figures.prediction_subplots import ALL_LOOKS
from segviz.image import Rgb
from segviz.models.ablation import has_context
from segviz.prediction.influence import measure_pixel_influence
from segviz.prediction.prediction import Place
from segviz.prediction.predictor import Predictor
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.published_block import look_into
from segviz.watch.published_predictor import PublishedPredictor

AnyPredictor = Predictor | NetworkPredictor | PublishedPredictor
ExportPicture = Callable[[Source, Rgb], PictureOutput]
OpenWork = Callable[[argparse.Namespace], ExportPicture]


def run_predict(options: argparse.Namespace) -> int:
    """Write labels, overlay and confidence of each picture; a picture that fails does not stop the others.

    Raises:
        UsageError: options exclude each other, or have no effect.
    """
    sources = read_sources(options) if options.split is None else split_sources(options)
    check_view_options(options)
    if options.server_format is not None:
        choose_folder(options)
    with open_target(options) as put:
        return process_into(sources, open_predict_work, put, options)


def process_into(sources: Sequence[Source], open_work: OpenWork, put: PutFile, options: argparse.Namespace) -> int:
    """Process the pictures here or in a cluster, and keep a list of those that are finished."""
    with (
        keep_finished(options, sources, put) as finished,
        spread_pictures(options, sources if finished is None else finished.rest, open_work) as (work, where),
    ):
        return process_pictures(sources, work, put, options, finished, where)


def open_predict_work(options: argparse.Namespace) -> ExportPicture:
    """Open the network of `predict`, and return what labels pictures and makes their files.

    Raises:
        UsageError: an option would have no effect.
        ValueError: the network cannot be used.
    """
    predictor, predict = open_to_predict(options)
    return export_as_wanted(predictor, predict, options)


def open_to_predict(options: argparse.Namespace) -> tuple[AnyPredictor, LabelPicture]:
    """The predictor of `--model`, and what labels a picture: by a protocol if the options name one.

    Raises:
        UsageError: an option would have no effect.
        DataError: a protocol is named, and the network's classes are not known.
    """
    if not names_protocol(options):
        predictor = open_from_options(options)
        return predictor, partial(classify_pixels, predictor)
    opened = open_to_score(options)
    protocol = choose_protocol(options, opened.expects)
    return opened.predictor, ProtocolLabels(opened.network, protocol, opened.name, opened.classes)


def run_attend(options: argparse.Namespace) -> int:
    """Write a picture for each map and place and the numbers behind them; print statistics of each map.

    Raises:
        UsageError: options exclude each other, or do not suit the number of pictures.
    """
    sources = read_sources(options)
    options.one_file = options.zip is None and is_single_file(options.out)
    if len(sources) == 1 and options.at:
        check_places_of_picture(sources[0], options.at)
    if options.one_file:
        if len(sources) > 1:
            raise UsageError(f"--out {options.out} is one file, but there are {len(sources)} pictures; name a folder")
        if options.resume:
            raise UsageError(f"--resume needs a folder of finished pictures, and --out {options.out} is one file")
        check_output_file(options.out, options)
        with spread_pictures(options, sources, open_attend_work) as (work, _):
            return process_pictures(sources, work, Folder(options.out.parent).put, options)
    with open_target(options) as put:
        return process_into(sources, open_attend_work, put, options)


def open_attend_work(options: argparse.Namespace) -> ExportPicture:
    """Open the network of `attend`, and return what exports a picture's maps.

    Raises:
        UsageError: an option would have no effect.
        ValueError: the network cannot be used.
    """
    wanted = read_attention_options(options)
    predictor = open_from_options(options, options.layers or ())
    measure = choose_measure(predictor, options)
    work: ExportPicture
    if isinstance(predictor, NetworkPredictor):
        if options.map and options.layers:
            raise UsageError("--map and --layers both choose maps of this network; remove one of them")
        work = partial(export_network_attention, predictor, wanted, options.head)
    elif "head" in options.given:
        raise UsageError(f"--head chooses nothing here: the maps of '{options.model}' have no heads; remove it")
    else:
        tell_without_block(predictor)
        work = choose_export(predictor, wanted, measure, options.one_file)
    return partial(export_into_one_file, work, options.out) if options.one_file else work


def tell_without_block(predictor: AnyPredictor) -> None:
    """Say on stderr what the files of a model without a block are: no map is among them."""
    if isinstance(predictor, Predictor) and not has_context(predictor.model):
        print(
            f"segviz: '{predictor.record.model}' has no attention block, so it has no map; attended_output and "
            "attended_context are both its features, as means over channels",
            file=sys.stderr,
        )


def choose_export(
    predictor: Predictor | PublishedPredictor, wanted: AttentionOptions, measure: MeasureAt | None, page: bool = False
) -> ExportPicture:
    """What exports a picture's attention: in crops where the network's authors slide them."""
    if isinstance(predictor, PublishedPredictor):
        return partial(export_crop_attention, predictor, wanted, measure=measure, one_page=page)
    return partial(export_attention, predictor, wanted, measure=measure)


def choose_measure(predictor: AnyPredictor, options: argparse.Namespace) -> MeasureAt | None:
    """What measures the influence on an answer; None without `--influence`.

    Raises:
        UsageError: the model has no context.
    """
    if not options.influence:
        return None
    if isinstance(predictor, NetworkPredictor):
        raise UsageError(
            f"--influence needs a segviz checkpoint or a published network, and '{options.model}' is neither; remove "
            "--influence"
        )
    block = look_into(predictor) if isinstance(predictor, PublishedPredictor) else predictor
    if not has_context(block.model):
        raise UsageError(f"--influence needs a block, and '{block.record.model}' has none; use another model")
    return partial(measure_pixel_influence, block)


def read_attention_options(options: argparse.Namespace) -> AttentionOptions:
    """Read from the options which maps to export, and how."""
    looks: tuple[MapLook, ...] = tuple(options.look or ALL_LOOKS)
    wanted = AttentionOptions(
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
    return replace(wanted, forms=(file_suffix(options.out),), whole=True) if options.one_file else wanted


def export_into_one_file(export: ExportPicture, out: Path, source: Source, picture: Rgb) -> PictureOutput:
    """Export a picture's attention under the file name of `out`."""
    output = export(source, picture)
    return PictureOutput(((out.name, data) for _, data in output.files), output.summary)


def check_places_of_picture(source: Source, places: Sequence[Place]) -> None:
    """Check before a model is loaded that all places lie in the single picture.

    Raises:
        UsageError: a place lies outside.
    """
    with report_as_usage():
        check_places(places, source.open(), source.text)


def check_output_file(out: Path, options: argparse.Namespace) -> None:
    """Check before a model is loaded that the one output file can be written, and that it is not an input.

    Raises:
        UsageError: it is an input.
        OSError: it cannot be written.
    """
    check_destination(out)
    refuse_input(out, resolve_inputs((*options.images, *(getattr(options, "labels", None) or ()))))


@contextmanager
def report_as_usage() -> Iterator[None]:
    """Turn errors in the names of pictures and in places into UsageError.

    Raises:
        UsageError: in place of SourceError and PlaceError.
    """
    try:
        yield
    except (SourceError, PlaceError) as error:
        raise UsageError(str(error)) from None


def read_sources(options: argparse.Namespace) -> list[Source]:
    """Find the pictures that the options name.

    Raises:
        UsageError: a scene's seed is not a number, or a folder holds no picture.
    """
    with report_as_usage():
        return find_sources(options.images)


def is_single_file(out: Path | None) -> bool:
    """Whether `--out` names a file, by its suffix, and not a folder."""
    return out is not None and file_suffix(out) in FORMS and not out.is_dir()
