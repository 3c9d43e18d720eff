"""Permalinks: a page as it is seen, written into an address and read back from one. Addresses are not trusted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

from segviz.catalogue.own_models import own_models
from segviz.models.registry import MODELS
from segviz.ui.component import load_component, mount
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, Pin, number_pins
from segviz.viewer.view import ZoomedView

Parameters = Mapping[str, Sequence[str]]
UPLOADED = "upload"  # the value of the parameter "picture"
LARGEST_SEED = 999_999
MOST_PINS = len(PIN_COLOURS)
SIZE = re.compile("([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")  # width and height in pixels
PIN = re.compile(r"([0-9]{1,5})-([0-9]{1,5})(?:-([0-9]))?")  # y, x, and an index into PIN_COLOURS


@dataclass(frozen=True)
class Link:
    """What an address says of a page; what it leaves out is as on a first visit.

    Attributes:
        upload: whether the picture was the sender's own file, which no address can carry.
        size: the (height, width) of that file; None where it is not said.
        mark: by which the sender's own browser finds the file again (`own_picture.picture_mark`); "" without one.
        seed: the street's number.
        knobs: the street's options that were changed, by the names of SceneOptions.
        models: the names of the models that the page shows, where it has a choice.
        pins: the pinned points, the oldest first.
        chosen: the number of the pin that the page computes something for; None for the last one.
        view: the viewer's zoom.
        display: the viewer's settings.
        controls: names and values of the page's own controls.
    """

    upload: bool = False
    size: tuple[int, int] | None = None
    mark: str = ""
    seed: int | None = None
    knobs: Mapping[str, float] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    chosen: int | None = None
    view: ZoomedView = field(default_factory=ZoomedView)
    display: Display = field(default_factory=Display)
    controls: tuple[tuple[str, str], ...] = ()

    def parameters(self, start: Display) -> list[tuple[str, str]]:
        """The address's names and values, for a page whose viewer begins with `start`; `read_link` reads them back."""
        parameters = [("picture", UPLOADED)] if self.upload else []
        parameters += [("seed", str(self.seed))] if self.seed is not None else []
        parameters += [(name, f"{value:g}") for name, value in self.knobs.items()]
        parameters += [("model", name) for name in self.models]
        parameters += [("pin", f"{pin.y}-{pin.x}-{pin.colour}") for pin in self.pins]
        parameters += [("chosen", str(self.chosen))] if self.chosen is not None else []
        parameters += [("zoom", self.view.text)] if self.view != ZoomedView() else []
        for name, value in self.display.changes(start).items():
            parameters += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        parameters += self.controls
        parameters += [("size", "{1}x{0}".format(*self.size))] if self.size is not None else []
        return parameters + ([("upload", self.mark)] if self.mark else [])


def read_link(
    address: Parameters, ranges: Mapping[str, tuple[float, float]], start: Display
) -> tuple[Link, tuple[str, ...]]:
    """The link that an address holds, and the names of what in it cannot be used; unknown names are ignored.

    Args:
        address: each name's values; anybody may have written them.
        ranges: each knob's least and largest value.
        start: the settings that the page's viewer begins with.
    """
    refused: list[str] = []
    values_of = partial(parse_values, address, refused)
    knobs = {name: values_of(name, partial(parse_knob, span=span), 1) for name, span in ranges.items()}
    pins = values_of("pin", parse_pin, MOST_PINS)
    numbered = number_pins(Pin(y, x, index if colour is None else colour) for index, (y, x, colour) in enumerate(pins))
    parse_chosen = {str(pin.number): pin.number for pin in numbered}.get
    link = Link(
        upload=bool(values_of("picture", parse_upload, 1)),
        size=next(iter(values_of("size", parse_size, 1)), None),
        mark=next(iter(values_of("upload", parse_mark, 1)), ""),
        seed=next(iter(values_of("seed", parse_seed, 1)), None),
        knobs={name: value for name, values in knobs.items() for value in values},
        models=tuple(dict.fromkeys(values_of("model", parse_model, len(MODELS) + len(own_models())))),
        pins=numbered,
        chosen=next(iter(values_of("chosen", parse_chosen, 1)), None),
        view=next(iter(values_of("zoom", ZoomedView.parse, 1)), ZoomedView()),
        display=parse_display(address, start, refused),
    )
    return link, tuple(sorted(refused))


def parse_values(
    address: Parameters, refused: list[str], name: str, parse: Callable[[str], Any | None], most: int
) -> list[Any]:
    """A name's first values, parsed; adds the name to `refused` unless all of its values could be used."""
    values = address.get(name, ())
    parsed = [one for one in map(parse, values[:most]) if one is not None]
    if len(parsed) < len(values):
        refused.append(name)
    return parsed


def parse_upload(text: str) -> bool | None:
    """True if the text says that the picture is an upload."""
    return True if text == UPLOADED else None


def parse_size(text: str) -> tuple[int, int] | None:
    """The (height, width) of a file, if the text is width x height."""
    match = SIZE.fullmatch(text)
    return None if match is None else (int(match[2]), int(match[1]))


def parse_mark(text: str) -> str | None:
    """The mark of an own picture, if the text is one."""
    return text if re.fullmatch("[0-9a-f]{16}", text) else None


def parse_model(text: str) -> str | None:
    """A model's name, if the text is one: a link names models that the app offers, and loads nothing else."""
    return text if text in MODELS or text in own_models() else None


def parse_seed(text: str) -> int | None:
    """A street's number, if the text is one."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) and int(text) <= LARGEST_SEED else None


def parse_knob(text: str, span: tuple[float, float]) -> float | None:
    """A number within a range, if the text is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and span[0] <= value <= span[1] else None


def parse_pin(text: str) -> tuple[int, int, int | None] | None:
    """A point's y, x and colour, if the text is one."""
    match = PIN.fullmatch(text)
    if match is None:
        return None
    y, x, colour = (None if one is None else int(one) for one in match.groups())
    assert y is not None and x is not None
    return (y, x, colour) if colour is None or colour < MOST_PINS else None


def parse_display(address: Parameters, start: Display, refused: list[str]) -> Display:
    """The viewer's settings in an address; adds the names whose values are not choices to `refused`."""
    texts = {name: list(address[name]) for name in start.as_dict() if address.get(name)}
    display = Display.of({name: values if name == "hidden" else values[0] for name, values in texts.items()}, start)
    parsed = display.as_dict()
    refused += [name for name, values in texts.items() if name != "hidden" and str(parsed[name]).lower() != values[0]]
    return display


def copy_button(link: Link, page: str, start: Display, fragment: str = "") -> None:
    """A button that copies the link; it also keeps the page's address up to date, so that a reload restores the page.

    Args:
        link: what is seen.
        page: the page's key.
        start: the settings that the page's viewer begins with.
        fragment: the part of the page that only brings the address up to date; "" for the part with the button.
    """
    data = {
        "parameters": link.parameters(start),
        "upload": link.upload,
        "hidden": bool(fragment),
        "time": round(time.time() * 1000),  # ms: of several parts, the one that ran last writes the address
    }
    key = f"address {page} {fragment}" if fragment else f"link {page}"
    mount(load_component("link"), data, key=key, width="content", height="content")
