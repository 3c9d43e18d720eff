"""What can be opened, by name or path: bundled models, checkpoints with their records, and other people's networks."""
