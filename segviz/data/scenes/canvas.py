"""The canvas of a scene: colour, label and depth are painted together, so that labels are exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from segviz.data.scenes.world import Array, Bytes, Camera, floats

_SHIFT = 3  # polygons are placed to an eighth of a pixel


def to_fixed_point(points: Any) -> Any:
    """Convert points to the fixed-point integers of OpenCV's polygon filler."""
    return np.round(np.clip(floats(points), -30000, 30000) * (1 << _SHIFT)).astype(np.int32)


class Patch:
    """A window of the picture, on which one object is painted before it goes into the scene."""

    def __init__(self, camera: Camera, low: Any, high: Any) -> None:
        """Open a window around the box from `low` to `high` (column, row), cut at the picture's border."""
        self.left = int(np.clip(np.floor(low[0]) - 2, 0, camera.width))
        self.top = int(np.clip(np.floor(low[1]) - 2, 0, camera.height))
        self.right = int(np.clip(np.ceil(high[0]) + 3, self.left, camera.width))
        self.bottom = int(np.clip(np.ceil(high[1]) + 3, self.top, camera.height))
        self.height, self.width = self.bottom - self.top, self.right - self.left
        self.colour: Array = np.zeros((self.height, self.width, 3), np.float32)
        self.mask: Bytes = np.zeros((self.height, self.width), np.uint8)

    @property
    def empty(self) -> bool:
        """Whether the window is outside the picture."""
        return self.height < 1 or self.width < 1

    def local(self, points: Any) -> Array:
        """Convert the picture's coordinates to this window's."""
        return floats(points) - floats([self.left, self.top])

    def polygon(self, points: Any, colour: Any) -> None:
        """Fill a polygon, given in the picture's pixels."""
        corners = to_fixed_point(self.local(points)).reshape(1, -1, 2)
        cv2.fillPoly(self.colour, corners, tuple(float(c) for c in colour), shift=_SHIFT)
        cv2.fillPoly(self.mask, corners, 255, shift=_SHIFT)

    def limb(self, start: Any, end: Any, thickness: float, colour: Any) -> None:
        """Draw a rounded bar between two of the picture's pixels, at least one pixel thick."""
        ends = to_fixed_point(self.local([start, end]))
        wide = max(1, round(thickness))
        first, last = ends[0].tolist(), ends[1].tolist()
        cv2.line(self.colour, first, last, tuple(float(c) for c in colour), wide, cv2.LINE_8, _SHIFT)
        cv2.line(self.mask, first, last, 255, wide, cv2.LINE_8, _SHIFT)

    def limbs(self, starts: Array, ends: Array, thickness: Array, colour: Any) -> None:
        """Draw many bars of one colour, each with its own thickness in pixels."""
        first, last = to_fixed_point(self.local(starts)).tolist(), to_fixed_point(self.local(ends)).tolist()
        for a, b, wide in zip(first, last, np.maximum(np.round(thickness), 1).astype(int).tolist(), strict=True):
            cv2.line(self.mask, a, b, 255, wide, cv2.LINE_8, _SHIFT)
        self.colour[self.mask > 0] = colour

    def ring(self, points: Array, thickness: float, colour: Any) -> None:
        """Draw a closed line through points of the picture."""
        corners = [to_fixed_point(self.local(points)).reshape(-1, 1, 2)]
        wide = max(1, round(thickness))
        cv2.polylines(self.colour, corners, True, tuple(float(c) for c in colour), wide, cv2.LINE_8, _SHIFT)
        cv2.polylines(self.mask, corners, True, 255, wide, cv2.LINE_8, _SHIFT)

    def ellipse(self, centre: Any, axes: tuple[float, float], colour: Any, thickness: int = -1) -> None:
        """Draw an upright ellipse around a pixel of the picture, filled or as a ring of `thickness` pixels."""
        place = to_fixed_point(self.local(centre)).tolist()
        size = [max(1, round(a * (1 << _SHIFT))) for a in axes]
        args = (place, size, 0, 0, 360)
        cv2.ellipse(self.colour, *args, tuple(float(c) for c in colour), thickness, cv2.LINE_8, _SHIFT)
        cv2.ellipse(self.mask, *args, 255, thickness, cv2.LINE_8, _SHIFT)

    def round_off(self, radius: float, sideways: float, upwards: float) -> None:
        """Shade the painted shape as if it bulged: brighter where its edge faces the light."""
        if self.empty:
            return
        height = floats(cv2.GaussianBlur(self.mask, (0, 0), max(radius, 0.6))) / 255
        across = np.gradient(height, axis=1) if self.width > 1 else np.zeros_like(height)
        down = np.gradient(height, axis=0) if self.height > 1 else np.zeros_like(height)
        shade = 1 + max(radius, 0.6) * 2.2 * (down * upwards - across * sideways)
        shade *= 0.72 + 0.28 * height
        self.colour *= np.clip(shade, 0.35, 1.8)[..., None].astype(np.float32)


