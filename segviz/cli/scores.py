"""`evaluate`: score any segmentation network, or all bundled ones, print the scores, and store them in the records."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_file import CheckpointError, read_checkpoint, read_record, replace_record
from segviz.catalogue.location import bundled_path, checkpoint_path
from segviz.catalogue.map_record import MapMeasurement, MapMeasurements
from segviz.catalogue.record import SCENES, VAL, Evaluation
from segviz.cli.arguments import ALL_MODELS
from segviz.cli.counting import Counting, open_counting
from segviz.cli.errors import UsageError
from segviz.cli.map_table import format_map_numbers
from segviz.cli.network_options import NETWORK_OPTIONS
from segviz.cli.open_to_score import open_to_score
from segviz.cli.score_protocols import check_score_options, choose_protocols
from segviz.cli.score_tables import format_scores_by_class, format_scores_by_model
from segviz.data.class_sets import find_other_class
from segviz.data.classes import CAMVID
from segviz.data.open_data_set import load_split
from segviz.data.sample import DataError, Sample, Split
from segviz.evaluation.evaluate import evaluate_by_protocols, scenes_title, unseen_scenes
from segviz.evaluation.map_numbers import map_names, random_block
from segviz.evaluation.protocols import ScoringProtocol
from segviz.evaluation.scored_network import NetworkToScore
from segviz.models.ablation import has_context
from segviz.models.blocks import ContextBlock
from segviz.models.folding import fold
from segviz.models.picture_input import PictureInput
from segviz.models.registry import MODELS
from segviz.models.segmenter import BlockNetwork
from segviz.prediction.predictor import load_predictor
from segviz.runtime.progress import progress_bar
from segviz.text import format_json
from segviz.watch.load import is_own_checkpoint


@dataclass(frozen=True)
class Subject:
    """What is scored.

    Attributes:
        name: what tables and JSON call it.
        classes: its classes.
        path: its checkpoint, which is read when its turn comes; None for a network that is open already.
        network: an open network; None for a checkpoint.
        expects: what a published network expects, with its authors' crops; None for any other.
    """

    name: str
    classes: tuple[str, ...]
    path: Path | None = None
    network: NetworkToScore | None = None
    expects: PictureInput | None = None


@dataclass(frozen=True)
class NetworkScored:
    """What was measured on one network, by the names of evaluations in a record."""

    evaluations: Mapping[str, Evaluation]
    maps: MapMeasurements

    def as_dict(self) -> dict[str, Any]:
        """The values for JSON: an entry for each evaluation, and one for the maps if there are any."""
        scores = {name: asdict(one) for name, one in self.evaluations.items()}
        return scores | ({"maps": {name: asdict(one) for name, one in self.maps.items()}} if self.maps else {})


def run_evaluate(options: argparse.Namespace) -> int:
    """Score one network or all bundled ones, on a split of a data set, on drawn scenes, or on both.

    Raises:
        UsageError: options exclude each other, or have no effect.
    """
    check_score_options(options)
    subjects = find_subjects(options)
    for one in subjects:
        choose_protocols(VAL, options, False, one.expects)  # refuses options without effect before anything is read
    for path in (one.path for one in subjects if options.record):
        if path is not None:
            check_destination(path)
    split = None
    if options.data is not None:
        split = load_split(
            options.data, options.split, progress_bar, class_map=options.class_map, skip_damaged=options.skip_damaged
        )
        for note in split.notes:
            print(f"segviz: {note}", file=sys.stderr)
        check_split_classes(split, subjects, options.data)
    if options.scenes is not None:
        for one in subjects:
            check_scene_classes(one.classes)
    pictures = (0 if split is None else len(split.samples)) + (options.scenes or 0)
    bar = progress_bar(subjects, desc="models", unit="model", leave=False, disable=len(subjects) == 1)
    with open_counting(options, pictures) as counting:
        results = [(one, evaluate_subject(one, split, options, counting)) for one in bar]
    print_results(results, options)
    return 0


def print_results(results: Sequence[tuple[Subject, NetworkScored]], options: argparse.Namespace) -> None:
    """Print the scores of all networks as JSON or as a table, and the numbers of their maps below it."""
    if options.json:
        entries = [
            {"model": one.name, "checkpoint": str(one.path or options.model), **scored.as_dict()}
            for one, scored in results
        ]
        print(format_json(entries if options.model == ALL_MODELS else entries[0]))
    elif options.model == ALL_MODELS:
        print(format_scores_by_model({one.name: scored.evaluations for one, scored in results}))
    else:
        ((only, scored),) = results
        print(format_scores_by_class(only.name, only.classes, scored.evaluations))
    if options.maps and not options.json:
        measured = {one.path.stem if one.path else one.name: scored.maps for one, scored in results}
        print(f"\n{format_map_numbers(measured)}")


def find_subjects(options: argparse.Namespace) -> list[Subject]:
    """What `--model` names: a checkpoint, all bundled ones, or any other network, which is opened.

    Raises:
        UsageError: there is no bundled checkpoint, or an option has no effect on the network.
        CheckpointError: a file cannot be used.
        OpenError: the network cannot be opened.
        DataError: the network's classes are not known.
    """
    if options.model == ALL_MODELS:
        paths = [bundled_path(name) for name in MODELS if bundled_path(name).is_file()]
        if not paths:
            raise UsageError("there is no bundled checkpoint to score; train a model, or name one with --model")
        return [Subject(path.stem, read_record(path).classes, path) for path in paths]
    if is_own_checkpoint(options.model):
        given = [name for name in NETWORK_OPTIONS if name != "input_size" and getattr(options, name) is not None]
        if given:
            raise UsageError(f"--{given[0]} has no effect on a segviz checkpoint, whose record says it; remove it")
        path = checkpoint_path(options.model)
        record = read_record(path)
        return [Subject(record.model, record.classes, path)]
    for flag in ("record", "maps", "without_context"):
        if getattr(options, flag):
            name = f"--{flag.replace('_', '-')}"
            raise UsageError(f"{name} needs a segviz checkpoint, and '{options.model}' is not one; remove {name}")
    one = open_to_score(look_at_only(options))
    return [Subject(one.name, one.classes.names, network=one.network, expects=one.expects)]


def look_at_only(options: argparse.Namespace) -> argparse.Namespace:
    """The options by which this process opens a network: on the CPU, where workers in a cluster do the work."""
    return options if options.ray is None else argparse.Namespace(**{**vars(options), "device": "cpu"})


def check_split_classes(split: Split, subjects: Sequence[Subject], folder: Path) -> None:
    """Check that the networks have the data set's classes; of a network from elsewhere, in any spelling.

    Raises:
        DataError: a network has others.
    """
    for one in subjects:
        difference = find_other_class(one.classes, split.classes.names, tolerant=one.path is None)
        if difference:
            raise DataError(
                f"'{one.name}' was trained on other classes than those of {folder}: {difference}; "
                "use a model trained on the data set's classes"
                + ("" if one.path is not None else ", or name its classes with --classes")
            )


def check_scene_classes(classes: Sequence[str]) -> None:
    """Check that a model has CamVid's classes, which drawn scenes have.

    Raises:
        UsageError: the model has others.
    """
    if tuple(classes) != CAMVID.names:
        raise UsageError("drawn scenes have CamVid's classes, and this model has others; score it with --data")


def evaluate_subject(
    subject: Subject, split: Split | None, options: argparse.Namespace, counting: Counting | None
) -> NetworkScored:
    """Score one network as the options ask, in one pass over each set of pictures."""
    if subject.path is not None:
        return evaluate_checkpoint(subject.path, split, options, counting)
    assert subject.network is not None
    protocols = {name: choose_protocols(name, options, False, subject.expects) for name in set_names(split, options)}
    scores, _ = score_sets(subject.network, None, subject.classes, split, options, protocols, None, counting)
    return NetworkScored(scores, {})


def evaluate_checkpoint(
    path: Path, split: Split | None, options: argparse.Namespace, counting: Counting | None = None
) -> NetworkScored:
    """Score one checkpoint as the options ask, and store the scores if they ask it."""
    predictor = load_predictor(path, options.device if counting is None else look_at_only(options).device)
    model, record = predictor.model, predictor.record
    off = options.without_context and has_context(model)
    if options.without_context and not off:
        print(f"segviz: {path} has no context, so --without-context is skipped for it", file=sys.stderr)
    measures = options.maps and check_maps(path, model, options)
    other = random_block(model, record.model, record.options) if measures else None
    protocols = {name: choose_protocols(name, options, off, None) for name in set_names(split, options)}
    scores, maps = score_sets(model, path, record.classes, split, options, protocols, other, counting)
    if options.record:
        record_evaluations(path, model, scores, maps)
    return NetworkScored(scores, maps)


def score_sets(
    model: BlockNetwork | NetworkToScore,
    path: Path | None,
    classes: tuple[str, ...],
    split: Split | None,
    options: argparse.Namespace,
    protocols: Mapping[str, Mapping[str, ScoringProtocol]],
    other: ContextBlock | None,
    counting: Counting | None,
) -> tuple[dict[str, Evaluation], dict[str, MapMeasurement]]:
    """The scores of one network on each set of pictures, and the numbers of its maps where `other` is given."""
    count_set = counting.open(path, len(classes), protocols, other is not None) if counting is not None else None
    scores: dict[str, Evaluation] = {}
    maps: dict[str, MapMeasurement] = {}
    for name, data, samples in sample_sets(classes, split, options):
        count = count_set(name) if count_set is not None else map
        scored = evaluate_by_protocols(model, samples, classes, data, protocols[name], other, count)
        scores |= scored.evaluations
        maps |= {name: scored.maps} if scored.maps else {}
    return scores, maps


def set_names(split: Split | None, options: argparse.Namespace) -> list[str]:
    """The names of the sets of pictures that the options ask for."""
    return [*([] if split is None else [split.name]), *([] if options.scenes is None else [SCENES])]


def sample_sets(
    classes: tuple[str, ...], split: Split | None, options: argparse.Namespace
) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    """The sets of pictures that the options ask for: the evaluation's name, the set in words, and the pictures."""
    if split is not None:
        yield split.name, f"{options.data.resolve().name} {split.name}", split.samples
    if options.scenes is not None:
        yield SCENES, scenes_title(options.scenes), unseen_scenes(classes, options.scenes)


