"""From `--model` and the options that describe a network to its predictor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from segviz.cli.errors import MAX_ERROR_LENGTH, UsageError
from segviz.cli.network_options import NETWORK_OPTIONS
from segviz.image import Rgb
from segviz.prediction.labelled import Labelled, PixelLabels
from segviz.prediction.predictor import Predictor
from segviz.text import plain_text
from segviz.watch.load import OptionError, open_predictor
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.network_view import NetworkView
from segviz.watch.published_predictor import PublishedPredictor


def open_from_options(
    options: argparse.Namespace, layers: Sequence[str] = ()
) -> Predictor | NetworkPredictor | PublishedPredictor:
    """The predictor of `--model` and the options that describe it; notes on it go to stderr.

    Raises:
        UsageError: an option would have no effect.
        CheckpointError: a file of weights cannot be used.
        OpenError: the network cannot be opened.
    """
    described = {name: getattr(options, name) for name in NETWORK_OPTIONS}
    size, weights, fit = described.pop("input_size"), described.pop("weights"), described.pop("fit")
    extra: dict[str, Any] = {"layers": tuple(layers)} if layers else {}
    extra["find_windows"] = getattr(options, "find_windows", False)
    extra |= {"size": tuple(size) if isinstance(size, list) else size, "fit": fit or "stretch"}
    described["assume"] = {name: one for given in described["assume"] or () for name, one in given.items()} or None
    try:
        predictor = open_predictor(options.model, options.device, weights, **described, **extra)
    except OptionError as error:
        raise UsageError(str(error)) from None
    for note in getattr(predictor, "notes", ()):
        print(f"segviz: {plain_text(note, MAX_ERROR_LENGTH)}", file=sys.stderr)
    return predictor


def classify_pixels(predictor: Predictor | NetworkPredictor | PublishedPredictor, picture: Rgb) -> Labelled:
    """The classes of a picture's pixels.

    Raises:
        ValueError: the network's output has none.
    """
    answer = predictor(picture)
    if not isinstance(answer, NetworkView):
        return answer
    if answer.prediction is None:
        raise ValueError(f"the output of '{answer.network}' has no classes of pixels; look at its maps with `watch`")
    found = answer.prediction
    return PixelLabels(answer.network, found.labels, found.confidence, found.class_set)
