"""`segviz.watch` on networks of transformers with decoders, held to the weights that their own modules return."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from watch_cases import IMAGE, all_heads

import segviz
from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention
from segviz.watch.network_view import NetworkView
from segviz.watch.recipes.find_recipes import find_recipes

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
HEADS: dict[str, Any] = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "d_model": 32,
}


def swin(kind: str = "Swin", **options: Any) -> Any:
    stages = {"out_features": ["stage1", "stage2", "stage3", "stage4"], "depths": [2, 1, 1, 1], "num_heads": [2] * 4}
    given = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "window_size": 5, **stages, **options}
    return getattr(transformers, f"{kind}Config")(**given)


def resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8] * 4,
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


CROSSED = ("LwDetr", "RfDetr")  # call it cross attention
POINTS_ON_ONE_AXIS = ("DFine", "Deimv2")  # of all levels, which may have different numbers of them


def watch_and_hear(net: nn.Module, **options: Any) -> tuple[NetworkView, dict[str, Tensor]]:
    """The view of a network, and the weights that its modules returned beside their output, or dropped from."""
    heard: dict[str, Tensor] = {}

    def hear(path: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Tensor):
                heard[path] = output[1].detach()
            elif path.endswith(".dropout") and isinstance(output, Tensor):
                heard.setdefault(path.removesuffix(".dropout"), output.detach())

        return keep

    handles = [module.register_forward_hook(hear(path)) for path, module in net.named_modules()]
    view = segviz.watch(net, IMAGE, layers="*", **options)
    for handle in handles:
        handle.remove()
    return view, heard


def build(kind: str, config: Any) -> nn.Module:
    """A network whose modules return their weights."""
    torch.manual_seed(0)
    net: nn.Module = getattr(transformers, kind)._from_config(config, attn_implementation="eager").eval()
    for name, parameter in net.named_parameters():
        if parameter.dim() == 2 and not name.endswith("bias_table"):
            parameter.data *= 5  # weights that differ from place to place
    return net


def on_cells(map_: WindowedAttention, own: Tensor) -> Tensor:
    """Weights (windows, heads, tokens, tokens) as (heads, cells, cells)."""
    cells = map_.grid[0] * map_.grid[1]
    matrix = torch.zeros(own.shape[1], cells, cells)
    for places, weights in zip(map_.query_places, own, strict=True):
        inside = places >= 0
        matrix[:, places[inside][:, None], places[inside]] = weights[:, inside][:, :, inside]
    return matrix


def reasons(view: NetworkView) -> dict[str, str]:
    return {row.path: row.reason for row in view.layers if row.state == "passed over"}


def test_dpt() -> None:
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, num_labels=3,
        is_hybrid=False,
    )  # fmt: skip
    view, heard = watch_and_hear(build("DPTForSemanticSegmentation", config))
    assert view.prediction is not None and len(view.maps) == 4
    for path, map_ in view.maps.items():
        assert isinstance(map_, MultiHeadAttention) and (map_.grid, map_.prefix) == ((4, 4), 1)
        torch.testing.assert_close(all_heads(map_), heard[path][0, :, 1:, 1:], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["Swin", "Swinv2"])
def test_upernet_with_shifted_windows(kind: str) -> None:
    config = transformers.UperNetConfig(
        backbone_config=swin(kind), hidden_size=8, num_labels=3, auxiliary_in_channels=32, auxiliary_channels=8,
        pool_scales=[1, 2],
    )  # fmt: skip
    net = build("UperNetForSemanticSegmentation", config)
    for name, parameter in net.named_parameters():
        if name.endswith(("bias_table", "logit_scale")):
            parameter.data += torch.randn_like(parameter)
    view, heard = watch_and_hear(net)
    assert view.prediction is not None and view.prediction.class_set.names == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert [map_.grid for map_ in view.maps.values()] == [(16, 24), (16, 24), (8, 12), (4, 6), (2, 3)]
    for map_ in view.maps.values():
        assert isinstance(map_, WindowedAttention)
        own = heard[map_.name]
        own = own.reshape(-1, 2, *own.shape[-2:])
        torch.testing.assert_close(all_heads(map_), on_cells(map_, own), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["Swinv2", "Donut", "MaskFormer"])
def test_other_copies_of_swin(kind: str) -> None:
    from transformers.models.donut.modeling_donut_swin import DonutSwinModel
    from transformers.models.maskformer.configuration_maskformer_swin import MaskFormerSwinConfig
    from transformers.models.maskformer.modeling_maskformer_swin import MaskFormerSwinModel

    options = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 5}
    model, config = {
        "Swinv2": (transformers.Swinv2Model, transformers.Swinv2Config),
        "Donut": (DonutSwinModel, transformers.DonutSwinConfig),
        "MaskFormer": (MaskFormerSwinModel, MaskFormerSwinConfig),
    }[kind]
    net: nn.Module = model(config(**options)).eval()
    view, heard = watch_and_hear(net, size=(64, 64))
    whole, shifted = view.maps.values()
    for map_ in (whole, shifted):
        assert isinstance(map_, WindowedAttention) and map_.grid == (16, 16)
        torch.testing.assert_close(all_heads(map_), on_cells(map_, heard[map_.name]), rtol=1e-3, atol=1e-6)
    layer = net.encoder.layers[0].blocks[1]  # type: ignore[union-attr, index]
    from transformers.models.swin.modeling_swin import window_partition

    cells = layer.maybe_pad(torch.arange(1.0, 257).reshape(1, 16, 16, 1), 16, 16)[0]
    own = window_partition(torch.roll(cells, (-2, -2), (1, 2)), 5).reshape(-1, 25).long() - 1
    assert isinstance(shifted, WindowedAttention) and torch.equal(shifted.query_places, own)


def test_maskformer_s_decoder_looks_at_places() -> None:
    config = transformers.MaskFormerConfig(
        backbone_config=swin(), decoder_config=transformers.DetrConfig(**HEADS, num_queries=6),
        fpn_feature_size=32, mask_feature_size=32,
    )  # fmt: skip
    view, heard = watch_and_hear(build("MaskFormerModel", config))
    path = "transformer_module.decoder.layers.0.encoder_attn"
    map_ = view.maps[path]
    assert isinstance(map_, ObjectQueryAttention) and map_.grid == (2, 3)
    torch.testing.assert_close(map_.weights(), heard[path][0], rtol=1e-3, atol=1e-6)
    assert list(reasons(view).values()) == ["it relates object queries to each other, not to places"]


def test_oneformer_is_watched_with_its_task_given() -> None:
    config = transformers.OneFormerConfig(
        backbone_config=swin(), hidden_dim=32, conv_dim=32, mask_dim=32, num_attention_heads=2, encoder_layers=1,
        decoder_layers=4, query_dec_layers=1, dim_feedforward=16, encoder_feedforward_dim=16, num_queries=7,
        is_training=False, text_encoder_width=16, task_seq_len=7,
    )  # fmt: skip

    class Panoptic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = build("OneFormerModel", config)

        def forward(self, picture: Tensor) -> Any:
            return self.net(picture, torch.zeros(1, 7))

    net = Panoptic().eval()
    with pytest.raises(ValueError, match=r"needs more than a picture \(.*'task_inputs'.*a module that gives the rest"):
        segviz.watch(net.net, IMAGE)
    view, heard = watch_and_hear(net)
    crossed = {path: one for path, one in view.maps.items() if isinstance(one, ObjectQueryAttention)}
    assert [one.grid for one in crossed.values()][1:] == [(2, 3), (4, 6), (8, 12)]
    for path, map_ in crossed.items():
        torch.testing.assert_close(map_.weights().mean(0), heard[path][0], rtol=1e-3, atol=1e-6)
    assert not any("is no grid" in one or "declare it" in one for one in reasons(view).values())


def test_mask2former_s_decoder_has_the_weights_of_its_modules() -> None:
    config = transformers.Mask2FormerConfig(
        backbone_config=swin(), hidden_dim=32, feature_size=32, mask_feature_size=32, num_attention_heads=2,
        encoder_layers=1, decoder_layers=4, dim_feedforward=16, encoder_feedforward_dim=16, num_queries=5,
    )  # fmt: skip
    view, heard = watch_and_hear(build("Mask2FormerModel", config))
    crossed = {path: one for path, one in view.maps.items() if isinstance(one, ObjectQueryAttention)}
    assert [one.grid for one in crossed.values()] == [(2, 3), (4, 6), (8, 12)]
    for path, map_ in crossed.items():
        torch.testing.assert_close(map_.weights().mean(0), heard[path][0], rtol=1e-3, atol=1e-6)
    path = "pixel_level_module.decoder.encoder.layers.0.self_attn"
    levels = [view.maps[name] for name in (f"{path}:2x3", f"{path}:4x6", path)]
    assert [one.grid for one in levels] == [(2, 3), (4, 6), (8, 12)] and path not in reasons(view)
    own = heard[path][0].transpose(0, 1)  # (heads, queries, levels, points)
    for one, expected in zip(levels, own.split([6, 24, 96], 1), strict=True):
        assert isinstance(one, DeformableAttention) and one.key_grid == (8, 12)
        torch.testing.assert_close(one.weights, expected)


def test_eomt_s_queries_are_tokens_off_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.eomt import modeling_eomt

    monkeypatch.setattr(modeling_eomt, "requires_backends", lambda *needs: None)  # scipy, for its loss only
    config = transformers.EomtConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16, num_blocks=1,
        num_queries=9, num_upscale_blocks=1, num_labels=3, mlp_ratio=1,
    )  # fmt: skip
    view, heard = watch_and_hear(build("EomtForUniversalSegmentation", config))
    prefixes = []
    for path, map_ in view.maps.items():
        assert isinstance(map_, MultiHeadAttention) and map_.grid == (4, 4)
        prefixes.append(map_.prefix)
        own = heard[path][0, :, map_.prefix :, map_.prefix :]
        torch.testing.assert_close(all_heads(map_), own, rtol=1e-3, atol=1e-6)
        first = heard[path][0, :, 0, map_.prefix :].mean(0)
        torch.testing.assert_close(map_.prefix_attends_to(0).flatten(), first, rtol=1e-3, atol=1e-6)
    assert prefixes == [5, 5, 14]


def small_config(kind: str, **more: Any) -> Any:
    """A configuration of a network with deformable attention."""
    options: dict[str, Any] = {**HEADS, "backbone_config": resnet()}
    if kind in ("RTDetr", "RTDetrV2", "DFine", "Deimv2", "PPDocLayoutV2", "PPDocLayoutV4"):
        backbone = transformers.RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        options |= {"backbone_config": backbone, "encoder_hidden_dim": 32, "encoder_in_channels": [8] * 3}
        options |= {"feat_strides": [8, 16, 32], "decoder_in_channels": [32] * 3}
        if kind in POINTS_ON_ONE_AXIS:
            options |= {"decoder_n_points": [2, 3, 1]}
    elif kind in ("LwDetr", "RfDetr"):
        backbone = {
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 16,
            "mlp_ratio": 1,
        }  # fmt: skip
        options = {
            "d_model": 32, "decoder_layers": 1, "decoder_self_attention_heads": 2, "decoder_cross_attention_heads": 2,
            "decoder_ffn_dim": 16, "group_detr": 1,
        }  # fmt: skip
        if kind == "LwDetr":
            windows = {"window_block_indices": [0], "out_indices": [1], "num_windows": 4}
            options["backbone_config"] = transformers.LwDetrViTConfig(**backbone, **windows)
            options |= {"projector_in_channels": [16], "projector_scale_factors": [1.0], "projector_out_channels": 32}
        else:
            windows = {"out_indices": [1, 2], "num_windows": 1}
            options["backbone_config"] = transformers.RfDetrDinov2Config(**backbone, **windows)
    return getattr(transformers, f"{kind}Config")(**options, num_queries=6, num_labels=3, **more)  # 2 x 3 cells


@pytest.mark.parametrize(
    "kind",
    [
        "DeformableDetr", "RTDetr", "RTDetrV2", "DFine", "Deimv2", "LwDetr", "RfDetr", "PPDocLayoutV2",
        "PPDocLayoutV4",
    ],
)  # fmt: skip
def test_deformable_attention_samples_from_all_levels(kind: str) -> None:
    name = f"{kind}Model" if hasattr(transformers, f"{kind}Model") else f"{kind}ForObjectDetection"
    view, heard = watch_and_hear(build(name, small_config(kind)))
    why = reasons(view)
    assert why["decoder.layers.0.self_attn"] == "it relates object queries to each other, not to places"
    path = f"decoder.layers.0.{'cross' if kind in CROSSED else 'encoder'}_attn"
    map_ = view.maps[path]
    assert isinstance(map_, DeformableQueries) and map_.query_count == 6
    own = heard[path].reshape(6, 2, -1).transpose(0, 1)
    if kind in POINTS_ON_ONE_AXIS:  # 2, 3 and 1 points on its levels
        assert map_.weights.shape == (2, 6, 3, 3)
        filled = [one.flatten(2) for one in map_.weights.split([1, 1, 1], 2)]
        torch.testing.assert_close(torch.cat([filled[0][..., :2], filled[1], filled[2][..., :1]], 2), own)
        assert not filled[0][..., 2].any() and not filled[2][..., 1:].any()
        assert len(map_.points(4, head=1)[1]) == 6
    else:
        torch.testing.assert_close(map_.weights.flatten(2), own)
    if kind == "DeformableDetr":
        encoder = view.maps["encoder.layers.0.self_attn"]
        assert isinstance(encoder, DeformableAttention) and encoder.grid == encoder.key_grid == (8, 12)
        assert set(view.maps) >= {f"encoder.layers.0.self_attn:{size}" for size in ("4x6", "2x3", "1x2")}


def test_deformable_attention_that_rounds_its_positions_is_not_shown() -> None:
    view, _ = watch_and_hear(build("RTDetrV2Model", small_config("RTDetrV2", decoder_method="discrete")))
    assert "its factors differ from what the call returned by" in reasons(view)["decoder.layers.0.encoder_attn"]


@pytest.mark.parametrize("kind", ["TableTransformer", "ConditionalDetr", "DabDetr"])
def test_further_kinds_of_detr(kind: str) -> None:
    options: dict[str, Any] = {**HEADS, "backbone_config": resnet(), "num_queries": 6}  # as many as 2 x 3 cells
    if kind == "TableTransformer":
        options |= {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    if kind == "DabDetr":
        options["hidden_size"] = options.pop("d_model")
    net, seen = build(f"{kind}Model", getattr(transformers, f"{kind}Config")(**options)), []
    handle = net.register_forward_pre_hook(lambda module, args, given: seen.append(given), with_kwargs=True)
    view = segviz.watch(net, IMAGE, layers="*")
    handle.remove()
    (map_,) = (one for path, one in view.maps.items() if path.startswith("decoder."))
    assert isinstance(map_, ObjectQueryAttention) and map_.grid == (2, 3)
    with torch.no_grad():
        own = net(**seen[-1], output_attentions=True).cross_attentions[0]
    torch.testing.assert_close(map_.weights(), own[0], rtol=1e-3, atol=1e-6)


def test_recipes_name_classes_that_exist() -> None:
    names = [name for recipe in find_recipes() for name in recipe.module_types]
    for name in [one for one in names if not one.startswith("*.")]:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(import_module(module), kind), nn.Module), name
    assert len(names) == len(set(names))
