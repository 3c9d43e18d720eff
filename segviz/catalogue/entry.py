"""An entry of the catalogue: a network of one's own that the app can open, as plain data."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segviz.catalogue.source_names import LIBRARY_PREFIXES
from segviz.text import plain_text

FITS = ("stretch", "pad")
LARGEST_SIDE = 8192  # pixels of the size at which a network sees the picture
ENTRY_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
NAME_RULE = "1 to 64 of a to z, 0 to 9, and inside . _ -"
PREFIXED = tuple(f"{one}:" for one in LIBRARY_PREFIXES)
RANDOM_WEIGHTS = "random"  # in place of a file of weights: the network as it is before training
# The names of the bundled models, which no other model can have; a test holds them to the registry, whose import is
# slow and must not delay the start.
BUNDLED_NAMES = (
    "fcn", "channel_nl", "spatial_nl", "dual_nl", "cs_nl", "ema", "rcca", "fla", "sam", "snl", "psa",
)  # fmt: skip
AssumedValue = bool | int | float | str | tuple[int | float, ...]


class CatalogueError(ValueError):
    """A model of one's own cannot be opened; the message names where it stands, the cause and the cure."""


@dataclass(frozen=True)
class CatalogueEntry:
    """A network of one's own.

    Attributes:
        name: what links call it.
        title: what pages call it.
        source: a checkpoint's path, "net.py:build", "package.module:build", "timm:NAME", "torchvision:NAME", "hf:NAME"
            or "hf:FOLDER", or "smp:NAME".
        weights: a file of weights for a network that the source builds, or "random"; "" where the source has its own.
        classes: names of the classes, or the name of a class set such as "cityscapes"; None for the source's own.
        palette: an RGB colour for each class; None for the class set's, or even hues.
        mean: of the input, in [0, 1], or in 0..255 where a value of it or of the std is above 1; None for the source's
            own, or ImageNet's.
        std: in the same units.
        size: (height, width) at which the network sees the picture; None for the picture's own, as it can.
        fit: whether a picture of another ratio is stretched to `size`, or padded.
        layers: patterns of the layers whose maps pages offer; empty for all.
        assume: names and values of what the tensors of published weights do not reveal, such as ("passes", 1).
        find_windows: whether to find windows that nothing in the network describes.
    """

    name: str
    title: str
    source: str
    weights: str = ""
    classes: str | tuple[str, ...] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    fit: Literal["stretch", "pad"] = "stretch"
    layers: tuple[str, ...] = ()
    assume: tuple[tuple[str, AssumedValue], ...] = ()
    find_windows: bool = False

    def __post_init__(self) -> None:
        """Check what does not need the network.

        Raises:
            CatalogueError: a value cannot be used.
        """
        if not ENTRY_NAME.fullmatch(self.name):
            raise CatalogueError(f"name '{plain_text(self.name, 40)}' cannot stand in a link; use {NAME_RULE}")
        if self.name in BUNDLED_NAMES:
            raise CatalogueError(f"name '{self.name}' is a bundled model's; choose another name")
        self._check_input()
        self._check_classes()

    def _check_input(self) -> None:
        for what, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != 3:
                raise CatalogueError(f"{what} has {len(values)} numbers; give one for each of R, G and B")
        if (self.mean is None) != (self.std is None):
            raise CatalogueError("mean and std belong together; give both or neither")
        if self.mean is not None and not all(0 <= value <= 255 for value in self.mean):
            raise CatalogueError("mean has a value outside 0 to 255; give the mean of each channel")
        if self.std is not None and not all(0 < value <= 255 for value in self.std):
            raise CatalogueError("std has a value that is not above 0; give the standard deviation of each channel")
        if self.size is not None and not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise CatalogueError(f"size is {list(self.size)}; use [height, width] from 1 to {LARGEST_SIDE}")
        if self.fit not in FITS:
            raise CatalogueError(f"fit is '{plain_text(self.fit, 20)}'; use {' or '.join(FITS)}")

    def _check_classes(self) -> None:
        colours = self.palette or ()
        if not all(0 <= value <= 255 for colour in colours for value in colour):
            raise CatalogueError("palette has a value outside 0 to 255; give [red, green, blue] for each class")
        if isinstance(self.classes, tuple) and colours and len(self.classes) != len(colours):
            raise CatalogueError(
                f"there are {len(self.classes)} classes but {len(colours)} colours; give each class one colour"
            )


def derive_name(source: str, taken: Collection[str]) -> str:
    """A name for links from a source: "psanet50.pth" becomes psanet50; a number is added to one that is taken."""
    _, _, tail = source.partition(":") if source.startswith(PREFIXED) else ("", "", source)
    file, _, function = tail.partition(":")
    stem = Path(file.rstrip("/\\")).name
    stem = re.sub(r"\.(pth|pt|bin|ckpt|py|safetensors)$", "", stem)
    words = f"{stem}-{function}" if function else stem
    name = re.sub(r"[^a-z0-9_.-]+", "-", words.lower()).strip("-_.")[:56] or "model"
    number, free = 2, name
    while free in taken or free in BUNDLED_NAMES:
        free, number = f"{name}-{number}", number + 1
    return free
