"""The numbers below the Attribution page's maps: they stay, faded, until those of the next question are there."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from segviz.figures.attribution_table import AttributionNumbers
from segviz.ui.attribution_answers import is_computing
from segviz.ui.charts import csv_button
from segviz.ui.state import session
from segviz.ui.tables import ColumnHead, explain_columns, show_table

NUMBER_FORMAT = "%.3g"
METHOD_HEADS = (
    ColumnHead("Smallest", "The map's smallest value.", NUMBER_FORMAT),
    ColumnHead("Largest", "The map's largest value.", NUMBER_FORMAT),
    ColumnHead("Explained", "The picture's score minus the baseline's.", NUMBER_FORMAT),
    ColumnHead(
        "Delta",
        "Convergence delta: the map's sum minus the score difference that it should explain; – for methods without "
        "one.",
        NUMBER_FORMAT,
    ),
    ColumnHead("Baseline", "What the picture is compared with."),
)
RANK = (
    "Spearman's ρ compares the attribution, averaged over the map's cells, with the attention from the point. It is 1 "
    "if both rank all cells alike, and 0 if the rankings are unrelated. Signed values rank as they are. Where the "
    "attention has several heads, their mean is compared."
)


def show_attribution_numbers(numbers: AttributionNumbers) -> None:
    """The numbers of the question that is asked now; the session keeps them for `show_last_numbers`."""
    session().attribution_numbers = numbers
    draw_numbers(numbers, "current")


def show_last_numbers(source: Hashable) -> None:
    """The last question's numbers while the next one's are computed: without them, the page would become shorter.

    Args:
        source: the model and the picture; the numbers of others are not shown.
    """
    numbers = session().attribution_numbers
    if numbers is not None and numbers.source == source and is_computing():
        draw_numbers(numbers, "outdated")


def draw_numbers(numbers: AttributionNumbers, state: str) -> None:
    """The score, the warnings and the table. Both states have the same elements, so that nothing is drawn anew."""
    with st.container(key="numbers"):
        with st.container(key=f"explained {state}"):  # page.css fades all numbers by it
            lead = "Explained" if state == "current" else "Computing; the last numbers are of"
            st.markdown(f"{lead}: {numbers.score}.")
        for sentence in numbers.warnings:
            st.warning(sentence, icon=":material/warning:")
        rank_heads = (ColumnHead(title, RANK, "%.2f") for title in numbers.columns if title.startswith("ρ"))
        heads = (*METHOD_HEADS, *rank_heads)
        show_table(numbers.columns, heads, "Each attribution's numbers")
        csv_button(numbers.columns, "attribution", disabled=state == "outdated")
        explain_columns(heads)
