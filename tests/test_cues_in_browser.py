"""The Cues page in a browser: its table fits a desk, and a cell that is opened is marked and comes into view."""

from __future__ import annotations

import pytest
from app_server import LiveApp
from browser import visiting
from playwright.sync_api import Browser, expect

from segviz.models.registry import MODELS
from segviz.results.cue_table import CUE_MEASURES


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_cell_that_is_opened_is_marked_and_its_network_comes_into_view(
    live_app: LiveApp, browser: Browser, width: int, height: int
) -> None:
    with visiting(browser, viewport={"width": width, "height": height}) as page:
        page.goto(f"{live_app.address}/cues")
        table = page.get_by_role("table", name="Blocks by kinds of cue")
        current = table.locator("[aria-current=true]")
        expect(current).to_have_count(1, timeout=60_000)
        more = page.get_by_text("More columns to the right")
        for measure in reversed(CUE_MEASURES):
            page.get_by_role("radio", name=measure).click()
            expect(page.get_by_text(CUE_MEASURES[measure])).to_be_visible()
            expect(more).to_be_visible(visible=width < 1280)
            needed, room = table.evaluate("one => [one.scrollWidth, one.parentElement.clientWidth]")
            assert (needed <= room) is (width == 1280), measure
        row = table.get_by_role("row", name=MODELS["fla"].title)
        row.get_by_role("button").last.click()
        heading = page.get_by_role("heading", name=f"{MODELS['fla'].title}, the nearer of two")
        expect(heading).to_be_in_viewport()
        expect(page.locator(".st-key-opened")).to_be_focused()
        expect(page.locator(".st-key-viewer-frame canvas").first).to_be_in_viewport()
        expect(current).to_have_count(1)
        assert row.get_by_role("button").last.get_attribute("aria-current") == "true"
