"""Speed and memory, measured on this machine: blocks, models and the viewer."""
