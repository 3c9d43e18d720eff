"""How the checkpoints were trained: MODELS.md's commands, learning curves, full recipe, and checksums."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.record import VAL_MULTI_SCALE, Record
from segviz.models.registry import MODELS
from segviz.results.markdown import Rows, as_code, distinct, escape_cell, markdown_table
from segviz.results.seeds import SEEDS_FOLDER, Runs
from segviz.text import NONE

TRAIN = "python -m segviz train --model $model --data camvid --init weights/mobilenetv2_100.imagenet.safetensors"
SCORE_COMMAND = (
    "python -m segviz evaluate --data camvid --multi-scale --scales 0.75,1,1.25 --without-context"  # the table's
)
EVALUATE = f"{SCORE_COMMAND} --scenes 50 --record --model"
FULL_RUN = f"""for model in {" ".join(MODELS)}; do
  {TRAIN} --seed 0
  for seed in 1 2; do
    run=$model-seed$seed
    {TRAIN} --seed $seed --out out/$run.safetensors
    {EVALUATE} out/$run.safetensors
    python -m segviz models --record-of out/$run.safetensors > checkpoints/{SEEDS_FOLDER}/$run.json
  done
done
{EVALUATE} all"""


def measure_command(record: Record) -> str:
    """The command that measures a model's scores on val again: at the scales, and by the flips, of its record."""
    many = record.evaluations.get(VAL_MULTI_SCALE)
    scales = "" if many is None else f" --multi-scale --scales {','.join(f'{one:g}' for one in many.scales)}"
    return f"python -m segviz evaluate --model {record.model} --data camvid{scales} --without-context"


def training_section(runs: Runs) -> str:
    """The training of each file: facts, commands with those of its ancestors, library versions."""
    rows: Rows = [("Model", "Seed", "Steps", "Minutes", "Hardware", "Date", "Started from", "Data")]
    everyone = [one for seeds in runs.values() for one in seeds]
    for one in everyone:
        facts = (one.seed, one.steps, f"{one.minutes:g}", one.hardware, one.date, one.initial, one.data)
        rows.append((as_code(one.model), *(escape_cell(str(fact)) or NONE for fact in facts)))
    lineage = distinct(command for one in everyone for command in one.lineage)
    parts = [f"## Training\n\n{markdown_table(rows)}"]
    if lineage:
        parts.append(f"Commands of the checkpoints that these started from, oldest first:\n\n{code_block(lineage)}")
    parts.append(f"Commands:\n\n{code_block(one.command for one in everyone if one.command)}")
    parts.append(f"Versions: {versions(everyone) or NONE}.\n")
    return "\n".join(parts)


def curves_section(runs: Runs, folder: Path) -> str:
    """Links to the learning curves."""
    names = [f"{name}.csv" for name in runs]
    there = [f"[{name}]({name})" for name in names if (folder / name).is_file()]
    absent = [name for name in names if not (folder / name).is_file()]
    lines = [f"Steps, minutes, learning rate, loss and val mIoU: {', '.join(there)}."] if there else []
    lines += [f"Not kept: {', '.join(absent)}."] if absent else []
    return "## Learning curves\n\n" + "\n".join(lines) + "\n"


def full_run_section() -> str:
    """The commands that train every model with the full recipe and three seeds."""
    return (
        "## Full run\n\nThe defaults of `train` are the full recipe; on a GPU, every model with three seeds:\n\n"
        f"{code_block([FULL_RUN])}\nOnly the records of further seeds are kept, without weights; they enter this page "
        "as means over seeds.\n"
    )


def files_section(folder: Path, runs: Runs) -> str:
    """The size and checksum of each file."""
    files = [folder / f"{name}.safetensors" for name in runs]
    rows: Rows = [("File", "Bytes", "SHA-256")]
    rows += [(as_code(one.name), str(one.stat().st_size), as_code(file_digest(one))) for one in files]
    return f"## Files\n\n{markdown_table(rows)}"


def versions(records: Iterable[Record]) -> str:
    """Each library with the versions used for training."""
    seen: dict[str, set[str]] = {}
    for record in records:
        for name, number in record.versions.items():
            seen.setdefault(name, set()).add(number)
    return ", ".join(f"{name} {'/'.join(sorted(numbers))}" for name, numbers in sorted(seen.items()))


def code_block(lines: Iterable[str]) -> str:
    """The lines as a code block."""
    return "\n".join(("```", *lines, "```")) + "\n"
