"""How the text of a setting is read: each reader returns its value, or raises with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
BACKENDS = ("threads", "ray")
LEVELS = ("debug", "info", "warning", "error")
NAME_PATTERN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
HOST_PATTERN = re.compile(rf"{NAME_PATTERN.pattern}|[0-9a-f:]*:[0-9a-f:.]+")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A function that reads whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"use a whole number from {low} to {high}")
        return int(text)

    return read


def read_switch(text: str) -> bool:
    """Read 1 or 0.

    Raises:
        ValueError: it is neither.
    """
    if text not in ("0", "1"):
        raise ValueError("use 1 or 0")
    return text == "1"


def read_level(text: str) -> str:
    """Read a log level.

    Raises:
        ValueError: there is no such level.
    """
    if text.lower() not in LEVELS:
        raise ValueError(f"use {', '.join(LEVELS)}")
    return text.lower()


def read_hosts(text: str) -> tuple[str, ...]:
    """Read host names without scheme or port; *.NAME stands for every name below NAME.

    Raises:
        ValueError: one is no host name.
    """
    names = tuple(part.lower() for part in split_list(text))
    if wrong := [name for name in names if not HOST_PATTERN.fullmatch(name)]:
        raise ValueError(
            f"{wrong[0]!r} is not a host name; use names without scheme and port, such as segviz.example.org"
        )
    return names


def read_ancestors(text: str) -> tuple[str, ...]:
    """Read origins, and `self` for the app's own, as a content security policy writes them.

    Raises:
        ValueError: one is no origin.
    """
    origins = split_list(text)
    if wrong := [each for each in origins if each != "self" and not is_origin(each)]:
        raise ValueError(f"{wrong[0]!r} is not an origin; use origins such as https://wiki.example.org, or self")
    return tuple("'self'" if each == "self" else each.lower() for each in origins)


def is_origin(text: str) -> bool:
    """Whether a text is `http://` or `https://`, a host name or *.NAME, and perhaps a port."""
    scheme, _, host = text.lower().partition("://")
    name, _, port = host.partition(":")
    return scheme in ("http", "https") and bool(NAME_PATTERN.fullmatch(name)) and bool(re.fullmatch(r"\d{0,5}", port))


def read_networks(text: str) -> tuple[Network, ...]:
    """Read IP addresses or networks.

    Raises:
        ValueError: one is neither.
    """
    try:
        return tuple(ip_network(part) for part in split_list(text))
    except ValueError as error:
        raise ValueError(f"{error}; use addresses or networks such as 10.0.0.0/8") from None


def read_backend(text: str) -> str:
    """Read where models run.

    Raises:
        ValueError: there is no such place.
    """
    if text.lower() not in BACKENDS:
        raise ValueError(f"use {' or '.join(BACKENDS)}")
    return text.lower()


def read_range(text: str) -> tuple[int, int]:
    """Read a whole number, or the least and the most, such as 1-4.

    Raises:
        ValueError: it is neither, or the least is above the most.
    """
    parts = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text)
    least, most = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
    if not 1 <= least <= most:
        raise ValueError("use a whole number from 1, or the least and the most, such as 1-4")
    return least, most


def read_amount(text: str) -> float:
    """Read a number from 0 on, such as 0.5.

    Raises:
        ValueError: it is no such number.
    """
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise ValueError("use a number from 0 on, such as 0.5 or 1")
    return float(text)


def split_list(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]
