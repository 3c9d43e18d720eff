"""`watch`: the attention of any network, as a table, as pictures and as numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from tqdm import tqdm

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.head_map import HeadChoice, HeadMap
from segviz.attention.maps import NetworkMap
from segviz.attention.network_look import NetworkLook, network_weights
from segviz.batch.attention_files import round_significant
from segviz.batch.inputs import Source
from segviz.batch.run import Files, PictureOutput, map_in_turn
from segviz.cli.errors import UsageError
from segviz.cli.open_networks import open_from_options
from segviz.cli.pictures import check_places_of_picture, read_sources
from segviz.cli.progress import open_target, process_pictures
from segviz.figures.export import NUMBERS, export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import default_places
from segviz.figures.network_subplot import network_subplot
from segviz.figures.papers import check_places
from segviz.figures.subplot import Subplot
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.text import plain_text
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_view import NetworkView


def run_watch(options: argparse.Namespace) -> int:
    """Print what attention a network computes for each picture, and write its maps at places if a target is named."""
    sources = read_sources(options)
    places = tuple(options.at or ())
    writes = options.out is not None or options.zip is not None
    if len(sources) == 1 and places:
        check_places_of_picture(sources[0], places)
    predictor = open_from_options(options, options.layers or ())
    if not isinstance(predictor, NetworkPredictor):
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
    view = predictor(picture)
    if not options.json:
        tqdm.write(f"{plain_text(source.text)}: {view!r}", file=sys.stdout)
    chosen = tuple(places) or default_watch_places(view)
    head: HeadChoice = options.head
    summary = {"image": source.text, **describe_view(view, chosen, head)}
    writes = options.out is not None or options.zip is not None
    return PictureOutput(map_files(view, source.stem, chosen, options) if writes else (), summary)


def default_watch_places(view: NetworkView) -> tuple[Place, ...]:
    """One place: inside the largest class, or the picture's middle where there are no classes."""
    if view.prediction is not None:
        return tuple(default_places(view.prediction.labels, 1))
    return ((view.image.shape[0] // 2, view.image.shape[1] // 2),)


def map_files(view: NetworkView, stem: str, places: Sequence[Place], options: argparse.Namespace) -> Files:
    """A picture for each map, place and look, and one file of all numbers.

    Raises:
        IndexError: there is no such head.
    """
    subplots = list(map_subplots_of_view(view, places, options))
    title = f"Attention: {stem}, {view.network}"
    for form in dict.fromkeys(options.format):
        if form in NUMBERS:
            yield f"{stem}_watch.{form}", export(FigureSpec(title, (tuple(subplots),)), form)
            continue
        for subplot in subplots:
            name = subplot.name.replace("/", "_").replace(":", "_")
            yield f"{stem}_{name}.{form}", export(FigureSpec(title, ((subplot,),)), form, size=options.size)


def map_subplots_of_view(view: NetworkView, places: Sequence[Place], options: argparse.Namespace) -> Iterator[Subplot]:
    """A subplot for each kept map, place and look that it has."""
    for one in view.maps.values():
        for place in places:
            for look in looks_of(one):
                yield network_subplot(
                    view.image, one, look, place,
                    head=options.head, model=view.network, kind=options.scale, colours=options.colours,
                )  # fmt: skip


def looks_of(one: NetworkMap) -> tuple[NetworkLook, ...]:
    """The looks that a map has at a pixel."""
    looks: tuple[NetworkLook, ...] = ("attends_to", "attended_by") if isinstance(one, HeadMap) else ("query",)
    return (*looks, "points") if isinstance(one, DeformableAttention | DeformableQueries) else looks


def describe_view(view: NetworkView, places: Sequence[Place], head: HeadChoice) -> dict[str, Any]:
    """The entry of one picture in `watch --json`."""
    found = view.prediction
    return {
        "network": view.network,
        "height": view.image.shape[0],
        "width": view.image.shape[1],
        "seen": list(view.placement.seen),
        "normalisation": view.normalisation,
        "notes": list(view.notes),
        "layers": [asdict(one) for one in view.layers],
        "classes": None if found is None else {"count": len(found.class_set.names), "form": found.form},
        "maps": [describe_kept_map(view, one, places, head) for one in view.maps.values()],
    }


def describe_kept_map(view: NetworkView, one: NetworkMap, places: Sequence[Place], head: HeadChoice) -> dict[str, Any]:
    """A map's kind and grids, and the largest weight of each look at each place."""
    size = (view.image.shape[0], view.image.shape[1])
    entry: dict[str, Any] = {"map": one.name, "kind": type(one).__name__, "heads": one.heads, "grid": list(one.grid)}
    if isinstance(one, HeadMap):
        entry["key_grid"] = list(one.key_grid)
    entry["places"] = []
    for place in places:
        looks: dict[str, Any] = {}
        for look in looks_of(one):
            weights = network_weights(one, look, place, size, head)
            row, column = divmod(int(weights.argmax()), weights.shape[1])
            looks[look] = {"largest": round_significant(float(weights.max())), "cell": [row, column]}
        entry["places"].append({"y": place[0], "x": place[1], **looks})
    return entry
