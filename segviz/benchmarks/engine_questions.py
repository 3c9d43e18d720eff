"""What `bench engine` asks: distinct pictures, predictions, a long question, and one that runs no model."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np

from segviz.data.scenes import draw_scene
from segviz.engine.answer import Result
from segviz.engine.ops import Attribute
from segviz.engine.request import DEADLINE_S, OpResult, ReportProgress, Request
from segviz.image import Rgb, resize
from segviz.prediction.prediction import Prediction

SHOWN_SEED = 7
LONG_METHOD = "saliency"  # a forward and a backward pass; it reports its progress, as every long question
PICKLE_PROTOCOL = 5  # that of the replicas
TINY_FROM = 2**23  # the first number of tiny pictures, so that none is equal to another one
TINY_SIZE = (16, 16)  # height and width of the picture that costs nothing to move


@dataclass(frozen=True)
class Payload:
    """Bytes in place of a prediction."""

    array: np.ndarray


@dataclass(frozen=True)
class ReturnBytes:
    """A question that runs no model: what its answer takes is the way there and back.

    Attributes:
        count: bytes of the answer.
    """

    count: int
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = DEADLINE_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes of the answer."""
        return self.count

    def run(self, predictor: Any, image: Rgb, budget: int, report: ReportProgress) -> OpResult:
        """A Payload of `count` bytes."""
        return OpResult(Payload(np.ones(self.count, np.uint8)))


def number_pictures(size: tuple[int, int], first: int = 1) -> Iterator[Rgb]:
    """Endless distinct pictures of (height, width): one drawn scene, whose first pixel is the picture's number.

    Any thread may take the next one.
    """
    scene = resize(draw_scene(SHOWN_SEED).image, size)
    return map(partial(number_picture, scene), itertools.count(first))  # unlike a generator, threads may share it


def number_picture(scene: Rgb, number: int) -> Rgb:
    """A copy of a picture whose first pixel holds a number below 2^24."""
    picture = scene.copy()
    picture[0, 0] = number & 255, (number >> 8) & 255, (number >> 16) & 255
    return picture


def explain_centre(size: tuple[int, int]) -> Attribute:
    """The long question: which pixels drive the first class's score at the picture's centre."""
    from segviz.attribution import Options, Target  # Captum takes a second to import

    return Attribute(LONG_METHOD, Target(0, (size[0] // 2, size[1] // 2)), Options())


def count_request_bytes(request: Request) -> dict[str, int]:
    """Pickled bytes of what goes to a replica: all of it, and the picture in it."""
    sent = uuid4().hex, request, 0
    return {"request": pickled_bytes(sent), "picture there": pickled_bytes(request.image)}


def count_answer_bytes(result: Result) -> dict[str, int]:
    """Pickled bytes of an answer: all of it, and its parts; of a prediction also each map alone.

    Maps that share tensors take less together than one by one.
    """
    counts = {"answer": pickled_bytes(result)}
    value = result.value
    if not isinstance(value, Prediction):
        return counts
    maps = dict(value.maps)
    return counts | {
        "picture back": pickled_bytes(value.image),
        "labels": pickled_bytes(value.labels),
        "confidence": pickled_bytes(value.confidence),
        "features": pickled_bytes(value.attended),
        "maps": pickled_bytes(maps),
        **{f"map {name}": pickled_bytes(one) for name, one in maps.items()},
    }


def pickled_bytes(value: object) -> int:
    """The length of a value's pickle, as replicas make it."""
    return len(pickle.dumps(value, protocol=PICKLE_PROTOCOL))
