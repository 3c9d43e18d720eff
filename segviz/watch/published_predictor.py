"""A predictor of a published network that was recognised by its tensors: PSANet, CCNet, mmsegmentation's and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import torch

from segviz.attention.grid_map import Grid
from segviz.attention.region import Region
from segviz.catalogue.checkpoint_header import CheckpointError
from segviz.catalogue.read_weights import StoredWeights, read_weights
from segviz.catalogue.sources.open_source import refuse_weights
from segviz.catalogue.sources.opened_network import OpenedNetwork
from segviz.data.class_sets import CLASS_SETS, give_colours
from segviz.data.classes import ClassSet, RgbColour
from segviz.image import ImageLike, Rgb, as_rgb, name_picture, resize, working_size
from segviz.models.networks import ForeignWeightsError, RecognisedNetwork, recognise_network
from segviz.models.picture_input import PictureInput
from segviz.models.size import describe_size
from segviz.prediction.prediction import Place, Prediction
from segviz.prediction.predictor import PredictorKind, choose_device, make_prediction
from segviz.prediction.slide import cut_crop, slide_crops
from segviz.watch.network_predictor import choose_classes, choose_rules
from segviz.watch.placement import USUAL_MULTIPLE, FitMode, InputRules, brightest, make_input, place_picture

CropProtocol = Literal["crops", "whole"]


class PublishedPredictor:
    """A published network, ready for pictures. Calls share no state, so threads may run them at once.

    The network sees a picture at its own size, at most 1024 x 2048. Where its authors slide crops over larger pictures,
    labels and confidence are those of the crops' averaged scores, and maps are those of one crop.

    Attributes:
        kind: it answers with a `Prediction`, and sees pictures as its authors' code shows them.
        network: a `ContextNetwork` in eval mode, on `device`.
        name: the file's name.
        title: the network's name for people, with its body.
        device: where it runs.
        class_set: its classes, as the user or the file names them, or numbers.
        rules: how it takes pictures.
        picture: what it expects of a picture, with its authors' crops.
        notes: what tensors do not reveal and was assumed, and what was left out.
    """

    kind: ClassVar[PredictorKind] = "published"

    def __init__(
        self,
        recognised: RecognisedNetwork,
        stored: StoredWeights,
        name: str,
        device: str = "auto",
        *,
        classes: str | Sequence[str] | None = None,
        palette: Sequence[RgbColour] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        size: Grid | None = None,
    ) -> None:
        """The options are those of `segviz.load`.

        Raises:
            ForeignWeightsError: the tensors are not those of the network that they look like.
            ValueError: the device is missing, or options do not go together.
        """
        self.device = choose_device(device)
        expects = recognised.expects
        network = recognised.build()
        opened = OpenedNetwork(
            network,
            name,
            stored.classes,
            stored.palette,
            expects.mean,
            expects.std,
            f"of {recognised.source}",
            bgr=expects.order == "BGR",
        )
        self.network, self.name, self.title = network.to(self.device), name, recognised.title
        self.rules = choose_rules(opened, mean, std, size, "stretch")
        self.network.expects = self.expects = input_of(self.rules, expects)
        self.class_set = fit_class_set(choose_classes(opened, classes, palette), recognised.classes)
        self.notes = (*describe_recognised(recognised), *describe_classes(self.class_set))

    def __call__(
        self, image: ImageLike, shrink: int = 1, *, protocol: CropProtocol | None = None, place: Place | None = None
    ) -> Prediction:
        """Segment a picture and keep the block's maps.

        Args:
            image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
            shrink: divides the size at which the network sees the picture; the labels keep the picture's own size.
            protocol: "crops" slides the authors' crops, "whole" shows the picture at once; None: crops where the
                network has them and the picture is larger.
            place: (y, x), in the picture's own pixels: the maps are those of the crop whose centre is nearest, among
                those that contain it. None for the middle of the picture.

        Raises:
            ImageError: the picture cannot be used.
            ValueError: the network has no crops to slide, or the place lies outside the picture.
        """
        picture = as_rgb(image)
        if not self.slides_crops(picture, shrink, protocol):
            return replace(self._predict_whole(picture, shrink), picture=name_picture(image))
        middle = picture.shape[0] // 2, picture.shape[1] // 2
        (prediction,) = self.predict_crops(picture, [place or middle], shrink)
        return replace(prediction, picture=name_picture(image))

    def slides_crops(self, picture: Rgb, shrink: int = 1, protocol: CropProtocol | None = None) -> bool:
        """Whether the picture is shown in crops, see `__call__`.

        Raises:
            ValueError: crops are asked for, and the network has none.
        """
        crop = self.expects.crop
        if crop is None:
            if protocol == "crops":
                raise ValueError(f"the authors of {self.title} slide no crops; show the picture whole")
            return False
        seen = self._seen_size(picture, shrink)
        return protocol == "crops" or (protocol is None and (seen[0] > crop[0] or seen[1] > crop[1]))

    def predict_crops(self, image: ImageLike, places: Sequence[Place], shrink: int = 1) -> tuple[Prediction, ...]:
        """Segment a picture in crops once, and keep the maps of the crop of each place; see `__call__`.

        The crops are run one by one, so that memory does not grow with their number.

        Raises:
            ImageError: the picture cannot be used.
            ValueError: the network has no crops to slide, or a place lies outside the picture.
        """
        picture = as_rgb(image)
        self.slides_crops(picture, shrink, "crops")
        assert self.expects.crop is not None
        seen = resize(picture, self._seen_size(picture, shrink))
        with torch.inference_mode():
            made = slide_crops(self.network, self.expects, self.name, self.class_set, picture, seen, places)
        return tuple(replace(one, picture=name_picture(image)) for one in made)

    def cut_crop(self, image: ImageLike, place: Place, shrink: int = 1) -> tuple[Region, Rgb]:
        """The crop whose centre is nearest to a pixel (y, x) of the picture, among those that contain it.

        Returns:
            Where it lies in the picture, and its pixels as the network sees them; see `__call__`.

        Raises:
            ImageError: the picture cannot be used.
            ValueError: the network has no crops to slide, or the place lies outside the picture.
        """
        picture = as_rgb(image)
        self.slides_crops(picture, shrink, "crops")
        return cut_crop(self.expects, picture, resize(picture, self._seen_size(picture, shrink)), place)

    def _seen_size(self, picture: Rgb, shrink: int) -> Grid:
        """The (height, width) at which the network sees a picture in crops."""
        return working_size(picture.shape[0], picture.shape[1], shrink, self.rules.size or "own")

    def _predict_whole(self, picture: Rgb, shrink: int) -> Prediction:
        own = picture.shape[0], picture.shape[1]
        size = self.rules.size or place_picture(own, None, USUAL_MULTIPLE, "stretch").seen
        smaller = max(USUAL_MULTIPLE, size[0] // shrink), max(USUAL_MULTIPLE, size[1] // shrink)
        placement = place_picture(own, smaller, USUAL_MULTIPLE, "stretch")
        like = next(iter(self.network.parameters()))
        with torch.inference_mode():
            result = self.network(make_input(picture, placement, self.rules, like))
            seen = resize(picture, placement.seen)
            return make_prediction(self.name, result, self.class_set, own, seen)

    def __repr__(self) -> str:
        """One line, and one for each note."""
        size = f"{describe_size(self.network)}, {len(self.class_set.names)} classes"
        head = f"PublishedPredictor({self.name}: {self.title}, {size}, on {self.device})"
        return "\n".join([head, *self.notes])


def open_published(
    path: Path,
    device: str = "auto",
    *,
    fit: FitMode = "stretch",
    layers: str | Sequence[str] | None = None,
    classes: str | Sequence[str] | None = None,
    palette: Sequence[RgbColour] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: Grid | None = None,
    assume: Mapping[str, object] | None = None,
) -> PublishedPredictor:
    """Recognise the network of a file of weights.

    Raises:
        CheckpointError: the file cannot be read, or its tensors do not fit the network that they look like.
        OpenError: segviz knows no network with these tensors.
        ValueError: options do not go together, or would have no effect.
    """
    if layers or fit != "stretch":
        what = "layers" if layers else "fit"
        raise ValueError(f"{what} has no effect on a network that is recognised by its tensors; remove it")
    stored = read_weights(path)
    try:
        recognised = recognise_network(stored.tensors, assume)
        if recognised is None:
            raise refuse_weights(path, stored)
        return PublishedPredictor(
            recognised, stored, path.stem, device, classes=classes, palette=palette, mean=mean, std=std, size=size
        )
    except ForeignWeightsError as error:
        raise CheckpointError(f"{path}: {error}") from None


def input_of(rules: InputRules, published: PictureInput) -> PictureInput:
    """What a network expects of a picture: as the user or its authors say, with its authors' crops."""
    mean, std = rules.mean or published.mean, rules.std or published.std
    scale = brightest(mean, std)
    red, green, blue = (one / scale for one in mean)
    spread = tuple(one / scale for one in std)
    return replace(published, mean=(red, green, blue), std=(spread[0], spread[1], spread[2]))


