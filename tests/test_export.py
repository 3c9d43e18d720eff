"""Files of figures: what they hold, that it is the same in every form, and that names stay inside their folder."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import tempfile
import tracemalloc
import warnings
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_cases import IMAGE, LABELS, one_of_each, over_complete
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from segviz.batch.archive import Archive
from segviz.data.classes import CAMVID
from segviz.figures.colour import Scale
from segviz.figures.colour_bars import ColourBar, draw_bar
from segviz.figures.content import Classes, Heat, Matrix, Points
from segviz.figures.export import export, pack_arrays
from segviz.figures.figure_input import FigureInput, Style
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.page import Page
from segviz.figures.papers import PAPER_FIGURES
from segviz.figures.prediction_subplots import prediction_rows
from segviz.figures.subplot import Subplot, share_scale
from segviz.filenames import MOST_BYTES, safe_name

PLACES = ((5, 12), (29, 0))
CASE = one_of_each()
MAP = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)


@pytest.fixture(scope="module")
def spec() -> FigureSpec:
    rows = prediction_rows(CASE, IMAGE, PLACES, kind="log")
    return FigureSpec("All <maps> of a & b", tuple(map(tuple, rows)))


@cache
def written(spec: FigureSpec, form: str) -> bytes:
    """The file of a figure; the large one takes a second and more."""
    return export(spec, form)


def png(spec: FigureSpec, size: int) -> Image.Image:
    return Image.open(io.BytesIO(export(spec, "png", size=size)))


def npz(spec: FigureSpec) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(export(spec, "npz")), allow_pickle=False) as kept:
        return dict(kept)


def said(spec: FigureSpec, form: str) -> Any:
    """The details that a file of a form carries."""
    data = written(spec, form)
    match form:
        case "png":
            return json.loads(Image.open(io.BytesIO(data)).text["segviz"])  # type: ignore[attr-defined]
        case "svg":
            (found,) = re.findall(r"<rdf:li>(\{.*?\})</rdf:li>", data.decode(), re.DOTALL)
            return json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        case "pdf":
            (found,) = re.findall(rb"/Keywords \((.*?[^\\])\)\n", data, re.DOTALL)
            return json.loads(re.sub(rb"\\([()\\])", rb"\1", found))
        case _:
            return json.loads(str(npz(spec)["details"]))


@pytest.mark.parametrize("room", [0.5, 0.99, 1.0, 1.06, 1.2, 1.5, 4.0])  # inches
def test_a_colour_bar_has_room_between_its_end_values_or_above_them(room: float) -> None:
    page = Page(Figure(figsize=(4, 1)), 4, 1)
    draw_bar(page, ColourBar(0, 0, (Heat(MAP, Scale(0.000107, 0.107, "log"), "weight"),)), 0, room, 0.9)
    (axes,) = page.figure.axes
    low, high = page.figure.texts[:2]
    assert low.get_text() == "≤ 0.000107"
    assert axes.get_position().width * 4 >= min(0.4, room)
    left, right = (one.get_window_extent().extents[[0, 2]] for one in (low, high))
    assert left[1] < right[0] and left[0] >= -1 and right[1] <= room * page.figure.dpi + 1


@pytest.mark.parametrize("form", ["png", "svg", "pdf", "npz"])
def test_title_model_pixel_and_scale_are_in_the_file(form: str, spec: FigureSpec) -> None:
    found = said(spec, form)
    assert (found["title"], found["models"]) == (spec.title, ["model"])
    panels = {one["title"]: one for one in found["panels"]}
    collect = panels["collect: attends to (y 5, x 12)"]
    assert collect["pixel"] == [5, 12]
    values = CASE.maps["collect"].attends_to(*CASE.maps["collect"].cell(5, 12, 30, 40))  # type: ignore[union-attr]
    high = float(values.max())
    assert collect["scale"] == {"kind": "log", "low": high / 1000, "high": high, "unit": "weight"}


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_pictures_can_be_read_without_segviz(form: str, spec: FigureSpec) -> None:
    data = written(spec, form)
    caption = b"model model; pixel y 5, x 12; y 29, x 0"
    assert caption in data


def test_sizes_of_a_png_are_multiples(spec: FigureSpec) -> None:
    widths = [png(FigureSpec("one", (spec.rows[0][:1],)), size).size for size in (1, 2, 4)]
    assert widths[0][0] == pytest.approx(3.3 * 144, abs=1)
    assert png(FigureSpec("row", spec.rows[:1]), 1).width == pytest.approx(6.9 * 144, abs=1)
    for size, found in zip((2, 4), widths[1:], strict=True):
        assert found == pytest.approx((widths[0][0] * size, widths[0][1] * size), abs=size)


def test_a_larger_png_shows_more_of_the_picture() -> None:
    fine = np.indices((1200, 1600)).sum(0) % 2 * 255  # single pixels
    image = np.repeat(fine[:, :, None], 3, 2).astype(np.uint8)
    one = FigureSpec("fine", ((Subplot("", image),),))
    small, large = (np.asarray(png(one, size).convert("L"), np.float32) for size in (1, 4))
    middle = [picture[picture.shape[0] // 4 : -picture.shape[0] // 4, 50:-50].std() for picture in (small, large)]
    assert middle[1] > 2 * middle[0]


def test_arrays_are_those_of_the_maps(spec: FigureSpec) -> None:
    kept = npz(spec)
    collect = CASE.maps["collect"]
    cell = collect.cell(5, 12, 30, 40)  # type: ignore[union-attr]
    assert (kept["collect_5_12_attends_to"] == collect.attends_to(*cell).numpy()).all()  # type: ignore[union-attr]
    assert (kept["labels"] == LABELS).all()
    assert (kept["channel"] == CASE.maps["channel"].matrix.numpy()).all()  # type: ignore[union-attr]
    assert kept["samples_29_0_positions"].shape == (9, 2)
    assert kept["places"].tolist() == [[5, 12], [29, 0]]
    assert kept["rows_5_12"].shape == (5, 5)


def test_a_csv_has_every_number_once_and_says_what_it_is(spec: FigureSpec) -> None:
    text = export(spec, "csv").decode()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments[:3] == ["# title: All <maps> of a & b", "# model: model", "# pixel: y 5 x 12 and y 29 x 0"]
    assert any(
        re.fullmatch(r"# scale of strip of \(y 5, x 12\): log from \S+ to \S+ \(weight\)", line) for line in comments
    )
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    heat = [row for row in rows if row["panel"] == "collect: attends to (y 5, x 12)"]
    grid = np.zeros((3, 4))
    for row in heat:
        grid[int(row["row"]), int(row["column"])] = float(row["value"])
    assert (grid == npz(spec)["collect_5_12_attends_to"]).all()
    shares = {row["quantity"]: float(row["value"]) for row in rows if row["panel"] == "model"}
    assert shares["share of Sky"] == pytest.approx(1 / 3)
    assert len([row for row in rows if row["quantity"] == "y" and row["panel"].startswith("samples")]) == 18


def csv_rows(spec: FigureSpec) -> list[dict[str, str]]:
    lines = (line for line in export(spec, "csv").decode().splitlines() if not line.startswith("#"))
    return list(csv.DictReader(lines))


def places_of_values(spec: FigureSpec) -> list[tuple[str, ...]]:
    names = ("panel", "quantity", "number", "row", "column")
    return [tuple(row[name] for name in names) for row in csv_rows(spec)]


def test_rows_and_columns_of_a_csv_are_those_of_a_grid_alone(spec: FigureSpec) -> None:
    contents = dict(zip(spec.panel_names, (subplot.content for subplot in spec.subplots), strict=True))
    seen = set()
    for line in csv_rows(spec):
        content, place = contents[line["panel"]], [line[name] for name in ("number", "row", "column")]
        seen.add(type(content))
        grid = isinstance(content, Heat | Matrix)
        assert [bool(part) for part in place] == ([False, True, True] if grid else [True, False, False])
        if isinstance(content, Classes):
            assert line["quantity"] == f"share of {content.class_set.names[int(line['number'])]}"
    assert seen >= {Heat, Classes, Points}


@pytest.mark.parametrize("name", PAPER_FIGURES)
def test_every_value_has_a_place_of_its_own_and_names_its_model(name: str) -> None:
    models = {one: replace(one_of_each(), model=one, labels=LABELS.copy()) for one in ("first", "second")}
    inputs = [FigureInput(IMAGE, models, PLACES, LABELS, over_complete=over_complete(*PLACES)) for _ in range(2)]
    spec = PAPER_FIGURES[name].draw(inputs, Style(feature="both"))
    places = places_of_values(spec)
    assert len(set(places)) == len(places) and all(panel for panel, *_ in places)
    arrays, panels = npz(spec), said(spec, "npz")["panels"]
    listed = [array for panel in panels for array in panel["arrays"]]
    assert {*listed, "title", "models", "places", "details"} == set(arrays)
    assert len({panel["panel"] for panel in panels}) == len(panels)
    for panel in panels:
        assert all(len(spec.models) < 2 or not panel["model"] or panel["model"] in array for array in panel["arrays"])


def test_titles_and_names_that_are_alike_stay_apart(spec: FigureSpec) -> None:
    (content,) = (one.content for one in spec.subplots if one.name == "collect_5_12_attends_to")
    titles = ("", "a", "a", "a\x00", "a ", "a, row 1", "a, row 2", "=a", "x" * 2000, "x" * 2000 + "y", "", "a")
    names = (
        "",
        "a/b",
        "a_b",
        "title",
        "file",
        "details",
        "allow_pickle",
        "A_B",
        "é" * 300,
        "é" * 301,
        "places",
        "args",
    )
    model = iter("mnmnmnmnmnmn")
    panels = [
        Subplot(title, IMAGE, replace(content, values=content.values + at), name, next(model))  # type: ignore[type-var, union-attr]
        for at, (title, name) in enumerate(zip(titles, names, strict=True))
    ]
    alike = FigureSpec("alike", tuple(tuple(panels[first : first + 3]) for first in range(0, len(panels), 3)))
    places = places_of_values(alike)
    assert len(set(places)) == len(places) == 12 * len(titles)
    arrays = npz(alike)
    assert len(arrays) == len(titles) + 4
    for panel, subplot in zip(said(alike, "npz")["panels"], panels, strict=True):
        (name,) = panel["arrays"]
        assert (arrays[name] == subplot.content.values).all() and name.startswith(subplot.model)  # type: ignore[union-attr]


@pytest.mark.parametrize("title", ["=1+1", "+a", "-a", "@a", "x,=cmd|' /C calc'!A0", "x;\t@a", "x\n=1+1"])
def test_no_words_of_a_csv_become_a_formula(title: str) -> None:
    panel = Subplot(title, IMAGE, prediction_rows(CASE, IMAGE, PLACES)[0][1].content, "map", model=title)
    for line in export(FigureSpec(title, ((panel,),)), "csv").decode().splitlines():
        for separator in ",;\t":
            for cell in line.split(separator):
                assert not re.match(r'\s*"?[=+@]|\s*"?-[^\d]', cell), line


def test_a_csv_of_too_many_numbers_asks_for_npz() -> None:
    image = np.zeros((1100, 1000, 3), np.uint8)
    labels = Subplot("labels", image, Classes(image[:, :, 0], CAMVID), "labels")
    assert len(export(FigureSpec("labels", ((labels,),)), "csv")) < 2000  # shares, not pixels
    confidence = Subplot("confidence", image, Heat(np.ones((1100, 1000), np.float32), Scale(0, 1), ""), "confidence")
    with pytest.raises(ValueError, match="1,100,000 values are too many for a CSV file, which holds 1,000,000;"):
        export(FigureSpec("confidence", ((confidence,),)), "csv")


def test_unknown_forms_and_sizes_are_named(spec: FigureSpec) -> None:
    with pytest.raises(ValueError, match="file format 'gif' is unknown; use png, svg, pdf, npz, csv"):
        export(spec, "gif")
    with pytest.raises(ValueError, match="size 3 is unknown; use 1, 2, 4"):
        export(spec, "png", size=3)


def test_maps_on_one_scale_are_those_of_the_same_kind() -> None:
    rows = prediction_rows(CASE, IMAGE, PLACES, one_scale=True)
    scales: dict[str, set[float]] = {}
    for subplot in (subplot for row in rows for subplot in row):
        if subplot.scale:
            scales.setdefault(type(subplot.content).__name__ + subplot.content.unit, set()).add(subplot.scale.high)  # type: ignore[union-attr]
    assert len(scales["Heatweight"]) == 1
    assert len(scales["Heatchannel mean"]) == 2
    assert [subplot.title for subplot in share_scale(rows[1])] == [subplot.title for subplot in rows[1]]


# ---- names and archives ------------------------------------------------------------------------------------


@given(st.text(max_size=400))
def test_no_words_lead_out_of_a_folder(text: str) -> None:
    name = safe_name(text)
    assert name and not name.startswith(".") and not re.search(r"[/\\\0:]", name)
    assert len(name.encode()) <= MOST_BYTES
    assert Path("/a", name).parent == Path("/a")
    assert safe_name(name) == name


def test_endings_stay_and_devices_do_not() -> None:
    assert safe_name("../../etc/x y.png") == "_.._etc_x_y.png"
    assert safe_name("漢" * 200 + ".png").endswith("漢.png")
    assert safe_name("con.txt") == "_con.txt"
    assert safe_name("...", "image") == "image"


def test_an_archive_holds_cleaned_and_different_names(tmp_path: Path) -> None:
    with Archive(tmp_path / "deep" / "a.zip") as archive:
        assert [archive.put(name, b"x") for name in ("a.png", "A.png", "../a.png")] == ["a.png", "A-2.png", "_a.png"]
    with zipfile.ZipFile(tmp_path / "deep" / "a.zip") as kept:
        assert kept.namelist() == ["a.png", "A-2.png", "_a.png"]
        assert kept.testzip() is None
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.zip"]


def test_an_archive_keeps_what_was_finished_before_an_exception(tmp_path: Path) -> None:
    def stopped() -> None:
        with Archive(tmp_path / "a.zip") as archive:
            archive.put("one.txt", b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with zipfile.ZipFile(tmp_path / "a.zip") as kept:
        assert kept.read("one.txt") == b"1"


def test_an_empty_archive_leaves_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("mine")
    with Archive(tmp_path / "a.zip"):
        pass
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.zip", "mine")]


def test_an_archive_in_memory_has_the_same_bytes_each_time() -> None:
    found = []
    for _ in range(2):
        buffer = io.BytesIO()
        with Archive(buffer) as archive:
            archive.put("a.npz", pack_arrays({"x": np.arange(5)}))
            archive.put("a.csv", b"1,2\n" * 100)
        found.append(buffer.getvalue())
    assert found[0] == found[1]
    with zipfile.ZipFile(io.BytesIO(found[0])) as kept:
        assert [entry.compress_type for entry in kept.infolist()] == [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
@pytest.mark.parametrize("unnamed", [False, True])
def test_a_full_disk_costs_the_file_that_does_not_fit_and_no_other(unnamed: bool, tmp_path: Path) -> None:
    block = np.random.default_rng(0).bytes(100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    target = tempfile.TemporaryFile(dir=tmp_path) if unnamed else tmp_path / "a.zip"  # noqa: SIM115
    with Archive(target) as archive:
        resource.setrlimit(resource.RLIMIT_FSIZE, (350_000, before[1]))  # it meets a limit as it meets a full disk
        try:
            kept = [archive.put(f"{number}.png", block) for number in range(3)]
            with pytest.raises(OSError) as caught:
                archive.put("3.png", block)
            kept.append(archive.put("small.txt", b"fits"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == (None if unnamed else str(target))
    with zipfile.ZipFile(target) as whole:
        assert whole.namelist() == kept and whole.testzip() is None
    if not isinstance(target, Path):
        target.close()
    assert unnamed or [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_space_that_was_reserved_and_not_used_is_given_back(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    for target in (buffer, tmp_path / "a.zip"):
        with Archive(target) as archive:
            archive.put("zeros.txt", bytes(10**6))
    assert (tmp_path / "a.zip").read_bytes() == buffer.getvalue()


def test_an_archive_does_not_grow_in_memory(tmp_path: Path) -> None:
    block = np.random.default_rng(0).bytes(4 * 1024**2)
    tracemalloc.start()
    with Archive(tmp_path / "a.zip") as archive:
        for number in range(10):
            archive.put(f"{number}.png", block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 1024**2
    assert (tmp_path / "a.zip").stat().st_size > 40 * 1024**2


def test_words_outside_the_font_raise_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(FigureSpec("漢字", ((Subplot("漢字", IMAGE),),)), "png")
    assert not recwarn.list
