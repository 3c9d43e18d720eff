"""`segviz.load` on networks that are not segviz's own: what it opens, what it knows of them, and what it refuses."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from own_networks import patch_network
from torch import nn
from watch_cases import IMAGE

import segviz
from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.sources.opened_network import UNTRAINED, OpenError
from segviz.data.class_sets import CLASS_SETS, find_class_set, give_colours
from segviz.prediction.predictor import Predictor
from segviz.watch.network_predictor import NetworkPredictor

BUILDERS = """
import torch
import helper_of_net

def build():
    torch.manual_seed(helper_of_net.SEED)
    return Net()

def tell():
    return "no network"

def fail():
    raise RuntimeError("out of luck")

def needy(width):
    return Net()

ready = Net()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's own file, which imports another one beside it."""
    place = tmp_path_factory.mktemp("own")
    (place / "helper_of_net.py").write_text("SEED = 3\n")
    (place / "net.py").write_text(patch_network(("attention",), 3, BUILDERS))
    shutil.copy(place / "net.py", place / "net_to_import.py")
    (place / "broken.py").write_text("import no_such_library\n")
    return place


@pytest.fixture(scope="module")
def own(folder: Path) -> NetworkPredictor:
    predictor = segviz.load(f"{folder}/net.py:build", "cpu")
    assert isinstance(predictor, NetworkPredictor)
    return predictor


# ---- what is opened ---------------------------------------------------------------------------------------


def test_a_function_of_a_file_builds_the_network(own: NetworkPredictor, folder: Path) -> None:
    view = own(IMAGE)
    assert list(view.maps) == ["attention"] and view.maps["attention"].grid == (8, 12)
    assert view.prediction is not None and view.prediction.labels.shape == IMAGE.shape[:2]
    assert view.prediction.class_set.names == ("class 0", "class 1", "class 2") and view.network == "net.py:build"
    assert str(folder) not in sys.path and not own.network.training


def test_a_function_of_a_module_builds_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    assert segviz.load("net_to_import:build", "cpu")(IMAGE).maps
    assert segviz.load("net_to_import:Net", "cpu")(IMAGE).maps
    assert segviz.load("net_to_import:ready", "cpu")(IMAGE).maps


def test_a_live_module_is_taken_as_it_is(own: NetworkPredictor) -> None:
    predictor = segviz.load(own.network, classes=["a", "b", "c"], palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    view = predictor(IMAGE)
    assert predictor.network is own.network and view.prediction is not None
    assert view.prediction.class_set.palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    with pytest.raises(ValueError, match="3 classes, but names or colours of 1 were given; give one for each"):
        segviz.load(own.network, palette=[(1, 2, 3)])(IMAGE)
    with pytest.raises(ValueError, match="3 classes, but names or colours of 2 were given; give one for each"):
        segviz.load(own.network, classes=["a", "b"])(IMAGE)
    with pytest.raises(ValueError, match="training mode"):
        segviz.load(nn.Conv2d(3, 2, 1))


@pytest.mark.parametrize("form", ["safetensors", "pth", "wrapped", "prefixed"])
def test_weights_are_put_into_the_network(form: str, own: NetworkPredictor, folder: Path, tmp_path: Path) -> None:
    state = {name: value * 2 for name, value in own.network.state_dict().items()}
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        prefix = {"pth": "", "wrapped": "module.", "prefixed": "model."}[form]
        torch.save({"state_dict": {f"{prefix}{name}": value for name, value in state.items()}, "epoch": 3}, path)
    predictor = segviz.load(f"{folder}/net.py:build", "cpu", weights=path)
    assert isinstance(predictor, NetworkPredictor) and not predictor.notes
    assert all(torch.equal(value, state[name]) for name, value in predictor.network.state_dict().items())


def test_threads_may_call_it_at_once(own: NetworkPredictor) -> None:
    pictures = [np.roll(IMAGE, step, 1) for step in (0, 16, 32, 48)]
    alone = [own(one) for one in pictures]
    views: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n, one=one: views.update({n: own(one)})) for n, one in enumerate(pictures)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, view in enumerate(alone):
        assert torch.equal(views[number].maps["attention"].attends_to(2, 3), view.maps["attention"].attends_to(2, 3))


def test_timm_s_networks_bring_their_normalisation() -> None:
    with pytest.warns(UserWarning, match="weights are random"):
        predictor = segviz.load("timm:vit_tiny_patch16_224", "cpu", weights="random")
    view = predictor(IMAGE)
    (map_,) = view.maps.values()
    assert map_.grid == (4, 6) and view.prediction is None  # of any size, and without classes of pixels
    assert "of its timm configuration" in repr(view) and UNTRAINED in repr(view)


