"""`watch`: the attention of any network, as a table, as pictures and as numbers."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tqdm import tqdm

from segviz.attention.head_map import HeadChoice
from segviz.batch.inputs import Source
from segviz.batch.network_attention import default_watch_places, describe_view, file_word, view_subplots
from segviz.batch.run import Files, PictureOutput, map_in_turn
from segviz.cli.errors import UsageError
from segviz.cli.open_networks import open_from_options
from segviz.cli.pictures import check_places_of_picture, read_sources
from segviz.cli.progress import open_target, process_pictures
from segviz.figures.export import NUMBERS, export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.papers import check_places
from segviz.figures.prediction_subplots import ALL_LOOKS
from segviz.image import Rgb
from segviz.models.ablation import has_context
from segviz.prediction.prediction import Place
from segviz.prediction.predictor import Predictor
from segviz.text import plain_text
from segviz.watch.findings import FoundLayer
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_view import NetworkView


def run_watch(options: argparse.Namespace) -> int:
    """Print what attention a network computes for each picture, and write its maps at places if a target is named.

    Raises:
        UsageError: the model returns its maps itself, or a place lies outside the picture.
    """
    sources = read_sources(options)
    places = tuple(options.at or ())
    writes = options.out is not None or options.zip is not None
    if len(sources) == 1 and places:
        check_places_of_picture(sources[0], places)
    predictor = open_from_options(options, options.layers or ())
    if not isinstance(predictor, NetworkPredictor):
        if isinstance(predictor, Predictor) and not has_context(predictor.model):
            raise UsageError(
                f"'{options.model}' has no attention block, so there is nothing to find; use another model"
            )
        raise UsageError(
            f"'{options.model}' returns its maps itself, so there is nothing to find; use `attend --model "
            f"{options.model}`"
        )
    work = partial(watch_picture, predictor, places, options)
    if not writes:
        return process_pictures(sources, map_in_turn(work), lambda name, data: name, options)
    with open_target(options) as put:
        return process_pictures(sources, map_in_turn(work), put, options)


def watch_picture(
    predictor: NetworkPredictor, places: Sequence[Place], options: argparse.Namespace, source: Source, picture: Rgb
) -> PictureOutput:
    """The maps of one picture as files and numbers; prints the table of what was found.

    Raises:
        ValueError: a place lies outside the picture, or the network refuses the picture.
        IndexError: there is no such head.
    """
    check_places(places, picture, source.text)
    found = predictor(picture, verify_places=options.verify_places)
    view = replace(found, layers=tuple(map(name_option, found.layers)))
    if not options.json:
        bare = replace(view, notes=())  # these were printed as the network was opened
        tqdm.write(f"{plain_text(source.text)}: {bare!r}", file=sys.stdout)
    chosen = tuple(places) or default_watch_places(view)
    head: HeadChoice = options.head
    summary = {"image": source.text, **describe_view(view, chosen, head)}
    writes = options.out is not None or options.zip is not None
    return PictureOutput(map_files(view, source.stem, chosen, options) if writes else (), summary)


def name_option(layer: FoundLayer) -> FoundLayer:
    """A layer with the command line's words for how it can be had."""
    if layer.state == "listed":
        return replace(layer, reason=f"choose it with --layers {shlex.quote(layer.path)}")
    return replace(layer, reason=layer.reason.replace("find_windows=True", "--find-windows"))


def map_files(view: NetworkView, stem: str, places: Sequence[Place], options: argparse.Namespace) -> Files:
    """A picture for each map, place and look, and one file of all numbers.

    Raises:
        IndexError: there is no such head.
    """
    looks = (*ALL_LOOKS, "query")
    subplots = list(view_subplots(view, places, looks, options.head, options.scale, options.colours))
    title = f"Attention: {stem}, {view.network}"
    for form in dict.fromkeys(options.format):
        if form in NUMBERS:
            yield f"{stem}_watch.{form}", export(FigureSpec(title, (tuple(subplots),)), form)
            continue
        for subplot in subplots:
            yield (
                f"{stem}_{file_word(subplot.name)}.{form}",
                export(FigureSpec(title, ((subplot,),)), form, size=options.size),
            )
