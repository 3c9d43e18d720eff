"""Published networks see their authors' sliding crops: averaged labels, and the maps of the crop around a place."""

from __future__ import annotations

import json
from pathlib import Path

import network_cases as cases
import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import segviz as run_segviz
from test_protocols import slow_starts

from segviz.attention.region import Region
from segviz.engine import CompareStage
from segviz.engine.bounded_memory import BoundedMemory
from segviz.prediction.influence import measure_pixel_influence
from segviz.watch.load import open_predictor
from segviz.watch.published_block import look_into
from segviz.watch.published_predictor import PublishedPredictor

pytestmark = pytest.mark.filterwarnings("ignore:.*is assumed", "ignore:.*is not used", "ignore:.*slide crops")

CROP = 65  # a mask of 9 x 9 just covers its grid of 9 x 9, shrunk by 2 to 5 x 5
PICTURE = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
NAMES = ("road", "sky", "car")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "psanet.pth"
    torch.save(cases.psanet_of_semseg((9, 9)), path)
    return path


@pytest.fixture(scope="module")
def predictor(file: Path) -> PublishedPredictor:
    found = open_predictor(file, "cpu", classes=NAMES)
    assert isinstance(found, PublishedPredictor)
    return found


def slow_crops(predictor: PublishedPredictor, picture: np.ndarray) -> np.ndarray:
    """The mean of the softmax scores of all crops, one crop after the other."""
    height, width = picture.shape[:2]
    mean, std = (np.array(one) for one in (predictor.expects.mean, predictor.expects.std))
    seen = ((picture / 255 - mean) / std).astype(np.float32)
    sums, counts = np.zeros((3, height, width)), np.zeros((height, width))
    for top in slow_starts(height, CROP, 2 / 3):
        for left in slow_starts(width, CROP, 2 / 3):
            where = slice(top, top + CROP), slice(left, left + CROP)
            batch = torch.from_numpy(seen[where]).permute(2, 0, 1)[None]
            with torch.inference_mode():
                sums[:, *where] += predictor.network(batch).logits.softmax(1)[0].numpy()
            counts[where] += 1
    return sums / counts


def test_labels_are_of_the_crops_mean_scores(predictor: PublishedPredictor) -> None:
    prediction, scores = predictor(PICTURE), slow_crops(predictor, PICTURE)
    sure = np.sort(scores, 0)[-1] - np.sort(scores, 0)[-2] > 1e-4
    assert sure.mean() > 0.8
    assert np.array_equal(prediction.labels[sure], scores.argmax(0)[sure])
    np.testing.assert_allclose(prediction.confidence, scores.max(0), atol=1e-4)


