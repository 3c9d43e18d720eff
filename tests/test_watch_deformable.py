"""Deformable attention as its authors write it: it is seen, checked, and shown for every level of its queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_cli import segviz as run_segviz
from test_pages import INSPECT, SAME_PIXEL, component, healthy
from test_pages import app as app
from test_pages import pages_of_the_app as pages_of_the_app
from test_pages import ran as ran
from torch import Tensor, nn
from watch_cases import IMAGE

import segviz
from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.grid_map import cell_of_pixel
from segviz.attribution.probe import pass_through
from segviz.watch.layer_features import compare_layer

HEADS, LEVELS, POINTS, DIM = 2, 2, 3, 8
SHAPES = ((8, 12), (4, 6))


class MSDeformAttn(nn.Module):
    """Multi-scale deformable attention (ICLR 2021, eq. 3), with the names of the authors' code."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.sampling_offsets = nn.Linear(DIM, HEADS * LEVELS * POINTS * 2)
        self.attention_weights = nn.Linear(DIM, HEADS * LEVELS * POINTS)
        self.value_proj, self.output_proj = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.wrong = wrong

    def forward(self, query: Tensor, reference_points: Tensor, input_flatten: Tensor, shapes: Tensor) -> Tensor:
        input_spatial_shapes, (n, count, _) = shapes, query.shape
        value = self.value_proj(input_flatten).view(n, -1, HEADS, DIM // HEADS)
        sampling_offsets = 9 * self.sampling_offsets(query).view(n, count, HEADS, LEVELS, POINTS, 2)
        attention_weights = self.attention_weights(query).view(n, count, HEADS, LEVELS * POINTS)
        attention_weights = F.softmax(attention_weights, -1).view(n, count, HEADS, LEVELS, POINTS)
        normalizer = torch.stack([input_spatial_shapes[..., 1], input_spatial_shapes[..., 0]], -1)
        sampling_locations = reference_points[:, :, None, :, None] + sampling_offsets / normalizer[:, None]
        output = sample(value, input_spatial_shapes, sampling_locations + self.wrong, attention_weights)
        output = self.output_proj(output)
        return output


def sample(value: Tensor, shapes: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """A loop over heads and levels, in place of the authors' kernel."""
    parts, heads = value.split([int(h * w) for h, w in shapes], 1), []
    for head in range(HEADS):
        total = torch.zeros(1, DIM // HEADS, weights.shape[1])
        for level, (h, w) in enumerate(shapes.tolist()):
            picture = parts[level][:, :, head].mT.reshape(1, -1, h, w)
            read = F.grid_sample(picture, 2 * places[:, :, head, level] - 1, align_corners=False)
            total = total + (read * weights[:, None, :, head, level]).sum(3)
        heads.append(total)
    return torch.cat(heads, 1).mT


class Net(nn.Module):
    """Two levels of features; places look at both, or five queries do."""

    def __init__(self, objects: bool = False, wrong: float = 0.0) -> None:
        super().__init__()
        self.stem, self.coarser = nn.Conv2d(3, DIM, 8, 8), nn.Conv2d(DIM, DIM, 2, 2)
        self.attention, self.objects = MSDeformAttn(wrong), objects
        self.queries = nn.Parameter(torch.randn(1, 5, DIM))

    def forward(self, batch: Tensor) -> Tensor:
        fine = self.stem(batch)
        tokens = torch.cat([one.flatten(2).mT for one in (fine, self.coarser(fine))], 1)
        sides = [[(torch.arange(side) + 0.5) / side for side in shape] for shape in SHAPES]
        places = torch.cat([torch.stack(torch.meshgrid(*one, indexing="ij"), 2).flatten(0, 1) for one in sides])
        queries, places = (self.queries, torch.rand(5, 2)) if self.objects else (tokens, places.flip(1))
        references = places[None, :, None].expand(1, -1, LEVELS, 2)
        return self.attention(queries, references, tokens, torch.tensor(SHAPES))


def make(**options: object) -> Net:
    torch.manual_seed(3)
    return Net(**options).eval()  # type: ignore[arg-type]


def test_each_level_of_the_queries_has_a_map_and_the_finest_has_the_path_s_name() -> None:
    net = make()
    view = segviz.watch(net, IMAGE, layers="attention")
    assert set(view.maps) == {"attention", "attention:4x6"}
    fine, coarse = view.maps["attention"], view.maps["attention:4x6"]
    for one, grid in ((fine, (8, 12)), (coarse, (4, 6))):
        assert isinstance(one, DeformableAttention) and (one.grid, one.key_grid) == (grid, (8, 12))
    rows = {row.path: row for row in view.layers}
    assert rows["attention"].state == "kept" and "recomputed to within" in rows["attention"].check
    assert rows["attention:4x6"].shape == "2 heads, 4 x 6, keys 8 x 12, 3 points on each of 2 levels"
    assert len(rows) == 2  # its softmax is not told apart
    pixel = 40, 70
    assert fine.cell(*pixel, *IMAGE.shape[:2]) == cell_of_pixel(*pixel, (64, 96), (8, 12))


def test_without_a_choice_the_finest_level_is_kept() -> None:
    view = segviz.watch(make(), IMAGE)
    assert list(view.maps) == ["attention"] and [row.state for row in view.layers] == ["listed", "kept"]


def test_queries_that_are_no_places_are_object_queries() -> None:
    (one,) = segviz.watch(make(objects=True), IMAGE).maps.values()
    assert isinstance(one, DeformableQueries) and (one.query_count, one.grid) == (5, (8, 12))
    assert float(one.query_map(3).sum()) + one.prefix_share(3) == pytest.approx(1, abs=1e-5)


def test_points_that_do_not_give_what_the_call_returned_are_not_shown() -> None:
    view = segviz.watch(make(wrong=0.05), IMAGE)
    (row,) = view.layers
    assert not view.maps and (row.state, row.spelling) == ("passed over", "deformable attention")
    assert "its factors differ from what the call returned by" in row.reason


@pytest.mark.parametrize(("layer", "grid", "first"), [("attention", (8, 12), 0), ("attention:4x6", (4, 6), 96)])
def test_the_features_of_a_level_are_its_own_tokens(layer: str, grid: tuple[int, int], first: int) -> None:
    net, outputs = make(), list[Tensor]()
    one = segviz.watch(net, IMAGE, layers="attention").maps[layer]
    assert isinstance(one, DeformableAttention) and one.grid == grid
    assert one.cell_tokens == range(first, first + grid[0] * grid[1])
    predictor = segviz.load(net, "cpu")
    handle = net.attention.register_forward_hook(lambda module, args, output: outputs.append(output[0]))
    predictor(IMAGE)
    handle.remove()
    unit = F.normalize(outputs[0][first : first + grid[0] * grid[1]], dim=1)
    found = compare_layer(predictor, IMAGE, layer, grid, one.cell_tokens)
    torch.testing.assert_close(found.unit_features, unit, rtol=1e-4, atol=1e-5)


def test_grad_cam_reads_the_tokens_of_a_level() -> None:
    features, seen = torch.randn(2, 120, 5), list[Tensor]()

    class Keep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return 2 * x

    changed = pass_through(Keep(), features, (4, 6), range(96, 120))
    assert torch.equal(seen[0].flatten(2).mT, features[:, 96:])
    assert torch.equal(changed, torch.cat([features[:, :96], 2 * features[:, 96:]], 1))
    changed = pass_through(Keep(), features, (8, 12), range(96))
    assert torch.equal(changed, torch.cat([2 * features[:, :96], features[:, 96:]], 1))
    assert pass_through(Keep(), features, (8, 12), range(48, 144)) is features


def test_the_command_line_draws_the_points(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from test_watch_deformable import make as build\n")
    Image.fromarray(IMAGE).save(tmp_path / "street.png")
    words = ["watch", tmp_path / "street.png", "--model", f"{tmp_path}/net.py:build", "--at", "20,30", "--head", "1"]
    assert run_segviz(*words, "--out", tmp_path / "maps", "--format", "png", "npz") == 0
    looks = ("attends_to", "attended_by", "points")
    names = {f"street_attention_20_30_{look}_head1.png" for look in looks}
    assert {one.name for one in (tmp_path / "maps").iterdir()} == names | {"street_watch.npz"}
    one = segviz.watch(make(), IMAGE).maps["attention"]
    assert isinstance(one, DeformableAttention)
    numbers = np.load(tmp_path / "maps" / "street_watch.npz")
    (weights,) = (numbers[name] for name in numbers.files if name.endswith("points_head1_weights"))
    np.testing.assert_allclose(weights, one.points(*one.cell(20, 30, 64, 96), head=1)[1].numpy(), atol=1e-6)


def test_inspect_and_same_pixel_show_one_level_on_its_own_grid(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text("from test_watch_deformable import make as build\n")
    (tmp_path / "models.toml").write_text('[[model]]\nname = "net"\nsource = "net.py:build"\nsize = [64, 96]\n')
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))
    monkeypatch.setattr("segviz.catalogue.bundled.available_models", lambda: ("spatial_nl",))
    app.query_params["model"] = "net"
    app.switch_page(INSPECT)
    healthy(app.run())
    control = app.selectbox(key="inspect level")
    assert control.options == ["all 2 levels", "level 0: 8 x 12", "level 1: 4 x 6"]
    healthy(control.set_value("1").run())
    titles = ["Attends to (attention level 1)", "Attended by (attention level 1)", "Samples (attention level 1)"]
    assert [one["title"] for one in component(app, "panels")["panels"]][1:] == titles
    assert ["inspect-level", "1"] in component(app, "parameters")["parameters"]
    app.query_params["same_pixel-networks"], app.query_params["same_pixel-level-net-attention"] = "net", "1"
    app.switch_page(SAME_PIXEL)
    healthy(app.run())
    assert component(app, "panels")["panels"][0]["title"] == "net: attention level 1"
