"""`figure`: the papers' own figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from segviz.checkpoint import bundled_path
from segviz.cli import UsageError
from segviz.commands.files import Rgb, check_places, open_image, put, stems
from segviz.models.registry import SPECS
from segviz.predict import Prediction, load_predictor
from segviz.views import paper
from segviz.views.paper import Place, Shown

MODELS = {"fla-6": ("channel_nl", "fla"), "atta-9": ("sam",), "psa-6": ("psa",), "snl": ("snl",)}
PLACES = {"fla-6": 0, "atta-9": 0, "psa-6": 2, "snl": 1, "compare": 1}  # how many, where none are named


def figure(options: argparse.Namespace) -> int:
    """One of the papers' figures."""
    if options.columns and options.name != "atta-9":
        raise UsageError(f"--columns belongs to atta-9, not to {options.name}; use --at Y,X")
    pictures = [open_image(text) for text in options.images]
    shown = [
        paper.Shown(picture, predictions, figure_places(options, picture, predictions))
        for picture, predictions in zip(pictures, figure_predictions(options, pictures), strict=True)
    ]
    drawn = draw(options, shown)
    print(put(options.out.parent, options.out.name, paper.save(drawn, options.out.suffix.lower().lstrip("."))))
    return 0


def draw(options: argparse.Namespace, shown: Sequence[Shown]) -> Figure:
    """The layout of a figure's name."""
    match options.name:
        case "fla-6":
            return paper.attended_figure(shown, options.feature, options.colours)
        case "atta-9":
            return paper.strip_figure(shown, options.colours)
        case "psa-6":
            return paper.point_wise_figure(shown, options.colours)
        case "snl":
            return paper.samples_figure(shown, options.colours)
        case _:
            return paper.compare_figure(shown, options.colours, options.shared_scale)


def figure_predictions(options: argparse.Namespace, pictures: Sequence[Rgb]) -> list[dict[str, Prediction]]:
    """For each picture the predictions of all models; one model is loaded at a time."""
    models = options.models or MODELS.get(options.name)
    if models is None:
        models = [name for name in SPECS if bundled_path(name).is_file()]
    if not models:
        raise UsageError("there is no bundled checkpoint to compare; train some, or name checkpoints with --models")
    found: list[dict[str, Prediction]] = [{} for _ in pictures]
    for name, stem in zip(models, stems(models), strict=True):
        predictor = load_predictor(name, options.device)
        for picture, predictions in zip(pictures, found, strict=True):
            predictions[stem] = predictor(picture)
    return found


def figure_places(
    options: argparse.Namespace, picture: Rgb, predictions: Mapping[str, Prediction]
) -> tuple[Place, ...]:
    """The places that were asked for, or sensible ones."""
    height, width = picture.shape[:2]
    if options.name == "atta-9":
        columns = options.columns or [place[1] for place in options.at or ()] or [width // 3, 2 * width // 3]
        places = tuple((height // 2, column) for column in columns)
    else:
        places = tuple(options.at or ()) or paper.default_places(
            next(iter(predictions.values())).labels, PLACES[options.name]
        )
    check_places(places, picture, "a picture")
    return places
