"""What the results of a run depend on, in words, by which a list of finished pictures is known again."""

from __future__ import annotations

import argparse
from contextlib import suppress

import torch

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.entry import CatalogueError
from segviz.cli.arguments import ALL_MODELS
from segviz.cli.worker_jobs import pack_model
from segviz.version import VERSION

# Where results go, how they are made, and which pictures there are: none of it changes a picture's result.
WITHOUT_EFFECT = frozenset({
    "subcommand", "images", "data", "split", "scenes", "out", "zip", "json", "record", "resume", "ray", "workers",
    "given", "typed", "extra", "words", "cluster_folder", "skip_damaged", "one_file",
})  # fmt: skip


def describe_run(options: argparse.Namespace) -> dict[str, str]:
    """Names and values of all that a run's results depend on beside the pictures."""
    words = {"command": options.subcommand, "segviz": VERSION, "PyTorch": torch.__version__}
    for name, value in sorted(vars(options).items()):
        if name not in WITHOUT_EFFECT and value not in (None, False):
            words[f"--{name.replace('_', '-')}"] = str(value)
    if options.model != ALL_MODELS:
        with suppress(CheckpointError, CatalogueError, OSError):  # opening the network says what is wrong with it
            words["the digest of the model's files"] = pack_model(options).digest
    return words
