"""A network of any source, with what the source says of its input and its classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from torch import nn

from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.data.classes import RgbColour
from segviz.runtime.blamed_line import name_line
from segviz.text import whole_sentences

Made = TypeVar("Made")
UNTRAINED = "its weights are random: labels mean nothing, and maps are those of an untrained network"


class OpenError(CheckpointError):
    """A network cannot be opened; the message names the cause and the cure."""


@dataclass(frozen=True, eq=False)
class OpenedNetwork:
    """A network, and what its source says of it; what it does not say is None or empty.

    Attributes:
        network: in eval mode, on the CPU.
        name: what to call it.
        classes: names of the classes in index order.
        palette: an RGB colour for each class.
        mean: of the input, in [0, 1], or in 0..255 where a value of it or of the std is above 1.
        std: in the same units.
        origin: where mean and std are from, in words.
        size: (height, width) at which it was trained, for a network that refuses the picture's own size.
        multiple: what both sides of the input must be multiples of.
        bgr: whether its input has blue first.
        notes: what a user should know, such as tensors that were left out.
    """

    network: nn.Module
    name: str
    classes: tuple[str, ...] = ()
    palette: tuple[RgbColour, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    origin: str = ""
    size: tuple[int, int] | None = None
    multiple: int | None = None
    bgr: bool = False
    notes: tuple[str, ...] = ()


def require_library(module: str, prefix: str, packages: str) -> None:
    """Check that a library is installed.

    Raises:
        OpenError: it is not.
    """
    if find_spec(module) is None:
        raise OpenError(f"'{prefix}' needs {module}, which is not installed; install it with `pip install {packages}`")


def call_library(what: str, cure: str, make: Callable[[], Made], *, of_user: bool = False) -> Made:
    """What a library makes; whatever it raises becomes one sentence.

    Args:
        what: what fails, where it does.
        cure: what to do about that.
        make: makes it.
        of_user: whether the code is the user's own, of whose error the line is told.

    Raises:
        OpenError: it failed.
    """
    try:
        return make()
    except Exception as error:  # libraries raise whatever their parts raise
        cause = whole_sentences(str(error)).rstrip(".") or type(error).__name__
        raise OpenError(f"{what} ({name_line(cause, error) if of_user else cause}); {cure}") from error
