"""Pedestrians and cyclists of a drawn scene: limbs in space, clothed, turned and lit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segviz.data.scenes.canvas import Canvas, Patch
from segviz.data.scenes.world import (
    BICYCLIST,
    PEDESTRIAN,
    Array,
    Camera,
    Light,
    Stream,
    Street,
    chance,
    floats,
    noise_patch,
    srgb,
)

CLOTHES = [
    (28, 30, 36), (46, 50, 62), (62, 60, 58), (38, 44, 74), (92, 88, 84), (120, 30, 34), (60, 74, 62),
    (150, 144, 132), (176, 150, 110), (196, 196, 192), (34, 70, 104), (84, 62, 50), (20, 20, 22),
    (134, 60, 80), (190, 120, 40),
]  # fmt: skip
TROUSERS = [(30, 34, 46), (44, 54, 80), (26, 26, 28), (70, 66, 60), (96, 90, 78), (56, 60, 66)]
SKIN = [(196, 152, 124), (172, 124, 96), (120, 84, 64), (206, 166, 142), (88, 60, 46)]
HAIR = [(34, 26, 22), (58, 42, 30), (90, 70, 46), (130, 124, 116), (20, 18, 18)]


@dataclass(frozen=True)
class Person:
    """A person at s metres right of the street's middle; `turn` is 0 when walking away, pi towards us."""

    s: float
    z: float
    turn: float
    cycling: bool
    index: int


def make_people(seed: int, street: Street, camera: Camera, crowding: float, fence_side: int) -> list[Person]:
    """Walkers on both pavements and sometimes on the road; each appears above its own threshold of crowding."""
    rng = chance(seed, Stream.PEOPLE)
    people: list[Person] = []
    for k in range(34):
        side = -fence_side if k < 4 else int(rng.choice([-1, 1]))
        room = abs(street.edge(side)) - street.half
        s = side * (street.half + rng.uniform(0.45, max(0.6, room - 0.35)))
        z = float(rng.uniform(8, 13) if k == 0 else rng.uniform(9, 24) if k < 5 else 9 + 60 * rng.random() ** 1.3)
        turn = float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.35))
        threshold = 0.02 + 0.06 * k if k < 5 else float(rng.uniform(0.15, 1.1))
        crossing, across = rng.random() < 0.07, float(rng.uniform(-0.9, 0.9))
        if crossing and k > 4:
            s, z, turn = across * street.half, max(z, 16.0), float(rng.choice([-1.0, 1.0]) * np.pi / 2)
        else:
            z = max(z, street.visible_from(float(s), camera, 1.12) + 0.35 * (k if k < 5 else 0))
        if crowding > threshold:
            people.append(Person(float(s), z, turn, False, k))
    return people


def make_cyclists(seed: int, street: Street, camera: Camera, crowding: float, lane: float) -> list[Person]:
    """Cyclists at the edges of the road, first on the side away from the hero vehicle (at s = `lane`)."""
    rng = chance(seed, Stream.CYCLISTS)
    riders: list[Person] = []
    away = -1 if lane > 0 else 1
    for k in range(7):
        side = away if k < 2 else int(rng.choice([-1, 1]))
        s = side * (street.half - float(rng.uniform(0.5, 1.0)))
        z = float(rng.uniform(7.5, 12) if k == 0 else rng.uniform(12, 45))
        turn = float((0.0 if side < 0 else np.pi) + rng.normal(0, 0.3))
        if rng.random() < 0.25:
            turn += float(rng.choice([-1, 1])) * 1.1
        threshold = 0.02 if k == 0 else 0.12 + 0.13 * k
        if crowding > threshold:
            riders.append(Person(s, max(z, street.visible_from(s, camera, 1.15)), turn, True, k))
    return riders


def draw_person(canvas: Canvas, light: Light, street: Street, person: Person, seed: int, lit: float) -> None:
    """Paint one person or cyclist; `lit` is the share of the sun that reaches the person."""
    rng = chance(seed, Stream.CYCLISTS if person.cycling else Stream.PEOPLE, 1 + person.index)
    figure = Figure(canvas, light, street, person, rng)
    if figure.patch.empty:
        return
    if person.cycling:
        figure.bicycle()
        figure.rider()
    else:
        figure.walker()
    figure.put(BICYCLIST if person.cycling else PEDESTRIAN, lit)


