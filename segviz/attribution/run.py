"""`attribute`: a predictor, a picture, a method and a target in, an attribution out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from segviz.attention.grid_map import Grid
from segviz.attribution.methods import NO_BLOCK_TITLE, Method, Task, method_of
from segviz.attribution.probe import Check, Probe, Progress
from segviz.attribution.target import (
    Attribution,
    AttributionError,
    Baseline,
    Options,
    Target,
    baseline_picture,
)
from segviz.image import ImageLike, Rgb, as_rgb, resize
from segviz.models.blocks import NoContext
from segviz.prediction.predictor import Predictor
from segviz.runtime.out_of_memory import is_out_of_memory

DEFAULTS = Options()


def attribute(
    predictor: Predictor,
    image: ImageLike,
    method: str,
    target: Target,
    *,
    options: Options = DEFAULTS,
    progress: Progress | None = None,
    check: Check | None = None,
    working: Grid | None = None,
) -> Attribution:
    """How much each pixel matters to the mean logit of a class.

    The predictor's model is only read, so threads may call this at once; each call works on its own copy of the
    weights (15 MB for MobileNetV2) and within its own `options.memory_mib`.

    Args:
        predictor: the model.
        image: the picture, of any size.
        method: a name of METHODS.
        target: the class, and the pixels over which its score is averaged.
        options: steps, windows, baseline, memory.
        progress: called with (done, total) evaluations before each batch and at the end; may raise to cancel.
        check: called many times within an evaluation, forward and backward; may raise to cancel sooner.
        working: (height, width) at which the model sees the picture; None for that at which the predictor shows it.

    Raises:
        AttributionError: the method or class is unknown, the mask does not fit, or the memory does not suffice.
        ImageError: the picture cannot be used.
        ValueError: the target's pixel lies outside the picture.
    """
    row = method_of(method)
    check_class(target.class_index, predictor.record.classes)
    picture = as_rgb(image)
    size = (picture.shape[0], picture.shape[1])
    working = working or predictor.seen_size(size)
    kind = None if row.baseline is None else options.baseline or row.baseline
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        weights = torch.from_numpy(target.weights(size, working)).to(predictor.device)
        total = row.evaluations(options, working)
        probe = Probe(predictor.model, target.class_index, weights, total, progress, options.memory_mib, check)
        with explain_out_of_memory(predictor.device.type):
            values, delta = row.run(make_task(probe, resize(picture, working), kind, options))
    probe.report(probe.done)
    array = values.detach().float().cpu().numpy().astype(np.float32)  # a copy, not a view of a larger array
    array.flags.writeable = False  # sessions may share it
    no_block = row.at_block and isinstance(predictor.model.block, NoContext)
    return Attribution(
        method=method,
        title=NO_BLOCK_TITLE if no_block else row.title,
        model=predictor.record.model,
        target=target,
        score=probe.score,
        values=array,
        unit=row.unit,
        signed=is_signed(row, options),
        delta=delta,
        baseline=kind,
        paper=row.paper,
    )


def make_task(probe: Probe, picture: Rgb, kind: Baseline | None, options: Options) -> Task:
    """The task of a working picture; a method that uses no baseline gets a black one."""
    device = probe.weights.device
    nothing = baseline_picture(picture, kind or "black")
    prepare = probe.model.expects.prepare
    return Task(probe, prepare(picture, device), prepare(nothing, device), options)


@contextmanager
def explain_out_of_memory(device: str) -> Iterator[None]:
    """Turn running out of memory on the device, "cpu" or "cuda", into an error that names the cure.

    Raises:
        AttributionError: the device has no memory left.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        cure = "use Grad-CAM or Occlusion, which need less, lower memory_mib, or free memory and try again"
        raise AttributionError(f"the {device}'s memory does not suffice; {cure}") from error


def is_signed(row: Method, options: Options) -> bool:
    """Whether values below 0 can occur."""
    return row.signed and not (row.at_block and options.relu)


def check_class(index: int, classes: tuple[str, ...]) -> None:
    """Refuse a class that the model does not have.

    Raises:
        AttributionError: there is no such class.
    """
    if not 0 <= index < len(classes):
        raise AttributionError(f"class {index} does not exist; this model has classes 0 to {len(classes) - 1}")
