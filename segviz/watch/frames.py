"""Which module is running, from Python's own frames: no hook is needed, and other threads are not seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

MAX_FRAMES = 200
CLASS_NAMES: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()  # those asked for so far
PLUMBING = {"_call_impl", "_wrapped_call_impl", "handle_torch_function", "__torch_function__"}  # between two forwards


@dataclass(frozen=True)
class RunningModule:
    """A module of the watched network with a function that is running in it.

    Attributes:
        path: the module's name in `named_modules`; empty for the network itself.
        module: the module.
        function: the function's name: `forward`, or what it calls, also a function of its file.
        values: the function's local numbers and tuples of numbers, and the shapes of its local tensors.
    """

    path: str
    module: nn.Module
    function: str
    values: Mapping[str, object]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a local tensor, or a local tuple of numbers, if there is one of that name."""
        value = self.values.get(name)
        return tuple(value) if isinstance(value, tuple | list) else None


def walk_frames(start: FrameType | None = None) -> Iterator[FrameType]:
    """The running functions outward, from a given one, or else from the caller's caller."""
    frame: FrameType | None = start or sys._getframe(2)
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def find_owner(frame: FrameType) -> nn.Module | None:
    """The module that a running function belongs to: its `self`, or the first argument of a method that names it so."""
    values, code = frame.f_locals, frame.f_code
    owner = values.get("self")
    if owner is None and code.co_argcount:
        owner = values.get(code.co_varnames[0])
        if isinstance(owner, nn.Module) and not is_method(frame, owner):
            return None
    return owner if isinstance(owner, nn.Module) else None


def is_method(frame: FrameType, owner: nn.Module) -> bool:
    """Whether a running function was written in a module's class, or put in the place of its forward.

    Other functions may be given a module as well, which need not be the one whose attention they compute.
    """
    if frame.f_back is not None and frame.f_back.f_code.co_name in PLUMBING:
        return True
    written_in = frame.f_code.co_qualname.rpartition(".")[0]
    return any(kind.__qualname__ == written_in for kind in type(owner).__mro__)


def running_path(names: Mapping[int, str]) -> str | None:
    """The name of the innermost module of the network that is running; None where none is."""
    for frame in walk_frames():
        path = names.get(id(find_owner(frame)))
        if path is not None:
            return path
    return None


def running_modules(names: Mapping[int, str], start: FrameType | None = None) -> tuple[RunningModule, ...]:
    """The running functions of the network, the innermost first, up to the network's own forward.

    Args:
        names: the paths of the network's modules, by identity.
        start: the innermost function to look at, where that is not the recorder's caller.
    """
    recorder = sys._getframe(1).f_code.co_filename
    found: list[RunningModule] = []
    inner: list[FrameType] = []  # functions of no module, until the module that called them is known
    for frame in walk_frames(start):
        if frame.f_code.co_name in PLUMBING or frame.f_code.co_filename == recorder:
            continue
        owner = find_owner(frame)
        path = names.get(id(owner))
        if path is None or owner is None:
            inner.append(frame)
            continue
        frames, inner = [*inner, frame], []
        for one in frames:
            found.append(RunningModule(path, owner, one.f_code.co_name, plain_values(one.f_locals)))
        if path == "" and frame.f_code.co_name == "forward":
            break
    return tuple(found)


def plain_values(values: Mapping[str, object]) -> dict[str, object]:
    """Numbers, tuples of numbers, and the shapes of tensors; nothing that would keep a tensor alive."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            found[name] = tuple(value.shape)
        elif isinstance(value, int | float) or (
            isinstance(value, tuple | list | torch.Size) and all(isinstance(one, int | float) for one in value)
        ):
            found[name] = tuple(value) if isinstance(value, tuple | list) else value
    return found


def local_values(module_types: tuple[str, ...]) -> tuple[nn.Module, Mapping[str, object]] | None:
    """The innermost running function of a module of one of these classes, with its local variables."""
    for frame in walk_frames():
        owner = find_owner(frame)
        if owner is not None and is_one_of(owner, module_types):
            return owner, frame.f_locals
    return None


def is_one_of(module: nn.Module, module_types: tuple[str, ...]) -> bool:
    """Whether a module is of a class, or of a class derived from it, given by its full name or as "*.Name"."""
    return not class_names(type(module)).isdisjoint(module_types)


def class_names(kind: type) -> frozenset[str]:
    """The full names of a class and of all that it is derived from, and each as "*.Name", wherever it is written."""
    names = CLASS_NAMES.get(kind)
    if names is None:
        full = {f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__}
        names = CLASS_NAMES[kind] = frozenset(full | {f"*.{one.__name__}" for one in kind.__mro__})
    return names