def describe_recognised(recognised: RecognisedNetwork) -> tuple[str, ...]:
    """Notes on what was left out, what was assumed, and how the authors show pictures."""
    assumed = [f"{one.option} {one.value} is assumed ({one.reason})" for one in recognised.assumptions]
    crop = recognised.expects.crop
    slid = []
    if crop:
        size = f"{crop[0]} x {crop[1]}"
        slid = [f"its authors slide crops of {size} over larger pictures, and so it sees them; a map is of one crop"]
    return (*recognised.left_out, *assumed, *slid)


def fit_class_set(chosen: ClassSet | None, count: int) -> ClassSet:
    """The classes, or numbers where nobody names them.

    Raises:
        ValueError: there are more or fewer than the network has.
    """
    if chosen is None:
        return give_colours([f"class {number}" for number in range(count)])
    if len(chosen.names) != count:
        raise ValueError(f"the network has {count} classes, but {len(chosen.names)} were named; name as many")
    return chosen


def describe_classes(classes: ClassSet) -> tuple[str, ...]:
    """A note where classes are numbers and a known set has as many."""
    if classes.names[0] != "class 0":
        return ()
    sets = [name for name, one in CLASS_SETS.items() if len(one.names) == len(classes.names)]
    return (f"its classes have no names; if they are {sets[0]}'s, name '{sets[0]}' as its classes",) if sets else ()
