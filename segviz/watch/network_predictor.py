"""A predictor of any network: a picture in; attention out, and classes where the network has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from segviz.attention.grid_map import Grid
from segviz.catalogue.sources.opened_network import OpenedNetwork
from segviz.data.class_sets import choose_class_set, give_colours
from segviz.data.classes import ClassSet, RgbColour
from segviz.image import ImageLike, SeenSize, as_rgb, name_picture
from segviz.models.size import describe_size
from segviz.prediction.predictor import PredictorKind, choose_device
from segviz.watch.further_runs import FoundWindows
from segviz.watch.network_view import NetworkView
from segviz.watch.placement import FitMode, InputRules, given_rules
from segviz.watch.watch_network import check_network, view_network


class NetworkPredictor:
    """A network of any source, ready for pictures. Calls share no state, so threads may run them at once.

    Attributes:
        kind: it answers with a `NetworkView`.
        network: in eval mode, on `device`.
        name: what to call it.
        device: where it runs.
        class_set: its classes, as the user or the source names them; None where nobody does.
        rules: how it takes pictures.
        layers: patterns of the layers whose maps a call keeps unless it is told otherwise; empty for the last one.
        notes: what a user should know, such as tensors that were left out, or that the weights are random.
    """

    kind: ClassVar[PredictorKind] = "network"

    def __init__(
        self,
        opened: OpenedNetwork,
        device: str = "auto",
        *,
        classes: str | Sequence[str] | None = None,
        palette: Sequence[RgbColour] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        size: SeenSize = None,
        fit: FitMode = "stretch",
        layers: str | Sequence[str] | None = None,
        find_windows: bool = False,
    ) -> None:
        """The options are those of `segviz.load`.

        Raises:
            TypeError: it is no `nn.Module`.
            ValueError: it cannot be watched, the device is missing, or options do not go together.
        """
        check_network(opened.network)
        self.device = choose_device(device)
        self.network, self.name, self.notes = opened.network.to(self.device), opened.name, opened.notes
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers or ())
        self.rules = choose_rules(opened, mean, std, size, fit)
        self.class_set = choose_classes(opened, classes, palette)
        self._given = classes is not None or palette is not None
        self._windows: FoundWindows | None = {} if find_windows else None

    def __call__(
        self,
        image: ImageLike,
        layers: str | Sequence[str] | None = None,
        grid: Grid | None = None,
        *,
        verify_places: bool = False,
    ) -> NetworkView:
        """Run the network once on a picture.

        Args:
            image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
            layers: which maps to keep, as in `segviz.watch`; None for the predictor's own patterns.
            grid: rows and columns of the tokens, where they cannot be found.
            verify_places: whether to check with a second run that cells lie at their places, as in `segviz.watch`.

        Returns:
            The view: `maps` by module path, `layers` with all that was found, `image`, and `prediction` with `labels`,
            `confidence` and `class_set`, or None where the output has no classes.

        Raises:
            ImageError: the picture cannot be used.
            ValueError: the network refuses it, `layers` chooses nothing, or the output has other classes.
        """
        known = self.class_set
        names = known.names if known is not None and self._given else None
        view = view_network(
            self.network,
            as_rgb(image),
            self.rules,
            names,
            known.palette if known is not None and names else None,
            layers or self.layers or None,
            grid,
            known,
            verify_places=verify_places,
            windows=self._windows,
        )
        return replace(view, network=self.name, notes=self.notes, picture=name_picture(image))

    def __repr__(self) -> str:
        """One line, and one for each note."""
        classes = f"{len(self.class_set.names)} classes" if self.class_set else "classes as its output has them"
        head = f"NetworkPredictor({self.name}, {describe_size(self.network)}, {classes}, on {self.device})"
        return "\n".join([head, *self.notes])


def choose_rules(
    opened: OpenedNetwork,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    size: SeenSize,
    fit: FitMode,
) -> InputRules:
    """How the network takes pictures: as the user says, else as its source does.

    Raises:
        ValueError: as in `given_rules`.
    """
    given = given_rules(mean, std, size, fit)
    rules = replace(given, multiple=opened.multiple, trained_size=opened.size, bgr=opened.bgr)
    if given.mean is not None:
        return rules
    origin = opened.origin if opened.mean and opened.std else ""
    return replace(rules, mean=opened.mean, std=opened.std, origin=origin)


def choose_classes(
    opened: OpenedNetwork, classes: str | Sequence[str] | None, palette: Sequence[RgbColour] | None
) -> ClassSet | None:
    """The classes as the user names them, else as the source does; None where nobody does.

    Raises:
        ValueError: there is no class set of that name, or names and colours differ in number.
    """
    if classes is not None:
        chosen = choose_class_set(classes)
        return chosen if palette is None else ClassSet(chosen.names, tuple(palette))
    names = opened.classes
    colours = tuple(palette) if palette is not None else opened.palette
    if not names:
        return ClassSet(tuple(f"class {number}" for number in range(len(colours))), colours) if colours else None
    return ClassSet(names, colours) if colours else give_colours(names)
