"""Tables made from the checkpoints' own records: checkpoints/MODELS.md, and the README's scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segviz.checkpoint import read_record, sha256
from segviz.record import Record
from segviz.models.registry import CHECKPOINTS, SPECS
from segviz.views.text import percent

HEAD = """# The bundled models

Made from the records inside the files by `python -m segviz models --markdown > checkpoints/MODELS.md`; do not edit.

The models are fine-tuned on CamVid (Brostow et al., Pattern Recognition Letters 2009; 480 x 360, 11 classes,
SegNet's version), whose pictures are for personal and research use, and on segviz's own drawn scenes. The backbone
started from ImageNet weights of MobileNetV2 (Apache-2.0, google-coral/test_data). Scores are mean IoU in percent,
single scale, measured on the float16 file: on CamVid's val split (101 frames), which is more of a training sequence
and so flatters, and on 50 drawn scenes that no training saw. CamVid's test split was not used.
"""


def scores_table(folder: Path = CHECKPOINTS) -> str:
    """The README's table: what each model is, and its two scores."""
    rows = [("Model", "Block", "Paper", "CamVid val mIoU", "Drawn scenes mIoU")]
    for name, record in records(folder).items():
        spec = SPECS[name]
        rows.append((f"`{name}`", spec.title, spec.paper, percent(record.val_miou), percent(record.scenes_miou)))
    return table(rows)


def models_page(folder: Path = CHECKPOINTS) -> str:
    """checkpoints/MODELS.md: scores, how each model was trained, per-class IoU, and the files' sums."""
    found = records(folder)
    parts = [HEAD, "## Scores\n", scores_table(folder), "## Training\n"]
    training: list[tuple[str, ...]] = [
        ("Model", "Steps", "Seed", "Minutes", "Hardware", "Date", "Started from", "Data")
    ]
    for name, one in found.items():
        facts = (one.steps, one.seed, one.minutes, one.hardware, one.date, one.initial, one.data)
        training.append((f"`{name}`", *map(str, facts)))
    parts += [
        table(training),
        "Commands, first those of the common baseline that the models started from:\n",
        "```",
    ]
    parts += list(dict.fromkeys(command for one in found.values() for command in one.lineage))
    parts += [one.command for one in found.values()]
    parts += ["```\n", "Versions: " + versions(found.values()) + ".\n"]
    val = {name: one.iou for name, one in found.items()}
    scenes = {name: one.scenes_iou for name, one in found.items()}
    parts += ["## IoU by class, CamVid val\n", class_table(found, val)]
    parts += ["## IoU by class, drawn scenes\n", class_table(found, scenes)]
    sums = [("File", "Bytes", "SHA-256")]
    for name in found:
        path = folder / f"{name}.safetensors"
        sums.append((f"`{path.name}`", str(path.stat().st_size), f"`{sha256(path)}`"))
    return "\n".join([*parts, "## Files\n", table(sums)]).rstrip() + "\n"


def records(folder: Path) -> dict[str, Record]:
    """The records of the checkpoints that are there, in the table's order."""
    paths = {name: folder / f"{name}.safetensors" for name in SPECS}
    return {name: read_record(path) for name, path in paths.items() if path.is_file()}


def class_table(found: Mapping[str, Record], scores: Mapping[str, Mapping[str, float | None]]) -> str:
    """A row a model, a column a class."""
    classes = next(iter(found.values())).classes if found else ()
    rows = [("Model", *classes)]
    for name in found:
        rows.append((f"`{name}`", *(percent(scores[name].get(one)) for one in classes)))
    return table(rows)


def versions(found: Iterable[Record]) -> str:
    """Each library with the versions that the models were trained with."""
    seen: dict[str, set[str]] = {}
    for record in found:
        for name, number in record.versions.items():
            seen.setdefault(name, set()).add(number)
    return ", ".join(f"{name} {'/'.join(sorted(numbers))}" for name, numbers in sorted(seen.items()))


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Markdown; the first row is the head."""
    head, *body = (" | ".join(row) for row in rows)
    rule = " | ".join("---" for _ in rows[0])
    return "\n".join(f"| {line} |" for line in (head, rule, *body)) + "\n"
