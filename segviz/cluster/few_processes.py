"""A cluster without the processes of Ray that segviz has no use for.

`ray start` has options against some of them, and `ray.init` has none, so Ray's own functions are replaced meanwhile.
Where another version of Ray lacks one of these, the process is started, and nothing else changes; `name_missing` and
`tests/test_ray_parts.py` say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from pkgutil import resolve_name
from typing import Any

PARAMETERS = "ray._private.parameter.RayParams"
LEFT_OUT = {"no_monitor": True, "include_log_monitor": False, "ray_client_server_port": None}


@contextmanager
def leave_out_processes() -> Iterator[None]:
    """A node that is started inside has no autoscaler, no log monitor, no dashboard's server and none for Ray Client.

    Each takes 50 to 75 MB, and a second of a core as it starts.
    """
    with ExitStack() as stack:
        for path, replace in REPLACEMENTS.items():
            if (original := find(path)) is not None:
                owner, _, name = path.rpartition(".")
                stack.callback(setattr, resolve_name(owner), name, original)
                setattr(resolve_name(owner), name, replace(original))
        yield


def find(path: str) -> Any:
    """What is imported by this name; None where this version of Ray has it no more."""
    try:
        return resolve_name(path)
    except (ImportError, AttributeError):
        return None


def name_missing() -> list[str]:
    """What `leave_out_processes` would replace, and this version of Ray has no more."""
    known = [] if (params := find(PARAMETERS)) is None else signature(params).parameters
    missing = [path for path in REPLACEMENTS if find(path) is None]
    return [*missing, *(f"{PARAMETERS}({name})" for name in LEFT_OUT if name not in known)]


def leave_out_parameters(params: Callable[..., Any]) -> Callable[..., Any]:
    """The class of a node's parameters with `LEFT_OUT`, whatever Ray itself gives for these."""
    known = signature(params).parameters
    fixed = {name: value for name, value in LEFT_OUT.items() if name in known}
    return lambda *given, **named: params(*given, **{**named, **fixed})


def start_no_server(_: Callable[..., Any]) -> Callable[..., None]:
    """What starts no server of the dashboard."""
    return lambda node, **options: None


REPLACEMENTS: dict[str, Callable[[Any], Any]] = {
    PARAMETERS: leave_out_parameters,
    "ray._private.node.Node.start_api_server": start_no_server,
}
