"""A node of a Ray cluster with the processes that segviz needs: `python -m segviz.cluster.run_node OPTIONS`.

OPTIONS are those of `ray start`. That command with `--block` takes 120 MB itself; this process does not import Ray, and
takes 10.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from segviz.cluster.few_processes import leave_out_processes

NODE_PARTS = ("gcs_server", "raylet")  # a node ends with either
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl.h
NODE_ENDS_WITHIN_S = 10.0


def run_node(options: list[str]) -> int:
    """Start a node, and wait until it ends, or until SIGTERM or Ctrl-C, which end it; the process's exit status.

    Args:
        options: of `ray start`.
    """
    if sys.platform != "linux":
        print("run_node needs Linux; use `ray start --block`, which has the same options", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1)  # `ray start` ends, and what it has started is this process's then
    try:
        if code := start_in_child(options):
            return code
        print(f"{wait_for_end()} has ended, and the node with it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        end_children()


def start_in_child(options: list[str]) -> int:
    """Run `ray start` in a child process; its exit status."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    code: object = 1
    try:
        start_node([option for option in options if option != "--block"])
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def start_node(options: list[str]) -> None:
    """Run `ray start` without what is left out; raises SystemExit with its status."""
    from ray.scripts.scripts import cli

    with leave_out_processes():
        cli(["start", *options], prog_name="ray")


def wait_for_end() -> str:
    """Wait until one of the node's parts ends; its name."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        name = Path(f"/proc/{ended.si_pid}/comm").read_text().strip()
        os.waitpid(ended.si_pid, 0)
        if name in NODE_PARTS:
            return name


def end_children() -> None:
    """End all that was started and still runs."""
    import psutil

    own = psutil.Process()
    for one in own.children():
        with suppress(psutil.Error):  # it has just ended
            one.terminate()
    psutil.wait_procs(own.children(recursive=True), NODE_ENDS_WITHIN_S)
    for one in own.children(recursive=True):
        with suppress(psutil.Error):
            one.kill()


if __name__ == "__main__":
    sys.exit(run_node(sys.argv[1:]))
