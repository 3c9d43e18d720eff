"""Classes and palettes, data sets on disk, augmentation, and drawn street scenes."""
