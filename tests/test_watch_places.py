"""Where the tokens of library networks lie: what changes in one place of the picture must change the cells there."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from watch_cases import all_heads

import segviz
from segviz.attribution.probe import pass_through
from segviz.image import Rgb
from segviz.watch.layer_features import compare_layer
from segviz.watch.verify_places import Verdict, cell_features

SIZE = (64, 64)
PLACES = ((9, 21), (27, 55), (45, 14), (54, 38))  # pixels; no symmetry maps one onto another
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def square_picture() -> Rgb:
    return np.random.default_rng(0).integers(90, 160, (*SIZE, 3)).astype(np.uint8)


def steady(net: nn.Module) -> nn.Module:
    """A network whose layers pass on what they get: small random weights would lose a change of the picture."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
    return net.eval()


def create(name: str, **options: Any) -> nn.Module:
    return steady(timm.create_model(name, pretrained=False, num_classes=0, **options))


def configure(network: str, **options: Any) -> nn.Module:
    """A network of transformers, as "module.Network", from the options of its configuration."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
    module, _, kind = network.partition(".")
    build = getattr(import_module(f"transformers.models.{module}.modeling_{module}"), kind)
    config = getattr(transformers, kind.removesuffix("Backbone").removesuffix("Model") + "Config")
    return steady(build(config(**options)))


def assert_places(net: nn.Module, count: int, size: tuple[int, int] = SIZE) -> None:
    """In the first maps, the cells that change most are at the changed places of the picture, or near them."""
    picture = square_picture()
    maps = segviz.watch(net, picture, layers="*", size=size).maps
    assert len(maps) >= count
    off: dict[str, list[float]] = {}
    for y, x in PLACES:
        changed = picture.copy()
        changed[y - 3 : y + 3, x - 3 : x + 3] = 255
        after = segviz.watch(net, changed, layers="*", size=size).maps
        for path in list(maps)[:count]:
            pairs = zip(cell_features(maps[path]), cell_features(after[path]), strict=True)
            for number, ((old, grid), (new, _)) in enumerate(pairs):
                change = (new - old).norm(dim=1)
                row, column = divmod(int(change.argmax()), grid[1])
                far = max(abs((row + 0.5) / grid[0] - y / SIZE[0]), abs((column + 0.5) / grid[1] - x / SIZE[1]))
                if change.any():  # MobileViTv2's queries are positions, which never change
                    off.setdefault(f"{path}, {'keys' if number else 'queries'}", []).append(far)
    assert off and all(median(each) <= 0.2 for each in off.values()), off


def torchvision_maxvit() -> nn.Module:
    return steady(
        torchvision.models.MaxVit(
            SIZE, stem_channels=8, partition_size=4, block_channels=[8], block_layers=[1], head_dim=4,
            stochastic_depth_prob=0.0,
        )
    )  # fmt: skip


class Decoder(nn.Module):
    """Segmenter's decoder in small: a token for each class after the patches."""

    def __init__(self) -> None:
        super().__init__()
        self.n_cls, self.num_heads = 3, 2
        self.cls_emb = nn.Parameter(torch.randn(1, 3, 8))
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor, im_size: tuple[int, int]) -> Tensor:
        GS = im_size[0] // 8
        x = torch.cat((x, self.cls_emb.expand(len(x), -1, -1)), 1)
        queries, keys, values = self.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        out: Tensor = mixed[:, : -self.n_cls].mT.unflatten(2, (GS, -1))
        return out


