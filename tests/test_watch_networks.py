"""`segviz.watch` on timm's and torchvision's networks, from small configurations with random weights.

Each map is held to the network's own weights where it gives them, and else to its block: what the map's weights make of
the block's values must be what the block gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn
from watch_cases import IMAGE, all_heads

import segviz
from segviz.attention.head_map import HeadMap
from segviz.attention.linear import LinearAttention
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.windowed import WindowedAttention

SIZE = (64, 96)


def create(name: str, **options: Any) -> nn.Module:
    net: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    for parameter in net.parameters():
        if parameter.dim() == 1:  # biases and tables that begin at 0 would hide what they do
            parameter.data += torch.randn_like(parameter) * 0.2
        elif parameter.dim() == 2:
            parameter.data *= 3
    return net.eval()


def watch_and_listen(net: nn.Module, *listened: nn.Module, **options: Any) -> tuple[Any, list[Tensor], list[Tensor]]:
    """The view, and inputs and outputs of some modules in its forward."""
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}

    def hear(module: nn.Module, args: Any, output: Any) -> None:
        inputs[id(module)] = args[0].detach()
        outputs[id(module)] = output.detach() if isinstance(output, Tensor) else output[0].detach()

    handles = [module.register_forward_hook(hear) for module in listened]
    view = segviz.watch(net, IMAGE, layers="*", **{"size": SIZE, **options})
    for handle in handles:
        handle.remove()
    return view, [inputs[id(one)] for one in listened], [outputs[id(one)] for one in listened]


def outside_shares(map_: HeadMap) -> Tensor:
    cells = range(map_.grid[0] * map_.grid[1])
    return torch.stack([map_.head_prefix_shares(cell) for cell in cells], 1)[..., None]


def assert_mixes(map_: HeadMap, values: Tensor, expected: Tensor, project: nn.Module, outside: Tensor | None) -> None:
    """The map's weights of the values, projected, are what the block gave.

    `values` are (heads, key cells, dim), `expected` (cells, channels); `outside` is the value of padding, (heads, dim).
    """
    mixed = all_heads(map_) @ values
    if outside is not None:
        mixed = mixed + outside_shares(map_) * outside[:, None]
    found = project(mixed.transpose(0, 1).flatten(1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def values_of(qkv: nn.Linear, heads: int, x: Tensor) -> Tensor:
    """The last third of a projection of (..., cells, channels), as (heads, cells, dim)."""
    values = F.linear(x.reshape(-1, x.shape[-1]), qkv.weight, qkv.bias).chunk(3, 1)[2]
    return values.unflatten(1, (heads, -1)).transpose(0, 1)


# ---- dense attention: held to the weights of the same network without fused kernels -----------------------


@pytest.mark.parametrize(
    ("name", "options", "prefix", "grid"),
    [
        ("vit_tiny_patch16_224", {"embed_dim": 24, "num_heads": 2}, 1, (4, 6)),
        ("deit3_small_patch16_224", {"embed_dim": 24, "num_heads": 2}, 1, (4, 6)),
        ("vit_small_patch14_reg4_dinov2", {"embed_dim": 24, "num_heads": 2, "patch_size": 16}, 5, (4, 6)),
        ("vit_small_patch16_dinov3", {"embed_dim": 24, "num_heads": 2}, 5, (4, 6)),
        ("eva02_tiny_patch14_224", {"embed_dim": 24, "num_heads": 2, "patch_size": 16}, 1, (4, 6)),
        ("beit_base_patch16_224", {"embed_dim": 24, "num_heads": 2}, 1, (4, 6)),
    ],
)
@torch.no_grad()
def test_vision_transformers(name: str, options: dict[str, Any], prefix: int, grid: tuple[int, int]) -> None:
    net = create(name, depth=1, img_size=SIZE, **options)
    fused = segviz.watch(net, IMAGE, size=SIZE).maps["blocks.0.attn"]
    attention = net.blocks[0].attn
    attention.fused_attn = False
    view, (weights,), _ = watch_and_listen(net, attention.attn_drop)
    eager = view.maps["blocks.0.attn"]
    for map_ in (fused, eager):
        assert isinstance(map_, MultiHeadAttention)
        assert (map_.grid, map_.prefix, map_.key_prefix, map_.heads) == (grid, prefix, prefix, 2)
        torch.testing.assert_close(all_heads(map_), weights[0, :, prefix:, prefix:], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(outside_shares(map_)[..., 0], weights[0, :, prefix:, :prefix].sum(2))


@torch.no_grad()
def test_pyramids_have_keys_on_coarser_grids() -> None:
    net = create("pvt_v2_b0", depths=(1, 1, 1, 1), embed_dims=(8, 8, 8, 8), num_heads=(1, 2, 2, 2))
    for stage in net.stages:
        stage.blocks[0].attn.fused_attn = False
    view, weights, _ = watch_and_listen(net, *(stage.blocks[0].attn.attn_drop for stage in net.stages))
    grids = [(map_.grid, map_.key_grid) for map_ in view.maps.values()]
    assert grids == [((16, 24), (2, 3)), ((8, 12), (2, 3)), ((4, 6), (2, 3)), ((2, 3), (2, 3))]
    for map_, own in zip(view.maps.values(), weights, strict=True):
        torch.testing.assert_close(all_heads(map_), own[0], rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_torchvision_s_vision_transformer() -> None:
    net = torchvision.models.VisionTransformer(64, 16, 1, 2, 24, 24).eval()
    attention = net.encoder.layers[0].self_attention
    view, (x,), _ = watch_and_listen(net, attention, size=None)  # it takes 64 x 64 only, as is found out
    map_ = view.maps["encoder.layers.encoder_layer_0.self_attention"]
    assert view.placement.seen == (64, 64) and map_.grid == (4, 4)
    _, own = attention(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(all_heads(map_), own[0, :, 1:, 1:], rtol=1e-3, atol=1e-6)


# ---- windows: held to what the block gives ----------------------------------------------------------------


@pytest.mark.parametrize("window", [4, 5], ids=["whole windows", "padded"])
@torch.no_grad()
def test_timm_s_swin(window: int) -> None:
    options = {"embed_dim": 8, "depths": (2, 1), "num_heads": (2, 2), "window_size": window, "img_size": SIZE}
    net = create("swin_tiny_patch4_window7_224", **options, always_partition=True)
    blocks = [*net.layers[0].blocks, *net.layers[1].blocks]
    view, _, inputs = watch_and_listen(net, *(block.norm1 for block in blocks))
    assert [map_.shift for map_ in view.maps.values()][:2] == [(0, 0), (window // 2, window // 2)]
    for map_, block, x in zip(view.maps.values(), blocks, inputs, strict=True):
        attention = block.attn
        outside = attention.qkv.bias.chunk(3)[2].unflatten(0, (2, -1))
        values = values_of(attention.qkv, 2, x)
        assert_mixes(map_, values, block._attn(x)[0].flatten(0, 1), attention.proj, outside)
    assert isinstance(map_, WindowedAttention)


@torch.no_grad()
def test_timm_s_swin_v2() -> None:
    options = {"embed_dim": 8, "depths": (2, 1), "num_heads": (2, 2), "window_size": 5, "img_size": SIZE}
    net = create("swinv2_tiny_window8_256", **options, always_partition=True)
    blocks = [*net.layers[0].blocks, *net.layers[1].blocks]
    view, inputs, _ = watch_and_listen(net, *blocks)
    assert [map_.shift for map_ in view.maps.values()][:2] == [(0, 0), (2, 2)]
    for map_, block, x in zip(view.maps.values(), blocks, inputs, strict=True):
        attention = block.attn
        values = F.linear(x.flatten(0, 2), attention.qkv.weight).chunk(3, 1)[2] + attention.v_bias
        outside = attention.v_bias.unflatten(0, (2, -1))
        values = values.unflatten(1, (2, -1)).transpose(0, 1)
        assert_mixes(map_, values, block._attn(x)[0].flatten(0, 1), attention.proj, outside)


@pytest.mark.parametrize("version", ["", "V2"])
@torch.no_grad()
def test_torchvision_s_swin(version: str) -> None:
    swin = torchvision.models.swin_transformer
    parts = {"block": getattr(swin, f"SwinTransformerBlock{version}")}
    parts["downsample_layer"] = getattr(swin, f"PatchMerging{version}")
    net = swin.SwinTransformer([4, 4], 8, [2, 1], [2, 2], [5, 5], **parts).eval()
    attentions = [net.features[1][0].attn, net.features[1][1].attn, net.features[3][0].attn]
    for one in attentions:
        if not version:
            one.relative_position_bias_table.data.normal_()
        one.qkv.bias.data.normal_()
    view, inputs, outputs = watch_and_listen(net, *attentions)
    for map_, one, x, out in zip(view.maps.values(), attentions, inputs, outputs, strict=True):
        outside = one.qkv.bias.chunk(3)[2].unflatten(0, (2, -1))
        assert_mixes(map_, values_of(one.qkv, 2, x), out[0].flatten(0, 1), one.proj, outside)


@torch.no_grad()
def test_segment_anything_s_encoder_mixes_windows_and_global_blocks() -> None:
    options = {"embed_dim": 8, "depth": 2, "num_heads": 2, "window_size": 3, "global_attn_indexes": (1,)}
    net = create("samvit_base_patch16_224", img_size=SIZE, **options)
    for block in net.blocks:
        block.attn.rel_pos_h.data.normal_()
        block.attn.rel_pos_w.data.normal_()
    view, _, outputs = watch_and_listen(net, *(block.norm1 for block in net.blocks))
    first, last = view.maps.values()
    assert isinstance(first, WindowedAttention) and isinstance(last, MultiHeadAttention) and last.bias is None
    from timm.models.vision_transformer_sam import window_partition, window_unpartition

    for map_, block, x in zip((first, last), net.blocks, outputs, strict=True):
        if block.window_size:
            windows, padded = window_partition(x, block.window_size)
            expected = window_unpartition(block.attn(windows), block.window_size, (4, 6), padded)
        else:
            expected = block.attn(x)
        outside = block.attn.qkv.bias.chunk(3)[2].unflatten(0, (2, -1))
        values = values_of(block.attn.qkv, 2, x)
        assert_mixes(map_, values, expected[0].flatten(0, 1), block.attn.proj, outside if block.window_size else None)


def within_windows(x: Tensor, window: int, attend: Callable[[Tensor], Tensor], pooled: int = 1) -> Tensor:
    """What a function of windows (windows, side, side, channels) gives on (1, rows, columns, channels), as cells."""
    _, rows, columns, _ = x.shape
    padded = F.pad(x, (0, 0, 0, -columns % window, 0, -rows % window))
    high, wide = padded.shape[1] // window, padded.shape[2] // window
    windows = padded.reshape(high, window, wide, window, -1).transpose(1, 2).flatten(0, 1)
    side = window // pooled
    out = attend(windows).reshape(high, wide, side, side, -1).transpose(1, 2)
    return out.reshape(high * side, wide * side, -1)[: rows // pooled, : columns // pooled].flatten(0, 1)


@torch.no_grad()
def test_segment_anything_2_pools_queries_within_padded_windows() -> None:
    options = {"embed_dim": 8, "num_heads": 2, "stages": (1, 2, 1, 1), "window_spec": (8, 6, 4, 2)}
    net = create("sam2_hiera_tiny", **options, global_att_blocks=())
    view, _, inputs = watch_and_listen(net, *(block.norm1 for block in net.blocks))
    grids = [(map_.grid, map_.key_grid) for map_ in view.maps.values()]
    assert grids[1:4] == [((8, 12), (16, 24)), ((8, 12), (8, 12)), ((4, 6), (8, 12))]
    for map_, block, x in zip(view.maps.values(), net.blocks, inputs, strict=True):
        assert isinstance(map_, WindowedAttention)
        attention, heads = block.attn, block.attn.num_heads
        expected = within_windows(x, block.window_size[0], attention, 2 if block.q_stride else 1)
        outside = attention.qkv.bias.chunk(3)[2].unflatten(0, (heads, -1))
        assert_mixes(map_, values_of(attention.qkv, heads, x), expected, attention.proj, outside)


@torch.no_grad()
def test_tiny_vit_s_windows_may_be_larger_than_the_grid() -> None:
    options = {"embed_dims": (8, 8, 8, 8), "depths": (1, 1, 1, 1), "num_heads": (2, 2, 2, 2)}
    net = create("tiny_vit_5m_224", **options, window_sizes=(5, 5, 7, 7))
    blocks = [stage.blocks[0] for stage in net.stages[1:]]
    for block in blocks:
        block.attn.attention_biases.data.normal_()
    view, inputs, _ = watch_and_listen(net, *blocks)
    assert [map_.grid for map_ in view.maps.values()] == [(8, 12), (4, 6), (2, 3)]
    for map_, block, x in zip(view.maps.values(), blocks, inputs, strict=True):
        attention, window = block.attn, block.window_size
        expected = within_windows(x, window, lambda cells, of=attention: of(cells.flatten(1, 2)))
        rows = torch.cat([x.flatten(0, 2), torch.zeros_like(x[0, 0, :1])])  # the last is padding
        values = attention.qkv(attention.norm(rows)).unflatten(1, (2, -1))[..., 2 * attention.key_dim :].transpose(0, 1)
        assert_mixes(map_, values[:, :-1], expected, attention.proj, values[:, -1])


@torch.no_grad()
def test_efficientvit_m_s_windows_may_be_larger_than_the_grid() -> None:
    net = create("efficientvit_m0")
    block = net.stages[0].blocks[0].mixer.m
    attention = block.attn
    view, _, (projected, queries) = watch_and_listen(net, attention.qkvs[0], attention.dws[0], size=(160, 96))
    map_ = view.maps["stages.0.blocks.0.mixer.m.attn"]
    assert isinstance(map_, WindowedAttention) and map_.grid == (10, 6) and map_.window == (7, 7)
    keys = projected[:, attention.key_dim : 2 * attention.key_dim].flatten(2)
    biases = attention.get_attention_biases(queries.device)[0]
    own = (queries.flatten(2).mT @ keys * attention.scale + biases).softmax(-1)
    cells = F.pad(torch.arange(1, 61).reshape(10, 6), (0, 1, 0, 4)).reshape(2, 49) - 1
    for places, weights in zip(cells, own, strict=True):
        inside = places >= 0
        found = all_heads(map_)[0, places[inside][:, None], places[inside]]
        torch.testing.assert_close(found, weights[inside][:, inside], rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_twins_groups() -> None:
    net = create("twins_svt_small", depths=(2, 1, 1, 1), embed_dims=(8, 8, 8, 8), num_heads=(2, 2, 2, 2))
    attention = net.blocks[0][0].attn
    view, (x,), (out,) = watch_and_listen(net, attention)
    map_ = view.maps["blocks.0.0.attn"]
    assert isinstance(map_, WindowedAttention) and map_.window == (7, 7)
    outside = attention.qkv.bias.chunk(3)[2].unflatten(0, (2, -1))
    assert_mixes(map_, values_of(attention.qkv, 2, x), out[0], attention.proj, outside)
    assert view.maps["blocks.0.1.attn"].key_grid == (2, 3)


@torch.no_grad()
def test_hiera_pools_queries_within_mask_units() -> None:
    net = create("hiera_tiny_224", stages=(1, 1, 1, 1), embed_dim=8, num_heads=1, img_size=(64, 64))
    attentions = [block.attn for block in net.blocks]
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    handles = [
        one.register_forward_hook(lambda module, args, out: (inputs.append(args[0]), outputs.append(out))[1] and None)
        for one in attentions
    ]
    view = segviz.watch(net, IMAGE, layers="*", size=(64, 64))
    for handle in handles:
        handle.remove()
    grids = [(map_.grid, map_.key_grid) for map_ in view.maps.values()]
    assert grids[:2] == [((16, 16), (16, 16)), ((8, 8), (16, 16))]
    for number, map_ in enumerate(view.maps.values()):
        one, before = attentions[number], max(0, number - 1)
        values = F.linear(inputs[number], one.qkv.weight, one.qkv.bias).chunk(3, 2)[2]
        spatial = net.reroll(values, before)[0].flatten(0, 1)
        expected = net.reroll(outputs[number], number)[0].flatten(0, 1)
        assert_mixes(map_, spatial.unflatten(1, (one.heads, -1)).transpose(0, 1), expected, one.proj, None)


@torch.no_grad()
def test_mobilevit_s_patch_positions() -> None:
    net = create("mobilevit_xxs")
    block = net.stages[2][1]
    attention = block.transformer[0].attn
    view, (x,), (out,) = watch_and_listen(net, attention)
    map_ = view.maps["stages.2.1.transformer.0.attn"]
    assert isinstance(map_, WindowedAttention) and map_.grid == (8, 12)

    def fold(tokens: Tensor) -> Tensor:
        """The block's own folding, to (cells, channels)."""
        y = tokens.reshape(1, 4, 24, -1).transpose(1, 3).reshape(-1, 6, 2, 2)
        return y.transpose(1, 2).reshape(tokens.shape[-1], 96).T

    values = F.linear(x, attention.qkv.weight, attention.qkv.bias).chunk(3, 2)[2]
    heads = attention.num_heads
    assert_mixes(map_, fold(values).unflatten(1, (heads, -1)).transpose(0, 1), fold(out), attention.proj, None)


