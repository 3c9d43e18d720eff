"""What the scores say and what they leave open, in sentences made from the numbers: MODELS.md's findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import hypot
from statistics import mean, stdev

from segviz.catalogue.record import VAL, VAL_WITHOUT_CONTEXT, Record
from segviz.models.registry import SPECS
from segviz.results.markdown import Rows, as_code, join_names, markdown_table
from segviz.results.seeds import NO_LOSS, Runs, context_change, context_changes, idle_contexts, scores
from segviz.text import NONE, format_mean

SEEDS_NOTE = (
    "Where several seeds have a score, the tables above show their mean ± sample standard deviation. Gammas, costs, "
    "classes, curves\nand files are of the first seed."
)
RIVALS = ("channel_nl", "spatial_nl", "dual_nl")  # of FLANet's Table 3


def context_section(runs: Runs) -> str:
    """What each trained network loses when its block's context is switched off."""
    rows: Rows = [("Model", "Gammas", "Val mIoU", "Without context", "Difference, points")]
    for name, found in runs.items():
        mious = (format_mean(scores(found, one), ".2f") for one in (VAL, VAL_WITHOUT_CONTEXT))
        rows.append((as_code(name), format_gammas(found[0]), *mious, format_mean(context_changes(found), "+z.2f")))
    note = (
        "A gamma is the trained factor on a block's context; not every block has one. Without context, the same "
        "trained network runs\nwith its block's context switched off (how, stands in segviz/models/ablation.py); `fcn` "
        "was trained without any.\nThe difference is without minus with: negative where the context helps."
    )
    return f"## Do the blocks do anything?\n\n{markdown_table(rows)}\n{note}\n\n{context_finding(runs)}\n"


def context_finding(runs: Runs, named: Callable[[str], str] = as_code) -> str:
    """Whose context can go without loss, whose cannot, and whose harms.

    Args:
        runs: the records.
        named: how a model is called.
    """
    changes = {name: context_change(found) for name, found in runs.items() if SPECS[name].maps}
    known = {name: change for name, change in changes.items() if change is not None}
    idle = idle_contexts(runs)
    told = []
    if idle:
        told.append(
            f"The context of {join_names(idle, named)} can be removed without loss: val mIoU changes by less than "
            f"{NO_LOSS:g} points ({len(idle)} of {len(known)} blocks); such a model hardly uses what "
            "its maps show."
        )
    elif known:
        told.append(f"No block's context can be removed without a change of {NO_LOSS:g} points or more in val mIoU.")
    for words, sign in (("Removing it costs", -1), ("Removing it gains", 1)):
        moved = {name: sign * change for name, change in known.items() if sign * change >= NO_LOSS}
        if moved:
            told.append(f"{words} {format_changes(moved, named)} points.")
    if unknown := [name for name, change in changes.items() if change is None]:
        told.append(f"What the context is worth was not measured for {join_names(unknown, named)}.")
    return " ".join(told)


def format_gammas(record: Record) -> str:
    """A block's factors, each with its part's name where there are several."""
    named = {name.removesuffix("gamma").strip(".").rpartition(".")[2]: value for name, value in record.gammas.items()}
    if len(named) == 1:
        return f"{next(iter(named.values())):.3g}"
    return ", ".join(f"{name} {value:.3g}" for name, value in named.items()) or NONE


def format_changes(moved: Mapping[str, float], named: Callable[[str], str]) -> str:
    """Models with their points, the largest first."""
    ordered = sorted(moved.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{named(name)} {points:.2f}" for name, points in ordered)


def fla_section(runs: Runs) -> str:
    """FLANet's own comparison, as it came out here, and whether it says anything."""
    title = "## FLA beside channel, spatial and dual non-local\n\nFLANet's Table 3 compares these blocks."
    found = {name: scores(runs.get(name, ()), VAL) for name in ("fla", *RIVALS)}
    absent = [name for name, own in found.items() if not own]
    if absent:
        return (
            f"{title} Here {join_names(absent)} {'has' if len(absent) == 1 else 'have'} no score on val to compare.\n"
        )
    ordered = sorted(found.items(), key=lambda pair: -mean(pair[1]))
    order = ", ".join(f"{as_code(name)} {format_mean(own, '.2f')}" for name, own in ordered)
    told = [f"{title} Here, by mIoU on val, single scale: {order}."]
    told.append(verdict(found))
    steps = sorted({runs[name][0].steps for name in found})
    if len(steps) > 1:
        told.append(
            f"They were trained for {' to '.join(map(str, (steps[0], steps[-1])))} steps, not for equally many."
        )
    return "\n".join(told) + "\n"


def verdict(found: Mapping[str, list[float]]) -> str:
    """What the differences can bear: nothing with one seed, else each beside its standard error."""
    if min(map(len, found.values())) == 1:
        means = [mean(own) for own in found.values()]
        single = [name for name, own in found.items() if len(own) == 1]
        whose = "One seed a model" if len(single) == len(found) else f"One seed of {join_names(single)}"
        return (
            f"{whose}: the means lie within {max(means) - min(means):.2f} points, and how far two seeds of one model "
            "lie apart was not measured, so these\ndifferences cannot be told from chance, and the order is no ranking."
        )
    told = []
    for name in RIVALS:
        gap = mean(found["fla"]) - mean(found[name])
        error = hypot(*(stdev(found[one]) / len(found[one]) ** 0.5 for one in ("fla", name)))
        beyond = "more than" if abs(gap) > 2 * error else "not more than"
        told.append(f"{as_code(name)} by {gap:+.2f} points ({beyond} twice the standard error of {error:.2f})")
    return (
        f"`fla` differs from {'; from '.join(told)}.\nA difference of not more than twice its standard error cannot be "
        "told from chance; with this few seeds a larger one is a hint."
    )


def seeds_section(runs: Runs) -> str:
    """Means and spreads over seeds, or that there is but one."""
    counts = {len(found) for found in runs.values()}
    if counts == {1}:
        return (
            "## Seeds\n\nOne seed a model. How much a score changes from seed to seed was not measured: small "
            "differences between models are no\nranking.\n"
        )
    rows: Rows = [("Model", "Val mIoU by seed", "Mean ± deviation")]
    for name, found in runs.items():
        each = ", ".join(f"{one.seed}: {format_mean(scores([one], VAL), '.2f')}" for one in found)
        rows.append((as_code(name), each, format_mean(scores(found, VAL), ".2f")))
    return f"## Seeds\n\n{markdown_table(rows)}\n{SEEDS_NOTE}\n"
