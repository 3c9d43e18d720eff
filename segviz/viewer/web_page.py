"""One HTML file that shows the live viewer without a server: picture, maps, scripts and style are in it."""

from __future__ import annotations

import html
from dataclasses import replace

from segviz.viewer.page_content import PackedMaps, WebPage, pack_maps, shrink_pixels
from segviz.viewer.page_document import escape, write_document
from segviz.viewer.panel import Panel

PAGE_BYTES = 8_000_000  # of a file that goes by mail


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
        raise ValueError(f"the page takes {sizes}; {page.advice}")
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
