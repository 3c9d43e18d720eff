"""`segviz.load("psanet50.pth")`: published weights are recognised by their tensors, and shown like our own models."""

from __future__ import annotations

from pathlib import Path

import network_cases as cases
import pytest
import torch
from PIL import Image
from test_cli import segviz as run_segviz
from watch_cases import IMAGE

import segviz
from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.entry import CatalogueEntry
from segviz.engine.open_model import open_catalogue_entry
from segviz.models.networks import recognise_network
from segviz.watch.load import open_predictor
from segviz.watch.published_predictor import PublishedPredictor

pytestmark = pytest.mark.filterwarnings("ignore:.*is assumed", "ignore:.*is not used", "ignore:.*slide crops")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PSANet as mmsegmentation stores it, with the names of its three classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "psanet.pth"
    meta = {"CLASSES": ("road", "sky", "car"), "PALETTE": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}
    torch.save({"meta": meta, "state_dict": cases.psanet_of_mmseg()}, path)
    return path


def test_labels_and_maps_are_the_network_s(file: Path) -> None:
    predictor = segviz.load(file, "cpu")
    assert isinstance(predictor, PublishedPredictor)
    prediction = predictor(IMAGE)
    recognised = recognise_network(torch.load(file)["state_dict"])
    assert recognised is not None
    picture = torch.from_numpy(IMAGE).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        result = recognised.build()(recognised.expects.normalise(picture))
    assert torch.equal(torch.from_numpy(prediction.labels), result.logits[0].argmax(0).to(torch.uint8))
    assert prediction.classes == ("road", "sky", "car") and prediction.palette[2].tolist() == [3, 3, 3]
    own = {one.name: one for one in result.attended.maps[0]}
    assert set(prediction.maps) == {"collect", "distribute"} == set(own)
    torch.testing.assert_close(prediction.maps["collect"].attends_to(1, 2), own["collect"].attends_to(1, 2))


def test_what_was_assumed_and_left_out_is_told(file: Path, tmp_path: Path) -> None:
    torch.save(cases.psanet_of_semseg(), tmp_path / "psanet50.pth")
    predictor = open_predictor(tmp_path / "psanet50.pth", "cpu")
    assert isinstance(predictor, PublishedPredictor)
    notes = "\n".join(predictor.notes)
    assert "'aux' is not used" in notes and "crop" in notes and "slide crops of" in notes
    assert notes in repr(predictor) and "PSANet" in repr(predictor)
    with pytest.warns(UserWarning, match="'aux' is not used"):
        segviz.load(tmp_path / "psanet50.pth", "cpu")


def test_classes_are_as_many_as_the_network_s(file: Path, tmp_path: Path) -> None:
    torch.save(cases.ccnet(), tmp_path / "ccnet.pth")
    names = ("a", "b", "c")
    predictor = open_predictor(tmp_path / "ccnet.pth", "cpu", classes=names)
    assert isinstance(predictor, PublishedPredictor) and predictor(IMAGE).classes == names
    assert predictor.rules.bgr  # the authors' pictures have blue first
    with pytest.raises(ValueError, match="the network has 3 classes, but 19 were named"):
        open_predictor(tmp_path / "ccnet.pth", "cpu", classes="cityscapes")


def test_what_tensors_do_not_tell_can_be_given(tmp_path: Path) -> None:
    torch.save(cases.ccnet(), tmp_path / "ccnet.pth")
    assert any("passes 2" in note for note in open_predictor(tmp_path / "ccnet.pth", "cpu").notes)  # type: ignore[union-attr]
    given = open_predictor(tmp_path / "ccnet.pth", "cpu", assume={"passes": 1})
    assert isinstance(given, PublishedPredictor) and not any("passes" in note for note in given.notes)
    entry = CatalogueEntry("ccnet", "CCNet", str(tmp_path / "ccnet.pth"), assume=(("passes", 1),))
    assert not any("passes" in note for note in open_catalogue_entry(entry).notes)
    with pytest.raises(ValueError, match="belongs to published weights"):
        open_predictor("timm:vit_tiny_patch16_224", weights="random", assume={"passes": 1})


def test_damaged_layouts_and_useless_options_are_refused(tmp_path: Path) -> None:
    state = cases.ccnet()
    torch.save({**state, "unheard.of": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: .*unheard\.of"):
        open_predictor(tmp_path / "w.pth")
    for options in ({"layers": "*"}, {"fit": "pad"}, {"weights": "other.pth"}, {"find_windows": True}):
        with pytest.raises(ValueError, match="remove"):
            open_predictor(tmp_path / "w.pth", **options)  # type: ignore[arg-type]


def test_the_command_line_attends_and_predicts_with_it(file: Path, tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "street.png")
    picture = tmp_path / "street.png"
    assert run_segviz("attend", picture, "--model", file, "--at", "20,30", "--out", tmp_path / "maps") == 0
    assert (tmp_path / "maps" / "street_psanet_collect_20_30_attends_to.png").is_file()
    assert run_segviz("predict", picture, "--model", file, "--out", tmp_path / "labels") == 0
    assert (tmp_path / "labels" / "street_labels.png").is_file()


def test_the_command_line_takes_what_tensors_do_not_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "street.png")
    torch.save(cases.ccnet(), tmp_path / "ccnet.pth")
    command = "predict", tmp_path / "street.png", "--model", tmp_path / "ccnet.pth", "--out", tmp_path / "labels"
    for words, assumed in (((), True), (("--assume", "passes=1", "--assume", "crop=769,769"), False)):
        assert run_segviz(*command, *words) == 0
        assert ("passes 2 is assumed" in capsys.readouterr().err) == assumed
    assert run_segviz(*command, "--assume", "turns=1") == 1
    assert "has no option 'turns'; its options are" in capsys.readouterr().err