MaskTransformer = type("MaskTransformer", (Decoder,), {})  # the name that its authors gave it


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.decoder = nn.Conv2d(3, 8, 8, 8), MaskTransformer()

    def forward(self, batch: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.stem(batch).flatten(2).mT, batch.shape[2:])
        return out


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {  # and how many of its first maps are looked at
    "maxvit": (lambda: create("test_maxvit", img_size=SIZE), 4),
    "davit": (lambda: create("davit_tiny", embed_dims=[8] * 4, num_heads=[2] * 4, depths=(1,) * 4), 2),
    "gcvit": (lambda: create("gcvit_xxtiny", img_size=SIZE), 1),
    "nest": (lambda: create("nest_tiny", img_size=SIZE), 3),
    "swinv2_cr": (lambda: create("swinv2_cr_tiny_224", img_size=SIZE, embed_dim=12, depths=(2,) * 4), 2),
    "hiera": (lambda: create("hiera_tiny_224", img_size=SIZE, stages=(1,) * 4, embed_dim=8, num_heads=1), 3),
    "maxvit of torchvision": (torchvision_maxvit, 2),
    "segmenter": (lambda: steady(Segmenter()), 1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_cells_lie_where_the_picture_says(name: str) -> None:
    build, count = NETWORKS[name]
    assert_places(build(), count)


def test_cells_of_halonet_lie_where_the_picture_says() -> None:
    assert_places(create("halonet26t"), 2, (256, 256))  # its blocks are 8 x 8 cells at 1/32


ENCODER: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
STAGES: dict[str, Any] = {"embed_dim": [8] * 4, "num_heads": [2] * 4, "num_groups": [2] * 4, "depths": [1] * 4}
WINDOWS: dict[str, Any] = {"mlp_ratio": 1, "image_size": 64, "num_windows": 4}
TRANSFORMERS: dict[str, tuple[dict[str, Any], int, int]] = {  # options, maps, and the side of the input
    "hiera.HieraModel": (
        {"image_size": SIZE, "embed_dim": 8, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 2, 2)}, 4, 64,
    ),
    "lw_detr.LwDetrViTBackbone": (
        {**ENCODER, **WINDOWS, "pretrain_image_size": 64, "window_block_indices": [0], "out_indices": [1]}, 2, 64,
    ),
    "rf_detr.RfDetrDinov2Backbone": ({**ENCODER, **WINDOWS, "num_windows": 2, "out_indices": [2]}, 2, 64),
    "yolos.YolosModel": ({**ENCODER, "intermediate_size": 16, "image_size": SIZE, "num_detection_tokens": 7}, 2, 64),
    "swin2sr.Swin2SRModel": ({"embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 8}, 2, 64),
    "florence2.Florence2VisionBackbone": ({**STAGES, "window_size": 3}, 2, 64),
    "mobilevit.MobileViTModel": ({}, 1, 136),  # its patches of 2 x 2 do not divide the 17 x 17 cells
    "mobilevitv2.MobileViTV2Model": ({"width_multiplier": 0.25}, 1, 136),
}  # fmt: skip


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_cells_of_transformers_lie_where_the_picture_says(name: str) -> None:
    options, count, side = TRANSFORMERS[name]
    assert_places(configure(name, **options), count, (side, side))


@torch.no_grad()
def test_keys_of_next_vit_are_runs_of_cells() -> None:
    net, heard = create("nextvit_small"), []
    block = net.stages[1].blocks[3]
    attention = block.e_mhsa
    handle = attention.register_forward_pre_hook(lambda module, args: heard.append(args[0]))
    map_ = segviz.watch(net, square_picture(), layers="*", size=(96, 160)).maps["stages.1.blocks.3.e_mhsa"]
    handle.remove()
    assert map_.grid == map_.key_grid == (12, 20) and attention.N_ratio == 16
    queries = attention.q(heard[0]).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    pooled = attention.norm(heard[0].transpose(1, 2).unflatten(2, (15, 16)).mean(3)).transpose(1, 2)
    keys = attention.k(pooled).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    own = (queries[0] @ keys[0].mT * attention.scale).softmax(-1)  # (heads, cells, runs)
    torch.testing.assert_close(all_heads(map_), (own / 16).repeat_interleave(16, 2), rtol=1e-3, atol=2e-4)


# ---- what cannot be placed --------------------------------------------------------------------------------


def reason_of(net: nn.Module, **options: Any) -> str:
    """Why the first layer has no map."""
    return segviz.watch(net, square_picture(), layers="*", **{"size": SIZE, **options}).layers[0].reason


def test_a_part_of_hiera_does_not_know_its_order() -> None:
    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = create("hiera_tiny_224", img_size=SIZE, stages=(1,) * 4, embed_dim=8, num_heads=1)
            self.embed, self.blocks = whole.patch_embed, nn.Sequential(*whole.blocks)

        def forward(self, batch: Tensor) -> Tensor:
            out: Tensor = self.blocks(self.embed(batch))
            return out

    assert reason_of(Blocks().eval()).endswith("the whole Hiera only; watch the whole network")


@pytest.mark.slow
@quiet
def test_what_cannot_be_placed_in_transformers_has_a_reason() -> None:
    options = {**ENCODER, "intermediate_size": 16, "image_size": 64, "mask_ratio": 0.0}
    assert "random part of the patches" in reason_of(configure("vit_mae.ViTMAEModel", **options))
    rf_detr = configure("rf_detr.RfDetrDinov2Backbone", **{**ENCODER, **WINDOWS, "num_windows": 2, "out_indices": [2]})
    assert "watch it with a square picture" in reason_of(rf_detr, size=(32, 64))
    yolos = configure("yolos.YolosModel", **ENCODER, intermediate_size=16, image_size=SIZE, num_detection_tokens=7)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings, self.encoder = yolos.embeddings, yolos.encoder

        def forward(self, batch: Tensor) -> Tensor:
            out: Tensor = self.encoder(self.embeddings(batch), *SIZE)[0]
            return out

    assert "known to the whole YOLOS only" in reason_of(Encoder().eval())


# ---- verifying the places of any network ------------------------------------------------------------------


class Shuffled(nn.Module):
    """A transformer block over patches, in an order that nothing tells."""

    def __init__(self, order: Tensor, mixes: bool = False) -> None:
        super().__init__()
        self.stem, self.attention = nn.Conv2d(3, 16, 4, 4), nn.MultiheadAttention(16, 2, batch_first=True)
        self.order, self.mixes = order, mixes

    def forward(self, batch: Tensor) -> Tensor:
        tokens = self.stem(batch).flatten(2).mT[:, self.order]
        if self.mixes:
            tokens = tokens.mean(1, keepdim=True).expand_as(tokens)
        out: Tensor = self.attention(tokens, tokens, tokens)[0].mT.unflatten(2, (16, 16))
        return out


def verify(order: Tensor, **options: Any) -> Any:
    return segviz.watch(steady(Shuffled(order, **options)), square_picture(), verify_places=True)


def test_places_in_reading_order_are_verified() -> None:
    view = verify(torch.arange(256))
    assert view.layers[0].state == "kept" and view.layers[0].places == Verdict.HOLDS
    assert str(Verdict.HOLDS) in repr(view)


@pytest.mark.parametrize("order", ["transposed", "mirrored", "in windows", "at random"])
def test_a_map_with_tokens_in_another_order_is_passed_over(order: str) -> None:
    cells = torch.arange(256).reshape(16, 16)
    orders = {
        "transposed": cells.T,
        "mirrored": cells.flip(1),
        "in windows": cells.reshape(4, 4, 4, 4).transpose(1, 2),
        "at random": torch.randperm(256, generator=torch.Generator().manual_seed(0)),
    }
    view = verify(orders[order].flatten())
    assert not view.maps and view.layers[0].state == "passed over" and view.layers[0].reason == Verdict.DIFFERS
    with pytest.raises(KeyError, match="not the cells row by row"):
        view.maps["attention"]


def test_places_that_a_change_does_not_tell_are_said_to_be_unverified() -> None:
    view = verify(torch.arange(256), mixes=True)
    assert view.layers[0].state == "kept" and view.layers[0].places == Verdict.UNDECIDED


def test_a_map_that_is_gone_in_the_second_run_is_unverified() -> None:
    net = steady(Shuffled(torch.arange(256)))
    runs: list[None] = []

    def forward_once(batch: Tensor) -> Tensor:
        runs.append(None)
        return Shuffled.forward(net, batch) if len(runs) == 1 else batch

    net.forward = forward_once
    view = segviz.watch(net, square_picture(), verify_places=True)
    assert len(runs) == 2 and view.layers[0].places == Verdict.UNDECIDED


def test_without_verify_places_the_network_runs_once() -> None:
    net, runs = steady(Shuffled(torch.arange(256))), []
    net.register_forward_pre_hook(lambda module, args: runs.append(None))
    assert segviz.watch(net, square_picture()).layers[0].places == "" and len(runs) == 1


def test_places_under_padding_are_verified_where_the_picture_is() -> None:
    picture = np.random.default_rng(1).integers(90, 160, (64, 40, 3)).astype(np.uint8)
    net = steady(Shuffled(torch.arange(256)))
    view = segviz.watch(net, picture, size=SIZE, fit="pad", verify_places=True)
    assert view.layers[0].places == Verdict.HOLDS


def test_a_predictor_verifies_places() -> None:
    predictor = segviz.load(steady(Shuffled(torch.arange(256).flip(0))))
    assert predictor(square_picture()).maps and not predictor(square_picture(), verify_places=True).maps


# ---- the features of such layers --------------------------------------------------------------------------


@torch.no_grad()
def test_features_of_hiera_are_compared_at_their_places() -> None:
    net = create("hiera_tiny_224", img_size=SIZE, stages=(1,) * 4, embed_dim=8, num_heads=1)
    predictor, outputs = segviz.load(net, "cpu"), dict[str, Tensor]()
    handles = [
        block.register_forward_hook(lambda module, args, output, at=number: outputs.__setitem__(f"blocks.{at}", output))
        for number, block in enumerate(net.blocks)
    ]
    view = predictor(square_picture(), layers="*")
    for handle in handles:
        handle.remove()
    for number, map_ in enumerate(view.maps.values()):
        assert map_.cell_tokens is not None
        found = compare_layer(predictor, square_picture(), map_.name, map_.grid, map_.cell_tokens)
        own = net.reroll(outputs[f"blocks.{number}"], number)[0].flatten(0, 1)
        torch.testing.assert_close(found.unit_features, nn.functional.normalize(own, dim=1), rtol=1e-4, atol=1e-5)


def test_grad_cam_reads_the_cells_in_order() -> None:
    features, seen = torch.randn(1, 7, 3), list[Tensor]()

    class Keep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return 2 * x

    tokens = (5, 0, 3, 1)
    changed = pass_through(Keep(), features, (2, 2), tokens)
    assert torch.equal(seen[0].flatten(2).mT, features[:, tokens])
    expected = features.clone()
    expected[:, tokens] *= 2
    assert torch.equal(changed, expected)
