"""The Results page with and without a browser: what it shows, offers and says, and that it never runs a model."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_server import LiveApp, app_server
from app_tables import only_table, tables
from browser import WIDER, visiting
from playwright.sync_api import Browser, Page, expect
from result_cases import CLASSES, LOG, evaluation, put, put_seed, record
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from segviz.catalogue.map_record import MapMeasurement, MapNumbers, MeasuredMap
from segviz.catalogue.record import SCENES, VAL, VAL_WITHOUT_CONTEXT
from segviz.cli.parser import build_parser
from segviz.models.registry import MODELS
from segviz.prediction.predictor import Predictor
from segviz.server.launch import app_script
from segviz.table import finite_or_none
from segviz.ui.picture_sidebar import DRAWN, OWN_PICTURE
from segviz.ui.tables import format_cell

RESULTS, COMPARE = "pages/results.py", "pages/compare.py"
STEPS = {name: 100 + 37 * number % 11 for number, name in enumerate(MODELS)}
CLASSES_CHART = 2  # its number among the charts: those of context and cost come first
PATIENCE = 60  # seconds for what takes a few on a quiet machine
DEVICES = (("desk", 1440), ("phone", 390))
CAMERA = ".js-plotly-plot .modebar-btn[data-title^='Download plot']"  # plotly.js names the format for PNG alone


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoints folder of these tests, still empty."""
    start = PagesManager.__init__

    def told(self: PagesManager, *args: Any, **more: Any) -> None:
        start(self, *args, **more)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", told)  # AppTest forgets what app.py says of the folder `pages`
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    return tmp_path


def visited() -> AppTest:
    """A session on the page; the page before it finds no checkpoint that it could run."""
    app = AppTest.from_file(str(app_script()), default_timeout=PATIENCE)
    app.session_state["source"] = OWN_PICTURE
    app.run()
    app.switch_page(RESULTS).run()
    assert [one.message for one in app.exception] == []
    return app


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


# ---- what it shows --------------------------------------------------------------------------------------


def test_every_model_has_its_row(folder: Path) -> None:
    put(folder, *map(record, MODELS))
    table = only_table(visited())
    assert table["Model"] == list(MODELS)
    assert table["Val SS"] == [70.0] * len(MODELS)


def test_the_first_bars_are_those_of_the_paper_s_figure(folder: Path) -> None:
    put(folder, *map(record, MODELS))
    bars = charts(visited())[CLASSES_CHART]["data"]
    assert [bar["name"] for bar in bars] == [
        MODELS[name].title for name in ("channel_nl", "spatial_nl", "dual_nl", "fla")
    ]


@pytest.mark.parametrize(("measure", "axis"), [("Drawn scenes", "scenes"), ("Val, at borders", "boundary")])
def test_the_bars_can_be_of_scenes_and_of_borders(folder: Path, measure: str, axis: str) -> None:
    put(folder, record("fla"))
    app = visited()
    app.segmented_control(key="results measure").set_value(measure).run()
    assert axis in charts(app)[CLASSES_CHART]["layout"]["yaxis"]["title"]["text"]


def test_the_page_begins_with_who_needs_its_context_and_what_blocks_cost(folder: Path) -> None:
    same = {VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(0.7)}
    put(folder, record("fcn"), record("fla"), record("ema", evaluations=same))
    put_seed(folder, record("fla", seed=5, evaluations={VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(0.66)}))
    app = visited()
    context, cost = (chart["data"][0] for chart in charts(app)[:CLASSES_CHART])
    assert [one.value for one in app.header][:2] == ["Which models need their context?", "What do they cost?"]
    assert context["y"] == ["Expectation-maximization<br>attention", "Fully attentional block"]  # drawn from below
    assert (context["x"], context["customdata"]) == ([0, -3], ["+0.00", "-2.00, -4.00"])
    assert context["error_x"]["array"] == pytest.approx([0, 2**0.5])
    assert context["marker"]["symbol"] == ["circle", "circle"]
    assert len(cost["x"]) == 3
    opening = app.main.markdown[0].value
    assert opening.startswith("3 models, scored on CamVid val (101 pictures): mIoU ") and len(opening.split()) < 40


def test_where_the_blocks_look_is_charted_and_told_once_it_is_measured(folder: Path) -> None:
    numbers = MapNumbers(0.6, 0.3, 3.0, 0.6, 0.2, 0.7, 0.3, 0.05)
    maps = {"spatial": MeasuredMap((45, 60), numbers, numbers, numbers)}
    put(folder, record("spatial_nl", maps={VAL: MapMeasurement("camvid val", 101, maps)}), record("psa"))
    app = visited()
    assert [chart["data"][0]["x"] for chart in charts(app)[2:6]] == [[60], [30], [3], [70]]
    (told,) = [one.value for one in app.main.markdown if one.value.startswith("- **Spatial non-local** selects places")]
    assert "at itself 30 % (at most 25 % wanted)" in told and "- Not measured: Point-wise spatial attention." in told


