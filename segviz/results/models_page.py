"""checkpoints/MODELS.md and the README's table of scores, generated from the checkpoints' records."""

from __future__ import annotations

from pathlib import Path

from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Evaluation
from segviz.evaluation.metrics import BOUNDARY_WIDTH
from segviz.models.registry import MODELS
from segviz.results.findings import context_section, fla_section, seeds_section
from segviz.results.how_trained import curves_section, files_section, full_run_section, training_section
from segviz.results.markdown import Rows, as_code, distinct, escape_cell, markdown_table
from segviz.results.other_protocols import protocols_section
from segviz.results.seeds import Runs, find_runs, score_origins, scores
from segviz.results.where_blocks_look import maps_section
from segviz.text import NONE, format_mean, format_percent

HEAD = """# The bundled models

Do not edit: `python -m segviz models --markdown > checkpoints/MODELS.md` generates this page from the files' records.

The models are fine-tuned on CamVid (Brostow et al., Pattern Recognition Letters 2009; 480 x 360, 11 classes,
SegNet's version), whose pictures are for personal and research use, and on segviz's own drawn scenes. The backbone
started from ImageNet weights of MobileNetV2 (Apache-2.0, google-coral/test_data). Scores are in percent, measured on
the float16 files: on CamVid's val split, and on drawn scenes that were never trained on. The recipe was chosen on val,
and val continues a training sequence, so its scores are optimistic. CamVid's test split was not used.
"""


def scores_table(folder: Path | None = None) -> str:
    """The README's table: block, paper and scores of each model, with mean ± deviation over several seeds."""
    columns = {
        "Val mIoU": VAL,
        "Multi-scale, flip": VAL_MULTI_SCALE,
        "Drawn scenes": SCENES,
        "Without context": VAL_WITHOUT_CONTEXT,
    }
    rows: Rows = [("Model", "Block", "Paper", *columns, "Scores are")]
    for name, seeds in find_runs(folder or checkpoints_folder()).items():
        own = (format_mean(scores(seeds, one)) for one in columns.values())
        rows.append((as_code(name), MODELS[name].title, MODELS[name].paper, *own, score_origins(seeds, columns)))
    return markdown_table(rows)


def models_page(folder: Path | None = None) -> str:
    """The text of checkpoints/MODELS.md."""
    folder = folder or checkpoints_folder()
    runs = find_runs(folder)
    if not runs:
        return f"{HEAD}\nThere are no checkpoints.\n\n{full_run_section()}"
    sections = (
        HEAD,
        scores_section(runs),
        *filter(None, (protocols_section(runs),)),
        context_section(runs),
        maps_section(runs),
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
    """The scores of every model, and the data they were measured on."""
    columns = {"Val mIoU": VAL, "MS+F": VAL_MULTI_SCALE, "Drawn scenes": SCENES}
    rows: Rows = [("Model", "Block", *columns, "Boundary IoU", "Pixel accuracy", "Scores are")]
    for name, seeds in runs.items():
        mious = (format_mean(scores(seeds, one)) for one in columns.values())
        more = (format_mean(scores(seeds, VAL, field)) for field in ("boundary_miou", "accuracy"))
        rows.append((as_code(name), MODELS[name].title, *mious, *more, score_origins(seeds, columns)))
    return f"## Scores\n\n{markdown_table(rows)}\n{scores_note(runs)}\n"


def scores_note(runs: Runs) -> str:
    """Sentences on metrics, pictures and scales."""
    sentences = [
        "mIoU is the mean over classes, single scale. Boundary IoU is the mean over classes of the IoU on val, within "
        f"{BOUNDARY_WIDTH} pixels of\nclass borders. Pixel accuracy is the share of val's pixels that are right."
    ]
    evaluated = {which: evaluations(runs, which) for which in (VAL, VAL_MULTI_SCALE, SCENES)}
    for title, which in (("Val", VAL), ("Drawn scenes", SCENES)):
        pictures = distinct(one.pictures for one in evaluated[which])
        sentences += [f"{title}: {' or '.join(pictures)}."] if pictures else []
    ways = distinct(
        f"{', '.join(f'{scale:g}' for scale in one.scales)} times its size"
        + (", each also mirrored" if one.flip else "")
        for one in evaluated[VAL_MULTI_SCALE]
    )
    sentences += [f"MS+F averages the softmax scores of a picture at {' or '.join(ways)}."] if ways else []
    return "\n".join(sentences)


def cost_section(runs: Runs) -> str:
    """The cost of one picture for each model."""
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
        "From pixels to labels, with the maps kept. Time is the median, peak is the greatest memory beyond the "
        "weights.\nGFLOPs count a multiply-add as two operations, and leave out elementwise operations and sampling.\n"
    )
    return f"## Cost\n\n{markdown_table(rows)}\n{note}"


def classes_section(runs: Runs) -> str:
    """IoU of each class, over all pixels and near borders, on val and on drawn scenes."""
    parts = ["## By class\n\nIoU by class in percent, as FLANet's Fig. 2 shows it for Cityscapes.\n"]
    for which, title in ((VAL, "CamVid val"), (SCENES, "drawn scenes")):
        scored = {name: record.evaluations[which] for name, (record, *_) in runs.items() if which in record.evaluations}
        ious = {name: one.iou for name, one in scored.items()}
        borders = {name: one.boundary_iou for name, one in scored.items()}
        for kind, shares in (("IoU", ious), ("Boundary IoU", borders)):
            classes = distinct(one for record, *_ in runs.values() for one in record.classes)
            rows: Rows = [("Model", *map(escape_cell, classes))]
            rows += [
                (as_code(name), *(format_percent(shares.get(name, {}).get(one), NONE) for one in classes))
                for name in runs
            ]
            parts.append(f"### {kind}, {title}\n\n{markdown_table(rows)}")
    return "\n".join(parts)


def evaluations(runs: Runs, which: str) -> list[Evaluation]:
    """All evaluations of a name, over models and seeds."""
    return [one.evaluations[which] for seeds in runs.values() for one in seeds if which in one.evaluations]
