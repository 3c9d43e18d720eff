"""`Prediction.show` and the interactive figures: the true values where they belong."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from figure_cases import IMAGE, LABELS, SIZE, one_of_each, prediction
from PIL import Image

import segviz
from segviz import show
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.matplotlib_backend import Drawing
from segviz.figures.overlay import label_overlay, stretch
from segviz.figures.plotly_backend import draw_interactive
from segviz.figures.prediction_subplots import prediction_rows
from segviz.image import ImageError

pytestmark = pytest.mark.usefixtures("small_pictures")

CASE = one_of_each()


def traces(figure: go.Figure, kind: type) -> list[object]:
    return [one for one in figure.data if isinstance(one, kind)]


def drawn(image: go.Image) -> np.ndarray:
    data = base64.b64decode(image.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_labels_are_shown_over_the_picture_with_their_shares() -> None:
    figure = show(CASE)
    (image,) = traces(figure, go.Image)
    assert (drawn(image) == label_overlay(IMAGE, LABELS, CASE.class_set, 0.65)).all()  # type: ignore[arg-type]
    names = [one.name.replace("\N{NO-BREAK SPACE}", " ") for one in traces(figure, go.Scatter)]  # type: ignore[attr-defined]
    assert names == ["Sky 33.3 %", "Building 33.3 %", "Pole 33.3 %"]
    (hover,) = traces(figure, go.Heatmap)
    assert np.array(hover.text)[15, 3] == "Building"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "look", "way"),
    [
        ("spatial", None, "attends_to"),
        ("spatial", "attended_by", "attended_by"),
        ("collect", None, "attends_to"),
        ("distribute", None, "attended_by"),
        ("cross", None, "attends_to"),
        ("bases", None, "attends_to"),
        ("samples", "attended_by", "attended_by"),
    ],
)
def test_a_map_is_shown_with_its_own_numbers_where_its_cells_lie(name: str, look: str | None, way: str) -> None:
    figure = show(CASE, name, at=(12, 22), look=look)  # type: ignore[arg-type]
    (heat,) = traces(figure, go.Heatmap)
    one = CASE.maps[name]
    wanted = getattr(one, way)(*one.cell(12, 22, *SIZE)).numpy()  # type: ignore[union-attr]
    assert (np.array(heat.customdata) == wanted).all()  # type: ignore[attr-defined]
    ramp = np.arange(4, dtype=np.float32)[None].repeat(3, 0)
    x = heat.x0 + 2 * heat.dx  # type: ignore[attr-defined]
    across = stretch(ramp, SIZE, one.feature_grid)[15]
    assert np.interp(x, np.arange(SIZE[1]), across) == pytest.approx(2, abs=1e-5)
    pins = [one for one in traces(figure, go.Scatter) if one.x]  # type: ignore[attr-defined]
    assert [(one.y[0], one.x[0]) for one in pins] == [(12, 22)]  # type: ignore[attr-defined]


def test_several_places_share_a_scale_whose_bar_has_true_values() -> None:
    figure = show(CASE, "spatial", at=[(2, 2), (25, 35)], scale="log")
    heats = traces(figure, go.Heatmap)
    assert {heat.coloraxis for heat in heats} == {"coloraxis"}  # type: ignore[attr-defined]
    top = max(np.array(heat.customdata).max() for heat in heats)  # type: ignore[attr-defined]
    axis = figure.layout.coloraxis
    assert 10**axis.cmax == pytest.approx(top) and axis.cmax - axis.cmin == pytest.approx(3)
    assert float(axis.colorbar.ticktext[0]) == pytest.approx(top, rel=0.01)


def test_samples_are_points_with_their_weights() -> None:
    figure = show(CASE, "samples", at=(12, 22))
    at, weights = CASE.maps["samples"].samples(1, 2)  # type: ignore[union-attr]
    (points,) = [one for one in traces(figure, go.Scatter) if one.marker.coloraxis]  # type: ignore[attr-defined]
    assert np.array(points.customdata) == pytest.approx(weights.numpy())  # type: ignore[attr-defined]
    assert np.array(points.y) == pytest.approx((at[:, 0].numpy() + 0.5) * 10 - 0.5, abs=1e-4)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["channel", "rows", "gate", "output", "context", "confidence", "strip"])
def test_everything_else_is_shown_too(name: str) -> None:
    assert show(CASE, name).data
    assert isinstance(show(CASE, name, backend="matplotlib"), Drawing)


def test_a_page_of_all_maps_is_interactive() -> None:
    rows = prediction_rows(CASE, IMAGE, ((5, 5), (20, 30)))
    figure = draw_interactive(FigureSpec("<b>all</b>", tuple(map(tuple, rows))))
    assert len(figure.to_json()) > 1000
    assert "<b>" not in figure.layout.title.text


def test_what_cannot_be_shown_is_named_with_its_cure() -> None:
    with pytest.raises(KeyError, match="has no map 'nothing'; use labels, confidence, output, context, spatial"):
        show(CASE, "nothing")
    with pytest.raises(ValueError, match="outside the picture of 40 x 30 pixels"):
        show(CASE, "spatial", at=(30, 0))
    with pytest.raises(ValueError, match="is not a place; give a pixel"):
        show(CASE, "spatial", at=[])
    with pytest.raises(ValueError, match="has no look 'strip'"):
        show(CASE, "spatial", look="strip")
    with pytest.raises(ImageError, match="carries no picture; give it with image="):
        show(replace(CASE, image=None))
    with pytest.raises(ImageError, match="the picture has 10 x 10 pixels, the predicted picture 40 x 30"):
        show(CASE, image=np.zeros((10, 10, 3), np.uint8))


def test_the_view_of_another_network_is_refused_with_what_to_use() -> None:
    view = segviz.watch(torch.nn.Conv2d(3, 4, 1).eval(), IMAGE)
    with pytest.raises(TypeError, match=r"a NetworkView was given.*view\.save\('attention\.html'\)"):
        show(view, "blocks.1.attn", at=(1, 2))  # type: ignore[arg-type]


def test_a_prediction_keeps_its_picture_small_and_to_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1000, 1500, 3), dtype=np.uint8)
    found = segviz.load("fcn")(image)
    assert found.image is not None and max(found.image.shape) <= 1024
    assert show(found, "output").data[0].dx == pytest.approx(1500 / 1024, rel=0.01)
    own = np.zeros((360, 480, 3), np.uint8)
    kept = segviz.load("fcn")(own).image
    assert kept is not None
    own[:] = 255
    assert kept.max() == 0


def test_a_prediction_without_maps_can_be_shown() -> None:
    assert show(prediction(), "context").data
