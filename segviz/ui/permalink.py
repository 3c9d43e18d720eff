"""Permalinks: what is seen, written into a page's address, and read back from one. Addresses are not trusted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

from segviz.models.registry import SPECS
from segviz.ui.component import mount, registered
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, Pin

Parameters = Mapping[str, Sequence[str]]
UPLOAD = "upload"
LARGEST_SEED = 999_999
MOST_PINS = len(PIN_COLOURS)
PIN = re.compile(r"([0-9]{1,5})-([0-9]{1,5})(?:-([0-9]))?")  # y, x, and an index into PIN_COLOURS


@dataclass(frozen=True)
class Link:
    """What an address says of a page; what it leaves out is as on a first visit.

    Attributes:
        upload: whether the picture was the sender's own file, which no address can carry.
        seed: the street's number.
        knobs: of the street, by the names of SceneOptions.
        models: the names of the models that the page shows, where it has a choice.
        pins: in the order of their numbers.
        display: how the viewer is set.
    """

    upload: bool = False
    seed: int | None = None
    knobs: Mapping[str, float] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    display: Display = field(default_factory=Display)

    def parameters(self, start: Display) -> list[tuple[str, str]]:
        """The names and values of its address, for a page whose viewer begins with `start`; `read` takes them back."""
        found = [("picture", UPLOAD)] if self.upload else []
        found += [("seed", str(self.seed))] if self.seed is not None else []
        found += [(name, f"{value:g}") for name, value in self.knobs.items()]
        found += [("model", name) for name in self.models]
        found += [("pin", f"{pin.y}-{pin.x}-{pin.colour}") for pin in self.pins]
        for name, value in self.display.changed(start).items():
            found += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        return found


def read(given: Parameters, ranges: Mapping[str, tuple[float, float]], start: Display) -> tuple[Link, tuple[str, ...]]:
    """The link that an address holds, and the names of what in it could not be used; foreign names are ignored.

    Args:
        given: each name's values, from an address that anybody may have written.
        ranges: of each knob, its least and largest value.
        start: the settings that the page's viewer begins with.
    """
    refused: list[str] = []
    several = partial(parsed, given, refused)
    knobs = {name: several(name, partial(knob_of, span=span), 1) for name, span in ranges.items()}
    pins = several("pin", pin_of, MOST_PINS)
    link = Link(
        upload=bool(several("picture", upload_of, 1)),
        seed=next(iter(several("seed", seed_of, 1)), None),
        knobs={name: value for name, values in knobs.items() for value in values},
        models=tuple(dict.fromkeys(several("model", model_of, len(SPECS)))),
        pins=tuple(Pin(y, x, number if colour is None else colour) for number, (y, x, colour) in enumerate(pins)),
        display=display_of(given, start, refused),
    )
    return link, tuple(sorted(refused))


def parsed(
    given: Parameters, refused: list[str], name: str, parse: Callable[[str], Any | None], most: int
) -> list[Any]:
    """What could be made of a name's first values; if not of all of its values, the name is added to `refused`."""
    values = given.get(name, ())
    found = [one for one in map(parse, values[:most]) if one is not None]
    if len(found) < len(values):
        refused.append(name)
    return found


def upload_of(text: str) -> bool | None:
    """True, if the text says that the picture is an upload."""
    return True if text == UPLOAD else None


def model_of(text: str) -> str | None:
    """A model's name, if the text is one."""
    return text if text in SPECS else None


def seed_of(text: str) -> int | None:
    """A street's number, if the text is one."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) and int(text) <= LARGEST_SEED else None


def knob_of(text: str, span: tuple[float, float]) -> float | None:
    """A number within a range, if the text is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and span[0] <= value <= span[1] else None


def pin_of(text: str) -> tuple[int, int, int | None] | None:
    """A point's y, x and colour, if the text is one."""
    found = PIN.fullmatch(text)
    if found is None:
        return None
    y, x, colour = (None if one is None else int(one) for one in found.groups())
    assert y is not None and x is not None
    return (y, x, colour) if colour is None or colour < MOST_PINS else None


def display_of(given: Parameters, start: Display, refused: list[str]) -> Display:
    """The viewer's settings in an address; the names of those that are no choice are added to `refused`."""
    names = [name for name in start.as_dict() if given.get(name)]
    display = Display.of({name: given[name] if name == "hidden" else given[name][0] for name in names}, start)
    read_as = display.as_dict()
    refused += [name for name in names if name != "hidden" and str(read_as[name]).lower() != given[name][0]]
    return display


def copy_button(link: Link, key: str, start: Display) -> None:
    """A button that copies the page's address, and the address itself, which from now on says what the link does."""
    data = {"parameters": link.parameters(start), "upload": link.upload}
    mount(registered("link"), data, key=f"link {key}", width="content", height="content")
