"""`segviz.watch` on networks of our own: spellings, grids, what is passed over and why, threads, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watch_cases import (
    DIM,
    GRID,
    IMAGE,
    SIZE,
    SPELLINGS,
    Attend,
    ClassToken,
    Gated,
    MultiHead,
    NonLocal,
    Reduced,
    Windowed,
    all_heads,
    fused,
    matrix_of,
)

import segviz
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention
from segviz.engine import TooLargeError
from segviz.watch.call import AttentionCall
from segviz.watch.findings import Findings
from segviz.watch.grids import NotShownError, fit_tokens
from segviz.watch.network_scores import NetworkScores
from segviz.watch.placement import InputRules, make_input, place_picture
from segviz.watch.recipes import find_recipes
from segviz.watch.recipes.windows import WINDOW_RECIPES
from segviz.watch.recorder import Recorder
from segviz.watch.run_network import InputRefusedError

ROOT = Path(__file__).parents[1]


def input_of(net: nn.Module) -> Tensor:
    return make_input(IMAGE, place_picture(SIZE, None, 32, "stretch"), InputRules().complete(net), None)


# ---- what is seen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("attend", SPELLINGS, ids=lambda one: one.__name__)
def test_every_spelling_gives_the_matrix(attend: Attend) -> None:
    net = NonLocal(attend).eval()
    view = segviz.watch(net, IMAGE)
    (map_,) = view.maps.values()
    with torch.no_grad():
        q, k, _ = net.factors(input_of(net))
        logits = q[0] @ k[0].mT * 0.5 + SPELLINGS[attend](net.bias)
    assert isinstance(map_, MultiHeadAttention) and map_.grid == GRID and list(view.maps) == ["network"]
    torch.testing.assert_close(matrix_of(map_), logits.softmax(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("need_weights", [False, True])
def test_multihead_attention_gives_its_own_weights(need_weights: bool) -> None:
    net = MultiHead(need_weights).eval()
    map_ = segviz.watch(net, IMAGE).maps["attention"]
    with torch.no_grad():
        x = net.stem(input_of(net)).flatten(2).mT
        _, own = net.attention(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(all_heads(map_), own[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(map_.attends_to(1, 2, head=1).flatten(), own[0, 1, 8], rtol=1e-4, atol=1e-6)


def test_an_encoder_layer_is_seen() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    net = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2), Swap(), layer)
    view = segviz.watch(net.eval(), IMAGE)
    assert list(view.maps) == ["3.self_attn"] and view.maps["3.self_attn"].heads == 2


class Swap(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mT


def test_keys_may_lie_on_a_coarser_grid() -> None:
    (map_,) = segviz.watch(Reduced().eval(), IMAGE).maps.values()
    assert (map_.grid, map_.key_grid) == (GRID, (2, 3))
    assert "keys on 2 x 3" in map_.remark and map_.attends_to(3, 5).shape == (2, 3)
    assert map_.key_cell(63, 95, *SIZE) == (1, 2)


def test_keys_may_be_columns() -> None:
    (map_,) = segviz.watch(Reduced(strips=True).eval(), IMAGE).maps.values()
    assert (map_.grid, map_.key_grid) == (GRID, (1, 6))


def test_the_share_of_a_class_token_is_told() -> None:
    net = ClassToken().eval()
    view = segviz.watch(net, IMAGE)
    (map_,) = view.maps.values()
    with torch.no_grad():
        x = net.tokens(input_of(net))[0]
        weights = (x @ x.mT / DIM**0.5).softmax(1)
    assert isinstance(map_, MultiHeadAttention) and map_.prefix == map_.key_prefix == 1
    torch.testing.assert_close(matrix_of(map_), weights[1:, 1:], rtol=1e-4, atol=1e-6)
    assert map_.prefix_share(0, 3) == pytest.approx(float(weights[4, 0]), abs=1e-5)
    torch.testing.assert_close(map_.prefix_attends_to(0).flatten(), weights[0, 1:], rtol=1e-4, atol=1e-6)
    assert "4 x 6 + 1 token off the picture" in repr(view)


class TransformerDecoderLayer(nn.Module):
    """A decoder layer by the names of the authors' DETR (ECCV 2020)."""

    def __init__(self, *sides: int, batch_first: bool) -> None:
        super().__init__()
        self.self_attn, self.multihead_attn = (nn.MultiheadAttention(*sides[:2], batch_first=True) for _ in range(2))

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        queries = queries + self.self_attn(queries, queries, queries)[0]
        return queries + self.multihead_attn(queries, memory, memory)[0]


