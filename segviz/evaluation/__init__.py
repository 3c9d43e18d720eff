"""How good a model is: scores over a data set."""
