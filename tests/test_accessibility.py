"""The pages for everyone: axe-core finds nothing serious, colours can be told apart, keys reach all, nothing jumps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from app_server import LiveApp
from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE, WIDER, visiting
from playwright.sync_api import Browser, Page, expect

from segviz.server.launch import app_script
from segviz.ui.page_table import ROWS

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
HANDHELD: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
CHARTS = ("fla", "sam", "compare", "results")  # pages that open with charts
THEMES = {
    base: {"plain": theme, "sidebar": theme | theme["sidebar"]}
    for base, theme in tomllib.loads((app_script().parent / ".streamlit/config.toml").read_text())["theme"].items()
    if base in ("light", "dark")
}
TEXT, SIGN = 4.5, 3.0  # WCAG 2.2, AA: the least contrast of texts, and of what tells a control from its ground
FADED = 0.6  # opacity of captions in Streamlit
CHOSEN = 0.25  # opacity of the accent below a chosen segment that has the focus
FIRST = {"results": ".js-plotly-plot", "many_pictures": "[data-testid=stFileUploader]"}  # what tells that they stand

pytestmark = pytest.mark.timeout(600)


# ---- the theme's colours --------------------------------------------------------------------------------


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def over(colour: str, ground: str, opacity: float) -> str:
    """What a colour with some opacity looks like."""
    pairs = zip(rgb(colour), rgb(ground), strict=True)
    return "#" + "".join(f"{round(255 * (opacity * front + (1 - opacity) * back)):02x}" for front, back in pairs)


def luminance(colour: str) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour))
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("part", ["plain", "sidebar"])
@pytest.mark.parametrize("base", ["light", "dark"])
def test_the_theme_s_colours_can_be_told_apart(base: str, part: str) -> None:
    theme: dict[str, str] = THEMES[base][part]
    ground, text, accent = (theme[name] for name in ("backgroundColor", "textColor", "primaryColor"))
    for behind in (ground, theme["secondaryBackgroundColor"]):
        assert contrast(text, behind) >= TEXT
        assert contrast(theme["borderColor"], behind) >= (SIGN if behind == ground else 2.5)  # fields lie on the ground
    assert contrast(over(text, ground, FADED), ground) >= TEXT
    assert contrast(theme["linkColor"], ground) >= TEXT
    assert contrast(accent, over(accent, ground, CHOSEN)) >= TEXT


# ---- the pages ------------------------------------------------------------------------------------------


@dataclass
class Site:
    """The server's address, and a browser."""

    address: str
    browser: Browser

    @contextmanager
    def visit(self, **settings: Any) -> Iterator[Page]:
        """A new visitor; its page says nothing of what it cannot draw."""
        with visiting(self.browser, reduced_motion="reduce", **settings) as page:
            page.set_default_timeout(PATIENCE)
            yield page

    def open(self, page: Page, key: str) -> None:
        page.goto(f"{self.address}/{ROWS[key].address}")
        expect(page.locator(FIRST.get(key, ".stage[data-ready='1']")).first).to_be_visible()
        rest(page)


def rest(page: Page) -> None:
    """Returns when the script has run and every picture and chart is drawn."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(page.locator(".stage:not([data-ready='1'])")).to_have_count(0)
    expect(page.locator("[data-testid=stSkeleton], [data-testid=stSpinner]")).to_have_count(0)


@pytest.fixture(scope="module")
def site(live_app: LiveApp, browser: Browser) -> Iterator[Site]:
    yield Site(live_app.address, browser)
    live_app.check_log()


def faults(page: Page) -> list[str]:
    """What axe-core finds to be serious or critical: the rule, where, and why."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} at {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


CHART_TEXTS = """() => {
    const hex = (colour) => '#' + colour.match(/[\\d.]+/g).slice(0, 3)
        .map((part) => Number(part).toString(16).padStart(2, '0')).join('');
    const texts = document.querySelectorAll(
        '.js-plotly-plot :is(.xtick, .ytick, .g-xtitle, .g-ytitle, .g-gtitle, .legend) text');
    return [hex(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor),
            [...new Set([...texts].map((text) => hex(getComputedStyle(text).fill)))]];
}"""


TITLE_TOP = """() => {
    const title = document.createRange();
    title.selectNodeContents(document.querySelector('h1'));
    return title.getBoundingClientRect().top;
}"""
WAITING = """() => {
    const main = document.querySelector('[data-testid=stMainBlockContainer] > *');
    const [spinner, filling] = ['working-one', 'working-page-filling'].map((key) => {
        const inner = `<div class="st-key-${key}">Running</div>`;
        main.insertAdjacentHTML('beforeend', `<div data-testid="stLayoutWrapper">${inner}</div>`);
        const box = main.lastElementChild;
        return [box.getBoundingClientRect().bottom, getComputedStyle(box).visibility];
    });
    return [spinner, filling, getComputedStyle(main.lastElementChild.previousElementSibling).visibility];
}"""


def check_waiting_on_a_phone(page: Page) -> None:
    """What says that something runs stands in the header, above all pictures, and one at a time."""
    (spinner, _), (filling, shown), then = page.evaluate(WAITING)
    stages = [box["y"] for one in page.locator(".stage").all() if (box := one.bounding_box())]
    assert max(spinner, filling) <= 44 < min(stages, default=100)
    assert (shown, then) == ("visible", "hidden")


