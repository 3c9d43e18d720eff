"""What is taken away is what the viewer shows: the same maps, places, scales, colours and cells."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from figure_cases import IMAGE, LABELS, SIZE, one_of_each
from streamlit.testing.v1 import AppTest

from segviz.attention.maps import SampledAttention, SpatialMap
from segviz.attention.region import Region
from segviz.figures.class_legend import class_legends
from segviz.figures.colour import Scale, joint_scale, weight_scale
from segviz.figures.content import Classes, Heat, Points
from segviz.figures.disagreement_panel import DIFFERENT_CLASSES, disagreement_panel
from segviz.figures.draw_subplot import compose_picture
from segviz.figures.export import export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.matplotlib_backend import draw
from segviz.figures.subplot import Box, Mark, Subplot, subplot_details
from segviz.figures.viewer_figure import Viewer, viewer_figure_spec
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.text import pixel_text
from segviz.ui.export_button import CONTENT, WHOLE_PICTURE, PictureOptions, describe_rest, make_file, titles_of_models
from segviz.ui.prediction_panels import confidence_panel, feature_panels, panels_of_maps, pin_rows, prediction_panel
from segviz.viewer.display import Display
from segviz.viewer.panel import FOLLOW, PIN_COLOURS, Panel, Pin
from segviz.viewer.panels_of_maps import labels_panel, panels_of_map, pin_panels

PINS = (Pin(4, 7, 0), Pin(22, 33, 1))
LAST = (22, 33)


@pytest.fixture(scope="module")
def made() -> Prediction:
    return one_of_each()


def viewer(made: Prediction, pins: tuple[Pin, ...] = PINS, columns: int = 3, **display: Any) -> Viewer:
    return Viewer(IMAGE, pins, Display(**display), columns)


def all_panels(made: Prediction) -> list[Panel]:
    following = panels_of_maps(made)
    rows = pin_rows(made, following, PINS)
    return [prediction_panel(made), *following, *feature_panels(made), *rows]


def heats(spec: FigureSpec) -> list[Heat]:
    return [one.content for one in spec.subplots if isinstance(one.content, Heat)]


def test_every_panel_comes_along_in_its_order_with_its_model_and_place(made: Prediction) -> None:
    # what follows the pointer is in the rows of the pins
    panels = [one for one in all_panels(made) if one.pin is not None or one.look not in FOLLOW]
    spec = viewer_figure_spec("a page", viewer(made), all_panels(made))
    assert [one.title.split(" (")[0] for one in spec.subplots] == [one.title.split(" (")[0] for one in panels]
    lead = 1 + len(feature_panels(made))
    whole = (len(panels) - lead) // 2
    assert whole % 3 > 1 and [len(row) for row in spec.rows] == [lead, *2 * (*[3] * (whole // 3), whole % 3)]
    for panel, shown in zip(panels, spec.subplots, strict=True):
        assert shown.model == ("" if panel.look == "plain" else made.model), panel.title
        follows = panel.look not in ("labels", "output", "context", "plain")
        own = None if panel.pin is None else (PINS[panel.pin].y, PINS[panel.pin].x)
        assert shown.place == ((own or LAST) if follows else None), panel.title
        marks = [(pin.y, pin.x, pin.number) for pin in shown.marks]
        every = [(4, 7, 1), (22, 33, 2)]
        assert marks == [mark for mark in every if shown.place in (None, mark[:2]) and own in (None, mark[:2])]


def rows_of_titles(spec: FigureSpec) -> list[list[str]]:
    return [[one.title.split(" (")[0] for one in row] for row in spec.rows]


def test_no_row_repeats_what_the_last_pin_s_row_shows(made: Prediction) -> None:
    following = panels_of_map(made.maps["collect"], made.model) + panels_of_map(made.maps["distribute"], made.model)
    titles = [one.title for one in following]
    for pins in (PINS[:1], PINS, (*PINS, Pin(9, 9, 5))):
        rows = [[f"{title} of point {pin.number}" for title in titles] for pin in pins]
        panels = [prediction_panel(made), *following, *pin_rows(made, following, pins)]
        shown = viewer(made, pins)
        drawn = rows_of_titles(viewer_figure_spec("Inspect", shown, panels))
        leads = ["Prediction", *(f"Point {pin.number}" for pin in pins[1:])]  # alone, it would leave a row empty
        assert drawn == [[lead, *row] for lead, row in zip(leads, rows, strict=True)]
        if len(pins) > 1:
            chosen = viewer_figure_spec("chosen", shown, [panels[0], *pin_rows(made, following, pins)])
            own = [[f"Point {pin.number}", *row] for pin, row in zip(pins, rows, strict=True)]
            assert rows_of_titles(chosen) == [["Prediction"], *own]  # of what the reader chose, nothing goes
        spec = viewer_figure_spec(
            "PSA", replace(shown, columns=2), [*following, *pin_panels(following, pins), panels[0]]
        )
        assert [title for row in rows_of_titles(spec) for title in row] == [*chain(*rows), "Prediction"]
        assert not any(len(row) % 2 for row in spec.rows[:-1])  # no row ends between a pin's maps
        assert viewer_figure_spec("chosen", shown, following).places == ((pins[-1].y, pins[-1].x),)


def test_where_the_picture_leads_no_row_repeats_it(made: Prediction) -> None:
    following = panels_of_map(made.maps["collect"], made.model)
    panels = [Panel("Picture", None, "plain"), *following, *pin_rows(made, following, PINS)]
    rows = [[f"Point {pin.number}", f"{following[0].title} of point {pin.number}"] for pin in PINS]
    assert rows_of_titles(viewer_figure_spec("Inspect", viewer(made), panels)) == rows


def test_the_export_says_where_maps_are_taken_and_that_none_is_written_twice(made: Prediction) -> None:
    pinned = describe_rest(viewer(made))
    assert pinned == (
        f"Maps that follow the pointer are taken at point 2, {pixel_text(*LAST)}. "
        "Maps that also appear in a pinned row are written only once."
    )
    chosen = describe_rest(replace(viewer(made, pins=()), first=(5, 6), why="where it is clearest"))
    assert chosen == ("No point is pinned, so maps that follow the pointer are taken where it is clearest, y 5, x 6.")


def test_rows_of_pins_that_are_too_long_are_broken_alike(made: Prediction) -> None:
    following = panels_of_maps(made)[:7]
    panels = [prediction_panel(made), *following, *pin_panels(following, PINS)]
    rows = viewer_figure_spec("Inspect", viewer(made, columns=3), panels).rows
    assert [len(row) for row in rows] == [1, 4, 3, 4, 3]  # in three columns, one map would be left alone
    assert [{one.place for one in row if one} for row in rows[1:]] == [{(4, 7)}] * 2 + [{LAST}] * 2


def test_what_has_no_row_of_its_own_keeps_the_first_row_whole(made: Prediction) -> None:
    both = panels_of_map(made.maps["samples"], made.model)
    spec = viewer_figure_spec("SNL", viewer(made, columns=2), [*both, *pin_panels(both[:1], PINS)])
    titles = [one.title for one in both]
    assert rows_of_titles(spec) == [[*titles, f"{titles[0]} of point 1"]]
    assert [one.place for one in spec.subplots] == [LAST, LAST, (4, 7)]


def test_every_panel_of_a_prediction_carries_its_model(made: Prediction) -> None:
    panels = [
        prediction_panel(made),
        confidence_panel(made, "Confidence"),
        *panels_of_maps(made),
        *feature_panels(made),
    ]
    panels += pin_panels(panels_of_maps(made), PINS)
    assert {panel.model for panel in panels} == {made.model}
    truth = labels_panel(LABELS, made.class_set, "Truth")
    swipe = Panel("Swipe", None, "swipe", sides=(panels[0], truth))
    assert [one.model for one in viewer_figure_spec("a page", viewer(made), [swipe]).subplots] == [made.model, ""]


def test_the_numbers_are_the_maps_own(made: Prediction) -> None:
    spec = viewer_figure_spec("a page", viewer(made), all_panels(made))
    arrays = spec.arrays()
    for one in made.maps.values():
        for panel in panels_of_map(one, made.model):
            for place in ((4, 7), LAST):
                cell = one.cell(*place, *SIZE)  # type: ignore[union-attr]
                name = f"model_{one.name}_{place[0]}_{place[1]}"
                if isinstance(one, SampledAttention) and panel.look == "points":
                    np.testing.assert_array_equal(arrays[f"{name}_weights"], one.samples(*cell)[1])
                elif panel.look in ("attends_to", "attended_by"):
                    values = getattr(one, panel.look)(*cell)
                    np.testing.assert_array_equal(arrays[f"{name}_{panel.look}"], values)
                else:
                    np.testing.assert_array_equal(arrays[f"{name}_strip"], one.strip_map(cell[1]))  # type: ignore[union-attr]
    np.testing.assert_array_equal(arrays["model_labels"], LABELS)


def test_without_a_pin_maps_are_asked_from_the_middle(made: Prediction) -> None:
    spec = viewer_figure_spec("a page", viewer(made, pins=()), panels_of_map(made.maps["spatial"], made.model))
    assert spec.places == ((15, 20),)
    assert [pin.number for pin in spec.subplots[0].marks] == [0]


@pytest.mark.parametrize("kind", ["linear", "log", "percentile"])
def test_scales_are_the_viewers(made: Prediction, kind: Any) -> None:
    panels = [
        *panels_of_map(made.maps["spatial"], made.model),
        *panels_of_map(made.maps["samples"], made.model),
        *feature_panels(made),
    ]
    own, shared = (
        viewer_figure_spec("a page", viewer(made, scale=kind, range=span), panels) for span in ("own", "shared")
    )
    for subplot in own.subplots:
        assert subplot.scale is not None
        values = subplot.content.weights if isinstance(subplot.content, Points) else subplot.content.values  # type: ignore[union-attr]
        plain = (
            isinstance(subplot.content, Points) and kind == "percentile"
        )  # samples have no percentiles, features no logs
        feature = kind == "log" and subplot.content.unit == "channel mean"  # type: ignore[union-attr]
        assert subplot.scale == weight_scale(values, kind="linear" if plain or feature else kind)
    weights = [one.scale for one in own.subplots[:4] if one.scale]
    assert {one.scale for one in shared.subplots[:4]} == {joint_scale(weights)}
    features = [one.scale for one in own.subplots[4:] if one.scale]
    assert {one.scale for one in shared.subplots[4:]} == {joint_scale(features)}


def test_colours_cells_opacity_outlines_and_hidden_classes_are_as_set(made: Prediction) -> None:
    set_up = viewer(made, colours="magma", cells="cells", opacity=30, outlines=True, hidden=("Building",))
    spec = viewer_figure_spec(
        "a page", set_up, [prediction_panel(made), *panels_of_map(made.maps["spatial"], made.model)]
    )
    assert spec.opacity == 0.3
    assert all(one.colours == "magma" and not one.smooth for one in heats(spec))
    labels = spec.subplots[0].content
    assert isinstance(labels, Classes) and labels.outlined
    assert [name for legend in class_legends(spec) for name, _ in legend.items] == ["Sky", "Pole"]
    bare = compose_picture(spec.subplots[0], spec.opacity, 40)
    np.testing.assert_array_equal(bare[LABELS == 1], IMAGE[LABELS == 1])
    assert (bare[LABELS == 0] != IMAGE[LABELS == 0]).any()
    blocks = compose_picture(spec.subplots[1], 1.0, 40)
    assert len(np.unique(blocks[:10, :10].reshape(-1, 3), axis=0)) == 1, "cell (0, 0) is not of one colour"
    smooth = viewer_figure_spec("a page", viewer(made), panels_of_map(made.maps["spatial"], made.model))
    assert len(np.unique(compose_picture(smooth.subplots[0], 1.0, 40)[:10, :10].reshape(-1, 3), axis=0)) > 1


def test_levels_are_outlined_where_the_first_ends_whatever_is_set(made: Prediction) -> None:
    others = [np.where(LABELS == 2, 0, LABELS), np.where(LABELS > 0, 3, LABELS)]
    panel = disagreement_panel([LABELS, *(one.astype(np.uint8) for one in others)], DIFFERENT_CLASSES)
    labels = viewer_figure_spec("a page", viewer(made), [panel]).subplots[0].content
    assert isinstance(labels, Classes) and labels.outlined
    np.testing.assert_array_equal(labels.regions, LABELS > 0)  # two answers or three: one side of the line
    plain = replace(labels, levels=False)
    assert set(np.unique(plain.regions)) == {0, 1, 2}


def test_pins_are_drops_in_the_viewers_colours(made: Prediction) -> None:
    spec = viewer_figure_spec("a page", viewer(made), [prediction_panel(made)])
    assert [pin.colour for pin in spec.subplots[0].marks] == list(PIN_COLOURS[:2])
    drawn = export(spec, "svg").decode().upper()
    assert all(colour in drawn for colour in PIN_COLOURS[:2])
    bare = replace(spec, rows=((replace(spec.subplots[0], marks=(Mark(4, 7),)),),))
    assert PIN_COLOURS[0] not in export(bare, "svg").decode().upper()


def test_the_strongest_cells_are_boxed_and_lettered_where_the_viewer_does(made: Prediction) -> None:
    one = made.maps["bases"]
    spec = viewer_figure_spec(
        "a page", viewer(made, pins=(Pin(2, 2, 0),), strongest=True), panels_of_map(one, made.model)
    )
    values = one.attends_to(0, 0).numpy().copy()  # type: ignore[union-attr]
    values[:, :3] = 0  # within two cells of the place
    best = np.unravel_index(values.argmax(), values.shape)
    boxes = spec.subplots[0].boxes
    assert [box.label for box in boxes] == ["a", "b", "c"]
    assert (boxes[0].top, boxes[0].left) == (best[0] * 10, best[1] * 10)
    assert (boxes[0].bottom, boxes[0].right) == (best[0] * 10 + 10, best[1] * 10 + 10)
    assert export(spec, "png") != export(
        viewer_figure_spec("a page", viewer(made, (Pin(2, 2, 0),)), panels_of_map(one, made.model)), "png"
    )


def test_either_way_and_both_sides_of_a_swipe_come_along(made: Prediction) -> None:
    one = made.maps["spatial"]
    both = Panel("Attention", one, "either")
    sides = (prediction_panel(made), replace(both, look="attends_to"))
    panels = [both, Panel("Swipe", None, "swipe", sides=sides)]
    spec = viewer_figure_spec("a page", viewer(made, direction="attended_by"), panels)
    titles = ["Attention: attended by (y 22, x 33)", "Swipe, left: Prediction", "Swipe, right: Attention (y 22, x 33)"]
    assert [subplot.title for subplot in spec.subplots] == titles
    cell = one.cell(*LAST, *SIZE)  # type: ignore[union-attr]
    np.testing.assert_array_equal(heats(spec)[0].values, one.attended_by(*cell))  # type: ignore[union-attr]
    np.testing.assert_array_equal(heats(spec)[1].values, one.attends_to(*cell))  # type: ignore[union-attr]


def test_signed_maps_have_signed_colours(made: Prediction) -> None:
    signed = replace(made.maps["collect"], divisor=12.0)  # type: ignore[type-var]
    (heat,) = heats(
        viewer_figure_spec("a page", viewer(made, colours="gray"), [Panel("Collect", signed, "attends_to")])
    )
    assert heat.colours == "signed"
    largest = float(np.abs(heat.values).max())
    assert heat.scale == Scale(-largest, largest)


def test_a_file_names_page_model_and_picture_and_says_how_it_was_drawn(made: Prediction) -> None:
    panels = panels_of_map(made.maps["spatial"], made.model)
    found = make_file("psa", "../my photo.jpg", viewer(made, opacity=40), panels, (), "npz", PictureOptions())
    assert found is not None
    name, data = found
    assert name.startswith("segviz-psa-model-my_photo-") and name.endswith(".npz")
    again = make_file(
        "psa", "../my photo.jpg", viewer(made, opacity=40, scale="log"), panels, (), "npz", PictureOptions()
    )
    assert again is not None and again[0] != name
    details = json.loads(str(np.load(io.BytesIO(data))["details"]))
    assert details["opacity"] == 0.4
    assert details["panels"][0]["pixel"] == [22, 33]
    assert details["panels"][0]["colours"] == "viridis"
    assert details["title"] == "Point-wise masks (PSANet), ../my photo.jpg"


def test_a_swipe_adds_only_what_no_panel_shows(made: Prediction) -> None:
    first, second = prediction_panel(made, "First"), prediction_panel(replace(made, labels=np.flipud(LABELS)), "Second")
    one = Panel("Attention", made.maps["spatial"], "either")
    both = Panel("Swipe", None, "swipe", sides=(first, replace(one, look="attends_to")))
    titles = {
        (first, second, Panel("Swipe", None, "swipe", sides=(first, second))): ["First", "Second"],
        (Panel("Swipe", None, "swipe", sides=(first, second)),): ["Swipe, left: First", "Swipe, right: Second"],
        (second, both): ["Second", "Swipe, left: First", "Swipe, right: Attention (y 22, x 33)"],
        (first, one, both): ["First", "Attention: attends to (y 22, x 33)"],
    }
    for panels, expected in titles.items():
        spec = viewer_figure_spec("compare", viewer(made), panels)
        assert [subplot.title for subplot in spec.subplots] == expected


@pytest.mark.parametrize(("count", "usual", "columns"), [
    (1, 3, 1), (3, 3, 3), (4, 3, 4), (5, 3, 3), (7, 3, 4), (10, 3, 4), (13, 3, 5), (41, 3, 3),
    (3, 2, 3), (7, 2, 4), (4, 1, 1),
])  # fmt: skip
def test_no_subplot_is_left_alone_in_the_last_row(made: Prediction, count: int, usual: int, columns: int) -> None:
    spec = viewer_figure_spec("compare", viewer(made, columns=usual), [prediction_panel(made)] * count)
    assert {len(row) for row in spec.rows[:-1]} <= {columns} and len(spec.rows[0]) == columns
    assert len(spec.rows) == 1 or usual == 1 or len(spec.rows[-1]) > 1


def test_classes_and_levels_have_legends_of_their_own(made: Prediction) -> None:
    panels = [prediction_panel(made), disagreement_panel([LABELS, np.flipud(LABELS)], DIFFERENT_CLASSES)]
    classes, levels = class_legends(viewer_figure_spec("compare", viewer(made), panels))
    assert (classes.title, [name for name, _ in classes.items]) == ("Classes", ["Sky", "Building", "Pole"])
    assert (levels.title, [name for name, _ in levels.items]) == ("Disagreement", ["all agree", "2 different classes"])


@pytest.mark.parametrize("look", ["attends_to", "points"])
def test_weights_read_in_per_cent_in_pictures_and_as_shares_in_numbers(made: Prediction, look: Any) -> None:
    one = made.maps["samples" if look == "points" else "spatial"]
    spec = viewer_figure_spec("psa", viewer(made), [Panel("Weights", one, look, model="model")])
    (subplot,), (low, high) = spec.subplots, (spec.subplots[0].scale.low, spec.subplots[0].scale.high)  # type: ignore[union-attr]
    written = f"{100 * high:.3g} %"
    assert low == 0 and written in export(spec, "svg").decode() and f"0 % to {written}" in spec.caption()
    assert f"linear from 0 to {high:.6g} (weight, as a share; pictures show percent)" in export(spec, "csv").decode()
    assert subplot.content.percent  # type: ignore[union-attr]


def test_a_page_is_exported_as_the_command_line_does_it(made: Prediction) -> None:
    panels = panels_of_map(made.maps["spatial"], made.model)
    plain, wide = (
        make_file("psa", "a.jpg", viewer(made), panels, (), "svg", options)
        for options in (PictureOptions(), PictureOptions(width=3.3, letters=True, caption=False))
    )
    assert plain is not None and wide is not None
    assert b'width="496.8pt"' in plain[1] and b'width="237.6pt"' in wide[1]
    assert [b">a</text>" in data for data in (plain[1], wide[1])] == [False, True]
    start = b">Point-wise masks (PSANet), a.jpg: model; pixel y 22, x 33; "
    drawn = [data.count(start[:40]) for data in (plain[1], wide[1])]
    assert drawn == [2, 1] and start in wide[1], "metadata always have the caption"


def test_a_caption_calls_models_by_their_titles_unless_there_are_many(made: Prediction) -> None:
    panels = panels_of_map(made.maps["spatial"], "psa")
    for models, words in ((("psa",), ": Point-wise spatial attention (psa); "), (tuple(MODELS), "; model psa; ")):
        spec = viewer_figure_spec("Inspect, street 3", viewer(made), panels, titles=titles_of_models(models))
        assert spec.caption().startswith(f"Inspect, street 3{words}pixel ")


def test_no_letter_of_a_strongest_cell_covers_another_in_a_figure() -> None:
    boxes = tuple(
        Box(row, column, row + 1, column + 1, "#1a1a1a", letter)
        for letter, (row, column) in zip("abcde", ((10, 10), (10, 11), (11, 10), (11, 11), (0, 0)), strict=True)
    )
    subplots = [Subplot("boxes", IMAGE, boxes=boxes, marks=(Mark(14, 12, 1),)) for _ in range(4)]
    figure = draw(FigureSpec("boxes", (tuple(subplots),)))
    letters = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in "abcde"]
    assert len(letters) == 5
    assert not any(one.overlaps(other) for one, other in combinations(letters, 2))
    frame = figure.axes[0].bbox
    assert all(frame.x0 <= one.x0 and one.x1 <= frame.x1 and one.y1 <= frame.y1 for one in letters)


def test_a_map_of_a_crop_lies_over_the_crop_with_its_points_boxes_and_numbers(made: Prediction) -> None:
    region = Region(2, 5, 20, 30)
    panels = [replace(one, region=region) for one in panels_of_maps(made)]
    spec = viewer_figure_spec("a page", viewer(made, pins=(Pin(10, 20, 0),), strongest=True), panels)
    for panel, shown in zip(panels, spec.subplots, strict=True):
        assert isinstance(panel.map, SpatialMap)
        cell = panel.map.cell(8, 15, 20, 30)  # the pixel within the crop
        frame = shown.boxes[0]
        assert (frame.top, frame.left, frame.bottom, frame.right, frame.dashed) == (2, 5, 22, 35, True)
        assert all(one.top + 0.5 >= 2 and one.bottom <= 22.5 for one in shown.boxes), panel.title
        assert "y 10, x 20" in shown.title and "_10_20" in shown.name and shown.place == (10, 20)
        assert [(one.y, one.x, one.number) for one in shown.marks] == [(10, 20, 1)]
        if isinstance(shown.content, Heat) and panel.look == "attends_to":
            assert shown.content.region == region
            np.testing.assert_array_equal(shown.content.values, panel.map.attends_to(*cell).numpy())
    away = viewer_figure_spec("a page", viewer(made, pins=(Pin(30, 2, 0),)), panels[:1]).subplots[0]
    assert away.content is None and "outside the crop" in away.title
    heat = next(one for one in spec.subplots if isinstance(one.content, Heat))
    plain = compose_picture(replace(heat, content=None), 1.0, 200)
    drawn = compose_picture(heat, 1.0, 200)
    assert (drawn[22:] < plain[22:]).any() and not (drawn[22:] > plain[22:]).any()  # darker outside
    assert (drawn[2:22, 5:35] != plain[2:22, 5:35]).any(2).all()
    assert subplot_details(heat)["crop"] == (2, 5, 20, 30)


def test_a_caption_says_which_of_many_maps_has_which_kind_of_scale() -> None:
    def subplot(title: str, high: float, kind: Any = "linear") -> Subplot:
        values = np.array([[0.001, high]], np.float32)
        heat = Heat(values, Scale(0.001 if kind == "log" else 0.0, high, kind), "weight", even=0.25)
        return Subplot(title, IMAGE, heat, title)

    maps = [subplot(f"map {number}", number / 10) for number in (1, 2, 3)]
    assert "; each map on its own linear scale; tick" in FigureSpec("many", ((*maps, subplot("map 4", 0.5)),)).caption()
    said = FigureSpec("many", ((*maps, subplot("peak", 0.9, "log")),)).caption()
    assert said.startswith("many; each map on its own scale (peak: log; the others: linear); tick at a colour bar")
    said = FigureSpec("many", ((*maps, subplot("map 1", 0.9, "log")),)).caption()  # which "map 1" would be meant?
    assert "; each map on its own scale, linear or log; tick" in said


def test_a_map_that_two_panels_show_is_in_a_file_once(made: Prediction) -> None:
    panels = panels_of_map(made.maps["spatial"], made.model)
    again = [replace(panel, title=f"{panel.title} again") for panel in panels]
    spec = viewer_figure_spec("a page", viewer(made), [*panels, *again])
    assert len(spec.arrays()) == 2
    details = {one["panel"]: one["arrays"] for one in spec.details()["panels"]}
    assert len(details) == 4 and all(len(names) == 1 for names in details.values())


def show_zoomed_export(zoom: float, form: str) -> None:
    import numpy as np
    import streamlit as st

    from segviz.figures.viewer_figure import Viewer
    from segviz.ui.export_button import show_export
    from segviz.viewer.display import Display
    from segviz.viewer.panel import Panel
    from segviz.viewer.view import ZoomedView

    st.session_state["export format"] = form
    viewer = Viewer(np.zeros((30, 40, 3), np.uint8), (), Display(), 2, view=ZoomedView(zoom))
    show_export("psa", "street.png", viewer, [Panel("Picture", None, "plain")])


@pytest.mark.parametrize(("zoom", "form", "is_said"), [
    (2.5, "png", True), (2.5, "csv", True), (1.0, "png", False), (0.5, "png", False), (2.5, "html", False),
])  # fmt: skip
def test_the_export_says_that_files_have_the_whole_picture_while_the_page_is_zoomed(
    zoom: float, form: str, is_said: bool
) -> None:
    app = AppTest.from_function(show_zoomed_export, kwargs={"zoom": zoom, "form": form}).run()
    assert not app.exception
    said = [one.value for one in app.caption]
    assert any(one.startswith(CONTENT[form]) for one in said)
    assert (WHOLE_PICTURE in said) == is_said
