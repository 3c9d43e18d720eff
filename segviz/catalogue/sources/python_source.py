"""`net.py:build` and `package.module:build`: a network that a user's own Python code makes."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import ModuleType

from torch import nn

from segviz.catalogue.entry import RANDOM_WEIGHTS
from segviz.catalogue.read_weights import read_weights
from segviz.catalogue.source_names import PYTHON_SUFFIX, ask_for_function
from segviz.catalogue.sources.load_weights import load_weights
from segviz.catalogue.sources.opened_network import UNTRAINED, OpenedNetwork, OpenError, call_library
from segviz.text import plain_text

IMPORTING = Lock()  # sys.path belongs to the whole process


def open_python(source: str, weights: str | Path | None) -> OpenedNetwork:
    """The network that a function of a Python file or module makes; the code is the user's own and is run as such.

    Args:
        source: "net.py:build" or "package.module:build". `build` is a function without arguments that returns an
            `nn.Module`, a class of such, or a module itself.
        weights: a file of weights for it; None leaves it as it was made.

    Raises:
        OpenError: there is no such file, module or function, or it makes no network.
        CheckpointError: the weights cannot be used.
    """
    place, _, function = source.rpartition(":")
    with IMPORTING:
        module = import_file(Path(place)) if place.endswith(PYTHON_SUFFIX) else import_name(place)
        network = make_network(module, source, function)
    stored = None if weights in (None, RANDOM_WEIGHTS) else read_weights(Path(str(weights)))
    if stored is None:
        untrained = (UNTRAINED,) if weights == RANDOM_WEIGHTS else ()
        return OpenedNetwork(network.eval(), name_of(source), notes=untrained)
    notes = load_weights(network, stored, Path(str(weights)))
    return OpenedNetwork(network.eval(), name_of(source), stored.classes, stored.palette, notes=notes)


def refuse_file(source: str) -> OpenError:
    """The error of a Python file that is named without a function; it runs the file, and names what there is."""
    with IMPORTING:
        module = import_file(Path(source.removesuffix(":")))
    return OpenError(f"{plain_text(ask_for_function(source))}; it has {name_functions(module)}")


def name_of(source: str) -> str:
    """A short name: the file or module, and the function."""
    place, _, function = source.rpartition(":")
    return f"{Path(place).name}:{function}"


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module; it may import the files beside it.

    Raises:
        OpenError: there is no such file, or it fails.
    """
    if not path.is_file():
        raise OpenError(f"there is no file {plain_text(str(path))}; name the Python file that builds the network")
    name = f"segviz_network_{sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module, loader, folder = importlib.util.module_from_spec(spec), spec.loader, str(path.resolve().parent)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, folder)
    try:
        call_library(
            f"{path} fails as it is imported", "correct the file", lambda: loader.exec_module(module), of_user=True
        )
    except OpenError:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module


def import_name(name: str) -> ModuleType:
    """Import a module by its name.

    Raises:
        OpenError: there is no such module, or it fails.
    """
    cure = "name an installed module as package.module:build, or a file as net.py:build"
    return call_library(
        f"module '{plain_text(name, 80)}' cannot be imported", cure, lambda: import_module(name), of_user=True
    )


def make_network(module: ModuleType, source: str, function: str) -> nn.Module:
    """The network that a function of a module makes.

    Raises:
        OpenError: there is no such function, it needs arguments, it fails, or it makes no network.
    """
    build = module
    for part in function.split("."):
        if not hasattr(build, part):
            names = name_functions(module)
            raise OpenError(
                f"'{source}': there is no '{function}' in {module.__file__}; without arguments it has: {names}"
            )
        build = getattr(build, part)
    if isinstance(build, nn.Module):
        return build
    if not callable(build):
        raise OpenError(f"'{source}' is a {type(build).__name__}; name a function that returns the network")
    if needed := needed_arguments(build):
        raise OpenError(f"'{source}' needs the arguments {needed}; name a function that takes none")
    folder = str(Path(module.__file__ or ".").resolve().parent)
    sys.path.insert(0, folder)
    try:
        network = call_library(f"'{source}' fails", "correct the function", build, of_user=True)
    finally:
        sys.path.remove(folder)
    if not isinstance(network, nn.Module):
        raise OpenError(f"'{source}' returns a {type(network).__name__}; let it return the nn.Module")
    return network


def name_functions(module: ModuleType) -> str:
    """The functions and classes of a module that need no arguments: its own, then those that it imports; or "none"."""
    public = {name: one for name, one in vars(module).items() if callable(one) and not name.startswith("_")}
    names = [name for name, one in public.items() if not needed_arguments(one)]
    names.sort(key=lambda name: getattr(public[name], "__module__", None) != module.__name__)
    return plain_text(", ".join(names), 200) or "none"


def needed_arguments(build: object) -> str:
    """The names of a function's arguments that have no default; empty where there are none."""
    try:
        parameters = inspect.signature(build).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a function of an extension
        return ""
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return ", ".join(one.name for one in parameters if one.default is one.empty and one.kind not in free)
