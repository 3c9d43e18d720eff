"""The catalogue of one's own networks: models.toml, the command line, and what both refuse in one sentence."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segviz.catalogue.entry import BUNDLED_NAMES, CatalogueEntry, CatalogueError, derive_name
from segviz.catalogue.models_file import read_models, read_models_file, write_models
from segviz.catalogue.own_models import entry_identity, own_models
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.weights_check import check_weights_file
from segviz.cli.errors import UsageError
from segviz.cli.main import main
from segviz.cli.own_models import list_models
from segviz.cli.parser import build_parser
from segviz.server.launch import app_environment

FULL = """
[[model]]
name = "psanet"
title = "PSANet-50 of the authors"
source = "weights/psanet50.pth"
classes = "ade20k"
size = [473, 473]
fit = "pad"

[[model]]
source = "net.py:build"
weights = "w.pt"
classes = ["road", "sky"]
palette = [[128, 64, 128], [70, 130, 180]]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 1]
layers = ["blocks.*.attn"]
find_windows = true

[[model]]
source = "ccnet.pth"
assume = { passes = 1, scaled = false, block = [8, 8], temperature = 0.5, direction = "collect" }
"""


def test_the_names_of_the_bundled_models_are_the_registrys() -> None:
    from segviz.models.registry import MODELS

    assert tuple(MODELS) == BUNDLED_NAMES


def test_a_file_is_read_with_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(FULL)
    first, second, third = read_models_file(tmp_path / "models.toml")
    assert first == CatalogueEntry(
        "psanet", "PSANet-50 of the authors", str(tmp_path / "weights/psanet50.pth"), "", "ade20k", size=(473, 473),
        fit="pad",
    )  # fmt: skip
    assert (second.name, second.title) == ("net-build", "net-build")
    assert second.source == f"{tmp_path}/net.py:build" and second.weights == str(tmp_path / "w.pt")
    assert second.classes == ("road", "sky") and second.palette == ((128, 64, 128), (70, 130, 180))
    assert second.mean == (0.5, 0.5, 0.5) and second.std == (0.25, 0.25, 1.0)
    assert second.layers == ("blocks.*.attn",) and second.find_windows and not first.find_windows
    assert third.assume == (
        ("passes", 1), ("scaled", False), ("block", (8, 8)), ("temperature", 0.5), ("direction", "collect"),
    )  # fmt: skip
    written = write_models([first, second, third])
    assert read_models(written, "text", Path("/elsewhere")) == (first, second, third)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]]\nsource = ", "here is not TOML"),
        ("[model]\nsource = 'a'", "here has one table where only [[model]] can be"),
        ("models = 1", "here has 'models' where only [[model]] can be"),
        ("[[model]]\nname = 'a'", "here, model 1 ('a'): source is missing; write source ="),
        ("[[model]]\nsource = 3", "'source' is 3, not text"),
        ("[[model]]\nsource = ''", "source is missing"),
        ("[[model]]\nsource = 'psa'", "'psa' is bundled, and is offered anyway; remove it"),
        ("[[model]]\nsource = 'a.pth'\ncolour = 1", "here, model 1 ('a.pth'): 'colour' is not a key; use name, title"),
        ("[[model]]\nsource = 'a.pth'\nname = 'A b'", "cannot stand in a link; use 1 to 64 of a to z"),
        ("[[model]]\nsource = 'a.pth'\nname = 'psa'", "'psa' is a bundled model's; choose another name"),
        (
            "[[model]]\nsource = 'a'\nname = 'x'\n[[model]]\nsource = 'b'\nname = 'x'",
            "model 2 ('x'): another model has",
        ),
        ("[[model]]\nsource = 'a.pth'\nmean = [1, 2]\nstd = [1, 2]", "mean has 2 numbers; give one for each"),
        ("[[model]]\nsource = 'a.pth'\nmean = [0, 0, 0]", "mean and std belong together"),
        ("[[model]]\nsource = 'a.pth'\nmean = [nan, 0, 0]\nstd = [1, 1, 1]", "mean has a value outside 0 to 255"),
        ("[[model]]\nsource = 'a.pth'\nmean = [0, 0, 0]\nstd = [1, 0, 1]", "std has a value that is not above 0"),
        ("[[model]]\nsource = 'a.pth'\nmean = 'imagenet'", "'mean' is \"imagenet\", not a list"),
        ("[[model]]\nsource = 'a.pth'\nsize = [512]", "'size' is [512], not a list of 2"),
        ("[[model]]\nsource = 'a.pth'\nsize = [0, 512]", "size is [0, 512]; use [height, width] from 1 to"),
        ("[[model]]\nsource = 'a.pth'\nsize = [1.5, 2]", "'size[0]' is 1.5, not a whole number"),
        ("[[model]]\nsource = 'a.pth'\nfit = 'crop'", "fit is 'crop'; use stretch or pad"),
        ("[[model]]\nsource = 'a.pth'\nclasses = 19", "classes are neither a list of names nor a class set"),
        ("[[model]]\nsource = 'a.pth'\nclasses = ['a', 1]", "classes are neither a list of names nor a class set"),
        ("[[model]]\nsource = 'a.pth'\nclasses = ['a', 'b']\npalette = [[1, 2, 3]]", "2 classes but 1 colours"),
        ("[[model]]\nsource = 'a.pth'\npalette = [[1, 2, 300]]", "palette has a value outside 0 to 255"),
        ("[[model]]\nsource = 'a.pth'\npalette = [[1, 2]]", "'palette[0]' is [1, 2], not a list of 3"),
        ("[[model]]\nsource = 'a.pth'\nlayers = 'attn'", "'layers' is \"attn\", not a list"),
        ("[[model]]\nsource = 'a.pth'\ntitle = 1979-05-27", "'title' is [\"1979-05-27\"], not text"),
        ("[[model]]\nsource = 'a.pth'\nassume = 3", "'assume' is 3, not names with values"),
        (
            "[[model]]\nsource = 'a.pth'\n[model.assume]\npasses = 1979-05-27",
            "'assume.passes[0]' is \"1979-05-27\", not a number",
        ),
        ("[[model]]\nsource = 'a'\n" * 300, "here has 300 models; use at most 256"),
        ("a = " + "[" * 5000, "here is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(text: str, said: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        read_models(text, "here", Path("/"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"models\.toml cannot be read \(No such file or directory\); correct"):
        read_models_file(tmp_path / "models.toml")
    (tmp_path / "models.toml").write_bytes(b"\xff\xfe[")
    with pytest.raises(CatalogueError, match="is not text in UTF-8"):
        read_models_file(tmp_path / "models.toml")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("psanet50.pth", "psanet50"),
        ("/a b/Net V2.safetensors", "net-v2"),
        ("net.py:build", "net-build"),
        ("package.module:build", "package.module-build"),
        ("timm:vit_tiny_patch16_224", "vit_tiny_patch16_224"),
        ("hf:nvidia/segformer-b0-finetuned-ade-512-512", "segformer-b0-finetuned-ade-512-512"),
        ("hf:/models/mine/", "mine"),
        ("psa.pth", "psa-2"),  # psa is bundled
        ("taken.pth", "taken-2"),
        ("☃.pth", "model"),
    ],
)
def test_a_name_for_links_comes_from_the_source(source: str, name: str) -> None:
    assert derive_name(source, ["taken"]) == name


def parse(*words: str) -> list[dict[str, object]]:
    return list(build_parser().parse_args(["app", *words]).own_models)


def test_options_belong_to_the_model_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_bytes(b"")
    for name in ("w.pt", "psanet50.pth"):
        torch.save({"weight": torch.zeros(1)}, tmp_path / name)
    words = ["--model", "psanet50.pth", "--classes", "ade20k", "--model", "net.py:build", "--weights", "w.pt"]
    words += ["--classes", "road, sky", "--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--size", "64,96", "--fit", "pad"]
    words += [
        "--layers",
        "a.*,b",
        "--assume",
        "passes=1",
        "--assume",
        "mask=59,57",
        "--model",
        "timm:vit_tiny_patch16_224",
        "--name",
        "vit",
        "--title",
        "ViT",
        "--find-windows",
    ]
    first, second, third = read_models(list_models(parse(*words)), "text", Path("/"))
    assert (first.name, first.source, first.classes) == ("psanet50", str(tmp_path / "psanet50.pth"), "ade20k")
    assert (second.weights, second.classes, second.size) == (str(tmp_path / "w.pt"), ("road", "sky"), (64, 96))
    assert (second.mean, second.fit, second.layers) == ((0.5, 0.5, 0.5), "pad", ("a.*", "b"))
    assert second.assume == (("passes", 1), ("mask", (59, 57)))
    assert (third.name, third.title, third.source) == ("vit", "ViT", "timm:vit_tiny_patch16_224")
    assert third.find_windows and not second.find_windows


def test_the_command_line_adds_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models.toml").write_text("[[model]]\nsource = 'timm:vit'\n")
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))
    text = list_models([{"source": "timm:vit"}])
    assert [one.name for one in read_models(text, "text", Path("/"))] == ["vit", "vit-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "w.pt"], "--weights belongs to a --model"),
        (["--model", "a", "--size", "1,2", "--size", "1,2"], "--size is given twice for --model a"),
        (["--model", "a", "--mean", "1,2"], "'1,2' is not three numbers"),
        (["--find-windows", "--model", "a"], "--find-windows belongs to a --model"),
        (["--model", "a", "--size", "512"], "'512' is not a size"),
        (["--model", "a", "--assume", "passes"], "'passes' is not NAME=VALUE; write for example passes=1"),
        (["--model", "a", "--classes", "a,,b"], "'a,,b' has an empty name"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(*words)
    assert said in capsys.readouterr().err


def test_a_file_that_is_typed_wrong_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"--model net\.py:build: .*net\.py does not exist; give a file"):
        list_models([{"source": "net.py:build"}])
    with pytest.raises(UsageError, match=r"--model timm:vit: .*w\.pt does not exist; check the path$"):
        list_models([{"source": "timm:vit", "weights": "w.pt"}])
    with pytest.raises(UsageError, match=r"--model net\.py: net\.py is Python code; write net\.py:FUNCTION"):
        list_models([{"source": "net.py"}])


WEIGHTS = {"weight": torch.arange(4000.0)}
UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (Path.touch, "is neither a PyTorch checkpoint nor a safetensors file; copy or download it again"),
    "a page": (lambda path: path.write_text("<!DOCTYPE html>"), "is neither a PyTorch checkpoint nor a safetensors"),
    "a pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "git lfs pull"),
    "a ZIP": (lambda path: zip_of(path, "a/b"), "a ZIP without a checkpoint"),
    "a script": (lambda path: zip_of(path, "a/data.pkl", "a/constants.pkl"), "is a TorchScript archive"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1}, 2)), "is a Python pickle, and not PyTorch's"),
    "a folder": (Path.mkdir, "is not a file but a folder"),
    "cut off": (lambda path: cut(path, torch.save), r"not a whole PyTorch checkpoint .*copy it again"),
    "safetensors, cut off": (lambda path: cut(path, save_file), r"its header says 16,\d\d\d\); copy it again"),
}


def zip_of(path: Path, *members: str) -> None:
    """A ZIP with empty members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, b"")