def test_the_confusions_are_of_the_chosen_model(folder: Path) -> None:
    rolled = ((0, 10, 0), (0, 0, 10), (10, 0, 0))
    put(folder, record("fla"), record("psa", evaluations={VAL: evaluation(0.5, confusion=rolled)}))
    app = visited()
    app.selectbox(key="results confusion").set_value("psa").run()
    assert "true Sky<br>predicted Road<br>10 pixels" in json.dumps(charts(app)[CLASSES_CHART + 1])


def test_the_baseline_has_a_line_where_there_is_its_log(folder: Path) -> None:
    put(folder, record("fla"))
    (folder / "baseline.csv").write_text(LOG)
    (chart,) = charts(visited())[CLASSES_CHART + 2 :]
    assert [line["name"] for line in chart["data"]] == ["Common baseline", MODELS["fla"].title]


def test_val_has_a_chart_of_those_that_were_scored_several_times(folder: Path) -> None:
    put(folder, record("fla"), record("dual_nl"))
    (folder / "dual_nl.csv").write_text(f"{LOG}75,2,0.0005,0.6,0.62\n")
    app = visited()
    loss, val = charts(app)[CLASSES_CHART + 2 :]
    assert len(loss["data"]) == 2 and [line["name"] for line in val["data"]] == [MODELS["dual_nl"].title]
    assert any("has no curve: Fully attentional block." in one.value for one in app.caption)


def test_no_model_is_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *map(record, MODELS))
    app = AppTest.from_file(str(app_script()), default_timeout=PATIENCE)
    app.session_state["source"] = OWN_PICTURE
    app.run()
    ran: list[str] = []
    monkeypatch.setattr(Predictor, "__call__", lambda self, image: ran.append(self.record.model))
    monkeypatch.setattr("segviz.engine.open_model.load_predictor", ran.append)
    monkeypatch.setattr("segviz.catalogue.checkpoint_file.load_checkpoint", ran.append)
    app.switch_page(RESULTS).run()
    assert ran == [] and len(tables(app)) == 1


def test_further_seeds_enter_the_table_as_means_with_their_spread(folder: Path) -> None:
    put(folder, record("fla"), record("psa"))
    put_seed(folder, record("fla", seed=5, evaluations={VAL: evaluation(0.72)}))
    app = visited()
    table = only_table(app)
    assert table["Val SS"] == [71.0, 70.0] and table["SS ±"][0] == 1.41
    assert [one.value for one in app.markdown if "(seeds 4, 5)" in one.value]


# ---- what it says ---------------------------------------------------------------------------------------


def test_blocks_whose_context_adds_nothing_are_named(folder: Path) -> None:
    same = {VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(0.7)}
    put(folder, record("fla"), record("ema", evaluations=same))
    (finding,) = (one.value for one in visited().markdown if "removed without loss" in one.value)
    idle, needed = finding.split("\n")
    assert MODELS["ema"].title in idle
    assert needed == "- Switching the context off costs 1 of 2 blocks 2.00 points of val mIoU."


def test_the_dot_of_a_change_within_its_spread_is_hollow(folder: Path) -> None:
    rises = {VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(0.71)}
    put(folder, record("fla"), record("ema"))
    put_seed(folder, record("fla", seed=5, evaluations=rises))
    app = visited()
    assert charts(app)[0]["data"][0]["marker"]["symbol"] == ["circle-open", "circle"]  # drawn from below
    assert [one.value for one in app.markdown if "Not measurable on val" in one.value]


def test_records_that_hold_nothing_are_shown_too(folder: Path) -> None:
    put(folder, replace(record("fla"), evaluations={}, cost=None, gammas={}))
    app = visited()
    assert only_table(app)["Model"] == ["fla"]
    assert [one.value for one in app.info if "not evaluated" in one.value]


def test_a_model_without_the_chosen_evaluation_is_named(folder: Path) -> None:
    lacking = {name: one for name, one in record("fla").evaluations.items() if name != SCENES}
    put(folder, record("dual_nl"), record("fla", evaluations=lacking))
    app = visited()
    app.segmented_control(key="results measure").set_value("Drawn scenes").run()
    assert f"Not measured: {MODELS['fla'].title}." in [one.value for one in app.caption]


