"""The protocols that `evaluate` scores by and `predict` labels by, from their options, and their names in a record."""

from __future__ import annotations

import argparse
from dataclasses import replace

from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT
from segviz.cli.errors import UsageError
from segviz.evaluation.evaluate import MULTI_SCALES
from segviz.evaluation.protocols import SINGLE_SCALE, ScoringProtocol
from segviz.models.picture_input import PictureInput


def check_score_options(options: argparse.Namespace) -> None:
    """Check that the options of `evaluate` go together.

    Raises:
        UsageError: they do not.
    """
    if options.data is None and options.scenes is None:
        raise UsageError("there is nothing to score on; give --data DIR, --scenes N, or both")
    if options.data is None and options.multi_scale:
        raise UsageError("--multi-scale needs a data set; give --data DIR")
    if options.multi_scale and options.flip:
        raise UsageError("--multi-scale averages mirror images already; remove --flip")
    check_view_options(options)
    if options.maps and not shows_whole(options):
        raise UsageError(
            "--maps measures the maps of whole pictures at their own size; remove --crop, --input-size, --long-side "
            "and --scales, or measure the maps in a run of their own"
        )
    if options.record and options.split != VAL:
        raise UsageError(
            f"--record stores scores on split '{VAL}', not on '{options.split}'; remove --record or --split"
        )


def check_view_options(options: argparse.Namespace) -> None:
    """Check that the options of one protocol go together.

    Raises:
        UsageError: they do not.
    """
    if options.input_size is not None and options.long_side is not None:
        raise UsageError("--input-size and --long-side are two ways to say one thing; give one of them")
    if options.crop and options.whole:
        raise UsageError("--crop and --whole are opposites; give one of them")


def shows_whole(options: argparse.Namespace) -> bool:
    """Whether pictures are scored whole and at their own size, among other scales."""
    scales = SINGLE_SCALE if options.multi_scale else options.scales or SINGLE_SCALE
    return not options.crop and wanted_size(options) is None and options.long_side is None and 1.0 in scales


def choose_protocols(
    name: str, options: argparse.Namespace, off: bool, expects: PictureInput | None
) -> dict[str, ScoringProtocol]:
    """The protocols to score a set of pictures by, under the names of evaluations in a record.

    Args:
        name: the set's name; drawn scenes are not scored at many scales.
        options: the command line.
        off: whether to score without the context too.
        expects: as in `choose_protocol`.

    Raises:
        UsageError: an option has no effect.
    """
    first = choose_protocol(options, expects)
    frame = replace(first, scales=SINGLE_SCALE, flip=False)
    protocols = {name_evaluation(name, first): first}
    if options.multi_scale and name != SCENES:
        many = replace(frame, scales=options.scales or MULTI_SCALES, flip=True)
        protocols[join_words(VAL_MULTI_SCALE.replace(VAL, name, 1), frame.words)] = many
    if off:
        silent = replace(first, context=False)
        protocols[name_evaluation(VAL_WITHOUT_CONTEXT.replace(VAL, name, 1), silent)] = silent
    return protocols


def choose_protocol(options: argparse.Namespace, expects: PictureInput | None) -> ScoringProtocol:
    """The protocol of the options; beside `--multi-scale` it has a single scale.

    Args:
        options: the command line.
        expects: what the network expects; its crops are slid where the options name none, unless they ask for whole
            pictures.

    Raises:
        UsageError: an option has no effect.
    """
    crop, step = (tuple(options.crop) if options.crop else None), options.step
    own = None if expects is None else expects.crop
    if crop is None and own is not None and expects is not None and not options.whole:
        crop, step = own, options.step or expects.step
    elif options.whole and own is None:
        raise UsageError(f"'{options.model}' is shown whole anyway; remove --whole")
    if crop is None and options.step is not None:
        raise UsageError("--step needs crops; give --crop H W, or remove it")
    scales = None if getattr(options, "multi_scale", False) else options.scales
    return ScoringProtocol(
        scales or SINGLE_SCALE,
        options.flip,
        crop=crop,
        step=step or ScoringProtocol().step,
        size=wanted_size(options),
        long_side=options.long_side,
    )


def wanted_size(options: argparse.Namespace) -> tuple[int, int] | None:
    """The (height, width) of scale 1; None for the pictures' own, which is the default here."""
    return tuple(options.input_size) if isinstance(options.input_size, list) else None


def name_evaluation(name: str, protocol: ScoringProtocol) -> str:
    """An evaluation's name: the set's, and how pictures are shown where they are not whole and at their own size."""
    return join_words(name, protocol.words)


def join_words(name: str, words: str) -> str:
    """A name and the words that specify it."""
    return f"{name}, {words}" if words else name
