"""PSA's over-complete maps of one place: all that a cell predicts, of which its window alone is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from segviz.attention.grid_map import Grid, cell_of_pixel
from segviz.image import ImageLike, as_rgb, resize
from segviz.models.blocks import PointWiseBranch, PointWiseSpatialAttention
from segviz.prediction.prediction import Place
from segviz.prediction.predictor import Predictor


@dataclass(frozen=True, eq=False)
class OverCompleteMap:
    """The map h_i that a cell i predicts (PSANet, section 3.3 and Fig. 3), centred on that cell.

    Attributes:
        direction: "collect" or "distribute".
        values: the logits, one for each relative position, 2H - 1 rows of 2W - 1 for an H x W grid.
        cell: the cell (row, column) on that grid.
        grid: (H, W), the grid on which the masks move features.
    """

    direction: str
    values: Float[np.ndarray, "rows columns"]
    cell: Grid
    grid: Grid

    @property
    def window(self) -> tuple[int, int]:
        """The row and column of `values` at which the valid window of H x W begins; it may begin outside.

        With k and l the cell's row and column from 0, it begins at H - 1 - k and W - 1 - l (eq. 9, which counts
        from 1).
        """
        return (self.values.shape[0] - 1) // 2 - self.cell[0], (self.values.shape[1] - 1) // 2 - self.cell[1]


def read_over_complete(predictor: Predictor, image: ImageLike, place: Place) -> Mapping[str, OverCompleteMap]:
    """The over-complete map of a pixel's cell from each branch of a PSA network, by direction.

    Raises:
        ValueError: the network has no PSA, its masks are compact, or the pixel lies outside the picture.
        ImageError: the picture cannot be used.
    """
    block, network = predictor.model.block, predictor.model
    if not isinstance(block, PointWiseSpatialAttention):
        raise ValueError(f"'{predictor.record.model}' has no over-complete map; use --models psa")
    picture = as_rgb(image)
    size = (picture.shape[0], picture.shape[1])
    found = {}
    with torch.inference_mode():
        seen = resize(picture, predictor.seen_size(size))
        features = network.encode(network.expects.prepare(seen, predictor.device))[1].features
        full = (features.shape[2], features.shape[3])
        grid, corners = block.shrunk_grid(full)
        for direction, branch in block.branches.items():
            assert isinstance(branch, PointWiseBranch)
            if branch.compact:
                raise ValueError(
                    f"the masks of '{predictor.record.model}' are compact: they have no over-complete map; train with "
                    "`compact=false`"
                )
            reduced = F.interpolate(branch.reduce(features), grid, mode="bilinear", align_corners=corners)
            cell = cell_of_pixel(*place, size, grid, full if corners else None)
            logits = branch.mask(reduced)[0, :, cell[0], cell[1]].unflatten(0, branch.mask_size)
            found[direction] = OverCompleteMap(direction, logits.float().cpu().numpy(), cell, grid)
    return found
