"""Many pictures: inputs, runs over them, and the ZIP of their results."""