def check_maps(path: Path, model: BlockNetwork, options: argparse.Namespace) -> bool:
    """Whether a model has maps over places to measure; among all models, one without them is skipped with a note.

    Raises:
        UsageError: the only model has none.
    """
    if map_names(model):
        return True
    reason = f"{path} has no map over places"
    if options.model != ALL_MODELS:
        raise UsageError(f"{reason}, so --maps measures nothing; remove --maps, or choose another model")
    print(f"segviz: {reason}, so --maps is skipped for it", file=sys.stderr)
    return False


def record_evaluations(
    path: Path, scored: BlockNetwork, scores: Mapping[str, Evaluation], maps: Mapping[str, MapMeasurement]
) -> None:
    """Add evaluations, and the numbers of maps, to the record in a checkpoint.

    Raises:
        CheckpointError: the file no longer holds the weights that were scored.
    """
    checkpoint = read_checkpoint(path)
    weights = scored.state_dict()
    if not all(torch.equal(value, weights[name].cpu()) for name, value in fold(checkpoint.model).state_dict().items()):
        raise CheckpointError(f"{path} changed while it was scored; run the command again")
    before = checkpoint.record
    after = dataclasses.replace(before, evaluations={**before.evaluations, **scores}, maps={**before.maps, **maps})
    replace_record(checkpoint, after)
