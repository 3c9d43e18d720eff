"""Which views training may draw of a picture: scales, colours, rotation, blur and mirroring."""

from __future__ import annotations

from dataclasses import dataclass

COLOUR_CHANGES = ("street", "common", "none")


@dataclass(frozen=True)
class Scales:
    """Factors on a picture's height and width.

    Attributes:
        values: the factors, or the smallest and the largest.
        between: whether any factor between the two may be drawn, half as likely as double; else one of `values`.
    """

    values: tuple[float, ...]
    between: bool

    def __str__(self) -> str:
        """As the command line has it: `0.5-2` for a range, `0.75,1,2` for a list."""
        return ("-" if self.between else ",").join(f"{value:g}" for value in self.values)


@dataclass(frozen=True)
class ViewRange:
    """From what `random_view` draws; the defaults are those of the recipe `segviz`.

    Attributes:
        scales: factors on the picture's size.
        own_scale: share of the views at the picture's own scale, whatever `scales` is.
        colours: "street": brightness, contrast, saturation, white balance and gamma; "common": brightness, contrast
            and saturation, each by up to half; "none".
        rotation: the largest angle, in degrees; each from minus to plus this angle is equally likely.
        blur: share of the views that a Gaussian blurs.
        mirror: whether half of the views are mirrored left to right.
    """

    scales: Scales = Scales((0.6, 1.8), between=True)
    own_scale: float = 0.5
    colours: str = "street"
    rotation: float = 0.0
    blur: float = 0.0
    mirror: bool = True


STREET_VIEWS = ViewRange()
