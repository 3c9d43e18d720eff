"""One HTML file that shows the live viewer without a server: picture, maps, scripts and style are in it.

Names in it are untrusted: they are escaped text in HTML, and JSON in which no letter can end the script. A content
security policy forbids all requests, and all scripts but the viewer's own, which it knows by their digest.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import NetworkMap
from segviz.text import plain_text
from segviz.version import VERSION
from segviz.viewer.describe_panel import describe_viewer
from segviz.viewer.display import Display
from segviz.viewer.pack_map import encode_picture, identity_of, pack_map
from segviz.viewer.panel import LabelMap, Panel, PanelMap, Pin, ShareMap
from segviz.viewer.source import join_page_script, read_markup, read_page_style
from segviz.viewer.view import ZoomedView

PAGE_BYTES = 8_000_000  # of a file that goes by mail
MOST_PIXELS = 1024 * 2048  # larger pictures, labels and shares are scaled down to so many
MAX_PINS = 8
MOST_ROWS = 500  # of the details
CAUTION = "A map shows where the network reads from. It does not show why the network answers as it does."


@dataclass(frozen=True)
class WebPage:
    """What a page shows.

    Attributes:
        title: the heading, and the name of the browser's tab.
        sentence: what is seen, in one plain sentence.
        facts: names and values that stand below the heading, such as the picture's name and the model's.
        caveats: what a reader should know about the maps, a sentence each.
        image: the picture.
        size: the (height, width) in which pixels are counted; the picture itself may be scaled down.
        panels: what is shown over it.
        pins: the points to begin with.
        display: the settings to begin with.
        view: the zoom to begin with; None for the whole picture.
        columns: how many panels stand side by side where there is room.
        rest: the pixel (y, x) whose maps are shown first, where there are no pins; None for the middle.
        pin_rows: whether each kept point gets the maps once more, in a row of its own.
        advice: how to make the page smaller, as the end of an error.
        details: lines of text that stand folded at the end, such as a table of what was found.
    """

    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    caveats: tuple[str, ...]
    image: UInt8[np.ndarray, "rows columns 3"]
    size: tuple[int, int]
    panels: tuple[Panel, ...]
    pins: tuple[Pin, ...] = ()
    display: Display = field(default_factory=Display)
    view: ZoomedView | None = None
    columns: int = 2
    rest: tuple[int, int] | None = None
    pin_rows: bool = True
    advice: str = "choose fewer panels"
    details: str = ""


@dataclass(frozen=True)
class PackedMaps:
    """A page's maps as text, each once.

    Attributes:
        names: the name of each map in the page, by the identity of its arrays.
        texts: compressed bytes as base64, by name.
    """

    names: dict[int, str]
    texts: dict[str, str]

    def name_of(self, value: PanelMap) -> str:
        """The name of a map in the page."""
        return self.names[id(identity_of(value))]


def page_html(page: WebPage, most: int = PAGE_BYTES) -> str:
    """The page as HTML.

    Raises:
        ValueError: it would take more than `most` bytes.
    """
    page = shrink_pixels(page)
    maps = pack_maps(page.panels)
    document = write_document(page, maps)
    size = len(document.encode())
    if size > most:
        sizes = f"{size / 1e6:.1f} MB, more than {most / 1e6:.1f}"
        raise ValueError(f"the page takes {sizes}; {page.advice}, or allow a larger file")
    return document


def page_that_fits(page: WebPage, most: int = PAGE_BYTES) -> str:
    """The page as HTML, without the panels that do not fit into `most` bytes; it says which are left out."""
    page = shrink_pixels(page)
    frame = len(write_document(replace(page, panels=()), PackedMaps({}, {})).encode()) + 2000 * (1 + len(page.panels))
    packed, size, kept, out = PackedMaps({}, {}), frame, list[Panel](), list[Panel]()
    for panel in page.panels:
        more = pack_maps([panel], packed.names)
        if size + sum(map(len, more.texts.values())) > most:
            out.append(panel)
            continue
        size += sum(map(len, more.texts.values()))
        packed = PackedMaps(packed.names | more.names, packed.texts | more.texts)
        kept.append(panel)
    if out:
        names = ", ".join(f"“{one.title}”" for one in out)
        reason = f"Left out, as the page would take more than {most / 1e6:.0f} MB: {names}."
        page = replace(page, panels=tuple(kept), caveats=(*page.caveats, reason))
    return write_document(page, packed)


def pack_maps(panels: Sequence[Panel], known: dict[int, str] | None = None) -> PackedMaps:
    """The maps of panels, without those that are known."""
    before = known or {}
    names: dict[int, str] = {}
    texts: dict[str, str] = {}
    for panel in panels:
        for one in (panel, *(panel.sides or ())):
            if one.map is None:
                continue
            key = id(identity_of(one.map))
            if key in before or key in names:
                continue
            names[key] = f"map-{len(before) + len(names) + 1}"
            texts[names[key]] = base64.b64encode(gzip.compress(pack_map(one.map), 6, mtime=0)).decode("ascii")
    return PackedMaps(names, texts)


def shrink_pixels(page: WebPage) -> WebPage:
    """The page with picture, labels and shares of at most `MOST_PIXELS`; pixels are counted as before."""
    height, width = page.size
    ratio = (MOST_PIXELS / (height * width)) ** 0.5
    if ratio >= 1:
        return page
    small = max(1, int(height * ratio)), max(1, int(width * ratio))
    known: dict[int, PanelMap] = {}

    def shrink(panel: Panel) -> Panel:
        sides = None if panel.sides is None else (shrink(panel.sides[0]), shrink(panel.sides[1]))
        return replace(panel, map=None if panel.map is None else shrink_map(panel.map, small, known), sides=sides)

    image = page.image if page.image.shape[0] * page.image.shape[1] <= MOST_PIXELS else resize_pixels(page.image, small)
    return replace(page, image=image, panels=tuple(shrink(panel) for panel in page.panels))


def shrink_map(value: PanelMap, size: tuple[int, int], known: dict[int, PanelMap]) -> PanelMap:
    """Labels or shares of a smaller size, made once; any other map itself."""
    if not isinstance(value, LabelMap | ShareMap):
        return value
    key = id(identity_of(value))
    if key not in known:
        if isinstance(value, LabelMap):
            known[key] = replace(value, labels=resize_pixels(value.labels, size))
        else:
            known[key] = ShareMap(resize_pixels(value.shares, size))
    return known[key]


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture's mean colours at a smaller size; of labels and shares, one pixel's value each."""
    method = cv2.INTER_AREA if pixels.ndim == 3 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=method))


