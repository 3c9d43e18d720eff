"""Compare: predictions of any models side by side, where they disagree, and IoU where labels are known."""

import numpy as np
import streamlit as st

from segviz.data.classes import CAMVID
from segviz.engine import available_models
from segviz.evaluate import class_iou
from segviz.metrics import confusion
from segviz.models.registry import SPECS
from segviz.ui.panels import labels_panel, prediction_panel, votes_panel
from segviz.ui.session import model_title, picture, predict, show
from segviz.ui.viewer import Panel
from segviz.views.figures import iou_bars

KEY = "compare"
START = ("channel_nl", "spatial_nl", "dual_nl", "fla")

st.title("Compare predictions")
chosen = picture()
shown = available_models()
if not shown:
    st.error("No trained checkpoint is in the checkpoints folder; restore them or train one.")
    st.stop()
start = st.session_state.get("kept compare", [name for name in START if name in shown])
names = st.multiselect("Models", shown, start, format_func=model_title, key="compare models")
st.session_state["kept compare"] = names
if not names:
    st.info("Choose one model or more.")
    st.stop()

progress = st.progress(0.0, "Running the models …")
predictions = {}
for number, name in enumerate(names):
    predictions[name] = predict(name, chosen)
    progress.progress((number + 1) / len(names), f"{SPECS[name].title} is done")
progress.empty()

scores = {}
if chosen.truth is not None:  # a model of other classes has no score on CamVid's
    known = {name: one for name, one in predictions.items() if one.classes == CAMVID.names}
    scores = {name: confusion(chosen.truth, one.labels, len(one.classes)) for name, one in known.items()}
notes = {name: f"mIoU {score.mean_iou:.1%} on this picture" for name, score in scores.items()}
panels = [prediction_panel(one, SPECS[name].title, notes.get(name, "")) for name, one in predictions.items()]
pair = panels[:2]
if chosen.truth is not None:
    panels.append(labels_panel(chosen.truth, CAMVID, "Truth", "exact labels of the drawn scene"))
if len(predictions) > 1 and len({one.classes for one in predictions.values()}) == 1:
    panels.append(votes_panel([one.labels for one in predictions.values()]))
if len(pair) == 2:
    panels.append(Panel("Swipe", None, "swipe", note="the first two models", sides=(pair[0], pair[1])))


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    show(chosen, panels, key=KEY, columns=3)


viewer()
if scores:
    by_class = {SPECS[name].title: class_iou(one, CAMVID.names) for name, one in scores.items()}
    st.plotly_chart(iou_bars(by_class, "IoU per class on this picture"))
    columns = {
        SPECS[name].title: [*("–" if np.isnan(iou) else f"{iou:.1%}" for iou in one.iou), f"{one.mean_iou:.1%}"]
        for name, one in scores.items()
    }
    st.dataframe({"Class": [*CAMVID.names, "Mean"], **columns}, hide_index=True)
    st.caption("A class that is neither in the picture nor predicted is shown as –, and left out of the mean.")
else:
    st.caption("Scores need labels: drawn scenes have them, uploaded pictures do not.")
