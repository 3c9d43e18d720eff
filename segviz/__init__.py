"""segviz: look inside the attention of semantic segmentation models.

`segviz.load("psa")(image).maps["collect"].seen_from(row, column)` is the map of a place. Names load on
first use, so that `import segviz` alone stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from segviz.collector import paused

if TYPE_CHECKING:
    from segviz.models.registry import SPECS as MODELS
    from segviz.paper_figures import figure
    from segviz.predict import Prediction, Predictor
    from segviz.predict import load_predictor as load

__version__ = "0.1.0"
__all__ = ["MODELS", "Prediction", "Predictor", "__version__", "figure", "load"]

PUBLIC = {
    "MODELS": ("segviz.models.registry", "SPECS"),
    "Prediction": ("segviz.predict", "Prediction"),
    "Predictor": ("segviz.predict", "Predictor"),
    "figure": ("segviz.paper_figures", "figure"),
    "load": ("segviz.predict", "load_predictor"),
}


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module 'segviz' has no attribute '{name}'; it has {', '.join(__all__)}")
    module, attribute = PUBLIC[name]
    with paused():
        return getattr(import_module(module), attribute)
