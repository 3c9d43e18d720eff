"""Where Ray finds its token, asked without Ray: segviz joins no cluster without one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"  # Ray's variables, in the order in which it looks
MODE = "RAY_AUTH_MODE"
SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: a cluster of one machine, which listens on loopback only
LOCAL = "local"  # the address of a cluster that this process starts, and ends


def is_local(address: str) -> bool:
    """Whether an address is that of a cluster that this process starts, and ends."""
    return address in ("", LOCAL)


def check_token(address: str, environment: Mapping[str, str]) -> None:
    """Check that a cluster can be used with a token; a local one gets its own.

    Args:
        address: of the cluster.
        environment: the process's variables.

    Raises:
        ValueError: the address is not that of a node, token authentication is switched off, or there is no token.
    """
    if (mode := environment.get(MODE, "token").lower()) != "token":
        raise ValueError(
            f"{MODE}={mode} lets anyone who reaches Ray's ports run code on its machines; set {MODE}=token here and on "
            "every machine of the cluster"
        )
    if is_local(address):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("use the address of the cluster's head and its port, such as 10.0.0.5:6379, or local")
    if environment.get(TOKEN):
        return
    path = Path(environment.get(TOKEN_FILE) or Path.home() / ".ray" / "auth_token")
    try:
        found = path.read_text(encoding="utf-8").strip()
    except OSError:
        found = ""
    if not found:
        raise ValueError(
            f"{path} holds no token of the cluster; copy the output of `ray get-auth-token` on its head into a file "
            f"that only you can read, and name it in {TOKEN_FILE}"
        )


def ray_environment(address: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that a process needs before it imports Ray, so that nobody without the token reaches the cluster.

    A local cluster gets a token of its own, which no file holds, and listens on this machine's loopback only.

    Args:
        address: of the cluster.
        environment: the process's variables.

    Raises:
        ValueError: see `check_token`.
    """
    check_token(address, environment)
    variables = {MODE: "token", "RAY_USAGE_STATS_ENABLED": "0"}  # nothing is sent to Ray's makers
    if is_local(address):
        variables |= {SEVERAL_MACHINES: "0", "RAY_worker_niceness": "0"}  # by default replicas run at a low priority
        variables["RAY_prestart_worker_first_driver"] = "0"  # processes of 45 MB for tasks, where replicas are actors
        if not (environment.get(TOKEN) or environment.get(TOKEN_FILE)):
            variables[TOKEN] = secrets.token_hex(32)
    return variables
