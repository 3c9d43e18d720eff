"""The part of the picture that a viewer shows: read from the browser or an address, and written into one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeGuard

ZOOMS = (0.001, 1000.0)  # view.js keeps a zoom within the limits of its picture and window
SHARE = r"(0(?:\.[0-9]{1,4})?|1)"
VIEW_PATTERN = re.compile(rf"([0-9]{{1,4}}(?:\.[0-9]{{1,3}})?)(?:-{SHARE}-{SHARE})?")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of JSON is a number; True and False are not."""
    return type(value) in (int, float)


@dataclass(frozen=True)
class ZoomedView:
    """A zoomed view; all panels of a viewer share it.

    Attributes:
        zoom: the width of the whole picture, in widths of the panel.
        top: the upper edge of what is shown, as a share of the picture's height.
        left: the left edge, as a share of its width.
    """

    zoom: float = 1.0
    top: float = 0.0
    left: float = 0.0

    @classmethod
    def of(cls, values: object) -> ZoomedView | None:
        """The view that the browser sent; None if it is not one. A picture smaller than its panel is centred."""
        if not isinstance(values, Mapping):
            return None
        numbers = [values.get(name) for name in ("zoom", "top", "left")]
        finite = [float(one) for one in numbers if is_number(one) and abs(one) < 1e6]
        if len(finite) < len(numbers):
            return None
        zoom, top, left = finite
        shares = (round(min(max(share, 0.0), 1.0), 4) for share in (top, left))
        return cls(round(zoom, 3), *shares) if ZOOMS[0] <= zoom <= ZOOMS[1] else None

    @classmethod
    def parse(cls, text: str) -> ZoomedView | None:
        """The view that `text` of an address says; None if it says none."""
        match = VIEW_PATTERN.fullmatch(text)
        if match is None:
            return None
        zoom, top, left = map(float, match.groups("0"))
        return cls.of({"zoom": zoom, "top": top, "left": left})

    @property
    def text(self) -> str:
        """The view in an address, such as "2.25-0.1-0.4": zoom, top and left."""
        corner = (self.top, self.left) if self.top or self.left else ()
        return "-".join(f"{value:g}" for value in (self.zoom, *corner))

    def as_dict(self) -> dict[str, float]:
        """The view as view.js reads it."""
        return asdict(self)
