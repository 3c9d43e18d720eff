"""Runs a network on a picture: at the picture's own size, or at the network's where that is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from typing import Any, TypeVar

from torch import Tensor, nn

from segviz.image import Rgb
from segviz.runtime.blamed_line import find_line
from segviz.runtime.out_of_memory import ExplainedMemoryError, is_out_of_memory
from segviz.runtime.size_option import IN_PYTHON
from segviz.text import plain_text
from segviz.watch.placement import (
    InputRules,
    Placement,
    make_input,
    own_size,
    patch_multiple,
    place_picture,
    size_of_part,
)

Output = TypeVar("Output")
SIZE_WORDS = re.compile(
    r"\b(?:sizes?|shapes?|dim(?:ension)?s?|heights?|widths?|resolutions?|multiples?|divisible|patch(?:es)?"
    r"|number of elements)\b"
    r"|\d+ ?[x×] ?\d{2,}|\d{2,} ?[x×] ?\d",
    re.IGNORECASE,
)
CHANNEL_WORDS = re.compile(  # of torch, on features of an image: their channels do not depend on its size
    r"expected input\[\d+(?:, \d+){3}\] to have \d+ channels|number of channels in input|input channel size",
    re.IGNORECASE,
)


class InputRefusedError(ValueError):
    """A network cannot run on an input. The message names the cause and the cure."""


def run_on_fitting_size(
    model: nn.Module, picture: Rgb, rules: InputRules, run: Callable[[Placement, Tensor], Output]
) -> tuple[Placement, Output]:
    """Run a network on a picture, at the first of the `candidate_placements` that it takes.

    Args:
        model: the network.
        picture: at its own size.
        rules: with a mean and a std, see `InputRules.complete`.
        run: runs it on the input (1, 3, height, width) of a placement, and is called anew for each.

    Returns:
        The placement that the network took, and what `run` returned.

    Raises:
        ExplainedMemoryError: the memory does not suffice at a size that the network did not refuse.
        InputRefusedError: the network fails at each size; the message says how it did at the last.
    """
    like = first_float(model)
    *earlier, last = candidate_placements(model, picture, rules)

    def run_at(placement: Placement) -> tuple[Placement, Output]:
        batch = make_input(picture, placement, rules, like)
        try:
            return placement, run(placement, batch)
        except Exception as error:  # whatever the network's own code raises
            if isinstance(error, ExplainedMemoryError):
                raise
            if is_out_of_memory(error):
                raise lack_of_memory(model, placement) from error
            raise refusal(model, placement, error) from error

    for placement in earlier:
        with suppress(InputRefusedError):
            return run_at(placement)
    return run_at(last)


def first_float(model: nn.Module) -> Tensor | None:
    """The network's first floating-point parameter, which tells device and type of its input; None without any."""
    return next((one for one in model.parameters() if one.is_floating_point()), None)


def call_network(model: nn.Module, batch: Tensor) -> Any:
    """The output of a network that takes its picture by position or, as those of transformers do, by name."""
    args, options = name_input(model, batch)
    return model(*args, **options)


def candidate_placements(model: nn.Module, picture: Rgb, rules: InputRules) -> list[Placement]:
    """How to show the picture, in the order to try: as asked for; else at its own size, then at the network's."""
    shape, own = (picture.shape[0], picture.shape[1]), own_size(model) or rules.trained_size or size_of_part(model)
    sizes = [rules.size] if rules.size is not None or own is None else [None, own]
    return [place_picture(shape, one, rules.multiple or patch_multiple(model), rules.fit) for one in sizes]


def name_input(model: nn.Module, batch: Tensor) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """The arguments of the call: transformers' networks take the picture by name, and interpolate if they are told."""
    names = signature(model.forward).parameters
    if "pixel_values" not in names:
        return (batch,), {}
    options: dict[str, Any] = {"pixel_values": batch}
    if "interpolate_pos_encoding" in names and own_size(model) not in (None, tuple(batch.shape[2:])):
        options["interpolate_pos_encoding"] = True
    return (), options


def lack_of_memory(model: nn.Module, placement: Placement) -> ExplainedMemoryError:
    """The error of a network for which the memory did not suffice."""
    return ExplainedMemoryError(
        f"{type(model).__name__} ran out of memory on an input of 1 x 3 x {placement.seen[0]} x {placement.seen[1]}; "
        f"give it a smaller input: {IN_PYTHON}"
    )


def refusal(model: nn.Module, placement: Placement, error: Exception) -> InputRefusedError:
    """The error of a network that cannot run on the picture."""
    name, cause = type(model).__name__, plain_text(str(error), 300) or type(error).__name__
    if isinstance(error, TypeError) and cause.startswith("record() "):
        return InputRefusedError(f"{name} calls segviz.record with wrong arguments ({cause}); correct the call")
    if isinstance(error, TypeError) and "missing" in cause and "required" in cause:
        return InputRefusedError(
            f"{name} needs more than a picture ({cause}); watch the part that takes the picture, or a module that "
            "gives the rest"
        )
    line = find_line(error)
    where = f" in {line[0]}, line {line[1]}," if line else ""
    cure = "correct the network"
    if may_concern_size(error):
        cure += f", or, if it needs a fixed input size, give that: {IN_PYTHON}"
    return InputRefusedError(
        f"{name} failed{where} on an input of 1 x 3 x {placement.seen[0]} x {placement.seen[1]}: {cause.rstrip('.')}; "
        f"{cure}"
    )


def may_concern_size(error: Exception) -> bool:
    """Whether an input of another size may have been accepted; of an assertion and an index out of range, it may."""
    if isinstance(error, AssertionError | IndexError):
        return True
    words = str(error)
    spoken = SIZE_WORDS.search(words) is not None and CHANNEL_WORDS.search(words) is None
    return isinstance(error, RuntimeError | ValueError) and spoken