@pytest.mark.slow
@pytest.mark.parametrize("key", ROWS)
@pytest.mark.parametrize(
    ("scheme", "device"),
    [pytest.param("light", {"viewport": DESK}, id="desk"), pytest.param("dark", HANDHELD, id="phone")],
)
def test_every_page_can_be_read_and_fits(site: Site, scheme: str, device: dict[str, Any], key: str) -> None:
    with site.visit(color_scheme=scheme, **device) as page:
        site.open(page, key)
        assert faults(page) == []
        assert page.evaluate(WIDER) == []
        assert page.evaluate(TITLE_TOP) == pytest.approx(26 if device["viewport"] == DESK else 54, abs=1)
        if device["viewport"] == PHONE:
            check_waiting_on_a_phone(page)
        if key not in FIRST:
            box = page.locator(".stage").first.bounding_box()
            assert box is not None and 250 < box["width"] <= device["viewport"]["width"]
        ground, colours = page.evaluate(CHART_TEXTS)  # at which axe does not look
        assert bool(colours) == (key in CHARTS)
        assert all(contrast(colour, ground) >= TEXT for colour in colours), (ground, colours)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious_in_what_opens(site: Site, scheme: str) -> None:
    """On a phone: the settings, a pin, the help, and the sidebar with the choice of an own picture."""
    with site.visit(color_scheme=scheme, viewport=PHONE) as page:
        site.open(page, "home")
        page.get_by_role("button", name="Display").click()
        page.locator(".stage").first.click()
        expect(page.get_by_role("list", name="Pins").get_by_role("listitem")).to_have_count(3)
        rest(page)
        assert faults(page) == []
        page.get_by_role("button", name="How to read a map").click()
        expect(page.get_by_text("a place's share of what the point receives")).to_be_visible()
        assert faults(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Expand sidebar").click()
        page.get_by_text("My picture").click()
        expect(page.get_by_text("Upload a picture here")).to_be_attached()
        rest(page)
        assert faults(page) == []


# ---- the keyboard ---------------------------------------------------------------------------------------

FOCUS = """() => {
    let at = document.activeElement;
    while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const ringed = [at, at.parentElement].some((one) => one && parseFloat(getComputedStyle(one).outlineWidth) >= 2
        && getComputedStyle(one).outlineStyle !== 'none');
    return [at.dataset.testid ?? at.tagName, at.getAttribute('aria-label') ?? at.textContent, ringed];
}"""


def test_the_keyboard_skips_to_the_content_and_its_place_is_always_seen(site: Site) -> None:
    with site.visit(viewport=DESK) as page:
        site.open(page, "inspect")
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS)[1] == "Skip to main content"
        page.keyboard.press("Enter")
        stops = []
        for _ in range(60):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUS)
            if stop[0] == "BODY":
                break
            stops.append(stop)
        names = [name for _, name, _ in stops]
        assert "Inspect" not in " ".join(names[:2])  # the sidebar is behind
        order = [
            next(at for at, name in enumerate(names) if name.startswith(start))
            for start in ("Zoom out", "Prediction", "Road", "Attends to")
        ]
        assert order == sorted(order)
        unseen = [
            name for kind, name, ringed in stops if not ringed and kind != "INPUT"
        ]  # a text field shows its caret
        assert unseen == []


# ---- work ------------------------------------------------------------------------------------------------

WATCH = """() => {
    window.shifts = [];
    const place = ({ node, previousRect, currentRect }) => [node?.className ?? '', previousRect.y, currentRect.y];
    new PerformanceObserver((list) => window.shifts.push(
        ...list.getEntries().map(({ value, sources }) => [value, sources.map(place)]))
    ).observe({ type: 'layout-shift' });
}"""


@pytest.mark.parametrize(
    "key", ["inspect", pytest.param("home", marks=pytest.mark.slow), pytest.param("compare", marks=pytest.mark.slow)]
)
def test_nothing_jumps_while_the_pointer_moves_and_models_run(site: Site, key: str) -> None:
    with closing(site.browser.new_context(reduced_motion="reduce", viewport=DESK)) as cold:  # it has no scripts yet
        page = cold.new_page()
        page.set_default_timeout(PATIENCE)
        site.open(page, key)
        network = {"offline": False, "latency": 200, "downloadThroughput": -1, "uploadThroughput": -1}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", network)  # scripts come late
        page.evaluate(WATCH)
        box = page.locator(".stage").first.bounding_box()
        assert box is not None
        for step in range(20):
            page.mouse.move(
                box["x"] + box["width"] * (0.1 + 0.04 * step), box["y"] + box["height"] * (0.2 + 0.03 * step)
            )
        picture = page.locator(".picture").first.get_attribute("src")
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".picture").first).not_to_have_attribute("src", picture or "")
        rest(page)
        shifts = page.evaluate("() => window.shifts")
        assert sum(value for value, _ in shifts) < 0.005, shifts


def test_hovering_is_not_read_out(site: Site) -> None:
    """What is under the pointer describes the picture; only a key has it said."""
    with site.visit(viewport=DESK) as page:
        site.open(page, "home")
        status, stage = page.locator(".status"), page.locator(".stage").first
        stage.hover()
        assert status.text_content() == ""
        stage.focus()
        page.keyboard.press("ArrowRight")
        expect(status).to_contain_text("× the even share")
