"""The app's end of the connection to a bridge: the child process that is in the cluster."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import psutil

from segviz.cluster.messages import (
    Answered,
    Channel,
    Close,
    FileChanged,
    Lost,
    Refused,
    Replicas,
    ReplicaState,
    RunTask,
    Started,
    StartReplicas,
    StepsDone,
    Stop,
    Stopping,
)
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.cluster.short_folder import make_short_folder
from segviz.paths import PACKAGE
from segviz.runtime.do_each import do_each

LINES_KEPT = 20  # of what the bridge wrote to its stderr, for the log
TELL_WITHIN_S = 0.5
LEAVE_WITHIN_S = 20.0
KILLED_WITHIN_S = 5.0  # processes that were killed

CallOutcome = Answered | Lost | FileChanged

_log = logging.getLogger("segviz.engine")


class RemoteCall:
    """A computation under way in the cluster.

    Attributes:
        run: what was sent.
        progress: (steps done, steps in all).
        outcome: what came back; None until then.
        stopping: set once it is sure to end at its next step.
    """

    def __init__(self, run: RunTask) -> None:
        self.run = run
        self.progress = (0, 1)
        self.outcome: CallOutcome | None = None
        self.stopping = threading.Event()
        self._ended = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the outcome, or for so many seconds; whether it is there."""
        return self._ended.wait(seconds)

    def end(self, outcome: CallOutcome) -> None:
        """Note the outcome."""
        self.outcome = outcome
        self.stopping.set()
        self._ended.set()


class BridgeLink:
    """A bridge process, and all that is under way through it. Any thread may call it.

    The app's process is not in the cluster itself: Ray ends a process whose part of the cluster is lost.

    Args:
        address: of the cluster.
        plan: the replicas.
        name: what their name in the cluster begins with.
        environment: variables of the bridge, in addition to those of this process.

    Attributes:
        started: whether the replicas were started.
        refusal: why they could not be started; "" otherwise.
        alive: whether the bridge is there.
        replicas: replicas that run and are well.
        states: what each replica holds.
    """

    def __init__(self, address: str, plan: ReplicaPlan, name: str, environment: Mapping[str, str]) -> None:
        self.started, self.alive, self.refusal = False, True, ""
        self.replicas, self.states = 0, tuple[ReplicaState, ...]()
        self._changed = threading.Condition()
        self._calls: dict[str, RemoteCall] = {}
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._folder = make_short_folder()
        ours, theirs = socket.socketpair()
        try:
            self._process = start_bridge(theirs.fileno(), environment)
        except OSError:
            ours.close()
            self._folder.cleanup()
            raise
        finally:
            theirs.close()
        self._channel = Channel(Connection(ours.detach()))
        threads = [
            threading.Thread(target=target, name="segviz bridge", daemon=True)
            for target in (self._receive_all, self._read_lines)
        ]
        for thread in threads:
            thread.start()
        self._receiving = threads[0]
        with suppress(OSError):  # it ended at once; the thread that receives finds out why
            self._channel.send(StartReplicas(address, plan, name, self._folder.name))

    @property
    def last_words(self) -> str:
        """The end of what the bridge wrote to its stderr, for the log."""
        return "\n".join(self._lines)

    def wait_until_started(self, seconds: float) -> bool:
        """Wait until the replicas run, or never will; whether that is known."""
        with self._changed:
            return self._changed.wait_for(lambda: self.started or not self.alive, seconds)

    def call(self, run: RunTask) -> RemoteCall:
        """Send a request to the replicas."""
        call = RemoteCall(run)
        with self._changed:
            if not self.alive:
                call.end(Lost(run.ticket, "the connection to the cluster was lost", begun=False))
                return call
            self._calls[run.ticket] = call
        self._send(run)
        return call

    def stop(self, call: RemoteCall) -> None:
        """Have a computation end at its next step; waits a moment until that is sure."""
        self._send(Stop(call.run.ticket))
        call.stopping.wait(TELL_WITHIN_S)

    def close(self) -> None:
        """Leave the cluster, and end the bridge."""
        self._send(Close())
        if not self.started:
            self._process.kill()  # it listens only once the replicas run; a local cluster ends with it
        try:
            self._process.wait(LEAVE_WITHIN_S)
        except subprocess.TimeoutExpired:
            _log.warning("the cluster was not left in %.0f s; its bridge is ended", LEAVE_WITHIN_S)
            self._process.kill()
        self._receiving.join(LEAVE_WITHIN_S)  # it ends what is left, and removes the folder

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # the bridge is gone, and the thread that receives ends all calls
            self._channel.send(message)

    # ---- what comes -------------------------------------------------------------------------------------

    def _receive_all(self) -> None:
        try:
            while True:
                self._take(self._channel.receive())
        except (EOFError, OSError):
            pass
        except Exception:  # such as a MemoryError at a large answer
            _log.exception("what the bridge sent could not be read; the bridge is ended, and another one started")
            self._process.kill()
        self._process.wait()
        failure = "what the bridge has left could not be removed"  # such as with too many open files
        do_each(_log, failure, partial(end_processes_of_session, self._process.pid), self._folder.cleanup)
        with self._changed:
            self.alive, self.replicas, self.states = False, 0, ()
            calls, self._calls = list(self._calls.values()), {}
            self._changed.notify_all()
        for call in calls:  # a bridge that could say why it ends has told of all that was sent before
            call.end(Lost(call.run.ticket, "the connection to the cluster was lost", begun=not self.refusal))
        self._channel.close()

    def _take(self, message: Any) -> None:
        with self._changed:
            match message:
                case StepsDone(ticket, done, total):
                    if ticket in self._calls:
                        self._calls[ticket].progress = done, total
                case Stopping(ticket):
                    if ticket in self._calls:
                        self._calls[ticket].stopping.set()
                case Answered(ticket) | Lost(ticket) | FileChanged(ticket):
                    if (call := self._calls.pop(ticket, None)) is not None:
                        call.end(message)
                case Replicas(count, states):
                    self.replicas, self.states = count, states
                case Started():
                    self.started = True
                case Refused(cause):
                    self.refusal = cause
            self._changed.notify_all()

    def _read_lines(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr:
            for line in self._process.stderr:
                self._lines.append(line.rstrip())
                _log.debug("bridge: %s", line.rstrip())


def start_bridge(descriptor: int, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a bridge process at the other end of a socket.

    Raises:
        OSError: there is no memory for it, or it cannot be run.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "segviz.cluster.bridge", str(descriptor)],
        env={**module_environment(), **environment},
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C at a terminal reaches the app alone, which closes the bridge
    )


def module_environment() -> dict[str, str]:
    """This process's variables, by which a child process finds segviz's modules too."""
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def end_processes_of_session(session: int) -> None:
    """End all processes of a session but this one; parts of a local cluster outlive one that was killed by a minute."""
    ended: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and os.getsid(process.pid) == session:
                process.kill()
                ended.append(process)
    end = time.monotonic() + KILLED_WITHIN_S
    while any(still_runs(process) for process in ended) and time.monotonic() < end:
        time.sleep(0.01)  # they may still write into a folder that is removed next


def still_runs(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended, and nobody has looked at since, does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError):
        return False
