"""`segviz.figure`: the papers' own figures for any pictures, from one table of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from segviz.attention.cells import Labels
from segviz.attention.grid_map import check_pixel
from segviz.attention.maps import StripAttention
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.context_worth import ContextWorth, caption_worths, context_worth
from segviz.catalogue.location import bundled_path, checkpoint_path
from segviz.data.classes import CAMVID
from segviz.data.label_png import GroundTruth
from segviz.data.scenes.by_name import draw_named_scene, is_scene
from segviz.figures.comparison_layouts import (
    lay_out_branches,
    lay_out_classes,
    lay_out_without_and_with_afm,
    lay_out_without_and_with_sam,
)
from segviz.figures.figure_input import DEFAULT_STYLE, FigureInput, Style
from segviz.figures.figure_labels import find_truth
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import default_places, find_read_strips
from segviz.figures.matplotlib_backend import DOUBLE, SINGLE, Drawing, draw
from segviz.figures.model_variants import (
    SWITCHED_NOTE,
    Variants,
    collect_and_both,
    even_and_own_gate,
    without_and_with_context,
)
from segviz.figures.over_complete_layout import lay_out_over_complete
from segviz.figures.paper_layouts import (
    lay_out_attended_features,
    lay_out_comparison,
    lay_out_point_masks,
    lay_out_samples,
    lay_out_strips,
)
from segviz.figures.prediction_subplots import as_places
from segviz.figures.subplot_rows import free_name
from segviz.image import ImageLike, Rgb, as_rgb
from segviz.models.registry import MODELS
from segviz.prediction.over_complete import OverCompleteMap, read_over_complete
from segviz.prediction.prediction import Place, Prediction
from segviz.prediction.predictor import Predictor, load_predictor

Width = Literal["single", "double"] | float
WIDTHS: Mapping[str, float] = MappingProxyType({"single": SINGLE, "double": DOUBLE})


class PlaceError(ValueError):
    """A pixel outside its picture."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper, and how it is made.

    Attributes:
        draw: lays the figure out.
        models: the paper's models; empty means all bundled models.
        places: number of default places.
        labels: whether the figure shows the ground truth.
        maps: whether the figure shows maps, whose contexts are then told in the caption.
        variants: what else is drawn of a model, if no more than one is named: the model with a part switched off.
        over_complete: whether the figure shows PSA's over-complete maps.
    """

    draw: Callable[[Sequence[FigureInput], Style], FigureSpec]
    models: tuple[str, ...]
    places: int = 0
    labels: bool = False
    maps: bool = True
    variants: Variants | None = None
    over_complete: bool = False


PAPER_FIGURES: Mapping[str, PaperFigure] = MappingProxyType({
    "fla-5": PaperFigure(
        lay_out_classes, ("channel_nl", "spatial_nl", "dual_nl", "cs_nl", "fla"), labels=True, maps=False
    ),
    "fla-6": PaperFigure(lay_out_attended_features, ("channel_nl", "fla")),
    "atta-6": PaperFigure(
        lay_out_without_and_with_sam, ("sam",), labels=True, maps=False, variants=without_and_with_context
    ),
    "atta-7": PaperFigure(lay_out_without_and_with_afm, ("sam",), labels=True, maps=False, variants=even_and_own_gate),
    "atta-9": PaperFigure(lay_out_strips, ("sam",), labels=True),
    "psa-3": PaperFigure(lay_out_over_complete, ("psa",), 1, over_complete=True),
    "psa-5": PaperFigure(lay_out_branches, ("fcn", "psa"), labels=True, maps=False, variants=collect_and_both),
    "psa-6": PaperFigure(lay_out_point_masks, ("psa",), 2),
    "snl": PaperFigure(lay_out_samples, ("snl",), 2),
    "compare": PaperFigure(lay_out_comparison, (), 1),
})  # fmt: skip
LABELLED = tuple(name for name, one in PAPER_FIGURES.items() if one.labels)


def figure(
    name: str,
    images: ImageLike | Sequence[ImageLike],
    *,
    at: Place | Sequence[Place] | None = None,
    models: Sequence[str | Path | Predictor] | None = None,
    labels: Sequence[Labels | GroundTruth | None] | None = None,
    width: Width = "double",
    style: Style = DEFAULT_STYLE,
    letters: bool = True,
    caption: bool = False,
    device: str = "auto",
) -> Drawing:
    """A figure of the papers, as a matplotlib figure that notebooks display.

    Its `savefig("name.pdf")` keeps text as text and writes title, models, pixels and scales into the file.

    Args:
        name: "fla-5" (classes by model), "fla-6" (attended features), "atta-6" and "atta-7" (without and with SAM, or
            AFM), "atta-9" (two strips), "psa-3" (over-complete maps), "psa-5" (collect, and both), "psa-6" (collect
            and distribute), "snl" (sampled places) or "compare" (one place in every model). `speed_figure` draws
            "atta-1".
        images: one picture or several, with a row or more each: uint8 arrays (H, W, 3), PIL pictures, paths, or
            "scene:SEED".
        at: the pixel (y, x) to query in every picture, or several; by default chosen from the labels.
        models: names, checkpoints or predictors; by default the paper's models.
        labels: for figures with the ground truth, that of each picture, or None: indices (H, W) of the models'
            classes, or labels with their own classes, as `read_labels` gives them; that of drawn scenes is known.
        width: "single" (3.3 inches), "double" (6.9 inches), or inches.
        style: features, colours and kind of scale.
        letters: whether titles begin with a, b, c.
        caption: whether title, models, pixels and scales are drawn below.
        device: device to load models on.

    Raises:
        ValueError: the figure is unknown, a pixel lies outside a picture, no model has such a map, or the labels do not
            fit the pictures or the models' classes.
        CheckpointError: a model cannot be loaded.
        ImageError: a picture cannot be used.
    """
    several: Sequence[ImageLike] = images if isinstance(images, list | tuple) else [images]  # type: ignore[list-item]
    places = as_places(at) if at is not None else ()
    inches = width_in_inches(width)
    spec = paper_figure_spec(name, several, places, models, labels, style, device)
    return draw(spec, inches, letters=letters, caption=caption)


def width_in_inches(width: Width) -> float:
    """The width of a figure in inches.

    Raises:
        ValueError: it is neither a known name nor a number above 0.
    """
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    if isinstance(width, str) or not 0 < width < math.inf:
        raise ValueError(f"width {width!r} is unknown; use 'single', 'double' or a number of inches above 0")
    return float(width)


def paper_figure_spec(
    name: str,
    images: Sequence[ImageLike],
    places: Sequence[Place] = (),
    models: Sequence[str | Path | Predictor] | None = None,
    labels: Sequence[Labels | GroundTruth | None] | None = None,
    style: Style = DEFAULT_STYLE,
    device: str = "auto",
) -> FigureSpec:
    """The spec of a figure; see `figure`.

    Raises:
        ValueError: as in `figure`.
        CheckpointError: as in `figure`.
        ImageError: as in `figure`.
    """
    if name not in PAPER_FIGURES:
        raise ValueError(f"figure '{name}' is unknown; use {', '.join(PAPER_FIGURES)}")
    if not images:
        raise ValueError("no picture was given; give at least one")
    wanted = PAPER_FIGURES[name]
    if labels is not None and not wanted.labels:
        raise ValueError(f"labels belong to {', '.join(LABELLED)}, not to {name}; leave them out")
    pictures, known = zip(*map(open_picture, images), strict=True)
    chosen = choose_models(models, wanted)
    truth = known if labels is None else find_truth(labels, pictures, chosen)
    for number, picture in enumerate(pictures, 1):
        check_places(places, picture, f"picture {number}")
    variants = wanted.variants if models is None or len(models) == 1 else None
    predicted, found = predict_all(name, chosen, pictures, tuple(places), variants, device)
    shown = [
        FigureInput(
            picture,
            predictions,
            tuple(places) or choose_places(name, picture, predictions),
            None if one is None else one.labels,
            None if one is None else one.classes,
            maps,
        )
        for picture, predictions, one, maps in zip(pictures, predicted, truth, found, strict=True)
    ]
    spec = wanted.draw(shown, style)
    if wanted.maps:
        return replace(spec, note=caption_worths(map(worth_of, chosen)))
    return replace(spec, note=SWITCHED_NOTE) if variants else spec


def worth_of(model: str | Path | Predictor) -> ContextWorth | None:
    """What the context of a model is worth, by its record."""
    return context_worth(model.record if isinstance(model, Predictor) else read_record(checkpoint_path(model)))


def open_picture(image: ImageLike) -> tuple[Rgb, GroundTruth | None]:
    """A picture and, for "scene:SEED", its ground truth, which has CamVid's classes whatever the models have."""
    if isinstance(image, str) and is_scene(image):
        scene = draw_named_scene(image)
        return scene.image, GroundTruth(scene.labels, "class indices", CAMVID)
    return as_rgb(image), None


