"""Painted light becomes a photograph: haze, lens, exposure, tone curve, sensor noise, compression."""

from __future__ import annotations

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas
from segviz.data.scenes.world import Array, Bytes, Light, Stream, chance, floats, noise_patch


def develop(canvas: Canvas, light: Light, seed: int, width: int, height: int) -> Bytes:
    """Develop the canvas into a photograph, (height, width, 3) uint8 RGB."""
    rng = chance(seed, Stream.CAMERA, 1)
    size = (width, height)
    colour = floats(cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA))
    depth = floats(cv2.resize(canvas.depth, size, interpolation=cv2.INTER_NEAREST))
    clear = np.exp(-depth / light.haze_distance)
    clear[depth > 2000] = 1
    colour = colour * clear[..., None] + light.haze * 0.9 * (1 - clear[..., None])
    detail = noise_patch("leaf", height, width, rng, 1.2)  # no real surface is as even as the paint
    colour = _lens(colour * (1 + 0.03 * detail * (depth < 2000))[..., None], rng)
    colour = colour * light.exposure
    noise_level = float(rng.uniform(0.003, 0.009)) * (1.8 if light.weather == "dusk" else 1.0)
    picture = _sharpen(_tone(colour, rng) + _sensor(colour, noise_level, rng), rng)
    bytes_ = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(72, 95))
        _, packed = cv2.imencode(".jpg", bytes_[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        bytes_ = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.ascontiguousarray(bytes_)


def _lens(colour: Array, rng: np.random.Generator) -> Array:
    """Blur, veiling glare around bright areas, and darker corners."""
    height, width = colour.shape[:2]
    unit = np.sqrt(width * height / 172800)
    soft = floats(cv2.GaussianBlur(colour, (0, 0), max(0.3, rng.uniform(0.42, 0.75) * unit)))
    small = cv2.resize(np.minimum(colour, 3.0), (max(8, width // 8), max(6, height // 8)), interpolation=cv2.INTER_AREA)
    veil = cv2.GaussianBlur(small, (0, 0), max(0.8, width / 8 / 22))
    glow = floats(cv2.resize(veil, (width, height), interpolation=cv2.INTER_LINEAR))
    share = rng.uniform(0.012, 0.04)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    fall = 1 - rng.uniform(0.1, 0.3) * (x * x + y * y) / 2
    return floats((soft * (1 - share) + glow * share) * fall[..., None])


def _tone(colour: Array, rng: np.random.Generator) -> Array:
    """Shoulder, gamma and a little contrast; colours fade to white as they saturate."""
    grey = colour.mean(-1, keepdims=True)
    colour = np.maximum(grey + (colour - grey) * rng.uniform(0.55, 0.95), 0)
    shown = (1 - np.exp(-colour * 1.15)) ** (1 / 2.2)
    contrast = rng.uniform(0.35, 0.85)
    curved = shown * shown * (3 - 2 * shown)
    return floats(np.clip((shown * (1 - contrast) + curved * contrast) * 1.04 - 0.012, 0, 1))


def _sharpen(picture: Array, rng: np.random.Generator) -> Array:
    """Sharpen as cameras do: edges become a little steeper."""
    soft = floats(cv2.GaussianBlur(picture, (0, 0), 1.0))
    return floats(picture + (picture - soft) * rng.uniform(0.2, 0.9))


def _sensor(colour: Array, level: float, rng: np.random.Generator) -> Array:
    """Sensor noise: fine and coloured, stronger in dark areas."""
    height, width = colour.shape[:2]
    fine = rng.standard_normal((height, width), np.float32)[..., None]
    tinted = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), np.float32)
    tinted = floats(cv2.resize(tinted, (width, height), interpolation=cv2.INTER_LINEAR))
    dark = 1.4 - 0.8 * np.clip(colour.mean(-1, keepdims=True), 0, 1)
    return floats((fine + 0.7 * tinted) * level * dark)
