"""What each command of the command line does. Nothing is written but what the options name."""

from segviz.cli.checkpoints import run_bench, run_models, run_train
from segviz.cli.pictures import run_attend, run_figure, run_predict
from segviz.cli.scores import run_evaluate

__all__ = ["attend", "bench", "evaluate", "figure", "models", "predict", "train"]
