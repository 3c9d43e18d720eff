"""What blocks declare with `segviz.record`: what it replaces, what is shown, and what is passed over with a cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watch_cases import DIM, GRID, IMAGE, matrix_of

import segviz
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.watch.findings import Findings
from segviz.watch.network_view import NetworkView

Give = Callable[[Tensor], dict[str, Any]]
CELLS = GRID[0] * GRID[1]


class Block(nn.Module):
    """Declares what `give(x)` says of x (1, cells, dim)."""

    def __init__(self, give: Give) -> None:
        super().__init__()
        self.give = give

    def forward(self, batch: Tensor) -> Tensor:
        segviz.record(self, **self.give(F.adaptive_avg_pool2d(batch, GRID).flatten(2).mT))
        return batch


def watch_declared(give: Give) -> NetworkView:
    view = segviz.watch(nn.Sequential(Block(give)).eval(), IMAGE)
    assert [(one.path, one.spelling) for one in view.layers] == [("0", "declared")]
    return view


def factors(heads: int = 1, key_heads: int = 1, tokens: int = CELLS, key_tokens: int = CELLS) -> dict[str, Any]:
    return {"queries": torch.randn(1, heads, tokens, DIM), "keys": torch.randn(1, key_heads, key_tokens, DIM)}


# ---- what it replaces -------------------------------------------------------------------------------------------


class Inner(nn.Module):
    """Attention in a module of its own, which may declare it."""

    def __init__(self, declares: bool = False) -> None:
        super().__init__()
        self.project, self.declares = nn.Linear(DIM, DIM), declares

    def forward(self, x: Tensor) -> Tensor:
        if self.declares:
            segviz.record(self, queries=x, keys=x)
        projected = self.project(x)
        return F.scaled_dot_product_attention(projected, projected, projected)


class Whole(nn.Module):
    """Declares the attention of its own forward, before or after it, and has attention in modules."""

    def __init__(self, first: bool, name: str = "inner", declares: bool = False) -> None:
        super().__init__()
        self.stem, self.first, self.name = nn.Conv2d(3, DIM, 16, 16), first, name
        self.add_module(name, nn.Sequential(Inner(declares)))

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch).flatten(2).mT
        weights = x @ x.mT
        if self.first:
            segviz.record(self, queries=x, keys=x, grid=GRID)
        x = weights.softmax(-1) @ x
        if not self.first:
            segviz.record(self, queries=x, keys=x, grid=GRID)
        return self.get_submodule(self.name)(x)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", ["inner", "network"])
@pytest.mark.parametrize("declares", [True, False])
def test_a_network_s_own_declaration_replaces_what_its_own_forward_computes(
    first: bool, name: str, declares: bool
) -> None:
    view = segviz.watch(Whole(first, name, declares).eval(), IMAGE, layers="*")
    inner = "declared" if declares else "scaled_dot_product_attention"
    assert [(one.path, one.spelling) for one in view.layers] == [("network", "declared"), (f"{name}.0", inner)]
    assert list(view.maps) == ["network", f"{name}.0"]


def test_a_block_s_declaration_replaces_that_of_its_parts() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part, self.partner = Inner(), Inner()

        def forward(self, x: Tensor) -> Tensor:
            x = self.part(x)
            segviz.record(self, queries=x, keys=x)
            return self.part(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.network, self.networks = nn.Conv2d(3, DIM, 16, 16), Outer(), Inner()

        def forward(self, batch: Tensor) -> Tensor:
            return self.networks(self.network(self.stem(batch).flatten(2).mT))

    view = segviz.watch(Net().eval(), IMAGE)
    assert [(one.path, one.spelling) for one in view.layers] == [
        ("network", "declared"),
        ("networks", "scaled_dot_product_attention"),
    ]


def test_a_declaration_of_a_second_call_is_another_map() -> None:
    block = Block(lambda x: {"queries": x, "keys": x})
    assert list(segviz.watch(nn.Sequential(block, block).eval(), IMAGE, layers="*").maps) == ["0", "0:2"]


# ---- what is shown ----------------------------------------------------------------------------------------------


def test_fewer_heads_of_keys_serve_several_of_the_queries() -> None:
    given = factors(heads=4, key_heads=2)
    map_ = watch_declared(lambda x: given).maps["0"]
    assert isinstance(map_, MultiHeadAttention)
    logits = given["queries"][0] @ given["keys"][0].repeat_interleave(2, 0).mT
    torch.testing.assert_close(matrix_of(map_, 3), logits.softmax(-1)[3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "options", "prefix"),
    [
        (CELLS, {}, 0),
        (CELLS + 1, {}, 1),  # a class token is found
        (CELLS + 3, {"key_prefix": 3}, 3),  # a number that nothing tells
        (CELLS + 3, {"prefix": 3, "grid": GRID}, 3),
        (CELLS, {"key_grid": GRID}, 0),
    ],
)
def test_object_queries_look_at_the_grid_that_was_declared(tokens: int, options: dict[str, Any], prefix: int) -> None:
    given = factors(tokens=5, key_tokens=tokens)
    map_ = watch_declared(lambda x: {**given, **options, "kind": "object-queries"}).maps["0"]
    assert isinstance(map_, ObjectQueryAttention) and (map_.grid, map_.key_prefix) == (GRID, prefix)
    weights = (given["queries"][0, 0] @ given["keys"][0, 0].mT).softmax(1)[:, prefix:]
    torch.testing.assert_close(map_.query_map(3).flatten(), weights[3], rtol=1e-4, atol=1e-6)


def test_the_scale_of_a_linear_attention_counts_where_its_denominator_has_an_epsilon() -> None:
    given = factors()
    map_ = watch_declared(lambda x: {**given, "kind": "relu-linear", "scale": 0.5, "epsilon": 1.0}).maps["0"]
    products = given["queries"][0, 0].relu() @ given["keys"][0, 0].relu().mT * 0.5
    torch.testing.assert_close(matrix_of(map_), products / (products.sum(1, keepdim=True) + 1))


@pytest.mark.parametrize("grid", [list(GRID), tuple(np.int64(side) for side in GRID), torch.Size(GRID)])
def test_sides_may_be_of_any_whole_numbers(grid: Any) -> None:
    map_ = watch_declared(lambda x: {"queries": x, "keys": x, "grid": grid, "scale": torch.tensor(0.5)}).maps["0"]
    assert isinstance(map_, MultiHeadAttention) and map_.grid == GRID and map_.scale == 0.5
    assert all(type(side) is int for side in map_.grid)


# ---- what is passed over ----------------------------------------------------------------------------------------


def windows(**options: Any) -> dict[str, Any]:
    parts = torch.randn(4, 2, 6, DIM)
    return {"queries": parts, "keys": parts, "grid": GRID, "window": (2, 3), **options}


@pytest.mark.parametrize(
    ("give", "reason"),
    [
        (
            lambda x: {"queries": x},
            "segviz.record got queries, and takes queries with keys, or else weights; give one of",
        ),
        (lambda x: {}, "segviz.record got nothing"),
        (lambda x: {**factors(), "weights": x @ x.mT}, "segviz.record got queries and keys and weights"),
        (lambda x: {**factors(), "kind": "sigmoid"}, "kind='sigmoid' was declared; give one of softmax, linear,"),
        (lambda x: {**factors(), "kind": "relu_linear"}, "kind='relu_linear' was declared"),
        (
            lambda x: {**factors(tokens=25, key_tokens=25), "kind": "linear", "prefix": 1},
            "declare the matrix with weig",
        ),
        (lambda x: {**factors(key_tokens=25), "kind": "relu-linear", "key_prefix": 1}, "declare the matrix with weigh"),
        (
            lambda x: {**factors(), "kind": "linear", "bias": x @ x.mT},
            "bias= was declared, which has no meaning for lin",
        ),
        (lambda x: {**factors(), "epsilon": 1e-6}, "epsilon= was declared, which has no meaning for softmax"),
        (lambda x: {"weights": x @ x.mT, "window": (2, 3)}, "window= was declared, which has no meaning for weights"),
        (lambda x: windows(kind="linear"), "window= was declared, which has no meaning for linear"),
        (lambda x: {**factors(), "grid": (5, 5)}, "24 queries were declared, not 0 + 5 x 5; correct grid or prefix"),
        (
            lambda x: {**factors(tokens=5), "kind": "object-queries", "grid": (4, 5)},
            "24 keys were declared, not 0 + 4 x",
        ),
        (
            lambda x: {**factors(tokens=5), "kind": "object-queries", "grid": (4, 7)},
            "24 keys were declared, not 0 + 4 x",
        ),
        (lambda x: {"weights": torch.rand(1, 5, 24), "kind": "object-queries"}, "give their queries and keys instead"),
        (
            lambda x: {**factors(), "grid": (4.0, 6.0)},
            "grid=(4.0, 6.0) was declared; give whole numbers (rows, columns)",
        ),
        (lambda x: {**factors(), "grid": 24}, "grid=24 was declared; give whole numbers"),
        (lambda x: {**factors(), "grid": (-4, -6)}, "grid=(-4, -6) was declared; give rows and columns of at least 1"),
        (lambda x: {**factors(), "prefix": -1}, "prefix=-1 was declared; give a number of tokens"),
        (lambda x: {**factors(), "key_prefix": 0.5}, "key_prefix=0.5 was declared; give a number of tokens"),
        (lambda x: {**factors(4, 4), "scale": torch.ones(4)}, "scale= is not one number; multiply the queries by it"),
        (
            lambda x: {**factors(4, 4), "bias": torch.zeros(4, 13, 24)},
            "a bias of (4, 13, 24) was declared for products of",
        ),
        (
            lambda x: {**factors(4, 4), "bias": torch.zeros(3, 24, 24)},
            "a bias of (3, 24, 24) was declared for products",
        ),
        (
            lambda x: {**factors(4, 4), "bias": torch.zeros(5, 4, 24, 24)},
            "a bias of (5, 4, 24, 24) was declared for prod",
        ),
        (
            lambda x: {**factors(), "bias": torch.ones(24, 24, dtype=torch.bool)},
            "give what is added: 0 where it allows",
        ),
        (lambda x: factors(4, 3), "heads that a head of the keys serves evenly"),
        (lambda x: factors(2, 4), "heads that a head of the keys serves evenly"),
        (lambda x: {"queries": x, "keys": x[..., :2]}, "with one dim"),
        (
            lambda x: {"queries": x.repeat(2, 1, 1), "keys": x.repeat(2, 1, 1)},
            "queries of (2, 24, 3) were declared; give",
        ),
        (
            lambda x: {"weights": torch.rand(2, 2, 24, 24)},
            "weights of (2, 2, 24, 24) were declared; give (1, heads, tok",
        ),
        (lambda x: {"queries": x.numpy(), "keys": x}, "queries= was declared as a ndarray; give a tensor"),
        (lambda x: windows(grid=None), "windows were declared without a grid; give grid="),
        (lambda x: windows(window=(0, 3)), "window=(0, 3) was declared; give rows and columns of at least 1"),
        (
            lambda x: windows(window=(2, 2)),
            "a grid of 4 x 6 has 6 windows of 4 cells; give (windows, heads, tokens, dim)",
        ),
        (lambda x: windows(prefix=1), "windows were declared with tokens off the picture"),
        (lambda x: windows(bias=torch.zeros(3, 6, 6)), "a bias of (3, 6, 6) was declared for products of (4, 2, 6, 6)"),
    ],
)
def test_a_declaration_that_does_not_fit_is_passed_over_with_the_cure(give: Give, reason: str) -> None:
    view = watch_declared(give)
    assert not view.maps and view.layers[0].state == "passed over" and reason in view.layers[0].reason


def test_what_we_fail_to_read_of_a_declaration_does_not_stop_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("segviz.watch.findings.build_declared", fail)
    assert "it could not be read: RuntimeError('planted')" in watch_declared(lambda x: factors()).layers[0].reason


def test_a_call_of_record_with_wrong_arguments_is_not_blamed_on_the_size() -> None:
    for give in (lambda x: {"query": x}, lambda x: {"module": x}):
        with pytest.raises(ValueError, match=r"calls segviz\.record with wrong .*; correct the call") as caught:
            segviz.watch(Block(give).eval(), IMAGE)
        assert "size=" not in str(caught.value)


def test_the_samples_of_a_whole_network_replace_its_softmax() -> None:
    class Samples:
        def difference(self) -> float:
            return 1.0

        tolerance = 1e-4

    findings = Findings((64, 96), (1.0, 1.0))
    findings.pass_over("", "softmax", "deformable")
    findings.take_samples("", Samples())  # type: ignore[arg-type]
    assert [(name, one.spelling) for name, one in findings.rows.items()] == [("network", "deformable attention")]
