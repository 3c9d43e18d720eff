"""The error of all picture files."""


class ImageError(ValueError):
    """A picture that cannot be used; the message names the cause and the cure."""
