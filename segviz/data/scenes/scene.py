"""Drawn street scenes: photographs of imaginary streets, drawn from a seed, with exact labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    Camera,
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


@dataclass(frozen=True)
class _Things:
    """What stands in a street.

    Attributes:
        tops: of the houses' skyline, by side, for what is in their shade.
        side_roads: gaps between houses with a road, as (side, z0, z1).
    """

    houses: list[buildings.House]
    tops: dict[int, Array]
    fence: fences.Fence
    side_roads: list[tuple[int, float, float]]
    trees: list[plants.Plant]
    posts: list[furniture.Post]
    cars: list[traffic.Vehicle]
    persons: list[people.Person]


def _make_things(seed: int, options: SceneOptions, street: Street, camera: Camera) -> _Things:
    """The things of a seed, each at its place."""
    houses = buildings.make_houses(seed)
    fence = fences.make_fence(seed, street, camera)
    gaps = _gaps(houses)
    side_roads = [gap for gap in gaps if gap[0] != fence.side and 5 < gap[2] - gap[1] < 13 and gap[1] > 9]
    cars = traffic.make_vehicles(
        seed, street, options.vehicle_size, options.vehicle_distance, options.crowding, fence.side
    )
    walkers = people.make_people(seed, street, camera, options.crowding, fence.side)
    riders = people.make_cyclists(seed, street, camera, options.crowding, cars[0].s)
    return _Things(
        houses,
        buildings.skyline(houses),
        fence,
        side_roads,
        plants.make_plants(seed, street, [gap for gap in gaps if gap not in side_roads]),
        furniture.make_posts(seed, street, camera),
        cars,
        [*walkers, *riders],
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
    things = _make_things(seed, options, street, camera)
    sky.draw_sky(canvas, light, seed)
    sky.draw_backdrop(canvas, light, seed)
    shadows = _cast_shadows(things, street, light, options.pole_width)
    ground.draw_ground(canvas, light, street, shadows, things.side_roads, seed)
    for _, paint in sorted(_plan_painting(canvas, things, street, light, options, seed), key=lambda step: -step[0]):
        if between:
            between()
        paint()
    return canvas


def _cast_shadows(things: _Things, street: Street, light: Light, pole_width: float) -> ground.Shadows:
    """The shadows on the ground: cast by the sun, and where things touch it."""
    sun, persons, cars = light.towards_sun, things.persons, things.cars
    casts = [plants.crown_shadow(street, tree, sun) for tree in things.trees if tree.kind == "leafy"]
    casts += [traffic.ground_outline(street, car, sun, car.high * 0.8) for car in cars]
    casts += [_slim_shadow(street, one.s, one.z, 0.2, 1.7, sun) for one in persons]
    casts += [_slim_shadow(street, one.s, one.z, pole_width / 2, one.height, sun) for one in things.posts]
    contacts = [traffic.ground_outline(street, car, sun, 0.0) for car in cars]
    contacts += [_slim_shadow(street, one.s, one.z, 0.25, 0.2, sun) for one in persons]
    return ground.Shadows(things.tops, casts, contacts)


def _plan_painting(
    canvas: Canvas, things: _Things, street: Street, light: Light, options: SceneOptions, seed: int
) -> Iterator[tuple[float, Callable[[], None]]]:
    """What paints each thing, with its distance in metres: the furthest is painted first."""
    start = canvas, light, street

    def light_at(s: float, z: float) -> float:
        return float(ground.in_shade(light, street, things.tops, floats(s), floats(0.8), floats(z)))

    for house in things.houses:
        yield house.z1, partial(buildings.draw_house, *start, things.tops, house, seed)
    for tree in things.trees:
        yield tree.z, partial(plants.draw_plant, *start, tree, seed, light_at(tree.s, tree.z))
    for post in things.posts:
        shown = light_at(post.s, post.z)
        yield post.z, partial(furniture.draw_post, *start, post, seed, options.pole_width, shown)
    for panel in fences.fence_panels(things.fence, options.fence_length):
        shown = light_at(things.fence.s, panel[0])
        yield panel[0], partial(fences.draw_fence, *start, things.fence, panel, seed, shown)
    for car in things.cars:
        yield car.z, partial(vehicles.draw_vehicle, *start, car, seed, light_at(car.s, car.z))
    for person in things.persons:
        yield person.z, partial(people.draw_person, *start, person, seed, light_at(person.s, person.z))


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
