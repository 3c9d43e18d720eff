"""Which line an error is blamed on: the user's own, not one of a library that the user calls."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch.nn import functional as F

from segviz.runtime.blamed_line import name_line

INSTALLED = Path(sysconfig.get_path("purelib")) / "some_package" / "helper.py"


def function_of(file: Path) -> Callable[[Callable[[], object]], object]:
    """A function that stands on the second line of a file, and calls what it is given."""
    scope: dict[str, Any] = {}
    exec(compile("def call(given):\n    return given()\n", str(file), "exec"), scope)
    function: Callable[[Callable[[], object]], object] = scope["call"]
    return function


def blame(call: Callable[[], object]) -> str:
    """The line that the error of a call is blamed on; the call is not on one itself."""
    try:
        call()
    except Exception as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return name_line("cause", error)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "library",
    [
        partial(json.loads, "{"),
        partial(timm.create_model, "no_such"),
        partial(F.linear, torch.ones(2), torch.ones(3, 3)),
        partial(function_of(INSTALLED), lambda: [].pop()),
        partial(function_of(INSTALLED), partial(json.loads, "{")),
    ],
    ids=["standard library", "timm", "torch", "own code in a package's", "a package's in the standard library's"],
)
def test_the_user_s_line_is_blamed_for_what_a_library_raises(
    library: Callable[[], object], request: pytest.FixtureRequest
) -> None:
    words = blame(partial(function_of(Path("/home/me/net.py")), library))
    inside = "own code" in request.node.callspec.id
    assert words.endswith("of test_blamed_line.py" if inside else "line 2 of net.py")


def test_of_installed_networks_the_innermost_package_is_blamed() -> None:
    assert blame(partial(function_of(INSTALLED), partial(json.loads, "{"))) == "cause, line 2 of helper.py"
    assert blame(partial(function_of(INSTALLED), partial(timm.create_model, "no_such"))).endswith("of _factory.py")


def test_where_only_python_s_own_code_ran_no_line_is_blamed() -> None:
    assert blame(partial(json.loads, "{")) == "cause"


def test_packages_below_the_standard_library_are_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without a virtual environment."""
    folder = Path(json.__file__).parents[1]
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(folder / ("" if name == "stdlib" else "site-packages")))
    installed = function_of(folder / "site-packages" / "other.py")
    assert blame(partial(installed, partial(json.loads, "{"))) == "cause, line 2 of other.py"
