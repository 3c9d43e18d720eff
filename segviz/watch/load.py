"""`segviz.load`: a predictor from whatever names a network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import nn

from segviz.catalogue.checkpoint_header import FIRST_BYTES, is_pytorch, open_checkpoint, read_header
from segviz.catalogue.location import is_file
from segviz.catalogue.source_names import lacks_function
from segviz.catalogue.stored_record import RECORD_KEY
from segviz.data.classes import RgbColour
from segviz.image import SeenSize, check_size
from segviz.models.registry import MODELS
from segviz.prediction.predictor import Predictor, load_predictor
from segviz.text import join_with_commas
from segviz.watch.placement import FitMode

if TYPE_CHECKING:
    from segviz.watch.network_predictor import NetworkPredictor
    from segviz.watch.published_predictor import PublishedPredictor


class OptionError(ValueError):
    """An option would have no effect on the network."""


BundledName = Literal[
    "fcn", "channel_nl", "spatial_nl", "dual_nl", "cs_nl", "ema", "rcca", "fla", "sam", "snl", "psa"
]  # fmt: skip


@overload
def load(source: BundledName, device: str = ..., *, size: SeenSize = ...) -> Predictor: ...
@overload
def load(
    source: nn.Module,
    device: str = ...,
    *,
    classes: str | Sequence[str] | None = ...,
    palette: Sequence[RgbColour] | None = ...,
    mean: Sequence[float] | None = ...,
    std: Sequence[float] | None = ...,
    size: SeenSize = ...,
    fit: FitMode = ...,
    layers: str | Sequence[str] | None = ...,
    find_windows: bool = ...,
) -> NetworkPredictor: ...
@overload
def load(
    source: str | Path | nn.Module,
    device: str = ...,
    *,
    weights: str | Path | None = ...,
    classes: str | Sequence[str] | None = ...,
    palette: Sequence[RgbColour] | None = ...,
    mean: Sequence[float] | None = ...,
    std: Sequence[float] | None = ...,
    size: SeenSize = ...,
    fit: FitMode = ...,
    layers: str | Sequence[str] | None = ...,
    assume: Mapping[str, object] | None = ...,
    find_windows: bool = ...,
) -> Predictor | NetworkPredictor | PublishedPredictor: ...
def load(
    source: str | Path | nn.Module,
    device: str = "auto",
    *,
    weights: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
    palette: Sequence[RgbColour] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: SeenSize = None,
    fit: FitMode = "stretch",
    layers: str | Sequence[str] | None = None,
    assume: Mapping[str, object] | None = None,
    find_windows: bool = False,
) -> Predictor | NetworkPredictor | PublishedPredictor:
    """Open a network and return what runs it on pictures: `predictor(image)`.

    A bundled model or a segviz checkpoint gives a `Predictor`, whose answers are `Prediction`s; so does a file of
    published weights that is recognised by its tensors (a `PublishedPredictor`). Any other network gives a
    `NetworkPredictor`, whose answers are those of `segviz.watch`: maps by module path, a table of what was found, and
    `prediction` with labels, confidence and classes where the output has classes.

    Args:
        source: a bundled name such as "psa"; the path of a segviz checkpoint, or of published weights
            (PSANet, CCNet, mmsegmentation's and others); an `nn.Module`; "net.py:build" or
            "package.module:build", a function without arguments that returns the network (your own code, which is
            run); "timm:NAME"; "torchvision:NAME"; "hf:NAME" or the folder of a network of transformers; or "smp:NAME".
        device: "cpu", "cuda", "mps", or "auto", which takes a GPU if there is one and leaves an `nn.Module` where it
            is. Another device moves a given `nn.Module`.
        weights: a file for the network that `source` builds: safetensors, or a PyTorch checkpoint, of which nothing
            but tensors and plain containers is built, and nothing is run. "random" leaves the network untrained, and
            the view says so. By default the source's own, which timm, torchvision and hf fetch.
        classes: names of the classes, or of a class set: camvid, cityscapes, ade20k, voc, context, context59.
        palette: an RGB colour for each class.
        mean: mean of the input, in [0, 1], or in 0..255 where a value of it or of `std` is above 1.
        std: standard deviation, in the same units.
        size: (height, width) at which the network sees pictures, or "own" for their own, at most 1024 x 2048. By
            default their own; for the bundled models' networks, the area at which these were trained.
        fit: "stretch" resizes both sides to `size`; "pad" keeps the picture's ratio.
        layers: patterns of the layers whose maps to keep, such as "blocks.*.attn"; by default the last one's.
        assume: for published weights: what their tensors do not reveal, such as {"passes": 1};
            docs/published-weights.md lists it.
        find_windows: whether to find windows that nothing in the network describes, as in `segviz.watch`; the network
            runs 24 times more on the first picture of each size.

    Raises:
        CheckpointError: a file of weights is missing, damaged, or does not fit its network.
        OpenError: there is no such network, its library is not installed, or its code fails.
        TypeError: the source is neither a text, a path nor an `nn.Module`.
        ValueError: options do not go together, or the network cannot be watched.
    """
    predictor = open_predictor(
        source, device, weights, classes=classes, palette=palette, mean=mean, std=std, size=size, fit=fit,
        layers=layers, assume=assume, find_windows=find_windows,
    )  # fmt: skip
    for note in getattr(predictor, "notes", ()):
        warnings.warn(f"{source if isinstance(source, str) else 'the network'}: {note}", stacklevel=2)
    return predictor


def open_predictor(
    source: str | Path | nn.Module, device: str = "auto", weights: str | Path | None = None, **options: Any
) -> Predictor | NetworkPredictor | PublishedPredictor:
    """As `load`, without warnings: what a user should know is in the predictor's `notes` alone.

    Raises:
        CheckpointError: as in `load`, and so are OpenError, TypeError and ValueError.
    """
    if not isinstance(source, str | Path | nn.Module):
        raise TypeError(
            f"a {type(source).__name__} was given; load takes a name, a path, an nn.Module, or a text such as "
            "net.py:build"
        )
    if options.get("size") is not None:
        options["size"] = check_size(options["size"])
    named = None if isinstance(source, nn.Module) or lacks_function(str(source)) else source
    if named is not None and is_own_checkpoint(named):
        size = options.pop("size", None)
        refuse_options(named, {"weights": weights, **options})
        return load_predictor(named, device, size)
    if options.get("size") == "own":  # as it is by default
        options["size"] = None
    # Later, so that opening a bundled model does not wait for it.
    from segviz.catalogue.sources.open_source import open_source
    from segviz.watch.network_predictor import NetworkPredictor
    from segviz.watch.published_predictor import open_published

    if named is not None and is_file(Path(named)):
        if weights is not None:
            raise OptionError(
                f"'{source}' is a file of weights itself; name what builds its network, or remove weights"
            )
        if options.pop("find_windows", False):
            raise OptionError("find_windows has no effect on a network that is recognised by its tensors; remove it")
        return open_published(Path(named), device, **options)
    if options.pop("assume", None):
        raise OptionError("assume= belongs to published weights, which are recognised by their tensors; remove it")
    opened = open_source(source, weights)
    if isinstance(source, nn.Module) and device == "auto":
        device = str(next((one.device for one in source.parameters()), "cpu"))
    return NetworkPredictor(opened, device, **options)


def is_own_checkpoint(source: str | Path) -> bool:
    """Whether a source is a bundled model or a file with segviz's record.

    Raises:
        CheckpointError: it is a damaged safetensors file, or a missing one.
    """
    if str(source) in MODELS:
        return True
    path = Path(source)
    if path.suffix != ".safetensors" and not is_file(path):
        return False
    with open_checkpoint(path) as file:
        start = file.read(FIRST_BYTES)
        file.seek(0)
        return not is_pytorch(start) and RECORD_KEY in read_header(file).metadata


def refuse_options(source: str | Path, options: Mapping[str, object]) -> None:
    """Refuse options that would have no effect on a segviz checkpoint, whose record has them.

    Raises:
        OptionError: one was given.
    """
    if given := [name for name, value in options.items() if value not in (None, (), "stretch", False)]:
        raise OptionError(
            f"{join_with_commas(given)} would have no effect: '{source}' is a segviz checkpoint, whose record says how "
            "it takes pictures; remove them"
        )
