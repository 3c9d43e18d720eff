"""Checkpoint files by name or path, their records and their learning curves."""