def test_maps_are_those_of_the_crop_around_the_place(predictor: PublishedPredictor) -> None:
    prediction = predictor(PICTURE, place=(90, 20))
    assert prediction.region == Region(35, 0, CROP, CROP)
    picture = torch.from_numpy(PICTURE[35:, :CROP].copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        own = predictor.network(predictor.expects.normalise(picture)).attended.maps[0]
    for one in own:
        torch.testing.assert_close(
            prediction.maps[one.name].attends_to(1, 2), one.attends_to(1, 2), atol=1e-5, rtol=1e-3
        )
    part = prediction.of_crop()
    assert part.image is not None and np.array_equal(part.image, PICTURE[35:, :CROP])
    assert np.array_equal(part.labels, prediction.labels[35:, :CROP]) and part.crop is None
    assert prediction.cell(90, 20) == part.cell(55, 20) and prediction.crop is not None
    assert prediction.crop.pixel((90, 20)) == (55, 20) and prediction.crop.place((55, 20)) == (90, 20)
    with pytest.raises(ValueError, match=r"outside the crop whose maps these are \(rows 35 to 99, columns 0 to 64\)"):
        prediction.cell(5, 5)
    assert "one of its 6 crops, rows 35 to 99" in str(prediction.crop) and "of rows 35 to 99" in repr(prediction)


def test_without_a_place_the_middle_s_crop_is_shown_and_saved(predictor: PublishedPredictor, tmp_path: Path) -> None:
    prediction = predictor(PICTURE)
    assert prediction.region is not None and (50, 75) in prediction.region
    prediction.save(tmp_path / "maps.html")
    assert "one of its 6 crops" in (tmp_path / "maps.html").read_text()


def test_a_picture_given_as_a_path_is_named(predictor: PublishedPredictor, tmp_path: Path) -> None:
    path = tmp_path / "street one.png"
    Image.fromarray(PICTURE).save(path)
    small = tmp_path / "small.png"
    Image.fromarray(PICTURE[:CROP, :CROP]).save(small)
    assert [predictor(one).picture for one in (path, small, str(path), PICTURE)] == [
        path.name,
        small.name,
        path.name,
        "",
    ]
    assert [one.picture for one in predictor.predict_crops(path, [(50, 75)])] == [path.name]
    assert dict(predictor(path).web_page().facts)["Picture"] == path.name


def test_pictures_are_shown_whole_where_they_are_small_or_it_is_asked(predictor: PublishedPredictor) -> None:
    assert predictor(PICTURE[:64, :64]).region is None
    whole = predictor(PICTURE, protocol="whole")
    assert whole.region is None and whole.of_crop() is whole and whole.labels.shape == (100, 150)
    padded = predictor(PICTURE[:41, :64], protocol="crops")
    assert padded.region == Region(-12, 0, CROP, CROP) and padded.labels.shape == (41, 64)
    assert padded.of_crop().image is not None
    assert (padded.of_crop().image[0] == [124, 116, 104]).all()  # the mean colour


def test_a_large_picture_is_shrunk_and_its_crops_are_found_in_its_own_pixels(predictor: PublishedPredictor) -> None:
    large = np.repeat(np.repeat(PICTURE, 2, 0), 2, 1)
    prediction = predictor(large, shrink=2, place=(180, 41))
    assert prediction.region == Region(70, 0, 2 * CROP, 2 * CROP) and prediction.labels.shape == (200, 300)
    assert prediction.crop is not None and prediction.crop.pixel((180, 41)) == (55, 20)


def report(done: int, total: int) -> None:
    """Nobody waits."""


def input_of_crop(predictor: PublishedPredictor) -> torch.Tensor:
    """The crop around pixel (90, 20), as the network sees it."""
    picture = torch.from_numpy(PICTURE[35:, :CROP].copy()).permute(2, 0, 1)[None] / 255
    return predictor.expects.normalise(picture)


def test_similarity_is_that_of_the_crop_around_the_place(predictor: PublishedPredictor) -> None:
    from segviz.prediction.similarity import features_at

    found = CompareStage("block_input", (90, 20)).run(predictor, PICTURE, 2**40, report).value
    with torch.inference_mode():
        features = features_at(predictor.network, input_of_crop(predictor), "block_input")[0]
    unit = torch.nn.functional.normalize(features, dim=0)
    expected = torch.einsum("chw,c->hw", unit, unit[:, 1, 2])
    torch.testing.assert_close(found.attends_to(1, 2), expected, atol=1e-2, rtol=0)  # the wire's steps
    whole = CompareStage("block_input").run(predictor, PICTURE, 2**40, report).value
    assert whole.grid != found.grid == (9, 9)


def test_attribution_is_the_gradient_of_the_crop_around_the_point(predictor: PublishedPredictor) -> None:
    from segviz.attribution import Options, Target
    from segviz.engine import Attribute

    op = Attribute("saliency", Target(1, pixel=(90, 20)), Options(), in_crop=True)
    found = op.run(predictor, PICTURE, 2**40, report).value
    assert found.region == Region(35, 0, CROP, CROP) and found.target.pixel == (90, 20)
    seen = input_of_crop(predictor).requires_grad_()
    score = predictor.network(seen).logits[0, 1, 55, 20]
    score.backward()
    assert seen.grad is not None and found.score == pytest.approx(float(score.detach()), rel=1e-3)
    expected = seen.grad[0].abs().amax(0).numpy()
    assert np.corrcoef(found.values.ravel(), expected.ravel())[0, 1] > 0.999
    region = Attribute("saliency", Target(1), Options(), in_crop=True).run(predictor, PICTURE, 2**40, report).value
    assert region.region is None  # over several crops there is no one logit


def test_what_cannot_be_slid_is_refused(predictor: PublishedPredictor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pixel \(y=-1, x=20\) is outside the picture of 150 x 100 pixels"):
        predictor(PICTURE, place=(100, 20))
    torch.save(cases.ocrnet_of_mmseg(), tmp_path / "ocrnet.pth")
    other = open_predictor(tmp_path / "ocrnet.pth", "cpu")
    assert isinstance(other, PublishedPredictor) and other.expects.crop is None
    with pytest.raises(ValueError, match="slide no crops"):
        other(PICTURE, protocol="crops")


def test_memory_is_that_of_one_crop_and_the_scores(predictor: PublishedPredictor) -> None:
    large = np.tile(PICTURE, (3, 3, 1))
    with BoundedMemory(2**40) as crops:
        predictor(large)
    with BoundedMemory(2**40) as whole:
        predictor(large, protocol="whole")
    scores = 3 * large.shape[0] * large.shape[1] * 4
    with BoundedMemory(2**40) as one:
        predictor(PICTURE[:65, :65], protocol="crops")
    assert crops.peak < one.peak + 8 * scores < whole.peak


def test_the_command_line_draws_each_place_in_its_crop(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "street.png")
    words = ["attend", tmp_path / "street.png", "--model", file, "--at", "90,20", "--at", "5,5", "--json"]
    assert run_segviz(*words, "--out", tmp_path / "maps") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [one["crop"]["top"] for one in told["crops"]] == [35, 0] and told["crops"][0]["crop"]["of"] == 6
    assert [(one["y"], one["x"]) for one in told["places"]] == [(90, 20), (5, 5)]
    names = {one.name for one in (tmp_path / "maps").iterdir()}
    assert "street_crop-35-0_psanet_collect_55_20_attends_to.png" in names and "street_psanet_crops.png" in names
    with Image.open(tmp_path / "maps" / "street_psanet_crops.png") as drawn:
        assert drawn.size == (150, 100)
    assert run_segviz(*words, "--out", tmp_path / "page.png") == 1
    assert "the places lie in 2 crops" in capsys.readouterr().err
    assert run_segviz("attend", *words[1:6], "--out", tmp_path / "page.png") == 0


def test_influence_is_measured_on_a_whole_picture_alone(
    file: Path, predictor: PublishedPredictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "street.png")
    Image.fromarray(PICTURE[:CROP, :CROP]).save(tmp_path / "small.png")
    words = ["--model", file, "--at", "20,30", "--influence", "--json", "--out", tmp_path]
    assert run_segviz("attend", tmp_path / "street.png", *words) == 1
    assert "influence is measured on whole pictures, and this one is seen in crops" in capsys.readouterr().err
    assert run_segviz("attend", tmp_path / "small.png", *words) == 0
    (told,) = json.loads(capsys.readouterr().out)
    wanted = measure_pixel_influence(look_into(predictor), PICTURE[:CROP, :CROP], (20, 30))
    assert wanted.values.max() > 0
    assert told["influence"][0]["largest"] == pytest.approx(float(wanted.values.max()), rel=1e-5)


def labelled(root: Path) -> Path:
    """One labelled picture in segviz's own layout."""
    for part in ("images", "labels"):
        (root / "val" / part).mkdir(parents=True)
    (root / "val.txt").write_text("one\n")
    (root / "meta.json").write_text(json.dumps({"classes": NAMES, "void": 255}))
    Image.fromarray(PICTURE).save(root / "val" / "images" / "one.png")
    labels = np.random.default_rng(1).integers(0, 3, PICTURE.shape[:2], dtype=np.uint8)
    Image.fromarray(labels).save(root / "val" / "labels" / "one.png")
    return root


def read_labels_of(data: Path) -> np.ndarray:
    with Image.open(data / "val" / "labels" / "one.png") as picture:
        return np.asarray(picture)


def test_evaluate_slides_the_authors_crops(
    file: Path, predictor: PublishedPredictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled(tmp_path / "data")
    words = ["evaluate", "--model", file, "--data", data, "--json"]
    assert run_segviz(*words, "--classes", "Road,Sky,Car") == 0
    told = json.loads(capsys.readouterr().out)
    (name,) = set(told) - {"model", "checkpoint"}
    assert name == "val, crops of 65 x 65" and told[name]["crop"] == [65, 65]
    labels = read_labels_of(data)
    right = (predictor(PICTURE).labels == labels).mean()
    assert told[name]["accuracy"] == pytest.approx(right, abs=2e-3)
    more = ["--classes", ",".join(NAMES), "--whole", "--scales", "0.5,1", "--flip"]
    assert run_segviz(*words, *more) == 0
    assert "val, scales 0.5, 1, flip" in json.loads(capsys.readouterr().out)
    assert run_segviz(*words) == 1
    assert "or name its classes with --classes" in capsys.readouterr().err


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image):
        return {"out": self.layer(image)}

def build():
    torch.manual_seed(0)
    return Net().eval()
"""


def test_evaluate_scores_any_network_with_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = labelled(tmp_path / "data")
    (tmp_path / "net.py").write_text(NET)
    source = f"{tmp_path / 'net.py'}:build"
    words = ["evaluate", "--model", source, "--data", data, "--json"]
    assert run_segviz(*words, "--classes", ",".join(NAMES), "--crop", "64", "64", "--flip") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["val, flip, crops of 64 x 64"]["images"] == 1
    assert run_segviz(*words, "--classes", ",".join(NAMES)) == 0
    whole = json.loads(capsys.readouterr().out)["val"]
    own = open_predictor(source, "cpu", classes=NAMES)(PICTURE).prediction  # type: ignore[union-attr]
    assert own is not None
    labels = read_labels_of(data)
    assert whole["accuracy"] == pytest.approx((own.labels == labels).mean(), abs=1e-3)
    for more, cure in (
        ([], "name them with --classes"),
        (["--classes", "a,b"], "or name its classes"),
        (["--record"], "needs a segviz checkpoint"),
        (["--classes", ",".join(NAMES), "--step", "1/2"], "--step needs crops"),
        (["--classes", ",".join(NAMES), "--whole"], "shown whole anyway"),
    ):
        assert run_segviz(*words, *more) in (1, 2)
        assert cure in capsys.readouterr().err
