"""Trees and hedges of a drawn scene: crowns in leaf with light and dark clumps, and bare winter trees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas, Patch
from segviz.data.scenes.world import TREE, Array, Light, Stream, Street, chance, floats, noise_patch, srgb

LEAVES = [(88, 96, 60), (74, 86, 56), (98, 100, 66), (62, 76, 52), (104, 96, 68), (54, 66, 48)]


@dataclass(frozen=True)
class Plant:
    """A tree, bush or piece of hedge at s metres right of the street's middle, z metres ahead."""

    s: float
    z: float
    height: float
    spread: float
    kind: str  # "leafy", "bare" or "hedge"
    index: int


def make_plants(seed: int, street: Street, gaps: list[tuple[int, float, float]]) -> list[Plant]:
    """Street trees on the pavements, and gardens with hedges in the gaps (side, z0, z1) between houses."""
    rng = chance(seed, Stream.TREES)
    season = rng.choice([0.1, 0.5, 0.9])  # share of bare trees
    plants: list[Plant] = []

    def add(s: float, z: float, height: float, spread: float, hedge: bool = False) -> None:
        kind = "hedge" if hedge else "bare" if rng.random() < season else "leafy"
        plants.append(Plant(float(s), float(z), float(height), float(spread), kind, len(plants)))

    for side in (-1, 1):
        density = rng.choice([0.0, 0.35, 0.9], p=[0.35, 0.4, 0.25])
        for z in np.arange(rng.uniform(9, 16), 110, rng.uniform(8, 14)):
            if rng.random() < density:
                tall = rng.uniform(5, 9.5)
                add(
                    street.edge(side) - side * rng.uniform(0.3, 0.8),
                    z + rng.normal(0, 1),
                    tall,
                    tall * rng.uniform(0.45, 0.7),
                )
    for side, z0, z1 in gaps:
        for z in np.arange(z0 + 1, z1, rng.uniform(3.5, 6)):
            tall = rng.uniform(5, 12)
            add(street.edge(side) + side * rng.uniform(1.5, 5), z, tall, tall * rng.uniform(0.55, 0.85))
        if rng.random() < 0.7:
            tall = rng.uniform(1.0, 2.4)
            for z in np.arange(z0, z1, 2.4):
                add(street.edge(side) + side * 0.7, z, tall * rng.uniform(0.9, 1.1), 3.4, True)
    side = int(rng.choice([-1, 1]))  # one tree that is always there
    tall = rng.uniform(6, 10)
    add(street.edge(side) - side * 0.2, rng.uniform(17, 34), tall, tall * rng.uniform(0.5, 0.75))
    return plants


def draw_plant(canvas: Canvas, light: Light, street: Street, plant: Plant, seed: int, lit: float) -> None:
    """Paint one plant; `lit` is the share of the sun that reaches it."""
    rng = chance(seed, Stream.TREES, 1 + plant.index)
    if plant.z < 3:
        return
    if plant.kind == "bare":
        _bare(canvas, light, street, plant, rng, lit)
    else:
        _leafy(canvas, light, street, plant, rng, lit)


def _leafy(canvas: Canvas, light: Light, street: Street, plant: Plant, rng: np.random.Generator, lit: float) -> None:
    camera = canvas.camera
    x = float(street.x(plant.s, plant.z))
    hedge = plant.kind == "hedge"
    clear = 0.0 if hedge else plant.height * float(rng.uniform(0.22, 0.34))
    low, high = camera.project([x - plant.spread / 2, x + plant.spread / 2], [plant.height, clear - 0.3], plant.z)
    centre, half = (low + high) / 2, np.maximum((high - low) / 2, 1)
    if not hedge:
        _trunk(canvas, light, x, plant, clear + 0.8, rng, lit)
    patch = Patch(camera, centre - half * 1.3, centre + half * (1.05 if hedge else 1.3))
    if patch.empty:
        return
    size = camera.scale(plant.z)
    v, u = np.mgrid[patch.top : patch.bottom, patch.left : patch.right].astype(np.float32)
    across, down = (u - centre[0]) / half[0], (v - centre[1]) / half[1]
    round_ = (np.abs(across) ** 4 + np.abs(down) ** 4) ** 0.5 if hedge else across**2 + down**2 * (1 + 0.25 * down)
    clump = noise_patch("cloud", patch.height, patch.width, rng, max(size / 26, 0.4))
    leaf = noise_patch("leaf", patch.height, patch.width, rng, max(size / 42, 0.5))
    density = 1 - round_ + (0.1 if hedge else 0.24) * clump + (0.06 if hedge else 0.16) * leaf
    patch.mask = np.where(density > 0.12, 255, 0).astype(np.uint8)
    tint = floats(srgb(*(np.array(LEAVES[int(rng.integers(len(LEAVES)))]) * rng.uniform(0.75, 1.1))))
    toward = light.towards_sun
    bulge = clump + 0.5 * leaf
    step = max(1, round(size * 0.12))
    relief = bulge - np.roll(bulge, (step, -step if toward[0] > 0 else step), (0, 1))
    sunny = np.clip(0.5 - 0.45 * down + 0.4 * across * np.sign(toward[0]) + 0.35 * relief - 0.35 * toward[2], 0.03, 1.3)
    deep = np.clip(0.62 + 0.28 * clump + 0.2 * leaf - 0.25 * down, 0.12, 1.5)
    shade = light.ambient * deep[..., None] + light.sun * (0.75 * lit * sunny * np.clip(deep, 0, 1.1))[..., None]
    yellow = 1 + floats([0.12, 0.06, -0.05]) * leaf[..., None]
    patch.colour = floats(tint * yellow * shade)
    patch.colour += light.haze * 0.05 * np.clip(1 - deep, 0, 1)[..., None]
    canvas.put(patch, TREE, plant.z)


