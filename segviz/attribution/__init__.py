"""Attribution: which pixels drive a class's logit, by Captum's methods, to compare with a block's own attention."""

from segviz.attention.rank_correlation import rank_correlation
from segviz.attribution.agreement import agreement
from segviz.attribution.methods import METHODS, Method
from segviz.attribution.run import attribute
from segviz.attribution.target import (
    Attribution,
    AttributionError,
    Baseline,
    Options,
    Target,
    baseline_picture,
)

__all__ = [
    "METHODS",
    "Attribution",
    "AttributionError",
    "Baseline",
    "Method",
    "Options",
    "Target",
    "agreement",
    "attribute",
    "baseline_picture",
    "rank_correlation",
]
