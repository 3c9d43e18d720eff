"""torch's compiler, left out while libraries are imported that only name it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Import torch's compiler when a function of it is called, not when a library names one.

    torchvision and timm each take one function from it, neither of which is called here; the import takes a second
    and, with sympy and triton, 150 MiB. A call imports the compiler then, and does what it would have done.
    """
    if COMPILER in sys.modules or (found := find_spec(COMPILER)) is None:
        yield
        return
    package, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    package.__path__ = list(found.submodule_search_locations or ())
    package.disable = disable_later  # type: ignore[attr-defined]
    utils.is_compile_supported = later(utils.__name__, "is_compile_supported")  # type: ignore[attr-defined]
    package.utils = utils  # type: ignore[attr-defined]
    for module in (package, utils):  # whatever else is asked of them is the compiler's own
        module.__getattr__ = functools.partial(of_compiler, package, module.__name__)  # type: ignore[method-assign]
    sys.modules |= {COMPILER: package, utils.__name__: utils}
    try:
        yield
    finally:
        forget(package)


def forget(package: ModuleType) -> None:
    """Take the package that stands for the compiler out of the way, and what was imported into it."""
    if sys.modules.get(COMPILER) is package:
        for name in [name for name in sys.modules if name == COMPILER or name.startswith(f"{COMPILER}.")]:
            del sys.modules[name]
        vars(sys.modules["torch"]).pop("_dynamo", None)


def of_compiler(package: ModuleType, module: str, name: str) -> Any:
    """What a library needs of the compiler while it is imported: then the compiler is imported after all."""
    if name.startswith("__"):
        raise AttributeError(name)  # what Python's import looks for in any module
    forget(package)
    return getattr(import_module(module), name)


def later(module: str, name: str) -> Callable[..., Any]:
    """A module's function, imported with its first call."""

    def call(*given: Any, **options: Any) -> Any:
        return getattr(import_module(module), name)(*given, **options)

    return call


def disable_later(function: Callable[..., Any] | None = None, *given: Any, **options: Any) -> Callable[..., Any]:
    """`torch._dynamo.disable` as a decorator, applied with the first call of what it decorates."""
    if function is None:
        return lambda decorated: disable_later(decorated, *given, **options)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return disabled()(*arguments, **named)

    @functools.cache
    def disabled() -> Callable[..., Any]:
        kept: Callable[..., Any] = import_module(COMPILER).disable(function, *given, **options)
        return kept

    return call