def _trunk(
    canvas: Canvas, light: Light, x: float, plant: Plant, top: float, rng: np.random.Generator, lit: float
) -> None:
    wide = 0.05 + plant.height * 0.018
    corners = canvas.camera.project([x - wide, x + wide, x + wide * 0.6, x - wide * 0.6], [0, 0, top, top], plant.z)
    patch = Patch(canvas.camera, corners.min(0), corners.max(0))
    if patch.empty:
        return
    patch.polygon(corners, floats(srgb(92, 84, 72)) * rng.uniform(0.7, 1.1) * light.on((0, 0, -1), lit * 0.6))
    patch.colour *= 1 + 0.25 * noise_patch("leaf", patch.height, patch.width, rng)[..., None]
    patch.round_off(canvas.camera.scale(plant.z) * wide * 0.6, light.towards_sun[0], 0.0)
    canvas.put(patch, TREE, plant.z)


def _bare(canvas: Canvas, light: Light, street: Street, plant: Plant, rng: np.random.Generator, lit: float) -> None:
    camera = canvas.camera
    x = float(street.x(plant.s, plant.z))
    low, high = camera.project([x - plant.spread * 0.75, x + plant.spread * 0.75], [plant.height * 1.15, 0], plant.z)
    patch = Patch(camera, low, high)
    if patch.empty:
        return
    bark = floats(srgb(104, 94, 82)) * rng.uniform(0.6, 1.0) * light.on((0, 0.3, -0.9), lit * 0.8)
    size = camera.scale(plant.z)
    trunk = plant.height * 0.26
    segments = []
    limbs = [(x, 0.0, np.pi / 2 + float(rng.normal(0, 0.04)), trunk, plant.height * 0.026, 0)]
    turns, growth = rng.normal(0, 0.16, 4096), rng.uniform(0.62, 0.86, 4096)
    while limbs:
        x0, y0, angle, length, wide, order = limbs.pop()
        x1, y1 = x0 + length * np.cos(angle), y0 + length * np.sin(angle)
        segments.append((x0, y0, x1, y1, wide))
        if order < 5 and length * size > 3:
            for fork in (-0.42, 0.05, 0.42) if order < 4 else (-0.45, 0.45):
                k = len(segments) * 3 + len(limbs)
                up = angle + fork + float(turns[k % 4096]) + 0.08 * (np.pi / 2 - angle)
                limbs.append((x1, y1, up, length * float(growth[k % 4096]), wide * 0.6, order + 1))
    bars = floats(segments)
    starts, ends = (
        camera.project(bars[:, 0], bars[:, 1], plant.z),
        camera.project(bars[:, 2], bars[:, 3], plant.z),
    )
    patch.limbs(starts, ends, bars[:, 4] * size, bark)
    patch.colour *= 1 + 0.2 * noise_patch("cloud", patch.height, patch.width, rng, 2.0)[..., None]
    twigs = cv2.GaussianBlur(patch.mask, (0, 0), max(0.8, size * 0.05))
    grain = noise_patch("grain", patch.height, patch.width, rng)
    faint = (twigs > 48) & (grain > 0.75) & (patch.mask == 0)  # the finest twigs, too thin to draw
    patch.colour[faint] = bark * 1.5
    patch.mask[faint] = 255
    whole = np.where(twigs > 88, 255, patch.mask).astype(np.uint8)
    canvas.put(patch, TREE, plant.z, whole)


def crown_shadow(street: Street, plant: Plant, towards_sun: tuple[float, float, float]) -> Array:
    """Outline of a crown's shadow on the ground: (points, 2), each (x, z)."""
    turn = np.linspace(0, 2 * np.pi, 14)
    reach = 1 / max(towards_sun[1], 0.12)
    middle = plant.height * 0.6
    x = float(street.x(plant.s, plant.z)) - towards_sun[0] * reach * middle + plant.spread * 0.5 * np.cos(turn)
    z = plant.z - towards_sun[2] * reach * middle + plant.spread * (0.5 + 0.2 * reach) * np.sin(turn)
    return floats(np.stack([x, z], -1))
