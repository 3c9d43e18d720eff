"""The functions that run the commands. Importing this module loads torch, so it happens only when a command runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from segviz.cli.bench import run_bench
from segviz.cli.checkpoints import run_models
from segviz.cli.cues import run_train_cues
from segviz.cli.datasets import run_datasets
from segviz.cli.figure_command import run_figure
from segviz.cli.paper_table import run_table
from segviz.cli.pictures import run_attend, run_predict
from segviz.cli.scores import run_evaluate
from segviz.cli.train_command import run_recipes, run_train
from segviz.cli.watch_command import run_watch

COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "predict": run_predict,
    "attend": run_attend,
    "watch": run_watch,
    "figure": run_figure,
    "evaluate": run_evaluate,
    "train": run_train,
    "train-cues": run_train_cues,
    "recipes": run_recipes,
    "datasets": run_datasets,
    "bench": run_bench,
    "table": run_table,
    "models": run_models,
}
