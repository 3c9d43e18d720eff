"""Attention of any network, in one forward pass without hooks. The package can be called: it is `segviz.watch`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """The package is the function too: importing a module of it makes `segviz.watch` the package."""

    def __call__(self, *args: Any, **options: Any) -> object:
        """See `segviz.watch.watch_network.watch`."""
        from segviz.watch.watch_network import watch

        return watch(*args, **options)


sys.modules[__name__].__class__ = CallablePackage
