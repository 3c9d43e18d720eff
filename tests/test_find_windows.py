"""Windows that nothing in a network describes, found by how changes of the picture reach its tokens."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from test_cli import segviz as run_segviz
from torch import Tensor, nn
from watch_cases import all_heads

import segviz
from segviz.attention.windowed import WindowedAttention, spread_window_places, window_places
from segviz.catalogue.entry import CatalogueEntry
from segviz.engine.open_model import open_catalogue_entry
from segviz.image import Rgb
from segviz.watch import watch_network
from segviz.watch.call import AttentionCall
from segviz.watch.findings import FOUND_WINDOWS
from segviz.watch.fit_windows import fit_windows
from segviz.watch.network_view import NetworkView
from segviz.watch.probe_places import RUNS, STRIPE_LEVELS, change_stripes

GRID, DIM, HEADS = (12, 16), 8, 2
PICTURE: Rgb = np.random.default_rng(0).integers(60, 200, (96, 128, 3)).astype(np.uint8)


class Folded(nn.Module):
    """Attention within windows of given places, (windows, tokens), by `fold`, which knows nothing else of them."""

    def __init__(self, places: Tensor, first: str = "windows") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.qkv, self.num_heads = nn.Conv2d(3, DIM, 8, 8), nn.Linear(DIM, 3 * DIM), HEADS
        self.places, self.first = places, first

    def forward(self, batch: Tensor) -> Tensor:
        cells = self.stem(batch).flatten(2).mT[0]
        tokens = torch.cat([cells, torch.zeros(1, DIM)])[self.places]  # (windows, tokens, dim); -1 is padding
        parts = self.qkv(tokens)
        parts = parts.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if self.first == "heads":
            parts = parts.transpose(1, 2)
        elif self.first == "one axis":
            parts = parts.flatten(1, 2)
        queries, keys, values = parts
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values)
        if self.first == "heads":
            mixed = mixed.transpose(0, 1)
        mixed = mixed.reshape(len(self.places), HEADS, -1, DIM // HEADS).transpose(1, 2).flatten(2)
        out = torch.zeros(len(cells) + 1, DIM)
        out[self.places.flatten()] = mixed.flatten(0, 1)
        return out[:-1].mT.unflatten(1, GRID)[None]


def find(places: Tensor, first: str = "windows", **options: Any) -> NetworkView:
    return segviz.watch(Folded(places, first).eval(), PICTURE, find_windows=True, **options)


def in_columns(places: Tensor, rows: int, columns: int) -> Tensor:
    """The windows column by column."""
    return places.unflatten(0, (rows, columns)).transpose(0, 1).flatten(0, 1)


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "side by side": lambda: window_places(GRID, (4, 4)),
    "oblong": lambda: window_places(GRID, (6, 4)),
    "shifted": lambda: window_places(GRID, (4, 4), (2, 2)),
    "padded": lambda: window_places(GRID, (5, 6)),
    "padded, then shifted": lambda: window_places(GRID, (5, 6), (2, 3)),
    "shifted, then padded": lambda: window_places(GRID, (5, 6), (2, 3), roll_first=True),
    "spread": lambda: spread_window_places(GRID, (4, 4)),
    "rows": lambda: window_places(GRID, (1, 16)),
    "columns": lambda: window_places(GRID, (12, 1)),
    "column by column": lambda: in_columns(window_places(GRID, (4, 4)), 3, 4),
    "with tokens column by column": lambda: window_places(GRID, (4, 4)).unflatten(1, (4, 4)).mT.flatten(1),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_windows_are_found(name: str) -> None:
    places = LAYOUTS[name]()
    (map_,) = find(places).maps.values()
    assert isinstance(map_, WindowedAttention) and map_.grid == GRID and map_.heads == HEADS
    assert torch.equal(map_.query_places, places) and torch.equal(map_.key_places, places)


@pytest.mark.parametrize("first", ["heads", "one axis"])
def test_windows_may_be_on_any_axis(first: str) -> None:
    expected, found = (find(window_places(GRID, (4, 4), (2, 2)), one) for one in ("windows", first))
    (map_,), (same,) = found.maps.values(), expected.maps.values()
    torch.testing.assert_close(all_heads(map_), all_heads(same))


def test_the_table_says_how_windows_were_found() -> None:
    view = find(window_places(GRID, (4, 4)))
    (row,) = view.layers
    assert row.state == "kept" and row.check.endswith(f"; {FOUND_WINDOWS}") and "recomputed to within" in row.check
    assert row.shape == "2 heads, 12 x 16, windows of 4 x 4"


def test_without_the_option_the_table_names_it_and_the_network_runs_once() -> None:
    net, runs = Folded(window_places(GRID, (4, 4))).eval(), list[None]()
    net.register_forward_pre_hook(lambda module, args: runs.append(None))
    (row,) = segviz.watch(net, PICTURE).layers
    assert row.state == "passed over" and "find_windows=True, a recipe, or segviz.record" in row.reason
    assert len(runs) == 1
    segviz.watch(net, PICTURE, find_windows=True)
    assert len(runs) == 1 + 1 + RUNS


def test_a_predictor_finds_windows_once_for_each_size() -> None:
    net, runs = Folded(window_places(GRID, (4, 4))).eval(), list[None]()
    net.register_forward_pre_hook(lambda module, args: runs.append(None))
    predictor = segviz.load(net, "cpu", find_windows=True)
    counts = []
    for _ in range(2):
        assert isinstance(predictor(PICTURE).maps["network"], WindowedAttention)
        counts.append(len(runs))
    assert counts == [1 + RUNS, 2 + RUNS]


def test_windows_that_are_not_found_are_not_looked_for_again() -> None:
    order = torch.randperm(192, generator=torch.Generator().manual_seed(0)).reshape(12, 16)
    net, runs = Folded(order).eval(), list[None]()
    net.register_forward_pre_hook(lambda module, args: runs.append(None))
    predictor = segviz.load(net, "cpu", find_windows=True)
    for _ in range(2):
        assert not predictor(PICTURE).maps
    assert len(runs) == 2 + RUNS


def test_the_command_line_and_the_app_find_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "street.png")
    (tmp_path / "net.py").write_text("from test_find_windows import make as build\n")
    source = f"{tmp_path}/net.py:build"
    words = ("watch", tmp_path / "street.png", "--model", source)
    assert run_segviz(*words) == 0 and "groups, which are windows: --find-windows, a recipe" in capsys.readouterr().out
    assert run_segviz(*words, "--find-windows") == 0 and FOUND_WINDOWS in capsys.readouterr().out
    maps = ("attend", tmp_path / "street.png", "--model", source, "--find-windows", "--at", "20,30")
    assert run_segviz(*maps, "--out", tmp_path / "maps") == 0
    assert [one.name for one in (tmp_path / "maps").glob("*attends_to*.png")]
    entry = CatalogueEntry("net", "net", source, find_windows=True)
    assert isinstance(open_catalogue_entry(entry)(PICTURE).maps["network"], WindowedAttention)


def make() -> nn.Module:
    return Folded(window_places(GRID, (4, 4))).eval()


def test_a_network_without_folded_windows_runs_once() -> None:
    net, runs = timm.create_model("test_vit").eval(), list[None]()
    net.register_forward_pre_hook(lambda module, args: runs.append(None))
    segviz.watch(net, PICTURE, find_windows=True)
    assert len(runs) == 1


def test_windows_are_found_in_a_gray_picture() -> None:
    gray = np.full((96, 128, 3), 127, np.uint8)  # its inverse would be nearly the same
    (map_,) = find_in(gray, verify_places=True).maps.values()
    assert isinstance(map_, WindowedAttention) and torch.equal(map_.query_places, window_places(GRID, (4, 4)))


def test_windows_of_no_known_form_are_not_found() -> None:
    order = torch.randperm(192, generator=torch.Generator().manual_seed(0)).reshape(12, 16)
    view = find(order)
    assert not view.maps and "which are windows" in view.layers[0].reason


@pytest.mark.parametrize(("shift", "found"), [((0, 0), True), ((4, 4), True), ((1, 1), False), ((0, 1), False)])
def test_windows_shifted_by_another_number_of_cells_are_not_taken_for_the_nearest(
    shift: tuple[int, int], found: bool
) -> None:
    grid = (48, 64)
    expected = window_places(grid, (8, 8), shift)
    places = torch.stack([(expected // 64 + 0.5) / 48, (expected % 64 + 0.5) / 64], 2)[:, None]
    places = places + 0.02 * torch.randn(places.shape, generator=torch.Generator().manual_seed(0))
    tokens = torch.zeros(48, 1, 64, 4)
    call = AttentionCall("", "softmax", tokens, tokens, 1.0, None, ())
    windows = fit_windows(call, (places, places), (384, 512), (1.0, 1.0))
    assert (windows is not None) is found
    assert windows is None or torch.equal(windows.query_places, expected)


def test_found_windows_are_verified() -> None:
    view = find(window_places(GRID, (4, 4), (2, 2)), verify_places=True)
    assert view.layers[0].places.startswith("places verified")


def test_found_windows_lie_where_a_padded_picture_is() -> None:
    picture = PICTURE[:, :70]
    (map_,) = find_in(picture, size=(96, 128), fit="pad").maps.values()
    assert isinstance(map_, WindowedAttention) and map_.covers[1] > 1
    assert torch.equal(map_.query_places, window_places(GRID, (4, 4)))


def find_in(picture: Rgb, **options: Any) -> NetworkView:
    return segviz.watch(Folded(window_places(GRID, (4, 4))).eval(), picture, find_windows=True, **options)


class Two(nn.Module):
    """Windows, and then shifted windows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Folded(window_places(GRID, (4, 4)))
        self.second = Folded(window_places(GRID, (4, 4), (2, 2)))

    def forward(self, batch: Tensor) -> Tensor:
        out: Tensor = self.first(batch) + self.second(batch)
        return out


