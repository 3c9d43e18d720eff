"""Networks of one's own on the command line: `watch`, `predict` and `attend`, and the commands that refuse them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from own_networks import patch_network
from PIL import Image
from test_cli import complaint, segviz
from watch_cases import IMAGE

from segviz import watch
from segviz.catalogue.sources.python_source import import_file
from segviz.data.class_sets import CLASS_SETS

BARE = """

def bare():
    return nn.Sequential(Net().stem, nn.AdaptiveAvgPool2d(1))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    (place / "net.py").write_text(patch_network(("first", "last"), 19, BARE))
    Image.fromarray(IMAGE).save(place / "street.png")
    return place


def test_watch_prints_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz("watch", folder / "street.png", "--model", f"{folder}/net.py:Net") == 0
    text = capsys.readouterr().out
    assert "net.py:Net saw the picture at 96 x 64 pixels" in text
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["first", "listed"], ["last", "kept"]]
    assert "choose it with --layers first" in text and "layers=" not in text and "set mean" not in text


def test_what_is_known_of_a_network_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "timm:vit_tiny_patch16_224", "--weights", "random")
    assert segviz("watch", folder / "street.png", *options) == 0
    printed = capsys.readouterr()
    assert (printed.err + printed.out).count("random") == 1 and "random" in printed.err


def test_watch_as_json_has_rows_and_largest_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ("--model", f"{folder}/net.py:Net", "--layers", "*", "--at", "20,30", "--head", "1", "--json")
    assert segviz("watch", folder / "street.png", *source) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in entry["layers"]] == ["first", "last"] and entry["classes"]["count"] == 19
    assert [one["map"] for one in entry["maps"]] == ["first", "last"] and entry["maps"][0]["grid"] == [8, 12]
    (place,) = entry["maps"][0]["places"]
    assert (place["y"], place["x"]) == (20, 30) and 0 < place["attends_to"]["largest"] <= 1


def test_watch_verifies_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("watch", folder / "street.png", "--model", f"{folder}/net.py:Net", "--layers", "*")
    assert segviz(*words) == 0 and "places verified" not in capsys.readouterr().out
    assert segviz(*words, "--verify-places") == 0
    assert capsys.readouterr().out.count("; places verified: changes at four places of the picture") == 2


def test_watch_writes_maps_and_their_numbers(folder: Path, tmp_path: Path) -> None:
    options = ("--model", f"{folder}/net.py:Net", "--layers", "last", "--at", "20,30", "--out", tmp_path)
    assert segviz("watch", folder / "street.png", *options) == 0
    looks = ("attends_to", "attended_by")
    pictures = {f"street_last_20_30_{look}_mean.png" for look in looks}
    assert {path.name for path in tmp_path.iterdir()} == {*pictures, "street_watch.npz"}
    with np.load(tmp_path / "street_watch.npz") as numbers:
        assert float(numbers["last_20_30_attends_to_mean"].sum()) == pytest.approx(1, abs=1e-4)


