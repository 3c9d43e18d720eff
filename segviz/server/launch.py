"""How the app is started as a process of its own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6

from segviz.paths import PACKAGE
from segviz.runtime.malloc import MALLOC_ENVIRONMENT

STREAMLIT_PORT = "8501"  # where Streamlit listens by default


def app_script() -> Path:
    """The script that Streamlit runs.

    Raises:
        FileNotFoundError: neither the installed package nor a clone has it.
    """
    inside, beside = PACKAGE / "_app" / "app.py", PACKAGE.parent / "app.py"
    for path in (inside, beside):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the app's script is neither {inside} nor {beside}; install segviz again or use a whole clone"
    )


SERVER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the engine's workers set their own; a thread team per page would spin while it waits
    "OMP_WAIT_POLICY": "PASSIVE",
    **MALLOC_ENVIRONMENT,
}


def app_command(script: Path, port: int | None, *options: str) -> list[str]:
    """The command that serves the app; run it in the script's folder, which has .streamlit/config.toml."""
    own = () if port is None else ("--server.port", str(port))
    return [sys.executable, "-m", "streamlit", "run", str(script), *own, *options]


def check_port(port: int | None, options: Sequence[str]) -> None:
    """Check that the app can listen on its port, which Streamlit would refuse without a cure.

    Args:
        port: the port, or None for the one in Streamlit's own options and variables.
        options: arguments for Streamlit.

    Raises:
        RuntimeError: the port is taken, needs privileges, or its address is not this machine's.
    """
    named = passed_value(options, "--server.port") or os.environ.get("STREAMLIT_SERVER_PORT") or STREAMLIT_PORT
    address = passed_value(options, "--server.address") or os.environ.get("STREAMLIT_SERVER_ADDRESS") or "127.0.0.1"
    try:
        number = int(named) if port is None else port
        socket.create_server((address, number), family=AF_INET6 if ":" in address else AF_INET).close()
    except (ValueError, OverflowError):
        return  # Streamlit names the value that it cannot read
    except OSError as error:
        cures = {
            errno.EADDRINUSE: "is taken by another program; choose another with --port, or end that program",
            errno.EACCES: "needs the rights of an administrator; choose one from 1024 on with --port",
            errno.EADDRNOTAVAIL: f"cannot be opened at {address}, which is not an address of this machine",
        }
        if error.errno in cures:
            raise RuntimeError(f"port {number} {cures[error.errno]}") from None


def passed_value(options: Sequence[str], name: str) -> str | None:
    """The last value of an option in Streamlit's arguments, written `NAME VALUE` or `NAME=VALUE`; None without it."""
    value = None
    for at, option in enumerate(options):
        if option == name and at + 1 < len(options):
            value = options[at + 1]
        elif option.startswith(f"{name}="):
            value = option.removeprefix(f"{name}=")
    return value


def serve(command: list[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run the app's command in a folder; returns its exit code.

    Where the system can, the command takes the place of this process: whoever ends this process ends the server.
    """
    if os.name == "posix":
        os.chdir(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(command[0], command, environment)
    return subprocess.call(command, cwd=folder, env=environment)


def app_environment() -> dict[str, str]:
    """This process's environment for the app, with absolute paths, because the app runs in another folder."""
    environment = {**SERVER_ENVIRONMENT, **os.environ}
    if own := environment.get("SEGVIZ_CHECKPOINTS"):
        environment["SEGVIZ_CHECKPOINTS"] = str(Path(own).resolve())
    if (models := environment.get("SEGVIZ_MODELS", "").strip()) and not models.startswith("[["):
        environment["SEGVIZ_MODELS"] = str(Path(models).expanduser().absolute())
    return environment