# ---- linear attention -------------------------------------------------------------------------------------


@torch.no_grad()
def test_efficientvit_s_linear_attention() -> None:
    net = create("efficientvit_b0")
    block = net.stages[2].blocks[1].context_module.main
    view, (before, x), _ = watch_and_listen(net, block.proj, block)
    map_ = view.maps["stages.2.blocks.1.context_module.main"]
    assert isinstance(map_, LinearAttention) and map_.grid == (4, 6)
    qkv = block.qkv(x)
    both = torch.cat([qkv, *(one(qkv) for one in block.aggreg)], 1)
    values = both.reshape(-1, 3 * block.dim, 24).mT.chunk(3, 2)[2]
    expected = before.reshape(len(values), block.dim, 24).mT
    torch.testing.assert_close(all_heads(map_) @ values, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@torch.no_grad()
def test_mobilevit_v2_s_separable_attention() -> None:
    net = create("mobilevitv2_050")
    attention = net.stages[2][1].transformer[0].attn
    view, (x, before), _ = watch_and_listen(net, attention, attention.out_proj)
    map_ = view.maps["stages.2.1.transformer.0.attn"]
    assert isinstance(map_, LinearAttention) and map_.grid == (8, 12)
    _, keys, values = attention.qkv_proj(x).split([1, attention.embed_dim, attention.embed_dim], 1)

    def fold(tokens: Tensor) -> Tensor:
        y = tokens.reshape(1, -1, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(tokens.shape[1], 96).T

    context = all_heads(map_)[0] @ fold(keys)
    torch.testing.assert_close(fold(values).relu() * context, fold(before), rtol=1e-3, atol=1e-5)


# ---- no attention between places --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["xcit_nano_12_p16_224", "davit_tiny"])
def test_attention_between_channels_is_passed_over(name: str) -> None:
    if name == "xcit_nano_12_p16_224":  # 24 channels for each head, as many as 4 x 6 cells
        net = create(name, embed_dim=48, num_heads=2, depth=1, cls_attn_layers=1, patch_size=8)
    else:
        net = create(name, embed_dims=(24,), depths=(1,), num_heads=(1,))
    reasons = [one.reason for one in segviz.watch(net, IMAGE, size=SIZE).layers]
    assert any("it relates 24 channels, not places" in reason for reason in reasons)


@pytest.mark.parametrize(
    "name", ["lraspp_mobilenet_v3_large", pytest.param("deeplabv3_resnet50", marks=pytest.mark.slow)]
)
def test_networks_without_such_attention_say_so(name: str) -> None:
    net = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=5)
    view = segviz.watch(net.eval(), IMAGE)
    assert not view.maps and view.prediction is not None and view.prediction.labels.shape == IMAGE.shape[:2]
    assert "no attention was found" in repr(view)


NET_OF_THE_PAGE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 19, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        y = self.stem(x)
        tokens = y.flatten(2).mT
        return self.head((tokens + self.attention(tokens, tokens, tokens)[0]).mT.unflatten(2, y.shape[2:]))

build = Net
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*weights are random", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_page_on_any_network_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "any-network.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET_OF_THE_PAGE)
    made: dict[str, Any] = {}
    exec(compile(NET_OF_THE_PAGE, "net.py", "exec"), made)
    torch.save(made["build"]().state_dict(), tmp_path / "w.pth")
    Image.fromarray(IMAGE).save(tmp_path / "street.png")
    if find_spec("transformers"):
        import transformers

        config = transformers.SegformerConfig(
            hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1, 2, 2, 2], decoder_hidden_size=8
        )
        transformers.SegformerForSemanticSegmentation(config).eval().save_pretrained(tmp_path / "segformer")
    names: dict[str, Any] = {}
    for snippet in snippets:
        if "hf:" not in snippet or find_spec("transformers"):
            exec(compile(snippet, "any-network.md", "exec"), names)
    assert len(names["view"].maps) == 12 and names["view"].maps["blocks.0.attn"].grid == (22, 30)
    assert names["predictor"]("street.png").prediction.class_set.names[0] == "road"
