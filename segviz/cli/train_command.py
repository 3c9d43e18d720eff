"""`train` and `recipes`: a training by a recipe, and the recipes themselves."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

from segviz.catalogue.record import Record
from segviz.cli.errors import UsageError
from segviz.cli.unused_options import TRAIN_RULES, refuse_unused
from segviz.data.classes import CAMVID
from segviz.data.open_data_set import open_data_set
from segviz.data.readers.table import find_layout
from segviz.data.sample import DataError
from segviz.evaluation.protocols import ScoringProtocol
from segviz.models.options import OptionValue, format_options
from segviz.models.registry import own_body, read_options, resolve_network
from segviz.paper_tables.commands import COMMAND_START
from segviz.paper_tables.description import ScoreColumn
from segviz.paper_tables.showing import follow_protocol, words_for_protocol
from segviz.text import count_words, format_percent, format_table
from segviz.training.imagenet import UNTRAINED_BODIES
from segviz.training.loop import train_model
from segviz.training.options import TrainOptions
from segviz.training.processes import process_count, process_index
from segviz.training.recipes import DATA_TITLES, OTHER, RECIPES, TrainingRecipe, format_setting

EVERY_SET = "all"


def run_train(options: argparse.Namespace) -> int:
    """Train a network, write its checkpoint and print its scores.

    Raises:
        UsageError: `--out` is no name of a checkpoint, or options exclude each other.
    """
    out = options.out or Path("checkpoints") / f"{options.model}.safetensors"
    if out.is_dir() or out.suffix != ".safetensors":
        raise UsageError(f"--out {out} is not a checkpoint file; use a name that ends in .safetensors")
    training = resolve_training(options, out)
    record = train_model(training)
    if process_index():
        return 0
    scenes = f", scenes mIoU {format_percent(record.scenes_miou)}" if record.scenes_miou is not None else ""
    of_paper = bool(RECIPES[training.recipe].settings)
    shown = " (whole pictures at their own size, at one scale)" if of_paper else ""
    print(f"{out}: {describe_length(record)}, val mIoU {format_percent(record.val_miou)}{shown}{scenes}")
    if told := describe_protocol_of_paper(training) if of_paper else "":
        print(told)
    return 0


def describe_protocol_of_paper(training: TrainOptions) -> str:
    """The command that scores a training by its paper's protocol; empty if that shows whole pictures at their own size.

    A training of whole days is scored at its end in the cheapest way, so that a fault there is seen at once.
    """
    layout = find_layout(training.data) or OTHER
    protocol = follow_protocol(training.recipe, ScoreColumn({"context": "context59"}.get(layout, layout)))
    if protocol.crop:
        protocol = replace(protocol, crop=training.crop)
    if protocol == ScoringProtocol():
        return ""
    words = [*COMMAND_START, "evaluate", "--model", str(training.out), "--data", str(training.data)]
    words += ["--class-map", str(training.class_map)] if training.class_map else []
    title = RECIPES[training.recipe].title
    return f"to score it by the protocol of {title}: {shlex.join([*words, '--record', *words_for_protocol(protocol)])}"


def describe_length(record: Record) -> str:
    """How long a training was, such as "400 steps in 9.5 minutes"."""
    minutes = count_words(float(record.minutes), "minute") if record.minutes else "a few seconds"
    return f"{count_words(record.steps, 'step')} in {minutes}"


def resolve_training(options: argparse.Namespace, out: Path) -> TrainOptions:
    """What was typed; for the rest the recipe's settings for this data set, and the defaults.

    Raises:
        UsageError: an option that was typed has no effect, or contradicts another.
    """
    if {"steps", "epochs"} <= options.given:
        raise UsageError("--steps and --epochs both say how long to train; give one of them")
    recipe, layout = RECIPES[options.recipe], find_layout(options.data)
    for name, setting in recipe.resolve(layout).items():
        typed_instead = "steps" if name == "epochs" else "epochs" if name == "steps" else name
        if name not in options.given and typed_instead not in options.given:
            setattr(options, name, setting.value)
    if "scenes" not in options.given and options.scenes and not has_classes_of_scenes(options):
        options.scenes = 0
        tell("drawn scenes have CamVid's classes, which this data set lacks, so none are mixed in")
    refuse_unused(options, TRAIN_RULES)
    if recipe.settings:
        tell(f"recipe {recipe.name} ({recipe.title}) as for {DATA_TITLES[recipe.choose(layout)]}")
    network = add_network_options(recipe, layout, options.model, read_options(options.model, options.option))
    body = options.backbone or own_body(options.model)[0]
    if recipe.start and options.init is None and not options.resume and body not in UNTRAINED_BODIES:
        tell(
            f"{recipe.title} starts from ImageNet weights ({recipe.start.source}), this training from random ones; "
            "add --init imagenet"
        )
    values = {one.name: getattr(options, one.name) for one in fields(TrainOptions) if hasattr(options, one.name)}
    if values["auxiliary"] is None:
        del values["auxiliary"]
    else:
        values["auxiliary"] = dict(values["auxiliary"])
    values |= {"out": out, "crop": (options.crop[0], options.crop[1]), "command": full_command(options.typed)}
    return TrainOptions(**{**values, "options": network})


def tell(text: str) -> None:
    """Say something once, whatever the number of processes."""
    if process_index() == 0:
        print(f"segviz: {text}", file=sys.stderr)


def has_classes_of_scenes(options: argparse.Namespace) -> bool:
    """Whether data have CamVid's classes; also where they cannot be read, which the training says."""
    try:
        return open_data_set(options.data, options.class_map).classes.names == CAMVID.names
    except DataError:
        return True


