"""What the machine has, and how much of it the engine takes: each number can be set by an environment variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

MIB = 1024**2
CGROUP = Path("/sys/fs/cgroup")  # version 2: what a container may use
MOST_CPU_WORKERS = 4  # beyond as many, a forward gains more from the cores than another one beside it
GPU_WORKERS = 2  # one prepares a picture or reads labels back while the other computes
UNKNOWN_MIB = 2048  # taken for the free memory of systems that do not tell


@dataclass(frozen=True)
class Settings:
    """How much the engine may do at once, and keep.

    Attributes:
        workers: computations at once (SEGVIZ_WORKERS).
        threads: of torch inside each (SEGVIZ_THREADS); workers x threads = cores.
        memory_mb: what all running computations may need, in MiB (SEGVIZ_MEMORY_MB).
        cache_mb: what kept results may hold, in MiB (SEGVIZ_CACHE_MB).
        queue: how many questions may wait; one session may hold a quarter of it (SEGVIZ_QUEUE).
    """

    workers: int = 2
    threads: int = 1
    memory_mb: int = UNKNOWN_MIB
    cache_mb: int = 256
    queue: int = 64


def settings_for(device: torch.device, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings that suit the machine: on a CPU as many workers as cores, up to four; half of the free memory.

    Two workers of one thread answer two people quicker than one worker of two threads, whose threads spin while
    they wait for each other (0.26 CPU seconds a request against 0.40 and more).

    Raises:
        ValueError: a variable is no whole number from 1.
    """
    available = cores()
    workers = GPU_WORKERS if device.type == "cuda" else min(available, MOST_CPU_WORKERS)
    workers = whole(environment, "SEGVIZ_WORKERS", workers)
    return Settings(
        workers=workers,
        threads=whole(environment, "SEGVIZ_THREADS", max(1, available // workers)),
        memory_mb=whole(environment, "SEGVIZ_MEMORY_MB", max(1, free_mib(device) // 2)),
        cache_mb=whole(environment, "SEGVIZ_CACHE_MB", Settings.cache_mb),
        queue=whole(environment, "SEGVIZ_QUEUE", Settings.queue),
    )


def whole(environment: Mapping[str, str], name: str, default: int) -> int:
    """A variable's whole number from 1, or the default where it is not set.

    Raises:
        ValueError: it is something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; set it to a whole number from 1, or leave it out")
    return int(text)


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
