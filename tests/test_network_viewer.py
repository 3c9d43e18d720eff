"""Maps of networks in the viewer: rows and columns equal Python's on every cell, in every view of the heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch
from network_map_cases import HEADS, NETWORK_MAPS, OBJECT_MAPS
from playwright.sync_api import Browser, Page, expect
from viewer_host import HEIGHT, WIDTH, config, data, files, hover, mount, serve, stage

from segviz.attention.deformable import DeformableAttention
from segviz.attention.head_map import HeadMap
from segviz.attention.maps import NetworkMap
from segviz.viewer import wire

MODULES = ["cells", "deformable", "maps", "wire", "wasm_products"]
BLOBS = {name.replace(" ", "-"): one for name, one in (NETWORK_MAPS | OBJECT_MAPS).items()}
CLOSE = 1e-3  # of the largest weight
LOAD = """async ([name, wasm]) => { window.f = maps.unpack(await (await fetch('/' + name)).arrayBuffer(), wasm); }"""
EVERY = """([rule, grid, head]) => Array.from({length: grid[0]}, (_, r) => Array.from({length: grid[1]}, (_, c) =>
    Array.from(maps[rule](f, r, c, undefined, head))))"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page with the functions of the viewer's modules in `maps`; fails if it raised an error."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    opened, errors = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    kind = "application/octet-stream"
    serve(opened, files() | {f"/{name}": (kind, wire.pack(one)) for name, one in BLOBS.items()})
    opened.evaluate(
        """async (names) => { window.maps = {};
        for (const name of names) Object.assign(maps, await import(`/modules/${name}.js`)); }""",
        MODULES,
    )
    yield opened
    context.close()
    assert errors == []


def load(page: Page, name: str, wasm: bool = False) -> Any:
    page.evaluate(LOAD, [name.replace(" ", "-"), wasm])
    return (NETWORK_MAPS | OBJECT_MAPS)[name]


def assert_close(found: Any, expected: torch.Tensor) -> None:
    wanted = expected.numpy()
    np.testing.assert_allclose(
        np.array(found, np.float32).reshape(wanted.shape), wanted, rtol=0, atol=CLOSE * np.abs(wanted).max()
    )


@pytest.mark.parametrize("wasm", [False, True], ids=["plain", "wasm"])
@pytest.mark.parametrize("name", NETWORK_MAPS)
def test_rows_and_columns_of_every_view_equal_pythons(page: Page, name: str, wasm: bool) -> None:
    one = load(page, name, wasm)
    for head in (*range(one.heads), "mean", "largest"):
        for rule, method, grid in (
            ("attendsTo", one.attends_to, one.grid),
            ("attendedBy", one.attended_by, one.key_grid),
        ):
            cells = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
            expected = torch.stack([method(*cell, head).flatten() for cell in cells])
            found = np.array(page.evaluate(EVERY, [rule, grid, head])).reshape(len(cells), -1)
            assert_close(found, expected)


@pytest.mark.parametrize("wasm", [False, True], ids=["plain", "wasm"])
@pytest.mark.parametrize("name", OBJECT_MAPS)
def test_object_queries_equal_pythons(page: Page, name: str, wasm: bool) -> None:
    one = load(page, name, wasm)
    for head in (*range(one.heads), "mean", "largest"):
        for query in range(one.query_count):
            found = page.evaluate(
                "([query, head]) => Array.from(maps.queryMap(f, query, undefined, head))", [query, head]
            )
            assert_close(found, one.query_map(query, head))
            share = page.evaluate("([query, head]) => maps.shareOff(f, query, head)", [query, head])
            assert share == pytest.approx(one.prefix_share(query, head), abs=CLOSE)
        for row, column in ((0, 0), (2, 3), (4, 6)):
            found = page.evaluate("([r, c, head]) => Array.from(maps.queriesAt(f, r, c, head))", [row, column, head])
            assert_close(found, one.attended_by(row, column, head))


@pytest.mark.parametrize("name", [name for name, one in NETWORK_MAPS.items() if isinstance(one, HeadMap)])
def test_the_share_off_the_picture_equals_pythons(page: Page, name: str) -> None:
    one = load(page, name)
    prefix = getattr(one, "prefix", 0)
    for head in (0, "mean", "largest"):
        for row, column in ((0, 0), (2, 3), (one.grid[0] - 1, one.grid[1] - 1)):
            query = one.index(row, column) + prefix
            share = page.evaluate("([query, head]) => maps.shareOff(f, query, head)", [query, head])
            assert min(1, max(0, share)) == pytest.approx(one.prefix_share(row, column, head), abs=CLOSE)


@pytest.mark.parametrize("name", ["tokens", "offsets"])
def test_the_map_of_a_token_off_the_picture_equals_pythons(page: Page, name: str) -> None:
    one = load(page, name)
    for head in (1, "mean"):
        found = page.evaluate("(head) => Array.from(maps.queryMap(f, 0, undefined, head))", head)
        assert_close(found, one.prefix_attends_to(0, head))


