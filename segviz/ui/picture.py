"""The picture that all pages look at: a value that the sidebar makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from segviz.engine import digest


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it is shown, hashed when it is made; nobody may write to its arrays afterwards.

    Attributes:
        name: "street 3", or the name of the visitor's file.
        image: RGB pixels.
        truth: class indices of a drawn scene; None for a visitor's own picture.
        file_size: the (height, width) of the visitor's file, which may be shown smaller.
        own_size: whether models see it at its own size, at most 1024 x 2048, and not at that of training.
        digest: SHA-256 of the image.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    truth: UInt8[np.ndarray, "height width"] | None = None
    file_size: tuple[int, int] | None = None
    own_size: bool = False
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest(self.image))

    @property
    def seen_digest(self) -> str:
        """The digest of what models see: it differs with the size at which they see the picture."""
        return self.digest + ("-own" if self.own_size else "")

    @cached_property
    def colour_range(self) -> int:
        """The largest difference of two pixels in one colour channel; found once, as runs of a page ask it again."""
        return int(np.ptp(self.image, axis=(0, 1)).max())

    @cached_property
    def at_own_size(self) -> Picture:
        """This picture, as models see it at its own size; the same each time, with what is known of it."""
        return replace(self, own_size=True)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as shown."""
        return self.image.shape[0], self.image.shape[1]
