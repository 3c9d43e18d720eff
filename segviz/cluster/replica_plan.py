"""How many replicas there are, and what each may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicaPlan:
    """How many replicas there are, and what each may use.

    Attributes:
        least, most: replicas; between them Ray follows the load.
        slots: computations of a replica at once.
        threads: torch's threads of each computation.
        cpus, gpus: what Ray reserves for a replica; a fraction of a GPU shares it.
        memory_mb: MiB that the computations of one replica may use.
        models_mb: MiB of weights that a replica keeps loaded.
        grace_s: seconds that a computation may go on after its deadline, or after it was stopped; then its replica
            counts as hung.
        health_s: seconds between two looks at a replica's health; it counts as lost after three times as many
            without an answer.
        silent_s: seconds after which a cluster that tells nothing of its replicas counts as lost.
    """

    least: int = 1
    most: int = 1
    slots: int = 1
    threads: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 2048
    models_mb: int = 2048
    grace_s: float = 30.0
    health_s: float = 5.0
    silent_s: float = 20.0

    @property
    def busy(self) -> float:
        """Computations at once, on average over the replicas, above which Ray starts another replica.

        Long computations leave one slot of the whole cluster free. This is below what they may take, so that a cluster
        grows even when they are all that is asked for. With one slot each, two replicas run one long computation
        whether others wait or not, and Ray knows only what runs: so one alone makes Ray ask for three replicas.
        """
        return 0.9 * (self.slots - 1 if self.slots > 1 else 0.5)
