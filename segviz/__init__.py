"""segviz: look inside the attention of semantic segmentation models.

`segviz.load("psa")(image).maps["collect"].attends_to(row, column)` is the attention map of one cell. Names are
imported on first use, so that `import segviz` alone stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from segviz.runtime.garbage_collection import pause_collector
from segviz.version import VERSION

if TYPE_CHECKING:
    from segviz.figures.papers import figure
    from segviz.figures.show import show
    from segviz.models.registry import MODELS
    from segviz.prediction.prediction import Prediction
    from segviz.prediction.predictor import Predictor
    from segviz.ui.serve_network import serve_network as app
    from segviz.watch.load import load
    from segviz.watch.record import record
    from segviz.watch.watch_network import watch

__version__ = VERSION
__all__ = ["MODELS", "Prediction", "Predictor", "__version__", "app", "figure", "load", "record", "show", "watch"]

PUBLIC = {
    "MODELS": ("segviz.models.registry", "MODELS"),
    "Prediction": ("segviz.prediction.prediction", "Prediction"),
    "Predictor": ("segviz.prediction.predictor", "Predictor"),
    "app": ("segviz.ui.serve_network", "serve_network"),
    "figure": ("segviz.figures.papers", "figure"),
    "show": ("segviz.figures.show", "show"),
    "load": ("segviz.watch.load", "load"),
    "record": ("segviz.watch.record", "record"),
    "watch": ("segviz.watch.watch_network", "watch"),
}


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module 'segviz' has no attribute '{name}'; it has {', '.join(__all__)}")
    module, attribute = PUBLIC[name]
    with pause_collector():
        return getattr(import_module(module), attribute)
