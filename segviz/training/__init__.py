"""Training: the loop, its options, augmentation, losses, and resuming."""