@pytest.mark.parametrize("masked", [False, True])
def test_object_queries_with_a_padding_mask_are_shown(masked: bool, tmp_path: Path) -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.layer = nn.Conv2d(3, 8, 16, 16), nn.TransformerDecoderLayer(8, 2, 8, batch_first=True)
            self.queries = nn.Parameter(torch.randn(1, 7, 8))

        def forward(self, batch: Tensor) -> Tensor:
            padding = torch.zeros(1, 24, dtype=torch.bool)
            padding[:, 20:] = masked
            return self.layer(self.queries, self.stem(batch).flatten(2).mT, memory_key_padding_mask=padding)

    view = segviz.watch(Decoder().eval(), IMAGE)
    (map_,) = view.maps.values()
    assert isinstance(map_, ObjectQueryAttention) and (map_.bias is None) is not masked
    looks = map_.attended_by(3, 3)
    assert looks.shape == (7,) and bool((looks > 0).all()) is not masked
    for query in range(7):
        assert float(map_.query_map(query)[3, 3]) == pytest.approx(float(looks[query]), abs=1e-6)
    view.save(tmp_path / "view.html")
    assert (tmp_path / "view.html").stat().st_size > 1000


@pytest.mark.parametrize("others", ["all", "some", "none"])
def test_rows_that_are_masked_whole_draw_nothing(others: str) -> None:
    allowed = torch.ones(24, 24, dtype=torch.bool)
    if others == "some":
        allowed = torch.rand(24, 24) < 0.5
        allowed[:, 0] = True
    allowed[[0, 3, 23]] = False
    if others == "none":
        allowed[:] = False

    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=0.5)

    net = NonLocal(attend).eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    with torch.no_grad():
        q, k, _ = net.factors(input_of(net))
        expected = F.scaled_dot_product_attention(q, k, torch.eye(24)[None], allowed, scale=0.5)[0]
    torch.testing.assert_close(matrix_of(map_), expected, rtol=1e-4, atol=1e-6)
    column = torch.stack([map_.attended_by(*divmod(cell, 6)).flatten() for cell in range(24)], 1)
    torch.testing.assert_close(column, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.TransformerDecoderLayer, TransformerDecoderLayer], ids=["torch", "own"])
def test_object_queries_are_told_by_the_decoder(layer: Callable[..., nn.Module]) -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.layer = nn.Conv2d(3, 8, 16, 16), layer(8, 2, 8, batch_first=True)
            self.queries = nn.Parameter(torch.randn(1, 24, 8))  # as many as the grid has cells

        def forward(self, batch: Tensor) -> Tensor:
            return self.layer(self.queries, self.stem(batch).flatten(2).mT)

    view = segviz.watch(Decoder().eval(), IMAGE, layers="*")
    assert list(view.maps) == ["layer.multihead_attn"]
    map_ = view.maps["layer.multihead_attn"]
    assert isinstance(map_, ObjectQueryAttention) and map_.grid == GRID
    assert map_.attended_by(1, 2).shape == (24,) and float(map_.query_map(5).sum()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(KeyError, match="relates object queries to each other"):
        view.maps["layer.self_attn"]


# ---- what is passed over, and why -------------------------------------------------------------------------


def over_all_pairs(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """MAnet's order (IEEE Access 2020; segmentation-models-pytorch)."""
    logits = (q @ k.mT).reshape(1, -1).div(2)
    return logits.softmax(1).view(1, 24, 24) @ v


class Sampled(nn.Module):
    """The weights of deformable attention (ICLR 2021, eq. 2), on 3 points for each query."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.sampling_offsets, self.attention_weights = (
            nn.Conv2d(3, 4, 16, 16),
            nn.Linear(4, 6),
            nn.Linear(4, 3),
        )

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        weights = self.attention_weights(x.flatten(2).mT).softmax(-1)
        points = self.sampling_offsets(x.flatten(2).mT).tanh().unflatten(2, (3, 2))
        return (F.grid_sample(x, points, align_corners=False) * weights[:, None]).sum(3)


class CrissCross(nn.Module):
    """One softmax over a cell's column and row together (CCNet, ICCV 2019), which two products fill."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 16, 16)

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        column, row = torch.einsum("bchw,bcgw->bhwg", x, x), torch.einsum("bchw,bchv->bhwv", x, x)
        down, along = torch.cat([column, row], 3).softmax(3).split([4, 6], 3)
        return torch.einsum("bhwg,bcgw->bchw", down, x) + torch.einsum("bhwv,bchv->bchw", along, x)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Windowed(), "come in 4 x 1 groups, which are windows: find_windows=True, a recipe, or segviz.record"),
        (Gated(), "its softmax is over axis 1 of"),
        (
            NonLocal(lambda net, q, k, v: (q @ k.mT).softmax(-1).mul(2) @ v),
            "its weights are changed between the softmax and",
        ),
        (NonLocal(lambda net, q, k, v: v * torch.tanh(q @ k.mT).softmax(-1).sum(1)[..., None]), "not a product"),
        (
            NonLocal(lambda net, q, k, v: v * (q @ k.mT).softmax(-1).square().sum(1)[..., None]),
            "nothing is multiplied by",
        ),
        (NonLocal(over_all_pairs), "its softmax is over all pairs of places at once"),
        (Sampled(), "it samples a few points for each query"),
        (CrissCross(), "its softmax is over axis 3 of (1, 4, 6, 10), which is not a product"),
    ],
    ids=["windows", "gates", "changed", "capped", "unused", "all pairs", "sampled", "criss-cross"],
)
def test_what_cannot_be_shown_says_why(net: nn.Module, reason: str) -> None:
    view = segviz.watch(net.eval(), IMAGE)
    assert not view.maps and [one.state for one in view.layers] == ["passed over"]
    assert reason in view.layers[0].reason and reason in repr(view)


