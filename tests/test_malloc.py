"""Memory that is freed: held while a model trains, given back afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import mmap, resource
from contextlib import nullcontext
from segviz.runtime.malloc import hold_freed_memory

def faults(with_held):
    with hold_freed_memory() if with_held else nullcontext():
        bytearray(64 * 2**20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(4):
            bytearray(64 * 2**20)[:: mmap.PAGESIZE]
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(False), faults(True), faults(False), open("/proc/self/statm").read().split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is Linux's")
def test_freed_memory_is_held_for_the_next_step_and_given_back_at_the_end() -> None:
    """In a child, whose pages nobody else asks for: each page that the system has to zero anew is a fault."""
    child = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, meanwhile, after, resident = map(int, child.stdout.split())
    assert meanwhile < before / 4
    assert after > before / 2
    assert resident * 4096 < 64 * 2**20
