"""Hosts the viewer on a blank page without Streamlit: its modules, maps of every kind, and pointer helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from segviz.attention.maps import (
    AttendedFeatures,
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    FeatureSimilarity,
    InterlacedAttention,
    OffsetMaskAttention,
    PooledAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.viewer import wire
from segviz.viewer.pack_map import encode_picture
from segviz.viewer.panel import PIN_COLOURS
from segviz.viewer.source import SCRIPTS, VIEWER_FOLDER, join_scripts, read_markup, read_style
from tests.block_cases import block_maps

GRID = (5, 7)
CELLS = GRID[0] * GRID[1]
HEIGHT, WIDTH = 150, 210  # the picture: 30 pixels per cell
PSA_FEATURES = (10, 13)  # the grid that PSA shrinks to GRID
REACH = (1, 2)  # reach of the masks that do not cover the whole grid
PHONE = 640  # CSS pixels up to which a window is a phone's
ADDRESS = "http://viewer.test"
PAGE = b'<!doctype html><meta name="viewport" content="width=device-width"><title>viewer</title><body></body>'


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def sampled() -> SampledAttention:
    window = torch.cartesian_prod(torch.arange(-1.0, 2), torch.arange(-1.0, 2))
    cells = torch.cartesian_prod(torch.arange(5.0), torch.arange(7.0))
    positions = cells[:, None] + window + 0.7 * random(CELLS, 9, 2)  # some of them outside
    positions[3, 0] = torch.tensor([2.0, 4.0])  # and one exactly on a cell
    positions[4, 0] = torch.tensor([4.0, 6.0])  # and one on the last cell
    positions[5, 0] = torch.tensor([40.0, -70.0])  # and one far off
    return SampledAttention("samples", GRID, positions, random(CELLS, 9).softmax(1), window)


def masks(direction: Any, divisor: float | None = None, reach: tuple[int, int] | None = None) -> OffsetMaskAttention:
    logits = random(CELLS, CELLS)
    logits[0, 5:20] = -torch.inf  # beyond a mask's reach
    if reach is not None:
        row, column = torch.arange(CELLS) // GRID[1], torch.arange(CELLS) % GRID[1]
        far = ((row[:, None] - row).abs() > reach[0]) | ((column[:, None] - column).abs() > reach[1])
        logits = random(CELLS, CELLS).masked_fill(far, -torch.inf)
    return OffsetMaskAttention(direction, GRID, logits, direction, divisor, PSA_FEATURES)


def unit_features() -> torch.Tensor:
    """Features of length 1, in steps of the wire: the browser gets the same numbers."""
    unit = torch.nn.functional.normalize(random(CELLS, 9), dim=1)
    return (unit * wire.UNIT_STEPS).round() / wire.UNIT_STEPS


def interlaced() -> InterlacedAttention:
    """3 x 3 blocks of 2 x 3 cells over 5 x 7, padded by nothing above and a column at the left."""
    blocks, places = 9, 6
    far, near = random(2, places, blocks, 4), random(2, blocks, places, 4) * 0.7
    return InterlacedAttention("interlaced", GRID, *far, *near, (2, 3), (0, 1))


CROSS = CrissCrossAttention("cross", GRID, random(3, CELLS, 5), random(3, CELLS, 5) * 0.5)
MAPS: dict[str, SpatialMap] = {
    "dot": DotProductAttention("dot", GRID, random(CELLS, 6), random(CELLS, 6) + 0.3),
    "vertical": StripAttention("strip", GRID, random(CELLS, 9), random(GRID[1], 9), "vertical"),
    "horizontal": StripAttention("strip", GRID, random(CELLS, 9), random(GRID[0], 9), "horizontal"),
    "cross1": CrissCrossAttention("cross", GRID, random(1, CELLS, 5), random(1, CELLS, 5) + 0.2),
    "cross2": CrissCrossAttention("cross", GRID, random(2, CELLS, 5), random(2, CELLS, 5) - 0.2),
    "cross3": CROSS,
    "last": CROSS.last_pass,
    "bases": BasesAttention("bases", GRID, random(CELLS, 4).softmax(1), random(4, 3)),
    "interlaced": interlaced(),
    "pooled": PooledAttention("regions", GRID, random(CELLS, 3).softmax(1), random(CELLS, 3).softmax(0), "regions"),
    "samples": sampled(),
    "collect": masks("collect"),
    "distribute": masks("distribute"),
    "divided-collect": masks("collect", 35.0),
    "divided-distribute": masks("distribute", 35.0),
    "windows-collect": masks("collect", reach=REACH),
    "windows-distribute": masks("distribute", reach=REACH),
    "windows-divided": masks("collect", 35.0, REACH),
    "line": DotProductAttention("line", (1, 4), random(4, 3), random(4, 3)),
    "corner": OffsetMaskAttention("corner", (1, 4), random(4, 4), "collect", shrunk_from=(2, 7)),
    "similarity": FeatureSimilarity("similarity", GRID, unit_features()),
    "flat": DotProductAttention("flat", GRID, torch.zeros(CELLS, 2), torch.zeros(CELLS, 2)),
}
MISSING = set(get_args(SpatialMap)) - {type(one) for one in MAPS.values()}
if MISSING:  # a kind that the table above leaves out: as a block gives it
    MAPS |= {one.name: one for one in block_maps(GRID) if type(one) in MISSING}
PEAKED_KEYS = torch.zeros(15 * 21, 1)
PEAKED_KEYS[3 * 21 + 4] = 8.93  # this cell has 96 % of every row
FAINT_KEYS = torch.zeros(15 * 21, 1)
FAINT_KEYS[3 * 21 + 4] = 4.2994  # this cell has 19 % of every row, 60 times the even share
FAINT = DotProductAttention("faint", (15, 21), torch.ones(15 * 21, 1), FAINT_KEYS)
PEAKED = DotProductAttention("peaked", (15, 21), torch.ones(15 * 21, 1), PEAKED_KEYS)
NARROW_GRID, NARROW_PEAKS = (4, 1600), (401, 802, 1203)  # columns of the second row that have all the weight
NARROW_KEYS = torch.zeros(4 * 1600, 1)
NARROW_KEYS[[1600 + column for column in NARROW_PEAKS]] = 30
NARROW = DotProductAttention("narrow", NARROW_GRID, torch.ones(4 * 1600, 1), NARROW_KEYS)
FEATURES = AttendedFeatures("features", GRID, random(*GRID), random(*GRID).abs())
LABELS = np.repeat(np.arange(3, dtype=np.uint8), HEIGHT * WIDTH // 3).reshape(HEIGHT, WIDTH)  # three bands
OTHER = np.ascontiguousarray(LABELS[:, ::-1]).copy()
OTHER[:, : WIDTH // 2] = 1
SHARES = np.linspace(0, 0.9, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
SIGNED = random(*GRID).numpy()
SIGNED[SIGNED > 0] /= 2  # the largest value is negative
VALUES = {"signed": SIGNED, "positive": np.abs(SIGNED), "fine": random(HEIGHT // 3, WIDTH // 2).numpy()}
GAPS = SIGNED.copy()
GAPS[1, 2:4] = np.nan
PARTLY_SURE = np.where(np.arange(WIDTH) < 3, np.float32(np.nan), SHARES)
CLASSES = ["sky", "tree", "road"]
PALETTE = [[10, 20, 200], [20, 160, 30], [200, 200, 40]]


def files() -> dict[str, tuple[str, bytes]]:
    """Content types and bodies that the host serves, by path."""
    found = {
        "/": ("text/html", PAGE),
        "/viewer.js": ("text/javascript", join_scripts().encode()),
        "/picture": ("image/png", encode_picture(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[0]),
        "/garbage": ("application/octet-stream", b"\x04\x00\x00\x00{}{}"),
    }
    blobs = {name: wire.pack(value) for name, value in MAPS.items()}
    blobs |= {name: wire.pack_values(values) for name, values in VALUES.items()}
    blobs |= {"features": wire.pack(FEATURES), "labels": wire.pack_labels(LABELS), "other": wire.pack_labels(OTHER)}
    blobs |= {"shares": wire.pack_shares(SHARES), "partly": wire.pack_shares(PARTLY_SURE)}
    blobs |= {"peaked": wire.pack(PEAKED), "faint": wire.pack(FAINT), "narrow": wire.pack(NARROW)}
    blobs["gaps"] = wire.pack_values(GAPS)
    found |= {f"/{name}": ("application/octet-stream", content) for name, content in blobs.items()}
    return found | {
        f"/modules/{name}": ("text/javascript", (VIEWER_FOLDER / "js" / name).read_bytes()) for name in SCRIPTS
    }


def serve(page: Page, host: dict[str, tuple[str, bytes]]) -> None:
    """Answers all of a page's requests."""

    def answer(route: Any) -> None:
        kind, body = host.get(route.request.url.removeprefix(ADDRESS).split("?")[0], ("", b""))
        route.fulfill(status=200 if kind else 404, content_type=kind or "text/plain", body=body)

    page.route("**/*", answer)
    page.goto(f"{ADDRESS}/")


