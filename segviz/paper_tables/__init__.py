"""The tables of the four papers: what they print, and what this package counts, measures and scores beside it."""
