"""Benchmarks of speed and memory on this machine: blocks, networks, questions, the viewer and the engine."""
