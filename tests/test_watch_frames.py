"""Which module an attention call belongs to, whatever its functions call the module."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watch_cases import DIM, GRID, IMAGE

import segviz
from segviz.watch.recipes.recipe import DeclarationRecipe
from segviz.watch.record import Declaration


class Named(nn.Module):
    """A forward whose first argument is not called `self`; only its `num_heads` tells its two heads from windows."""

    def __init__(s) -> None:  # noqa: N805
        super().__init__()
        s.qkv, s.num_heads = nn.Linear(DIM, 3 * DIM), 2

    def forward(s, x: Tensor) -> Tensor:  # noqa: N805
        q, k, v = s.qkv(x)[0].unflatten(1, (6, -1)).transpose(0, 1).chunk(3)
        return F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)[None]


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: object) -> object:
        return function(*args)

    return call


class Decorated(Named):
    @undecorated
    def forward(this, x: Tensor) -> Tensor:  # noqa: N805
        return this.attend(x)

    def attend(this, x: Tensor) -> Tensor:  # noqa: N805
        return super().forward(x)


class Closure(Named):
    """Its first argument is also read by a function within."""

    def forward(me, x: Tensor) -> Tensor:  # noqa: N805
        def attend() -> Tensor:
            return (me.qkv(x)[..., :DIM] @ x.mT).softmax(-1) @ x

        return attend()


def replaced() -> nn.Module:
    """A forward that a function of a file replaced, as adapters of published networks do."""

    def attention_forward(module: nn.Module, x: Tensor) -> Tensor:
        return (module.qkv(x)[..., :DIM] @ x.mT).softmax(-1) @ x

    block = Named()
    block.forward = types.MethodType(attention_forward, block)  # type: ignore[method-assign]
    return block


def attend_with(layer: nn.Module, x: Tensor) -> Tensor:
    """A function that is given a layer, which is not the module whose attention it computes."""
    return F.scaled_dot_product_attention(layer(x), x, x)


class Helped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        return attend_with(self.query, x)


class HelpedByItsClass(Helped):
    @staticmethod
    def attend_with(layer: nn.Module, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(layer(x), x, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.attend_with(self.query, x)


class Net(nn.Module):
    def __init__(net, block: nn.Module) -> None:  # noqa: N805
        super().__init__()
        net.stem, net.block = nn.Conv2d(3, DIM, 16, 16), block

    def forward(net, batch: Tensor) -> Tensor:  # noqa: N805
        return net.block(net.stem(batch).flatten(2).mT)


@pytest.mark.parametrize(
    "make", [Named, Decorated, Closure, replaced, Helped, HelpedByItsClass], ids=lambda one: one.__name__
)
def test_the_module_is_found_by_any_name(make: Callable[[], nn.Module]) -> None:
    view = segviz.watch(Net(make()).eval(), IMAGE)
    assert list(view.maps) == ["block"] and view.maps["block"].grid == GRID


def test_recipes_read_modules_by_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Linear(nn.Module):
        def forward(s, x: Tensor) -> Tensor:  # noqa: N805
            features = x.relu()
            return features @ (features.mT @ x)

    def read(module: nn.Module, values: Any, running: Any) -> Declaration | None:
        features = values.get("features")
        return None if features is None else Declaration(features, features, kind="linear")

    recipe = DeclarationRecipe(("*.Linear",), ("matmul", "__matmul__"), read)
    monkeypatch.setattr("segviz.watch.watch_network.find_recipes", lambda: (recipe,))
    net = Net(Linear()).eval()
    view = segviz.watch(net, IMAGE)
    assert [(one.path.partition(":")[0], one.spelling) for one in view.layers] == [("block", "declared")] * 2


def test_the_network_s_own_forward_ends_the_walk() -> None:
    with torch.no_grad():
        view = segviz.watch(Net(Named()).eval(), IMAGE)
    assert "2 heads" in view.layers[0].shape