# ---- the document -----------------------------------------------------------------------------------------


def write_document(page: WebPage, maps: PackedMaps) -> str:
    """The whole file: what it says, the viewer's markup, the data and the script."""
    script, style = join_page_script(), read_page_style()
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy_of(script, style)}">',
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">',
        f'<meta name="generator" content="segviz {VERSION}"><link rel="icon" href="data:,">',
        f"<title>{escape(page.title)}</title><style>{style}</style></head><body><main>",
        write_about(page),
        write_heads(page.panels),
        read_markup(),
        write_footer(page),
        "</main>",
        f'<script type="application/json" id="viewer-data">{json_for_html(viewer_data(page, maps))}</script>',
        *(f'<script type="text/plain" data-map="{name}">{text}</script>' for name, text in maps.texts.items()),
        f'<script type="module">{script}</script>',
        "</body></html>",
    ]
    return "\n".join(parts)


def policy_of(script: str, style: str) -> str:
    """The content security policy: no requests at all, this script and this style alone, WebAssembly from them."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{digest_of(script)}' 'wasm-unsafe-eval'",
            f"style-src '{digest_of(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def digest_of(text: str) -> str:
    """The digest of a script or style, as a content security policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def viewer_data(page: WebPage, maps: PackedMaps) -> dict[str, Any]:
    """What viewer.js and page.js read."""
    content, kind = encode_picture(page.image)
    picture = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    described = describe_viewer(
        picture,
        page.size,
        page.panels,
        page.pins,
        maps.name_of,
        columns=page.columns,
        max_pins=MAX_PINS,
        rest=page.rest,
        display=page.display,
        view=page.view,
    )
    return {**described, "pinRows": page.pin_rows}


def write_about(page: WebPage) -> str:
    """The heading, the facts, and what is seen."""
    known = [(escape(name), escape(value)) for name, value in page.facts if value]
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in known)
    return f'<header class="about"><h1>{escape(page.title)}</h1><dl>{facts}</dl><p>{escape(page.sentence)}</p></header>'


def write_heads(panels: Sequence[Panel]) -> str:
    """The choice of a head for all panels of a network's maps; nothing where panels show different heads, or one."""
    maps = [(panel.map, panel.head) for panel in panels if isinstance(panel.map, NetworkMap)]
    most, shown = max((one.heads for one, _ in maps), default=1), {head for _, head in maps}
    if most == 1 or len(shown) > 1:
        return ""
    names = [("mean", "mean of all"), ("largest", "largest of all"), *((str(head), str(head)) for head in range(most))]
    options = "".join(
        f'<option value="{value}"{" selected" if {value} == {str(head) for head in shown} else ""}>{name}</option>'
        for value, name in names
    )
    return f'<p class="heads"><label>Head <select id="head">{options}</select></label></p>'


def write_footer(page: WebPage) -> str:
    """How to use the viewer, what to know about the maps, and who made the page."""
    use = "Click to keep a point, press Space to hide the maps, turn the wheel with Ctrl to zoom."
    lines = (*page.caveats, CAUTION, use, f"Made with segviz {VERSION}. This file needs no network.")
    said = "".join(f"<p>{escape(line, 2000)}</p>" for line in lines if line)
    rows = "\n".join(escape(row, 1000) for row in page.details.splitlines()[:MOST_ROWS])
    folded = f"<details><summary>Details</summary><pre>{rows}</pre></details>" if rows else ""
    return f"<footer>{said}{folded}</footer>"


def escape(text: str, most: int = 300) -> str:
    """Any text as text of an HTML page."""
    return html.escape(plain_text(text, most))


def json_for_html(value: object) -> str:
    """JSON that stands in a script element: no letter of it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def iframe_html(document: str, page: WebPage) -> str:
    """The page as part of a notebook: in a frame of its own, so that its scripts run, and reach nothing else.

    Args:
        document: the page as HTML.
        page: the same page, whose shape gives the height of the frame.
    """
    rows = -(-len(page.panels) // page.columns)
    tall = 240 + rows * (170 + 440 * page.size[0] / page.size[1])
    return (
        f'<iframe srcdoc="{html.escape(document)}" sandbox="allow-scripts" title="{escape(page.title)}" width="100%" '
        f'height="{round(min(max(tall, 480), 900))}" style="border: 0; width: 100%"></iframe>'
    )
