"""What a viewer shows, as a figure spec for exports: the same maps, places, scales and colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from segviz.attention.maps import AttendedFeatures, MapLook, NetworkMap, SpatialMap
from segviz.attention.network_look import look_at_network, network_weights, strongest_query
from segviz.attention.object_queries import ObjectQueryMap
from segviz.attention.region import Region
from segviz.data.classes import ClassSet
from segviz.figures.colour import Scale, joint_scale, signed_scale, weight_scale
from segviz.figures.content import Classes, Heat, Points
from segviz.figures.crop_subplot import bare_crop, frame_of_crop, move_to_picture
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import LETTERS, cell_box, strongest_cells
from segviz.figures.map_subplots import map_subplot
from segviz.figures.network_subplot import network_subplot, strongest_boxes, view_text
from segviz.figures.subplot import Box, Mark, Subplot
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.scales import ScaleKind
from segviz.text import pixel_text
from segviz.viewer.display import Display
from segviz.viewer.export_layout import leave_out_repeats, mark_new, row_lengths, split_swipe
from segviz.viewer.panel import PIN_COLOURS, LabelMap, Panel, Pin, ScalarMap, ShareMap
from segviz.viewer.view import ZoomedView

WAYS = {"attends_to": "attends to", "attended_by": "attended by"}


@dataclass(frozen=True)
class Viewer:
    """A viewer's picture, and what its reader has chosen.

    Attributes:
        image: the picture.
        pins: the pinned points.
        display: the settings.
        columns: how many panels stand side by side.
        first: the pixel (y, x) at which the page begins; None for the middle.
        view: the part of the picture that the viewer shows; figures always show the whole picture.
        why: why the page begins there, as the end of a sentence; "" where that needs no word.
    """

    image: Rgb
    pins: tuple[Pin, ...]
    display: Display
    columns: int
    first: Place | None = None
    view: ZoomedView = field(default_factory=ZoomedView)
    why: str = ""

    @property
    def rest(self) -> Place:
        """The pixel (y, x) that panels show while nobody points: the last pin, or where the page begins."""
        height, width = self.image.shape[:2]
        return (self.pins[-1].y, self.pins[-1].x) if self.pins else self.first or (height // 2, width // 2)


def viewer_figure_spec(
    title: str,
    viewer: Viewer,
    panels: Sequence[Panel],
    more: Sequence[Subplot] = (),
    note: str = "",
    titles: str = "",
) -> FigureSpec:
    """The panels as the viewer shows them, with their scales, and what else the page shows.

    Each of several pins has a row of its own, as on the page. Rows have the viewer's columns, or a few more or less
    where one subplot would be left alone. A map that follows the pointer and rests on a pin whose row has it, too, is
    drawn once.

    Args:
        title: what the figure shows.
        viewer: what the reader has chosen.
        panels: the viewer's panels.
        more: what else the page shows.
        note: the end of the caption.
        titles: the models' titles; "" has the caption give their names.
    """
    panels = leave_out_repeats(panels, len(viewer.pins), viewer.display)
    groups = share_values([subplot_of_panel(viewer, one) for one in split_swipe(panel)] for panel in panels)
    scaled = apply_scales(groups, viewer.display)
    new = [(panel.pin, one) for panel in panels for one in mark_new(panel, panels, viewer.display)]
    shown = [(subplot, pin) for subplot, (pin, is_new) in zip(scaled, new, strict=True) if is_new]
    shown += [(subplot, None) for subplot in more]
    rest = (subplot for subplot, _ in shown)
    rows = tuple(tuple(islice(rest, length)) for length in row_lengths([pin for _, pin in shown], viewer.columns))
    note = "; ".join(filter(None, (describe_first(viewer, panels), note)))
    return FigureSpec(title, rows, viewer.display.opacity / 100, note, titles)


def describe_first(viewer: Viewer, panels: Sequence[Panel]) -> str:
    """Why maps are taken at their pixel where the page chose it; "" where a reader pinned another, or none follows."""
    is_own = all((pin.y, pin.x) == viewer.first for pin in viewer.pins)
    follows = any(panel.follows and panel.at is None and panel.map is not None for panel in panels)
    return f"pixel chosen by the page, {viewer.why}" if viewer.why and is_own and follows else ""


def share_values(groups: Iterable[Sequence[Subplot]]) -> list[list[Subplot]]:
    """The subplots; those with the same numbers of a map at the same pixel share one array, so a file has it once."""
    known: dict[tuple[str, Place | None], np.ndarray] = {}
    shared: list[list[Subplot]] = []
    for group in groups:
        shared.append([])
        for subplot in group:
            if isinstance(subplot.content, Heat):
                values = known.setdefault((subplot.name, subplot.place), subplot.content.values)
                if np.array_equal(values, subplot.content.values, equal_nan=True):
                    subplot = replace(subplot, content=replace(subplot.content, values=values))
            shared[-1].append(subplot)
    return shared


def subplot_of_panel(viewer: Viewer, panel: Panel) -> Subplot:
    """One picture with one map over it, on the map's own scale."""
    return subplot_of_whole(viewer, panel) if panel.region is None else subplot_of_crop(viewer, panel, panel.region)


