"""Evaluations: counted right, at any scale, on sound input only."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.catalogue.record import Record, from_json, to_json
from segviz.data.classes import CAMVID
from segviz.data.sample import DataError, Sample
from segviz.evaluation.evaluate import MULTI_SCALES, class_scores, evaluate_samples, evaluate_scenes, scenes_title
from segviz.evaluation.protocols import ScoringProtocol
from segviz.image import to_tensor
from segviz.models.ablation import without_context
from segviz.models.blocks import NoContext
from segviz.models.registry import build
from segviz.models.segmenter import Segmentation, Segmenter

CLASSES = ("road", "tree", "sky")
LEVELS = 100  # of red, a class


class Reader(Segmenter):
    """Reads the class off the red of a pixel, and keeps what it was shown."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.block, self.classifier = NoContext(), nn.Conv2d(1, len(CLASSES), 1)
        self.shown: list[Tensor] = []

    def forward(self, image: Tensor) -> Segmentation:
        self.shown.append(image)
        index = ((image[:, 0] + 1) * 127.5 / LEVELS).round().long()
        found = 9.0 * F.one_hot(index, len(CLASSES)).permute(0, 3, 1, 2)
        return Segmentation(found, Attended(image, image, ((),) * len(image)), image)


def sample(labels: np.ndarray, shown: np.ndarray | None = None) -> Sample:
    """A picture from which Reader reads `shown`, by default its labels."""
    picture = np.zeros((*labels.shape, 3), np.uint8)
    picture[..., 0] = (labels if shown is None else shown) * LEVELS
    return Sample("made", picture, labels)


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    return labels


@pytest.fixture
def reader() -> Reader:
    return Reader().eval()


@pytest.fixture(scope="module")
def network(street: np.ndarray) -> Segmenter:
    """Random weights, each class as likely as the others: otherwise one of them would be the answer everywhere."""
    torch.manual_seed(0)
    model = build("fla", len(CLASSES)).eval()
    nn.init.constant_(model.block.gamma, 0.5)
    with torch.no_grad():
        model.classifier.bias -= model(to_tensor(street)).logits.mean((0, 2, 3))
    return model


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 70, 3), dtype=np.uint8)


def test_perfect_answers_score_one(reader: Reader) -> None:
    found = evaluate_samples(reader, [sample(halves())] * 2, CLASSES, "two streets")
    assert (found.data, found.images, found.miou, found.accuracy) == ("two streets", 2, 1.0, 1.0)
    assert found.iou == found.boundary_iou == {"road": 1.0, "tree": 1.0, "sky": None}
    assert found.confusion == ((2400, 0, 0), (0, 2400, 0), (0, 0, 0))
    assert (found.scales, found.flip, found.context) == ((1.0,), False, True)


def test_mistakes_are_counted_and_rounded_to_four_places(reader: Reader) -> None:
    shown = halves()
    shown[:, 32:34] = 0  # two columns of class 1, the second and third beyond the border, are taken for class 0
    found = evaluate_samples(reader, [sample(halves(), shown)], CLASSES, "a street")
    assert found.confusion == ((1200, 0, 0), (80, 1120, 0), (0, 0, 0))
    assert found.iou == {"road": round(1200 / 1280, 4), "tree": round(1120 / 1200, 4), "sky": None}
    assert found.miou == round((1200 / 1280 + 1120 / 1200) / 2, 4)
    assert found.accuracy == round(2320 / 2400, 4)
    assert found.boundary_iou == {"road": 0.75, "tree": round(2 / 3, 4), "sky": None}


def test_void_is_not_counted(reader: Reader) -> None:
    labels = halves()
    labels[:10] = 255
    found = evaluate_samples(reader, [sample(labels, halves())], CLASSES, "a street")
    assert np.sum(found.confusion) == 30 * 60


def test_an_evaluation_outlives_its_record(reader: Reader) -> None:
    found = evaluate_samples(reader, [sample(halves())], CLASSES, "a street", scales=(0.5, 1.0), flip=True)
    record = Record("fcn", CLASSES, "mobilenetv2_100", 8, evaluations={"val": found})
    assert from_json(to_json(record)).evaluations == {"val": found}


def test_one_scale_gives_the_models_own_labels(network: Segmenter, street: np.ndarray) -> None:
    with torch.inference_mode():
        scores = class_scores(network, street, ScoringProtocol())
        own = network(to_tensor(street)).logits[0]
    assert torch.equal(scores.argmax(0), own.argmax(0))


def test_every_scale_is_shown_with_its_mirror_image(reader: Reader) -> None:
    evaluate_samples(reader, [sample(halves(80, 120))], CLASSES, "a street", scales=MULTI_SCALES, flip=True)
    sizes = [(40, 60), (60, 90), (80, 120), (100, 150), (120, 180), (140, 210)]
    assert [tuple(view.shape) for view in reader.shown] == [(2, 3, *size) for size in sizes]
    for view in reader.shown:
        assert torch.equal(view[1], view[0].flip(2))


