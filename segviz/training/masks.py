"""The masks of PSA follow the crops of a training: made for them where nothing was given, else compared with them."""

from __future__ import annotations

from dataclasses import replace

from segviz.models.block_kinds import FITTING, complete_settings
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import write_setting
from segviz.models.registry import resolve_network, row_of
from segviz.training.options import TrainOptions


def fit_masks(options: TrainOptions) -> TrainOptions:
    """The options, in which masks of a paper's network that were left at their default cover the training's crops.

    The eleven models keep the masks of their row, in whose reach they train on crops of any size.

    Raises:
        NetworkOptionError: there is no such option of the network, or no such value.
    """
    given = options.options.get("mask", FITTING)
    needed = needed_mask(options)
    if options.model not in NETWORKS or needed is None or given != FITTING:
        return options
    return replace(options, options={**options.options, "mask": needed})


def needed_mask(options: TrainOptions) -> tuple[int, int] | None:
    """Rows and columns of the masks that just cover the grid of the training's crops; None without PSA."""
    settings = resolve_network(options.model, options.options)
    if "mask" not in settings:
        return None
    stride = options.output_stride or row_of(options.model).output_stride
    if options.model in NETWORKS:
        stride //= NETWORKS[options.model].skeleton.finer
    rows, columns = read_sides(complete_settings("psa", {**settings, "mask": FITTING}, options.crop, stride)["mask"])
    return rows, columns


def describe_masks(options: TrainOptions) -> str:
    """A sentence about masks that do not cover the grid of the training's crops; empty if they do.

    Raises:
        ValueError: compact masks are of another grid than the crops'.
    """
    needed = needed_mask(options)
    if needed is None:
        return ""
    settings = resolve_network(options.model, options.options)
    rows, columns = read_sides(settings["mask"])
    have, need, crop = (f"{height} x {width}" for height, width in ((rows, columns), needed, options.crop))
    if settings["compact"] and (rows, columns) != needed:
        raise ValueError(
            f"compact masks of {have} cells serve one grid, and crops of {crop} need {need}; give "
            f"--option mask={write_setting(needed)}, or another --crop"
        )
    if rows >= needed[0] and columns >= needed[1]:
        return ""
    beyond = "no weight" if settings["outside"] == "unseen" else "the logit 0"
    return (
        f"masks of {have} cells do not cover crops of {crop}, which need {need}: cells beyond them have {beyond}; "
        f"--option mask={write_setting(needed)} covers them"
    )


def read_sides(value: object) -> tuple[int, int]:
    """The two sides of a mask."""
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1])
