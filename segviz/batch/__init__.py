"""Many pictures: where they come from, runs over them, and archives of what comes out."""
