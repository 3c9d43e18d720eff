"""A command that works in a Ray cluster, as its own process sees it: a child process is in the cluster, and works.

Ray ends a process whose part of the cluster is lost, without a word. So this process is not in the cluster: it waits
for the child, passes signals on, and says what has happened where the child cannot.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from segviz.cli.errors import print_error
from segviz.cluster.link import end_processes_of_session, module_environment
from segviz.cluster.short_folder import make_short_folder
from segviz.runtime.interrupts import block_signals, handle_signals

CHILD = ("-m", "segviz.cli.cluster_child")


def run_in_child(words: Sequence[str], options: argparse.Namespace) -> int:
    """Run a command in a child process, and return its exit code; nothing of it stays behind.

    Args:
        words: of the command line.
        options: what they say.
    """
    started: list[subprocess.Popen[bytes]] = []
    signals: list[int] = []
    waiting: list[int] = []  # signals that the child has not been sent; one may come before it is known

    def pass_on() -> None:
        while started and waiting:  # a signal may come between any two lines, so each is taken out before it is sent
            started[0].send_signal(waiting.pop(0))

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        waiting.append(number)
        pass_on()

    ours, theirs = socket.socketpair()
    with make_short_folder() as folder, ours, handle_signals(note):
        with theirs:
            started.append(start_child(words, theirs.fileno(), folder))
        (child,) = started
        try:
            pass_on()
            code = child.wait()
        finally:
            end_processes_of_session(child.pid)  # those of a local cluster outlive a child that was killed
        ended_by_itself = bool(ours.recv(1))
    if ended_by_itself or (signals and code > 0):
        return code
    if signals:
        return print_error("stopped")
    if sys.stderr.isatty():
        print(file=sys.stderr)  # below the progress bar
    return print_error(f"{describe_end(options.ray, code)}; {describe_kept(options)}")


def start_child(words: Sequence[str], descriptor: int, folder: str) -> subprocess.Popen[bytes]:
    """Start the process that works in the cluster; signals wait until it can handle them.

    Args:
        words: of the command line.
        descriptor: of its end of a socket, by which it says that it ends by itself.
        folder: for the files of a local cluster.

    Raises:
        OSError: there is no memory for it, or it cannot be run.
    """
    with block_signals():
        return subprocess.Popen(
            [sys.executable, *CHILD, str(descriptor), folder, *words],
            env=module_environment(),
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C at a terminal reaches this process alone, which passes it on
        )


def describe_end(address: str, code: int) -> str:
    """What ended the child, in words.

    Args:
        address: of `--ray`.
        code: of `Popen.returncode`.
    """
    if code < 0 and -code != signal.SIGABRT:
        why = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
        return f"the command's process in the cluster was ended by {signal.Signals(-code).name}{why}"
    return f"the Ray cluster {f'at {address} ' if address else ''}was lost, and the command with it"


def describe_kept(options: argparse.Namespace) -> str:
    """What is kept of the work, and how to go on, in words."""
    if options.subcommand == "evaluate":
        if options.resume is None:
            return "nothing is kept; give --resume FILE, from which the same command goes on"
        return f"the finished pictures' counts are kept in {options.resume}, and the same command goes on from there"
    if options.zip is not None:
        return f"{options.zip} is not complete; give --out DIR, where --resume goes on from what is finished"
    kept = f"the files of finished pictures are kept in {options.out}"
    return f"{kept}; add --resume to process the rest"