def subplot_of_crop(viewer: Viewer, panel: Panel, region: Region) -> Subplot:
    """The picture with a map over the crop of it that the network saw; none for a place outside the crop."""
    place, fixed = place_of(viewer, panel), isinstance(panel.map, ScalarMap)
    if place not in region and not fixed:
        empty = subplot_of_whole(viewer, replace(panel, map=None, look="plain", head="mean", query=None, region=None))
        return replace(empty, title=f"{panel.title} (the point is outside the crop)", boxes=(frame_of_crop(region),))
    alone = replace(viewer, image=bare_crop(region), pins=(), first=region.inside(place))
    at = None if panel.at is None else region.inside(panel.at)
    subplot = subplot_of_whole(alone, replace(panel, region=None, at=at, pin=None))
    marks = tuple(Mark(pin.y, pin.x, pin.number, PIN_COLOURS[pin.colour]) for pin in viewer.pins)
    if not fixed:
        marks = select_marks(marks, place) or (Mark(*place),)
    return move_to_picture(subplot, viewer.image, region, None if fixed else place, marks)


def subplot_of_whole(viewer: Viewer, panel: Panel) -> Subplot:
    """A panel whose map lies over all of the picture."""
    image, display, model = viewer.image, viewer.display, panel.model
    marks = tuple(Mark(pin.y, pin.x, pin.number, PIN_COLOURS[pin.colour]) for pin in viewer.pins)
    if isinstance(panel.map, LabelMap):
        classes = ClassSet(panel.map.classes, tuple((int(r), int(g), int(b)) for r, g, b in panel.map.palette))
        levels = panel.map.levels
        labels = Classes(panel.map.labels, classes, display.outlines or levels, display.hidden, levels)
        return Subplot(panel.title, image, labels, array_name("labels", model), model, marks=marks)
    if isinstance(panel.map, AttendedFeatures):
        values = (panel.map.output if panel.look == "output" else panel.map.context).numpy()
        kind = without(display.scale_kind(panel.start), "log")  # features may be negative
        heat = Heat(values, weight_scale(values, kind=kind), "channel mean")
        return Subplot(panel.title, image, heat, array_name(f"attended_{panel.look}", model), model, marks=marks)
    if isinstance(panel.map, ShareMap):
        heat = Heat(panel.map.shares, Scale(0, 1), "probability")
        return Subplot(panel.title, image, heat, array_name("confidence", model), model, marks=marks)
    if isinstance(panel.map, ScalarMap):
        values = panel.map.values
        kind = display.scale_kind(panel.start)
        scale = signed_scale(values, kind=without(kind, "log")) if panel.map.signed else weight_scale(values, kind=kind)
        heat = Heat(values, scale, panel.map.unit)
        return Subplot(panel.title, image, heat, array_name("values", model), model, marks=marks)
    if panel.map is None:
        own = marks if panel.pin is None else select_marks(marks, place_of(viewer, panel))
        return Subplot(panel.title, image, marks=own)
    if isinstance(panel.map, NetworkMap):
        return subplot_of_network(viewer, panel, panel.map, marks)
    return subplot_of_map(viewer, panel, panel.map, marks)


