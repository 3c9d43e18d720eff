"""Attention as values: the kinds of map, their cells over the picture, and statistics of them."""