def test_without_a_choice_the_last_layer_is_kept() -> None:
    view = segviz.watch(Two().eval(), PICTURE, find_windows=True)
    assert list(view.maps) == ["second"] and [one.state for one in view.layers] == ["listed", "kept"]
    view = segviz.watch(Two().eval(), PICTURE, layers="first", find_windows=True)
    assert list(view.maps) == ["first"] and [one.state for one in view.layers] == ["kept", "listed"]


def test_stripes_number_the_rows_of_a_picture() -> None:
    picture = np.zeros((64, 8, 3), np.uint8)
    codes = [change_stripes(picture, 0, level, odd=True)[:, 0, 0] > 0 for level in range(STRIPE_LEVELS)]
    numbers = sum(bits.astype(int) << level for level, bits in enumerate(codes))
    assert sorted(numbers) == list(range(64))
    assert all((one ^ other).bit_count() == 1 for one, other in pairwise(numbers.tolist()))
    others = [change_stripes(picture, 0, level, odd=False)[:, 0, 0] > 0 for level in range(STRIPE_LEVELS)]
    assert all((one ^ other).all() for one, other in zip(codes, others, strict=True))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_maxvit", "nest_tiny"])
def test_windows_of_libraries_are_found_as_their_recipes_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    expected = segviz.watch(net, PICTURE, layers="*").maps
    monkeypatch.setattr(watch_network, "find_recipes", tuple)
    found = segviz.watch(net, PICTURE, layers="*", find_windows=True).maps
    windowed = {path: one for path, one in expected.items() if isinstance(one, WindowedAttention)}
    same = [path for path in windowed if isinstance(found.get(path), WindowedAttention)]
    assert len(same) >= 2
    for path in same:
        for cell in range(0, windowed[path].grid[0] * windowed[path].grid[1], 61):
            torch.testing.assert_close(found[path].head_rows(cell), windowed[path].head_rows(cell))
