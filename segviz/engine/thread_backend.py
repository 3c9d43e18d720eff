"""The backend inside this process: its worker threads run the models."""

from __future__ import annotations

import torch

from segviz.engine.backend import ComputationObserver
from segviz.engine.capacity import Capacity
from segviz.engine.queue_backend import ComputationRunner, QueueBackend
from segviz.runtime.malloc import Trimmer


class ThreadBackend(QueueBackend):
    """Runs requests on threads of this process.

    A running forward cannot be stopped: a cancelled prediction runs to its end and is cached; an attribution ends
    before the network's next layer.

    Args:
        runner: loads and runs the models.
        capacity: how much at once.
        observer: called after each computation, from its thread.
    """

    def __init__(
        self, runner: ComputationRunner, capacity: Capacity, observer: ComputationObserver = lambda *_: None
    ) -> None:
        super().__init__(runner, capacity, observer)
        self._trimmer = Trimmer()

    def _prepare_worker(self) -> None:
        torch.set_num_threads(self.capacity.threads)  # per thread; a new thread would use all cores

    def _clean_up(self) -> None:
        """Now and then, return the memory that forwards have freed to the system."""
        self._trimmer.trim_if_due()
