"""What a link asks for and cannot have, in words, and what is shown instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import streamlit as st

from segviz.text import escape_markdown, join_with_commas, pixel_text, plain_text
from segviz.ui.display_settings import stored_display
from segviz.ui.models import models_of, short_title
from segviz.ui.page_table import PageRow
from segviz.ui.permalink import parse_pin
from segviz.ui.picture_sidebar import KNOBS, SEED
from segviz.ui.pins import pins_inside
from segviz.ui.state import session
from segviz.ui.widgets import NOTHING, control_name

MOST_VALUES_NAMED = 4  # of one name in an address: anybody may have written it
MOST_LETTERS_NAMED = 40  # of one value
LINK_WORDS: Mapping[str, str] = {
    "chosen": "chosen pin",
    "pin": "point",
    "seed": "street",
    "upload": "own picture",
    "compare-between": "disagreement between",
    "compare-confusion": "confusions of",
    "compare-measure": "disagreement shown as",
    "compare-parts": "panel",
    "compare-side-0": "left of the divider",
    "compare-side-1": "right of the divider",
    "many_pictures-point": "point at",
    "results-bars": "model of the bars",
    "results-confusion": "confusions of",
    "results-curves": "training",
    "results-format": "format of charts",
    "results-on": "confusions measured on",
    **{name: title.partition(" (")[0].lower() for name, title, *_ in KNOBS},
}  # by the name in an address; the others say themselves what they are


def refused_sentence(names: Sequence[str], row: PageRow) -> str:
    """What a link asks for and does not get, in Markdown.

    Args:
        names: the names in the address whose values cannot be used, or not all.
        row: the page that it opened.
    """
    return f"Some of this link cannot be shown: {join_with_commas(refused_words(name, row) for name in names)}."


def refused_words(name: str, row: PageRow) -> str:
    """One name's values that are not shown, and what is shown instead."""
    asked, shown = (session().link.address or {}).get(name, ()), shown_values(name, row)
    wrong = [text for text in dict.fromkeys(asked) if text not in shown]
    words = LINK_WORDS.get(name) or name.removeprefix(f"{row.key}-").replace("-", " ").replace("_", " ")
    if name == "pin":
        return f"{words}{'s' if len(wrong) > 1 else ''} {quote(map(linked_pin_words, wrong))}"
    if not shown:
        return f"{words} {quote(wrong)}"
    instead = join_with_commas(escape_markdown(plain_text(one, MOST_LETTERS_NAMED)) for one in shown.values())
    return f"{words} {quote(wrong)} (shown: {instead})"


def quote(texts: Iterable[str]) -> str:
    """The first texts from an address, as Markdown that shows them literally."""
    texts = list(texts)
    each = [f"“{escape_markdown(plain_text(one, MOST_LETTERS_NAMED))}”" for one in texts[:MOST_VALUES_NAMED]]
    return join_with_commas([*each, "…"] if len(texts) > MOST_VALUES_NAMED else each)


def linked_pin_words(text: str) -> str:
    """A pin of an address in words; one that cannot be read as it is."""
    place = parse_pin(text)
    return text if place is None else pixel_text(*place[:2])


def shown_values(name: str, row: PageRow) -> dict[str, str]:
    """What the page shows of a name, by its value in an address, in words; empty where it shows nothing for it."""
    if name == "model":
        return {one: short_title(one) for one in models_of(row)}
    if name == "pin":
        inside = [(pin.y, pin.x) for pin in pins_inside(session().pins or ())]
        texts = (session().link.address or {}).get("pin", ())
        return {text: text for text in texts if (place := parse_pin(text)) is not None and place[:2] in inside}
    display = stored_display(row.key).as_dict()
    keys = {control_name(key): key for key in session().linked}
    if name in display:
        value = display[name]
    elif name in keys or name in (SEED, *(knob[0] for knob in KNOBS)):
        value = st.session_state.get(keys.get(name, name))
    else:
        return {}
    values = (value or [NOTHING]) if isinstance(value, list) else [] if value is None else [value]
    return {str(one).lower(): str(one) for one in values}