def test_a_network_without_attention_says_so() -> None:
    view = segviz.watch(nn.Conv2d(3, 4, 16, 16).eval(), IMAGE)
    assert "no attention was found" in repr(view) and view.prediction is None


def test_factors_that_do_not_give_the_output_are_not_shown() -> None:
    factors = torch.randn(1, 24, DIM)
    call = AttentionCall("a", "scaled_dot_product_attention", factors, factors, 1.0, None, ())
    output = F.scaled_dot_product_attention(factors, factors, factors, scale=1.0)
    assert call.difference_to_output(factors, output) < 1e-5
    wrong = call.difference_to_output(factors, output * 1.001)
    findings = Findings(SIZE, (1.0, 1.0))
    findings.take_call(call, wrong)
    assert not findings.maps and "differ from what the call returned" in findings.rows["a"].reason
    findings.take_call(call, 1e-5)
    assert list(findings.maps) == ["a:2"]


def test_some_of_many_windows_are_checked() -> None:
    factors, bias = torch.randn(20, 5, 24, DIM), torch.randn(20, 1, 24, 24)
    call = AttentionCall("a", "scaled_dot_product_attention", factors, factors, 0.5, bias, ())
    output = F.scaled_dot_product_attention(factors, factors, factors, bias, scale=0.5)
    assert call.difference_to_output(factors, output) < 1e-5
    assert call.difference_to_output(factors, output.flip(0)) > 0.1
    groups, rows = call.sample()
    assert groups is not None and len(groups[0]) == 64 and len(rows) == 16


def test_what_we_fail_to_read_does_not_stop_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(AttentionCall, "difference_to_output", fail)
    view = segviz.watch(NonLocal(fused).eval(), IMAGE)
    assert not view.maps and "it could not be read: RuntimeError('planted')" in view.layers[0].reason


def test_half_precision_is_checked_as_far_as_it_goes() -> None:
    view = segviz.watch(NonLocal(fused).eval().bfloat16(), IMAGE)
    (map_,) = view.maps.values()
    assert isinstance(map_, MultiHeadAttention) and map_.queries.dtype == torch.float32


def test_layers_choose_and_the_last_is_kept_without_a_choice() -> None:
    net = nn.Sequential(NonLocal(fused), nn.Upsample(SIZE), nn.Conv2d(DIM, 3, 1), NonLocal(fused)).eval()
    view = segviz.watch(net, IMAGE)
    assert list(view.maps) == ["3"] and [one.state for one in view.layers] == ["listed", "kept"]
    assert all(one.check.startswith("recomputed to within") for one in view.layers) and view.layers[1].reason == ""
    with pytest.raises(KeyError, match='choose it with layers="0"'):
        view.maps["0"]
    assert list(segviz.watch(net, IMAGE, layers="0").maps) == ["0"]
    assert list(segviz.watch(net, IMAGE, layers=["0", "3"]).maps) == ["0", "3"]
    with pytest.raises(ValueError, match=r"no attention is at blocks\.\*; it is at 0, 3"):
        segviz.watch(net, IMAGE, layers="blocks.*")


def test_a_module_that_runs_twice_has_two_maps() -> None:
    one = NonLocal(fused)
    net = nn.Sequential(one, nn.Upsample(SIZE), nn.Conv2d(DIM, 3, 1), one).eval()
    assert list(segviz.watch(net, IMAGE, layers="0").maps) == ["0", "0:2"]


def test_a_bias_by_relative_position_is_kept_as_a_table() -> None:
    table = torch.randn(7, 11)
    cells = torch.cartesian_prod(torch.arange(4), torch.arange(6))
    offsets = cells[None] - cells[:, None]
    net = NonLocal(fused).eval()
    net.bias.data = table[offsets[..., 0] + 3, offsets[..., 1] + 5]
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    assert isinstance(map_, MultiHeadAttention) and map_.bias is None and map_.offset_bias is not None
    torch.testing.assert_close(map_.offset_bias[0], table)


def test_a_bias_of_a_row_and_a_column_becomes_longer_queries_and_keys() -> None:
    rows, columns = torch.randn(24, 4, 1), torch.randn(24, 1, 6)
    net = NonLocal(fused).eval()
    net.bias.data = (rows + columns).flatten(1)
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    assert isinstance(map_, MultiHeadAttention) and map_.bias is None and map_.queries.shape[2] == DIM + 4 + 6
    with torch.no_grad():
        q, k, _ = net.factors(input_of(net))
        expected = (q[0] @ k[0].mT * 0.5 + net.bias).softmax(1)
    torch.testing.assert_close(matrix_of(map_), expected, rtol=1e-4, atol=1e-5)


