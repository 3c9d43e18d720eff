"""The world of a drawn scene, in metres: random streams, noise, camera, street and light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # float32 where it matters for speed
Bytes = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
FAR = 140.0  # metres: the distance of the backdrop at the end of the street


class Stream(IntEnum):
    """One stream of random numbers per kind of object, so that changing one kind leaves the others alone."""

    STREET, LIGHT, SKY, GROUND, BUILDINGS, TREES, POLES, SIGNS, FENCE = range(9)
    HERO, TRAFFIC, PEOPLE, CYCLISTS, CAMERA, OPTIONS, BACKDROP = range(9, 16)


def chance(seed: int, stream: Stream, *more: int) -> np.random.Generator:
    """The random numbers of one kind of object or, with `more`, of one object of that kind."""
    return np.random.default_rng([seed, int(stream), *more])


def floats(values: Any) -> Array:
    """Convert to float32, the type of every colour and depth here."""
    return np.asarray(values, np.float32)


def srgb(red: float, green: float, blue: float) -> Colour:
    """Linear light, 0..1, of an sRGB colour in 0..255."""
    return (red / 255) ** 2.2, (green / 255) ** 2.2, (blue / 255) ** 2.2


@lru_cache(maxsize=8)
def noise(kind: str) -> Array:
    """A (512, 512) sheet of noise with mean 0 and deviation 1: "grain", "cloud" (fractal) or "leaf"."""
    rng = np.random.default_rng([7, len(kind)])
    size = 512
    first, falloff = {"grain": (9, 1.0), "cloud": (1, 0.55), "leaf": (5, 0.8)}[kind]
    sheet = np.zeros((size, size), np.float32)
    weight = 1.0
    for octave in range(first, 10):
        cells = 2**octave
        rough = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(rough, 2, mode="wrap")
        step = size // cells
        fine = floats(cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC))
        sheet += weight * fine[2 * step : 2 * step + size, 2 * step : 2 * step + size]
        weight *= falloff
    sheet -= sheet.mean()
    sheet /= sheet.std()
    sheet.setflags(write=False)
    return sheet


def sample_noise(kind: str, x: Array, y: Array) -> Array:
    """Sample noise at positions in cells of its sheet; the sheet repeats."""
    return floats(cv2.remap(noise(kind), floats(x), floats(y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def noise_patch(kind: str, height: int, width: int, rng: np.random.Generator, zoom: float = 1.0) -> Array:
    """A (height, width) piece of noise from a random position, `zoom` pixels per cell of the sheet."""
    x0, y0 = rng.uniform(0, 511, 2)
    matrix = np.array([[1 / zoom, 0, x0], [0, 1 / zoom, y0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return floats(cv2.warpAffine(noise(kind), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along +z from (0, eye, 0); x points right and y up, in metres."""

    width: int
    height: int
    focal: float  # pixels
    horizon: float  # row, in pixels
    eye: float  # metres above the road

    def project(self, x: Any, y: Any, z: Any) -> Array:
        """Pixel positions (..., 2), column first, of points in metres; below 0.5 m counts as 0.5 m."""
        scale = self.focal / np.maximum(np.asarray(z, np.float64), 0.5)
        column = self.width / 2 + np.asarray(x) * scale
        row = self.horizon + (self.eye - np.asarray(y)) * scale
        pixels = np.empty((*np.broadcast(column, row).shape, 2), np.float32)
        pixels[..., 0], pixels[..., 1] = column, row
        return pixels

    def scale(self, z: float) -> float:
        """Pixels per metre at a distance."""
        return self.focal / max(z, 0.5)


