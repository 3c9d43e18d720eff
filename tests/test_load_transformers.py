"""`segviz.load("hf:FOLDER")`: networks of transformers that were saved to a folder, and what their files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from watch_cases import IMAGE

import segviz
from segviz.catalogue.sources.opened_network import OpenError
from segviz.data.class_sets import CLASS_SETS
from segviz.watch.network_predictor import NetworkPredictor

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
pytestmark = [
    pytest.mark.slow,  # transformers takes seconds to import
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def save_segformer(folder: Path, names: tuple[str, ...] = ("road", "sky", "car"), **processor: Any) -> Path:
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 2], decoder_hidden_size=8,
        id2label=dict(enumerate(names)),
    )  # fmt: skip
    transformers.SegformerForSemanticSegmentation(config).eval().save_pretrained(folder)
    if processor:
        settings = {"image_processor_type": "SegformerImageProcessor", **processor}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def test_a_misspelt_folder_is_told_in_whole_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"We could not connect to the hub. Check your connection. See {'x' * 200}"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(said)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    told = "opened, and there is no such folder here \\(We could .* Check your connection\\); name a folder"
    with pytest.raises(OpenError, match=told):
        segviz.load("hf:nofolder", "cpu")


@pytest.mark.parametrize("form", ["hf:{}", "{}"])
def test_a_folder_has_network_classes_and_normalisation(form: str, tmp_path: Path) -> None:
    folder = save_segformer(tmp_path / "net", image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.2, 0.1])
    predictor = segviz.load(form.format(folder), "cpu")
    assert isinstance(predictor, NetworkPredictor) and not predictor.notes
    view = predictor(IMAGE, layers="*")
    assert len(view.maps) == 4 and "of its image processor" in repr(view) and view.network == "hf:net"
    assert predictor.rules.mean == pytest.approx((0.5, 0.4, 0.3)) and predictor.rules.std == pytest.approx(
        (0.2, 0.2, 0.1)
    )
    assert view.prediction is not None and view.prediction.class_set.names == ("road", "sky", "car")


def test_names_of_a_known_data_set_bring_its_colours(tmp_path: Path) -> None:
    folder = save_segformer(tmp_path / "net", CLASS_SETS["cityscapes"].names)
    view = segviz.load(f"hf:{folder}", "cpu")(IMAGE)
    assert view.prediction is not None and view.prediction.class_set.palette == CLASS_SETS["cityscapes"].palette


@pytest.mark.parametrize(
    ("settings", "mean", "std", "bgr"),
    [
        ({"do_normalize": False}, 0.0, 1.0, False),
        ({"do_normalize": False, "do_rescale": False}, 0.0, 1 / 255, False),
        ({"image_mean": [1.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 1 / 127.5}, 0.5, 0.5, False),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_flip_channel_order": True}, 0.5, 0.5, True),
    ],
)
def test_the_processor_s_arithmetic_is_followed(
    settings: dict[str, Any], mean: float, std: float, bgr: bool, tmp_path: Path
) -> None:
    predictor = segviz.load(f"hf:{save_segformer(tmp_path / 'net', **settings)}", "cpu")
    assert isinstance(predictor, NetworkPredictor) and predictor.rules.bgr is bgr
    assert predictor.rules.mean == pytest.approx((mean,) * 3) and predictor.rules.std == pytest.approx((std,) * 3)


@pytest.mark.parametrize("kind", ["UperNet", "DPT", "Beit"])
def test_segmentation_networks_are_opened_from_their_folders(kind: str, tmp_path: Path) -> None:
    sides = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
    sides |= {"image_size": 64, "patch_size": 16}
    swin = transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    options: dict[str, Any] = {
        "UperNet": {"backbone_config": swin, "hidden_size": 8, "auxiliary_in_channels": 32, "auxiliary_channels": 8},
        "DPT": {
            **sides, "is_hybrid": False, "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8] * 4,
            "fusion_hidden_size": 8,
        },
        "Beit": {**sides, "out_indices": [1, 2, 3, 4], "use_auxiliary_head": False, "pool_scales": [1, 2]},
    }[kind]  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**options, id2label={0: "road", 1: "sky"})
    getattr(transformers, f"{kind}ForSemanticSegmentation")(config).eval().save_pretrained(tmp_path / "net")
    view = segviz.load(f"hf:{tmp_path / 'net'}", "cpu")(IMAGE, layers="*")
    assert len(view.maps) == 4 and not [row for row in view.layers if row.state == "passed over"]
    assert view.prediction is not None and view.prediction.class_set.names == ("road", "sky")
    assert view.prediction.labels.shape == IMAGE.shape[:2]


def test_a_backbone_without_classes_shows_attention(tmp_path: Path) -> None:
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.Dinov2Model(config).eval().save_pretrained(tmp_path / "dino")
    view = segviz.load(f"hf:{tmp_path / 'dino'}", "cpu")(IMAGE)
    (map_,) = view.maps.values()
    assert view.prediction is None and map_.grid == (5, 7)  # the picture's own size, in patches of 14


def test_weights_of_a_file_or_none(tmp_path: Path) -> None:
    folder = save_segformer(tmp_path / "net")
    net = transformers.SegformerForSemanticSegmentation.from_pretrained(folder)
    torch.save({name: value + 1 for name, value in net.state_dict().items()}, tmp_path / "w.pth")
    predictor = segviz.load(f"hf:{folder}", "cpu", weights=tmp_path / "w.pth")
    assert isinstance(predictor, NetworkPredictor)
    assert all(torch.equal(value + 1, predictor.network.state_dict()[name]) for name, value in net.state_dict().items())
    with pytest.warns(UserWarning, match="its weights are random"):
        segviz.load(f"hf:{folder}", "cpu", weights="random")


def test_missing_tensors_of_a_folder_are_told(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_segformer(tmp_path / "net")
    tensors = load_file(folder / "model.safetensors")
    del tensors["decode_head.classifier.bias"]
    save_file({**tensors, "aux.weight": torch.zeros(1)}, folder / "model.safetensors", {"format": "pt"})
    predictor = segviz.load(f"hf:{folder}", "cpu")
    assert isinstance(predictor, NetworkPredictor)
    assert "1 of the network's tensors are not in its file and are random" in predictor.notes[0]
    assert "decode_head.classifier.bias" in predictor.notes[0] and "aux.weight" in predictor.notes[1]


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OpenError, match=r"cannot be opened .*; name a folder with config\.json and weights"):
        segviz.load(f"hf:{tmp_path}")