def subplot_of_network(viewer: Viewer, panel: Panel, one: NetworkMap, marks: tuple[Mark, ...]) -> Subplot:
    """A network's map, at the panel's pixel and head."""
    image, display, place = viewer.image, viewer.display, place_of(viewer, panel)
    look = look_at_network(display.direction if panel.look == "either" else panel.look)
    kind, head = display.scale_kind(panel.start), panel.head
    kind = without(kind, "percentile") if look == "points" else kind  # of a few dots, none is cut off
    subplot = network_subplot(image, one, look, place, head=head, query=panel.query, model=panel.model, kind=kind)
    way = f": {WAYS[display.direction]}" if panel.look == "either" else ""
    size = (image.shape[0], image.shape[1])
    if isinstance(one, ObjectQueryMap) and panel.query is None:
        way = f": {strongest_query(one, place, size, head)}"
    view = view_text(one, head) if isinstance(head, str) else ""
    where = f" ({pixel_text(*place)})" if panel.follows else ""
    content = subplot.content
    assert isinstance(content, Heat | Points)
    boxes: tuple[Box, ...] = ()
    if display.strongest:
        values = network_weights(one, look, place, size, head, panel.query).numpy()
        boxes = strongest_boxes(values, one.covers, place, size)
    return replace(
        subplot,
        title=f"{panel.title}{way}{view}{where}",
        content=replace(content, percent=True),
        name=array_name(subplot.name, panel.model),
        marks=select_marks(marks, place) or subplot.marks,
        boxes=boxes,
    )


def subplot_of_map(viewer: Viewer, panel: Panel, one: SpatialMap, marks: tuple[Mark, ...]) -> Subplot:
    """A map over places, at the panel's pixel."""
    image, display, place, look = viewer.image, viewer.display, place_of(viewer, panel), look_of(panel, viewer.display)
    kind = display.scale_kind(panel.start)
    kind = without(kind, "percentile") if look == "points" else kind  # of a few dots, none is cut off
    subplot = map_subplot(image, one, look, place, model=panel.model, kind=kind)
    boxes, title = subplot.boxes, panel.title
    if display.strongest:
        size = (image.shape[0], image.shape[1])
        cell = one.cell(*place, *size)
        values = subplot.content.values if isinstance(subplot.content, Heat) else one.attends_to(*cell).numpy()
        cells = zip(LETTERS, strongest_cells(values, *cell), strict=False)  # there may be fewer
        boxes += tuple(cell_box(one, where, size, letter) for letter, where in cells)
    if panel.look == "either":
        title += f": {WAYS[display.direction]}"
    title += f" ({pixel_text(*place)})"
    content = subplot.content
    if isinstance(content, Heat | Points):
        content = replace(content, percent=one.unit == "weight")
    own = select_marks(marks, place) or subplot.marks
    name = array_name(subplot.name, panel.model)
    return replace(subplot, title=title, content=content, name=name, marks=own, boxes=boxes)


def without(kind: ScaleKind, inapplicable: ScaleKind) -> ScaleKind:
    """The kind of scale, or linear where that kind does not apply."""
    return "linear" if kind == inapplicable else kind


def select_marks(marks: Sequence[Mark], place: Place) -> tuple[Mark, ...]:
    """The marks at a place: those of other points would only hide what the point's map shows."""
    return tuple(mark for mark in marks if (mark.y, mark.x) == place)


def array_name(name: str, model: str) -> str:
    """An array's name in files; several models may have a map of the same name."""
    return f"{model}_{name}" if model else name


def look_of(panel: Panel, display: Display) -> MapLook:
    """The look of a map over places; "either" becomes the direction that the reader chose."""
    look = display.direction if panel.look == "either" else panel.look
    assert look in ("attends_to", "attended_by", "strip", "points")
    return look


def place_of(viewer: Viewer, panel: Panel) -> Place:
    """The pixel that a panel shows."""
    if panel.at is None and panel.pin is not None and panel.pin < len(viewer.pins):
        pin = viewer.pins[panel.pin]
        return pin.y, pin.x
    return panel.at or viewer.rest


def apply_scales(groups: Sequence[Sequence[Subplot]], display: Display) -> Iterator[Subplot]:
    """The subplots on the viewer's scales: each panel's own, or one for all weights and one for all features."""
    everything = [subplot for group in groups for subplot in group]
    for group in groups:
        for subplot in group:
            content = subplot.content
            if not isinstance(content, Heat | Points):
                yield subplot
                continue
            among = everything if display.range == "shared" else group
            alike = [one.content for one in among if isinstance(one.content, Heat | Points)]
            scale = joint_scale([one.scale for one in alike if one.unit == content.unit])
            content = replace(content, scale=scale, colours="signed" if scale.low < 0 else display.colours)
            if isinstance(content, Heat):
                content = replace(content, smooth=display.cells == "smooth")
            yield replace(subplot, content=content)
