"""In how many parts a batch is processed, and whether BatchNorm has enough values in each of them."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from segviz.data.sample import DataError
from segviz.text import count_words
from segviz.training.auxiliary import run_with_features
from segviz.training.options import TrainOptions
from segviz.training.processes import Processes


def smallest_part(pictures: int, parts: int) -> int:
    """The pictures of the smallest of so many parts of a batch."""
    return len(torch.empty(pictures, 0).chunk(parts)[-1])


def is_single_value(error: ValueError) -> bool:
    """Whether an error is BatchNorm's, which has one value for each channel and so no deviation."""
    return "more than 1 value per channel" in str(error)


def check_norms(networks: nn.ModuleDict, options: TrainOptions, processes: Processes) -> None:
    """Check before the first step that every BatchNorm will have several values for each channel.

    In several processes, BatchNorm sees the pictures of all, so that it has as many values at least.

    Args:
        networks: "model", and its auxiliary "heads", in the mode in which they are trained.
        options: of the training.
        processes: those that share each batch.

    Raises:
        DataError: one of them would not, because one picture is processed alone.
    """
    if processes.count > 1 or smallest_part(options.batch, options.parts) > 1:
        return
    if not has_single_values(networks, options.crop):
        return
    stride = networks["model"].output_stride
    larger = (2 * options.crop[0], 2 * options.crop[1])
    cures = ["a larger --batch", *(["fewer --parts"] if options.parts > 1 else [])]
    if not has_single_values(networks, larger):
        cures += ["a larger --crop", "a smaller --output-stride"]
    raise DataError(
        f"BatchNorm needs several values for each channel, but with a batch of {options.batch}"
        f"{f' in {options.parts} parts' if options.parts > 1 else ''}, a crop of {options.crop[0]} x {options.crop[1]} "
        f"and output stride {stride}, one picture alone leaves only one in some layer; use {' or '.join(cures)}"
    )


def has_single_values(networks: nn.ModuleDict, crop: tuple[int, int]) -> bool:
    """Whether one picture of (height, width) leaves a BatchNorm one value for each channel; computes only shapes."""
    shapes = deepcopy(networks).to("meta")
    try:
        with torch.no_grad():
            _, features = run_with_features(shapes["model"], torch.empty(1, 3, *crop, device="meta"))  # type: ignore[arg-type]
            for point, head in shapes["heads"].items():  # type: ignore[operator]
                head(features[point])
    except ValueError as error:
        if is_single_value(error):
            return True
        raise
    return False


def describe_single_value(options: TrainOptions, parts: int) -> str:
    """What to do where BatchNorm has one value for each channel after the parts were halved for want of memory."""
    at_once = "one picture at a time" if parts > options.parts else "one value for each channel"
    return (
        f"BatchNorm cannot normalise over {at_once}, with a batch of {options.batch} in {parts} parts and a crop of "
        f"{options.crop[0]} x {options.crop[1]}; use a smaller --crop, or several GPUs with torchrun"
    )


def describe_halving(reason: str, pictures: int, processes: Processes) -> str:
    """What changes where memory is short.

    Args:
        reason: who ran out of memory.
        pictures: those that a process will have at a time.
        processes: those that share each batch.
    """
    each = " in each process" if processes.count > 1 else ""
    some = f"{count_words(pictures, 'picture')} at a time{each}"
    return (
        f"{reason}: from now on each batch is processed {some}, and "
        "BatchNorm normalises over these instead of the whole batch"
    )
