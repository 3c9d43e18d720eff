"""The panels of a network's map: heads, notes, limits, scales and exports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from network_map_cases import HEADS, NETWORK_MAPS, OBJECT_MAPS

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.head_map import HeadMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.network_look import network_weights, sampled_weights
from segviz.attention.object_queries import ObjectQueryMap
from segviz.figures.content import Heat, Points
from segviz.figures.draw_subplot import compose_picture
from segviz.figures.viewer_figure import Viewer, viewer_figure_spec
from segviz.viewer import network_message, wire
from segviz.viewer.display import Display
from segviz.viewer.network_panels import head_panels
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.panels_of_maps import panels_of_map, pin_panels
from segviz.viewer.start_scale import set_starts

ALL = NETWORK_MAPS | OBJECT_MAPS
IMAGE = np.zeros((100, 140, 3), np.uint8)
SIZE, PLACE = (100, 140), (61, 45)


def multi_head(name: str = "heads") -> MultiHeadAttention:
    one = NETWORK_MAPS[name]
    assert isinstance(one, MultiHeadAttention)
    return one


def notes(name: str) -> list[str]:
    return [panel.note for panel in panels_of_map(ALL[name])]


@pytest.mark.parametrize("name", ALL)
def test_every_kind_has_panels_and_a_strip_of_its_heads(name: str) -> None:
    one = ALL[name]
    looks = [panel.look for panel in panels_of_map(one, "net", head=0)]
    points = ["points"] * isinstance(one, DeformableAttention | DeformableQueries)
    if isinstance(one, ObjectQueryMap):
        assert looks == ["query", *points]
    else:
        tokens = ["query"] * (isinstance(one, MultiHeadAttention) and one.prefix > 0)
        assert looks == ["attends_to", "attended_by", *points, *tokens]
    strip = head_panels(one, "query" if isinstance(one, ObjectQueryMap) else "attended_by", "net")
    assert [panel.head for panel in strip] == list(range(one.heads))
    assert {panel.model for panel in (*strip, *panels_of_map(one, "net"))} == {"net"}


def test_notes_say_which_heads_grids_and_windows() -> None:
    assert notes("heads")[0] == f"what the point draws from each place; mean of {HEADS} heads"
    assert notes("coarse keys")[0].endswith("queries on 5 x 7 cells, keys on 2 x 4 cells")
    assert notes("shifted windows")[0].endswith("windows of 3 x 4, shifted by 1 x 2")
    assert "heads" not in notes("one head")[0]
    assert notes("masked objects") == [
        f"the map of the object query that draws most from the point; mean of {HEADS} heads"
    ]
    assert panels_of_map(multi_head(), head=2)[0].note.endswith(f"head 2 (0 to {HEADS - 1})")


@pytest.mark.parametrize("head", [HEADS, -1])
def test_a_head_that_the_map_has_not_is_refused(head: int) -> None:
    with pytest.raises(ValueError, match="there is no head"):
        Panel("title", multi_head(), "attends_to", head=head)


def test_a_look_or_query_that_the_map_has_not_is_refused() -> None:
    for one, look, query in (
        (multi_head(), "strip", None),
        (multi_head(), "query", 0),
        (multi_head("tokens"), "query", 2),
        (OBJECT_MAPS["objects"], "attends_to", None),
        (OBJECT_MAPS["objects"], "query", 4),
        (OBJECT_MAPS["objects"], "points", None),
        (OBJECT_MAPS["sampling objects"], "points", 4),
        (OBJECT_MAPS["sampling objects"], "strip", None),
    ):
        with pytest.raises(ValueError, match="has no look"):
            Panel("title", one, look, query=query)  # type: ignore[arg-type]


def test_a_pinned_panel_keeps_its_head_and_query() -> None:
    panels = [*head_panels(multi_head()), *head_panels(OBJECT_MAPS["objects"], "query")]
    pinned = pin_panels(panels, (Pin(1, 2, 0),))
    assert [(one.head, one.query) for one in pinned] == [(one.head, None) for one in panels]


def test_a_map_that_is_the_same_at_each_point_is_not_repeated_for_pins() -> None:
    fixed = head_panels(OBJECT_MAPS["objects"], "query", query=3)[:2]
    panels = panels_of_map(multi_head("tokens"))
    assert [one.look for one in panels if not one.follows] == ["query"]
    pins = (Pin(1, 2, 0), Pin(3, 4, 1))
    pinned = pin_panels([*panels, *fixed], pins)
    assert [(one.look, one.pin) for one in pinned] == [
        (look, at) for at in (0, 1) for look in ("attends_to", "attended_by")
    ]
    viewer = Viewer(IMAGE, pins, Display(), 2, PLACE)
    spec = viewer_figure_spec("title", viewer, [*panels, *pinned])
    titles = [one.title for one in spec.subplots]
    assert len(titles) == 5 and sum("off the picture" in one for one in titles) == 1
    assert sum("of point 2" in one for one in titles) == 2  # which show what follows the pointer


def test_a_map_that_is_too_large_is_a_plain_picture_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    one = multi_head()
    monkeypatch.setattr(network_message, "MOST_FACTOR_BYTES", network_message.factor_bytes(one) - 1)
    (panel,) = panels_of_map(one)
    assert (panel.map, panel.look) == (None, "plain")
    assert "more than the" in panel.note and "in Python" in panel.note
    assert head_panels(one) == ()
    with pytest.raises(ValueError, match="map 'heads' cannot be shown: its numbers take"):
        wire.pack(one)


def test_where_columns_would_take_too_long_only_rows_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_message, "MOST_LOGITS", 100)
    rows, columns = panels_of_map(multi_head())
    assert (rows.look, columns.look, columns.map) == ("attends_to", "plain", None)
    assert "not drawn: its log-denominators" in columns.note
    assert head_panels(multi_head(), "attended_by") == ()
    assert b'"lse"' not in wire.pack(multi_head())


@pytest.mark.parametrize("name", ALL)
def test_an_export_has_pythons_values(name: str) -> None:
    one = ALL[name]
    panels = set_starts(panels_of_map(one, "net", head="largest"), PLACE, (), SIZE, Display())
    viewer = Viewer(IMAGE, (), Display(strongest=True), 2, PLACE)
    spec = viewer_figure_spec("title", viewer, panels)
    for panel, subplot in zip(panels, spec.subplots, strict=True):
        if panel.look == "points":
            assert isinstance(subplot.content, Points) and isinstance(one, DeformableAttention | DeformableQueries)
            positions, weights = sampled_weights(one, PLACE, SIZE, "largest")
            np.testing.assert_array_equal(subplot.content.weights, weights.numpy())
            covered = np.array(SIZE) * one.covers
            np.testing.assert_allclose(subplot.content.at, positions.numpy() * covered - 0.5, atol=1e-3)
        else:
            assert isinstance(subplot.content, Heat) and panel.look in ("attends_to", "attended_by", "query")
            expected = network_weights(one, panel.look, PLACE, SIZE, "largest", panel.query)  # type: ignore[arg-type]
            np.testing.assert_array_equal(subplot.content.values, expected.numpy())
        assert ("y 61, x 45" in subplot.title) is panel.follows and (one.heads == 1 or "largest of" in subplot.title)
        assert compose_picture(subplot, 0.7, 140).shape == IMAGE.shape


def test_an_export_leaves_out_what_lies_beyond_the_picture() -> None:
    keys = torch.full((1, 4, 1), -9.0)
    keys[0, 3] = 9  # all weight lies on the lower right quarter of a grid twice as large as the picture
    one = MultiHeadAttention("a", (2, 2), (2, 2), torch.ones(1, 4, 1), keys, covers=(2.0, 2.0))
    viewer = Viewer(IMAGE, (), Display(cells="cells"), 2, PLACE)
    spec = viewer_figure_spec("title", viewer, panels_of_map(one)[:1])
    dark = compose_picture(spec.subplots[0], 1.0, 140)
    assert (dark == dark[0, 0]).all()  # the picture is one cell, which has no weight
    whole = replace(one, covers=(1.0, 1.0))
    lit = compose_picture(viewer_figure_spec("title", viewer, panels_of_map(whole)[:1]).subplots[0], 1.0, 140)
    assert not (lit == lit[0, 0]).all()


def test_a_map_of_one_bright_cell_starts_on_a_scale_that_shows_the_rest() -> None:
    keys = torch.zeros(1, 400, 1)
    keys[0, 7] = 8
    one = MultiHeadAttention("a", (20, 20), (20, 20), torch.ones(1, 400, 1), keys)
    panels = set_starts([*panels_of_map(one), *panels_of_map(multi_head())], PLACE, (), SIZE, Display())
    assert [panel.start for panel in panels[:3:2]] == ["log", "linear"]


def test_steps_are_taken_only_where_they_are_close() -> None:
    for name, steps in (("heads", True), ("steep", False)):
        one = NETWORK_MAPS[name]
        assert isinstance(one, HeadMap)
        assert (b'"queries_unit"' in wire.pack(one)) == steps