# ---- what it leaves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [NonLocal(fused), MultiHead(True), Reduced()], ids=lambda one: type(one).__name__)
def test_outputs_are_the_same_and_nothing_is_left(net: nn.Module) -> None:
    outputs: list[Tensor] = []
    net.eval()
    batch = input_of(net)
    with torch.no_grad():
        before = net(batch)
    state = [dict(vars(module)) for module in net.modules()]
    forward = type(net).forward
    net.register_forward_hook(lambda module, args, output: outputs.append(output))  # the test's own
    segviz.watch(net, IMAGE)
    net._forward_hooks.clear()
    assert torch.equal(outputs[0], before) and type(net).forward is forward
    assert [dict(vars(module)) for module in net.modules()] == state


def test_pytorch_s_own_fast_path_gives_the_same_up_to_rounding() -> None:
    net, outputs = MultiHead(False).eval(), []
    with torch.no_grad():
        before = net(input_of(net))
    net.register_forward_hook(lambda module, args, output: outputs.append(output))
    segviz.watch(net, IMAGE)
    torch.testing.assert_close(outputs[0], before, rtol=1e-5, atol=1e-6)


def test_a_map_grows_with_its_cells_and_not_with_their_pairs() -> None:
    view = segviz.watch(ClassToken().eval(), IMAGE, size=(1024, 1024))
    (map_,) = view.maps.values()
    assert isinstance(map_, MultiHeadAttention) and map_.grid == (64, 64)
    tensors = [value for value in vars(map_).values() if isinstance(value, Tensor)]
    assert sum(one.untyped_storage().nbytes() for one in tensors) == 2 * 4097 * 4 * 4  # queries and keys in float32
    assert not any(one.requires_grad for one in tensors)


def test_a_map_keeps_nothing_of_the_network() -> None:
    (map_,) = segviz.watch(NonLocal(fused).eval(), IMAGE).maps.values()
    assert isinstance(map_, MultiHeadAttention)
    for factor in (map_.queries, map_.keys):
        assert factor.dtype == torch.float32 and not factor.requires_grad
        assert factor.untyped_storage().nbytes() == factor.numel() * 4