@dataclass(frozen=True)
class Street:
    """A street whose middle runs at x = offset + heading z + curve z^2; s is metres right of the middle."""

    offset: float
    heading: float
    curve: float
    half: float  # half the carriageway
    left: float  # width of the left pavement
    right: float

    def middle(self, z: Any) -> Any:
        """The x of the street's middle at a distance, in metres."""
        return self.offset + self.heading * z + self.curve * z * z

    def x(self, s: Any, z: Any) -> Any:
        """The x of a place s metres right of the middle, in metres."""
        return self.middle(z) + s

    def slope(self, z: Any) -> Any:
        """Metres sideways per metre ahead, at a distance."""
        return self.heading + 2 * self.curve * z

    def angle(self, z: float) -> float:
        """Direction of the street at a distance, in radians clockwise from straight ahead."""
        return float(np.arctan(self.slope(z)))

    def edge(self, side: int) -> float:
        """The s of the building line, in metres; side is -1 for left, 1 for right."""
        return side * (self.half + (self.left if side < 0 else self.right))

    def visible_from(self, s: float, camera: Camera, margin: float = 1.06) -> float:
        """The distance from which places s metres right of the middle are inside the picture."""
        z = np.arange(2.0, 60.0, 0.25)
        seen = np.abs(self.x(s, z)) * margin < z * camera.width / 2 / camera.focal
        return float(z[np.argmax(seen)]) if seen.any() else 60.0


@dataclass(frozen=True)
class Light:
    """Sun, sky and air. Colours are linear light; a white wall in full ambient light is about 1."""

    weather: str
    towards_sun: tuple[float, float, float]
    sun: Array
    ambient: Array
    haze: Array
    sky: Array  # the bright sky, as glass reflects it
    haze_distance: float
    exposure: float

    def on(self, normal: tuple[float, float, float], lit: float = 1.0) -> Array:
        """The light on a surface; lit is the share of the sun that reaches it."""
        facing = max(0.0, sum(a * b for a, b in zip(normal, self.towards_sun, strict=True)))
        return self.ambient * (0.68 + 0.32 * normal[1]) + self.sun * (facing * lit)


def make_camera(seed: int, width: int, height: int) -> Camera:
    """The camera of a scene; its solid angle is the same for every shape of picture."""
    rng = chance(seed, Stream.CAMERA)
    focal = float(rng.uniform(1.02, 1.22) * np.sqrt(width * height))
    horizon = float(rng.uniform(0.48, 0.59) * height)
    return Camera(width, height, focal, horizon, float(rng.uniform(1.25, 1.65)))


def make_street(seed: int) -> Street:
    """The street of a scene: its width and bend, and the position of the camera (on the left)."""
    rng = chance(seed, Stream.STREET)
    half = float(rng.choice([rng.uniform(3.5, 5.0), rng.uniform(4.5, 7.5)]))
    heading = float(rng.normal(0, 0.07))
    curve = float(np.clip(rng.normal(0, 0.0014), -0.003, 0.003))
    left, right = rng.uniform(1.8, 3.6, 2)
    return Street(half * float(rng.uniform(0.3, 0.5)), heading, curve, half, float(left), float(right))


def make_light(seed: int) -> Light:
    """The weather of a scene."""
    rng = chance(seed, Stream.LIGHT)
    weather = str(rng.choice(["clear", "cloudy", "overcast", "dusk"], p=[0.34, 0.32, 0.24, 0.10]))
    elevation = np.radians({"dusk": rng.uniform(5, 12)}.get(weather, rng.uniform(18, 52)))
    azimuth = rng.uniform(-np.pi, np.pi)
    towards = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
    sun, ambient, haze, exposure = {
        "clear": ((2.5, 2.25, 1.9), (0.46, 0.55, 0.68), (0.95, 1.05, 1.2), 0.66),
        "cloudy": ((1.7, 1.58, 1.4), (0.66, 0.72, 0.8), (1.1, 1.15, 1.2), 0.72),
        "overcast": ((0.12, 0.12, 0.12), (0.92, 0.97, 1.02), (1.3, 1.33, 1.36), 0.8),
        "dusk": ((0.8, 0.42, 0.2), (0.3, 0.33, 0.42), (0.72, 0.56, 0.48), 0.85),
    }[weather]
    warmth = float(rng.normal(0, 0.035))
    balance = np.array([1 + warmth, 1.0, 1 - warmth])
    exposure *= float(np.exp(rng.normal(0, 0.3)))
    return Light(
        weather,
        (float(towards[0]), float(towards[1]), float(towards[2])),
        floats(np.array(sun) * balance * rng.uniform(0.85, 1.1)),
        floats(np.array(ambient) * balance),
        floats(np.array(haze) * balance),
        floats(np.array(haze) * balance * 2.2),
        float(np.exp(rng.uniform(np.log(450), np.log(2600)))),
        exposure,
    )
