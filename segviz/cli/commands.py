"""What each command of the command line does. Nothing is written but what the options name."""

from segviz.cli.checkpoints import bench, models, train
from segviz.cli.pictures import attend, figure, predict
from segviz.cli.scores import evaluate

__all__ = ["attend", "bench", "evaluate", "figure", "models", "predict", "train"]
