"""What the machine has, and how much of it the engine uses unless the operator sets a limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from segviz.runtime.cores import available_cores
from segviz.settings import MIB, Settings

CGROUP = Path("/sys/fs/cgroup")  # version 2: the limits of a container
MAX_CPU_WORKERS = 4  # with more cores than that, a forward gains more from threads than from another worker
GPU_WORKERS = 2  # one prepares a picture or copies labels back while the other computes
UNKNOWN_MIB = 2048  # assumed where the system does not report its free memory


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
    memory_mb: int = UNKNOWN_MIB
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
    limit, used = cgroup("memory.max"), cgroup("memory.current")
    left = (int(limit) - int(used)) // MIB if limit.isdecimal() and used.isdecimal() else system_free_mib()
    return max(1, min(left, system_free_mib()))


def system_free_mib() -> int:
    """Memory in MiB that is available without swapping, by Linux's own estimate."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return UNKNOWN_MIB


def cgroup(name: str) -> str:
    """A limit of the container; empty if there is none."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""