def test_two_threads_watch_two_networks_and_a_third_runs_one_of_them() -> None:
    nets = [NonLocal(fused).eval(), NonLocal(fused).eval()]
    alone = [segviz.watch(net, IMAGE).maps["network"] for net in nets]
    wrong: list[object] = []
    batch = input_of(nets[0])
    done = threading.Event()

    def look(number: int) -> None:
        for _ in range(5):
            view = segviz.watch(nets[number], IMAGE)
            (map_,) = view.maps.values()
            if len(view.layers) != 1 or not torch.equal(map_.queries, alone[number].queries):  # type: ignore[union-attr]
                wrong.append(view)

    def disturb() -> None:
        while not done.is_set():
            with torch.no_grad():
                nets[0](batch + 1)

    threads = [threading.Thread(target=look, args=(number,)) for number in (0, 1)]
    other = threading.Thread(target=disturb)
    for thread in (other, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    other.join()
    assert wrong == []


# ---- what is declared -------------------------------------------------------------------------------------


class Declaring(nn.Module):
    """A block that declares what `give(q, k)` says."""

    def __init__(self, give: Any) -> None:
        super().__init__()
        self.stem, self.give = nn.Conv2d(3, DIM, 16, 16), give

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        q = x.flatten(2).mT
        segviz.record(self, **self.give(q))
        return F.scaled_dot_product_attention(q, q, q)  # what is declared counts instead


def declared(give: Any) -> tuple[Any, Tensor]:
    net = Declaring(give).eval()
    view = segviz.watch(net, IMAGE)
    assert [one.spelling for one in view.layers] == ["declared"] and "not checked" in view.layers[0].check
    with torch.no_grad():
        return next(iter(view.maps.values())), net.stem(input_of(net)).flatten(2).mT[0]


def test_declared_queries_and_keys() -> None:
    map_, q = declared(lambda q: {"queries": q, "keys": q * 2, "grid": GRID, "scale": 0.5})
    torch.testing.assert_close(matrix_of(map_), (q @ q.mT).softmax(1))


def test_declared_linear_attention() -> None:
    map_, q = declared(lambda q: {"queries": q, "keys": q, "kind": "relu-linear"})
    products = q.relu() @ q.relu().mT
    assert isinstance(map_, LinearAttention) and map_.grid == GRID
    torch.testing.assert_close(matrix_of(map_), products / products.sum(1, keepdim=True).clamp_min(1e-12))


def test_declared_weights() -> None:
    map_, q = declared(lambda q: {"weights": (q @ q.mT).softmax(2)})
    assert isinstance(map_, MatrixAttention)
    torch.testing.assert_close(matrix_of(map_), (q @ q.mT).softmax(1))


def test_declared_windows_and_object_queries() -> None:
    def windows(q: Tensor) -> dict[str, Any]:
        parts = q.reshape(2, 2, 2, 3, DIM).transpose(1, 2).reshape(4, 1, 6, DIM)
        return {"queries": parts, "keys": parts, "grid": GRID, "window": (2, 3)}

    map_, q = declared(windows)
    assert isinstance(map_, WindowedAttention) and int((map_.attends_to(0, 0) > 0).sum()) == 6
    corner = q.unflatten(0, GRID)[:2, :3].flatten(0, 1)
    torch.testing.assert_close(map_.attends_to(0, 0)[:2, :3].flatten(), (corner @ corner[0]).softmax(0))
    map_, q = declared(lambda q: {"queries": q[:, :5], "keys": q, "kind": "object-queries"})
    torch.testing.assert_close(map_.query_map(3).flatten(), (q @ q[3]).softmax(0))


def test_a_declaration_does_nothing_where_nobody_watches() -> None:
    record = segviz.record
    record(nn.Identity(), queries=None)  # not even a check
    code = (
        "import sys, segviz; segviz.record(None); "
        "print([name for name in ('torch', 'numpy', 'torchvision', 'streamlit') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.stdout.strip() == "[]", ran.stderr


# ---- grids, pictures, classes, errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "seen", "prefix", "grid"),
    [
        (197, (224, 224), 1, (14, 14)),
        (261, (224, 224), 5, (16, 16)),
        (3136, (224, 224), 0, (56, 56)),
        (49, (224, 224), 0, (7, 7)),
        (8192, (1024, 2048), 0, (64, 128)),
        (40 * 54 + 5, (560, 756), 5, (40, 54)),
        (45 * 60, (360, 480), 0, (45, 60)),
    ],
)
def test_the_grid_of_tokens_is_found(tokens: int, seen: tuple[int, int], prefix: int, grid: tuple[int, int]) -> None:
    fit = fit_tokens(tokens, seen, (), None, "queries")
    assert (fit.prefix, fit.grid) == (prefix, grid)


def test_tokens_that_fit_nothing_ask_for_a_grid() -> None:
    with pytest.raises(
        NotShownError, match="100 queries are not a grid of the picture of 96 x 64 pixels; in Python, grid="
    ):
        fit_tokens(100, SIZE, (), None, "queries")
    with pytest.raises(
        NotShownError, match=r"its 6 keys may be 2 x 3 \+ 0 or 2 x 2 \+ 2; in Python, grid=.* says which"
    ):
        fit_tokens(6, (14, 20), (), None, "keys")
    assert fit_tokens(101, SIZE, (), (10, 10), "queries").prefix == 1
    with pytest.raises(
        NotShownError, match="its 99 queries are fewer than the 10 x 10 cells of the given grid; give a smaller"
    ):
        fit_tokens(99, SIZE, (), (10, 10), "queries")
    with pytest.raises(NotShownError, match="fewer than the 20 x 10 cells"):
        fit_tokens(100, SIZE, (), (20, 10), "queries")


def test_a_grid_can_be_given() -> None:
    class Odd(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            tokens = F.adaptive_avg_pool2d(batch, (5, 11)).flatten(2).mT
            return F.scaled_dot_product_attention(tokens, tokens, tokens)

    view = segviz.watch(Odd().eval(), IMAGE)
    assert not view.maps and "grid=(rows, columns) says which" in view.layers[0].reason
    (map_,) = segviz.watch(Odd().eval(), IMAGE, grid=(5, 11)).maps.values()
    assert map_.grid == (5, 11)


@pytest.mark.parametrize(
    ("picture", "size", "multiple", "fit", "shown", "seen"),
    [
        ((1024, 2048), None, 32, "stretch", (1024, 2048), (1024, 2048)),
        ((2048, 4096), None, 32, "stretch", (1024, 2048), (1024, 2048)),
        ((70, 100), None, 14, "stretch", (70, 98), (70, 98)),
        ((70, 100), None, 32, "pad", (70, 100), (96, 128)),
        ((100, 200), (224, 224), 32, "stretch", (224, 224), (224, 224)),
        ((100, 200), (224, 224), 32, "pad", (112, 224), (224, 224)),
        ((360, 480), None, 32, "stretch", (352, 480), (352, 480)),
    ],
)
def test_a_picture_is_placed(picture: Any, size: Any, multiple: int, fit: Any, shown: Any, seen: Any) -> None:
    placement = place_picture(picture, size, multiple, fit)
    assert (placement.shown, placement.seen) == (shown, seen)


def test_a_padded_picture_s_cells_are_those_of_its_pixels() -> None:
    view = segviz.watch(NonLocal(fused).eval(), IMAGE[:32], fit="pad", size=SIZE)
    (map_,) = view.maps.values()
    assert map_.covers == (2.0, 1.0) and map_.cell(31, 95, 32, 96) == (1, 5) and map_.cell(0, 0, 32, 96) == (0, 0)


def test_mean_and_std_may_be_in_units_of_255() -> None:
    placement = place_picture(SIZE, None, 32, "stretch")
    small = make_input(IMAGE, placement, InputRules((0.5,) * 3, (0.25,) * 3), None)
    large = make_input(IMAGE, placement, InputRules((127.5,) * 3, (63.75,) * 3), None)
    torch.testing.assert_close(small, large)
    small, large = (make_input(IMAGE, placement, InputRules((0.0,) * 3, (std,) * 3), None) for std in (1.0, 255.0))
    assert 0.9 < float(small.max()) <= 1  # a mean of 0 is the same in both units: the std tells which
    torch.testing.assert_close(small, large)


class Several(nn.Module):
    """Returns a tensor of each (channels, stride), or the picture itself for stride 1 and 3 channels."""

    def __init__(self, *shapes: tuple[int, int], as_list: bool = True) -> None:
        super().__init__()
        self.shapes, self.as_list = shapes, as_list
        self.layer = nn.Conv2d(3, 64, 1)

    def forward(self, batch: Tensor) -> Any:
        found = [F.avg_pool2d(self.layer(batch)[:, :channels], stride) for channels, stride in self.shapes]
        return found if self.as_list else tuple(found)


PYRAMIDS = [
    ((32, 4), (64, 8), (16, 16)),  # PVT v2's channels and strides, as far as the layer has channels
    ((3, 1), (8, 2)),  # an encoder that begins with the picture
    ((16, 2), (16, 4), (32, 8), (64, 16)),  # a ResNet, whose first stages have as many channels
    ((16, 2), (32, 4), (64, 8), (48, 8)),  # dilated
]
HEADS = [
    ((19, 1), (19, 1), (19, 1)),  # AttaNet, BiSeNet
    ((19, 1), (19, 8)),  # PSANet's auxiliary head, not stretched
    ((19, 2), (1, 2)),  # an edge beside it
    ((19, 2), (19, 2), (64, 8)),  # and features
]


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("shapes", PYRAMIDS)
def test_a_backbones_features_are_no_classes(shapes: Any, as_list: bool) -> None:
    net = Several(*shapes, as_list=as_list).eval()
    assert segviz.watch(net, IMAGE).prediction is None
    named = segviz.watch(net, IMAGE, classes=[f"c{number}" for number in range(shapes[0][0])]).prediction
    assert named is not None and named.form.startswith("the first of several tensors")


@pytest.mark.parametrize("shapes", HEADS)
def test_the_first_of_several_heads_has_the_classes(shapes: Any) -> None:
    prediction = segviz.watch(Several(*shapes, as_list=False).eval(), IMAGE).prediction
    assert prediction is not None and len(prediction.class_set.names) == 19


def test_classes_that_the_source_names_tell_scores_from_features() -> None:
    net = Several((3, 1), (8, 2)).eval()
    net.config = SimpleNamespace(id2label=dict(enumerate("abc")))  # type: ignore[assignment]
    prediction = segviz.watch(net, IMAGE).prediction
    assert prediction is not None and prediction.class_set.names == ("a", "b", "c")


def test_one_channel_is_not_read_as_classes_and_the_error_says_what_is() -> None:
    net = nn.Conv2d(3, 1, 1).eval()
    assert segviz.watch(net, IMAGE).prediction is None
    with pytest.raises(ValueError, match=r"one channel, which is not read as classes; .*torch.cat\(\[0 \* x, x\], 1\)"):
        segviz.watch(net, IMAGE, classes=["no", "yes"])
    with pytest.raises(ValueError, match="one channel, which is not read as classes"):
        scorer = NetworkScores(segviz.load(net, classes=["no", "yes"]))
        scorer(scorer.see(IMAGE), (True,), None)
    with pytest.raises(ValueError, match="the output has no classes for pixels; or name no classes"):
        segviz.watch(nn.Flatten().eval(), IMAGE, classes=["no", "yes"])

    class Cured(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            x = batch[:, :1]
            return torch.cat([0 * x, x], 1)

    prediction = segviz.watch(Cured().eval(), IMAGE, classes=["no", "yes"]).prediction
    sure = torch.sigmoid(input_of(net)[0, 0]).numpy()
    assert prediction is not None and ((prediction.labels == 1) == (sure > 0.5)).all()
    np.testing.assert_allclose(prediction.confidence, np.maximum(sure, 1 - sure), atol=1e-6)


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"fit": "padd"}, "fit='padd' is unknown; use 'stretch' or 'pad'"),
    ({"size": "mine"}, "size='mine' is no size; give \\(height, width\\)"),
    ({"size": 64}, "size=64 is no size"),
    ({"size": (64.0, 64)}, "size=\\(64.0, 64\\) is no size"),
    ({"size": (True, 64)}, "is no size"),
    ({"size": (0, 64)}, "in whole pixels above 0"),
    ({"size": (64, 64, 3)}, "is no size"),
    ({"mean": (0, 0, 0), "std": (0, 0, 0)}, "std has a value that is not above 0"),
    ({"mean": (0, 0, 0)}, "mean and std belong together"),
    ({"mean": (0, 0), "std": (1, 1)}, "mean has 2 numbers"),
    ({"mean": "abc", "std": (1, 1, 1)}, "mean='abc' is no list of numbers"),
    ({"mean": (0, 0, float("nan")), "std": (1, 1, 1)}, "mean has a value that is not a finite number"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS, ids=lambda one: str(one)[:30])
def test_watch_and_load_refuse_the_same_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segviz.watch(NonLocal(fused).eval(), IMAGE, **options)
    with pytest.raises(ValueError, match=message):
        segviz.load(NonLocal(fused).eval(), **options)


@pytest.mark.parametrize(
    "size", [SIZE, list(SIZE), np.array(SIZE), torch.Size(SIZE)], ids=lambda one: type(one).__name__
)
def test_sizes_of_any_whole_numbers_are_taken(size: Any) -> None:
    net = NonLocal(fused).eval()
    wanted = segviz.watch(net, IMAGE).placement
    assert segviz.watch(net, IMAGE[:32], size=size).placement.seen == wanted.seen
    assert segviz.load(net, size=size)(IMAGE[:32]).placement.seen == wanted.seen
    assert segviz.watch(net, IMAGE, size="own").placement == segviz.load(net, size="own")(IMAGE).placement == wanted


def test_a_bundled_model_refuses_what_is_no_size() -> None:
    for size in (64, (0, 64), "mine"):
        with pytest.raises(ValueError, match="is no size"):
            segviz.load("fcn", size=size)  # type: ignore[call-overload]


@pytest.mark.parametrize("form", ["tensor", "out", "logits", "masks"])
def test_classes_come_from_each_form_of_output(form: str) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Conv2d(3, 4, 1)

        def forward(self, batch: Tensor) -> Any:
            scores = F.avg_pool2d(self.scores(batch), 4)
            if form == "masks":
                classes = torch.eye(4, 5)[None] * 20
                return {"class_queries_logits": classes, "masks_queries_logits": scores}
            return scores if form == "tensor" else {form: scores}

    net = Head().eval()
    prediction = segviz.watch(net, IMAGE, classes=["a", "b", "c", "d"]).prediction
    assert prediction is not None and prediction.labels.shape == SIZE and prediction.class_set.names[3] == "d"
    with torch.no_grad():
        scores = F.avg_pool2d(net.scores(input_of(net)), 4)
        best = F.interpolate(scores, SIZE, mode="bilinear").argmax(1)[0].numpy()
    assert (prediction.labels == best).mean() > 0.97
    with pytest.raises(ValueError, match="the output has 4 classes, but names or colours of 2 were"):
        segviz.watch(net, IMAGE, classes=["a", "b"])


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (lambda: 3, TypeError, "segviz.watch needs an nn.Module, not int"),
        (lambda: NonLocal(fused), ValueError, r"training mode; call model.eval\(\) first"),
        (lambda: torch.jit.trace(nn.Conv2d(3, 3, 1).eval(), torch.zeros(1, 3, 8, 8)), ValueError, "watch the Python"),
        (
            lambda: nn.Linear(3, 3).eval(),
            ValueError,
            r"Linear failed on an input of 1 x 3 x 64 x 96: .*input size, give that: size=\(H, W\)$",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_what_cannot_be_watched_is_refused(net: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segviz.watch(net(), IMAGE)


def test_sizes_of_pictures_are_told_width_first() -> None:
    assert str(place_picture((360, 480), None, 32, "stretch")) == "480 x 352 pixels, resized from 480 x 360"
    padded = str(place_picture((360, 480), (512, 512), 32, "pad"))
    assert padded == "512 x 512 pixels, resized from 480 x 360, padded from 512 x 384"


class Failing(nn.Module):
    """Fails as a user's network may; `call` is given the input."""

    def __init__(self, call: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.call = call

    def forward(self, batch: Tensor) -> object:
        return self.call(batch)


def fail_assertion(batch: Tensor) -> None:
    assert batch.shape[2] == 224


@pytest.mark.parametrize(
    ("call", "cause", "may_be_size"),
    [
        (lambda batch: batch.view(7, 7), "shape '[7, 7]' is invalid for input of size 18432", True),
        (lambda batch: batch[:, :, 999], "index 999 is out of bounds for dimension 2 with size 64", True),
        (fail_assertion, "assert 64 == 224", True),
        (lambda batch: {}["size"], "'size'", False),
        (lambda batch: 1 / 0, "division by zero", False),
        (lambda batch: np.zeros(2) @ np.zeros(3), "size 3 is different from 2", True),
        (lambda batch: F.relu(batch.gone), "'Tensor' object has no attribute 'gone'", False),
        (lambda batch: F.conv2d(batch[:, :2], torch.ones(1, 3, 1, 1)), "Given groups=1, weight", False),
        (lambda batch: F.group_norm(batch, 2), "Expected number of channels in input to be divisible by", False),
        (lambda batch: F.conv1d(batch.flatten(2), torch.ones(1, 5, 1)), "Given groups=1, weight", True),
    ],
)
def test_a_network_that_fails_is_told_its_line_and_a_size_only_where_that_may_help(
    call: Callable[[Tensor], object], cause: str, may_be_size: bool
) -> None:
    with pytest.raises(InputRefusedError) as failed:
        segviz.watch(Failing(call).eval(), IMAGE)
    text, line = str(failed.value), call.__code__.co_firstlineno + (call is fail_assertion)
    assert text.startswith(f"Failing failed in test_watch.py, line {line}, on an input of 1 x 3 x 64 x 96: ")
    assert cause in text
    cure = "; correct the network, or, if it needs a fixed input size, give that: size=(H, W)"
    assert text.endswith(cure if may_be_size else "; correct the network")


class ShortOfMemory(nn.Module):
    """Says that it was trained at 32 x 32, and runs out of memory on anything larger."""

    image_size = 32

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.seen, self.scores = error, list[int](), nn.Conv2d(3, 2, 1)

    def forward(self, batch: Tensor) -> Tensor:
        self.seen.append(batch.shape[2])
        if batch.shape[2] > 32:
            raise self.error
        return self.scores(batch)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "ran out of memory on an input of 1 x 3 x 64"),
        (torch.OutOfMemoryError("CUDA out of memory"), r"give it a smaller input: size=\(H, W\)"),
        (TooLargeError("it needs more than 1 MiB"), "it needs more than 1 MiB"),
    ],
)
def test_a_network_that_runs_out_of_memory_is_not_shown_smaller_in_silence(error: Exception, message: str) -> None:
    net = ShortOfMemory(error).eval()
    with pytest.raises(MemoryError, match=message):
        segviz.watch(net, IMAGE)
    assert net.seen == [64]
    net.error = ValueError("the size must be 32")  # a refusal: the network's own size is tried
    assert segviz.watch(net, IMAGE).placement.seen == (32, 32)


def test_memory_that_runs_out_while_a_map_is_read_is_no_reason_to_pass_over_a_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Recorder, "_look", fail)
    with pytest.raises(MemoryError, match="NonLocal ran out of memory"):
        segviz.watch(NonLocal(fused).eval(), IMAGE)


