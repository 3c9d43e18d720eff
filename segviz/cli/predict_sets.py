"""`predict` on a split of a data set, and in the file format of a test server."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from segviz.batch.inputs import Source, find_sources
from segviz.batch.run import LabelPicture, PictureOutput, export_prediction
from segviz.batch.server_files import export_for_server
from segviz.cli.errors import MAX_ERROR_LENGTH, UsageError
from segviz.data.open_data_set import open_data_set
from segviz.data.sample import DataError
from segviz.data.server_format import SERVER_FORMATS
from segviz.prediction.predictor import Predictor
from segviz.text import plain_text
from segviz.watch.network_predictor import NetworkPredictor
from segviz.watch.published_predictor import PublishedPredictor


def split_sources(options: argparse.Namespace) -> list[Source]:
    """The pictures of `--split`; the one IMAGE is the data set's folder.

    Raises:
        UsageError: there are several, or it is no folder.
        DataError: there is no such split, or its files are missing.
    """
    if len(options.images) != 1 or not Path(options.images[0]).is_dir():
        raise UsageError("--split needs one IMAGE, the data set's folder; give one, or remove --split")
    root = Path(options.images[0])
    listing = open_data_set(root, options.class_map).list_files(options.split)
    if not listing.files:
        faults = "; ".join(listing.faults) or "it lists no picture; name another split"
        raise DataError(f"{options.split} split of {root}: {faults}")
    if listing.faults:
        whole, faults = len(listing.files) + listing.missing, "; ".join(listing.faults)
        left_out = f"{listing.missing} of {whole} pictures of {options.split} are left out: {faults}"
        print(f"segviz: {plain_text(left_out, MAX_ERROR_LENGTH)}", file=sys.stderr)
    return find_sources([str(one.picture) for one in listing.files])


def choose_folder(options: argparse.Namespace) -> None:
    """Let `--out` be the folder that the test server's format has below it.

    Raises:
        UsageError: the format has folders, and a ZIP of ours has none.
    """
    folder = SERVER_FORMATS[options.server_format].folder
    if folder and options.zip is not None:
        raise UsageError(
            f"the test server wants the folder {folder}, which --zip does not make; use --out, then pack it"
        )
    if options.out is not None:
        options.out = options.out / folder


def export_as_wanted(
    predictor: Predictor | NetworkPredictor | PublishedPredictor, predict: LabelPicture, options: argparse.Namespace
) -> partial[PictureOutput]:
    """What makes the files of a picture: labels, overlay and confidence, or the test server's file.

    Raises:
        ValueError: the network has other classes than the data set.
    """
    if options.server_format is None:
        return partial(export_prediction, predict)
    form = SERVER_FORMATS[options.server_format]
    if isinstance(predictor, Predictor):
        form.check_classes(predictor.record.classes, predictor.record.model)
    elif predictor.class_set is not None:
        form.check_classes(predictor.class_set.names, predictor.name)
    return partial(export_for_server, predict, form)