class Figure:
    """Limbs in the person's own space (forward, up, right; metres), painted far to near."""

    def __init__(self, canvas: Canvas, light: Light, street: Street, person: Person, rng: np.random.Generator) -> None:
        """Choose build and clothes, and open a window around the person."""
        self.canvas, self.light, self.rng, self.z = canvas, light, rng, person.z
        self.x = float(street.x(person.s, person.z))
        turn = person.turn + street.angle(person.z) - float(np.arctan2(self.x, person.z))
        self.along, self.across = float(np.sin(turn)), float(np.cos(turn))
        self.size = canvas.camera.scale(person.z)
        self.build = float(rng.uniform(0.9, 1.08))
        pick = rng.integers
        self.coat = floats(srgb(*CLOTHES[int(pick(len(CLOTHES)))])) * rng.uniform(0.8, 1.2)
        self.legs = floats(srgb(*TROUSERS[int(pick(len(TROUSERS)))])) * rng.uniform(0.8, 1.2)
        self.skin = floats(srgb(*SKIN[int(pick(len(SKIN)))]))
        self.hair = floats(srgb(*HAIR[int(pick(len(HAIR)))]))
        if person.cycling and rng.random() < 0.3:
            self.coat = floats(srgb(188, 200, 60))  # a high-visibility vest
        low, high = canvas.camera.project([self.x - 1.1, self.x + 1.1], [2.0, -0.05], person.z)
        self.patch = Patch(canvas.camera, low, high)
        self.facing = -self.across  # above 0: faces the camera

    def pixel(self, forward: Any, up: Any, right: Any) -> Any:
        """Pixel of a point of the body."""
        x = self.x + (forward * self.along + right * self.across) * self.build
        return self.canvas.camera.project(x, up * self.build, self.z)

    def bar(
        self, start: tuple[float, float, float], end: tuple[float, float, float], wide: float, colour: Array
    ) -> None:
        """Draw a limb, `wide` metres thick."""
        self.patch.limb(self.pixel(*start), self.pixel(*end), wide * self.size * self.build, colour)

    def solid(self, points: list[tuple[float, float, float]], colour: Array) -> None:
        """Draw a flat piece of the body."""
        self.patch.polygon(self.pixel(*np.array(points).T), colour)

    def head(self, forward: float, up: float) -> None:
        """Draw the head with hair or hood, from the front, the back or the side."""
        size = self.size * self.build
        self.bar((forward * 0.7, up - 0.2, 0), (forward, up - 0.08, 0), 0.11, self.skin * 0.8)
        centre = self.pixel(forward, up, 0)
        self.patch.ellipse(centre, (0.085 * size, 0.12 * size), self.hair if self.facing < -0.3 else self.skin)
        if self.facing > -0.3:
            crown = self.pixel(forward - 0.05, up + 0.05, 0)
            self.patch.ellipse(crown, (0.088 * size, 0.075 * size), self.hair)

    def torso(self, hip: tuple[float, float], neck: tuple[float, float], shoulder: float, hem: float) -> None:
        """Draw a coat from the shoulders to its hem; from the side the body is thinner."""
        thick, rise = 0.11, 0.02
        waist = shoulder * 0.78
        sides = []
        for sign in (-1.0, 1.0):
            bulk = sign * thick * np.sign(self.along * self.across + 1e-6)
            sides.append(
                [
                    (neck[0] + bulk, neck[1] - 0.06, sign * shoulder),
                    (hip[0] + bulk, hip[1] + 0.12, sign * waist),
                    (hip[0] + bulk * 1.1, hip[1] - hem, sign * waist * 1.12),
                ]
            )
        top = [(neck[0], neck[1] + rise, -0.07), (neck[0], neck[1] + rise, 0.07)]
        self.solid([*sides[0][::-1], *top, *sides[1]], self.coat)

    def walker(self) -> None:
        """Draw a standing or walking person."""
        rng = self.rng
        stride = float(rng.uniform(0.05, 0.42))
        swing = stride * 0.75
        shoulder, hem = (
            float(rng.uniform(0.18, 0.23)),
            float(rng.choice([0.02, 0.12, 0.35], p=[0.45, 0.35, 0.2])),
        )
        near = 1.0 if self.along > 0 else -1.0
        shoe = floats(srgb(30, 28, 28))
        for side, step in ((-near, stride), (near, -stride)):
            hip, knee, foot = (
                (0.0, 0.88, side * 0.09),
                (step * 0.55 + 0.05, 0.48, side * 0.1),
                (step - 0.03, 0.08, side * 0.1),
            )
            tint = self.legs * (0.75 if side == -near else 1.0)
            self.bar(hip, knee, 0.17, tint)
            self.bar(knee, foot, 0.12, tint)
            self.bar(foot, (foot[0] + 0.14, 0.04, side * 0.11), 0.08, shoe)
            if side == -near:
                self._arm(side, -swing, shoulder, 0.8)
        self.torso((0.0, 0.92), (0.02, 1.46), shoulder, hem)
        self._arm(near, swing, shoulder, 1.08)
        self.head(0.05, 1.62)
        what = rng.random()
        if what < 0.25:
            bag = floats(srgb(*CLOTHES[int(rng.integers(len(CLOTHES)))]))
            self.solid(
                [
                    (-0.05, 0.75, near * 0.3),
                    (0.2, 0.75, near * 0.3),
                    (0.2, 0.48, near * 0.32),
                    (-0.05, 0.48, near * 0.32),
                ],
                bag,
            )
        elif what < 0.4 and self.facing < 0.2:
            pack = floats(srgb(*CLOTHES[int(rng.integers(len(CLOTHES)))]))
            self.solid([(-0.2, 1.4, -0.14), (-0.2, 1.4, 0.14), (-0.24, 1.0, 0.15), (-0.24, 1.0, -0.15)], pack)

    def _arm(self, side: float, swing: float, shoulder: float, bright: float) -> None:
        elbow, hand = (
            (swing * 0.35, 1.13, side * (shoulder + 0.06)),
            (swing + 0.06, 0.88, side * (shoulder + 0.04)),
        )
        self.bar((0.0, 1.4, side * shoulder), elbow, 0.115, self.coat * bright)
        self.bar(elbow, hand, 0.09, self.coat * bright)
        self.bar(hand, (hand[0] + 0.03, hand[1] - 0.05, hand[2]), 0.075, self.skin)

    def bicycle(self) -> None:
        """Draw two wheels, frame, saddle and handlebar."""
        rng = self.rng
        rubber, metal = floats(srgb(26, 26, 28)), floats(srgb(*rng.uniform(30, 130, 3)))
        size = self.size * self.build
        turn = np.linspace(0, 2 * np.pi, 25)
        for middle in (-0.52, 0.52):
            rim = self.pixel(middle + 0.34 * np.cos(turn), 0.34 + 0.34 * np.sin(turn), 0.0)
            self.patch.ring(rim, 0.045 * size, rubber)
            for spoke in rim[::4] if size > 60 else ():
                self.patch.limb(self.pixel(middle, 0.34, 0.0), spoke, 1.0, rubber * 2)
        crank, seat, stem, rear, front = (
            (-0.08, 0.3, 0.0),
            (-0.24, 0.88, 0.0),
            (0.36, 0.86, 0.0),
            (-0.52, 0.34, 0.0),
            (0.52, 0.34, 0.0),
        )
        for a, b in ((crank, seat), (crank, stem), (seat, stem), (rear, crank), (rear, seat), (stem, front)):
            self.bar(a, b, 0.04, metal)
        self.bar((0.4, 1.0, -0.27), (0.4, 1.0, 0.27), 0.035, rubber)
        self.bar(stem, (0.4, 1.0, 0.0), 0.035, metal)
        self.bar((-0.34, 0.93, 0.0), (-0.12, 0.93, 0.0), 0.07, rubber)

    def rider(self) -> None:
        """Draw the person on the bicycle."""
        near = 1.0 if self.along > 0 else -1.0
        phase = float(self.rng.uniform(0, 2 * np.pi))
        shoe = floats(srgb(34, 32, 32))
        for side, shift in ((-near, 0.0), (near, np.pi)):
            pedal = (-0.08 + 0.17 * np.cos(phase + shift), 0.3 + 0.17 * np.sin(phase + shift), side * 0.13)
            knee = (0.22 + 0.05 * np.cos(phase + shift), 0.74 + 0.1 * np.sin(phase + shift), side * 0.13)
            tint = self.legs * (0.75 if side == -near else 1.0)
            self.bar((-0.2, 0.98, side * 0.09), knee, 0.17, tint)
            self.bar(knee, pedal, 0.12, tint)
            self.bar(pedal, (pedal[0] + 0.12, pedal[1] - 0.02, pedal[2]), 0.08, shoe)
            if side == -near:
                self.bar((0.1, 1.4, side * 0.19), (0.38, 1.05, side * 0.24), 0.1, self.coat * 0.8)
        self.torso((-0.18, 0.98), (0.12, 1.48), 0.2, 0.03)
        elbow = (0.2, 1.18, near * 0.27)
        self.bar((0.1, 1.4, near * 0.2), elbow, 0.11, self.coat * 1.05)
        self.bar(elbow, (0.4, 1.03, near * 0.25), 0.085, self.coat)
        self.head(0.2, 1.64)
        if self.rng.random() < 0.45:  # a helmet
            size = self.size * self.build
            self.patch.ellipse(
                self.pixel(0.18, 1.71, 0),
                (0.11 * size, 0.08 * size),
                floats(srgb(*self.rng.uniform(40, 210, 3))),
            )

    def put(self, label: int, lit: float) -> None:
        """Add folds, roundness and light to the clothes, and put the figure into the scene."""
        patch, toward = self.patch, self.light.towards_sun
        folds = noise_patch("cloud", patch.height, patch.width, self.rng, max(self.size / 30, 0.4))
        shade = self.light.on((0.3 * float(np.sign(toward[0])), 0.25, -0.9), lit) + 0.12 * lit * self.light.sun
        rows = np.linspace(1.08, 0.86, patch.height)[:, None]
        patch.colour = floats(patch.colour * shade * ((1 + 0.16 * folds) * rows)[..., None])
        patch.round_off(self.size * 0.035, toward[0] * lit, 0.35 + 0.5 * toward[1] * lit)
        self.canvas.put(patch, label, self.z)
