"""Options that would have no effect are refused: whoever types one expects something of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from segviz.cli.arguments import file_suffix
from segviz.cli.errors import UsageError

DRAWN_FORMATS = ("png", "svg", "pdf")
MAP_FIGURES = ("atta-9", "psa-3", "psa-6", "snl", "compare")  # figures that draw weights on a scale
CLASS_FIGURES = ("fla-5", "atta-6", "atta-7", "psa-5")


@dataclass(frozen=True)
class Rule:
    """When an option has an effect.

    Attributes:
        option: as it is typed.
        has_effect: whether it has one beside the other options.
        reason: why it has none otherwise, and the cure.
    """

    option: str
    has_effect: Callable[[argparse.Namespace], bool]
    reason: str


def formats_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The file formats that `attend` and `figure` write."""
    suffix = file_suffix(options.out)
    if suffix in (*DRAWN_FORMATS, "npz", "csv") and not options.out.is_dir():
        return (suffix,)
    return tuple(getattr(options, "format", ()))


def draws(options: argparse.Namespace) -> bool:
    """Whether a picture is among the files to write."""
    return any(form in DRAWN_FORMATS for form in formats_of(options))


def writes_files(options: argparse.Namespace) -> bool:
    """Whether `watch` has a target for files."""
    return options.out is not None or options.zip is not None


def is_figure(*names: str) -> Callable[[argparse.Namespace], bool]:
    """A function that says whether `figure` draws one of the figures."""
    return lambda options: options.name in names