@contextmanager
def open_host(browser: Browser, **context: Any) -> Iterator[Page]:
    """Opens the host in a context of its own; fails if the page raised an error."""
    opened = browser.new_context(**{"viewport": {"width": 1000, "height": 900}, **context})
    page, errors = opened.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    serve(page, files())
    yield page
    opened.close()
    assert errors == []


MOUNT = """async ({html, css, data, count}) => {
  window.unmount?.();
  const component = (await import('/viewer.js?' + count)).default;  // anew, with settings of its own
  document.body.replaceChildren(document.createElement('div'));
  const root = document.body.firstChild.attachShadow({mode: 'open'});
  root.innerHTML = html;
  const style = document.createElement('style');
  style.textContent = css;
  root.append(style);
  window.edits = [];
  window.show = (data) => { window.unmount = component({data: [data], parentElement: root,
    setStateValue: (name, value) => window.edits.push([name, value])}); };
  window.show(data);
}"""
PIXELS = """(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""
mounts = 0


def config(title: str, look: str, of: str | None, **more: Any) -> dict[str, Any]:
    """A panel as Python describes it."""
    return {"title": title, "note": "", "look": look, "at": None, "map": of and f"/{of}", **more}


def classes(title: str, of: str = "labels", **more: Any) -> dict[str, Any]:
    """A panel of classes."""
    return config(title, "labels", of, **{"classes": CLASSES, "palette": PALETTE, **more})


def data(*panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What Python sends."""
    return {
        "picture": "/picture",
        "height": HEIGHT,
        "width": WIDTH,
        "columns": 2,
        "panels": panels,
        "pins": [],
        "echo": None,
        "colours": PIN_COLOURS,
        "maxPins": 3,
        **more,
    }


