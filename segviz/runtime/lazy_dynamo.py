"""torch's compiler, imported only when it is called: for the command line and the server, which own their process.

torchvision and timm each import one function of `torch._dynamo`, neither of which segviz calls. That import takes a
second and, with sympy and triton, 150 MiB. `defer_compiler` puts a stand-in into `sys.modules` meanwhile; no module
that a notebook imports may do so.
"""

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
def defer_compiler() -> Iterator[None]:
    """Let libraries be imported without torch's compiler; the first call of its functions imports it.

    Those functions then do what they would have done. The stand-in leaves `sys.modules` at the end.
    """
    if COMPILER in sys.modules or (spec := find_spec(COMPILER)) is None:
        yield
        return
    package, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.disable = defer_disable  # type: ignore[attr-defined]
    utils.is_compile_supported = defer_function(utils.__name__, "is_compile_supported")  # type: ignore[attr-defined]
    package.utils = utils  # type: ignore[attr-defined]
    for module in (package, utils):  # any other attribute is the compiler's own
        module.__getattr__ = functools.partial(compiler_attribute, package, module.__name__)  # type: ignore[method-assign]
    sys.modules |= {COMPILER: package, utils.__name__: utils}
    try:
        yield
    finally:
        remove_stand_in(package)


def remove_stand_in(package: ModuleType) -> None:
    """Remove the stand-in, and the modules imported into it, from `sys.modules`."""
    if sys.modules.get(COMPILER) is package:
        for name in list(sys.modules):  # a copy at once: other threads may be importing
            if name == COMPILER or name.startswith(f"{COMPILER}."):
                sys.modules.pop(name, None)
        vars(sys.modules["torch"]).pop("_dynamo", None)


def compiler_attribute(package: ModuleType, module: str, name: str) -> Any:
    """An attribute that a library needs already at import: this imports the compiler after all."""
    if name.startswith("__"):
        raise AttributeError(name)  # Python's import system asks any module for these
    remove_stand_in(package)
    return getattr(import_module(module), name)


def defer_function(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is imported with the first call."""

    def call(*positional: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*positional, **named)

    return call


def defer_disable(function: Callable[..., Any] | None = None, *positional: Any, **options: Any) -> Callable[..., Any]:
    """`torch._dynamo.disable` as a decorator that is applied with the first call of the decorated function."""
    if function is None:
        return lambda decorated: defer_disable(decorated, *positional, **options)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return wrap()(*arguments, **named)

    @functools.cache
    def wrap() -> Callable[..., Any]:
        wrapped: Callable[..., Any] = import_module(COMPILER).disable(function, *positional, **options)
        return wrapped

    return call
