"""Who can reach a cluster's ports: nobody without its token, and those of a local cluster from this machine only.

Whoever reaches Ray's ports with the token can run code on all machines of the cluster. Ray has no public settings for
two of the things that are needed here; `tests/test_ray_deploy.py` looks at the sockets of every process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import ray

from segviz.runtime.ray_token import SEVERAL_MACHINES, TOKEN, ray_environment

EVERY_ADDRESS = "[::]"
_own: list[str] = []  # the token that this process has made for its local cluster


def authenticate(address: str) -> None:
    """Have every call carry the cluster's token; a local cluster gets one of its own, which no file holds.

    Raises:
        ConnectionError: there is no token; the message says where Ray looks for it.
    """
    try:
        variables = ray_environment(address, os.environ)
    except ValueError as error:
        raise ConnectionError(str(error)) from None
    variables.pop(SEVERAL_MACHINES, None)  # for the processes of this cluster only; see `on_loopback`
    if TOKEN in variables:
        _own.append(variables[TOKEN])
    os.environ.update(variables)
    read_token_anew()


def read_token_anew() -> None:
    """Have Ray read its token and mode from the environment, which it does once, when it is imported."""
    from ray._raylet import AuthenticationMode, AuthenticationTokenLoader, Config, get_authentication_mode

    AuthenticationTokenLoader.instance().reset_cache()
    if get_authentication_mode() != AuthenticationMode.TOKEN:
        Config.initialize("")


def forget_token() -> None:
    """Forget the token of a local cluster that has ended."""
    if _own and os.environ.get(TOKEN) == _own.pop():
        del os.environ[TOKEN]
        read_token_anew()


@contextmanager
def on_loopback() -> Iterator[None]:
    """A cluster that is started inside listens on 127.0.0.1 only; `check_loopback` makes sure of it.

    Ray replaces 127.0.0.1 by the machine's address wherever it is given, unless clusters of several machines are
    switched off.
    """
    from ray._private import ray_constants

    before, switch = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(SEVERAL_MACHINES)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[SEVERAL_MACHINES] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if switch is None:
            del os.environ[SEVERAL_MACHINES]
        else:
            os.environ[SEVERAL_MACHINES] = switch


def check_loopback() -> None:
    """Check that the local cluster of this process listens on this machine's loopback only.

    Raises:
        RuntimeError: this version of Ray listens elsewhere all the same; the cluster has been ended.
    """
    address = ray.util.get_node_ip_address()
    if not ip_address(address).is_loopback:
        ray.shutdown()
        raise RuntimeError(f"Ray {ray.__version__} listens on {address} and not on this machine only; install ray 2.60")


def bind_serve_to_node() -> None:
    """Have Serve's own port of this replica, which segviz does not use, listen on the node's address only."""
    from ray.serve._private import replica as serve_replica

    original: Callable[[object, str], int] | None = getattr(serve_replica, "add_port_to_grpc_server", None)
    if original is None or getattr(original, "on_node", False):
        return
    own = ray.util.get_node_ip_address()
    host = f"[{own}]" if ":" in own else own

    def bind(server: object, address: str) -> int:
        return original(server, address.replace(EVERY_ADDRESS, host))

    bind.on_node = True  # type: ignore[attr-defined]
    serve_replica.add_port_to_grpc_server = bind