def choose_models(
    models: Sequence[str | Path | Predictor] | None, wanted: PaperFigure
) -> Sequence[str | Path | Predictor]:
    """The models of a figure.

    Raises:
        ValueError: the figure needs all bundled checkpoints, and there are none.
    """
    names = models or wanted.models or [name for name in MODELS if bundled_path(name).is_file()]
    if not names:
        raise ValueError("there is no bundled checkpoint to compare; train models, or name checkpoints")
    return names


def predict_all(
    name: str,
    models: Sequence[str | Path | Predictor],
    pictures: Sequence[Rgb],
    places: tuple[Place, ...],
    variants: Variants | None,
    device: str,
) -> tuple[list[dict[str, Prediction]], list[tuple[Mapping[str, OverCompleteMap], ...]]]:
    """For each picture, the predictions of all models by the model's name, and the first model's over-complete maps.

    One model is loaded at a time. The maps are empty in figures without them.
    """
    by_picture: list[dict[str, Prediction]] = [{} for _ in pictures]
    found: list[tuple[Mapping[str, OverCompleteMap], ...]] = [() for _ in pictures]
    for title, predictor in open_predictors(models, device, variants):
        for number, (picture, predictions) in enumerate(zip(pictures, by_picture, strict=True)):
            predictions[title] = replace(predictor(picture), model=title)  # two checkpoints may hold the same model
            if PAPER_FIGURES[name].over_complete and not found[number]:
                own = places or choose_places(name, picture, predictions)
                found[number] = tuple(read_over_complete(predictor, picture, place) for place in own)
    return by_picture, found


