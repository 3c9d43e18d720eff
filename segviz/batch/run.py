"""Many pictures, one after the other: progress, cancel, and what is finished is kept.

`run` is a generator, so that a command line's bar and a page's both follow it; stop asking, and it stops working.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, get_args

from PIL import Image

from segviz.atomic_write import write_atomically
from segviz.batch.inputs import Source
from segviz.data.label_png import indexed_png, png
from segviz.figures.export import packed
from segviz.figures.overlay import label_overlay, legend
from segviz.image import Rgb
from segviz.prediction.prediction import Prediction

Part = Literal["labels", "overlay", "confidence"]
PARTS: tuple[Part, ...] = get_args(Part)
PredictPicture = Callable[[Rgb], Prediction]
Files = Iterable[tuple[str, bytes]]
PutFile = Callable[[str, bytes], str]  # keeps a file of a name, and says where it lies


@dataclass(frozen=True)
class Folder:
    """A folder for files, made with the first one."""

    path: Path

    def put(self, name: str, data: bytes) -> str:
        """Write a file, whole or not at all; a link in its place is replaced, not followed."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, data)
        return str(self.path / name)


@dataclass(frozen=True)
class PictureOutput:
    """What was made of one picture: files, and what to tell of it as JSON."""

    files: Files
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One picture is done.

    Attributes:
        number: of pictures done so far.
        total: of pictures in all.
        source: the picture.
        files: where its files lie.
        told: what to tell of it.
        problem: why there are none, where it failed; the others go on.
    """

    number: int
    total: int
    source: Source
    files: tuple[str, ...] = ()
    summary: Mapping[str, Any] | None = None
    problem: Exception | None = None


def run_pictures(
    sources: Sequence[Source],
    work: Callable[[Source, Rgb], PictureOutput],
    put: PutFile,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Work on each picture in turn; a picture that fails does not stop the others.

    A picture's files are made before the first one is kept, so that a failure leaves none of them. What `put`
    raises, such as a full disk, ends the run.

    Args:
        sources: the pictures.
        work: makes files of one; ValueError, MemoryError and RuntimeError, as torch's, count as that picture's problem.
        put: keeps a file, as `Folder` and `Archive` do.
        cancelled: asked before each picture; once it says yes, the run ends.
    """
    for number, source in enumerate(sources, 1):
        if cancelled():
            return
        try:
            done = work(source, source.open())
            files = list(done.files)
        except (ValueError, MemoryError, RuntimeError) as problem:
            yield Step(number, len(sources), source, problem=problem)
            continue
        kept = tuple(put(name, data) for name, data in files)
        yield Step(number, len(sources), source, kept, {**done.summary, "files": list(kept)})


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the picture at hand; a second one stops at once.

    Gives the question whether to stop. Outside the main thread, where signals do not arrive, it is never so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def export_prediction(
    predict: PredictPicture, source: Source, picture: Rgb, parts: Sequence[Part] = PARTS
) -> PictureOutput:
    """Labels, overlay and confidence of a picture, or some of them."""
    prediction = predict(picture)
    return PictureOutput(
        prediction_files(source.stem, picture, prediction, parts), prediction_summary(source.text, prediction)
    )


def prediction_files(stem: str, picture: Rgb, prediction: Prediction, parts: Sequence[Part] = PARTS) -> Files:
    """The files of one prediction: class indices with the palette, the overlay, the raw numbers."""
    text = {"Title": f"{stem}: classes", "model": prediction.model, "classes": ", ".join(prediction.classes)}
    if "labels" in parts:
        yield f"{stem}_labels.png", indexed_png(prediction.labels, prediction.palette, text)
    if "overlay" in parts:
        overlay = label_overlay(picture, prediction.labels, prediction.class_set)
        yield f"{stem}_overlay.png", png(Image.fromarray(overlay), text)
    if "confidence" in parts:
        yield f"{stem}_confidence.npz", packed({"confidence": prediction.confidence})


def prediction_summary(text: str, prediction: Prediction) -> dict[str, Any]:
    """What `predict --json` says of one picture; shares are of its pixels."""
    return {
        "image": text,
        "model": prediction.model,
        "height": prediction.labels.shape[0],
        "width": prediction.labels.shape[1],
        "confidence": round(float(prediction.confidence.mean()), 4),
        "share": {entry.name: round(entry.share, 6) for entry in legend(prediction.labels, prediction.class_set)},
        "maps": list(prediction.maps),
    }
