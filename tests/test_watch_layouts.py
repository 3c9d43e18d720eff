"""What `segviz.watch` takes tokens for where no recipe says it: grids, heads, windows, channels, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watch_cases import IMAGE, SIZE, all_heads

import segviz
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.grids import NotShownError, fit_tokens
from segviz.watch.layout import ObjectQueries, describe_order, guess_layout


def reasons(net: nn.Module, **options: Any) -> list[str]:
    view = segviz.watch(net.eval(), IMAGE, layers="*", **options)
    assert not view.maps
    return [one.reason for one in view.layers]


def attend(tokens: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(tokens, tokens, tokens)


# ---- a given grid -----------------------------------------------------------------------------------------


class Stages(nn.Module):
    """Attention on 16 x 24 cells, then on 8 x 12."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.merge = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 2, 2)

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        x = attend(x.flatten(2).mT).mT.unflatten(2, x.shape[2:])
        return attend(self.merge(x).flatten(2).mT)


@pytest.mark.parametrize("grid", [(8, 12), (16, 24)])
def test_a_given_grid_is_for_the_layers_whose_tokens_it_fits(grid: tuple[int, int]) -> None:
    view = segviz.watch(Stages().eval(), IMAGE, layers="*", grid=grid)
    assert [(map_.grid, map_.prefix) for map_ in view.maps.values()] == [((16, 24), 0), ((8, 12), 0)]


def test_tokens_that_a_given_grid_does_not_fit_say_so() -> None:
    with pytest.raises(
        NotShownError, match=r"its 400 queries are not the 8 x 12 cells of the given grid, which leave 304 tok"
    ):
        fit_tokens(400, SIZE, (), (8, 12), "queries")
    assert fit_tokens(96 + 48, SIZE, (), (8, 12), "queries").prefix == 48
    with pytest.raises(NotShownError, match="leave 54 tokens off the picture; give the grid of this layer"):
        fit_tokens(96 + 54, SIZE, (), (8, 12), "queries")


# ---- the order of tokens off the picture ------------------------------------------------------------------


class WithTokens(nn.Module):
    def __init__(self, **tokens: int) -> None:
        super().__init__()
        for name, count in tokens.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(1, count, 4)))


def order_words(net: nn.Module, outside: int, grid: tuple[int, int] | None = None) -> str:
    tokens = torch.randn(1, 1, 24 + outside, 4)
    running = (RunningModule("", net, "forward", {}),)
    layout = guess_layout(AttentionCall("", "softmax", tokens, tokens, 1.0, None, running), SIZE, grid)
    assert layout.grid == (4, 6) and layout.prefix == layout.key_prefix == outside
    return describe_order(layout)


def test_what_nothing_says_to_come_first_is_taken_to_come_first() -> None:
    assert order_words(nn.Identity(), 0) == ""
    assert order_words(nn.Identity(), 2) == ", taken to come first"
    assert order_words(WithTokens(cls_emb=11), 11, (4, 6)) == ", taken to come first"
    assert order_words(WithTokens(cls_token=1), 1) == ""
    assert order_words(nn.Sequential(WithTokens(cls_token=1, register_tokens=4)), 5) == ""
    assert order_words(WithTokens(cls_token=1), 2) == ", taken to come first"
    assert order_words(nn.Sequential(WithTokens(cls_token=8)), 8) == ""  # more than is usual, as in Pixio
    counted = nn.Identity()
    counted.num_prefix_tokens = 3  # type: ignore[assignment]
    assert order_words(counted, 3) == ""
    assert describe_order(ObjectQueries()) == ""