class Canvas:
    """Linear colour, label and depth (metres) of every pixel; painted far to near."""

    def __init__(self, camera: Camera, step: int = 1) -> None:
        """An empty canvas of the camera's size; `step` x `step` of its pixels make one pixel of the photograph."""
        self.camera, self.step = camera, step
        shape = camera.height, camera.width
        self.colour: Array = np.zeros((*shape, 3), np.float32)
        self.labels: Bytes = np.zeros(shape, np.uint8)
        self.depth: Array = np.full(shape, 1e4, np.float32)

    def put(self, patch: Patch, label: int, depth: float | Array, solid: Bytes | None = None) -> None:
        """Put a painted window into the scene; `solid` is the area of its label, by default the painted area."""
        if patch.empty:
            return
        rows, columns = slice(patch.top, patch.bottom), slice(patch.left, patch.right)
        cv2.copyTo(patch.colour, patch.mask, self.colour[rows, columns])
        np.copyto(self.depth[rows, columns], floats(depth), where=patch.mask > 0)
        np.copyto(self.labels[rows, columns], np.uint8(label), where=(patch.mask if solid is None else solid) > 0)

    def polygon(self, points: Any, colour: Any, label: int, depth: float) -> None:
        """Fill a polygon in one colour."""
        corners = to_fixed_point(points).reshape(1, -1, 2)
        cv2.fillPoly(self.colour, corners, tuple(float(c) for c in colour), shift=_SHIFT)
        cv2.fillPoly(self.labels, corners, label, shift=_SHIFT)
        cv2.fillPoly(self.depth, corners, float(depth), shift=_SHIFT)

    def draw_texture(
        self,
        texture: Array,
        corners: Any,
        depths: tuple[float, float],
        label: int,
        alpha: Bytes | None = None,
    ) -> None:
        """Draw a texture on a quad, its corners in pixels: top left, top right, bottom right, bottom left.

        `depths` are the distances in metres of the left and the right edge; `alpha` (0 or 255, at the texture's
        size) leaves holes in the colour, while the label covers the whole quad.
        """
        quad = floats(corners)
        patch = Patch(self.camera, quad.min(0), quad.max(0))
        if patch.empty:
            return
        height, width = texture.shape[:2]
        source = floats([[0, 0], [width, 0], [width, height], [0, height]])
        matrix = cv2.getPerspectiveTransform(source, patch.local(quad))
        size = (patch.width, patch.height)
        patch.colour = floats(
            cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )
        cv2.fillPoly(patch.mask, to_fixed_point(patch.local(quad)).reshape(1, -1, 2), 255, shift=_SHIFT)
        whole = patch.mask
        if alpha is not None:
            holes = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR)
            patch.mask = np.where(holes > 110, whole, 0).astype(np.uint8)
        self.put(patch, label, _wall_depth(patch, quad, depths), whole)


def _wall_depth(patch: Patch, quad: Array, depths: tuple[float, float]) -> Array:
    """Distance over an upright wall: its inverse is linear in the column."""
    first, last = float(quad[0, 0]), float(quad[1, 0])
    span = last - first if abs(last - first) > 1e-3 else 1e-3
    share = np.clip((np.arange(patch.left, patch.right) + 0.5 - first) / span, 0, 1)
    inverse = (1 - share) / depths[0] + share / depths[1]
    return floats(np.broadcast_to(1 / inverse, (patch.height, patch.width)))


def enlarge(picture: Array, step: int) -> Array:
    """Repeat every pixel `step` times along both axes."""
    if step == 1:
        return picture
    return floats(cv2.resize(picture, None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST))


def majority(labels: Bytes, factor: int, thin: Sequence[int]) -> Bytes:
    """Labels `factor` times smaller: the most frequent label of each block; classes in `thin` win close calls."""
    if factor == 1:
        return labels
    height, width = labels.shape[0] // factor, labels.shape[1] // factor
    best = np.zeros((height, width), np.uint8)
    most = np.full((height, width), -1, np.float32)
    for label in np.unique(labels):
        share = floats(cv2.resize(floats(labels == label), (width, height), interpolation=cv2.INTER_AREA))
        share = share + (0.02 if int(label) in thin else 0.0) * (share > 0)
        better = share > most + 1e-6
        best[better], most[better] = label, share[better]
    return best
