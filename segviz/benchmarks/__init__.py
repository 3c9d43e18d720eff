"""Benchmarks of speed and memory on this machine: blocks, models and the viewer."""
