"""Lamp posts, bollards, traffic signs and traffic lights of a drawn scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas, Patch
from segviz.data.scenes.world import (
    POLE,
    SIGN,
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
class Post:
    """An upright object on the pavement: a lamp post, a bollard, a sign on its pole, or a traffic light."""

    s: float
    z: float
    height: float
    kind: str  # "lamp", "bollard", "plain", "round", "triangle", "panel", "board" or "light"
    side: int
    index: int


def make_posts(seed: int, street: Street, camera: Camera) -> list[Post]:
    """Lamp posts at even distances, and signs of several kinds, some of each nearby."""
    rng = chance(seed, Stream.POLES)
    posts: list[Post] = []

    def add(side: int, inset: float, z: float, height: float, kind: str) -> None:
        s = side * (street.half + inset)
        posts.append(Post(s, max(z, street.visible_from(s, camera, 1.1)), height, kind, side, len(posts)))

    height, spacing = float(rng.uniform(6, 9.5)), float(rng.uniform(20, 32))
    for side in (-1, 1):
        for z in np.arange(rng.uniform(9, 20), 115, spacing):
            add(side, 0.45, float(z), height, "lamp")
    for _ in range(int(rng.integers(1, 5))):
        add(
            int(rng.choice([-1, 1])),
            float(rng.uniform(0.4, 1.2)),
            float(rng.uniform(9, 45)),
            float(rng.uniform(2.5, 5)),
            "plain",
        )
    if rng.random() < 0.4:
        side, z0 = int(rng.choice([-1, 1])), float(rng.uniform(8, 16))
        for k in range(int(rng.integers(3, 8))):
            add(side, 0.35, z0 + 1.8 * k, 1.0, "bollard")
    rng = chance(seed, Stream.SIGNS)
    kinds = ["round", "triangle", "panel", "board", "light"]
    for k in range(int(rng.integers(4, 9))):
        side = int(rng.choice([-1, 1]))
        z = float(rng.uniform(8, 15) if k == 0 else rng.uniform(10, 60))
        kind = str(rng.choice(kinds, p=[0.3, 0.2, 0.2, 0.1, 0.2]))
        add(side, float(rng.uniform(0.35, 0.9)), z, float(rng.uniform(2.2, 3.1)), kind)
    return posts


def draw_post(canvas: Canvas, light: Light, street: Street, post: Post, seed: int, wide: float, lit: float) -> None:
    """Paint one post, `wide` metres across, and the sign or lamps on it."""
    rng = chance(seed, Stream.POLES, 1 + post.index)
    x = float(street.x(post.s, post.z))
    grey = floats(srgb(*[(98, 102, 100), (58, 62, 60), (128, 128, 124), (44, 52, 48)][int(rng.integers(4))]))
    colour = grey * rng.uniform(0.8, 1.2)
    top = post.height + (0.25 if post.kind in ("round", "triangle", "panel", "light") else 0.0)
    if post.kind == "bollard":
        wide, colour = wide * 1.3, floats(srgb(40, 40, 42))
    if post.kind == "board":
        for shift in (-0.7, 0.7):
            _shaft(canvas, light, x + shift, post.z, 0, top, wide * 0.8, colour, lit)
    else:
        _shaft(canvas, light, x, post.z, 0, top, wide, colour, lit)
    if post.kind == "lamp":
        _shaft(canvas, light, x, post.z, 0, 1.2, wide * 1.5, colour, lit)
        _lamp(canvas, light, x, post, wide, colour)
    elif post.kind == "light":
        _traffic_light(canvas, light, x, post, rng)
    elif post.kind in ("round", "triangle", "panel", "board"):
        _sign(canvas, light, x, post, rng, lit)


def _shaft(
    canvas: Canvas,
    light: Light,
    x: float,
    z: float,
    low: float,
    high: float,
    wide: float,
    colour: Array,
    lit: float,
) -> None:
    """An upright cylinder, shaded around."""
    camera = canvas.camera
    sun_x = light.towards_sun[0]
    half = max(wide / 2, 0.35 / camera.scale(z))
    for left, right, normal in ((-1.0, -0.4, -0.8), (-0.4, 0.35, 0.0), (0.35, 1.0, 0.8)):
        face = light.on((normal, 0.0, -np.sqrt(1 - normal**2)), lit)
        shine = 1.0 + 0.25 * (normal * sun_x > 0)
        points = camera.project(
            [x + left * half, x + right * half, x + right * half, x + left * half], [low, low, high, high], z
        )
        canvas.polygon(points, colour * face * shine, POLE, z)


def _lamp(canvas: Canvas, light: Light, x: float, post: Post, wide: float, colour: Array) -> None:
    """The arm over the road and the lantern at its end."""
    camera = canvas.camera
    reach = -post.side * 1.3
    thick = max(wide * 0.35, 0.03)
    y = post.height
    arm = camera.project([x, x + reach, x + reach, x], [y - thick, y + 0.25, y + 0.25 + thick, y + thick], post.z)
    shade = colour * light.on((0, -0.2, -0.9), 0.6)
    canvas.polygon(arm, shade, POLE, post.z)
    head = camera.project(
        [x + reach * 0.9, x + reach * 1.45, x + reach * 1.45, x + reach * 0.9],
        [y + 0.17, y + 0.22, y + 0.4, y + 0.42],
        post.z,
    )
    glow = 2.2 if light.weather == "dusk" else 0.0
    canvas.polygon(head, shade * 1.2 + glow * floats([1.0, 0.7, 0.35]), POLE, post.z)


def _traffic_light(canvas: Canvas, light: Light, x: float, post: Post, rng: np.random.Generator) -> None:
    """A black box with three lamps, one of them lit."""
    camera, z = canvas.camera, post.z
    y = post.height - 0.35
    dark = floats(srgb(34, 34, 36)) * light.on((0, 0, -1), 0.5)
    box = camera.project([x - 0.24, x + 0.24, x + 0.24, x - 0.24], [y + 1.1, y + 1.1, y, y], z)
    canvas.polygon(box, dark + 0.01, SIGN, z)
    on = int(rng.integers(0, 3))
    for k, hue in enumerate(((1.0, 0.1, 0.06), (1.0, 0.55, 0.08), (0.1, 0.9, 0.45))):
        centre = camera.project(x, y + 0.9 - 0.35 * k, z)
        turn = np.linspace(0, 2 * np.pi, 13)
        ring = centre + camera.scale(z) * 0.11 * np.stack([np.cos(turn), np.sin(turn)], -1)
        canvas.polygon(ring, floats(hue) * (1.6 if k == on else 0.05), SIGN, z)


def _sign(canvas: Canvas, light: Light, x: float, post: Post, rng: np.random.Generator, lit: float) -> None:
    """A traffic sign: its plate is painted large, then projected."""
    size = {"round": 0.75, "triangle": 0.9, "panel": 0.7, "board": 2.2}[post.kind] * float(rng.uniform(0.9, 1.2))
    plate, shape = _plate(post.kind, rng)
    tall = size * plate.shape[0] / plate.shape[1]
    camera, z = canvas.camera, post.z
    back = rng.random() < 0.15
    face = light.on((0, 0, -1), lit)
    grime = 1 + 0.08 * noise_patch("cloud", plate.shape[0], plate.shape[1], rng)[..., None]
    picture = floats((floats(srgb(110, 112, 112)) if back else plate) * face * grime)
    squeeze = float(rng.uniform(0.8, 1.0))
    half = size / 2 * squeeze
    top = post.height + tall / 2
    corners = camera.project([x - half, x + half, x + half, x - half], [top, top, top - tall, top - tall], z - 0.05)
    patch = Patch(camera, corners.min(0), corners.max(0))
    if patch.empty:
        return
    source = floats([[0, 0], [plate.shape[1], 0], [plate.shape[1], plate.shape[0]], [0, plate.shape[0]]])
    matrix = cv2.getPerspectiveTransform(source, patch.local(corners))
    window = (patch.width, patch.height)
    patch.colour = floats(cv2.warpPerspective(picture, matrix, window, borderMode=cv2.BORDER_REPLICATE))
    patch.mask = np.where(cv2.warpPerspective(shape, matrix, window) > 110, 255, 0).astype(np.uint8)
    canvas.put(patch, SIGN, z)


def _plate(kind: str, rng: np.random.Generator) -> tuple[Array, Bytes]:
    """Albedo and outline of a sign's plate."""
    red, white, blue, black = srgb(176, 28, 34), srgb(226, 226, 222), srgb(28, 74, 150), srgb(24, 24, 26)
    if kind == "round":
        plate, shape = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.uint8)
        cv2.circle(shape, (32, 32), 31, 255, -1)
        what = rng.random()
        plate[:] = red if what < 0.75 else blue
        if what < 0.5:
            cv2.circle(plate, (32, 32), 23, white, -1)
            tens = [(18, 24), (29, 24), (29, 32), (19, 40), (30, 40)]
            cv2.polylines(plate, [np.array(tens)], False, black, 4)
            cv2.ellipse(plate, (41, 32), (5, 8), 0, 0, 360, black, 4)
        elif what < 0.75:
            cv2.rectangle(plate, (12, 27), (52, 38), white, -1)
        else:
            cv2.arrowedLine(plate, (44, 18), (18, 46), white, 6, tipLength=0.4)
        return plate, shape
    if kind == "triangle":
        plate, shape = np.zeros((58, 64, 3), np.float32), np.zeros((58, 64), np.uint8)
        corners = np.array([[32, 1], [63, 57], [1, 57]])
        cv2.fillConvexPoly(shape, corners, 255)
        plate[:] = red
        cv2.fillConvexPoly(plate, np.array([[32, 16], [51, 50], [13, 50]]), white)
        cv2.rectangle(plate, (29, 26), (34, 46), black, -1)
        return plate, shape
    rows, columns = (90, 64) if kind == "panel" else (64, 110)
    ground = [blue, white, srgb(20, 90, 62), srgb(205, 168, 40), srgb(120, 40, 36)][int(rng.integers(5))]
    ink = black if sum(ground) > 1.0 else white
    plate = np.full((rows, columns, 3), ground, np.float32)
    cv2.rectangle(plate, (2, 2), (columns - 3, rows - 3), ink, 2)
    for y in range(12, rows - 10, 16):
        x = 8
        while x < columns - 16:
            w = int(rng.integers(4, 14))
            cv2.rectangle(plate, (x, y), (x + w, y + int(rng.integers(5, 9))), ink, -1)
            x += w + int(rng.integers(3, 9))
    return plate, np.full((rows, columns), 255, np.uint8)
