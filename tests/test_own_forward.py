"""A network that computes attention in its own forward, outside of its modules: what else can be asked about it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import segviz
from segviz.attribution import AttributionError, Target, attribute
from segviz.data.scenes import draw_scene
from segviz.engine.differentiable import DifferentiablePredictor, make_differentiable
from segviz.models.picture_input import PictureInput
from segviz.watch.layer_features import LayerError, compare_layer
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_scores import NetworkScores
from segviz.watch.placement import InputRules
from segviz.watch.published_predictor import input_of

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


@pytest.mark.parametrize("method", ["integrated_gradients", "saliency", "occlusion"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_networks_of_other_types_are_explained(kind: torch.dtype, method: str) -> None:
    torch.manual_seed(0)
    net = Net()
    exact, other = (
        attribute(explainable(open_net(one)), IMAGE, method, Target(1))  # type: ignore[arg-type]
        for one in (net, deepcopy(net).to(kind))
    )
    close = 0.1 if kind == torch.bfloat16 else 1e-4
    assert other.score == pytest.approx(exact.score, abs=close)
    assert np.abs(other.values - exact.values).mean() < close * np.abs(exact.values).max()


def test_a_network_in_units_of_255_is_explained_as_it_is_run() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    scores = [
        attribute(
            explainable(segviz.load(net, "cpu", mean=(0, 0, 0), std=(std,) * 3)), IMAGE, "saliency", Target(1)
        ).score  # type: ignore[arg-type]
        for std in (1.0, 255.0)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_a_network_in_units_of_255_is_scored_as_it_is_run() -> None:
    torch.manual_seed(0)
    net, names = Net().eval(), list("abcde")
    found = []
    for std in (1.0, 255.0):
        scorer = NetworkScores(segviz.load(net, "cpu", mean=(0, 0, 0), std=(std,) * 3, classes=names))
        found.append(scorer(scorer.see(IMAGE), (True,), None)[0][True])
    torch.testing.assert_close(found[0], found[1])


def test_published_weights_in_units_of_255_are_read_as_such() -> None:
    read = input_of(InputRules((0.0,) * 3, (255.0,) * 3), PictureInput())
    assert (read.mean, read.std) == ((0, 0, 0), (1, 1, 1))


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
