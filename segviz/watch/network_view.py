"""What a network computed for one picture: its maps, its classes, and a table of what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import NetworkMap
from segviz.watch.findings import FoundLayer
from segviz.watch.outputs import NetworkPrediction
from segviz.watch.placement import Placement


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
class NetworkView:
    """What a network computed for one picture.

    Attributes:
        network: the network's class.
        image: the picture at its own size.
        placement: how the network saw it.
        normalisation: mean and std of the input, in words.
        maps: the kept maps by their module's path.
        layers: all attention calls that were found, kept, listed or passed over with the reason.
        prediction: the classes of pixels; None where the output has none.
    """

    network: str
    image: UInt8[np.ndarray, "height width 3"]
    placement: Placement
    normalisation: str
    maps: NetworkMaps
    layers: tuple[FoundLayer, ...]
    prediction: NetworkPrediction | None

    def __repr__(self) -> str:
        """A table of what was found."""
        head = f"{self.network} saw the picture at {self.placement} (mean and std {self.normalisation})"
        rows = [(one.path, one.state, one.shape, one.spelling, one.reason) for one in self.layers]
        if not rows:
            return f"{head}\nno attention was found: it has none, or none that can be seen; segviz.record declares it"
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        table = [
            "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])) for row in rows
        ]
        return "\n".join([head, *(line.rstrip() for line in table)])
