"""The child process of the app that is in the cluster: it hands requests to replicas, and what they answer back.

Run as `python -m segviz.cluster.bridge FD`, with the number of an open socket.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from segviz.cluster.board import News
from segviz.cluster.contents import ContentStore, FileChangedError
from segviz.cluster.losses import is_for_memory, name_loss
from segviz.cluster.messages import (
    Answered,
    Channel,
    Close,
    FileChanged,
    Lost,
    Refused,
    Replicas,
    RunTask,
    Started,
    StartReplicas,
    StepsDone,
    Stop,
    Stopping,
)
from segviz.cluster.serve_replicas import connect, count_replicas, deploy, disconnect

COUNT_EVERY_S = 1.0  # between two looks at the replicas
RUN_WITHIN_S = 300.0  # within which the replicas have to run
ASK_WITHIN_S = 2.0  # the board, where a replica was lost
WORKER = "segviz.engine.ray_cluster.replica_worker:RunnerWorker"  # by name, for this process imports none of it
THREADS = 1024  # computations under way at once; threads start as they are needed
FAILURES = (RayError, RayServeException, ConnectionError, TimeoutError)


class Bridge:
    """The replicas of one app, and the computations under way.

    Args:
        channel: to the app.
        start: what to start.

    Raises:
        RayError, RayServeException, ConnectionError, RuntimeError: the cluster, or the replicas, cannot be had.
    """

    def __init__(self, channel: Channel, start: StartReplicas) -> None:
        self._channel, self._address, self._plan = channel, start.address, start.plan
        self._contents = ContentStore()
        self._pool = ThreadPoolExecutor(THREADS)
        self._closing = threading.Event()
        self._pending = set[str]()  # tickets of what is under way
        self._told, self._news = Replicas(0, ()), News(0, {}, ())
        self._started, self._looked = False, time.monotonic()
        threading.Thread(target=self._watch_cluster, daemon=True).start()
        connect(start.address, start.plan, start.folder)
        self._deployment = deploy(start.plan, start.name, WORKER)
        self._started, self._looked = True, time.monotonic()

    def serve(self) -> None:
        """Do what the app says, until it says Close or is gone."""
        watching = [
            threading.Thread(target=target, daemon=True) for target in (self._watch_replicas, self._follow_board)
        ]
        for thread in watching:
            thread.start()
        self._tell_of_replicas()
        self._channel.send(Started())
        with suppress(EOFError, OSError):
            while not isinstance(message := self._channel.receive(), Close):
                match message:
                    case RunTask(ticket):
                        self._pending.add(ticket)
                        self._pool.submit(self._run, message)
                    case Stop(ticket) if ticket in self._pending:
                        self._pool.submit(self._stop, ticket)
                del message  # while it waits it keeps no picture
        self._closing.set()
        with suppress(*FAILURES):
            self._deployment.board.wake.remote()
        for thread in watching:
            thread.join()  # a call of Ray's after the end would look for another cluster
        disconnect(self._address, self._deployment.name)

    def _run(self, run: RunTask) -> None:
        try:
            content = () if run.content is None else (self._contents.put(run.content),)
            response = self._deployment.handle.run.remote(run.ticket, run.task, content, run.deadline_s)
            answer: Answered | Lost | FileChanged = Answered(run.ticket, self._wait(response, run))
        except FileChangedError as error:
            answer = FileChanged(run.ticket, str(error))
        except Exception as error:  # an app must never wait for an answer in vain
            cause = f"a replica was lost, or did not answer ({name_loss(error)})"
            answer = Lost(run.ticket, cause, self._has_begun(run.ticket), is_for_memory(error))
            if not isinstance(error, FAILURES):
                traceback.print_exc()
        self._pending.discard(run.ticket)
        with suppress(OSError):  # the app is gone
            self._channel.send(answer)
        with suppress(*FAILURES):
            self._deployment.board.remove.remote(run.ticket)

    def _has_begun(self, ticket: str) -> bool:
        """Whether a replica has begun with a task; by the last news where the board does not answer."""
        try:
            return bool(ray.get(self._deployment.board.has_begun.remote(ticket), timeout=ASK_WITHIN_S))
        except Exception:
            return ticket in self._news.steps

    def _stop(self, ticket: str) -> None:
        with suppress(*FAILURES, OSError):
            ray.get(self._deployment.board.stop.remote(ticket), timeout=self._plan.silent_s)
            self._channel.send(Stopping(ticket))

    def _wait(self, response: Any, run: RunTask) -> bytes:
        """The pickled outcome.

        Raises:
            TimeoutError: it takes so long that the replica counts as hung.
        """
        try:
            return response.result(timeout_s=run.deadline_s + 2 * self._plan.grace_s)  # type: ignore[no-any-return]
        except TimeoutError:
            response.cancel()
            raise

    # ---- the cluster's state ----------------------------------------------------------------------------

    def _watch_replicas(self) -> None:
        while not self._closing.wait(COUNT_EVERY_S):
            with suppress(*FAILURES, RuntimeError):
                self._tell_of_replicas()

    def _tell_of_replicas(self) -> None:
        count = count_replicas(self._deployment.name)
        self._looked = time.monotonic()
        if (now := Replicas(count, self._news.states)) != self._told:
            self._channel.send(now)
            self._told = now

    def _follow_board(self) -> None:
        """Tell the app of each step."""
        while not self._closing.is_set():
            try:
                news = ray.get(
                    self._deployment.board.wait_for_news.remote(self._news.version), timeout=self._plan.silent_s
                )
            except Exception as error:  # else no question would show any progress again
                if not isinstance(error, FAILURES):
                    traceback.print_exc()
                self._closing.wait(COUNT_EVERY_S)
                continue
            for ticket, step in news.steps.items():
                if step != self._news.steps.get(ticket, (0, 1)):
                    self._channel.send(StepsDone(ticket, *step))
            self._news = news

    def _watch_cluster(self) -> None:
        """End this process where the cluster is gone, for Ray's calls then wait for ever; the app starts another."""
        plan = self._plan
        while time.monotonic() < self._looked + (plan.silent_s if self._started else RUN_WITHIN_S):
            time.sleep(COUNT_EVERY_S)
        cause = (
            "the cluster does not answer any more"
            if self._started
            else f"the replicas did not start within {RUN_WITHIN_S:.0f} s; each asks for {plan.cpus:g} CPU cores and "
            f"{plan.gpus:g} GPUs, which may be more than is free"
        )
        try:
            for ticket in list(self._pending):
                self._channel.send(Lost(ticket, cause, ticket in self._news.steps))
            self._channel.send(Refused(cause))
        finally:
            os._exit(1)


def serve_app(descriptor: int) -> int:
    """Serve the app at the other end of a socket; returns the process's status."""
    channel = Channel(Connection(descriptor))
    start = channel.receive()
    try:
        bridge = Bridge(channel, start)
    except (*FAILURES, RuntimeError, ValueError, OSError) as error:
        channel.send(Refused(str(error) or type(error).__name__))
        return 1
    try:
        bridge.serve()
    except Exception:  # such as a MemoryError at a large picture; its threads would go on as if all were well
        traceback.print_exc()
        return 1
    shutil.rmtree(start.folder, ignore_errors=True)  # an app that was ended does so no more
    return 0


if __name__ == "__main__":
    os._exit(serve_app(int(sys.argv[1])))  # at once: threads may still wait for replicas that are gone
