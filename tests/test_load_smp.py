"""`segviz.load("smp:NAME")`: networks of segmentation-models-pytorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from watch_cases import IMAGE

import segviz
from segviz.catalogue.sources.opened_network import OpenError
from segviz.watch.network_predictor import NetworkPredictor

smp = pytest.importorskip(
    "segmentation_models_pytorch",
    reason="segmentation-models-pytorch is not installed: pip install segmentation-models-pytorch",
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]


def test_weights_of_a_file_tell_the_number_of_classes(tmp_path: Path) -> None:
    net = smp.create_model("manet", "resnet18", encoder_weights=None, classes=19)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    predictor = segviz.load("smp:manet:resnet18", "cpu", weights=tmp_path / "w.pth", classes="cityscapes")
    assert isinstance(predictor, NetworkPredictor)
    view = predictor(IMAGE)
    assert view.prediction is not None and view.prediction.class_set.names[0] == "road"
    state = net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in predictor.network.state_dict().items())


def test_a_saved_folder_is_opened(tmp_path: Path) -> None:
    smp.create_model("segformer", "mit_b0", encoder_weights=None, classes=3).save_pretrained(str(tmp_path / "net"))
    view = segviz.load(f"smp:{tmp_path / 'net'}", "cpu")(IMAGE)
    assert view.prediction is not None and len(view.prediction.class_set.names) == 3 and view.maps


def test_an_untrained_network_has_to_be_asked_for() -> None:
    with pytest.raises(OpenError, match="has no trained decoder; give a file of weights"):
        segviz.load("smp:manet")
    with pytest.raises(OpenError, match="'smp:nonet' cannot be built"):
        segviz.load("smp:nonet", weights="random")


@pytest.mark.parametrize(
    ("architecture", "encoder", "size", "maps", "reason"),
    [
        ("manet", "resnet18", None, 0, "its softmax is over all pairs of places at once"),
        ("pan", "resnet18", (256, 256), 0, ""),
        ("upernet", "resnet18", None, 0, ""),
        ("upernet", "mit_b0", None, 8, ""),
        ("dpt", "tu-vit_tiny_patch16_224", (224, 224), 12, ""),
    ],
)
def test_what_is_found_in_each_architecture(
    architecture: str, encoder: str, size: tuple[int, int] | None, maps: int, reason: str
) -> None:
    net = smp.create_model(architecture, encoder, encoder_weights=None, classes=3).eval()
    view = segviz.watch(net, IMAGE, layers="*", size=size)
    assert len(view.maps) == maps and view.prediction is not None and reason in repr(view)
    assert maps or reason or "no attention was found" in repr(view)
