"""The process itself: memory, garbage collection, signals, progress, and deferred imports."""
