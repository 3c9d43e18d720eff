"""Sentences of the Results page, from the records: data, seeds and machines behind the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, mode

from segviz.catalogue.curve import Curve
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, Record
from segviz.data.readers.table import READERS
from segviz.results.other_protocols import protocol_sentences
from segviz.results.seeds import Runs, score_origin, scores
from segviz.results.tables import training_title
from segviz.text import escape_markdown, join_with_commas

PUBLISHED = (
    "Published on CamVid's **test** split at 480 x 360: SegNet 60.1, FC-DenseNet103 66.9, G-FRNet 68.0; ESPNet 57.0, "
    "measured on the same files. These scores are not directly comparable with val."
)
NAMES_OF_DATA = {"camvid": "CamVid", **{name: reader.title for name, reader in READERS.items() if name != "segviz"}}


def open_results(runs: Runs) -> str:
    """How many models there are, what they were scored on, and how far apart they are, in Markdown."""
    count = f"{len(runs)} model{'s' if len(runs) > 1 else ''}"
    means = sorted(fmean(known) for seeds in runs.values() if (known := scores(seeds, VAL)))
    if not means:
        return f"{count}, without a score on val."
    pictures = escape_markdown(evaluated_pictures({name: seeds[0] for name, seeds in runs.items()}, VAL))
    low, high = f"{means[0]:.1f}", f"{means[-1]:.1f}"
    extent = f"from {low} to {high} %" if low != high else f"{high} %"
    counts = sorted({len(known) for seeds in runs.values() if (known := scores(seeds, VAL))})
    whose = " or ".join(map(score_origin, counts))
    differences = "Differences below the spread between seeds mean nothing."
    return f"{count}, scored on {pictures}: mIoU {extent} ({whose}). {differences}"


def describe_scores(runs: Runs) -> str:
    """What the scores were measured on, and how far they can be trusted, in Markdown."""
    records = {name: seeds[0] for name, seeds in runs.items()}
    val, scenes = (
        escape_markdown(evaluated_pictures(records, VAL)),
        escape_markdown(evaluated_pictures(records, SCENES)),
    )
    parts = [f"**Val** is {val}."] if val else []
    if "camvid" in val.lower():
        parts.append("CamVid's val split (480 x 360) continues a training sequence, so its scores are optimistic.")
        parts.append("Its test split was not used.")
    parts += [f"**Scenes** are {scenes} that were never trained on."] if scenes else []
    parts.append(seeds_sentence(runs))
    return " ".join([*parts, *training_sentences([one for seeds in runs.values() for one in seeds if one.hardware])])


def training_sentences(records: Sequence[Record]) -> tuple[str, ...]:
    """Where the models were trained, and whether they started from earlier training runs."""
    if not records:
        return ()
    machines = escape_markdown(join_with_commas(dict.fromkeys(one.hardware for one in records)))
    if not any(one.lineage for one in records):
        return (f"Trained on {machines}.",)
    last = join_with_commas(sorted({one.steps for one in records}))
    return (
        f"The last {last} training steps of each model ran on {machines}, starting from earlier checkpoints; "
        "checkpoints/MODELS.md lists all commands, and docs/training.md explains the recipe.",
    )


def seeds_sentence(runs: Runs) -> str:
    """The seeds behind the scores, and which differences mean nothing."""
    numbers = sorted({one.seed for seeds in runs.values() for one in seeds})
    named = f"{'seeds' if numbers[1:] else 'seed'} {join_with_commas(numbers)}"
    single = [training_title(name) for name, seeds in runs.items() if len(seeds) == 1]
    if len(single) == len(runs):
        return (
            f"Each checkpoint is one training run with one seed ({named}). How much scores vary from seed to seed is "
            "not known; differences smaller than that mean nothing."
        )
    text = (
        f"Scores in the table are means over several training runs ({named}), with the sample standard deviation "
        "in the columns ±; differences smaller than this spread mean nothing. Costs, gammas, bars, confusions and "
        "curves are those of the checkpoints."
    )
    return f"{text} One seed only: {join_with_commas(single)}." if single else text


def evaluated_pictures(records: Mapping[str, Record], evaluation: str) -> str:
    """The data of an evaluation, such as "CamVid val (101 pictures)"."""
    scored = [one.evaluations[evaluation] for one in records.values() if evaluation in one.evaluations]
    return join_with_commas(dict.fromkeys(title_data(one.pictures) for one in scored))


def title_data(words: str) -> str:
    """The data of a record, which begins with the folder's name, with the name that a known data set has."""
    name, space, rest = words.partition(" ")
    return f"{NAMES_OF_DATA.get(name, name)}{space}{rest}"


def describe_scored_once(curves: Mapping[str, Curve]) -> str:
    """Which training runs have no curve of val mIoU because they were scored at one step; "" if there is none."""
    scored = {name: [row.step for row in curve if row.val_miou is not None] for name, curve in curves.items()}
    once = {name: steps[0] for name, steps in scored.items() if len(steps) == 1}
    if not once:
        return ""
    at = join_with_commas(sorted(set(once.values())))
    named = join_with_commas(map(training_title, once))
    return (
        f"Val mIoU was measured once, at step {at}, and so has no curve: {named}. The table of models has the scores."
    )


def table_notes(records: Mapping[str, Record]) -> tuple[str, ...]:
    """Notes to the table, in Markdown: scales, machine, strides, and published scores."""
    sentences = []
    for one in dict.fromkeys(
        (one.evaluations[VAL_MULTI_SCALE].scales, one.evaluations[VAL_MULTI_SCALE].flip)
        for one in records.values()
        if VAL_MULTI_SCALE in one.evaluations
    ):
        mirrored = "each also mirrored" if one[1] else "without mirroring"
        sentences.append(f"MS+F averages the scales {join_with_commas(one[0])}, {mirrored}.")
    sentences += protocol_sentences(records)
    for size, hardware in dict.fromkeys((one.cost.size, one.cost.hardware) for one in records.values() if one.cost):
        sentences.append(
            f"Memory and latency are those of one picture of {size[1]} x {size[0]} on {escape_markdown(hardware)}."
        )
    usual = mode(one.output_stride for one in records.values())
    if others := [name for name, one in records.items() if one.output_stride != usual]:
        exceptions = join_with_commas(f"{records[name].output_stride} for {training_title(name)}" for name in others)
        sentences.append(f"Output stride is {usual}, but {exceptions}; costs of different strides are not comparable.")
    if "camvid" in evaluated_pictures(records, VAL).lower():
        sentences.append(PUBLISHED)
    return tuple(sentences)