def put(page: Page, content: dict[str, Any]) -> None:
    """Mounts the component as Streamlit does."""
    global mounts
    mounts += 1
    html, css = read_markup(), read_style()
    page.mouse.move(1, 899)
    page.evaluate(MOUNT, {"html": html, "css": css, "data": content, "count": mounts})


def mount(page: Page, content: dict[str, Any]) -> None:
    """Mounts the component and waits until every panel is drawn; at a desk, with the display settings open."""
    put(page, content)
    if (page.viewport_size or {"width": 0})["width"] > PHONE:
        unfold_toolbar(page)
    expect(page.locator(".stage[data-ready='1']")).to_have_count(len(content["panels"]))


def unfold_toolbar(page: Page) -> None:
    """Shows the display settings where the toolbar has no room for them."""
    fold = page.get_by_role("button", name="Display")
    if fold.is_visible() and fold.get_attribute("aria-expanded") == "false":
        fold.click()


def stage(page: Page, title: str) -> Locator:
    return page.locator(f".stage[data-panel='{title}']")


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return {"x": found["x"], "y": found["y"], "width": found["width"], "height": found["height"]}


def hover(page: Page, title: str, row: int, column: int) -> tuple[float, float]:
    """Moves the pointer to the middle of a cell of the 5 x 7 grid, where nothing is zoomed; returns where that is."""
    there = box(stage(page, title))
    x = there["x"] + (column + 0.51) / GRID[1] * there["width"]
    y = there["y"] + (row + 0.51) / GRID[0] * there["height"]
    page.mouse.move(x, y)
    return x, y


def pins(page: Page) -> Any:
    """The pins of the last edit that went to Python."""
    return page.evaluate("window.edits.filter(([name]) => name === 'edit').at(-1)[1].pins")
