"""The browser's half: the wire format of a map, the route that serves it, and the live viewer."""