def test_scores_are_the_mean_over_scales_and_mirror_images(network: Segmenter, street: np.ndarray) -> None:
    views = []
    for size in ((70, 48), (105, 72)):
        picture = cv2.resize(street, size, interpolation=cv2.INTER_LINEAR)
        for mirrored in (False, True):
            shown = picture[:, ::-1] if mirrored else picture
            with torch.inference_mode():
                scores = network(to_tensor(np.ascontiguousarray(shown))).logits.softmax(1)
            own = F.interpolate(scores, (48, 70), mode="bilinear")[0]
            views.append(own.flip(2) if mirrored else own)
    with torch.inference_mode():
        found = class_scores(network, street, ScoringProtocol((1.0, 1.5), True))
    torch.testing.assert_close(found, torch.stack(views).mean(0), atol=1e-5, rtol=1e-4)


def test_shrunk_views_average_areas(reader: Reader) -> None:
    labels = np.tile(np.array([[0, 2], [2, 0]], np.uint8), (40, 40))
    with torch.inference_mode():
        class_scores(reader, sample(labels).image, ScoringProtocol((0.5,), False))
    assert (reader.shown[0][:, 0].unique() * 127.5 + 127.5).tolist() == [LEVELS]  # the mean of 0 and 2 levels


def test_scores_are_shares(network: Segmenter, street: np.ndarray) -> None:
    with torch.inference_mode():
        scores = class_scores(network, street, ScoringProtocol((0.5, 1.0, 1.75), True))
    assert scores.shape == (len(CLASSES), 48, 70)
    torch.testing.assert_close(scores.sum(0), torch.ones(48, 70), atol=1e-5, rtol=0)


def test_small_pictures_are_scored_at_every_scale(network: Segmenter) -> None:
    labels = halves(20, 24)
    found = evaluate_samples(network, [sample(labels)], CLASSES, "a stamp", scales=MULTI_SCALES, flip=True)
    assert np.sum(found.confusion) == labels.size


def test_without_context_the_silenced_copy_is_scored(network: Segmenter, street: np.ndarray) -> None:
    samples = [Sample("street", street, halves(48, 70))]
    whole = evaluate_samples(network, samples, CLASSES, "a street")
    silent = evaluate_samples(network, samples, CLASSES, "a street", context=False)
    wanted = evaluate_samples(without_context(network), samples, CLASSES, "a street")
    assert silent == replace(wanted, context=False)
    assert silent.confusion != whole.confusion


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0)], ids=str)
def test_scales_must_be_above_zero(reader: Reader, scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give one or more factors above 0"):
        evaluate_samples(reader, [sample(halves())], CLASSES, "a street", scales=scales)


def test_a_model_in_training_mode_is_refused(reader: Reader) -> None:
    with pytest.raises(ValueError, match=r"training mode, with dropout active; call its eval\(\)"):
        evaluate_samples(reader.train(), [sample(halves())], CLASSES, "a street")


def test_the_models_own_classes_must_be_named(reader: Reader) -> None:
    with pytest.raises(ValueError, match="has 3 classes but 2 are named"):
        evaluate_samples(reader, [sample(halves())], CLASSES[:2], "a street")


@pytest.mark.parametrize("samples", [[], [sample(np.full((40, 60), 255, np.uint8), halves())]], ids=["none", "void"])
def test_nothing_to_score_on_is_told_before_any_forward(reader: Reader, samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="a street has no labelled pixel to score; give pictures with labels"):
        evaluate_samples(reader, samples, CLASSES, "a street")
    assert reader.shown == []


def test_unseen_scenes_are_drawn_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pool(count: int, first: int) -> list[Sample]:
        asked.append((count, first))
        return [sample(halves())] * count

    monkeypatch.setattr("segviz.evaluation.evaluate.scene_pool", pool)
    found = evaluate_scenes(build("fcn", 11).eval(), CAMVID.names, 2)
    assert (found.data, found.images, asked) == ("2 drawn scenes", 2, [(2, 1_000_000)])
    assert scenes_title(1) == "1 drawn scene"


def test_scenes_need_their_own_classes(reader: Reader) -> None:
    with pytest.raises(DataError, match="drawn scenes have CamVid's classes, but this model has others"):
        evaluate_scenes(reader, CLASSES)


def test_a_network_that_takes_one_size_alone_is_scored_on_crops_of_it() -> None:
    network = build("psa", len(CLASSES), options={"compact": True, "mask": (4, 6)}).eval()
    assert network.only_size == (49, 81)
    evaluation = evaluate_samples(network, [sample(halves(60, 100))], CLASSES, "halves")
    assert (evaluation.crop, evaluation.shown) == ((49, 81), "at their own size, crops of 49 x 81")
    assert build("psa", len(CLASSES)).only_size is None
