"""The findings in MODELS.md: sentences on what the scores show and what they leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import hypot
from statistics import mean, stdev

from segviz.catalogue.context_worth import NO_LOSS
from segviz.catalogue.record import SCENES, VAL, VAL_WITHOUT_CONTEXT
from segviz.models.registry import MODELS
from segviz.results.gain import gains_over_fcn
from segviz.results.markdown import Rows, as_code, join_names, markdown_table
from segviz.results.seeds import (
    Runs,
    Seeds,
    change_text,
    context_change,
    context_changes,
    format_gammas,
    idle_contexts,
    scores,
    unclear_contexts,
)
from segviz.text import NONE, format_mean

SEEDS_NOTE = (
    "The tables above show mean ± sample standard deviation wherever several seeds have a score. Gammas, costs, "
    "classes, curves\nand files are those of the first seed."
)
RIVALS = ("channel_nl", "spatial_nl", "dual_nl")  # compared with FLA in FLANet's Table 3


def context_section(runs: Runs) -> str:
    """What each trained network loses when the context of its block is switched off."""
    rows: Rows = [("Model", "Gammas", "Val mIoU", "Without context", "Difference, points", "Gain over fcn, points")]
    for name, seeds in runs.items():
        mious = (format_mean(scores(seeds, one), ".2f") for one in (VAL, VAL_WITHOUT_CONTEXT))
        gammas, change = format_gammas(seeds[0], ".3g") or NONE, format_mean(context_changes(seeds), "+z.2f")
        gain = format_mean([*gains_over_fcn(runs, name).values()], "+z.2f")
        rows.append((as_code(name), gammas, *mious, change, gain))
    note = (
        'A gamma is the trained factor of a block\'s context; not every block has one. "Without context" is the same '
        "trained network\nwith its block's context switched off (see segviz/models/ablation.py); `fcn` has no "
        "context.\nThe difference is without minus with: negative where the context helps. One without ± is of one "
        "seed, and its spread is\nunknown. Switching a context off also breaks what was trained together with it, so "
        "the gain over `fcn` of the same seed,\nsteps and data is given too."
    )
    return f"## Do the blocks do anything?\n\n{markdown_table(rows)}\n{note}\n\n{' '.join(context_findings(runs))}\n"


def context_findings(runs: Runs, named: Callable[[str], str] = as_code) -> list[str]:
    """In sentences, which models lose nothing on val by the removal of their context, which lose by it, and which gain.

    A change within its spread between seeds is none of these. Of models that were not seen to lose on val, what the
    drawn scenes say otherwise is added.

    Args:
        runs: the records.
        named: formats the name of a model.
    """
    changes = {name: context_change(seeds) for name, seeds in runs.items() if MODELS[name].maps}
    idle, unclear = idle_contexts(runs), unclear_contexts(runs)
    known = {name: change for name, change in changes.items() if change is not None}
    clear = {name: change for name, change in known.items() if name not in unclear}
    sentences = []
    if idle:
        sentences.append(
            f"The context of {join_names(idle, named)} can be removed without loss on val: mIoU falls by less than "
            f"{NO_LOSS:g} points, or rises ({len(idle)} of {len(known)} blocks). On val, such a model does not need "
            "its context, whatever its maps show."
        )
    elif clear and not unclear:
        sentences.append(f"No block's context can be removed without a loss of {NO_LOSS:g} points of val mIoU or more.")
    if unclear:
        each = join_names((describe_unclear(named(name), runs[name]) for name in unclear), str)
        sentences.append(f"Not measurable on val, because the change lies within its spread between seeds: {each}.")
    if lost := scene_losses(runs, (*idle, *unclear)):
        sentences.append(f"On the drawn scenes, mIoU falls without the context of {format_changes(lost, named)}.")
    if falls := sorted(-change for change in clear.values() if -change >= NO_LOSS):
        extent = f"{falls[0]:.2f} to {falls[-1]:.2f}" if len(falls) > 1 else f"{falls[0]:.2f}"
        whose = f"{len(falls)} of {len(known)} blocks"
        sentences.append(f"Switching the context off costs {whose} {extent} points of val mIoU.")
    if rises := {name: change for name, change in clear.items() if change >= NO_LOSS}:
        sentences.append(f"On val, mIoU rises without the context of {format_changes(rises, named)}.")
    if unknown := [name for name, change in changes.items() if change is None]:
        sentences.append(f"The effect of the context was not measured for {join_names(unknown, named)}.")
    return sentences


def describe_unclear(title: str, seeds: Seeds) -> str:
    """A model's change on val and its spread, as in the tables."""
    changes = context_changes(seeds)
    return f"{title} {change_text(changes)} points ({len(changes)} seeds)"


