"""`models`: the command that lists checkpoints and networks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch

from segviz.catalogue.checkpoint_file import CheckpointError, examine_checkpoint, read_record
from segviz.catalogue.context_worth import OWN_SCORE
from segviz.catalogue.location import bundled_path
from segviz.catalogue.record import Record, to_json
from segviz.cli.network_table import list_networks, list_options
from segviz.data.classes import CAMVID
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import BlockNetwork
from segviz.models.size import count_parameters
from segviz.results.models_page import models_page, scores_table
from segviz.text import NONE, format_percent, format_table


def run_models(options: argparse.Namespace) -> int:
    """List the models with their checkpoints' records; returns 1 if a checkpoint cannot be used, else 0."""
    if options.record_of:
        print(to_json(read_record(options.record_of)))
        return 0
    if options.networks or options.options:
        print(list_networks() if options.networks else list_options(options.options))
        return 0
    if options.markdown or options.scores:
        print(models_page() if options.markdown else scores_table(), end="")
        return 0
    rows = list(describe_models())
    problems = [row["problem"] for row in rows if row["problem"]]
    for problem in problems:
        print(f"segviz: {problem}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 1 if problems else 0
    scored = f"val ({OWN_SCORE})", f"scenes ({OWN_SCORE})"
    heads = ["name", "title", "paper", "backbone", "parameters", "checkpoint", *scored]
    lines = []
    for row in rows:
        scores = (format_percent(row["val_miou"]), format_percent(row["scenes_miou"]))
        size = f"{row['parameters'] / 1e6:.2f} M"
        backbone = row["backbone"] or NONE
        lines.append([row["name"], row["title"], row["paper"], backbone, size, row["checkpoint"], *scores])
    print(format_table(heads, lines))
    return 1 if problems else 0


def describe_models() -> Iterator[dict[str, Any]]:
    """Describe each model by its row and its checkpoint's record."""
    for name, row in MODELS.items():
        record, network, problem = inspect_bundled(name)
        yield {
            "name": name,
            "title": row.title,
            "paper": row.paper,
            "backbone": record.backbone if record else None if problem else row.backbone,
            "maps": list(row.maps),
            "parameters": count_parameters(network),
            "checkpoint": "damaged" if problem else "yes" if record else "none",
            "problem": problem,
            "val_miou": record.val_miou if record else None,
            "scenes_miou": record.scenes_miou if record else None,
        }


def inspect_bundled(name: str) -> tuple[Record | None, BlockNetwork, str | None]:
    """Return a model's record, its network without weights, and what is wrong with its checkpoint."""
    problem = None
    if bundled_path(name).is_file():
        try:
            return *examine_checkpoint(bundled_path(name)), None
        except CheckpointError as error:
            problem = str(error)
    with torch.device("meta"):  # shapes without memory
        return None, build(name, len(CAMVID.names)), problem
