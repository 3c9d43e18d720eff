"""Everything that can be opened by name or path: checkpoint files, their records and learning curves."""
