"""The houses along a drawn street: their places, facades, roofs and gable walls."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas
from segviz.data.scenes.facade import Facade
from segviz.data.scenes.ground import PROFILE_START, in_shade
from segviz.data.scenes.world import (
    BUILDING,
    FAR,
    Array,
    Colour,
    Light,
    Stream,
    Street,
    chance,
    floats,
    noise_patch,
    srgb,
)

BRICKS = [(138, 104, 86), (162, 142, 114), (116, 86, 74), (174, 158, 132), (108, 94, 86), (136, 120, 104)]
PLASTERS = [(206, 200, 188), (188, 178, 158), (216, 212, 206), (170, 166, 160), (196, 184, 170)]


@dataclass(frozen=True)
class House:
    """One house of a row: on the left (-1) or right (1), from z0 to z1, with its eave at `height` metres."""

    side: int
    z0: float
    z1: float
    height: float
    style: str  # "brick", "plaster", "shop" or "modern"
    pitched: bool
    index: int
    exposed: float  # metres by which its end wall rises above the nearer neighbour


def make_houses(seed: int) -> list[House]:
    """Both rows of houses, with gaps for side streets and gardens."""
    houses = []
    for side in (-1, 1):
        rng = chance(seed, Stream.BUILDINGS, side + 1)
        base = rng.uniform(4.5, 8) if rng.random() < 0.45 else rng.uniform(7, 14)
        mix = rng.dirichlet([1.2, 0.8, 1.2, 0.6])
        gap_share = rng.choice([0.05, 0.18, 0.45, 0.8], p=[0.34, 0.33, 0.18, 0.15])
        z, index, before = -50.0 + rng.uniform(0, 8), 0, 0.0
        while z < FAR - 5:
            length = rng.uniform(5.5, 15) * (1.0 if z < 40 else 1.4)
            if rng.random() < gap_share:
                before = 0.0
                z += rng.uniform(6, 12) if rng.random() < 0.5 else rng.uniform(10, 28)
            style = str(rng.choice(["brick", "plaster", "shop", "modern"], p=mix))
            height = max(3.2, base + rng.normal(0, 1.6) + (2.0 if style == "modern" else 0))
            pitched = bool(rng.random() < 0.65)
            bare = float(height - before)
            houses.append(House(side, z, min(z + length, FAR), float(height), style, pitched, index, bare))
            z, before = z + length, float(height)
            index += 1
    return houses


def skyline(houses: list[House]) -> dict[int, Array]:
    """Heights of each side's houses, one value per metre from PROFILE_START on."""
    sides = {side: np.zeros(int(FAR) + 140, np.float32) for side in (-1, 1)}
    for house in houses:
        first, last = int(house.z0 - PROFILE_START), int(house.z1 - PROFILE_START)
        sides[house.side][first:last] = house.height + (1.2 if house.pitched else 0)
    return sides


def draw_house(canvas: Canvas, light: Light, street: Street, tops: dict[int, Array], house: House, seed: int) -> None:
    """Paint one house: gable wall, roof and chimney, then the facade facing the street."""
    rng = chance(seed, Stream.BUILDINGS, 10 + house.side, house.index)
    camera = canvas.camera
    z0 = max(house.z0, 1.5)
    if house.z1 < z0 + 1:
        return
    s = street.edge(house.side)
    x0, x1 = float(street.x(s, z0)), float(street.x(s, house.z1))
    texels = float(np.clip(camera.scale(0.6 * z0 + 0.4 * house.z1) * 0.9, 5, 34))
    wall = srgb(
        *np.array((BRICKS if house.style in ("brick", "shop") else PLASTERS)[int(rng.integers(5))])
        * rng.uniform(0.8, 1.1)
    )
    facade = Facade(house.style, house.height, house.z1 - z0, texels, wall, light, rng)
    toward = float(np.hypot(x1 - x0, house.z1 - z0))
    normal = (-house.side * (house.z1 - z0) / toward, 0.0, house.side * (x1 - x0) / toward)
    if house.exposed > -2.5:
        _gable(canvas, light, house, (x0, z0), wall, rng)
    if house.pitched:
        _roof(canvas, light, house, (x0, z0), (x1, house.z1), rng)
    picture = facade.picture
    rows, columns = picture.shape[:2]
    y = floats(np.linspace(house.height, 0, rows))[:, None]
    z = floats(np.linspace(z0, house.z1, columns))[None]
    lit = in_shade(light, street, tops, floats(s - house.side * 0.2), y, z)
    if np.sign(light.towards_sun[0]) == house.side:
        lit = floats(np.zeros((rows, columns)))
    lit = floats(cv2.GaussianBlur(np.broadcast_to(lit, (rows, columns)).copy(), (0, 0), 1.2))
    facing = light.on(normal) - light.on(normal, 0.0)
    shade = light.on(normal, 0.0) * facade.sheltered[..., None] + facing * lit[..., None]
    picture = floats(picture * shade + facade.glow)
    corners = camera.project([x0, x1, x1, x0], [house.height, house.height, 0, 0], [z0, house.z1, house.z1, z0])
    if house.side < 0:
        canvas.draw_texture(picture, corners, (z0, house.z1), BUILDING)
    else:
        canvas.draw_texture(picture[:, ::-1], corners[[1, 0, 3, 2]], (house.z1, z0), BUILDING)


