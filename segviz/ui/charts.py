"""Charts and numbers that can be saved, and the choice of models that they show."""

from __future__ import annotations

from collections.abc import Collection

import plotly.graph_objects as go
import streamlit as st

from segviz.results.charts import ORDER
from segviz.results.folder import BASELINE_TITLES
from segviz.results.tables import training_title
from segviz.table import Columns, csv_text
from segviz.ui.models import model_title
from segviz.ui.widgets import keep_widget

CHART_FORMAT = "results format"  # the key of the widget, which is on that page
FORMATS = ("SVG", "PNG")
SAVED_WIDTH = 1000  # pixels, whatever the screen's width


def pick_format() -> None:
    """The file format of saved charts, and how a chart is saved."""
    kept = keep_widget(CHART_FORMAT, FORMATS[0], linked=FORMATS)
    st.segmented_control("Save charts as (point at one: its camera saves it)", FORMATS, required=True, **kept)


def show_chart(figure: go.Figure, name: str, alt: str, width: int | None = None) -> None:
    """A chart whose camera saves it under its name, in one size on every screen.

    Args:
        figure: the chart; its height is the file's too.
        name: the file's name after "segviz-".
        alt: what it shows, for screen readers.
        width: largest width in pixels; by default the page's.
    """
    image = {
        "format": str(st.session_state.get(CHART_FORMAT, FORMATS[0])).lower(),
        "filename": f"segviz-{name}",
        "width": width or SAVED_WIDTH,
        "height": figure.layout.height,
        "scale": 2,
    }
    config = {"toImageButtonOptions": image, "displaylogo": False, "displayModeBar": "hover"}
    st.plotly_chart(figure, width=width or "stretch", config=config, key=f"chart {name}", alt=alt)


def csv_button(columns: Columns, name: str, disabled: bool = False) -> None:
    """A button that saves the numbers of a table or chart."""
    file = f"segviz-{name}.csv"
    icon, content = ":material/download:", csv_text(columns)
    st.download_button("CSV", content, file, "text/csv", key=file, icon=icon, on_click="ignore", disabled=disabled)


def pick_models(label: str, offered: Collection[str], start: Collection[str], key: str) -> list[str]:
    """The models of a multiselect, in the order of their colours."""
    first = [name for name in start if name in offered] or list(offered)
    kept = keep_widget(key, first, offered, linked=offered)
    picked = st.multiselect(label, offered, format_func=model_name, **kept)
    return [name for name in (*BASELINE_TITLES, *ORDER) if name in picked]


def model_name(name: str) -> str:
    """A model in lists of choice."""
    return training_title(name) if name in BASELINE_TITLES else model_title(name)
