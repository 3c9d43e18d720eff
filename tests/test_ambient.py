"""Figures do not depend on the user's plotting settings, the locale, the folder, the time zone or the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import plotly.io
import pytest
import torch
from figure_cases import IMAGE, LABELS, one_of_each, strips
from matplotlib.backends.backend_agg import FigureCanvasAgg

from segviz import show
from segviz.data.classes import CAMVID
from segviz.figures.content import Classes, Strips
from segviz.figures.export import FORMS, PICTURES, export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.map_subplots import map_subplot
from segviz.figures.matplotlib_backend import draw
from segviz.figures.subplot import Subplot

CHART = Subplot("strips", IMAGE, Strips(np.full((1, 4), 0.25, np.float32), ("1",), ("#D55E00",)), "strips")
torch.manual_seed(0)
SPEC = FigureSpec(
    "all that is drawn",
    (
        (
            map_subplot(IMAGE, strips(), "strip", (5, 12)),
            Subplot("labels", IMAGE, Classes(LABELS, CAMVID, True), "labels"),
            CHART,
        ),
    ),
)
HOSTILE: dict[str, Any] = {
    "image.origin": "lower",
    "image.interpolation": "nearest",
    "savefig.facecolor": "black",
    "savefig.bbox": "tight",
    "savefig.dpi": 30,
    "savefig.format": "svg",
    "savefig.transparent": True,
    "text.usetex": True,
    "text.color": "red",
    "text.antialiased": False,
    "axes.facecolor": "red",
    "axes.formatter.use_locale": True,
    "axes.unicode_minus": False,
    "figure.autolayout": True,
    "figure.facecolor": "red",
    "font.family": "serif",
    "font.size": 20.0,
    "legend.facecolor": "red",
    "lines.linestyle": ":",
    "path.sketch": (1, 100, 2),
    "path.simplify_threshold": 1.0,
    "svg.fonttype": "path",
    "pdf.fonttype": 3,
    "xtick.direction": "in",
    "ytick.color": "red",
}


def check_settings(form: str, *settings: dict[str, Any]) -> None:
    plain = export(SPEC, form)
    for one in settings:
        with matplotlib.rc_context(one):
            before = dict(matplotlib.rcParams)
            assert export(SPEC, form) == plain, one
            assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("form", PICTURES)
def test_no_setting_of_matplotlib_reaches_a_figure(form: str) -> None:
    check_settings(form, HOSTILE)


@pytest.mark.slow
def test_no_single_setting_of_matplotlib_reaches_a_figure() -> None:
    """Nor one that another of them would hide."""
    check_settings("png", *({name: value} for name, value in HOSTILE.items()))


def test_a_figure_drawn_by_its_host_is_the_same() -> None:
    def pixels() -> bytes:
        canvas = FigureCanvasAgg(draw(SPEC, dots=72))
        canvas.draw()
        return bytes(canvas.buffer_rgba())

    plain = pixels()
    with matplotlib.rc_context(HOSTILE):
        assert pixels() == plain


def test_no_template_of_plotly_reaches_an_interactive_figure() -> None:
    plain = show(one_of_each(), "confidence").to_json()
    before, plotly.io.templates.default = plotly.io.templates.default, "plotly_dark"
    try:
        assert show(one_of_each(), "confidence").to_json() == plain
    finally:
        plotly.io.templates.default = before


def digests() -> str:
    """A digest of the figure in each format."""
    return " ".join(sha256(export(SPEC, form)).hexdigest() for form in FORMS)


SURROUNDINGS = {
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C",
    "LANG": "C",
    "PYTHONUTF8": "0",
    "COLUMNS": "20",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "SOURCE_DATE_EPOCH": "0",
    "MPLBACKEND": "svg",
}


def test_locale_folder_time_zone_and_terminal_do_not_reach_a_figure(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("image.origin: lower\nsavefig.facecolor: black\n", "utf-8")
    here = Path(__file__).parent
    paths = os.pathsep.join((str(here), str(here.parent)))
    words = [sys.executable, "-c", "import test_ambient; print(test_ambient.digests())"]
    surroundings = {**os.environ, **SURROUNDINGS, "PYTHONPATH": paths}
    answer = subprocess.run(words, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-len(FORMS) :] == digests().split()