def open_predictors(
    models: Sequence[str | Path | Predictor], device: str, variants: Variants | None
) -> Iterator[tuple[str, Predictor]]:
    """Yields a predictor for each model, and its variants, with names that no other has."""
    names: set[str] = set()
    for model in models:
        predictor = model if isinstance(model, Predictor) else load_predictor(model, device)
        own = predictor.record.model if isinstance(model, Predictor) else Path(str(model)).stem
        for name, variant in variants(own, predictor) if variants else [(own, predictor)]:
            names.add(free := free_name(name, names))
            yield free, variant


def choose_places(name: str, picture: Rgb, predictions: Mapping[str, Prediction]) -> tuple[Place, ...]:
    """The default places of a figure: in the strips of `find_read_strips`, else inside the largest classes."""
    if name == "atta-9":
        maps = [one for prediction in predictions.values() for one in prediction.maps.values()]
        strips = next((one for one in maps if isinstance(one, StripAttention)), None)
        return () if strips is None else find_read_strips(strips, picture.shape[:2])
    return default_places(next(iter(predictions.values())).labels, PAPER_FIGURES[name].places)


def check_places(places: Sequence[Place], picture: Rgb, name: str) -> None:
    """Checks that every place lies inside the picture.

    Raises:
        PlaceError: a place lies outside.
    """
    for y, x in places:
        try:
            check_pixel(y, x, (picture.shape[0], picture.shape[1]))
        except ValueError as error:
            raise PlaceError(f"{name}: {error}") from None