def test_a_damaged_checkpoint_gets_a_sentence_beside_the_others(folder: Path) -> None:
    put(folder, record("fla"))
    (folder / "psa.safetensors").write_bytes(b"no tensors")
    app = visited()
    (warning,) = (one.value for one in app.warning)
    assert "psa.safetensors" in warning
    assert only_table(app)["Model"] == ["fla"]


@pytest.mark.parametrize("content", [None, "not a log"])
def test_a_missing_or_bad_log_gets_a_sentence(folder: Path, content: str | None) -> None:
    put(folder, record("fla"), record("psa"))
    (folder / "psa.csv").unlink()
    if content is not None:
        (folder / "psa.csv").write_text(content)
    app = visited()
    told = [one.value for one in (*app.warning, *app.caption)]
    assert any("learning curve" in one and MODELS["psa"].title in one for one in told)
    assert any("psa.csv" in one for one in told) is (content is not None)
    assert len(charts(app)) == 5


def test_without_any_checkpoint_it_says_what_to_do(folder: Path) -> None:
    app = visited()
    (message,) = (one.value for one in app.error)
    assert message == f"{folder} has no trained checkpoint; restore the bundled ones or train one."


def test_the_command_that_measures_again_is_understood(folder: Path) -> None:
    put(folder, record("fla"))
    (code,) = (one.value for one in visited().code)
    options = build_parser().parse_args(shlex.split(code)[3:])
    assert options.multi_scale and options.without_context
    assert options.scales == (0.75, 1.0, 1.25)  # those of the table, as a note below it says


LEFT_OUT = """
import sys
from streamlit.testing.v1 import AppTest
from segviz.server.launch import app_script
from segviz.ui.server import preload
preload()  # as the server does when it starts
app = AppTest.from_file(str(app_script()), default_timeout=200).run()
drawn = len(app.get("bidi_component"))
app.switch_page("pages/results.py").run()
print(len(app.exception), drawn, len(app.get("bidi_component")))
print([name for name in ("pandas", "pyarrow", "torch._dynamo") if name in sys.modules])
"""


def test_viewer_tables_and_charts_do_without_what_takes_the_servers_memory() -> None:
    ran = subprocess.run([sys.executable, "-c", LEFT_OUT], capture_output=True, text=True, timeout=200)
    assert ran.stdout.splitlines() == ["0 4 6", "[]"], ran.stderr


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.004, "%+.2f", "−0.00"),
        (7, "%d", "7"),
        (math.nan, "%.1f", "–"),
        (-math.inf, "%.1f", "–"),
        ("a-b", None, "a-b"),
    ],
)
def test_cells_hold_what_json_can_say(value: float | str, form: str | None, text: str) -> None:
    known = finite_or_none(value)
    assert format_cell(known, form) == text
    assert json.loads(json.dumps([known], allow_nan=False)) == [known]


# ---- the sidebar ----------------------------------------------------------------------------------------


def test_the_picture_that_was_chosen_is_kept_while_the_page_shows(folder: Path) -> None:
    put(folder, record("fla"))
    app = visited()
    assert len(app.sidebar.segmented_control) == 0
    app.switch_page(COMPARE).run()
    assert app.sidebar.segmented_control(key="source").value == OWN_PICTURE
    app.segmented_control(key="source").set_value(DRAWN).run()
    app.number_input(key="seed").set_value(7).run()
    app.switch_page(RESULTS).run()
    app.switch_page(COMPARE).run()
    assert app.number_input(key="seed").value == 7


# ---- in a browser ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a folder with all models."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    put(checkpoints, *(record(name, steps=steps) for name, steps in STEPS.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGVIZ_CHECKPOINTS", str(checkpoints))
        with app_server(tmp_path_factory.mktemp("server") / "log") as address:
            yield address


@contextmanager
def seen(address: str, browser: Browser, width: int) -> Iterator[Page]:
    """A visitor who asks for the page by its address; it is at rest."""
    errors: list[str] = []
    with visiting(browser, viewport={"width": width, "height": 900}) as page:
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/results")
        expect(page.get_by_role("heading", level=1)).to_have_text("Results")
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        yield page
    assert errors == []


