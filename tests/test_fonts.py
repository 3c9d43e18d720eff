"""Names in other scripts: drawn with an installed font that has the letters, or named with a cure."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from figure_cases import IMAGE, LABELS
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from segviz.data.class_sets import give_colours
from segviz.figures import fonts
from segviz.figures.content import Classes
from segviz.figures.export import PICTURES, export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.subplot import Subplot
from segviz.figures.viewer_figure import Viewer
from segviz.ui.export_button import PictureOptions, make_file
from segviz.viewer.display import Display
from segviz.viewer.panel import LabelMap, Panel

FAMILY = "Segviz Test Sans"
LETTERS = "\U00020bb7\U00020b9f"  # rare enough that no usual font has them
SPEC = FigureSpec(
    LETTERS[0], ((Subplot("map", IMAGE, Classes(LABELS, give_colours((LETTERS, "Straße", "дорога"))), "labels"),),)
)


def make_font(path: Path) -> None:
    """Writes a font that has LETTERS, each as a filled square."""
    builder, pen = FontBuilder(1000, isTTF=True), TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square, names = pen.glyph(), [".notdef", "first", "second"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, LETTERS), names[1:], strict=True)))
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "first": square, "second": square})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular", "psName": "SegvizTestSans-Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts as a new process finds them."""
    monkeypatch.setattr(fonts, "_families", {})
    monkeypatch.setattr(fonts, "_reported", set())


@pytest.fixture
def installed(tmp_path: Path, no_memory: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A font of LETTERS that was installed after matplotlib made its list."""
    make_font(tmp_path / "test.ttf")
    fonts.add_new_fonts.cache_clear()
    listed = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [str(tmp_path / "gone.ttf"), str(tmp_path / "test.ttf")])
    yield
    font_manager.fontManager.ttflist[:] = listed
    fonts.add_new_fonts.cache_clear()


def test_letters_that_a_font_has_are_drawn_with_it(installed: None, caplog: pytest.LogCaptureFixture) -> None:
    assert fonts.choose_families("Sky") == [fonts.BASE]
    assert fonts.choose_families(f"Sky {LETTERS}") == [fonts.BASE, FAMILY]
    data = {form: export(SPEC, form) for form in PICTURES}
    assert FAMILY in data["svg"].decode() and LETTERS in data["svg"].decode()
    assert b"SegvizTestSans" in data["pdf"]
    pixels = np.asarray(Image.open(io.BytesIO(data["png"])).convert("L"))
    assert (pixels[-40:] < 60).sum() > 100, "no filled squares"
    assert not caplog.records


def test_letters_that_no_font_has_are_named_once(no_memory: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        export(SPEC, "png")
        export(SPEC, "png")
    messages = [record.getMessage() for record in caplog.records]
    assert [sum(message.count(letter) for message in messages) for letter in LETTERS] == [1, 1]
    assert all(message.startswith("no installed font has ") and "Install a font" in message for message in messages)
    assert fonts.missing_letters(["Sky", LETTERS, "Straße дорога"]) == LETTERS


def test_a_long_list_of_letters_is_cut() -> None:
    message = fonts.describe_missing_letters("".join(map(chr, range(0x4E00, 0x4E64))))
    assert message.count("CJK") == fonts.NAMED and "and 92 more" in message


def test_the_app_names_them_beside_the_file(no_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("streamlit.warning", warnings.append)
    for name in ("Straße.jpg", f"{LETTERS}.jpg"):
        panel = Panel("Prediction", LabelMap(LABELS, ("a", "b", "c"), give_colours(("a", "b", "c")).colours), "labels")
        assert make_file("inspect", name, Viewer(IMAGE, (), Display(), 1), [panel], (), "png", PictureOptions())
    (warning,) = warnings
    assert LETTERS[0] in warning and LETTERS[1] in warning and warning.startswith("No installed font has ")