def test_numpy_s_lack_of_memory_is_told_with_the_network_and_the_cure() -> None:
    def fail(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        raise MemoryError("Unable to allocate 2.00 PiB for an array with shape (1125899906842624,)")

    with pytest.raises(MemoryError, match=r"NonLocal ran out of memory on an input of .* give it a smaller input"):
        segviz.watch(NonLocal(fail).eval(), IMAGE)


@pytest.mark.parametrize("open_network", [segviz.load, lambda net: segviz.watch(net, IMAGE)], ids=["load", "watch"])
def test_a_part_in_training_mode_is_refused_and_nothing_is_changed(open_network: Callable[[Any], Any]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))).eval()
    norm = net[1][1].train()
    with pytest.raises(ValueError, match=r"module 1\.1 is in training mode.*call model\.eval\(\) first"):
        open_network(net)
    assert not norm.running_mean.any()
    open_network(net.eval())


def test_a_compiled_network_is_refused() -> None:
    wrapped = nn.Identity().eval()
    wrapped._orig_mod = nn.Identity()
    with pytest.raises(ValueError, match=r"watch model\._orig_mod"):
        segviz.watch(wrapped, IMAGE)


def test_packages_add_recipes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    points = [
        EntryPoint("good", "segviz.watch.recipes.windows:WINDOW_RECIPES", find_recipes.GROUP),
        EntryPoint("bad", "segviz.watch.recipes.windows:as_pair", find_recipes.GROUP),
        EntryPoint("gone", "no_such_package:recipes", find_recipes.GROUP),
    ]
    monkeypatch.setattr(find_recipes, "entry_points", lambda group: points)
    found = find_recipes.find_recipes.__wrapped__()
    assert found[: len(WINDOW_RECIPES)] == WINDOW_RECIPES
    assert "recipe bad was left out" in caplog.text and "recipe gone was left out" in caplog.text


def test_the_room_is_the_function() -> None:
    import segviz.watch.watch_network as module

    assert segviz.watch is sys.modules["segviz.watch"] or segviz.watch is module.watch
    assert callable(segviz.watch)
