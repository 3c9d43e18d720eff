"""What a viewer shows, as a figure spec for files: the same maps, places, scales and colours, by the viewer's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from segviz.attention.maps import AttendedFeatures, MapLook, SpatialMap
from segviz.data.classes import ClassSet
from segviz.figures.colour import Scale, ScaleKind, joint_scale, signed_scale, weight_scale
from segviz.figures.figure_spec import Classes, FigureSpec, Heat, Mark, Points, Subplot
from segviz.figures.interesting_places import LETTERS, cell_box, strongest_cells
from segviz.figures.map_subplots import map_subplot
from segviz.figures.overlay import has_aligned_corners
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.text import pixel_text
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, LabelMap, Panel, Pin, ScalarMap, ShareMap, kept_by_predictions

ModelOf = Callable[[object], str]  # the name of the model that made a map, or ""
WAYS = {"attends_to": "attends to", "attended_by": "attended by"}


@dataclass(frozen=True)
class Viewer:
    """What a viewer is given, and where its reader stands.

    Attributes:
        image: the picture.
        pins: the points that are kept.
        display: how the reader has it drawn.
        columns: how many panels lie side by side.
        model_of: names the model of a map, or of an array of labels.
    """

    image: Rgb
    pins: tuple[Pin, ...]
    display: Display
    columns: int
    model_of: ModelOf = lambda _: ""

    @property
    def rest(self) -> Place:
        """The pixel (y, x) that panels show while nobody points: the last pin, or the middle."""
        height, width = self.image.shape[:2]
        return (self.pins[-1].y, self.pins[-1].x) if self.pins else (height // 2, width // 2)


def viewer_figure_spec(title: str, viewer: Viewer, panels: Sequence[Panel], more: Sequence[Subplot] = ()) -> FigureSpec:
    """The panels as they are seen, with their scales, and what else the page shows, in as many columns as there."""
    found = [*scaled([list(parts(viewer, panel)) for panel in panels], viewer.display), *more]
    columns = max(1, min(viewer.columns, len(found)))
    rows = tuple(tuple(found[first : first + columns]) for first in range(0, len(found), columns))
    return FigureSpec(title, rows, viewer.display.opacity / 100)


def parts(viewer: Viewer, panel: Panel) -> Iterator[Subplot]:
    """A panel; both sides of a swipe panel, one after the other."""
    if panel.sides is None:
        yield part(viewer, panel)
        return
    for side, where in zip(panel.sides, ("left", "right"), strict=True):
        yield part(viewer, replace(side, title=f"{panel.title}, {where}: {side.title}", at=panel.at, pin=panel.pin))


def part(viewer: Viewer, panel: Panel) -> Subplot:
    """One picture with one map over it, on the map's own scale."""
    image, display = viewer.image, viewer.display
    model = viewer.model_of(kept_by_predictions(panel.map))
    marks = tuple(Mark(pin.y, pin.x, at, PIN_COLOURS[pin.colour]) for at, pin in enumerate(viewer.pins, 1))
    if isinstance(panel.map, LabelMap):
        classes = ClassSet(panel.map.classes, tuple((int(r), int(g), int(b)) for r, g, b in panel.map.palette))
        levels = panel.map.levels
        labels = Classes(panel.map.labels, classes, display.outlines or levels, display.hidden, levels)
        return Subplot(panel.title, image, labels, named("labels", model), model, marks=marks)
    if isinstance(panel.map, AttendedFeatures):
        values = (panel.map.output if panel.look == "output" else panel.map.context).numpy()
        kind: ScaleKind = "linear" if display.scale == "log" else display.scale  # features may be negative
        heat = Heat(values, weight_scale(values, kind=kind), "channel mean", aligned=has_aligned_corners(panel.map))
        return Subplot(panel.title, image, heat, named(f"attended_{panel.look}", model), model, marks=marks)
    if isinstance(panel.map, ShareMap):
        heat = Heat(panel.map.shares, Scale(0, 1), "probability")
        return Subplot(panel.title, image, heat, named("confidence", model), model, marks=marks)
    if isinstance(panel.map, ScalarMap):
        values = panel.map.values
        scale = signed_scale(values) if panel.map.signed else weight_scale(values, kind=display.scale)
        return Subplot(panel.title, image, Heat(values, scale, panel.map.unit), "values", marks=marks)
    if panel.map is None:
        return Subplot(panel.title, image, marks=marks)
    return map_part(viewer, panel, panel.map, model, marks)


def map_part(viewer: Viewer, panel: Panel, one: SpatialMap, model: str, marks: tuple[Mark, ...]) -> Subplot:
    """A map over places, asked from the panel's pixel."""
    image, display, place, look = viewer.image, viewer.display, place_of(viewer, panel), look_of(panel, viewer.display)
    kind: ScaleKind = "linear" if look == "points" and display.scale == "percentile" else display.scale
    found = map_subplot(image, one, look, place, model=model, kind=kind)
    boxes, title = found.boxes, panel.title
    if display.strongest:
        size = (image.shape[0], image.shape[1])
        cell = one.cell(*place, *size)
        values = found.content.values if isinstance(found.content, Heat) else one.attends_to(*cell).numpy()
        cells = zip(LETTERS, strongest_cells(values, *cell), strict=False)  # there may be fewer
        boxes += tuple(cell_box(one, where, size, letter) for letter, where in cells)
    if panel.look == "either":
        title += f": {WAYS[display.direction]}"
    title += f" ({pixel_text(*place)})"
    return replace(found, title=title, name=named(found.name, model), marks=marks or found.marks, boxes=boxes)


def named(name: str, model: str) -> str:
    """Of arrays in files: several models may have a map of the same name."""
    return f"{model}_{name}" if model else name


def look_of(panel: Panel, display: Display) -> MapLook:
    """The look of a map over places; "either" is as the reader has chosen."""
    look = display.direction if panel.look == "either" else panel.look
    assert look in ("attends_to", "attended_by", "strip", "points")
    return look


def place_of(viewer: Viewer, panel: Panel) -> Place:
    """The pixel that a panel asks about."""
    if panel.at is None and panel.pin is not None and panel.pin < len(viewer.pins):
        pin = viewer.pins[panel.pin]
        return pin.y, pin.x
    return panel.at or viewer.rest


def scaled(groups: Sequence[Sequence[Subplot]], display: Display) -> Iterator[Subplot]:
    """The panels on the scales of the viewer: each panel's own, or one for all weights and one for all features."""
    everything = [panel for group in groups for panel in group]
    for group in groups:
        for panel in group:
            content = panel.content
            if not isinstance(content, Heat | Points):
                yield panel
                continue
            among = everything if display.range == "shared" else group
            alike = [one.content for one in among if isinstance(one.content, Heat | Points)]
            scale = joint_scale([one.scale for one in alike if one.unit == content.unit])
            content = replace(content, scale=scale, colours="signed" if scale.low < 0 else display.colours)
            if isinstance(content, Heat):
                content = replace(content, smooth=display.cells == "smooth")
            yield replace(panel, content=content)
