"""Road and pavement of a drawn scene, and the shade on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas, enlarge
from segviz.data.scenes.world import (
    PAVEMENT,
    ROAD,
    TREE,
    Array,
    Bytes,
    Camera,
    Light,
    Stream,
    Street,
    chance,
    floats,
    sample_noise,
    srgb,
)

PROFILE_START = -60  # metres: the first value of the skylines, which have one value per metre


def in_shade(light: Light, street: Street, skyline: dict[int, Array], s: Array, y: Array, z: Array) -> Array:
    """Share of the sun, 0 or 1, that reaches places of the street over the houses' skyline."""
    sx, sy, sz = light.towards_sun
    side = 1 if sx > 0 else -1
    away = np.maximum((street.edge(side) - s) / (sx if abs(sx) > 0.03 else 0.03 * side), 0)
    heights = skyline[side]
    index = np.clip((z + away * sz - PROFILE_START).astype(np.int32), 0, len(heights) - 1)
    return floats(y + away * sy > heights[index])


@dataclass(frozen=True)
class Shadows:
    """The shadows on the ground: polygons of (x, z) in metres, and the houses' heights."""

    skyline: dict[int, Array]  # left (-1) and right (1), one value per metre from PROFILE_START on
    casts: list[Array]  # block the sun
    contacts: list[Array]  # objects so close to the ground that they block the sky, too


@dataclass(frozen=True)
class GroundPatch:
    """The ground under each pixel, before its colour is known; arrays are (rows, columns).

    Attributes:
        s: metres to the right of the road's middle.
        z: metres ahead of the camera.
        wide: metres that a pixel covers across the street.
        deep: metres that it covers along the street.
        street: its street.
        patchy: noise in patches of some decimetres.
        grain: noise of single stones, which fades with the distance.
    """

    s: Array
    z: Array
    wide: Array
    deep: Array
    street: Street
    patchy: Array
    grain: Array


def draw_ground(
    canvas: Canvas,
    light: Light,
    street: Street,
    shadows: Shadows,
    side_roads: list[tuple[int, float, float]],
    seed: int,
) -> None:
    """Paint road, markings, kerbs, pavements and grass; side roads are (side, z0, z1)."""
    camera, step = canvas.camera, canvas.step
    first = int(np.clip(camera.horizon + camera.focal * camera.eye / 400, 0, camera.height - 1)) // step
    s, z = _places(camera, street, first, step)
    rng = chance(seed, Stream.GROUND)
    deep = step * z * z / (camera.focal * camera.eye)  # a pixel's length on the ground, along the street
    slope = (s + street.middle(z)) / z - street.slope(z)
    wide = floats(np.hypot(step * z / camera.focal, slope * deep))  # and across it
    patchy = sample_noise("cloud", s * 9 + rng.uniform(0, 500), z * 3 + rng.uniform(0, 500))
    grain = sample_noise("grain", s * 48 + rng.uniform(0, 500), z * 48 + rng.uniform(0, 500))
    grain *= np.clip(0.035 / deep, 0.08, 1)
    broad = sample_noise("cloud", s * 0.9 + 50, z * 0.5 + rng.uniform(0, 500))
    patch = GroundPatch(s, z, wide, deep, street, patchy, grain)
    road = _asphalt(patch, broad, rng)
    walk = _pavement(patch, rng)
    lane = np.clip((street.half - np.abs(s)) / wide + 0.5, 0, 1)[..., None]
    colour = road * lane + walk * (1 - lane)
    kind = _kinds(s, z, street, side_roads)
    grass = floats(srgb(92, 98, 62)) * np.clip(1 + 0.28 * patchy + 0.3 * grain, 0.3, 2)[..., None]
    colour = np.where((kind == TREE)[..., None], grass, colour)
    side = floats(srgb(98, 98, 100)) * np.clip(1 + 0.1 * patchy + 0.15 * grain + 0.12 * broad, 0.3, 2)[..., None]
    colour = np.where(((kind == ROAD) & (np.abs(s) > street.half + wide))[..., None], side, colour)
    sun = in_shade(light, street, shadows.skyline, s, floats(0.0), z)
    sun *= 1 - _cast(canvas, shadows.casts, first)
    sun = floats(cv2.GaussianBlur(sun, (0, 0), max(0.6, camera.width / step / 700)))
    lit = light.ambient * (0.9 + 0.1 * sun[..., None]) + light.sun * (light.towards_sun[1] * sun[..., None])
    glare = np.clip(z / 60, 0, 1)[..., None] * 0.05 * light.haze  # at grazing angles asphalt reflects the sky
    near = cv2.GaussianBlur(_cast(canvas, shadows.contacts, first), (0, 0), max(0.6, camera.width / step / 260))
    open_ = floats(1 - 0.82 * np.clip(1.35 * near, 0, 1))[..., None]
    canvas.colour[first * step :] = enlarge(floats((colour * lit + glare * lane) * open_), step)
    s, z = _places(camera, street, first * step, 1)
    canvas.labels[first * step :] = _kinds(s, z, street, side_roads)
    canvas.depth[first * step :] = z


