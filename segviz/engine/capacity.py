"""What the machine has, and how much of it the engine takes where the operator has set nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from segviz.settings import Settings

MIB = 1024**2
CGROUP = Path("/sys/fs/cgroup")  # version 2: what a container may use
MOST_CPU_WORKERS = 4  # beyond as many, a forward gains more from the cores than another one beside it
GPU_WORKERS = 2  # one prepares a picture or reads labels back while the other computes
UNKNOWN_MIB = 2048  # taken for the free memory of systems that do not tell


@dataclass(frozen=True)
class Capacity:
    """How much the engine may do at once, and keep.

    Attributes:
        workers: computations at once.
        threads: of torch inside each; workers x threads = cores.
        memory_mb: what all running computations may need, in MiB.
        cache_mb: what kept results may hold, in MiB.
        queue: how many questions may wait; one session may hold a quarter of it.
    """

    workers: int = 2
    threads: int = 1
    memory_mb: int = UNKNOWN_MIB
    cache_mb: int = 128
    queue: int = 64


def capacity_for(device: torch.device, given: Settings) -> Capacity:
    """What the operator has set, and what suits the machine for the rest.

    On a CPU as many workers as cores, up to four; half of the free memory. Two workers of one thread answer two people
    quicker than one worker of two threads, whose threads spin while they wait for each other (0.26 CPU seconds a
    request against 0.40 and more).
    """
    available = cores()
    workers = given.workers or (GPU_WORKERS if device.type == "cuda" else min(available, MOST_CPU_WORKERS))
    return Capacity(
        workers=workers,
        threads=given.threads or max(1, available // workers),
        memory_mb=given.memory_mb or max(1, free_mib(device) // 2),
        cache_mb=given.cache_mb,
        queue=given.queue,
    )


def cores() -> int:
    """The cores that this process may use, its container's quota counted."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = cgroup("cpu.max").partition(" ")
    return max(1, min(own, int(quota) // int(period))) if quota.isdecimal() else own


def free_mib(device: torch.device) -> int:
    """Free memory of the device in MiB; on a CPU what the system has or what the container's limit leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // MIB)
    limit, used = cgroup("memory.max"), cgroup("memory.current")
    left = (int(limit) - int(used)) // MIB if limit.isdecimal() and used.isdecimal() else system_free_mib()
    return max(1, min(left, system_free_mib()))


def system_free_mib() -> int:
    """Memory that the system can give without swapping, by Linux's own estimate."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return UNKNOWN_MIB


def cgroup(name: str) -> str:
    """A limit of the container, empty where there is none."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""
