"""The process itself: memory allocation, garbage collection, and imports that wait until they are needed."""
