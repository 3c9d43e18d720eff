"""Every setting of segviz: an environment variable, its default and its meaning, in one table.

`python -m segviz.settings` prints the table of docs/deploy.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segviz.paths import BUNDLED
from segviz.runtime.ray_token import check_token
from segviz.setting_readers import (
    LEVELS,
    Network,
    read_amount,
    read_ancestors,
    read_backend,
    read_hosts,
    read_level,
    read_networks,
    read_range,
    read_switch,
    whole_number,
)

PREFIX = "SEGVIZ_"
LIKENESS = 0.8  # likeness from which an unknown name counts as a misspelt setting
KIB, MIB = 1024, 1024**2  # bytes; the units of the settings that end in _kb and _mb


class SettingError(ValueError):
    """An environment variable has an invalid value; the message names the variable, its value and the cure."""


def machine_setting(low: int, high: int, default: str, meaning: str) -> Any:
    """A field that is None unless it is set; the machine then decides, as `default` says in words."""
    return field(default=None, metadata={"read": whole_number(low, high), "meaning": meaning, "default": default})


def setting(default: Any, read: Callable[[str], Any], meaning: str) -> Any:
    """A field of `Settings`; `default` is written as in the environment."""
    metadata = {"read": read, "meaning": meaning, "default": default}
    return field(default_factory=lambda: read(default), metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What an operator can set. A field's environment variable is SEGVIZ_ and its name in capitals."""

    checkpoints: Path = field(
        default=BUNDLED,
        metadata={"read": Path, "meaning": "Folder of the models' checkpoints", "default": "the bundled ones"},
    )
    models: str = setting(
        "",
        str,
        "Networks of your own: the path of a `models.toml`, or its text; see [any-network.md](any-network.md)",
    )
    allowed_hosts: tuple[str, ...] = setting(
        "",
        read_hosts,
        "Host names, separated by commas, by which visitors reach the app; `*.NAME` allows every name below NAME. "
        "localhost and the IP address that a connection comes in at are always allowed",
    )
    visitors: int = setting("200", whole_number(1, 100_000), "Pages (websockets) open at once")
    visitors_per_address: int = setting("64", whole_number(1, 100_000), "The same, for one IP address (IPv6: /64)")
    requests: int = setting("1000", whole_number(1, 100_000), "Other requests in progress at once")
    requests_per_address: int = setting("300", whole_number(1, 100_000), "The same, for one IP address")
    uploads_mb: int = setting("512", whole_number(1, 1_000_000), "MiB of uploaded files held at once")
    uploads_mb_per_address: int = setting("256", whole_number(1, 1_000_000), "The same, for one IP address")
    upload_rate_kb: int = setting(
        "8",
        whole_number(0, 1_000_000),
        "KiB per second; a slower upload is stopped after 10 s",
    )
    messages: int = setting(
        "20",
        whole_number(1, 1000),
        "Messages a second that one page may have handled; clicks and dragging send fewer, and what waits is merged",
    )
    messages_per_address: int = setting("100", whole_number(1, 100_000), "The same, for one IP address")
    frame_ancestors: tuple[str, ...] = setting(
        "",
        read_ancestors,
        "Sites, as origins separated by commas, whose pages may show the app in a frame; `self` is the app's own",
    )
    workers: int | None = machine_setting(1, 1024, "the cores, up to 4; 2 on a GPU", "Computations at once")
    threads: int | None = machine_setting(1, 1024, "cores / computations at once", "Threads of each computation")
    memory_mb: int | None = machine_setting(1, 100_000_000, "half of what is free", "MiB that all computations may use")
    cache_mb: int = setting("128", whole_number(1, 1_000_000), "MiB of results in the cache")
    queue: int = setting("64", whole_number(1, 100_000), "Computations that may wait; a quarter for one visitor")
    models_mb: int = setting(
        "4096", whole_number(1, 100_000_000), "MiB of models' weights kept loaded; beyond it the least recently used go"
    )
    backend: str = setting(
        "threads",
        read_backend,
        "Where models run: on `threads` of the app's process, or as replicas in a `ray` cluster, see "
        "[Many machines](#many-machines)",
    )
    ray_address: str = setting(
        "local", str, "The Ray cluster's address, such as `10.0.0.5:6379`; `local` starts one on this machine"
    )
    replicas: tuple[int, int] = setting(
        "1", read_range, "Replicas in the cluster: a number, or the least and the most, such as `1-4`, as the load asks"
    )
    replica_cpus: float = setting("1", read_amount, "CPU cores that Ray reserves for each replica")
    replica_gpus: float = setting("0", read_amount, "GPUs that Ray reserves for each replica; `0.5` shares one by two")
    viewer_mb: int = setting("256", whole_number(1, 1_000_000), "MiB of pictures and maps kept for browsers to fetch")
    metrics_from: tuple[Network, ...] = setting(
        "127.0.0.0/8,::1/128", read_networks, "Addresses or networks, separated by commas, that may read /metrics"
    )
    log_level: str = setting("warning", read_level, f"Lowest level in the server's log: {', '.join(LEVELS)}")
    traceback: bool = setting("0", read_switch, "1: the command line shows an error's traceback")


