"""The process itself: memory allocation, garbage collection, and deferred imports."""
