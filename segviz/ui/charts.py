"""Charts and numbers that can be taken along, and the choice of models that they show."""

from __future__ import annotations

from collections.abc import Collection

import plotly.graph_objects as go
import streamlit as st

from segviz.results.charts import ORDER
from segviz.results.folder import BASELINE_TITLES
from segviz.results.tables import training_title
from segviz.table import Columns, csv_text
from segviz.ui.models import model_title

SAVED_AS, SAVED_WIDTH = "chart format", 1000  # the key of the files' format; pixels, whatever the screen's width


def pick_format() -> None:
    """What the camera in a chart's corner saves."""
    st.segmented_control("The camera of a chart saves", ("SVG", "PNG"), default="SVG", required=True, key=SAVED_AS)


def chart(figure: go.Figure, name: str, alt: str, width: int | None = None) -> None:
    """A figure whose camera saves it under its name, in one size on every screen.

    Args:
        figure: its height is the file's too.
        name: of the file, after "segviz-".
        alt: what it shows, for those who cannot see it.
        width: in pixels at most; all there is by default.
    """
    image = {
        "format": str(st.session_state.get(SAVED_AS, "SVG")).lower(),
        "filename": f"segviz-{name}",
        "width": width or SAVED_WIDTH,
        "height": figure.layout.height,
        "scale": 2,
    }
    config = {"toImageButtonOptions": image, "displaylogo": False, "displayModeBar": "hover"}
    st.plotly_chart(figure, width=width or "stretch", config=config, key=f"chart {name}", alt=alt)


def as_csv(columns: Columns, name: str) -> None:
    """The numbers of a table or chart as a file."""
    file = f"segviz-{name}.csv"
    icon = ":material/download:"
    st.download_button("CSV", csv_text(columns), file, "text/csv", key=file, icon=icon, on_click="ignore")


def pick_models(label: str, offered: Collection[str], start: Collection[str], key: str) -> list[str]:
    """The models of a multiselect, in the order of their colours; kept when the page changes."""
    begin = st.session_state.get(f"kept {key}", [name for name in start if name in offered] or offered)
    default = [name for name in begin if name in offered]
    picked = st.multiselect(label, offered, default, format_func=model_name, key=key)
    st.session_state[f"kept {key}"] = picked
    return [name for name in (*BASELINE_TITLES, *ORDER) if name in picked]


def model_name(name: str) -> str:
    """A model in lists of choice."""
    return training_title(name) if name in BASELINE_TITLES else model_title(name)