def test_attend_writes_the_maps_of_any_network(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = import_file(folder / "net.py").Net().eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    words = ["attend", folder / "street.png", "--model", f"{folder}/net.py:Net", "--weights", tmp_path / "w.pth"]
    words += ["--at", "20,30", "--json"]
    more = ["--layers", "*", "--head", "1", "--look", "attends_to", "--shared-scale"]
    assert segviz(*words, *more, "--out", tmp_path / "maps") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert [one["map"] for one in entry["maps"]] == ["first", "last"]
    stem = "street_net.py_Net"
    pictures = {f"{stem}_{layer}_20_30_attends_to_head1.png" for layer in ("first", "last")}
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {*pictures, f"{stem}.npz"}
    own = watch(net, IMAGE, layers="*").maps
    with np.load(tmp_path / "maps" / f"{stem}.npz") as numbers:
        for layer in ("first", "last"):
            expected = own[layer].attends_to(*own[layer].cell(20, 30, *IMAGE.shape[:2]), head=1)
            np.testing.assert_allclose(numbers[f"{layer}_20_30_attends_to_head1"], expected, atol=1e-6)
    assert segviz(*words, "--map", "first", "--out", tmp_path / "page.svg") == 0  # one page
    (entry,) = json.loads(capsys.readouterr().out)
    assert [one["map"] for one in entry["maps"]] == ["first"] and (tmp_path / "page.svg").stat().st_size > 1000


def test_attend_goes_on_with_the_maps_of_any_network(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["attend", folder / "street.png", "--model", f"{folder}/net.py:Net", "--out", tmp_path, "--resume"]
    assert segviz(*words) == 0 and segviz(*words) == 0
    assert "street_net.py_Net.npz" in {path.name for path in tmp_path.iterdir()}
    capsys.readouterr()


def test_predict_takes_any_network_with_classes(folder: Path, tmp_path: Path) -> None:
    options = ("--model", f"{folder}/net.py:Net", "--classes", "cityscapes", "--out", tmp_path)
    assert segviz("predict", folder / "street.png", *options) == 0
    with Image.open(tmp_path / "street_labels.png") as labels:
        assert labels.getpalette()[:57] == CLASS_SETS["cityscapes"].colours.ravel().tolist()


def test_weights_come_from_a_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = import_file(folder / "net.py").Net().state_dict()
    torch.save({**state, "aux": torch.zeros(1)}, tmp_path / "w.pth")
    source = ("--model", f"{folder}/net.py:Net", "--weights", tmp_path / "w.pth")
    assert segviz("watch", folder / "street.png", *source) == 0
    assert "1 tensors of w.pth belong to nothing in the network and are left out: 'aux'" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "IMAGE", "--model", "NET:bare", "--out", "OUT"), "no classes of pixels; look at its maps"),
        (("predict", "IMAGE", "--model", "NET:gone", "--out", "OUT"), "there is no 'gone'"),
        (("predict", "IMAGE", "--model", "NET", "--out", "OUT"), "net.py is Python code; write "),
        (("watch", "IMAGE", "--model", "NET"), "net.py is Python code; write "),
        (("watch", "IMAGE", "--model", "NET:Net", "--layers", "gone"), "no attention is at gone; it is at first, last"),
        (("watch", "IMAGE", "--model", "NET:Net", "--head", "7", "--json"), "head 7"),
        (("attend", "IMAGE", "--model", "NET:Net", "--head", "7", "--out", "OUT"), "head 7 does not exist"),
        (("attend", "IMAGE", "--model", "NET:Net", "--map", "gone", "--out", "OUT"), "gone"),
        (("attend", "IMAGE", "--model", "NET:Net", "--look", "strip", "--out", "OUT"), "has the look 'strip'; use"),
        (("attend", "IMAGE", "--model", "NET:bare", "--out", "OUT"), "no attention that can be shown was found"),
    ],
)
def test_failures_are_one_sentence(
    arguments: tuple[str, ...], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segviz(*fill(arguments, folder, tmp_path)) == 1
    assert said in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("attend", "IMAGE", "--model", "NET:Net", "--influence", "--out", "OUT"), "--influence needs a segviz"),
        (("attend", "IMAGE", "--model", "NET:Net", "--map", "last", "--layers", "*", "--out", "OUT"), "both choose"),
        (("attend", "IMAGE", "--model", "fcn", "--head", "mean", "--out", "OUT"), "have no heads; remove it"),
        (("attend", "IMAGE", "--model", "fcn", "--layers", "*", "--out", "OUT"), "layers would have no effect"),
        (("watch", "IMAGE", "--model", "psa"), "use `attend --model psa`"),
        (("watch", "IMAGE", "--model", "fcn"), "'fcn' has no attention block, so there is nothing to find"),
        (("predict", "IMAGE", "--model", "fcn", "--classes", "voc", "--out", "OUT"), "classes would have no effect"),
        (("figure", "compare", "IMAGE", "--models", "timm:vit_tiny_patch16_224", "--out", "OUT/a.png"),
         "is not a segviz model"),
        (("predict", "IMAGE", "--model", "resnet", "--out", "OUT"), "a checkpoint's path, net.py:build"),
        (("watch", "IMAGE", "--model", "NET:Net", "--at", "20,30"), "--at changes maps, and the table has none; name"),
        (("watch", "IMAGE", "--model", "NET:Net", "--format", "svg"), "--format changes files, and none is written"),
        (("watch", "IMAGE", "--model", "NET:Net", "--head", "first"), "'first' is not a head"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segviz(*fill(arguments, folder, tmp_path)) == 2
    assert said in complaint(capsys)


def fill(arguments: tuple[str, ...], folder: Path, out: Path) -> list[str]:
    places = {"IMAGE": str(folder / "street.png"), "NET": f"{folder}/net.py", "OUT": str(out)}
    filled = []
    for one in arguments:
        for word, place in places.items():
            one = one.replace(word, place)
        filled.append(one)
    return filled