def test_the_bundled_results_fit_can_be_sorted_and_taken_along(live_app: LiveApp, browser: Browser) -> None:
    with seen(live_app.address, browser, 1440) as page:
        assert page.evaluate(WIDER) == []
        table = page.locator("table", has=page.get_by_role("columnheader", name="GFLOPs"))
        names, button = table.locator("tbody th"), table.get_by_role("button", name="Model")
        for expected in (sorted(MODELS), sorted(MODELS, reverse=True), list(MODELS)):
            button.press("Enter")
            expect(names).to_have_text(expected)
            expect(button).to_be_focused()  # the keyboard stays where it was
        with page.expect_download() as saved:
            page.locator(CAMERA).first.click()
        assert re.fullmatch(r"segviz-.*\.svg", saved.value.suggested_filename)
        assert Path(saved.value.path()).read_bytes().startswith(b"<svg")


# Each chart's tools: their names, how far the lowest reaches into the plot, and the first into the title.
TOOLS = """() => [...document.querySelectorAll('.js-plotly-plot')].map((chart) => {
    const tools = [...chart.querySelectorAll('.modebar-btn')].filter((one) => one.offsetWidth);
    const boxes = tools.map((one) => one.getBoundingClientRect());
    const title = chart.querySelector('.g-gtitle text:not(:empty)')?.getBoundingClientRect().right ?? 0;
    const plot = chart.getBoundingClientRect().top + chart._fullLayout._size.t;
    return [tools.map((one) => one.dataset.title.slice(0, 13)), Math.max(...boxes.map((one) => one.bottom)) - plot,
        title - Math.min(...boxes.map((one) => one.left))];
})"""


def test_on_a_phone_a_chart_s_tools_leave_it_free_and_save_it(live_app: LiveApp, browser: Browser) -> None:
    with visiting(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        for address, charts, kept in (
            ("results", 10, ["Download plot", "Fullscreen"]),
            ("sam?pin=60-70-0", 2, ["Download plot"]),  # beside a title
        ):
            page.goto(f"{live_app.address}/{address}")
            expect(page.locator(CAMERA)).to_have_count(charts, timeout=PATIENCE * 1000)
            for tools, into_plot, into_title in page.evaluate(TOOLS):
                assert tools == kept and into_plot <= 0 and into_title <= 0
            with page.expect_download() as saved:
                page.locator(CAMERA).last.tap()
            assert Path(saved.value.path()).stat().st_size > 1000


@pytest.fixture(params=[pytest.param(width, marks=pytest.mark.slow, id=name) for name, width in DEVICES])
def page(request: pytest.FixtureRequest, server: str, browser: Browser) -> Iterator[Page]:
    """A visitor at a desk or with a phone; all charts are drawn."""
    with seen(server, browser, request.param) as page:
        expect(page.locator(CAMERA)).to_have_count(5)
        yield page


def test_the_page_opens_by_its_address_fits_and_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    assert page.evaluate(WIDER) == []
    with page.expect_download() as saved:
        page.locator(CAMERA).nth(CLASSES_CHART).click()
    assert saved.value.suggested_filename == "segviz-iou-val.svg"
    assert Path(saved.value.path()).read_bytes().startswith(b"<svg")
    with page.expect_download() as saved:
        page.get_by_test_id("stDownloadButton").nth(1).get_by_role("button").click()
    assert saved.value.suggested_filename == "segviz-iou-val.csv"
    rows = list(csv.reader(Path(saved.value.path()).read_text().splitlines()))
    assert [row[0] for row in rows] == ["Class", *CLASSES]
    assert rows[1][1:] == ["80.0"] * 4


def test_a_head_sorts_the_table_and_numbers_come_with_the_largest_first(page: Page) -> None:
    names = page.locator("tbody th")
    expect(names).to_have_text(list(MODELS))
    head = page.get_by_role("columnheader", name="GFLOPs").get_by_role("button")
    expect(head).to_have_attribute("title", re.compile("Operations of the whole network"))
    steps = sorted(MODELS, key=STEPS.__getitem__)
    measured = [name for name in MODELS if name != "fcn"]
    for name, way, expected in (
        ("Model", "ascending", sorted(MODELS)),
        ("Model", "descending", sorted(MODELS, reverse=True)),
        ("Model", None, list(MODELS)),
        ("Steps", "descending", steps[::-1]),
        ("Steps", "ascending", steps),
        ("Context off", "descending", [*measured, "fcn"]),  # what is not there stays at the end
        ("Context off", "ascending", [*measured, "fcn"]),
    ):
        button = page.get_by_role("columnheader", name=name).get_by_role("button")
        button.press("Enter")
        expect(names).to_have_text(expected)
        expect(button).to_be_focused()  # the keyboard stays where it was
        sorted_by = page.locator("thead th[aria-sort]")
        expect(sorted_by).to_have_count(int(way is not None))
        if way:
            expect(sorted_by).to_have_attribute("aria-sort", way)
