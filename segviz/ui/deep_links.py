"""The app's page under the address of each page, with the server's own address in it.

Without it, Streamlit's browser part takes `/inspect` for a possible place of the server, asks `/inspect/_stcore/health`
and `/inspect/_stcore/host-config` first, and logs two errors of status 404 before it asks the root.
"""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from segviz.ui.page_table import PAGES

SCRIPT = '<script>window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href }</script>'
FIRST_SCRIPT = "<script>"  # of Streamlit's page; ours has to run before those that read it


def add_script(index: str) -> str:
    """Streamlit's page with our script; unchanged where it has no script, as no version so far."""
    return index.replace(FIRST_SCRIPT, f"{SCRIPT}\n    {FIRST_SCRIPT}", 1)


def deep_link_routes(index: str) -> list[Route]:
    """The routes for `st.App`.

    Args:
        index: the page to answer with, as `add_script` returns it.
    """

    async def page(_: Request) -> Response:
        return HTMLResponse(index, headers={"Cache-Control": "no-cache"})

    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return [Route(f"/{base}/{address}" if base else f"/{address}", page) for address in addresses()]


def addresses() -> Iterator[str]:
    """The addresses of all pages but the one at the root, former ones too."""
    for row in PAGES:
        yield from filter(None, (row.address, *row.former))
