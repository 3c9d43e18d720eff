"""What the machine has, and how much of it the engine uses unless the operator sets a limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from segviz.runtime.cores import available_cores
from segviz.settings import MIB, Settings

CGROUP = Path("/sys/fs/cgroup")  # version 2: the limits of a container
MAX_CPU_WORKERS = 4  # with more cores than that, a forward gains more from threads than from another worker
GPU_WORKERS = 2  # one prepares a picture or copies labels back while the other computes


@dataclass(frozen=True)
class Capacity:
    """How much the engine may run at once, and cache.

    Attributes:
        workers: computations at once.
        threads: torch threads of each computation; workers x threads = cores.
        memory_mb: memory that all running computations may need, in MiB.
        cache_mb: size of the result cache, in MiB.
        queue: computations that may wait; one session may have a quarter of them.
        shares: how many equal parts the memory has, where one computation may use one part alone.
    """

    workers: int = 2
    threads: int = 1
    memory_mb: int = 2048
    cache_mb: int = 128
    queue: int = 64
    shares: int = 1

    @property
    def budget(self) -> int:
        """Bytes that one computation may need."""
        return self.memory_mb * MIB // self.shares


def capacity_for(device: torch.device, limits: Settings) -> Capacity:
    """The operator's limits, and for the rest what suits the machine.

    On a CPU: as many workers as cores, up to four, and half of the free memory. Two workers of one thread answer two
    people faster than one worker of two threads, whose threads spin while they wait for each other (0.26 CPU seconds
    per request against 0.40 or more).
    """
    available = cores()
    workers = limits.workers or (GPU_WORKERS if device.type == "cuda" else min(available, MAX_CPU_WORKERS))
    return Capacity(
        workers=workers,
        threads=limits.threads or max(1, available // workers),
        memory_mb=limits.memory_mb or max(1, free_mib(device) // 2),
        cache_mb=limits.cache_mb,
        queue=limits.queue,
    )


def cores() -> int:
    """The cores that this process may use, within its container's quota."""
    own = available_cores()
    quota, _, period = cgroup("cpu.max").partition(" ")
    return max(1, min(own, int(quota) // int(period))) if quota.isdecimal() else own


def free_mib(device: torch.device) -> int:
    """Free memory of the device in MiB; on a CPU the system's, or what is left within the container's limit."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // MIB)
    free = int(psutil.virtual_memory().available)
    limit, used = cgroup("memory.max"), cgroup("memory.current")
    if limit.isdecimal() and used.isdecimal():
        free = min(free, int(limit) - int(used) + reclaimable_bytes())
    return max(1, free // MIB)


def reclaimable_bytes() -> int:
    """Copies of files that count as the container's memory, and that the system drops when memory is short."""
    lines = (line.split() for line in cgroup("memory.stat").splitlines())
    return next((int(words[1]) for words in lines if words[:1] == ["inactive_file"]), 0)


def cgroup(name: str) -> str:
    """What the system says of the container under a name, such as a limit; empty outside of containers."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""
