"""The attention maps of a network whose crops are slid over a picture: each place in the crop around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from segviz.attention.region import Region
from segviz.batch.attention_files import AttentionOptions, MeasureAt, describe_place, export_attention
from segviz.batch.inputs import Source
from segviz.batch.run import PictureOutput
from segviz.data.label_png import encode_png
from segviz.figures.export import NUMBERS
from segviz.figures.interesting_places import default_places
from segviz.figures.papers import check_places
from segviz.image import Rgb
from segviz.prediction.prediction import CropView, Place, Prediction

CHOSEN_OUTLINE, OUTLINE = (213, 94, 0), (255, 255, 255)  # Okabe and Ito's vermilion stands out from any picture


class CropPredictor(Protocol):
    """What can slide crops over a picture: a `PublishedPredictor`."""

    def __call__(self, image: Rgb) -> Prediction:
        """A prediction of a picture, in crops or whole."""

    def slides_crops(self, picture: Rgb) -> bool:
        """Whether the picture is shown in crops."""

    def predict_crops(self, image: Rgb, places: Sequence[Place]) -> tuple[Prediction, ...]:
        """A prediction for each place, with the maps of the crop around it."""


def export_crop_attention(
    predictor: CropPredictor,
    options: AttentionOptions,
    source: Source,
    picture: Rgb,
    measure: MeasureAt | None = None,
    one_page: bool = False,
) -> PictureOutput:
    """As `export_attention`; where crops are slid, each place's maps are drawn over the crop around it.

    Files of a crop have its first row and column in their names, and their pixels are the crop's own. One more picture
    shows where the crops lie.

    Args:
        predictor: the network.
        options: which maps, and how.
        source: where the picture comes from.
        picture: the picture.
        measure: gives the influence on the answer at a place of a whole picture; None to leave it out.
        one_page: whether there is room for one page alone.

    Raises:
        ValueError: a place lies outside the picture, several crops do not fit on the one page, or an influence is
            wanted of a picture in crops.
        KeyError: the model has no map of that name.
    """
    if not predictor.slides_crops(picture):
        return export_attention(predictor, options, source, picture, measure)
    if measure is not None:
        raise ValueError(
            "influence is measured on whole pictures, and this one is seen in crops; remove --influence, or show a "
            "picture that is no larger than a crop"
        )
    check_places(options.places, picture, source.text)
    places = options.places
    if not places:
        (found,) = predictor.predict_crops(picture, [(picture.shape[0] // 2, picture.shape[1] // 2)])
        places = tuple(default_places(found.labels, 1))
    predictions = predictor.predict_crops(picture, places)
    groups: dict[Region, list[tuple[Place, Prediction]]] = {}
    for place, prediction in zip(places, predictions, strict=True):
        assert prediction.region is not None
        groups.setdefault(prediction.region, []).append((place, prediction))
    if one_page and len(groups) > 1:
        raise ValueError(f"the places lie in {len(groups)} crops, and a page shows one; name a folder with --out")
    files: list[tuple[str, bytes]] = []
    crops = []
    for region, members in groups.items():
        output = export_one_crop(members, options, source, "" if one_page else f"_crop-{region.top}-{region.left}")
        files += output.files
        crops.append(output.summary)
    whole = predictions[0]
    if not one_page and any(form not in NUMBERS for form in options.forms):
        files.append((f"{source.stem}_{whole.model}_crops.png", draw_crops(picture, list(groups))))
    summary = {
        "image": source.text,
        "model": whole.model,
        "height": whole.labels.shape[0],
        "width": whole.labels.shape[1],
        "places": [describe_place(whole, place) for place in places],
        "crops": crops,
    }
    return PictureOutput(files, summary)


def export_one_crop(
    members: Sequence[tuple[Place, Prediction]], options: AttentionOptions, source: Source, ending: str
) -> PictureOutput:
    """The maps of one crop at places in it, over the crop; places and numbers are in the crop's own pixels."""
    prediction = members[0][1]
    crop, part = prediction.crop, prediction.of_crop()
    assert crop is not None
    inside = tuple(crop.pixel(place) for place, _ in members)
    named = replace(source, stem=f"{source.stem}{ending}")
    output = export_attention(lambda _: part, replace(options, places=inside), named, crop.image)
    entry: dict[str, Any] = {"crop": describe_crop(crop), **output.summary}
    return PictureOutput(output.files, entry)


def describe_crop(crop: CropView) -> dict[str, int]:
    """Where a crop lies in its picture."""
    region = crop.region
    return {
        "top": region.top, "left": region.left, "height": region.height, "width": region.width, "of": len(crop.regions)
    }  # fmt: skip


def draw_crops(picture: Rgb, chosen: Sequence[Region]) -> bytes:
    """A PNG of the picture with the outlines of the crops whose maps were written."""
    drawn = np.ascontiguousarray(picture).copy()
    thick = max(1, round(max(drawn.shape[:2]) / 400))
    for region in chosen:
        inside = region.within((drawn.shape[0], drawn.shape[1]))
        first, last = (inside.left, inside.top), (inside.left + inside.width - 1, inside.top + inside.height - 1)
        for colour, width in ((OUTLINE, 3 * thick), (CHOSEN_OUTLINE, thick)):
            cv2.rectangle(drawn, first, last, colour, width)
    text = "; ".join(map(str, chosen))
    return encode_png(Image.fromarray(drawn), {"Description": f"crops whose maps were written: {text}"})
