"""The command line, `python -m segviz COMMAND`."""
