"""checkpoints/MODELS.md and the README's table of scores, made from the checkpoints' own records."""

from __future__ import annotations

from pathlib import Path

from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation
from segviz.evaluation.metrics import BOUNDARY_WIDTH
from segviz.models.registry import SPECS
from segviz.results.findings import context_section, fla_section, seeds_section
from segviz.results.how_trained import curves_section, files_section, full_run_section, training_section
from segviz.results.markdown import Rows, as_code, distinct, escape_cell, format_score, markdown_table
from segviz.results.seeds import Runs, find_runs, scores
from segviz.text import NONE, format_mean

HEAD = """# The bundled models

Made from the records inside the files by `python -m segviz models --markdown > checkpoints/MODELS.md`; do not edit.

The models are fine-tuned on CamVid (Brostow et al., Pattern Recognition Letters 2009; 480 x 360, 11 classes,
SegNet's version), whose pictures are for personal and research use, and on segviz's own drawn scenes. The backbone
started from ImageNet weights of MobileNetV2 (Apache-2.0, google-coral/test_data). Scores are in percent, measured on
the float16 files: on CamVid's val split, and on drawn scenes that no training saw. The recipe was chosen on val, and
val is more of a training sequence, so its scores flatter. CamVid's test split was not used.
"""


def scores_table(folder: Path | None = None) -> str:
    """The README's table: what each model is, and its scores, mean ± deviation where there are several seeds."""
    rows: Rows = [("Model", "Block", "Paper", "Val mIoU", "Multi-scale, flip", "Drawn scenes", "Without context")]
    for name, found in find_runs(folder or checkpoints_folder()).items():
        own = (format_mean(scores(found, one)) for one in (VAL, VAL_MULTI_SCALE, SCENES, VAL_WITHOUT_CONTEXT))
        rows.append((as_code(name), SPECS[name].title, SPECS[name].paper, *own))
    return markdown_table(rows)


def models_page(folder: Path | None = None) -> str:
    """checkpoints/MODELS.md, whole."""
    folder = folder or checkpoints_folder()
    runs = find_runs(folder)
    if not runs:
        return f"{HEAD}\nThere are no checkpoints.\n\n{full_run_section()}"
    sections = (
        HEAD,
        scores_section(runs),
        context_section(runs),
        fla_section(runs),
        seeds_section(runs),
        cost_section(runs),
        classes_section(runs),
        training_section(runs),
        curves_section(runs, folder),
        full_run_section(),
        files_section(folder, runs),
    )
    return "\n".join(sections)


def scores_section(runs: Runs) -> str:
    """Every model's scores, and what they were measured on."""
    rows: Rows = [("Model", "Block", "Val mIoU", "MS+F", "Drawn scenes", "Boundary IoU", "Pixel accuracy")]
    for name, found in runs.items():
        mious = (format_mean(scores(found, one)) for one in (VAL, VAL_MULTI_SCALE, SCENES))
        more = (format_mean(scores(found, VAL, field)) for field in ("boundary_miou", "accuracy"))
        rows.append((as_code(name), SPECS[name].title, *mious, *more))
    return f"## Scores\n\n{markdown_table(rows)}\n{scores_note(runs)}\n"


def scores_note(runs: Runs) -> str:
    """Sentences on the pictures and scales behind the scores."""
    told = [
        "mIoU is the mean over classes, single scale. Boundary IoU is the mean over classes of IoU on val "
        f"within {BOUNDARY_WIDTH} pixels of class borders,\npixel accuracy the share of val's pixels that are right."
    ]
    evaluated = {which: evaluations(runs, which) for which in (VAL, VAL_MULTI_SCALE, SCENES)}
    for title, which in (("Val", VAL), ("Drawn scenes", SCENES)):
        pictures = distinct(one.pictures for one in evaluated[which])
        told += [f"{title}: {' or '.join(pictures)}."] if pictures else []
    ways = distinct(
        f"{', '.join(f'{scale:g}' for scale in one.scales)} times its size"
        + (", each mirrored too" if one.flip else "")
        for one in evaluated[VAL_MULTI_SCALE]
    )
    told += [f"MS+F averages the softmax scores of a picture at {' or '.join(ways)}."] if ways else []
    return "\n".join(told)


def cost_section(runs: Runs) -> str:
    """What one picture costs each model."""
    rows: Rows = [("Model", "GFLOPs", "Parameters", "Time, ms", "Peak, MiB", "Picture", "Hardware")]
    for name, (record, *_) in runs.items():
        cost = record.cost
        figures: tuple[str, ...] = (NONE,) * 6
        if cost:
            height, width = cost.size
            counted = (f"{cost.gflops:.2f}", f"{cost.parameters:,}", f"{cost.milliseconds:.0f}", f"{cost.peak_mb:.0f}")
            figures = (*counted, f"{width} x {height}", escape_cell(cost.hardware))
        rows.append((as_code(name), *figures))
    note = (
        "From pixels to labels with the maps kept: the median time, and the memory needed at the worst moment beyond "
        "the weights.\nGFLOPs count two operations a multiply-add; elementwise ones and sampling are not counted.\n"
    )
    return f"## Cost\n\n{markdown_table(rows)}\n{note}"


def classes_section(runs: Runs) -> str:
    """IoU of each class, over all pixels and near borders, on val and on scenes."""
    parts = ["## By class\n\nThe numbers that FLANet's Fig. 2 draws for Cityscapes, in percent.\n"]
    for which, title in ((VAL, "CamVid val"), (SCENES, "drawn scenes")):
        found = {name: record.evaluations[which] for name, (record, *_) in runs.items() if which in record.evaluations}
        ious = {name: one.iou for name, one in found.items()}
        borders = {name: one.boundary_iou for name, one in found.items()}
        for kind, shares in (("IoU", ious), ("Boundary IoU", borders)):
            classes = distinct(one for record, *_ in runs.values() for one in record.classes)
            rows: Rows = [("Model", *map(escape_cell, classes))]
            rows += [
                (as_code(name), *(format_score(shares.get(name, {}).get(one)) for one in classes)) for name in runs
            ]
            parts.append(f"### {kind}, {title}\n\n{markdown_table(rows)}")
    return "\n".join(parts)


def evaluations(runs: Runs, which: str) -> list[Evaluation]:
    """All models' evaluations of a name."""
    return [one.evaluations[which] for found in runs.values() for one in found if which in one.evaluations]
