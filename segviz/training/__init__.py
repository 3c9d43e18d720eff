"""Training: loop, options, augmentation, losses, and how a run is resumed."""
