"""Cars, vans, buses and trucks of a drawn scene: side profiles with a width, lit face by face."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from segviz.data.scenes.canvas import Canvas, Patch
from segviz.data.scenes.traffic import Body, Vehicle
from segviz.data.scenes.vehicle_shapes import PAINTS, PROFILES, SIDE_WINDOWS, WHEELS
from segviz.data.scenes.world import (
    CAR,
    Array,
    Light,
    Stream,
    Street,
    chance,
    floats,
    noise_patch,
    srgb,
)

Point = tuple[float, float, float]  # metres along, up and across; or a direction


def draw_vehicle(canvas: Canvas, light: Light, street: Street, vehicle: Vehicle, seed: int, lit: float) -> None:
    """Paint one vehicle; `lit` is the share of the sun that reaches it."""
    if vehicle.z < 1.5:
        return
    rng = chance(seed, Stream.HERO if vehicle.index == 0 else Stream.TRAFFIC, 1 + vehicle.index)
    VehiclePainter(canvas, light, street, vehicle, rng, lit).paint()


class VehiclePainter:
    """Paints one vehicle on a window of the canvas."""

    def __init__(
        self,
        canvas: Canvas,
        light: Light,
        street: Street,
        vehicle: Vehicle,
        rng: np.random.Generator,
        lit: float,
    ) -> None:
        """Choose the paint and open a window around the vehicle."""
        self.canvas, self.light, self.vehicle, self.rng, self.lit = canvas, light, vehicle, rng, lit
        self.camera = canvas.camera
        self.body = Body(street, vehicle)
        self.profile, self.glass = PROFILES[vehicle.kind]
        paint = PAINTS[int(rng.integers(len(PAINTS)))]
        if vehicle.kind in ("van", "truck", "bus"):
            paint = [(214, 214, 210), (200, 204, 206), (170, 40, 36), (40, 74, 130), (196, 168, 60)][
                int(rng.integers(5))
            ]
        self.paint_colour = floats(srgb(*paint))
        box = [(a, up, r * w) for a, y, w in self.profile for r in (-1, 1) for up in (0.0, y)]
        spread = self.body.pixels(self.camera, box)
        margin = 0.25 * self.camera.scale(vehicle.z) * vehicle.size
        self.patch = Patch(self.camera, spread.min(0) - margin, spread.max(0) + 2)
        towards = -np.array([self.body.middle_x, -self.camera.eye, self.body.middle_z])
        self.near_side = 1.0 if towards @ self.body.right > 0 else -1.0

    def paint(self) -> None:
        """Paint underbody, wheels, strips of the profile, near side and lamps; then soften and put in place."""
        if self.patch.empty:
            return
        self._wheels(-self.near_side, far=True)
        self._under()
        self._mirrors()
        self._strips()
        self._side()
        self._wheels(self.near_side, far=False)
        self._ends()
        self._finish()

    def _face(self, points: list[Point], colour: Array) -> None:
        self.patch.polygon(self.body.pixels(self.camera, points), colour)

    def _shade(self, colour: Array, normal: Point, gloss: float) -> Array:
        """Light from a glossy face: its own colour, and the reflection of sky or road."""
        mirrored = self.light.sky * np.clip(0.22 + 0.78 * normal[1], 0.04, 1.0)
        glint = max(0.0, float(np.dot(normal, self.light.towards_sun))) ** 8 * self.lit
        return floats(
            colour * self.light.on(normal, self.lit) + gloss * mirrored + 0.25 * gloss * glint * self.light.sun * 4
        )

    def _is_visible(self, point: Point, normal: Point) -> bool:
        place = self.body.world(point[0] * self.body.size, point[1] * self.body.size, point[2] * self.body.size)
        return bool(np.dot(normal, np.array([0, self.camera.eye, 0]) - place) > 0)

    def _under(self) -> None:
        first, last = self.profile[0], self.profile[-1]
        dark = 0.015 * self.light.ambient
        for side in (-1, 1):
            w = side * first[2] * 0.9
            self._face([(first[0], 0.12, w), (last[0], 0.12, w), (last[0], 0.5, w), (first[0], 0.5, w)], dark)
        for a, _, w in (first, last):
            self._face([(a, 0.14, -w * 0.9), (a, 0.14, w * 0.9), (a, 0.45, w * 0.9), (a, 0.45, -w * 0.9)], dark)

    def _strips(self) -> None:
        strips = []
        for k, ((a0, y0, w0), (a1, y1, w1)) in enumerate(pairwise(self.profile)):
            normal = self.body.normal(-(y1 - y0), a1 - a0, 0.0)
            if self._is_visible((a0, y0, 0.0), normal):
                place = self.body.world((a0 + a1) / 2, (y0 + y1) / 2, 0.0)
                strips.append((float(place[2]), k, normal, [(a0, y0, -w0), (a0, y0, w0), (a1, y1, w1), (a1, y1, -w1)]))
        for _, k, normal, points in sorted(strips, key=lambda strip: -strip[0]):
            self._face(points, self._shade(self.paint_colour, normal, 0.10 + 0.12 * max(normal[1], 0)))
            if k in self.glass:
                self._pane(points, normal)

    def _pane(self, points: list[Point], normal: Point) -> None:
        """Glass inside a strip: its reflection fades downwards."""
        (a0, y0, _), (_, _, w0), (a1, y1, w1), _ = points
        mirror = float(self.rng.uniform(0.015, 0.09))
        for low, high, share in ((0.08, 0.36, 0.5), (0.36, 0.64, 0.85), (0.64, 0.94, 1.4)):
            inner = []
            for t, side in ((low, -1), (low, 1), (high, 1), (high, -1)):
                inner.append((a0 + t * (a1 - a0), y0 + t * (y1 - y0), side * (w0 + t * (w1 - w0)) * 0.9))
            self._face(inner, floats(0.012 + self.light.sky * mirror * share * (0.55 + 0.45 * max(normal[1], 0))))

    def _side(self) -> None:
        side = self.near_side
        normal = self.body.normal(0.0, 0.12, side)
        if not self._is_visible((0.0, 0.6, side * self.profile[1][2]), normal):
            return
        self._face([(a, y, side * w) for a, y, w in self.profile], self._shade(self.paint_colour, normal, 0.07))
        belt = 0.42 * max(y for _, y, _ in self.profile) + 0.1
        below = self._shade(self.paint_colour * 0.78, self.body.normal(0, -0.3, side), 0.02)
        ends = self.profile[1], self.profile[-2]
        low = self.profile[0][1]
        self._face(
            [
                (ends[0][0] + 0.05, belt, side * ends[0][2]),
                (ends[1][0] - 0.05, belt, side * ends[1][2]),
                (ends[1][0] - 0.1, low, side * ends[1][2]),
                (ends[0][0] + 0.1, low, side * ends[0][2]),
            ],
            below,
        )
        self._shoulder(normal, belt)
        for window in SIDE_WINDOWS[self.vehicle.kind]:
            mirror = float(self.rng.uniform(0.03, 0.22))
            self._face([(a, y, side * self._width_at(y)) for a, y in window], floats(0.01 + mirror * self.light.sky))
        for a in (-0.36, 0.85) if self.vehicle.kind in ("hatch", "saloon", "estate") else ():
            w = side * ends[0][2]
            self._face([(a, 0.35, w), (a + 0.025, 0.35, w), (a + 0.025, 0.95, w), (a, 0.95, w)], below * 0.45)

    def _shoulder(self, normal: Point, belt: float) -> None:
        """The band below the windows, where the body curves up and mirrors the sky."""
        side, (tail, nose) = self.near_side, (self.profile[1], self.profile[-2])
        for low, high, gloss in ((0.0, 0.16, 0.10), (0.05, 0.1, 0.16)):
            band = [
                (tail[0] + 0.06, belt + low, side * tail[2]),
                (nose[0] - 0.08, belt + low, side * nose[2]),
                (nose[0] - 0.14, belt + high, side * nose[2]),
                (tail[0] + 0.08, belt + high, side * tail[2]),
            ]
            self._face(band, self._shade(self.paint_colour, normal, gloss))

    def _width_at(self, y: float) -> float:
        """Half the cabin's width at a height."""
        points = sorted((p[1], p[2]) for p in self.profile)
        return float(np.interp(y, [p[0] for p in points], [p[1] for p in points])) * 1.0

    def _wheels(self, side: float, far: bool) -> None:
        rear, front, radius = WHEELS[self.vehicle.kind]
        wide = side * self.profile[1][2] * (0.8 if far else 1.0)
        turn = np.linspace(0, 2 * np.pi, 22)
        tyre, rim = (
            0.02 * self.light.ambient,
            self._shade(floats(srgb(128, 130, 132)), self.body.normal(0, 0.2, side), 0.05),
        )
        for a in (rear, front):
            for share, colour, inset in (
                (1.22, tyre * 0.4, 0.97),
                (1.0, tyre, 0.98),
                (0.62, rim, 0.99),
                (0.2, tyre, 1.0),
            ):
                if far and share != 1.0:
                    continue
                ring = [
                    (a + radius * share * np.cos(t), radius + radius * share * np.sin(t), wide * inset) for t in turn
                ]
                if share > 1:
                    ring = [(x, max(y, 0.18), w) for x, y, w in ring]
                self._face(ring, colour)
            inner = wide - side * 0.2  # the tread, visible from ahead or behind
            for end in (-1, 1):
                edge = a + end * radius * 0.7
                if self._is_visible((edge, radius, wide), self.body.normal(end, 0, 0)) and (
                    far or abs(self.near_side) < 0
                ):
                    self._face(
                        [(edge, 0.0, inner), (edge, 0.0, wide), (edge, radius, wide), (edge, radius, inner)],
                        tyre,
                    )

    def _ends(self) -> None:
        """Bumper, plate and lamps of the end that faces the camera."""
        ahead = self._is_visible((self.profile[-2][0], 0.6, 0.0), self.body.normal(1, 0, 0))
        tip, inner = (self.profile[-2], self.profile[-3]) if ahead else (self.profile[1], self.profile[2])
        step = 0.02 if ahead else -0.02
        normal = self.body.normal(1 if ahead else -1, 0, 0)
        a, w = tip[0] + step, tip[2]
        low = 0.4 if self.vehicle.kind in ("bus", "truck") else 0.22
        for side in (-1, 1):  # tyres under the end
            self._face(
                [
                    (a * 0.93, 0.0, side * w * 0.95),
                    (a * 0.93, 0.0, side * w * 0.66),
                    (a * 0.93, 0.4, side * w * 0.66),
                    (a * 0.93, 0.4, side * w * 0.95),
                ],
                0.012 * self.light.ambient,
            )
        bumper = self.paint_colour * 0.8 if self.rng.random() < 0.6 else floats(srgb(52, 54, 56))
        self._face(
            [(a, low, -w), (a, low, w), (a, tip[1] + 0.02, w), (a, tip[1] + 0.02, -w)],
            self._shade(bumper, normal, 0.03),
        )
        plate = floats(srgb(214, 212, 200) if ahead else srgb(200, 170, 50))
        y = tip[1] - 0.05 if ahead else (tip[1] + inner[1]) / 2 - 0.03
        self._face(
            [(a, y - 0.06, -0.26), (a, y - 0.06, 0.26), (a, y + 0.06, 0.26), (a, y + 0.06, -0.26)],
            self._shade(plate, normal, 0.0),
        )
        self._lamps(ahead, tip, inner, step, normal)

    def _lamps(self, ahead: bool, tip: Point, inner: Point, step: float, normal: Point) -> None:
        """The lamps of an end, and at the front the grille between them."""
        a, w = tip[0] + step, tip[2]
        top, base = inner[1] - 0.04, tip[1] + 0.03
        dusk = self.light.weather == "dusk"
        for side in (-1, 1):
            outer, within = side * w * 0.97, side * w * (0.66 if ahead else 0.78)
            lamp = floats([0.55, 0.56, 0.55]) if ahead else floats([0.28, 0.012, 0.012])
            on = floats([2.4, 2.2, 1.8]) if ahead else floats([1.6, 0.1, 0.06])
            glow = on * (1.0 if dusk else 0.0) + (on * 0.8 if not ahead and self.rng.random() < 0.2 else 0.0)
            edge = inner[0] + step
            self._face(
                [(a, base, outer), (a, base, within), (edge, top, within), (edge, top, outer)],
                self._shade(lamp, normal, 0.06) + glow,
            )
        if ahead:
            self._face(
                [
                    (a, tip[1] + 0.02, -w * 0.45),
                    (a, tip[1] + 0.02, w * 0.45),
                    (inner[0] + step, top, w * 0.42),
                    (inner[0] + step, top, -w * 0.42),
                ],
                floats([0.02, 0.02, 0.02]),
            )

    def _mirrors(self) -> None:
        """The wing mirrors, painted before the body, which hides the far one."""
        normal = self.body.normal(0, 0, 1)
        mirror_a, mirror_y = (self.profile[len(self.profile) - 4][0] * 0.8, self.profile[2][1] + 0.1)
        for side in (-1, 1):
            m = side * (self.profile[2][2] + 0.02)
            self._face(
                [
                    (mirror_a, mirror_y - 0.07, m),
                    (mirror_a, mirror_y - 0.07, m + side * 0.16),
                    (mirror_a, mirror_y + 0.08, m + side * 0.16),
                    (mirror_a, mirror_y + 0.08, m),
                ],
                self._shade(self.paint_colour * 0.5, normal, 0.02),
            )

    def _finish(self) -> None:
        """Soften the edges between faces, add dirt and a dark sill, and put the vehicle in place."""
        patch = self.patch
        size = self.camera.scale(self.vehicle.z + 1) * self.vehicle.size
        inside = (patch.mask > 0).astype(np.float32)
        radius = float(np.clip(size * 0.012, 0.5, 4.0))
        weight = cv2.GaussianBlur(inside, (0, 0), radius)
        soft = cv2.GaussianBlur(patch.colour, (0, 0), radius) / np.maximum(weight, 0.05)[..., None]
        rows = np.arange(patch.top, patch.bottom)
        up = (self.camera.horizon - rows) / size * self.vehicle.size + self.camera.eye
        sill = 1 - 0.35 * np.exp(-np.maximum(up, 0) / (0.35 * self.vehicle.size))
        dirt = 1 + 0.05 * noise_patch("cloud", patch.height, patch.width, self.rng, max(size / 20, 0.5))
        patch.colour = floats(soft * sill[:, None, None] * dirt[..., None])
        self.canvas.put(patch, CAR, self.vehicle.z)