def _gable(
    canvas: Canvas,
    light: Light,
    house: House,
    near: tuple[float, float],
    wall: Colour,
    rng: np.random.Generator,
) -> None:
    """The end wall that faces the camera, with the triangle of the roof."""
    camera = canvas.camera
    x, z = near
    depth = 9.0
    ridge = house.height + (3.0 if house.pitched else 0.0)
    out = x + house.side * depth
    texels = float(np.clip(camera.scale(z) * 0.8, 4, 24))
    blank = house.exposed < house.height - 1 or rng.random() < 0.45
    style = "brick" if house.style == "shop" else house.style
    end = Facade(style, house.height, depth, texels, wall, light, rng, blank)
    shade = light.on((0, 0, -1), 0.5 if light.towards_sun[2] < 0 else 0.0)
    picture = floats(end.picture * shade * end.sheltered[..., None] * rng.uniform(0.8, 1.0) + end.glow)
    left, right = min(x, out), max(x, out)
    corners = camera.project([left, right, right, left], [house.height, house.height, 0, 0], z)
    canvas.draw_texture(floats(picture), corners, (z, z), BUILDING)
    if house.pitched:
        peak = camera.project([x, (x + out) / 2, out], [house.height, ridge, house.height], z)
        canvas.polygon(peak, np.median(picture, (0, 1)), BUILDING, z)


def _roof(
    canvas: Canvas,
    light: Light,
    house: House,
    near: tuple[float, float],
    far: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """The roof slope facing the street, where it is visible, and up to two chimneys."""
    camera = canvas.camera
    (x0, z0), (x1, z1) = near, far
    back, rise = 4.5 * house.side, 3.0
    tile = floats(
        srgb(*(np.array([(92, 84, 84), (120, 82, 66), (78, 78, 84)][int(rng.integers(3))]) * rng.uniform(0.8, 1.1)))
    )
    rows = np.where(np.arange(40) % 3 == 0, 0.82, 1.0)[:, None, None]
    picture = tile * rows * (1 + 0.13 * noise_patch("leaf", 40, 60, rng)[..., None])
    picture = floats(picture * light.on((-house.side * 0.55, 0.83, 0.0), 0.9))
    peak, eave = house.height + rise, house.height
    corners = camera.project([x0 + back, x1 + back, x1, x0], [peak, peak, eave, eave], [z0, z1, z1, z0])
    if corners[0, 1] < corners[3, 1] or corners[1, 1] < corners[2, 1]:
        order = corners if house.side < 0 else corners[[1, 0, 3, 2]]
        canvas.draw_texture(picture, order, (z0, z1) if house.side < 0 else (z1, z0), BUILDING)
    for share in rng.uniform(0.05, 0.95, int(rng.integers(0, 3))):
        z = z0 + share * (z1 - z0)
        x = x0 + share * (x1 - x0) + back * 0.8
        stack = camera.project([x - 0.4, x + 0.4, x + 0.4, x - 0.4], [peak + 1.2, peak + 1.2, eave, eave], z)
        colour = floats(srgb(128, 92, 74)) * light.on((0, 0, -1), 0.6)
        canvas.polygon(stack, colour, BUILDING, z)
        pot = camera.project(
            [x - 0.15, x + 0.15, x + 0.15, x - 0.15], [peak + 1.6, peak + 1.6, peak + 1.2, peak + 1.2], z
        )
        canvas.polygon(pot, colour * 0.9, BUILDING, z)