def test_timm_s_weights_tell_the_number_of_classes(tmp_path: Path) -> None:
    options = {"embed_dim": 192, "num_classes": 5}
    net = timm.create_model("vit_tiny_patch16_224", num_classes=5)
    assert options["num_classes"] == 5
    torch.save(net.state_dict(), tmp_path / "w.pth")
    predictor = segviz.load("timm:vit_tiny_patch16_224", "cpu", weights=tmp_path / "w.pth")
    assert isinstance(predictor, NetworkPredictor)
    assert torch.equal(predictor.network.state_dict()["head.weight"], net.state_dict()["head.weight"])


@pytest.mark.filterwarnings("ignore:.*weights are random")
def test_torchvision_s_networks_bring_classes_and_normalisation() -> None:
    view = segviz.load("torchvision:lraspp_mobilenet_v3_large", "cpu", weights="random")(IMAGE)
    assert view.prediction is not None and "of torchvision's weights" in repr(view)
    assert view.prediction.class_set.names[1] == "aeroplane"
    assert view.prediction.class_set.palette == CLASS_SETS["voc"].palette


@pytest.mark.filterwarnings("ignore:.*weights are random")
def test_a_network_of_torchvision_that_takes_one_size_only_sees_the_picture_at_it() -> None:
    view = segviz.load("torchvision:maxvit_t", "cpu", weights="random")(IMAGE)
    assert view.placement.seen == (224, 224) and view.layers[-1].state == "kept"


def test_torchvision_s_weights_tell_the_number_of_classes(tmp_path: Path) -> None:
    net = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=19)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    source = "torchvision:lraspp_mobilenet_v3_large"
    predictor = segviz.load(source, "cpu", weights=tmp_path / "w.pth", classes="cityscapes")
    view = predictor(IMAGE)
    assert view.prediction is not None and view.prediction.class_set == CLASS_SETS["cityscapes"]


def test_classes_in_a_checkpoint_are_the_network_s(own: NetworkPredictor, folder: Path, tmp_path: Path) -> None:
    meta = {"CLASSES": ("sky", "road", "car"), "PALETTE": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}
    torch.save({"meta": meta, "state_dict": own.network.state_dict()}, tmp_path / "w.pth")
    view = segviz.load(f"{folder}/net.py:build", "cpu", weights=tmp_path / "w.pth")(IMAGE)
    assert view.prediction is not None and view.prediction.class_set.names == ("sky", "road", "car")
    assert view.prediction.class_set.palette[2] == (3, 3, 3)


def test_options_say_how_it_takes_pictures(own: NetworkPredictor) -> None:
    predictor = segviz.load(own.network, mean=(127.5,) * 3, std=(63.75,) * 3, size=(32, 64), fit="pad", layers="att*")
    view = predictor(IMAGE)
    assert view.placement.seen == (32, 64) and view.normalisation == "as given" and list(view.maps) == ["attention"]
    same = segviz.load(own.network, mean=(0.5,) * 3, std=(0.25,) * 3, size=(32, 64), fit="pad")(IMAGE)
    torch.testing.assert_close(same.maps["attention"].attends_to(1, 2), view.maps["attention"].attends_to(1, 2))


def test_own_models_are_still_predictors() -> None:
    assert isinstance(segviz.load("fcn", "cpu"), Predictor)


# ---- what is refused --------------------------------------------------------------------------------------


def missing(folder: Path) -> dict[str, Callable[[], object]]:
    return {
        r"there is no file .*gone\.py": lambda: segviz.load(f"{folder}/gone.py:build"),
        r"there is no 'gone' .* without arguments it has: Net, build, tell, fail, ready$": lambda: segviz.load(
            f"{folder}/net.py:gone"
        ),
        r"net\.py is Python code; write .*net\.py:FUNCTION, .*; it has Net, build, tell, fail, ready$": partial(
            segviz.load, f"{folder}/net.py"
        ),
        r"^\S*net\.py is Python code; write": lambda: segviz.load(folder / "net.py"),
        r"there is no file .*gone\.py; name the": lambda: segviz.load(f"{folder}/gone.py"),
        r"there is no file gone\.pth; check the path$": lambda: segviz.load(
            f"{folder}/net.py:build", weights="gone.pth"
        ),
        r"broken\.py fails as it is imported \(No module named 'no_such_library', line 1 of": lambda: segviz.load(
            f"{folder}/broken.py:build"
        ),
        r"returns a str; let it return the nn\.Module": lambda: segviz.load(f"{folder}/net.py:tell"),
        r"net\.py:fail' fails \(out of luck, line \d+ of net\.py\)": lambda: segviz.load(f"{folder}/net.py:fail"),
        r"needs the arguments width": lambda: segviz.load(f"{folder}/net.py:needy"),
        r"module 'no\.such' cannot be imported": lambda: segviz.load("no.such:build"),
        r"timm has no network 'vit_tini_patch16_224'; near are vit_tiny_patch16_224": lambda: segviz.load(
            "timm:vit_tini_patch16_224"
        ),
        r"torchvision has no network 'deeplab'": lambda: segviz.load("torchvision:deeplab"),
        r"neither a model, a checkpoint file nor a network; networks are net\.py": lambda: segviz.load("resnet"),
        r"there is no file gone\.pth": lambda: segviz.load("gone.pth"),
        r"class set 'mars' is unknown; use camvid, cityscapes": lambda: segviz.load(nn.ReLU().eval(), classes="mars"),
        r"std has 2 numbers; give one for each of R, G and B": lambda: segviz.watch(
            nn.ReLU().eval(), IMAGE, mean=(0, 0, 0), std=(1, 1)
        ),
        r"mean and std belong together": lambda: segviz.load(nn.ReLU().eval(), mean=(0, 0, 0)),
        r"find_windows would have no effect: 'fcn' is": lambda: segviz.load("fcn", find_windows=True),
        r"classes would have no effect: 'fcn' is a segviz checkpoint": lambda: segviz.load(
            "fcn", classes="cityscapes"
        ),
    }  # fmt: skip


