"""A local cluster without the processes of Ray that segviz has no use for.

`ray start` has options against the first two of them, and `ray.init` has none, so Ray's own functions are replaced
meanwhile. `tests/test_ray_deploy.py` says so where a later Ray starts them all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

LEFT_OUT = {"no_monitor": True, "include_log_monitor": False}


@contextmanager
def leave_out_processes() -> Iterator[None]:
    """A cluster that is started inside has no autoscaler, no log monitor and no server of usage statistics.

    They take 180 MB, and a second of a core each as they start.
    """
    from ray._private import node, parameter

    params, start_server = parameter.RayParams, getattr(node.Node, "start_api_server", None)
    known = signature(params).parameters
    parameter.RayParams = partial(params, **{name: value for name, value in LEFT_OUT.items() if name in known})
    if start_server is not None:
        node.Node.start_api_server = start_nothing
    try:
        yield
    finally:
        parameter.RayParams = params
        if start_server is not None:
            node.Node.start_api_server = start_server


def start_nothing(node: object, **options: Any) -> None:
    """Start no server."""
