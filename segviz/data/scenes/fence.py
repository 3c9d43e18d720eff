"""The fence of a drawn scene: railings, bars, boards or mesh along one side of the street."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segviz.data.scenes.canvas import Canvas
from segviz.data.scenes.world import (
    FENCE,
    Array,
    Bytes,
    Camera,
    Light,
    Stream,
    Street,
    chance,
    floats,
    noise_patch,
    srgb,
)


@dataclass(frozen=True)
class Fence:
    """A fence along the kerb (or the building line) of one side, from z0 on."""

    side: int
    s: float
    z0: float
    height: float
    kind: str  # "rail", "bars", "boards" or "mesh"


def make_fence(seed: int, street: Street, camera: Camera) -> Fence:
    """Place the scene's fence; its length is an option of the scene."""
    rng = chance(seed, Stream.FENCE)
    side = int(rng.choice([-1, 1]))
    kind = str(rng.choice(["rail", "bars", "boards", "mesh"], p=[0.4, 0.25, 0.2, 0.15]))
    s = side * (street.half + 0.3) if kind in ("rail", "mesh") else street.edge(side) - side * 0.25
    z0 = max(street.visible_from(s, camera, 1.0), 7.0) + float(rng.uniform(0, 2.5))
    return Fence(side, float(s), z0, float(rng.uniform(0.95, 1.15) + (0.5 if kind == "boards" else 0)), kind)


def fence_panels(fence: Fence, length: float) -> list[tuple[float, float]]:
    """The fence's panels as (z0, z1), 2 m each, the last one cut."""
    ends = np.append(np.arange(0, length, 2.0), length)
    return [(fence.z0 + float(a), fence.z0 + float(b)) for a, b in pairwise(ends)]


def draw_fence(
    canvas: Canvas,
    light: Light,
    street: Street,
    fence: Fence,
    panel: tuple[float, float],
    seed: int,
    lit: float,
) -> None:
    """Paint one panel; the background shows through its holes, but the label is fence throughout."""
    z0, z1 = panel
    texture, holes = _panel(fence, z1 - z0, chance(seed, Stream.FENCE, 1))
    normal = (-float(fence.side), 0.0, 0.0)
    around = 0.5 * light.on(normal, lit) + 0.5 * light.on((0, 0, -1), lit)
    texture = floats(texture * around)
    camera = canvas.camera
    x0, x1 = float(street.x(fence.s, z0)), float(street.x(fence.s, z1))
    corners = camera.project([x0, x1, x1, x0], [fence.height, fence.height, 0, 0], [z0, z1, z1, z0])
    if corners[0, 0] < corners[1, 0]:
        canvas.draw_texture(texture, corners, (z0, z1), FENCE, holes)
    else:
        flip = np.ascontiguousarray(texture[:, ::-1]), np.ascontiguousarray(holes[:, ::-1])
        canvas.draw_texture(flip[0], corners[[1, 0, 3, 2]], (z1, z0), FENCE, flip[1])


def _panel(fence: Fence, length: float, rng: np.random.Generator) -> tuple[Array, Bytes]:
    """Albedo and holes of a panel, 40 pixels per metre."""
    rows, columns = round(fence.height * 40), max(4, round(length * 40))
    holes = np.zeros((rows, columns), np.uint8)
    tints = {"rail": (150, 152, 150), "bars": (34, 38, 36), "boards": (126, 104, 80), "mesh": (70, 90, 76)}
    texture = np.full((rows, columns, 3), srgb(*(np.array(tints[fence.kind]) * rng.uniform(0.75, 1.15))), np.float32)
    at = np.arange(columns)
    if fence.kind == "boards":
        holes[:] = 255
        board = at // 6
        texture *= (1 + 0.18 * np.sin(board * 12.9) * np.cos(board * 4.1))[None, :, None]
        texture[:, at % 6 == 0] *= 0.35
    else:
        pitch, bar = {"rail": (5, 1), "bars": (6, 2), "mesh": (4, 1)}[fence.kind]
        holes[:, at % pitch < bar] = 255
        if fence.kind == "mesh":
            holes[np.arange(rows) % 4 < 1] = 255
        for y in (0, int(rows * 0.14), int(rows * 0.86)):
            holes[y : y + 3] = 255
            texture[y : y + 3] *= 1.2
        holes[:, :3] = 255
    texture *= 1 + 0.15 * noise_patch("leaf", rows, columns, rng)[..., None]
    return texture, holes
