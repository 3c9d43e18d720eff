"""The attention maps that were found in any network, of one picture, as files and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.head_map import HeadChoice, HeadMap
from segviz.attention.maps import NetworkMap
from segviz.attention.network_look import NetworkLook, network_weights
from segviz.batch.attention_files import AttentionOptions, page_files, round_significant, subplot_files
from segviz.batch.inputs import Source
from segviz.batch.run import PictureOutput
from segviz.figures.interesting_places import default_places
from segviz.figures.network_subplot import network_subplot
from segviz.figures.papers import check_places
from segviz.figures.prediction_subplots import ALL_LOOKS
from segviz.figures.subplot import Subplot, share_scale
from segviz.filenames import safe_name
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.scales import ScaleKind
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_view import NetworkView


def export_network_attention(
    predictor: NetworkPredictor, options: AttentionOptions, head: HeadChoice, source: Source, picture: Rgb
) -> PictureOutput:
    """Run a network on a picture once, and return the maps that it keeps as files and numbers, as `export_attention`.

    Args:
        predictor: the network, with the layers whose maps are kept.
        options: places, looks, scales and formats; `maps` are layers, and take the place of the predictor's own.
        head: a head's number, "mean" or "largest".
        source: where the picture comes from.
        picture: the picture.

    Raises:
        ValueError: a place lies outside the picture, the network refuses the picture, no attention was found in it, or
            no map has a look.
        IndexError: there is no such head.
    """
    check_places(options.places, picture, source.text)
    view = predictor(picture, layers=options.maps or None)
    if not view.maps:
        raise ValueError(f"no attention that can be shown was found in '{view.network}'; `watch` lists what was found")
    looks = choose_looks(view, options)
    places = options.places or default_watch_places(view)
    subplots = view_subplots(view, places, looks, head, options.kind, options.colours)
    rows = [[replace(one, name=file_word(one.name))] for one in subplots]
    if options.one_scale:
        rows = [[one] for one in share_scale([one for row in rows for one in row])]
    stem = f"{source.stem}_{safe_name(view.network)}"
    files = page_files(stem, rows, options) if options.whole else subplot_files(stem, rows, options)
    return PictureOutput(files, {"image": source.text, **describe_view(view, places, head)})


def choose_looks(view: NetworkView, options: AttentionOptions) -> tuple[str, ...]:
    """The looks that are drawn; object queries have a look of their own, which is drawn where no look was chosen.

    Raises:
        ValueError: no map has a chosen look.
    """
    if options.looks == ALL_LOOKS:
        return (*ALL_LOOKS, "query")
    known = dict.fromkeys(look for one in view.maps.values() for look in looks_of(one))
    for look in options.looks:
        if look not in known:
            raise ValueError(f"no map of '{view.network}' has the look '{look}'; use {', '.join(known)}")
    return options.looks


def file_word(name: str) -> str:
    """A map's name as a part of a file's name."""
    return name.replace("/", "_").replace(":", "_")


def default_watch_places(view: NetworkView) -> tuple[Place, ...]:
    """One place: inside the largest class, or the picture's middle where there are no classes."""
    if view.prediction is not None:
        return tuple(default_places(view.prediction.labels, 1))
    return ((view.image.shape[0] // 2, view.image.shape[1] // 2),)


def view_subplots(
    view: NetworkView,
    places: Sequence[Place],
    looks: Sequence[str],
    head: HeadChoice,
    kind: ScaleKind,
    colours: str,
) -> Iterator[Subplot]:
    """A subplot for each kept map, place and look that it has.

    Raises:
        IndexError: there is no such head.
    """
    for one in view.maps.values():
        for place in places:
            for look in looks_of(one):
                if look in looks:
                    yield network_subplot(
                        view.image, one, look, place, head=head, model=view.network, kind=kind, colours=colours
                    )


def looks_of(one: NetworkMap) -> tuple[NetworkLook, ...]:
    """The looks that a map has at a pixel."""
    looks: tuple[NetworkLook, ...] = ("attends_to", "attended_by") if isinstance(one, HeadMap) else ("query",)
    return (*looks, "points") if isinstance(one, DeformableAttention | DeformableQueries) else looks


def describe_view(view: NetworkView, places: Sequence[Place], head: HeadChoice) -> dict[str, Any]:
    """The entry of one picture in `watch --json`, and in `attend --json` for such a network."""
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
