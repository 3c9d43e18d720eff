"""What a map's numbers mean, with the papers' equations, and why some blocks have no map."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import streamlit as st

from segviz.catalogue.bundled import bundled_worth
from segviz.catalogue.context_worth import HARDLY, ContextWorth, format_points
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, VAL
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.results.gain import gains_over_fcn
from segviz.results.seeds import Runs, change_text, context_changes, read_runs, score_origin

WORTH_HELP = (
    "**mIoU without the context**: by how many percentage points this checkpoint's mIoU changes when what the block "
    "gathers is left out; negative where the context helps. Val is CamVid's val split."
)
WORTH_PLACES = {VAL: "on street photographs (CamVid)", SCENES: "on drawn scenes"}
WEIGHTS_HELP = f"""
- **Weight**: a place's share of what the point receives, or, in maps called "attended by", "who" or "distribute",
  the share that the place receives from the point. The weights that a point receives sum to 1.
- **Even share**: the weight of each place if all had the same; the tick below the colour bar. "36 × the even share"
  is a clear choice, "1.1 ×" is hardly one.
- **Scale**: with *auto*, a map is linear, but *log* where one place has over 50 times the even share at the first
  point; signed values begin on *percentile*, unless a few places have nearly all. *Percentile* shows the rest of a map
  whose one place hides it: its brightest colour may then stand for next to nothing, as the numbers on the colour bar
  say. A scale that you choose applies to all maps.
- **Colour bar**: a linear one begins at 0 or below, so a flat map looks flat. *One shared* range makes the colours of
  several maps comparable.
- {WORTH_HELP}
- A map shows where a block looks, not what the decision rests on: the block's context is only a part of it.
"""


def how_to_read(model: str) -> None:
    """A button that opens a text on how the model's block attends, and how to read its maps."""
    row = MODELS[model]
    with st.popover("How to read a map", icon=":material/help:"):
        st.markdown(f"**{row.title}**: {row.help}")
        st.markdown(WEIGHTS_HELP)
        st.page_link("pages/results.py", label="How much each block's context is worth → Results")  # its focus scrolls


def show_worth(*models: str) -> None:
    """A line for each model on what its maps' context is worth, with a help text; it leads to the Results page."""
    with st.container(key="worth", gap="xsmall"):
        for name in models:
            if (worth := bundled_worth(name)) is not None:
                title = f"{MODELS[name].title}: " if len(models) > 1 else ""
                label = f"{title}{worth.sentence()}{mean_words(name)} →\N{NO-BREAK SPACE}Results"
                told = " ".join(filter(None, (WORTH_HELP, gain_words(name))))
                st.page_link("pages/results.py", label=label, help=told, width="stretch")


def explain_first_worth(name: str) -> None:
    """What one model's context is worth, for readers who know no scores yet; it leads to Results."""
    worth = bundled_worth(name)
    if worth is not None and worth.changes:
        with st.container(key="worth", gap="xsmall"):
            label = f"{worth_in_words(worth)} →\N{NO-BREAK SPACE}Results"
            st.page_link("pages/results.py", label=label, width="stretch")


def worth_in_words(worth: ContextWorth) -> str:
    """What a checkpoint's context is worth, with what its numbers mean."""
    changes = [f"{format_points(change)} points {WORTH_PLACES[one]}" for one, change in worth.changes.items()]
    return (
        "Does the network need these places? Without what it draws from them, its mIoU, the mean overlap of predicted "
        f"and true classes in percent, changes by {' and '.join(changes)}"
        f"{f': {HARDLY}' if worth.hardly_matters else ''}"
    )


@st.cache_resource(max_entries=4, ttl=60, show_spinner=False)
def folder_runs(folder: Path) -> Runs:
    """The records of each model in a folder, read at most once a minute."""
    return read_runs(folder)[0]


def mean_words(name: str) -> str:
    """What follows the line of one checkpoint where Results shows the mean of several seeds; else ""."""
    seeds = folder_runs(checkpoints_folder()).get(name, ())
    changes = context_changes(seeds)
    if len(changes) < 2:
        return ""
    return f" (this seed; {score_origin(len(changes))}: val {change_text(changes)})"


def gain_words(name: str) -> str:
    """A sentence on what a model gains over FCN trained alike; "" where the two cannot be compared."""
    gains = list(gains_over_fcn(folder_runs(checkpoints_folder()), name).values())
    if not gains:
        return ""
    return (
        f"The whole network against FCN, which has no context and was trained alike: val mIoU "
        f"{format_points(fmean(gains))} points ({score_origin(len(gains))})."
    )


def explain_worth(folded: str) -> None:
    """The line on a page of many maps that explains theirs; it leads to the Results page.

    Args:
        folded: a sentence on the models that have no map.
    """
    with st.container(key="worth", gap="xsmall"):
        label = "*mIoU without it*: how mIoU changes when the map's context is left out →\N{NO-BREAK SPACE}Results"
        st.page_link("pages/results.py", label=label, help=WORTH_HELP, width="stretch")
        st.caption(folded)


def why_no_map(prediction: Prediction) -> str:
    """A clause that says why a model has no map from place to place."""
    reasons = dict.fromkeys(one.reason for one in prediction.channel_maps)
    return ", and ".join(reasons) or "it has no attention block"