def cut(path: Path, save: Callable[[dict[str, torch.Tensor], Path], object]) -> None:
    """A file of weights without its last bytes, as a broken download leaves it."""
    save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", UNUSABLE)
def test_weights_that_show_at_once_that_they_are_none_stop_the_start(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, said = UNUSABLE[name]
    make(tmp_path / "w.pt")
    monkeypatch.setattr("segviz.cli.main.serve", lambda *_: pytest.fail("the app was started"))
    assert main(["app", "--model", "timm:vit", "--weights", str(tmp_path / "w.pt")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"segviz: --model timm:vit: {tmp_path / 'w.pt'} ") and told.count("\n") == 1
    assert re.search(said, told)
    if name != "a folder":  # published weights are the source themselves
        with pytest.raises(UsageError, match=said):
            list_models([{"source": str(tmp_path / "w.pt")}])


SAVE: dict[str, Callable[[Path], object]] = {
    "PyTorch": lambda path: torch.save(WEIGHTS, path),
    "safetensors": lambda path: save_file(WEIGHTS, path),
    "a stranger's": lambda path: torch.save({"state_dict": WEIGHTS, "args": argparse.Namespace(a=1)}, path),
    **{
        f"before 1.6, protocol {one}": partial(
            torch.save, WEIGHTS, _use_new_zipfile_serialization=False, pickle_protocol=one
        )
        for one in (2, 3, 4)
    },
}


@pytest.mark.parametrize("name", SAVE)
def test_whole_weights_of_any_kind_start(name: str, tmp_path: Path) -> None:
    SAVE[name](tmp_path / "w.pt")
    check_weights_file(tmp_path / "w.pt")
    assert read_weights(tmp_path / "w.pt").tensors.keys() == {"weight"}


def test_a_bad_models_file_stops_the_start_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "none.toml"))
    assert main(["app"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_network_of_the_models_file_that_cannot_be_opened_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(tmp_path / "w.pt", torch.save)
    rows = ["name = 'cut'\nsource = 'timm:vit'\nweights = 'w.pt'", "name = 'gone'\nsource = 'net.py:build'"]
    (tmp_path / "models.toml").write_text("\n".join(f"[[model]]\n{row}" for row in [*rows, "source = 'timm:vit'"]))
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))
    monkeypatch.setattr("segviz.cli.main.serve", lambda *_: 0)
    monkeypatch.setattr("segviz.cli.main.check_port", lambda *_: None)
    assert main(["app"]) == 0
    cut_, gone = capsys.readouterr().err.splitlines()
    assert re.match(r"segviz: cut cannot be opened: .*w\.pt is not a whole PyTorch checkpoint .*copy it again", cut_)
    assert re.match(r"segviz: gone cannot be opened: .*net\.py does not exist; give a file", gone)


def test_the_setting_is_a_path_or_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGVIZ_MODELS", "[[model]]\nsource = 'timm:vit'")
    assert list(own_models()) == ["vit"]
    assert app_environment()["SEGVIZ_MODELS"].startswith("[[")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGVIZ_MODELS", "models.toml")
    assert app_environment()["SEGVIZ_MODELS"] == str(tmp_path / "models.toml")


def test_an_entrys_identity_changes_with_its_files(tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    entry = CatalogueEntry("vit", "ViT", "timm:vit", str(weights))
    with pytest.raises(CatalogueError, match=r"w\.pt is missing; correct the source or the weights of 'vit'"):
        entry_identity(entry)
    weights.write_bytes(b"one")
    first = entry_identity(entry)
    weights.write_bytes(b"two")
    os.utime(weights, (1, 1))
    assert first != entry_identity(entry) == entry_identity(entry)
    assert entry_identity(entry) != entry_identity(CatalogueEntry("vit", "other", "timm:vit", str(weights)))


def test_a_parser_without_models_has_none() -> None:
    assert isinstance(build_parser().parse_args(["app"]), argparse.Namespace)
    assert build_parser().parse_args(["app"]).own_models is None