@pytest.mark.parametrize("name", ["heads", "coarse keys", "covers", "masked objects"])
@pytest.mark.parametrize("size", [(37, 53), (30, 45), (150, 210)])
def test_pixels_fall_into_pythons_cells_of_both_grids(page: Page, name: str, size: tuple[int, int]) -> None:
    one = load(page, name)
    for look, find in (("attends_to", one.cell), ("attended_by", getattr(one, "key_cell", one.cell))):
        found = page.evaluate(
            """([look, h, w]) => { const { point } = maps.gridsOf(f, look);
            return [Array.from({length: h}, (_, y) => maps.cellOf(point, y, 0, h, w)[0]),
                Array.from({length: w}, (_, x) => maps.cellOf(point, 0, x, h, w)[1])]; }""",
            [look, *size],
        )
        assert found == [[find(y, 0, *size)[0] for y in range(size[0])], [find(0, x, *size)[1] for x in range(size[1])]]


def test_every_kind_of_a_network_is_compared() -> None:
    assert {type(one) for one in BLOBS.values()} == set(get_args(NetworkMap))
    assert {one.heads for one in BLOBS.values()} >= {1, 2, HEADS}


def test_the_comparison_covers_webassembly_and_both_ways_of_sending(page: Page) -> None:
    for name, sent in (("heads", 1), ("steep", 0)):
        load(page, name, wasm=True)
        assert page.evaluate("f.queries.buffer.byteLength") % 65536 == 0, "no WebAssembly memory"
        assert page.evaluate("Boolean(f.queries_unit)") == bool(sent)


# ---- the component --------------------------------------------------------------------------------------


def drawn_largest(page: Page, title: str) -> float:
    return float(stage(page, title).get_attribute("data-max") or "nan")


def test_small_maps_of_heads_look_like_any_others_and_space_hides_no_picture(page: Page) -> None:
    mean = config("mean", "attends_to", "heads", head="mean", wide=True)
    mount(page, data(config("Picture", "plain", None, wide=True), mean, config("one", "attends_to", "heads", head=1)))
    styles = "(panels) => [getComputedStyle(panels).boxShadow, getComputedStyle(panels).outlineStyle]"
    assert page.locator(".panels").evaluate(styles) == ["none", "none"]
    stage(page, "one").focus()
    page.keyboard.down(" ")
    expect(stage(page, "one").locator("canvas.map")).to_be_hidden()
    for title in ("Picture", "mean", "one"):
        expect(stage(page, title).locator(".picture")).to_be_visible()
    page.keyboard.up(" ")


