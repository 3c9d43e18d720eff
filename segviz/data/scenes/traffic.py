"""The places of a drawn scene's vehicles: the hero vehicle, parked ones and moving ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segviz.data.scenes.vehicle_shapes import PROFILES
from segviz.data.scenes.world import (
    Array,
    Camera,
    Stream,
    Street,
    chance,
    floats,
)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle whose middle is s metres right of the street's middle, its near end z metres ahead."""

    s: float
    z: float
    kind: str
    oncoming: bool
    size: float
    index: int

    @property
    def length(self) -> float:
        """Metres from end to end."""
        profile = PROFILES[self.kind][0]
        return (profile[-2][0] - profile[1][0]) * self.size

    @property
    def wide(self) -> float:
        """Metres from side to side."""
        return 2 * max(point[2] for point in PROFILES[self.kind][0]) * self.size

    @property
    def high(self) -> float:
        """Metres from the road to the roof."""
        return max(point[1] for point in PROFILES[self.kind][0]) * self.size


def pick_kind(rng: np.random.Generator) -> str:
    """Pick a kind of vehicle, cars most often."""
    return str(rng.choice(list(PROFILES), p=[0.34, 0.22, 0.2, 0.12, 0.07, 0.05]))


def make_vehicles(
    seed: int, street: Street, size: float, distance: float, crowding: float, fence_side: int
) -> list[Vehicle]:
    """The hero vehicle and the traffic: vehicles parked on the side away from the fence, and moving ones.

    The hero has a lane of its own, so that it never meets another vehicle.
    """
    rng = chance(seed, Stream.HERO)
    park = -fence_side
    lanes = {
        "ahead": (-street.half * float(rng.uniform(0.38, 0.52)), False),
        "oncoming": (street.half * float(rng.uniform(0.4, 0.55)), True),
        "parked": (park * (street.half - 1.05), park > 0),
    }
    lane = str(rng.choice(["ahead", "oncoming", "parked"], p=[0.5, 0.22, 0.28]))
    s, oncoming = lanes[lane]
    hero = Vehicle(s, distance, pick_kind(rng), oncoming, size, 0)
    if lane == "parked":
        s = park * (street.half - hero.wide / 2 / size - 0.1)
        hero = Vehicle(s, distance, hero.kind, oncoming, size, 0)
    vehicles = [hero]
    rng = chance(seed, Stream.TRAFFIC)
    parked_here = rng.random() < 0.75
    for name, (place, facing) in lanes.items():
        z = float(rng.uniform(15.5, 24)) if name != "oncoming" else float(rng.uniform(17, 40))
        for _ in range(9):
            kind, threshold, jitter = pick_kind(rng), float(rng.uniform(0, 1.15)), float(rng.normal(0, 0.12))
            other = Vehicle(place + jitter, z, kind, facing, 1.0, len(vehicles))
            z += other.length + float(rng.uniform(0.9, 3) if name == "parked" else rng.uniform(9, 32))
            if name == lane or z > 110 or threshold > crowding or (name == "parked" and not parked_here):
                continue
            vehicles.append(other)
    return vehicles


def ground_outline(street: Street, vehicle: Vehicle, towards_sun: tuple[float, float, float], high: float) -> Array:
    """Outline of a vehicle and its shadow on the ground: (points, 2), each (x, z); at `high` 0 the footprint."""
    body = Body(street, vehicle)
    reach = high * min(1 / max(towards_sun[1], 0.1), 5.0)
    half, long_ = vehicle.wide / 2 * 0.94, vehicle.length / 2 * 0.96
    feet = np.array([body.world(a, 0.0, right)[[0, 2]] for a in (-long_, long_) for right in (-half, half)])
    tops = feet - reach * np.array([towards_sun[0], towards_sun[2]])
    return floats(np.concatenate([feet, tops]))


class Body:
    """Maps a vehicle's own coordinates (forward, up, right) to the world."""

    def __init__(self, street: Street, vehicle: Vehicle) -> None:
        self.size = vehicle.size
        self.middle_z = vehicle.z + vehicle.length / 2
        self.middle_x = float(street.x(vehicle.s, self.middle_z))
        angle = street.angle(self.middle_z) + (np.pi if vehicle.oncoming else 0.0)
        self.forward = np.array([np.sin(angle), 0.0, np.cos(angle)])
        self.right = np.array([np.cos(angle), 0.0, -np.sin(angle)])

    def world(self, a: Any, y: Any, right: Any) -> Any:
        """World position of a point already scaled to metres."""
        origin = np.array([self.middle_x, 0.0, self.middle_z])
        return origin + a * self.forward + right * self.right + np.array([0.0, y, 0.0])

    def pixels(self, camera: Camera, points: Any) -> Array:
        """Pixels of points (forward, up, right) given in unscaled model metres."""
        a, y, right = (np.asarray(points, np.float64) * self.size).T
        x = self.middle_x + a * self.forward[0] + right * self.right[0]
        return camera.project(x, y, self.middle_z + a * self.forward[2] + right * self.right[2])

    def normal(self, a: float, y: float, right: float) -> tuple[float, float, float]:
        """World direction of a model direction."""
        vector = a * self.forward + right * self.right + np.array([0.0, y, 0.0])
        vector = vector / np.linalg.norm(vector)
        return float(vector[0]), float(vector[1]), float(vector[2])
