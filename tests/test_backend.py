"""Every backend against the contract, and for each clause a backend that breaks it and must be found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import backend_contract as contract
import pytest
from backend_contract import Make, Models
from faulty_backends import BAD, PLANTED, find_out

from segviz.engine import Capacity, Runner, ThreadBackend

CHECKS = [getattr(contract, name) for name in dir(contract) if name.startswith("check_")]
MAKERS: dict[str, type[ThreadBackend]] = {"threads": ThreadBackend}


@pytest.fixture
def maker() -> Iterator[Callable[[type[ThreadBackend]], Make]]:
    """Backends of a class, closed in the end."""
    made: list[ThreadBackend] = []

    def of(kind: type[ThreadBackend]) -> Make:
        def make(models: Models, capacity: Capacity) -> ThreadBackend:
            made.append(kind(Runner(models.load, models.identify), capacity))
            return made[-1]

        return make

    yield of
    for backend in made:
        backend.close()


@pytest.mark.parametrize("backend", MAKERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_backend_keeps_the_contract(check: Callable[[Make], None], backend: str, maker: Any) -> None:
    check(maker(MAKERS[backend]))


# ---- what must be found out -----------------------------------------------------------------------------


def test_every_clause_has_a_backend_that_breaks_it() -> None:
    assert {f"check_{clause}" for clause in BAD} == {check.__name__ for check in CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("clause", BAD)
def test_a_backend_that_breaks_a_clause_is_found_out(clause: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = BAD[clause]
    if fault.waits:
        monkeypatch.setattr(contract, "PATIENCE", 2.0)
    PLANTED.set((*fault.here, *fault.there))
    try:
        assert fault.found_at in find_out(clause, maker(fault.backend(ThreadBackend)))
    finally:
        PLANTED.set(())
