"""The contract's models, asked from the replicas' processes: they stay here, and a socket on loopback leads to them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np
from backend_contract import Models, prediction
from faulty_backends import PLANTED, Patch

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.prediction.prediction import Prediction

HERE = Path(__file__).parent
KEY = b"segviz tests"
STEP_MIB, STEP_S = 128, 0.1
SHELF: list[Models] = []
SEMAPHORES: list[threading.Semaphore] = []


@dataclass(frozen=True)
class Perform:
    """Have a model of this process do what it is told to; gives the MiB that it is to take where it runs."""

    models: int
    name: str
    value: int
    shrink: int

    def run(self) -> int:
        models = SHELF[self.models]
        models.perform(self.name, self.value, self.shrink)
        return models.burden.get(self.value, 0) if isinstance(models, RemotelyUsed) else 0


@dataclass(frozen=True)
class Acquire:
    """Wait for a semaphore of this process."""

    semaphore: int
    timeout: float | None

    def run(self) -> bool:
        return SEMAPHORES[self.semaphore].acquire(timeout=self.timeout)


def ask_home(port: int, question: Perform | Acquire) -> Any:
    """The answer of the tests' process, or its error."""
    with Client(("127.0.0.1", port), authkey=KEY) as connection:
        connection.send(question)
        raised, answer = connection.recv()
    if raised:
        raise answer
    return answer


@contextmanager
def serve_models() -> Iterator[int]:
    """A server of the models of this process; gives its port."""
    listener = Listener(("127.0.0.1", 0), backlog=64, authkey=KEY)

    def accept() -> None:
        with suppress(OSError):  # closed
            while True:
                threading.Thread(target=answer_once, args=(listener.accept(),), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.address[1]
    listener.close()


def answer_once(connection: Connection) -> None:
    with connection:
        question = connection.recv()
        try:
            answer = False, question.run()
        except BaseException as error:
            answer = True, error
        connection.send(answer)


def let_go() -> None:
    """Let on all who wait for a semaphore, also those whose test has failed."""
    for semaphore in SEMAPHORES:
        semaphore.release(100)


@contextmanager
def python_path() -> Iterator[None]:
    """Let the processes of a cluster import the tests' modules."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE)])
    yield
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@dataclass(frozen=True)
class ProxyModel:
    """A model of the contract, on its way to a replica.

    Attributes:
        name, sha: as of `PortableModel`.
        port: of the tests' process.
        models: which ones, in the order of `SHELF`.
        faults: what is planted in the replica's process from when the model is opened until the next one is.
        broken: why it cannot be opened; None if it can.
    """

    name: str
    sha: str
    port: int
    models: int
    faults: tuple[Patch, ...] = ()
    broken: CheckpointError | None = None

    content = None

    def open(self, fetch: object) -> Callable[..., Any]:
        PLANTED.set(self.faults)
        if self.broken is not None:
            raise self.broken

        def predict(image: np.ndarray, shrink: int = 1) -> Prediction:
            take_memory(ask_home(self.port, Perform(self.models, self.name, int(image[0, 0, 0]), shrink)))
            return prediction(self.name, image)

        return predict


@dataclass(frozen=True)
class RemoteSemaphore:
    """A semaphore of the tests' process; pickled, it is its address."""

    port: int
    number: int

    def acquire(self, timeout: float | None = None) -> bool:
        return bool(ask_home(self.port, Acquire(self.number, timeout)))

    def release(self, count: int = 1) -> None:
        SEMAPHORES[self.number].release(count)


def take_memory(mib: int) -> None:
    """Take so much memory, step by step, and give it back."""
    taken = []
    for _ in range(0, mib, STEP_MIB):
        taken.append(np.ones((STEP_MIB, 2**20), np.uint8))
        time.sleep(STEP_S)


class RemotelyUsed(Models):
    """Models whose computations run in other processes.

    Attributes:
        burden: MiB that a computation takes there, by the picture's value.
    """

    port = 0

    def __init__(self) -> None:
        super().__init__()
        self.burden: dict[int, int] = {}

    def semaphore(self) -> RemoteSemaphore:
        SEMAPHORES.append(threading.Semaphore(0))
        return RemoteSemaphore(self.port, len(SEMAPHORES) - 1)


class ProxySource:
    """The contract's models as the app's process sees them; `faults` are planted where they run."""

    def __init__(self, models: Models, port: int, faults: tuple[Patch, ...] = ()) -> None:
        self.models, self.port, self.faults, self.number = models, port, faults, len(SHELF)
        SHELF.append(models)

    def identity(self, name: str) -> str:
        return f"{self.models.identify(name)} of {self.number}"  # replicas keep models from one test to the next

    def portable(self, name: str, sha: str) -> ProxyModel:
        broken = None
        try:
            self.models.load(name)
        except CheckpointError as error:  # a replica reads the file, so it is there that one is found to be damaged
            broken = error.with_traceback(None)
        return ProxyModel(name, sha, self.port, self.number, self.faults, broken)
