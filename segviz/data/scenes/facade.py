"""The front of a drawn house: wall, windows, doors and shop, as albedo and reflections in glass."""

from __future__ import annotations

from functools import partial

import numpy as np

from segviz.data.scenes.world import (
    Array,
    Colour,
    Light,
    floats,
    noise_patch,
    srgb,
)

FASCIAS = [
    (34, 44, 92),
    (116, 26, 30),
    (24, 72, 50),
    (30, 30, 34),
    (190, 184, 170),
    (150, 60, 30),
    (26, 84, 110),
]


class Facade:
    """The front of a house: albedo (`picture`), exposure to the sky (`sheltered`), and light of glass (`glow`)."""

    def __init__(
        self,
        style: str,
        height: float,
        length: float,
        texels: float,
        wall: Colour,
        light: Light,
        rng: np.random.Generator,
        blank: bool = False,
    ) -> None:
        """Build the front; `texels` is in pixels per metre, `length` and `height` are in metres."""
        self.length, self.height, self.texels = length, height, texels
        rows, columns = max(8, round(height * texels)), max(8, round(length * texels))
        self.rng, self.light = rng, light
        self.picture = self._wall(rows, columns, wall, style)
        self.sheltered: Array = np.ones((rows, columns), np.float32)
        self.glow: Array = np.zeros((rows, columns, 3), np.float32)
        self._shelter()
        storey = float(rng.uniform(2.7, 3.3)) if style != "modern" else 3.2
        ground = 3.4 if style == "shop" else storey
        if not blank:
            self._windows(storey, ground, style)
        if style == "shop":
            self._shop(ground)
        elif not blank:
            self._doors()
        streaks = noise_patch("cloud", 1, columns, rng, max(texels / 8, 1.0)) * np.linspace(0.2, 1, rows)[:, None]
        stains = noise_patch("cloud", rows, columns, rng, max(texels / 5, 1.0))
        self.picture *= np.clip(1 + 0.06 * streaks + 0.1 * stains, 0.55, 1.4)[..., None]

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour | Array) -> tuple[slice, slice]:
        """Fill a rectangle, given in metres from the facade's lower left corner; return its pixels."""
        rows = slice(
            max(0, round((self.height - top) * self.texels)),
            max(0, round((self.height - bottom) * self.texels)),
        )
        columns = slice(max(0, round(left * self.texels)), max(0, round(right * self.texels)))
        self.picture[rows, columns] = colour
        return rows, columns

    def _wall(self, rows: int, columns: int, wall: Colour, style: str) -> Array:
        rng = self.rng
        broad = noise_patch("cloud", rows, columns, rng, self.texels / 14)
        fine = noise_patch("grain", rows, columns, rng, max(self.texels / 24, 1.0))
        value = 1 + 0.1 * broad + (0.2 if style in ("brick", "shop") else 0.07) * fine
        if style in ("brick", "shop"):
            course = (np.arange(rows) / self.texels % 0.15) < 0.03
            value = value * np.where(course, 0.8, 1.0)[:, None]
        picture = floats(wall) * np.clip(value, 0.4, 1.7)[..., None]
        return floats(picture)

    def _shelter(self) -> None:
        """Darken under the eave and near the ground, where less sky is visible."""
        above = np.linspace(self.height, 0, self.sheltered.shape[0])
        shade = 1 - 0.45 * np.exp(-(self.height - above) / 0.35) - 0.3 * np.exp(-above / 1.2)
        self.sheltered *= floats(shade)[:, None]

    def _glass(self, left: float, bottom: float, right: float, top: float, bright: float) -> None:
        """A pane: dark inside, reflecting a part of the sky."""
        rows, columns = self.box(left, bottom, right, top, (0.02, 0.022, 0.025))
        shape = self.glow[rows, columns].shape[:2]
        if not shape[0] or not shape[1]:
            return
        fade = np.linspace(1.0, 0.45, shape[0])[:, None] * np.ones(shape[1])
        self.glow[rows, columns] = fade[..., None] * self.light.sky * bright

    def _window(self, left: float, bottom: float, width: float, height: float, frame: Colour, bars: int) -> None:
        rng = self.rng
        self.box(
            left - 0.1,
            bottom + height,
            left + width + 0.1,
            bottom + height + 0.2,
            tuple(np.array(frame) * 0.7),
        )
        self.box(left - 0.06, bottom - 0.06, left + width + 0.06, bottom + height + 0.04, frame)
        bright = float(rng.choice([0.02, 0.09, 0.26], p=[0.5, 0.32, 0.18]) * rng.uniform(0.6, 1.4))
        lamp = rng.random() < 0.22 and self.light.weather == "dusk"
        self._glass(left + 0.04, bottom + 0.04, left + width - 0.04, bottom + height - 0.04, bright)
        if rng.random() < 0.35:  # curtains or a blind
            drop = rng.uniform(0.2, 0.7) * height
            self.box(
                left + 0.05,
                bottom + height - drop,
                left + width - 0.05,
                bottom + height - 0.05,
                srgb(150, 144, 132),
            )
        if lamp:  # somebody is at home
            rows, columns = self.box(
                left + 0.05, bottom + 0.05, left + width - 0.05, bottom + height - 0.05, (0.0, 0.0, 0.0)
            )
            self.glow[rows, columns] = floats([0.95, 0.62, 0.28]) * rng.uniform(0.5, 1.1)
        draw = partial(self.box, colour=frame)
        if bars:
            draw(left, bottom + height * 0.5 - 0.04, left + width, bottom + height * 0.5 + 0.04)
        if bars > 1:
            draw(left + width / 2 - 0.03, bottom, left + width / 2 + 0.03, bottom + height)
        rows, columns = self.box(
            left - 0.12, bottom - 0.16, left + width + 0.12, bottom - 0.05, tuple(np.array(frame) * 0.8)
        )
        self.sheltered[rows.stop : rows.stop + max(1, round(0.12 * self.texels)), columns] *= 0.6

    def _windows(self, storey: float, ground: float, style: str) -> None:
        rng = self.rng
        wide = float(rng.uniform(0.9, 1.4)) if style != "modern" else float(rng.uniform(1.4, 2.6))
        tall = float(rng.uniform(1.3, 1.75))
        pitch = wide + float(rng.uniform(0.9, 1.8)) * (0.5 if style == "modern" else 1.0)
        frame = srgb(*[(222, 222, 218), (60, 60, 62), (196, 190, 176), (235, 235, 235)][int(rng.integers(4))])
        bars = int(rng.integers(0, 3))
        count = max(1, int((self.length - 0.6) / pitch))
        start = (self.length - count * pitch + pitch - wide) / 2
        floor, level = 0, 0.0
        while level + 2.3 < self.height:
            if not (style == "shop" and floor == 0):
                for k in range(count):
                    self._window(
                        start + k * pitch,
                        level + 0.85,
                        wide,
                        min(tall, self.height - level - 1.2),
                        frame,
                        bars,
                    )
            level += ground if floor == 0 else storey
            floor += 1
            if style in ("plaster", "modern") and level + 1 < self.height:
                band = srgb(*np.full(3, rng.uniform(110, 200)))
                self.box(0, level - 0.12, self.length, level + 0.12, band)
        self.box(0, self.height - 0.28, self.length, self.height, srgb(*np.full(3, rng.uniform(60, 210))))
        if rng.random() < 0.7:
            self.box(0.15, 0, 0.27, self.height, srgb(44, 44, 46))  # a drain pipe
        for _ in range(int(rng.integers(0, 4))):  # alarm boxes, dishes, brackets, signs that jut out
            x, y = rng.uniform(0.4, max(0.5, self.length - 0.8)), rng.uniform(2.6, max(2.7, self.height - 1))
            wide, tall = rng.uniform(0.12, 0.5, 2)
            rows, columns = self.box(
                x, y, x + wide, y + tall, srgb(*(rng.uniform(30, 220) + rng.normal(0, 12, 3)).clip(5, 250))
            )
            self.sheltered[rows.stop : rows.stop + max(1, round(0.15 * self.texels)), columns] *= 0.65

    def _shop(self, ground: float) -> None:
        rng = self.rng
        at = 0.0
        while at < self.length - 1.5:
            wide = min(float(rng.uniform(3.5, 7)), self.length - at)
            paint = srgb(*FASCIAS[int(rng.integers(len(FASCIAS)))])
            self.box(at, 0, at + wide, ground, tuple(np.array(paint) * 0.9))
            step = wide / max(1, round(wide / 1.7))
            for left in np.arange(at, at + wide - 0.5, step):
                self._glass(left + 0.12, 0.5, left + step - 0.08, ground - 0.75, float(rng.uniform(0.02, 0.16)))
                for _ in range(int(rng.integers(2, 6))):  # goods and lamps behind the glass
                    x, y = left + rng.uniform(0.1, step - 0.5), rng.uniform(0.5, ground - 1.2)
                    bright = np.exp(rng.normal(-2.3, 0.9)) * rng.uniform(0.5, 1.3, 3)
                    self.box(x, y, x + rng.uniform(0.1, 0.5), y + rng.uniform(0.1, 0.6), floats(bright))
            self.box(at, ground - 0.65, at + wide, ground - 0.05, paint)
            letter = srgb(225, 220, 200) if sum(paint) < 0.8 else srgb(50, 40, 40)
            x = at + wide * rng.uniform(0.1, 0.3)
            while x < at + wide * rng.uniform(0.7, 0.9):  # something like lettering
                w = rng.uniform(0.08, 0.26)
                self.box(x, ground - 0.48, x + w, ground - rng.uniform(0.2, 0.3), letter)
                x += w + rng.uniform(0.05, 0.14)
            rows, columns = self.box(at, ground - 0.78, at + wide, ground - 0.7, (0.03, 0.03, 0.03))
            self.sheltered[rows.stop : rows.stop + round(0.5 * self.texels), columns] *= 0.7
            at += wide + 0.2

    def _doors(self) -> None:
        rng = self.rng
        for _ in range(max(1, int(self.length / 6))):
            left = rng.uniform(0.5, max(0.6, self.length - 1.6))
            self.box(left - 0.12, 0, left + 1.07, 2.35, srgb(200, 196, 186))
            self.box(left, 0, left + 0.95, 2.1, srgb(*rng.uniform(20, 110, 3)))
            self._glass(left + 0.05, 2.12, left + 0.9, 2.3, 0.1)