def _places(camera: Camera, street: Street, first: int, step: int) -> tuple[Array, Array]:
    """The place of the ground, (s, z) in metres, at each pixel of row `first` and below."""
    rows = (np.arange(first, camera.height // step) + 0.5) * step
    columns = (np.arange(camera.width // step) + 0.5) * step
    z = floats(camera.focal * camera.eye / np.maximum(rows - camera.horizon, 0.3))[:, None]
    s = floats((columns - camera.width / 2) / camera.focal) * z - floats(street.middle(z))
    return floats(s), floats(np.broadcast_to(z, s.shape))


def _kinds(s: Array, z: Array, street: Street, side_roads: list[tuple[int, float, float]]) -> Bytes:
    """Class of the ground at each place: road, pavement, or grass (which counts as tree)."""
    across = np.abs(s)
    kind = np.where(across < street.half, ROAD, PAVEMENT).astype(np.uint8)
    kind[(s < street.edge(-1) - 0.3) | (s > street.edge(1) + 0.3)] = TREE
    for side, z0, z1 in side_roads:
        rounded = 1.2 * np.exp(-np.maximum(across - street.half, 0))
        kind[(s * side > 0) & (across > street.half - 0.1) & (np.minimum(z - z0, z1 - z) + rounded > 1.8)] = ROAD
    return kind


def _asphalt(ground: GroundPatch, broad: Array, rng: np.random.Generator) -> Array:
    """Albedo of the carriageway with its wear and markings; `broad` is noise in patches of metres."""
    s, z, street = ground.s, ground.z, ground.street
    tint = floats(srgb(*(np.array([1.0, 1.0, 1.02]) * rng.uniform(78, 120) + rng.normal(0, 1.2, 3))))
    worn = 1 + 0.1 * ground.patchy + 0.16 * broad + 0.2 * ground.grain
    for track in (-0.72, -0.28, 0.28, 0.72):
        worn += rng.uniform(-0.02, 0.12) * np.exp(-(((s - track * street.half) / 0.35) ** 2))
    worn -= 0.25 * np.exp(-(((np.abs(s) - street.half) / 0.3) ** 2))
    for _ in range(int(rng.integers(1, 6))):  # repaired trenches and patches
        s0, z0, w, d = (
            rng.uniform(-1, 1) * street.half,
            rng.uniform(4, 40),
            rng.uniform(0.5, 2),
            rng.uniform(1, 12),
        )
        inside = _strip(s - s0, w, ground.wide) * _strip(z - z0, d, ground.deep)
        worn += inside * rng.uniform(-0.25, 0.12)
    for _ in range(int(rng.integers(0, 3))):  # manholes
        s0, z0 = rng.uniform(-0.8, 0.8) * street.half, rng.uniform(5, 25)
        worn *= 1 - 0.25 * floats((s - s0) ** 2 + (z - z0) ** 2 < 0.1)
    crack = np.abs(sample_noise("cloud", s * 5 + 80, z * 2.2 + 11)) < 0.016
    worn *= 1 - 0.2 * crack * (z < 18)
    colour = tint * np.clip(worn, 0.3, 2)[..., None]
    return _markings(colour, ground, rng)


def _strip(distance: Array, width: float, pixel: Array) -> Array:
    """The share of a pixel that a strip covers, 0..1."""
    return floats(np.clip((width / 2 - np.abs(distance)) / pixel + 0.5, 0, 1) * np.minimum(1, width / pixel))


def _markings(colour: Array, ground: GroundPatch, rng: np.random.Generator) -> Array:
    """Add worn paint to the road: centre line, edge lines, and sometimes a zebra crossing or a stop line."""
    s, z, wide, deep, street = ground.s, ground.z, ground.wide, ground.deep, ground.street
    white, yellow = floats(srgb(205, 203, 196)), floats(srgb(190, 158, 70))
    wear = np.clip(rng.uniform(0.6, 0.95) + 0.22 * ground.patchy, 0, 1)
    dash, gap, phase = rng.choice([2.0, 4.0]), rng.choice([2.0, 4.0, 5.0]), rng.uniform(0, 9)
    along = np.abs((z + phase) % (dash + gap) - (dash + gap) / 2)
    dashes = np.clip((dash / 2 - along) / deep + 0.5, 0, 1)
    dashes = np.where(deep > dash, dash / (dash + gap), dashes)
    paint = _strip(s, rng.uniform(0.1, 0.16), wide) * (dashes if rng.random() < 0.85 else 1.0)
    into = floats(np.abs(s) - street.half)  # below 0 on the road
    edge = rng.random()
    if edge < 0.4:  # double yellow lines
        lines = _strip(into + 0.3, 0.08, wide) + _strip(into + 0.5, 0.08, wide)
        cover = (np.clip(lines, 0, 1) * wear)[..., None]
        colour = colour * (1 - cover) + yellow * cover
    elif edge < 0.65:
        paint = paint + _strip(into + 0.35, 0.12, wide)
    across = rng.random()
    z0 = rng.uniform(9, 22)
    if across < 0.18:
        paint = paint + _strip(z - z0, 2.8, deep) * (((s + 40) % 1.2) < 0.6) * (np.abs(s) < street.half - 0.4)
    elif across < 0.42:
        paint = paint + _strip(z - z0, 0.35, deep) * (s < -0.1)
    elif across < 0.48:  # a hatched middle
        inside = (np.abs(s) < 0.9 * np.clip(1 - np.abs(z - z0 - 8) / 12, 0, 1)) * (((s * 1.2 + z * 0.5) % 1.4) < 0.45)
        paint = paint + inside
    cover = (np.clip(paint, 0, 1) * wear)[..., None]
    return floats(colour * (1 - cover) + white * cover)


def _pavement(ground: GroundPatch, rng: np.random.Generator) -> Array:
    """Albedo of the pavements: slabs with joints, and the kerb stones."""
    s, z, wide, deep, grain, patchy = ground.s, ground.z, ground.wide, ground.deep, ground.grain, ground.patchy
    tint = floats(srgb(*(rng.uniform(84, 134) + rng.normal([2, 0, -4], 2, 3))))
    slab = rng.choice([0.45, 0.6, 0.9])
    joint = _strip((s % slab) - slab / 2, 0.015, wide) + _strip((z % slab) - slab / 2, 0.015, deep)
    cells = floats(np.floor(s / slab) * 7.0), floats(np.floor(z / slab) * 5.0)
    each = sample_noise("leaf", *cells) * np.clip(0.5 / deep, 0, 1)
    worn = 1 + 0.12 * patchy + 0.16 * grain + 0.06 * each - 0.35 * np.clip(joint, 0, 1)
    colour = tint * np.clip(worn, 0.3, 2)[..., None]
    into = np.abs(s) - ground.street.half
    stone = floats(srgb(138, 135, 129)) * np.clip(1 + 0.12 * patchy + 0.1 * grain, 0.4, 2)[..., None]
    for inset, paint in ((0.2, stone), (0.07, stone * 0.42)):  # the stone's top, then its face
        share = np.clip((inset - into) / wide + 0.5, 0, 1)[..., None]
        colour = colour * (1 - share) + paint * share
    return floats(colour)


def _cast(canvas: Canvas, casts: list[Array], first: int) -> Array:
    """The share of each ground pixel in the shadow of an object on the street, 0..1."""
    camera, step = canvas.camera, canvas.step
    mask = np.zeros((camera.height // step - first, camera.width // step), np.uint8)
    for outline in casts:
        if outline[:, 1].max() < 1:
            continue
        corners = camera.project(outline[:, 0], 0.0, np.maximum(outline[:, 1], 1.0)) / step
        corners[:, 1] -= first
        hull = cv2.convexHull(np.round(np.clip(corners, -20000, 20000) * 8).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_AA, 3)
    return floats(mask / 255)
