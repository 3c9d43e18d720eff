"""Classes and palettes, data sets on disk, label files, and drawn street scenes."""
