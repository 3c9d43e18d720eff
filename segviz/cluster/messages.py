"""What the app's process and its bridge say to each other, over a socket of their own; both run this code."""

from __future__ import annotations

import os
import pickle
import struct
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from segviz.cluster.replica_plan import ReplicaPlan

LENGTH_BYTES = 8


@dataclass(frozen=True)
class ReplicaState:
    """What a replica holds: the names of its models, its process, and Ray's name of its machine."""

    models: tuple[str, ...]
    process: int
    node: str


@dataclass(frozen=True)
class FileContent:
    """A file on the app's machine that a replica needs.

    Attributes:
        path: where it lies.
        sha: SHA-256 of what it held when the request was made.
    """

    path: Path
    sha: str


# ---- from the app's process to the bridge ---------------------------------------------------------------


@dataclass(frozen=True)
class StartReplicas:
    """Connect to the cluster and start the replicas: the first message.

    Attributes:
        address: of the cluster.
        plan: the replicas.
        name: what their name in the cluster begins with.
        folder: for the files of a local cluster.
    """

    address: str
    plan: ReplicaPlan
    name: str
    folder: str


@dataclass(frozen=True)
class RunTask:
    """Run a request.

    Attributes:
        ticket: by which all that is said about it is known.
        task: what the replica's worker gets, pickled: the bridge has no need to understand it.
        content: a file that goes with it.
        deadline_s: seconds after which nobody waits for it.
        long: whether it reports its steps.
    """

    ticket: str
    task: bytes
    content: FileContent | None
    deadline_s: float
    long: bool

    def __reduce__(self) -> tuple[Any, ...]:
        return RunTask, (self.ticket, pickle.PickleBuffer(self.task), self.content, self.deadline_s, self.long)


@dataclass(frozen=True)
class Stop:
    """End a computation at its next step."""

    ticket: str


@dataclass(frozen=True)
class Close:
    """Leave the cluster, and end."""


# ---- from the bridge to the app's process ---------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """The replicas run."""


@dataclass(frozen=True)
class Refused:
    """The replicas cannot be started, or the cluster is lost; the bridge ends."""

    cause: str


@dataclass(frozen=True)
class StepsDone:
    """How far a computation is."""

    ticket: str
    done: int
    total: int


@dataclass(frozen=True)
class Stopping:
    """A computation ends at its next step."""

    ticket: str


@dataclass(frozen=True)
class Answered:
    """What a replica's worker gave."""

    ticket: str
    outcome: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return Answered, (self.ticket, pickle.PickleBuffer(self.outcome))


@dataclass(frozen=True)
class Lost:
    """A replica was lost, or did not answer.

    Attributes:
        ticket: the task's.
        cause: in words.
        begun: whether a replica had begun with it. If not, it may be run as if it had never been sent.
        for_memory: whether Ray ended the replica because its machine was short of memory.
    """

    ticket: str
    cause: str
    begun: bool = True
    for_memory: bool = False


@dataclass(frozen=True)
class FileChanged:
    """A file that goes with a request cannot be read, or holds something else by now."""

    ticket: str
    cause: str


@dataclass(frozen=True)
class Replicas:
    """The replicas that run and are well, and what each holds; a new one may not have said so yet."""

    count: int
    states: tuple[ReplicaState, ...]


class Channel:
    """One end of the socket. Any thread may send; one thread receives.

    A message is its pickle, and beside it what it wraps in a PickleBuffer. That is read straight into its place: of
    5 MB it takes a quarter of what `Connection.recv` takes, which gathers pieces and copies them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, Lock()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            OSError: the other end is gone.
        """
        large: list[pickle.PickleBuffer] = []
        body = pickle.dumps(message, protocol=5, buffer_callback=large.append)
        parts = [memoryview(body), *(one.raw() for one in large)]
        lengths = [len(parts), *(part.nbytes for part in parts)]
        with self._lock:
            for part in (memoryview(struct.pack(f"!{len(lengths)}Q", *lengths)), *parts):
                self._write(part)

    def receive(self) -> Any:
        """The next message; waits for it. What it wraps in a PickleBuffer comes as a memoryview.

        Raises:
            EOFError, OSError: the other end is gone.
        """
        (count,) = struct.unpack("!Q", self._read(LENGTH_BYTES))
        lengths = struct.unpack(f"!{count}Q", self._read(LENGTH_BYTES * count))
        body, *large = [self._read(length) for length in lengths]
        return pickle.loads(body, buffers=large)  # of our own process at the other end

    def _write(self, part: memoryview) -> None:
        while part:
            part = part[os.write(self._connection.fileno(), part) :]

    def _read(self, length: int) -> bytearray:
        whole = bytearray(length)
        left = memoryview(whole)
        while left:
            if not (count := os.readv(self._connection.fileno(), [left])):
                raise EOFError
            left = left[count:]
        return whole

    def close(self) -> None:
        """Close this end; not while a message is written, as a file that is opened next has the same number."""
        with self._lock:
            self._connection.close()
