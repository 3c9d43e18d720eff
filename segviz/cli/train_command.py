"""`train` and `recipes`: a training by a recipe, and the recipes themselves."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from segviz.catalogue.record import Record
from segviz.cli.errors import UsageError
from segviz.cli.unused_options import TRAIN_RULES, refuse_unused
from segviz.data.readers.table import find_layout
from segviz.models.registry import read_options
from segviz.text import format_percent, format_table
from segviz.training.loop import train_model
from segviz.training.options import TrainOptions
from segviz.training.processes import process_count, process_index
from segviz.training.recipes import DATA_TITLES, RECIPES, TrainingRecipe, format_setting

EVERY_SET = "all"


def run_train(options: argparse.Namespace) -> int:
    """Train a network, write its checkpoint and print its scores."""
    out = options.out or Path("checkpoints") / f"{options.model}.safetensors"
    if out.is_dir() or out.suffix != ".safetensors":
        raise UsageError(f"--out {out} is not a checkpoint file; use a name that ends in .safetensors")
    record = train_model(resolve_training(options, out))
    if process_index():
        return 0
    scenes = f", scenes mIoU {format_percent(record.scenes_miou)}" if record.scenes_miou is not None else ""
    print(f"{out}: {describe_length(record)}, val mIoU {format_percent(record.val_miou)}{scenes}")
    return 0


def describe_length(record: Record) -> str:
    """How long a training was, such as "400 steps in 9.5 minutes"."""
    minutes = f"{record.minutes:g} minute{'' if record.minutes == 1 else 's'}" if record.minutes else "a few seconds"
    return f"{record.steps} step{'' if record.steps == 1 else 's'} in {minutes}"


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
    refuse_unused(options, TRAIN_RULES)
    if recipe.settings and process_index() == 0:
        title = DATA_TITLES[recipe.choose(layout)]
        print(f"segviz: recipe {recipe.name} ({recipe.title}) as for {title}", file=sys.stderr)
    values = {one.name: getattr(options, one.name) for one in fields(TrainOptions) if hasattr(options, one.name)}
    if values["auxiliary"] is None:
        del values["auxiliary"]
    else:
        values["auxiliary"] = dict(values["auxiliary"])
    values |= {"out": out, "crop": (options.crop[0], options.crop[1]), "command": full_command(options.typed)}
    return TrainOptions(**{**values, "options": read_options(options.model, options.option)})


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
        for name, setting in recipe.resolve(data_set).items():
            which = title if name in recipe.by_data.get(recipe.choose(data_set), {}) else EVERY_SET
            yield *type_option(name, setting.value), which, setting.source
        return
    dependent = {name for settings in recipe.by_data.values() for name in settings}
    for name, setting in recipe.settings.items():
        which = "others" if name in dependent else EVERY_SET
        for layout, settings in recipe.by_data.items():
            if name in settings:
                own = settings[name]
                yield *type_option(name, own.value), DATA_TITLES[layout], own.source
        yield *type_option(name, setting.value), which, setting.source


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