MEASURED_ALREADY = "is for a new measurement, and --measured reads an earlier one; remove one of them"
PICTURES_ONLY = "changes pictures, and none is written here; name a .png, .svg or .pdf, or remove it"
NO_FILES = "changes files, and none is written here; name --out DIR or --zip FILE, or remove it"
NO_NUMBERS = "changes maps, and the table has none; name --out DIR, --zip FILE or --json, or remove it"
PNG_ONLY = "changes PNGs, and none is written here; remove it"
WORKERS_RULE = Rule("--workers", lambda one: one.ray is not None, "are those of a cluster; give --ray, or remove it")
STEP_RULE = Rule("--step", lambda one: not one.whole, "needs crops, and --whole shows none; remove one of them")
RULES: Mapping[str, Mapping[str, Rule]] = MappingProxyType({
    "bench models": {
        "rounds": Rule(
            "--rounds", lambda one: not one.count, "times, and --count runs nothing; remove one of them"
        ),
    },
    "bench engine": {
        "forward_ms": Rule("--forward-ms", lambda one: bool(one.plan), "belongs to --plan; give --plan GPUS"),
        **{
            option.removeprefix("--"): Rule(option, lambda one: one.measured is None, MEASURED_ALREADY)
            for option in ("--size", "--rounds", "--backends", "--model", "--seconds", "--visitors")
        },
    },
    "attend": {
        "workers": WORKERS_RULE,
        "format": Rule(
            "--format", lambda one: set(one.format) == set(formats_of(one)),
            "differs from the suffix of --out, which names one file; name a folder, or remove --format",
        ),
        "size": Rule("--size", lambda one: "png" in formats_of(one), PNG_ONLY),
        "page": Rule("--page", draws, PICTURES_ONLY),
        "colours": Rule("--colours", draws, PICTURES_ONLY),
    },
    "watch": {
        "at": Rule("--at", lambda one: writes_files(one) or one.json, NO_NUMBERS),
        "head": Rule("--head", lambda one: writes_files(one) or one.json, NO_NUMBERS),
        "format": Rule("--format", writes_files, NO_FILES),
        "size": Rule("--size", lambda one: writes_files(one) and "png" in one.format, PNG_ONLY),
        "scale": Rule("--scale", writes_files, NO_FILES),
        "colours": Rule("--colours", writes_files, NO_FILES),
    },
    "figure": {
        "at": Rule(
            "--at", lambda one: one.name not in ("fla-6", "atta-1") and not one.columns,
            "chooses nothing here: fla-6 shows whole pictures, atta-1 none, and --columns names places; remove it",
        ),
        "feature": Rule("--feature", is_figure("fla-6"), "belongs to fla-6; remove it"),
        "scale": Rule("--scale", is_figure(*MAP_FIGURES), f"belongs to {', '.join(MAP_FIGURES)}; remove it"),
        "shared_scale": Rule(
            "--shared-scale", is_figure("psa-6", "compare"), "belongs to psa-6 and compare; remove it"
        ),
        "colours": Rule(
            "--colours", lambda one: one.name not in (*CLASS_FIGURES, "atta-1") and draws(one),
            "changes pictures of maps, and none is written here; remove it",
        ),
        "width": Rule("--width", draws, PICTURES_ONLY),
        "letters": Rule("--no-letters", draws, PICTURES_ONLY),
        "device": Rule("--device", lambda one: one.name != "atta-1", "runs models, and atta-1 runs none; remove it"),
        "caption": Rule("--caption", draws, PICTURES_ONLY),
        "size": Rule("--size", lambda one: "png" in formats_of(one), PNG_ONLY),
    },
    "predict": {
        "workers": WORKERS_RULE,
        "class_map": Rule("--class-map", lambda one: one.split is not None, "needs a data set; give --split NAME"),
        "step": STEP_RULE,
    },
    "evaluate": {
        "workers": WORKERS_RULE,
        "class_map": Rule("--class-map", lambda one: one.data is not None, "needs a data set; give --data DIR"),
        "skip_damaged": Rule("--skip-damaged", lambda one: one.data is not None, "needs a data set; give --data DIR"),
        "split": Rule("--split", lambda one: one.data is not None, "needs a data set; give --data DIR, or remove it"),
        "step": STEP_RULE,
    },
    "table": {
        "measure": Rule("--measure", lambda one: not one.commands, "does nothing with --commands; remove one of them"),
        "size": Rule("--size", lambda one: not one.commands, "has no effect with --commands; remove one of them"),
        "device": Rule(
            "--device", lambda one: (one.measure or one.data) and not one.commands,
            "has an effect only where networks run; give --measure or --data DIR, or remove it",
        ),
    },
})  # fmt: skip
# Those of `train` hold once its recipe has set what was not typed.
TRAIN_RULES: Mapping[str, Rule] = MappingProxyType({
    "gamma": Rule("--gamma", lambda one: one.init is not None, "needs weights to start from; give --init FILE"),
    "scene_share": Rule(
        "--scene-share", lambda one: one.scenes > 0, "needs drawn scenes; give --scenes N, or remove it"
    ),
    "validate": Rule(
        "--validate", lambda one: one.epochs is not None or one.validate < one.steps,
        "comes after the last step, which is scored anyway; use fewer steps, or 0",
    ),
    "momentum": Rule("--momentum", lambda one: one.optimizer == "sgd", "belongs to sgd; give --optimizer sgd"),
    "auxiliary_width": Rule(
        "--auxiliary-width", lambda one: has_convolution(one.auxiliary),
        "belongs to auxiliary losses other than that on the context; give --auxiliary middle=0.4, or remove it",
    ),
    "auxiliary_stride": Rule(
        "--auxiliary-stride", lambda one: one.auxiliary is None or bool(dict(one.auxiliary)),
        "needs auxiliary losses; give --auxiliary middle=0.4, or remove it",
    ),
})  # fmt: skip


def has_convolution(auxiliary: Mapping[str, float] | list[tuple[str, float]] | None) -> bool:
    """Whether one of the auxiliary losses has a classifier with a convolution; None is the default, which has."""
    return auxiliary is None or bool(set(dict(auxiliary)) - {"context"})


def refuse_unused(options: argparse.Namespace, rules: Mapping[str, Rule] | None = None) -> None:
    """Refuse an option that was typed and has no effect; `options.given` has the names of those that were typed.

    Args:
        options: the command line.
        rules: by option; by default the command's in `RULES`, or its subject's.

    Raises:
        UsageError: the message names the option and the cure.
    """
    command = " ".join(filter(None, (options.subcommand, getattr(options, "subject", ""))))
    for name, rule in (RULES.get(command, {}) if rules is None else rules).items():
        if name in options.given and not rule.has_effect(options):
            raise UsageError(f"{rule.option} {rule.reason}")