def add_network_options(
    recipe: TrainingRecipe, layout: str | None, model: str, given: dict[str, OptionValue]
) -> dict[str, OptionValue]:
    """The options of a network that were given, and those that a recipe has for a data set; says which it added.

    Raises:
        NetworkOptionError: there is no such option or value, or it has no effect on the chosen block.
    """
    known = resolve_network(model, given)
    found = {name: one for name, one in recipe.resolve_network_options(layout).items() if name in known}
    added = {
        name: cast(OptionValue, one.value)
        for name, one in found.items()
        if name not in given and known[name] != one.value
    }
    for name, value in added.items():
        title = DATA_TITLES[recipe.choose(layout)]
        tell(f"--option {format_options({name: value})} as for {title}: {found[name].source}")
    return {**given, **added}


def full_command(typed: str) -> str:
    """The command as it was typed, with `torchrun` where it started several processes."""
    count = process_count()
    if count == 1:
        return typed
    return typed.replace("python -m segviz", f"torchrun --nproc_per_node {count} -m segviz", 1)


def run_recipes(options: argparse.Namespace) -> int:
    """Print recipes: each setting with its source, and what the paper does not give."""
    recipes = [RECIPES[name] for name in options.names or RECIPES]
    if options.json:
        print(json.dumps([describe_recipe(one, options.data_set) for one in recipes], indent=2))
        return 0
    for number, recipe in enumerate(recipes):
        print(("\n" if number else "") + f"{recipe.name}: {recipe.title}")
        rows = [list(row) for row in recipe_rows(recipe, options.data_set)]
        if rows:
            print(format_table(["option", "value", "data set", "source"], rows))
        else:
            print("The defaults of `train`; `train --help` lists them.")
        for note in recipe.notes:
            print(f"- {note}")
    return 0


def recipe_rows(recipe: TrainingRecipe, data_set: str | None) -> Iterator[tuple[str, str, str, str]]:
    """Option, value, data set and source of each setting; of all data sets, if none is chosen."""
    if data_set is not None:
        title = DATA_TITLES[recipe.choose(data_set)]
        yield from network_rows(recipe, data_set)
        for name, setting in recipe.resolve(data_set).items():
            which = title if name in recipe.by_data.get(recipe.choose(data_set), {}) else EVERY_SET
            yield *type_option(name, setting.value), which, setting.source
        return
    yield from network_rows(recipe, None)
    dependent = {name for settings in recipe.by_data.values() for name in settings}
    for name, setting in recipe.settings.items():
        which = "others" if name in dependent else EVERY_SET
        for layout, settings in recipe.by_data.items():
            if name in settings:
                own = settings[name]
                yield *type_option(name, own.value), DATA_TITLES[layout], own.source
        yield *type_option(name, setting.value), which, setting.source


def network_rows(recipe: TrainingRecipe, data_set: str | None) -> Iterator[tuple[str, str, str, str]]:
    """Those of the initial weights and of the network's options."""
    if recipe.start:
        yield "--init", str(recipe.start.value), EVERY_SET, f"{recipe.start.source}; to be typed"
    for layout, settings in recipe.network.items():
        if data_set is None or layout == recipe.choose(data_set):
            for name, one in settings.items():
                title = "others" if data_set is None and layout == OTHER else DATA_TITLES[layout]
                yield "--option", f"{name}={format_setting(one.value)}", title, one.source


def describe_recipe(recipe: TrainingRecipe, data_set: str | None) -> dict[str, object]:
    """A recipe as JSON has it."""
    keys = ("option", "value", "data_set", "source")
    rows = [dict(zip(keys, row, strict=True)) for row in recipe_rows(recipe, data_set)]
    return {"name": recipe.name, "title": recipe.title, "settings": rows, "notes": list(recipe.notes)}


def type_option(field: str, value: object) -> tuple[str, str]:
    """A field of `TrainOptions` and its value as they are typed; a switch has no value, nor has an empty list."""
    option = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}", ""
    return f"--{option}", format_setting(value) if value != {} else ""
