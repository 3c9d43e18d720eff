"""The child process of a command that works in a Ray cluster; `segviz.cli.cluster_command` runs in the command's own.

Run as `python -m segviz.cli.cluster_child FD FOLDER WORDS...`, with the number of an open socket and the folder for a
local cluster's files.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from shutil import rmtree

from segviz.cluster.link import end_processes_of_session
from segviz.runtime.interrupts import exit_at_once, handle_signals, unblock_signals

LEFT_ALONE_S = 60.0  # how long it may still run once the command's own process is gone


def serve_command(descriptor: int, folder: str, words: list[str]) -> int:
    """Run the command that the words say, and return its exit code."""
    from segviz.cli.main import read_command, run_command

    command = socket.socket(fileno=descriptor)
    command.set_inheritable(False)
    threading.Thread(target=stop_with_command, args=(command, folder), daemon=True).start()
    options = read_command(words)
    options.cluster_folder = folder
    try:
        return run_command(options)
    finally:
        try:
            command.send(b"\0")
        except OSError:  # the command's own process is gone
            clear_up(folder)


def stop_with_command(command: socket.socket, folder: str) -> None:
    """Stop as after Ctrl-C where the command's own process was killed."""
    command.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEFT_ALONE_S)
    clear_up(folder)
    os._exit(1)


def clear_up(folder: str) -> None:
    """Do what the command's own process does otherwise: end what is left of a local cluster, and remove its files."""
    end_processes_of_session(os.getsid(0))
    rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with handle_signals(exit_at_once):
        unblock_signals()
        status = serve_command(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader is gone
                stream.flush()
        os._exit(status)  # at once: threads of Ray may wait for what is gone
