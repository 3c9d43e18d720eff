"""The text of a page that stands alone: HTML, data, scripts and style.

Names in it are untrusted: they are escaped text in HTML, and JSON in which no letter can end the script. A content
security policy forbids all requests, and all scripts but the viewer's own, which it knows by their digest.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from typing import Any

from segviz.attention.maps import NetworkMap
from segviz.text import plain_text
from segviz.version import VERSION
from segviz.viewer.describe_panel import describe_viewer
from segviz.viewer.pack_map import encode_picture
from segviz.viewer.page_content import PackedMaps, WebPage
from segviz.viewer.panel import Panel
from segviz.viewer.source import join_page_script, read_markup, read_page_style

MAX_PINS = 8
MOST_ROWS = 500  # of the details
CAUTION = "A map shows where the network reads from. It does not show why the network answers as it does."


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
        first=page.first,
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
    use = "Click to pin a point, hold Space to hide the maps, turn the wheel with Ctrl to zoom."
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
