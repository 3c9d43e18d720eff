"""`segviz.watch` on networks of transformers, from small configurations, held to their own weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from watch_cases import IMAGE, all_heads

import segviz
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 64,
    "patch_size": 16,
}


def eager(net: nn.Module) -> nn.Module:
    """A copy of a network that returns its weights."""
    copy = type(net)._from_config(net.config, attn_implementation="eager")
    copy.load_state_dict(net.state_dict())
    return copy.eval()


def own_weights(net: nn.Module, name: str = "attentions", **options: Any) -> tuple[Tensor, ...]:
    """The weights that the network itself returns for the picture as `segviz.watch` shows it."""
    batches: list[dict[str, Any]] = []
    handle = net.register_forward_pre_hook(lambda module, args, kwargs: batches.append(kwargs), with_kwargs=True)
    segviz.watch(net, IMAGE, **options)
    handle.remove()
    with torch.no_grad():
        weights: tuple[Tensor, ...] = eager(net)(**batches[-1], output_attentions=True)[name]
    return weights


@pytest.mark.parametrize(
    ("kind", "options", "prefix"),
    [
        ("Dinov2WithRegisters", {"num_register_tokens": 4}, 5),
        ("ViT", {}, 1),
        ("Beit", {"use_relative_position_bias": True}, 1),
    ],
)
def test_vision_transformers(kind: str, options: dict[str, Any], prefix: int) -> None:
    config = getattr(transformers, f"{kind}Config")(**SMALL, **options)
    net = getattr(transformers, f"{kind}Model")(config).eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    assert (map_.grid, map_.prefix) == ((4, 6), prefix)
    torch.testing.assert_close(all_heads(map_), own_weights(net)[0][0, :, prefix:, prefix:], rtol=1e-3, atol=1e-5)


def test_the_size_in_a_part_of_the_configuration_is_tried() -> None:
    vision = {**SMALL, "image_size": 32}
    config = transformers.CLIPConfig(vision_config=vision, text_config={**SMALL, "vocab_size": 10}, projection_dim=8)
    view = segviz.watch(transformers.CLIPForImageClassification(config).eval(), IMAGE)
    assert view.placement.seen == (32, 32) and view.layers[-1].state == "kept"


def test_segformer() -> None:
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 2],
        decoder_hidden_size=8,
        num_labels=3,
    )
    net = transformers.SegformerForSemanticSegmentation(config).eval()
    view = segviz.watch(net, IMAGE, layers="*")
    assert [(one.grid, one.key_grid) for one in view.maps.values()][:2] == [((16, 24), (2, 3)), ((8, 12), (2, 3))]
    for map_, own in zip(view.maps.values(), own_weights(net), strict=True):
        torch.testing.assert_close(all_heads(map_), own[0], rtol=1e-3, atol=1e-5)
    assert view.prediction is not None and view.prediction.class_set.names == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_swin() -> None:
    config = transformers.SwinConfig(image_size=64, patch_size=4, embed_dim=8, depths=[2], num_heads=[2], window_size=5)
    net = transformers.SwinModel(config).eval()
    view = segviz.watch(net, IMAGE, layers="*", size=(64, 64))
    shifted = list(view.maps.values())[1]
    assert isinstance(shifted, WindowedAttention) and shifted.shift == (2, 2) and shifted.grid == (16, 16)
    layer = net.encoder.layers[0].blocks[1]
    from transformers.models.swin.modeling_swin import window_partition

    cells = torch.arange(1.0, 257).reshape(1, 16, 16, 1)
    padded, _ = layer.maybe_pad(cells, 16, 16)
    own = window_partition(layer.cyclic_shift(padded), 5).reshape(-1, 25).long() - 1
    assert torch.equal(shifted.query_places, own)


def test_detr_s_object_queries() -> None:
    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 8, 8, 8],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage4"],
        ),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=6,  # as many as the grid has cells
    )
    net = transformers.DetrModel(config).eval()
    view = segviz.watch(net, IMAGE, layers="*")
    crossed = [one for one in view.maps.values() if isinstance(one, ObjectQueryAttention)]
    assert len(crossed) == 1 and crossed[0].grid == (2, 3)
    assert any("relates object queries" in one.reason for one in view.layers)
    torch.testing.assert_close(crossed[0].weights(), own_weights(net, "cross_attentions")[0][0], rtol=1e-3, atol=1e-5)


def test_segment_anything_s_encoder() -> None:
    config = transformers.SamVisionConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16, window_size=3,
        global_attn_indexes=[1], output_channels=8, mlp_dim=16,
    )  # fmt: skip
    net = transformers.models.sam.modeling_sam.SamVisionModel(config).eval()
    for name, parameter in net.named_parameters():
        if "rel_pos" in name:
            parameter.data.normal_()
    view = segviz.watch(net, IMAGE, layers="*", size=(64, 64))
    first, last = view.maps.values()
    assert isinstance(first, WindowedAttention) and first.window == (3, 3) and last.grid == (4, 4)
    windows, whole = own_weights(net, size=(64, 64))
    torch.testing.assert_close(all_heads(last), whole.reshape(2, 16, 16), rtol=1e-3, atol=1e-5)
    for places, own in zip(first.query_places, windows.reshape(-1, 2, 9, 9), strict=True):
        cells = places[places >= 0]
        found = all_heads(first)[:, cells[:, None], cells]
        torch.testing.assert_close(found, own[:, places >= 0][:, :, places >= 0], rtol=1e-3, atol=1e-5)


def small_encoder(name: str) -> nn.Module:
    """An encoder whose windows do not fit into its grids; the last of its layers, or none, is global."""
    models: Any = transformers.models
    config: Any
    if name == "sam2":
        config = transformers.Sam2HieraDetConfig(
            hidden_size=8, image_size=[64, 64], blocks_per_stage=[1, 2, 1, 1], embed_dim_per_stage=[8, 16, 24, 32],
            num_attention_heads_per_stage=[1, 2, 2, 2], window_size_per_stage=[8, 6, 4, 2], global_attention_blocks=[],
            window_positional_embedding_background_size=[4, 4],
        )  # fmt: skip
        return models.sam2.modeling_sam2.Sam2HieraDetModel(config).eval()  # type: ignore[no-any-return]
    if name == "sam_hq":
        config = transformers.SamHQVisionConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8, window_size=3,
            global_attn_indexes=[1], output_channels=8, mlp_dim=16,
        )  # fmt: skip
        return models.sam_hq.modeling_sam_hq.SamHQVisionModel(config).eval()  # type: ignore[no-any-return]
    if name == "sam3":
        config = models.sam3.configuration_sam3.Sam3ViTConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64,
            patch_size=8, window_size=3, global_attn_indexes=[1], pretrain_image_size=64,
        )  # fmt: skip
        return models.sam3.modeling_sam3.Sam3ViTModel(config).eval()  # type: ignore[no-any-return]
    config = transformers.VitDetConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, pretrain_image_size=64,
        patch_size=8, window_size=9, window_block_indices=[0],
    )  # fmt: skip
    return transformers.VitDetModel(config).eval()


@pytest.mark.parametrize("name", ["sam2", "sam_hq", "sam3", "vitdet"])
def test_windows_that_are_padded(name: str) -> None:
    net = small_encoder(name)
    kinds = ("Sam2MultiScaleBlock", "SamHQVisionLayer", "Sam3ViTLayer", "VitDetLayer")
    layers: list[Any] = [one for one in net.modules() if type(one).__name__ in kinds]
    maps = segviz.watch(net, IMAGE, layers="*", size=(64, 64)).maps.values()
    assert len(maps) == len(layers) == (5 if name == "sam2" else 2)
    module: Any = __import__(type(layers[0]).__module__, fromlist=["x"])
    side = 16 if name == "sam2" else 8
    for map_, layer in zip(maps, layers, strict=True):
        assert map_.key_grid == (side, side)
        window, pooled = layer.window_size, 2 if getattr(layer, "query_stride", None) else 1
        if window == 0:
            assert not isinstance(map_, WindowedAttention)
            continue
        assert isinstance(map_, WindowedAttention)
        for places, cells, size in (
            (map_.key_places, side, window), (map_.query_places, side // pooled, window // pooled),
        ):  # fmt: skip
            numbers = torch.arange(1.0, cells**2 + 1).reshape(1, cells, cells, 1)
            cut = layer.window_partition if name == "sam_hq" else module.window_partition
            assert torch.equal(places, cut(numbers, size)[0].reshape(-1, size * size).long() - 1)
        side //= pooled
