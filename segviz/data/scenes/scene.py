"""Drawn street scenes: photographs of imaginary streets, drawn from a seed, with exact labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from segviz.data.scenes import buildings, furniture, ground, people, plants, sky, traffic, vehicles
from segviz.data.scenes import fence as fences
from segviz.data.scenes.canvas import Canvas, majority
from segviz.data.scenes.photo import develop
from segviz.data.scenes.world import (
    BICYCLIST,
    FAR,
    FENCE,
    PEDESTRIAN,
    POLE,
    SIGN,
    Array,
    Light,
    Stream,
    Street,
    chance,
    floats,
    make_camera,
    make_light,
    make_street,
)

_RANGES = {
    "pole_width": (0.04, 0.6),
    "vehicle_size": (0.5, 2.0),
    "vehicle_distance": (5.0, 60.0),
    "fence_length": (0.0, 40.0),
    "crowding": (0.0, 1.0),
}
_FINE_AREA = 640 * 480  # pictures up to this many pixels are painted at twice their size


@dataclass(frozen=True)
class SceneOptions:
    """The options of a scene; each changes one thing and leaves the rest of the scene as it is.

    Attributes:
        pole_width: width of lamp posts, sign poles and the like in metres, 0.04 to 0.6.
        vehicle_size: scale of the hero vehicle, 0.5 to 2.
        vehicle_distance: distance to the hero vehicle's near end in metres, 5 to 60. The hero has a lane of its own;
            the other vehicles stay where they are, none nearer than 15 m.
        fence_length: length of the fence in metres, 0 (none) to 40.
        crowding: 0 (no people, no cyclists, no other vehicles) to 1 (crowded).
    """

    pole_width: float = 0.12
    vehicle_size: float = 1.0
    vehicle_distance: float = 14.0
    fence_length: float = 12.0
    crowding: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a value is out of range.
        """
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is out of range; choose {low:g} to {high:g}")
            object.__setattr__(self, name, float(value))


