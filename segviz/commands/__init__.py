"""What each command of the command line does. Nothing is written but what the options name."""

from segviz.commands.checkpoints import bench, models, train
from segviz.commands.pictures import attend, figure, predict
from segviz.commands.scores import evaluate

__all__ = ["attend", "bench", "evaluate", "figure", "models", "predict", "train"]
