"""A network that computes attention in its own forward, outside of its modules: what else can be asked about it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import segviz
from segviz.attribution import AttributionError, Target, attribute
from segviz.data.scenes import draw_scene
from segviz.engine.differentiable import DifferentiablePredictor, make_differentiable
from segviz.watch.layer_features import LayerError, compare_layer
from segviz.watch.network_predictor import NetworkPredictor

IMAGE = draw_scene(seed=3, width=96, height=64).image
GRID = (8, 12)


class Net(nn.Module):
    """Its classes are at the size of the picture, or with `coarse` at that of its tokens."""

    def __init__(self, coarse: bool = False) -> None:
        super().__init__()
        self.stem, self.q, self.k = nn.Conv2d(3, 8, 8, stride=8), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.head, self.coarse = nn.Conv2d(8, 5, 1), coarse

    def forward(self, x: Tensor) -> Tensor:
        features = self.stem(x)
        q, k = self.q(features).flatten(2), self.k(features).flatten(2)
        weights = torch.softmax(q.transpose(1, 2) @ k / 2, dim=-1)
        features = features + (features.flatten(2) @ weights.transpose(1, 2)).view_as(features)
        scores = self.head(features)
        return scores if self.coarse else F.interpolate(scores, x.shape[-2:], mode="bilinear")


def open_net(net: Net) -> NetworkPredictor:
    return segviz.load(net.eval(), "cpu")


@pytest.fixture
def predictor() -> NetworkPredictor:
    return open_net(Net())


def explainable(predictor: NetworkPredictor) -> DifferentiablePredictor:
    view = predictor(IMAGE)
    assert list(view.maps) == ["network"]
    return make_differentiable(predictor, view, "network")


def test_methods_that_read_no_layer_explain_it(predictor: NetworkPredictor) -> None:
    found = attribute(explainable(predictor), IMAGE, "saliency", Target(1))  # type: ignore[arg-type]
    assert found.values.max() > 0


@pytest.mark.parametrize("method", ["grad_cam_input", "grad_cam_output"])
def test_grad_cam_says_that_there_is_no_layer_to_read(predictor: NetworkPredictor, method: str) -> None:
    with pytest.raises(AttributionError, match="choose another layer, or a method that reads none"):
        attribute(explainable(predictor), IMAGE, method, Target(1))  # type: ignore[arg-type]


def test_its_features_are_its_output_where_that_lies_on_the_grid() -> None:
    coarse = open_net(Net(coarse=True))
    found = compare_layer(coarse, IMAGE, "network", GRID)
    assert found.grid == GRID and found.name == "network"
    assert float(found.attends_to(3, 4)[3, 4]) == pytest.approx(1, abs=1e-5)


def test_elsewhere_another_layer_must_be_chosen(predictor: NetworkPredictor) -> None:
    with pytest.raises(LayerError, match="'network' has no features on its grid of 8 x 12 cells; choose another"):
        compare_layer(predictor, IMAGE, "network", GRID)
