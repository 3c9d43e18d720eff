"""The description of a figure: rows of subplots, each a picture with at most one map, label map or chart.

`matplotlib_backend.py` draws it for print, `plotly_backend.py` for a notebook, and `export.py` writes it to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from segviz.figures.content import Scaled, in_percent
from segviz.figures.scale_text import SCALE_WORDS, describe_scale
from segviz.figures.subplot import Arrays, Subplot, subplot_details
from segviz.figures.subplot_rows import free_name, name_panels
from segviz.filenames import safe_name
from segviz.prediction.prediction import Place
from segviz.text import pixel_text

FEW_SCALES = 3
# What an NPZ says of its figure, and the parameters of NumPy's savez.
TAKEN_NAMES = dict.fromkeys(("title", "models", "places", "details", "file", "args", "allow_pickle"))


@dataclass(frozen=True, eq=False)
class FigureSpec:
    """The description of a figure.

    Attributes:
        title: what the figure shows.
        rows: rows of subplots; None leaves a cell empty.
        opacity: opacity of maps and labels over pictures, in [0, 1].
        note: the end of the caption, such as what the maps' contexts are worth.
        titles: the models' titles, for the caption; "" has it give their names.
    """

    title: str
    rows: tuple[tuple[Subplot | None, ...], ...]
    opacity: float = 0.65
    note: str = ""
    titles: str = ""

    @property
    def subplots(self) -> tuple[Subplot, ...]:
        """All subplots, row by row."""
        return tuple(subplot for row in self.rows for subplot in row if subplot is not None)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, without duplicates."""
        return tuple(dict.fromkeys(subplot.model for subplot in self.subplots if subplot.model))

    @property
    def places(self) -> tuple[Place, ...]:
        """All queried or marked pixels (y, x), without duplicates."""
        places = [
            place
            for subplot in self.subplots
            for place in (subplot.place, *((mark.y, mark.x) for mark in subplot.marks))
        ]
        return tuple(dict.fromkeys(place for place in places if place is not None))

    @property
    def panel_names(self) -> tuple[str, ...]:
        """A name for each subplot that no other has: its title, or its column's, with its row if that is taken."""
        return tuple(name_panels(self.rows))

    def arrays(self) -> Arrays:
        """The numbers of all subplots; among several models an array's name has its model, and no two are alike."""
        arrays: Arrays = {}
        for subplot in self.subplots:
            for name, values in subplot.arrays().items():
                if not any(values is known for known in arrays.values()):
                    own = safe_name(self.name_with_model(name, subplot.model), "array")
                    arrays[free_name(own, {**arrays, **TAKEN_NAMES})] = values
        return arrays

    def name_with_model(self, name: str, model: str) -> str:
        """The name, preceded by the model if there are several and the name does not contain it."""
        return name if len(self.models) < 2 or f"_{model}_" in f"_{name}_" else f"{model}_{name}"

    def details(self) -> dict[str, Any]:
        """The figure's metadata for files, as JSON values: title, and model, pixel and scale of every subplot."""
        return {
            "title": self.title,
            "models": list(self.models),
            "opacity": self.opacity,
            "note": self.note,
            "panels": list(self.panel_details()),
        }

    def panel_details(self) -> Iterator[dict[str, Any]]:
        """Yields the metadata of each subplot, with its panel's name and the names of its arrays as in `arrays`."""
        arrays = self.arrays()
        for panel, subplot in zip(self.panel_names, self.subplots, strict=True):
            own = [name for name, values in arrays.items() if any(values is one for one in subplot.arrays().values())]
            yield {"panel": panel, **subplot_details(subplot), "arrays": own}

    def caption(self) -> str:
        """Title, models, pixels, scales, what their tick is, and the note, in one line."""
        parts = [f"{self.title}: {self.titles}" if self.titles else self.title]
        if self.models and not self.titles:
            parts.append(("model " if len(self.models) == 1 else "models ") + ", ".join(self.models))
        if self.places:
            parts.append("pixel " + "; ".join(pixel_text(*place) for place in self.places))
        marked = any(getattr(subplot.content, "even", None) is not None for subplot in self.subplots)
        tick = "tick at a colour bar: the even share" if marked else ""
        return "; ".join([*parts, *scales_text(self.subplots), *filter(None, [tick, self.note])])


def scales_text(subplots: Sequence[Subplot]) -> list[str]:
    """The scales in words: a single one alone, a few with their subplots' titles, of many only the kinds."""
    titles: dict[str, list[str]] = {}
    for subplot in subplots:
        if isinstance(subplot.content, Scaled):
            text = describe_scale(subplot.content.scale, in_percent(subplot.content))
            titles.setdefault(text, []).append(subplot.title)
    named = [name for names in titles.values() for name in dict.fromkeys(names)]
    if len(titles) <= 1 or (len(titles) <= FEW_SCALES and ("" in named or len(set(named)) < len(named))):
        return list(titles)  # titles are missing or repeat, so they cannot name a scale
    if len(titles) <= FEW_SCALES:
        return [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in titles.items()]
    return [f"each map on its own {words_of_kinds(subplots)}"]


def words_of_kinds(subplots: Sequence[Subplot]) -> str:
    """The kinds of scale of many maps: the only one, or which maps have a rarer one if their titles tell that."""
    kinds: dict[str, list[str]] = {}
    for subplot in subplots:
        if subplot.scale:
            kinds.setdefault(SCALE_WORDS[subplot.scale.kind], []).append(subplot.title)
    usual, *others = sorted(kinds, key=lambda kind: -len(kinds[kind]))
    if not others:
        return f"{usual} scale"
    titles = [{*named} for named in kinds.values()]
    if "" in set().union(*titles) or sum(map(len, titles)) > len(set().union(*titles)):
        return f"scale, {' or '.join(kinds)}"
    named = "; ".join(f"{', '.join(dict.fromkeys(kinds[kind]))}: {kind}" for kind in others)
    return f"scale ({named}; the others: {usual})"