def scene_losses(runs: Runs, names: Iterable[str]) -> dict[str, float]:
    """What the drawn scenes lose without the context, in points, of those models whose loss is measurable there."""
    unclear = unclear_contexts(runs, SCENES)
    changes = {name: context_change(runs[name], SCENES) for name in names if name not in unclear}
    return {name: -change for name, change in changes.items() if change is not None and -change >= NO_LOSS}


def format_changes(moved: Mapping[str, float], named: Callable[[str], str]) -> str:
    """Models with their changes in points, largest first."""
    ordered = sorted(moved.items(), key=lambda pair: -pair[1])
    return join_names((f"{named(name)} ({points:.2f} points)" for name, points in ordered), str)


def fla_section(runs: Runs) -> str:
    """FLANet's own comparison with the scores measured here, and whether its differences are significant."""
    title = "## FLA beside channel, spatial and dual non-local\n\nFLANet's Table 3 compares these blocks."
    by_model = {name: scores(runs.get(name, ()), VAL) for name in ("fla", *RIVALS)}
    absent = [name for name, own in by_model.items() if not own]
    if absent:
        return (
            f"{title} Here {join_names(absent)} {'has' if len(absent) == 1 else 'have'} no score on val to compare.\n"
        )
    ordered = sorted(by_model.items(), key=lambda pair: -mean(pair[1]))
    order = ", ".join(f"{as_code(name)} {format_mean(own, '.2f')}" for name, own in ordered)
    sentences = [f"{title} Here, by mIoU on val, single scale: {order}."]
    sentences.append(verdict(by_model))
    steps = sorted({runs[name][0].steps for name in by_model})
    if len(steps) > 1:
        sentences.append(f"They were trained for different numbers of steps, {steps[0]} to {steps[-1]}.")
    return "\n".join(sentences) + "\n"


def verdict(by_model: Mapping[str, list[float]]) -> str:
    """Whether the differences are significant: unknown with a single seed, else each with its standard error."""
    if min(map(len, by_model.values())) == 1:
        means = [mean(own) for own in by_model.values()]
        single = [name for name, own in by_model.items() if len(own) == 1]
        whose = "One seed per model" if len(single) == len(by_model) else f"One seed of {join_names(single)}"
        return (
            f"{whose}: the means differ by at most {max(means) - min(means):.2f} points, and the spread between seeds "
            "was not measured, so these\ndifferences cannot be told from chance, and the order is not a ranking."
        )
    sentences = []
    for name in RIVALS:
        gap = mean(by_model["fla"]) - mean(by_model[name])
        error = hypot(*(stdev(by_model[one]) / len(by_model[one]) ** 0.5 for one in ("fla", name)))
        beyond = "more than" if abs(gap) > 2 * error else "at most"
        sentences.append(f"{as_code(name)} by {gap:+.2f} points ({beyond} twice the standard error of {error:.2f})")
    return (
        f"`fla` differs from {'; from '.join(sentences)}.\nA difference of at most twice its standard error "
        "cannot be told from chance; with this few seeds, a larger one is only a hint."
    )


def seeds_section(runs: Runs) -> str:
    """Means and spreads over seeds, or a note that there is only one seed per model."""
    counts = {len(seeds) for seeds in runs.values()}
    if counts == {1}:
        return (
            "## Seeds\n\nOne seed per model. The spread between seeds was not measured, so small differences between "
            "models are not a\nranking.\n"
        )
    rows: Rows = [("Model", "Val mIoU by seed", "Mean ± deviation")]
    for name, seeds in runs.items():
        each = ", ".join(f"{one.seed}: {format_mean(scores([one], VAL), '.2f')}" for one in seeds)
        rows.append((as_code(name), each, format_mean(scores(seeds, VAL), ".2f")))
    return f"## Seeds\n\n{markdown_table(rows)}\n{SEEDS_NOTE}\n"
