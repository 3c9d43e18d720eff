"""The questions that the app asks a bundled model: for each of the engine's ops, its variants for one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from segviz.engine.network_ops import CompareLayer, CompareStage, Watch
from segviz.engine.ops import Attribute, CompareFeatures, MeasureInfluence, Predict
from segviz.engine.request import Op
from segviz.image import working_size
from segviz.prediction.similarity import STAGES

PictureSize = tuple[int, int]


@dataclass(frozen=True)
class Question:
    """A question by its name in tables: the op's in words, with what varies in it."""

    name: str
    op: Op


def ask_predictions(size: PictureSize) -> Iterator[Question]:
    """Labels and maps; at the picture's own size, too, where the models see it at another one."""
    yield Question("predict", Predict())
    if working_size(*size, wanted="own") != working_size(*size):
        yield Question("predict_own_size", Predict(own_size=True))


def ask_influence(size: PictureSize) -> Iterator[Question]:
    """The influence on the answer at the picture's centre."""
    yield Question("influence", MeasureInfluence(centre_of(size)))


def ask_similarity(size: PictureSize) -> Iterator[Question]:
    """The similarity of features at every stage."""
    for stage in STAGES:
        yield Question(f"similarity_{stage}", CompareFeatures(stage))


def ask_attributions(size: PictureSize) -> Iterator[Question]:
    """Every method, for the first class's score at the centre, with the page's options."""
    from segviz.attribution import METHODS, Options, Target  # Captum takes a second to import

    for method in METHODS:
        yield Question(method, Attribute(method, Target(0, centre_of(size)), Options()))


def centre_of(size: PictureSize) -> tuple[int, int]:
    """The pixel (y, x) in the middle of a picture of (height, width)."""
    return size[0] // 2, size[1] // 2


QUESTIONS: Mapping[type[Op], Callable[[PictureSize], Iterator[Question]]] = MappingProxyType({
    Predict: ask_predictions,
    MeasureInfluence: ask_influence,
    CompareFeatures: ask_similarity,
    Attribute: ask_attributions,
})  # fmt: skip
# Ops on networks of one's own. Of a bundled model's kind, Watch is Predict and CompareStage is CompareFeatures.
OF_OWN_NETWORKS: frozenset[type[Op]] = frozenset({Watch, CompareLayer, CompareStage})


def list_questions(size: PictureSize) -> list[Question]:
    """All questions about a picture of (height, width)."""
    return [one for ask in QUESTIONS.values() for one in ask(size)]
