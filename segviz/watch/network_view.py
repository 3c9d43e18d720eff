"""What a network computed for one picture: its maps, its classes, and a table of what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import NetworkMap
from segviz.viewer.viewable import Viewable, choose_maps
from segviz.watch.findings import FoundLayer
from segviz.watch.outputs import NetworkPrediction
from segviz.watch.placement import Placement

if TYPE_CHECKING:
    from segviz.viewer.page_content import WebPage

FOUND = "The maps were found while the network ran; the details say how each was checked."


class NetworkMaps(Mapping[str, NetworkMap]):
    """Maps by their module's path; a wrong path is answered by what there is."""

    def __init__(self, maps: Mapping[str, NetworkMap], layers: Sequence[FoundLayer]) -> None:
        self._maps, self._layers = dict(maps), tuple(layers)

    def __getitem__(self, path: str) -> NetworkMap:
        """The map of a path.

        Raises:
            KeyError: no map of that path was kept.
        """
        if path in self._maps:
            return self._maps[path]
        for layer in self._layers:
            if layer.path == path:
                raise KeyError(f"'{path}' has no map ({layer.state}): {layer.reason}")
        raise KeyError(f"no attention was found at '{path}'; maps are {', '.join(self._maps) or 'none'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    def __repr__(self) -> str:
        """One line for each map."""
        return "\n".join(["NetworkMaps(", *(f"  {one!r}," for one in self._maps.values()), ")"])


@dataclass(frozen=True, repr=False)
class NetworkView(Viewable):
    """What a network computed for one picture. A notebook shows it as the live viewer; `save` writes that.

    Attributes:
        network: the network's class.
        image: the picture at its own size.
        placement: how the network saw it.
        normalisation: mean and std of the input, in words.
        maps: the kept maps by their module's path.
        layers: all attention calls that were found, kept, listed or passed over with the reason.
        prediction: the classes of pixels; None where the output has none.
        notes: what a reader should know of the network, such as that its weights are random.
        picture: the name of the picture's file; "" where it was not given as a path.
    """

    network: str
    image: UInt8[np.ndarray, "height width 3"]
    placement: Placement
    normalisation: str
    maps: NetworkMaps
    layers: tuple[FoundLayer, ...]
    prediction: NetworkPrediction | None
    notes: tuple[str, ...] = ()
    picture: str = ""

    def __repr__(self) -> str:
        """A table of what was found."""
        head = f"{self.network} saw the picture at {self.placement} (mean and std {self.normalisation})"
        head = "\n".join([head, *self.notes])
        rows = [(one.path, one.state, one.shape, one.spelling, one.details) for one in self.layers]
        if not rows:
            return (
                f"{head}\nno attention was found: it has none, or none that segviz can see; segviz.record declares it"
            )
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        table = [
            "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])) for row in rows
        ]
        return "\n".join([head, *(line.rstrip() for line in table)])

    def web_page(self, maps: str | Sequence[str] | None = None, title: str = "", picture: str = "") -> WebPage:
        """The page that `save` writes: the classes, if there are any, the kept maps, and the table of what was found.

        Raises:
            ValueError: a pattern fits no map, or there are neither maps nor classes.
        """
        from segviz.viewer.page_of_panels import page_of_panels
        from segviz.viewer.panels_of_maps import labels_panel, panels_of_map

        panels, answer = [], self.prediction
        if answer is not None:
            panels = [labels_panel(answer.labels, answer.class_set, "Prediction", model=self.network)]
        for path in choose_maps(tuple(self.maps), maps):
            panels += panels_of_map(self.maps[path], self.network)
        return page_of_panels(
            self.network,
            self.image,
            self.placement.picture,
            panels,
            title=title,
            picture=picture or self.picture,
            facts=(("Seen at", str(self.placement)),),
            caveats=(FOUND, *self.notes),
            details=repr(self),
        )