def variable_name(name: str) -> str:
    """The name of a field's environment variable."""
    return f"{PREFIX}{name.upper()}"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read all settings from an environment; those unset or empty have their defaults.

    Raises:
        SettingError: a value is invalid.
    """
    return Settings(**{each.name: read_field(each, environment) for each in fields(Settings)})


def read_field(setting: Field[Any], environment: Mapping[str, str]) -> Any:
    """Read one setting from an environment, or its default.

    Raises:
        SettingError: the value is invalid.
    """
    text = environment.get(variable_name(setting.name), "").strip()
    if not text:
        return setting.default_factory() if setting.default_factory is not MISSING else setting.default
    try:
        return setting.metadata["read"](text)
    except ValueError as error:
        raise SettingError(f"{variable_name(setting.name)}={text}: {error}") from None


def read_setting(name: str) -> Any:
    """Read one setting of this process by its field's name; an invalid value of another does no harm.

    Raises:
        SettingError: the value is invalid.
    """
    return read_field(next(each for each in fields(Settings) if each.name == name), os.environ)


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingError: a value is invalid, the folder of checkpoints is missing, a variable's name is misspelt, or the
            Ray cluster cannot be used.
    """
    check_names(os.environ)
    found = read_settings(os.environ)
    if not found.checkpoints.is_dir() and found.checkpoints != BUNDLED:
        raise SettingError(
            f"{variable_name('checkpoints')}={found.checkpoints}: there is no such folder; create it, correct the "
            "path, or unset the variable"
        )
    if found.backend == "ray":
        check_cluster(found.ray_address, os.environ)
    return found


def check_cluster(address: str, environment: Mapping[str, str]) -> None:
    """Check that Ray is installed and has a token for a cluster, before anything needs it.

    Raises:
        SettingError: it is not, or has none.
    """
    if os.name == "nt":
        raise SettingError(f"{variable_name('backend')}=ray runs on Linux and macOS alone; unset it to use threads")
    if find_spec("ray") is None:
        raise SettingError(
            f"{variable_name('backend')}=ray needs Ray, which is not installed; pip install 'ray[serve]', or unset "
            "the variable to use threads"
        )
    try:
        check_token(address, environment)
    except ValueError as error:
        raise SettingError(f"{variable_name('ray_address')}={address}: {error}") from None


def check_names(environment: Mapping[str, str]) -> None:
    """Check that no variable looks like a misspelt setting, which would have no effect.

    Raises:
        SettingError: one does.
    """
    known = [each.name.upper() for each in fields(Settings)]
    own = (name.removeprefix(PREFIX) for name in environment if name.startswith(PREFIX))
    for name in own:
        if name not in known and (near := get_close_matches(name, known, 1, LIKENESS)):
            raise SettingError(f"{PREFIX}{name} is not a setting; use {PREFIX}{near[0]}")


def settings_table() -> str:
    """The Markdown table of all settings in docs/deploy.md."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for each in fields(Settings):
        default = each.metadata["default"]
        shown = "–" if not default else default if " " in default else f"`{default}`"
        rows.append(f"| `{variable_name(each.name)}` | {shown} | {each.metadata['meaning']} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(settings_table())
