"""The sky of a drawn scene, and the hazy backdrop at the end of the street."""

from __future__ import annotations

import numpy as np

from segviz.data.scenes.canvas import Canvas, enlarge
from segviz.data.scenes.world import (
    BUILDING,
    FAR,
    SKY,
    TREE,
    Light,
    Stream,
    chance,
    floats,
    noise,
    sample_noise,
    srgb,
)


def draw_sky(canvas: Canvas, light: Light, seed: int) -> None:
    """Paint the sky: haze at the horizon, blue or grey above, clouds in perspective."""
    rng = chance(seed, Stream.SKY)
    camera = canvas.camera
    step = canvas.step  # the sky is soft, so the photograph's own pixels are fine enough
    rows = int(np.clip(camera.horizon + 0.02 * camera.height, step, camera.height)) // step
    v, u = ((floats(np.mgrid[0:rows, 0 : camera.width // step]) + 0.5) * step).astype(np.float32)
    rise = np.maximum(camera.horizon - v, 0) / camera.focal  # tangent of the elevation above the horizon
    zenith = {"clear": (0.2, 0.42, 0.95), "cloudy": (0.34, 0.52, 0.92), "overcast": (1.0, 1.05, 1.12)}
    top = floats(zenith.get(light.weather, (0.22, 0.3, 0.5))) * rng.uniform(0.85, 1.5)
    mix = (1 - np.exp(-rise * rng.uniform(2.5, 5.0)))[..., None]
    colour = light.haze * 1.25 * (1 - mix) + top * mix
    cover = {"clear": -1.2, "cloudy": 0.35, "overcast": 1.0, "dusk": 0.0}[light.weather] + rng.normal(0, 0.35)
    height = 14.0 / (rise + 0.09)
    x0, y0 = rng.uniform(0, 500, 2)
    cloud = sample_noise("cloud", (u - camera.width / 2) / camera.focal * height * 1.1 + x0, height * 1.6 + y0)
    density = np.clip((cloud + cover) * 0.75, 0, 1)[..., None] * np.clip(rise * 14, 0, 1)[..., None]
    relief = np.clip(1.0 - 0.16 * (cloud + cover), 0.55, 1.1)[..., None]
    bright = light.ambient * 1.15 + light.sun * 0.45
    colour = colour * (1 - density) + bright * relief * density
    azimuth = np.arctan2(light.towards_sun[0], light.towards_sun[2])
    if abs(azimuth) < 1.2 and light.weather != "overcast":  # the sky glows around a sun in front of us
        across = (u - camera.width / 2) / camera.focal - np.tan(np.clip(azimuth, -1.2, 1.2))
        glow = np.exp(-(across**2 + (rise - light.towards_sun[1]) ** 2) * 3)[..., None]
        colour = colour + glow * light.sun * 0.9
    colour = floats(colour * rng.uniform(1.0, 2.6))  # against the street, the sky is far too bright
    canvas.colour[: rows * step] = enlarge(colour, step)
    canvas.labels[:] = SKY


def draw_backdrop(canvas: Canvas, light: Light, seed: int) -> None:
    """Paint a hazy line of trees and roofs at the end of the street."""
    rng = chance(seed, Stream.BACKDROP)
    camera = canvas.camera
    columns = np.arange(camera.width)
    metres = (columns - camera.width / 2) / camera.scale(FAR)
    base = int(camera.horizon + camera.scale(FAR) * camera.eye) + 1
    for label, rough, low, high in ((BUILDING, 0, 5, 12), (TREE, 1, 3, 9)):
        x0, row = rng.uniform(0, 500), int(rng.integers(0, 512))
        step = metres / 9.0 if not rough else metres * 0.9
        place = np.floor(step) * 37 + x0 if not rough else step + x0
        profile = np.interp(place % 511, np.arange(512), noise("cloud")[row])
        tall = low + (high - low) * np.clip(0.5 + 0.4 * profile, 0, 1.2)
        if rough:
            tall = tall * np.clip(0.6 + np.sin(metres / 17 + x0), 0, 1.2)
        tops = np.clip(camera.horizon - camera.scale(FAR) * (tall - camera.eye), 0, camera.height)
        first = int(tops.min())
        if first >= base:
            continue
        mask = np.arange(first, base)[:, None] >= tops[None]
        tint = floats(srgb(74, 84, 62) if rough else srgb(120, 105, 95)) * (light.ambient + 0.3 * light.sun)
        mottle = sample_noise(
            "leaf",
            np.tile(floats(columns * 0.5), (base - first, 1)),
            np.tile(floats(np.arange(first, base))[:, None], (1, camera.width)) * 0.5,
        )
        canvas.colour[first:base][mask] = (tint * (1 + 0.3 * mottle[..., None]))[mask]
        canvas.labels[first:base][mask] = label
        canvas.depth[first:base][mask] = FAR
