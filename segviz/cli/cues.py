"""`train-cues`: trains the tiny networks of the Cues page."""

from __future__ import annotations

import argparse

from segviz.cli.errors import UsageError
from segviz.models.registry import MODELS
from segviz.text import format_percent, format_table
from segviz.training.cue_options import CueOptions
from segviz.training.cues import train_cues


def run_train_cues(options: argparse.Namespace) -> int:
    """Train the networks, write their files, and print a table of their accuracies.

    Raises:
        UsageError: `--out` is a file.
    """
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out {options.out} is a file; name a folder")
    blocks, kinds = tuple(options.blocks or MODELS), tuple(options.kinds)
    settings = CueOptions(blocks, kinds, options.out, options.steps, options.batch, options.seed, options.typed)
    accuracies = {(one.block, one.kind): one.measured.accuracy for one in train_cues(settings)}
    rows = [[block, *(format_percent(accuracies[block, kind]) for kind in kinds)] for block in blocks]
    print(format_table(["block", *kinds], rows))
    return 0