class TwoMore(nn.Module):
    """Attention over the cells and two tokens of which nothing says where they stand; twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.extra = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 2)

    def forward(self, batch: Tensor) -> Tensor:
        return attend(attend(torch.cat([self.stem(batch).flatten(2).mT, self.extra.weight[None]], 1)))


def test_the_table_says_that_tokens_are_taken_to_come_first() -> None:
    view = segviz.watch(TwoMore().eval(), IMAGE)
    assert [one.state for one in view.layers] == ["listed", "kept"]
    assert all(one.shape.endswith("8 x 12 + 2 tokens off the picture, taken to come first") for one in view.layers)


def test_tokens_after_the_cells_are_declared_as_tokens_before_them() -> None:
    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.classes = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.randn(1, 19, 8))

        def forward(self, batch: Tensor) -> Tensor:
            tokens = torch.cat([self.stem(batch).flatten(2).mT * 3, self.classes], 1)
            first = tokens.roll(19, -2)
            segviz.record(self, queries=first, keys=first, grid=(8, 12), prefix=19, scale=8**-0.5)
            return attend(tokens)

    net = Segmenter().eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    with torch.no_grad():
        tokens = torch.cat([net.stem(input_of(net)).flatten(2).mT * 3, net.classes], 1)[0]
        own = (tokens @ tokens.mT * 8**-0.5).softmax(1)
    torch.testing.assert_close(all_heads(map_)[0], own[:96, :96], rtol=1e-3, atol=1e-6)


# ---- heads, or windows, rows and columns ------------------------------------------------------------------


class Grouped(nn.Module):
    """Attention of (1, groups, tokens, channels) within columns, or within windows of 4 x 4, of 8 x 12 cells."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.stem, self.form = nn.Conv2d(3, 8, 8, 8), form

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        if self.form == "columns":
            return attend(x.permute(0, 3, 2, 1))
        return attend(x.reshape(1, 8, 2, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(1, 6, 16, 8))


@pytest.mark.parametrize(("form", "groups"), [("columns", "8 queries come in 1 x 12"), ("windows", "16 queries")])
def test_windows_and_columns_are_not_taken_for_heads(form: str, groups: str) -> None:
    (reason,) = reasons(Grouped(form))
    assert f"its {groups}" in reason and "groups, heads or windows: set num_heads on the module" in reason


def test_windows_of_a_grid_s_size_are_not_taken_for_heads() -> None:
    class Windows(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            x = F.avg_pool2d(batch, 4).reshape(1, 3, 4, 4, 4, 6)  # 4 x 4 windows of 4 x 6 cells, and 4 x 6 is a grid
            return attend(x.permute(0, 2, 4, 3, 5, 1).reshape(1, 16, 24, 3))

    (reason,) = reasons(Windows())
    assert "its 24 queries come in 1 x 16 groups, heads or windows" in reason


HEADS: list[dict[str, object]] = [{"n_heads": 4}, {"x": (1, 96, 16)}, {"x": (1, 16, 96)}, {"x": (1, 16, 8, 12)}]
NO_HEADS: list[dict[str, object]] = [{}, {"n_heads": 3}, {"x": (1, 96, 8)}, {"x": (1, 4, 16, 24)}, {"x": (2, 96, 16)}]


def test_heads_are_told_by_a_name_or_by_a_tensor_of_all_their_channels() -> None:
    tokens = torch.randn(1, 4, 96, 4)  # 4 groups of 8 x 12 cells could be windows of 16 x 24
    for values in HEADS:
        assert guess_layout(make_call(tokens, **values), SIZE, None).grid == (8, 12)
    for values in NO_HEADS:
        with pytest.raises(NotShownError, match="1 x 4 groups, heads or windows"):
            guess_layout(make_call(tokens, **values), SIZE, None)
    module = nn.Identity()
    module.n_heads = 4  # type: ignore[assignment]
    assert guess_layout(make_call(tokens, module), SIZE, None).grid == (8, 12)


def test_heads_are_told_by_a_grid_where_all_groups_together_are_none() -> None:
    assert guess_layout(make_call(torch.randn(1, 3, 97, 4)), SIZE, None).grid == (8, 12)
    assert guess_layout(make_call(torch.randn(1, 4, 56, 4)), SIZE, (5, 11)).grid == (5, 11)


def make_call(tokens: Tensor, module: nn.Module | None = None, **values: object) -> AttentionCall:
    running = (RunningModule("", module or nn.Identity(), "forward", values),)
    return AttentionCall("", "softmax", tokens, tokens, 1.0, None, running)


# ---- one padded window ------------------------------------------------------------------------------------


class Padded(nn.Module):
    """One window of 7 x 7 over 6 x 6 cells; 7 x 7 would fit a 96 x 96 picture at a stride of 14."""

    def __init__(self, named: bool, window: int = 7) -> None:
        super().__init__()
        self.stem, self.named, self.window_size = nn.Conv2d(3, 8, 16, 16), named, window

    def forward(self, batch: Tensor) -> Tensor:
        x = self.stem(batch)
        if self.named:
            H, W = x.shape[2:]
            x = F.pad(x, (0, self.window_size - W, 0, self.window_size - H))
            return attend(x.flatten(2).mT)
        return attend(F.pad(x, (0, self.window_size - 6, 0, self.window_size - 6)).flatten(2).mT)


@pytest.mark.parametrize("named", [True, False])
def test_a_window_that_is_larger_than_the_grid_is_passed_over(named: bool) -> None:
    (reason,) = reasons(Padded(named), size=(96, 96))
    assert reason.startswith("its 49 keys are a window of 7 x 7, of which 6 x 6 are places and the rest is padding: a ")
    (map_,) = segviz.watch(Padded(named, window=6).eval(), IMAGE, size=(96, 96)).maps.values()
    assert map_.grid == (6, 6)


# ---- channels ---------------------------------------------------------------------------------------------


class Channels(nn.Module):
    """Attention between the channels of 8 x 12 cells (DANet, CVPR 2019, and Restormer, CVPR 2022)."""

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        self.stem, self.num_heads = nn.Conv2d(3, channels, 8, 8), heads

    def forward(self, batch: Tensor) -> Tensor:
        return self.relate(self.stem(batch))

    def relate(self, x: Tensor) -> Tensor:
        return attend(x.flatten(2).unflatten(1, (self.num_heads, -1)))


@pytest.mark.parametrize("heads", [1, 2])
def test_channels_are_not_taken_for_places(heads: int) -> None:
    (reason,) = reasons(Channels(24 * heads, heads))  # 4 x 6 is a grid of the picture
    assert reason.startswith("it relates 24 channels, not places; declare")


def test_as_many_channels_as_cells_are_told_by_how_they_lie() -> None:
    (reason,) = reasons(Channels(96))
    assert reason.startswith("it relates 96 channels or as many places; watch it at another input size, or declare it")

    class Places(Channels):
        def relate(self, x: Tensor) -> Tensor:
            return attend(x.flatten(2).mT)

    net = Places(96).eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    with torch.no_grad():
        x = net.stem(input_of(net))[0].flatten(1).mT
    torch.testing.assert_close(all_heads(map_)[0], (x @ x.mT * 96**-0.5).softmax(1), rtol=1e-3, atol=1e-6)


def input_of(net: nn.Module) -> Tensor:
    """The input that the network got."""
    batches: list[Tensor] = []
    handle = net.register_forward_pre_hook(lambda module, args: batches.append(args[0]))
    segviz.watch(net, IMAGE)
    handle.remove()
    return batches[-1]


def test_pooled_keys_and_narrow_heads_are_not_taken_for_channels() -> None:
    """Queries of 8 x 12 cells whose dim is that of a coarser tensor's cells."""
    tokens = torch.randn(1, 1, 96, 24)
    call = make_call(tokens, x=(1, 48, 4, 6), y=(1, 24, 8, 12))
    assert guess_layout(call, SIZE, None).grid == (8, 12)
