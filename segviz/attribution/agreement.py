"""Does an attribution rank places as the block's own attention does?"""

from __future__ import annotations

from segviz.attention.maps import PlacedMap, SpatialMap
from segviz.attention.rank_correlation import correlate_with_map
from segviz.attribution.target import Attribution


def agreement(attribution: Attribution, map_: SpatialMap | PlacedMap, row: int, column: int) -> float:
    """Rank correlation of an attribution, averaged over the map's cells, with what one cell attends to.

    Signed values are ranked as they are: the most negative ones rank lowest.

    Raises:
        IndexError: the cell lies outside the grid.
    """
    return correlate_with_map(attribution.values, map_, row, column)