@pytest.mark.parametrize("said", missing(Path()))
def test_refusals_are_one_sentence(said: str, folder: Path) -> None:
    with pytest.raises((OpenError, ValueError), match=said) as error:
        missing(folder)[said]()
    assert "\n" not in str(error.value)


def test_what_is_neither_text_nor_module_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a dict was given; load takes a name"):
        segviz.load({})  # type: ignore[call-overload]


def test_missing_and_unlike_tensors_are_counted_and_named(own: NetworkPredictor, folder: Path, tmp_path: Path) -> None:
    state = dict(own.network.state_dict())
    del state["head.weight"], state["head.bias"]
    state["stem.weight"] = torch.zeros(8, 3, 4, 4)
    torch.save({**state, "other": torch.zeros(1)}, tmp_path / "w.pth")
    said = (
        r"does not fit Net: it lacks 2 of 8 tensors: 'head.weight', 'head.bias'; 1 tensors have another shape: "
        r"'stem.weight' is \(8, 3, 4, 4\), expected \(8, 3, 8, 8\), and 1 of its tensors belong to nothing: 'other'"
    )
    with pytest.raises(CheckpointError, match=said):
        segviz.load(f"{folder}/net.py:build", weights=tmp_path / "w.pth")


def test_left_over_tensors_are_told(own: NetworkPredictor, folder: Path, tmp_path: Path) -> None:
    torch.save({**own.network.state_dict(), "aux.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"1 tensors of w\.pth belong to nothing in the network .*'aux\.weight'"):
        predictor = segviz.load(f"{folder}/net.py:build", "cpu", weights=tmp_path / "w.pth")
    assert "aux.weight" in repr(predictor) and "aux.weight" in repr(predictor(IMAGE))


def test_weights_alone_ask_for_their_network(own: NetworkPredictor, tmp_path: Path) -> None:
    torch.save(own.network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(OpenError, match=r"its 8 tensors are of no network that segviz knows: .*weights='w\.pth'"):
        segviz.load(tmp_path / "w.pth")


def test_a_pytorch_file_is_recognised_where_a_checkpoint_is_needed(tmp_path: Path) -> None:
    from segviz.catalogue.checkpoint_file import read_checkpoint

    for legacy in (False, True):
        torch.save({}, tmp_path / "psa.safetensors", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointError, match="is a PyTorch checkpoint, which has no segviz record; give its"):
            read_checkpoint(tmp_path / "psa.safetensors")


@pytest.mark.parametrize(("prefix", "module"), [("hf", "transformers"), ("smp", "segmentation_models_pytorch")])
def test_a_missing_library_is_named_with_its_command(prefix: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.catalogue.sources.opened_network.find_spec", lambda name: None)
    packages = {"hf": "transformers scipy", "smp": "segmentation-models-pytorch"}[prefix]
    with pytest.raises(OpenError, match=rf"'{prefix}:' needs {module}, .*`pip install {packages}`"):
        segviz.load(f"{prefix}:something")


# ---- class sets -------------------------------------------------------------------------------------------


def test_class_sets_have_the_data_sets_sizes() -> None:
    sizes = {name: len(one.names) for name, one in CLASS_SETS.items()}
    assert sizes == {"camvid": 11, "cityscapes": 19, "ade20k": 150, "voc": 21, "context": 60, "context59": 59}
    assert all(len(set(one.names)) == len(one.names) for one in CLASS_SETS.values())
    assert find_class_set("VOC").palette[1:4] == ((128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert find_class_set("voc").palette[20] == (0, 64, 128)
    assert find_class_set("cityscapes").palette[0] == (128, 64, 128)
    assert find_class_set("ade20k").palette[149] == (92, 0, 255)


def test_names_of_a_known_set_have_its_colours() -> None:
    names = [f"{name.title()}, as it is called" for name in CLASS_SETS["ade20k"].names]
    assert give_colours(names).palette == CLASS_SETS["ade20k"].palette and give_colours(names).names == tuple(names)
    assert give_colours(["wall", "floor"]).palette != CLASS_SETS["ade20k"].palette[:2]