def test_another_head_is_drawn_from_the_same_factors(page: Page) -> None:
    one = NETWORK_MAPS["heads"]
    assert isinstance(one, HeadMap)
    mount(page, data(config("heads", "attends_to", "heads", head=0)))
    hover(page, "heads", 3, 2)
    expect(stage(page, "heads")).to_have_attribute("data-cell", "3,2")
    assert drawn_largest(page, "heads") == pytest.approx(float(one.attends_to(3, 2, 0).max()), rel=CLOSE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for head in (2, "mean", "largest"):
        page.evaluate("(data) => window.show(data)", data(config("heads", "attends_to", "heads", head=head)))
        wanted = float(one.attends_to(3, 2, head).max())
        page.wait_for_function(
            """([title, wanted]) => Math.abs(Number(document.body.firstChild.shadowRoot.querySelector(
            `[data-panel='${title}']`).dataset.max) - wanted) < 1e-3 * wanted""",
            arg=["heads", wanted],
        )
    assert asked == []


def test_each_side_lies_on_its_own_grid(page: Page) -> None:
    one = NETWORK_MAPS["coarse keys"]
    assert isinstance(one, HeadMap)
    mount(page, data(config("coarse", "either", "coarse-keys", head="mean")))
    hover(page, "coarse", 3, 2)
    canvas = stage(page, "coarse").locator("canvas.map")
    expect(stage(page, "coarse")).to_have_attribute("data-cell", "3,2")
    expect(canvas).to_have_attribute("height", str(one.key_grid[0]))
    page.get_by_label("attended by").check()
    hover(page, "coarse", 3, 2)
    row, column = one.key_cell(round(3.5 * HEIGHT / 5), round(2.5 * WIDTH / 7), HEIGHT, WIDTH)
    expect(stage(page, "coarse")).to_have_attribute("data-cell", f"{row},{column}")
    expect(canvas).to_have_attribute("height", str(one.grid[0]))
    wanted = one.attended_by(row, column)
    assert drawn_largest(page, "coarse") == pytest.approx(float(wanted.max()), rel=CLOSE)
    expect(page.locator(".panel .value")).to_contain_text(f"{100 * float(wanted[3, 2]):.3g}"[:3])
    page.get_by_label("attends to").check()
    expect(canvas).to_have_attribute("height", str(one.key_grid[0]))


def test_the_weight_off_the_picture_is_told_for_the_pointed_place(page: Page) -> None:
    one = NETWORK_MAPS["tokens"]
    assert isinstance(one, HeadMap)
    mount(page, data(config("tokens", "attends_to", "tokens", head=1), config("heads", "attends_to", "heads", head=1)))
    hover(page, "tokens", 3, 2)
    share = one.prefix_share(3, 2, 1)
    expect(page.locator(".aside").first).to_have_text(f"{100 * share:#.3g} % of the weight on 2 tokens off the picture")
    expect(page.locator(".aside").nth(1)).to_be_hidden()  # all its weight is on the picture


def test_the_object_queries_that_look_at_the_point_are_listed_and_the_first_is_drawn(page: Page) -> None:
    one = OBJECT_MAPS["objects"]
    mount(page, data(config("looks", "query", "objects", head="mean"), config("one", "query", "objects", query=3)))
    hover(page, "looks", 1, 4)
    weights = one.attended_by(1, 4)
    first, second = weights.argsort(descending=True)[:2].tolist()
    expect(page.locator(".aside").first).to_contain_text(
        f"query {first}: {100 * float(weights[first]):#.3g} %, {second}: "
    )
    assert drawn_largest(page, "looks") == pytest.approx(float(one.query_map(first).max()), rel=CLOSE)
    assert drawn_largest(page, "one") == pytest.approx(float(one.query_map(3).max()), rel=CLOSE)


@pytest.mark.parametrize("name", ["deformable", "coarse queries", "sampling objects"])
def test_the_points_of_a_query_equal_pythons(page: Page, name: str) -> None:
    one = load(page, name)
    for head in (1, "mean", "largest"):
        found = page.evaluate(
            "(head) => maps.deformablePoints(f, 3, head).map((one) => [one.y, one.x, one.weight])", head
        )
        positions, weights = one.points(3, head) if name == "sampling objects" else one.points(0, 3, head)
        places = positions * torch.tensor([5.0, 7.0]) - 0.5
        np.testing.assert_allclose(np.array(found), torch.cat([places, weights[:, None]], 1).numpy(), atol=1e-4)


def test_sampled_points_are_drawn_for_the_pointed_place_and_head(page: Page) -> None:
    one, other = NETWORK_MAPS["deformable"], OBJECT_MAPS["sampling objects"]
    assert isinstance(one, DeformableAttention)
    mount(
        page,
        data(config("own", "points", "deformable", head=1), config("theirs", "points", "sampling-objects", head=0)),
    )
    hover(page, "own", 3, 2)
    positions, weights = one.points(3, 2, 1)
    assert drawn_largest(page, "own") == pytest.approx(float(weights.max()), rel=CLOSE)
    share = 100 * one.prefix_share(3, 2, 1)
    expect(page.locator(".panel .value").first).to_have_text(f"6 samples, {share:#.3g} % of the weight outside")
    first = int(other.attended_by(3, 2, 0).argmax())
    expect(page.locator(".aside").nth(1)).to_contain_text(f"query {first}: ")
    assert drawn_largest(page, "theirs") == pytest.approx(float(other.points(first, 0)[1].max()), rel=CLOSE)
    y, x = (float(at) for at in positions[int(weights.argmax())])
    assert page.evaluate(
        """([y, x]) => { const root = document.body.firstChild.shadowRoot;
        const canvas = root.querySelector("[data-panel='own'] canvas.points");
        return canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3]; }""",
        [y, x],
    )


def test_where_no_object_query_looks_the_panel_says_so(page: Page) -> None:
    mount(page, data(config("few", "query", "few-points")))
    hover(page, "few", 0, 0)
    expect(page.locator(".aside")).to_contain_text("query 1: ")
    hover(page, "few", 4, 6)
    expect(page.locator(".aside")).to_have_text(
        "no query looks here; query 0 is shown · 0 % of the weight on points outside the picture"
    )


FOLLOWED = """() => { const heads = 8, points = 4, levels = [[64, 128], [32, 64], [16, 32], [8, 16]];
    const queries = 64 * 128, count = heads * queries * levels.length * points;
    const positions = Float32Array.from({length: 2 * count}, Math.random);
    const weights = new Float32Array(count).fill(1 / 16), shapes = {weights: [heads, queries, levels.length, points]};
    const f = {kind: "deformable", grid: [64, 128], key_grid: [64, 128], levels, heads, positions, weights, shapes};
    const median = (move) => { const spent = Array.from({length: 41}, (_, n) => { const start = performance.now();
        move(n % 64, (7 * n) % 128); return performance.now() - start; }); return spent.sort((a, b) => a - b)[20]; };
    return [median((r, c) => maps.attendsTo(f, r, c)), median((r, c) => maps.attendedBy(f, r, c))]; }"""


def test_deformable_maps_of_8192_cells_follow_the_pointer(page: Page) -> None:
    assert max(page.evaluate(FOLLOWED)) < 33, "milliseconds; the median, as the machine may be busy"
