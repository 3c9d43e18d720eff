"""Every setting of segviz: an environment variable, its default and its meaning, in one table.

`python -m segviz.settings` prints the table of docs/deploy.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from segviz.paths import BUNDLED

KIB, MIB = 1024, 1024**2  # bytes; the units of the settings that end in _kb and _mb
Network = IPv4Network | IPv6Network
LEVELS = ("debug", "info", "warning", "error")
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|[0-9a-f:]*:[0-9a-f:.]+")


class SettingError(ValueError):
    """An environment variable with a value that cannot be used; the message names both and what would do."""


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"use a whole number from {low} to {high}")
        return int(text)

    return read


def switch(text: str) -> bool:
    """1 or 0."""
    if text not in ("0", "1"):
        raise ValueError("use 1 or 0")
    return text == "1"


def level(text: str) -> str:
    """A level of the log."""
    if text.lower() not in LEVELS:
        raise ValueError(f"use {', '.join(LEVELS)}")
    return text.lower()


def hosts(text: str) -> tuple[str, ...]:
    """Names of hosts, without scheme or port; *.NAME stands for all names below NAME."""
    names = tuple(part.lower() for part in words(text))
    if wrong := [name for name in names if not HOST.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no host; use names without scheme and port, such as segviz.example.org")
    return names


def networks(text: str) -> tuple[Network, ...]:
    """IP addresses or networks."""
    try:
        return tuple(ip_network(part) for part in words(text))
    except ValueError as error:
        raise ValueError(f"{error}; use addresses or networks such as 10.0.0.0/8") from None


def words(text: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def by_machine(low: int, high: int, default: str, meaning: str) -> Any:
    """A field that is None unless it is set: the machine then decides, as `default` says in words."""
    return field(default=None, metadata={"read": whole(low, high), "meaning": meaning, "default": default})


def setting(default: Any, read: Callable[[str], Any], meaning: str) -> Any:
    """A field of `Settings`: `default` is written as in the environment."""
    metadata = {"read": read, "meaning": meaning, "default": default}
    return field(default_factory=lambda: read(default), metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What an operator can set. SEGVIZ_ and a field's name in capitals is its environment variable."""

    checkpoints: Path = field(
        default=BUNDLED,
        metadata={"read": Path, "meaning": "Folder of the models' checkpoints", "default": "the bundled ones"},
    )
    allowed_hosts: tuple[str, ...] = setting(
        "",
        hosts,
        "Names, by commas, under which visitors reach the app; `*.NAME` allows all below NAME. localhost and the IP "
        "address that a connection comes in at are always allowed",
    )
    visitors: int = setting("200", whole(1, 100_000), "Open pages (websockets) at once")
    visitors_per_address: int = setting("64", whole(1, 100_000), "The same, of one IP address (IPv6: /64)")
    requests: int = setting("1000", whole(1, 100_000), "Other requests under way at once")
    requests_per_address: int = setting("300", whole(1, 100_000), "The same, of one IP address")
    uploads_mb: int = setting("512", whole(1, 1_000_000), "MiB of uploaded files held at once")
    uploads_mb_per_address: int = setting("256", whole(1, 1_000_000), "The same, of one IP address")
    upload_rate_kb: int = setting("8", whole(0, 1_000_000), "KiB a second below which, after 10 s, an upload is ended")
    workers: int | None = by_machine(1, 1024, "the cores, up to 4; 2 on a GPU", "Computations at once")
    threads: int | None = by_machine(1, 1024, "cores / workers", "Threads of each computation")
    memory_mb: int | None = by_machine(1, 100_000_000, "half of what is free", "MiB that all computations may need")
    cache_mb: int = setting("128", whole(1, 1_000_000), "MiB of results kept")
    queue: int = setting("64", whole(1, 100_000), "Questions that may wait; one visitor may hold a quarter of it")
    viewer_mb: int = setting("256", whole(1, 1_000_000), "MiB of pictures and maps kept for browsers to fetch")
    metrics_from: tuple[Network, ...] = setting(
        "127.0.0.0/8,::1/128", networks, "Addresses or networks, by commas, that may read /metrics"
    )
    log_level: str = setting("warning", level, f"What the server's log tells: {', '.join(LEVELS)}")
    traceback: bool = setting("0", switch, "1: the command line shows where an error came from")


def variable(name: str) -> str:
    """The environment variable of a field."""
    return f"SEGVIZ_{name.upper()}"


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment; what is not set, or empty, is at its default.

    Raises:
        SettingError: a value cannot be used.
    """
    return Settings(**{one.name: read_field(one, environment) for one in fields(Settings)})


def read_field(one: Field[Any], environment: Mapping[str, str]) -> Any:
    """One setting of an environment, or its default.

    Raises:
        SettingError: the value cannot be used.
    """
    text = environment.get(variable(one.name), "").strip()
    if not text:
        return one.default_factory() if one.default_factory is not MISSING else one.default
    try:
        return one.metadata["read"](text)
    except ValueError as error:
        raise SettingError(f"{variable(one.name)}={text}: {error}") from None


def read_setting(name: str) -> Any:
    """One setting of this process by its field's name; a bad value of another setting does no harm.

    Raises:
        SettingError: the value cannot be used.
    """
    return read_field(next(one for one in fields(Settings) if one.name == name), os.environ)


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingError: a value cannot be used.
    """
    return read(os.environ)


def table() -> str:
    """All settings as Markdown, as in docs/deploy.md."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for one in fields(Settings):
        default = one.metadata["default"]
        shown = "–" if not default else default if " " in default else f"`{default}`"
        rows.append(f"| `{variable(one.name)}` | {shown} | {one.metadata['meaning']} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
