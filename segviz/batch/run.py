"""Process many pictures in turn, with progress and cancelling; finished pictures are kept.

`run_pictures` is a generator: the command line and the page both draw their progress from it, and it does no work
beyond the step that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image

from segviz.atomic_write import write_atomically
from segviz.batch.inputs import Source
from segviz.data.label_png import encode_png, indexed_png
from segviz.figures.export import pack_arrays
from segviz.figures.overlay import label_overlay, legend
from segviz.image import Rgb
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Prediction

Part = Literal["labels", "overlay", "confidence"]
PARTS: tuple[Part, ...] = get_args(Part)
PredictPicture = Callable[[Rgb], Prediction]
LabelPicture = Callable[[Rgb], Labelled]
Files = Iterable[tuple[str, bytes]]
PutFile = Callable[[str, bytes], str]  # writes a file and returns its name or path
PROBLEMS = (ValueError, MemoryError, RuntimeError)  # a picture's own; RuntimeError is torch's


@dataclass(frozen=True)
class Folder:
    """An output folder, created with its first file."""

    path: Path

    def put(self, name: str, data: bytes) -> str:
        """Write a file atomically and return its path; a link of that name is replaced, not followed."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, data)
        return str(self.path / name)


@dataclass(frozen=True)
class PictureOutput:
    """The results for one picture.

    Attributes:
        files: (name, bytes) of each file; may be made lazily.
        summary: the picture's entry in `--json` or summary.json.
    """

    files: Files
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One picture is done.

    Attributes:
        number: pictures done so far.
        total: pictures in the run.
        source: the picture.
        files: names or paths of its files.
        summary: its entry in `--json` or summary.json; None if it failed.
        problem: why it failed, else None.
        resumed: whether an earlier run had finished it.
    """

    number: int
    total: int
    source: Source
    files: tuple[str, ...] = ()
    summary: Mapping[str, Any] | None = None
    problem: Exception | None = None
    resumed: bool = False


class PutError(OSError):
    """A picture's files could not be written, so the run ends; `source` is the picture."""

    def __init__(self, source: Source, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause), cause.filename)
        self.source = source


WorkOnPicture = Callable[[Source, Rgb], PictureOutput]
PictureOutcome = PictureOutput | Exception
MapPictures = Callable[[Sequence[Source], Callable[[], bool]], Iterator[PictureOutcome]]  # sources, cancelled


def run_pictures(
    sources: Sequence[Source],
    work: WorkOnPicture,
    put: PutFile,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Process each picture in turn; a picture that fails does not stop the others.

    All files of a picture are made before the first is written, so a failure leaves none behind.

    Args:
        sources: the pictures.
        work: makes the files of one picture; its ValueError, MemoryError or RuntimeError (torch's) is that picture's
            problem.
        put: writes a file; `Folder.put` or `Archive.put`.
        cancelled: checked before each picture; True ends the run.

    Raises:
        PutError: a file cannot be written, for example because the disk is full.
    """
    return write_outcomes(sources, map_in_turn(work)(sources, cancelled), put)


def map_in_turn(work: WorkOnPicture) -> MapPictures:
    """The way to work on pictures one after the other, in this process."""

    def outcomes(sources: Sequence[Source], cancelled: Callable[[], bool]) -> Iterator[PictureOutcome]:
        for source in sources:
            if cancelled():
                return
            yield make_outcome(work, source)

    return outcomes


def make_outcome(work: WorkOnPicture, source: Source) -> PictureOutcome:
    """One picture's files, all of them made, or its problem."""
    try:
        done = work(source, source.open())
        return PictureOutput(list(done.files), done.summary)
    except PROBLEMS as problem:
        return problem.with_traceback(None)  # its frames would keep the picture's arrays alive


def write_outcomes(sources: Sequence[Source], outcomes: Iterator[PictureOutcome], put: PutFile) -> Iterator[Step]:
    """Write each picture's files as its outcome comes; see `run_pictures`.

    Args:
        sources: the pictures.
        outcomes: in the pictures' order; fewer where the run was cancelled.
        put: writes a file.

    Raises:
        PutError: a file cannot be written.
    """
    for number, (source, done) in enumerate(zip(sources, outcomes, strict=False), 1):
        if isinstance(done, Exception):
            yield Step(number, len(sources), source, problem=done)
            continue
        try:
            kept = tuple(put(name, data) for name, data in done.files)
        except OSError as cause:
            raise PutError(source, cause) from cause
        yield Step(number, len(sources), source, kept, {**done.summary, "files": list(kept)})


def export_prediction(
    predict: LabelPicture, source: Source, picture: Rgb, parts: Sequence[Part] = PARTS
) -> PictureOutput:
    """Predict a picture and return its labels, overlay and confidence, or some of them, as files."""
    prediction = predict(picture)
    return PictureOutput(
        prediction_files(source.stem, picture, prediction, parts), prediction_summary(source.text, prediction)
    )


def prediction_files(stem: str, picture: Rgb, prediction: Labelled, parts: Sequence[Part] = PARTS) -> Files:
    """Files of one prediction: class indices with their palette, the overlay, the confidence array."""
    text = {"Title": f"{stem}: classes", "model": prediction.model, "classes": ", ".join(prediction.class_set.names)}
    if "labels" in parts:
        yield f"{stem}_labels.png", indexed_png(prediction.labels, prediction.class_set.colours, text)
    if "overlay" in parts:
        overlay = label_overlay(picture, prediction.labels, prediction.class_set)
        yield f"{stem}_overlay.png", encode_png(Image.fromarray(overlay), text)
    if "confidence" in parts:
        yield f"{stem}_confidence.npz", pack_arrays({"confidence": prediction.confidence})


def prediction_summary(text: str, prediction: Labelled) -> dict[str, Any]:
    """The entry of one picture in `predict --json`; `share` is each class's share of the pixels."""
    return {
        "image": text,
        "model": prediction.model,
        "height": prediction.labels.shape[0],
        "width": prediction.labels.shape[1],
        "confidence": round(float(prediction.confidence.mean()), 4),
        "share": {entry.name: round(entry.share, 6) for entry in legend(prediction.labels, prediction.class_set)},
        "maps": list(prediction.maps) if isinstance(prediction, Prediction) else [],
    }
