"""The web page of panels: its words, and the scales that the panels begin with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from segviz.text import size_text
from segviz.viewer.display import Display
from segviz.viewer.page_content import WebPage
from segviz.viewer.panel import Panel
from segviz.viewer.start_scale import set_starts


def page_of_panels(
    network: str,
    image: UInt8[np.ndarray, "rows columns 3"],
    size: tuple[int, int],
    panels: Sequence[Panel],
    *,
    title: str = "",
    picture: str = "",
    facts: Sequence[tuple[str, str]] = (),
    caveats: Sequence[str] = (),
    details: str = "",
) -> WebPage:
    """The page that shows what a network computed for one picture.

    Args:
        network: the network's name.
        image: the picture, at any size.
        size: the (height, width) in which pixels are counted.
        panels: what is shown over it.
        title: the heading; "" names the network.
        picture: the picture's name.
        facts: names and values that stand below the heading.
        caveats: what a reader should know about the maps.
        details: lines that stand folded at the end.

    Raises:
        ValueError: there is nothing to show.
    """
    if not panels:
        raise ValueError(
            f"{network} gave neither classes nor maps of places for this picture; there is nothing to draw"
        )
    display = Display()
    started = set_starts(panels, (size[0] // 2, size[1] // 2), (), size, display)
    return WebPage(
        title or f"Where {network} looks",
        describe_sight(network, panels),
        (("Picture", picture), ("Size", f"{size_text(size)} pixels"), ("Model", network), *facts),
        tuple(caveats),
        image,
        size,
        tuple(started),
        display=display,
        details=details,
        advice='choose fewer maps with maps="...", or allow a larger file with most_megabytes=',
    )


def describe_sight(network: str, panels: Sequence[Panel]) -> str:
    """What is seen, in one plain sentence."""
    if any(panel.follows for panel in panels):
        return (
            f"Point at any place in the picture: the maps show how the attention of {network} links it to all others."
        )
    return f"The pictures show what {network} computes at each place; it has no map that depends on where you point."
