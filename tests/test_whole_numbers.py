"""Rows, columns, heads and parts of maps may be whole numbers of any type, and nothing else.

These run in a process of their own, without the checks of types that the other tests add: a user has none.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
CODE = """
import numpy as np
import torch

from block_cases import block_maps
from network_map_cases import NETWORK_MAPS, OBJECT_MAPS, deformable, sampling_objects

from segviz.attention.maps import DeformableAttention, HeadMap, MapOverPlaces

torch.manual_seed(0)


def raised(call, *given, **options):
    try:
        call(*given, **options)
    except (IndexError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def parts(found):
    return [torch.as_tensor(one) for one in (found if isinstance(found, tuple) else (found,))]


def same(call, *given):
    wanted = parts(call(*given))
    for kind in (np.int64, np.uint8, np.int8, torch.tensor):
        found = parts(call(*(kind(one) if isinstance(one, int) else one for one in given)))
        for mine, other in zip(wanted, found, strict=True):
            assert torch.allclose(mine, other), (call, kind, given)


grid = (9, 40)  # of more cells than a byte counts
for one in block_maps(grid):
    if isinstance(one, MapOverPlaces):
        for look in (one.attends_to, one.attended_by):
            same(look, one.grid[0] - 1, one.grid[1] - 2)
    for part, count in (("base_map", 1), ("strip_map", 2), ("token_map", 1)):
        if hasattr(one, part):
            same(getattr(one, part), count)
            assert "no whole number" in raised(getattr(one, part), 1.0)
for one in NETWORK_MAPS.values():
    for head in (1 % one.heads, "mean", "largest"):
        same(one.attends_to, one.grid[0] - 1, one.grid[1] - 1, head)
        same(one.attended_by, one.key_grid[0] - 1, one.key_grid[1] - 1, head)
        same(one.prefix_share, 1, 2, head)
    for head in (True, one.heads, -1, 1.0, "foo", None):
        assert f"head {head!r} does not exist" in raised(one.attends_to, 0, 0, head), head
    assert "row 0.0 is no whole number" in raised(one.attends_to, 0.0, 0)
    assert "column True is no whole number" in raised(one.attended_by, 0, True)
same(NETWORK_MAPS["tokens"].prefix_attends_to, 0, 2)
for one in OBJECT_MAPS.values():
    same(one.query_map, 1, one.heads - 1)
    same(one.prefix_share, 1)
    assert "object query 1.5 is no whole number" in raised(one.query_map, 1.5)
same(deformable().level_map, 1, 2, 2, 1)
for one, place in ((deformable(), (2, 3)), (sampling_objects(), (1,))):
    for head in (1, "mean", "largest"):
        same(one.points, *place, head)
    for head in (True, "foo", None, 3):
        assert "has heads 0 to 2, 'mean' and 'largest'" in raised(one.points, *place, head), head
    same(lambda *given: one.points(*given)[1].sum(), *place, 1)
print("done")
"""


def test_whole_numbers_of_any_type_are_taken_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", CODE],
        capture_output=True, text=True, timeout=120, cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": ""},
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr[-2000:]