@dataclass(frozen=True)
class Scene:
    """A drawn picture and its labels.

    Attributes:
        image: (height, width, 3) uint8 RGB.
        labels: (height, width) uint8 class indices 0 to 10, in CamVid's order; there is no void.
        seed: the seed of the drawing.
        options: the options of the drawing.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    seed: int
    options: SceneOptions


def draw_scene(
    seed: int,
    options: SceneOptions = SceneOptions(),
    *,
    width: int = 480,
    height: int = 360,
    between: Callable[[], object] | None = None,
) -> Scene:
    """Draw the scene of a seed. The same seed, options and size give the same bytes.

    Args:
        seed: an integer, 0 or more.
        options: the options of the scene.
        width: picture width in pixels, 16 to 8192.
        height: picture height in pixels, 16 to 8192.
        between: called before each part is painted; an exception that it raises ends the drawing.

    Returns:
        The picture with its labels.

    Raises:
        ValueError: the seed is negative, or the size is out of range.
    """
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; choose 0 or more")
    for name, value in (("width", width), ("height", height)):
        if not 16 <= value <= 8192:
            raise ValueError(f"{name} {value} is out of range; choose 16 to 8192")
    factor = 2 if width * height <= _FINE_AREA else 1
    light = make_light(seed)
    canvas = _paint(seed, options, light, width, height, factor, between)
    image = develop(canvas, light, seed, width, height)
    labels = majority(canvas.labels, factor, (POLE, SIGN, FENCE, PEDESTRIAN, BICYCLIST))
    return Scene(image, labels, seed, options)


def random_options(seed: int) -> SceneOptions:
    """Options that vary with the seed, for training and evaluation: mostly ordinary, sometimes extreme."""
    rng = chance(seed, Stream.OPTIONS)
    return SceneOptions(
        pole_width=float(np.clip(np.exp(rng.normal(np.log(0.13), 0.4)), 0.05, 0.5)),
        vehicle_size=float(np.clip(np.exp(rng.normal(0, 0.15)), 0.6, 1.8)),
        vehicle_distance=float(np.clip(np.exp(rng.normal(np.log(13), 0.55)), 5, 60)),
        fence_length=float(rng.choice([0.0, rng.uniform(3, 14), rng.uniform(14, 40)], p=[0.25, 0.5, 0.25])),
        crowding=float(rng.beta(1.4, 1.3)),
    )


def _paint(
    seed: int,
    options: SceneOptions,
    light: Light,
    width: int,
    height: int,
    factor: int,
    between: Callable[[], object] | None,
) -> Canvas:
    """Paint the whole scene as light, `factor` times the picture's size, before it becomes a photograph."""
    camera, street = make_camera(seed, width * factor, height * factor), make_street(seed)
    canvas = Canvas(camera, factor)
    houses = buildings.make_houses(seed)
    tops = buildings.skyline(houses)
    fence = fences.make_fence(seed, street, camera)
    gaps = _gaps(houses)
    side_roads = [gap for gap in gaps if gap[0] != fence.side and 5 < gap[2] - gap[1] < 13 and gap[1] > 9]
    trees = plants.make_plants(seed, street, [gap for gap in gaps if gap not in side_roads])
    posts = furniture.make_posts(seed, street, camera)
    cars = traffic.make_vehicles(
        seed, street, options.vehicle_size, options.vehicle_distance, options.crowding, fence.side
    )
    walkers = people.make_people(seed, street, camera, options.crowding, fence.side)
    riders = people.make_cyclists(seed, street, camera, options.crowding, cars[0].s)
    sun = light.towards_sun

    casts = [plants.crown_shadow(street, tree, sun) for tree in trees if tree.kind == "leafy"]
    casts += [traffic.ground_outline(street, car, sun, car.high * 0.8) for car in cars]
    casts += [_slim_shadow(street, p.s, p.z, 0.2, 1.7, sun) for p in (*walkers, *riders)]
    casts += [_slim_shadow(street, p.s, p.z, options.pole_width / 2, p.height, sun) for p in posts]

    sky.draw_sky(canvas, light, seed)
    sky.draw_backdrop(canvas, light, seed)
    contacts = [traffic.ground_outline(street, car, sun, 0.0) for car in cars]
    contacts += [_slim_shadow(street, p.s, p.z, 0.25, 0.2, sun) for p in (*walkers, *riders)]
    ground.draw_ground(canvas, light, street, ground.Shadows(tops, casts, contacts), side_roads, seed)

    def light_at(s: float, z: float) -> float:
        return float(ground.in_shade(light, street, tops, floats(s), floats(0.8), floats(z)))

    steps: list[tuple[float, Callable[[], None]]] = []
    for house in houses:
        steps.append((house.z1, partial(buildings.draw_house, canvas, light, street, tops, house, seed)))
    for tree in trees:
        steps.append((tree.z, partial(plants.draw_plant, canvas, light, street, tree, seed, light_at(tree.s, tree.z))))
    for post in posts:
        shown = light_at(post.s, post.z)
        steps.append(
            (
                post.z,
                partial(furniture.draw_post, canvas, light, street, post, seed, options.pole_width, shown),
            )
        )
    for panel in fences.fence_panels(fence, options.fence_length):
        shown = light_at(fence.s, panel[0])
        steps.append((panel[0], partial(fences.draw_fence, canvas, light, street, fence, panel, seed, shown)))
    for car in cars:
        shown = light_at(car.s, car.z)
        steps.append((car.z, partial(vehicles.draw_vehicle, canvas, light, street, car, seed, shown)))
    for person in (*walkers, *riders):
        shown = light_at(person.s, person.z)
        steps.append((person.z, partial(people.draw_person, canvas, light, street, person, seed, shown)))
    for _, paint in sorted(steps, key=lambda step: -step[0]):
        if between:
            between()
        paint()
    return canvas


def _gaps(houses: list[buildings.House]) -> list[tuple[int, float, float]]:
    """The gaps between houses that lie ahead, as (side, z0, z1)."""
    gaps = []
    for before, after in pairwise(houses):
        if before.side == after.side and after.z0 - before.z1 > 2 and before.z1 > 6:
            gaps.append((before.side, before.z1, min(after.z0, FAR)))
    return gaps


def _slim_shadow(
    street: Street, s: float, z: float, half: float, high: float, sun: tuple[float, float, float]
) -> Array:
    """Outline of the shadow of a slim, upright object: (4, 2), each (x, z)."""
    reach = high * min(1 / max(sun[1], 0.1), 6.0)
    x = float(street.x(s, z))
    across = np.array([sun[2], -sun[0]]) / max(float(np.hypot(sun[0], sun[2])), 1e-3) * half
    foot = np.array([x, z])
    tip = foot - reach * np.array([sun[0], sun[2]])
    return floats(np.stack([foot - across, foot + across, tip + across, tip - across]))
