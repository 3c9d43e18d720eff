"""Scores from counts, of all pixels and of those in the band along class borders."""

from __future__ import annotations

import numpy as np
import pytest

from segviz.evaluation.metrics import BOUNDARY_WIDTH, Confusion, boundary_band, boundary_confusion, confusion


def test_iou_against_counting_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    result = confusion(truth, predicted, 4)
    np.testing.assert_allclose(result.iou[:3], [1 / 3, 2 / 3, 0])
    assert np.isnan(result.iou[3])  # absent from both: no score, rather than a zero
    assert result.mean_iou == pytest.approx(1 / 3)
    assert result.accuracy == pytest.approx(3 / 5)


def test_counts_add_up_and_shapes_must_agree() -> None:
    one = Confusion(np.eye(3, dtype=np.int64))
    np.testing.assert_array_equal((one + one).matrix, 2 * np.eye(3))
    with pytest.raises(ValueError, match="cannot be compared"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 3)


def test_nothing_counted_is_no_score() -> None:
    nothing = confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert np.isnan(nothing.mean_iou) and np.isnan(nothing.accuracy)


def halves(width: int = 20, height: int = 6) -> np.ndarray:
    """Class 0 on the left, class 1 on the right."""
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    return labels


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_band_reaches_its_width_to_either_side_of_a_border(width: int) -> None:
    band = boundary_band(halves(), width)
    wanted = [10 - width <= column < 10 + width for column in range(20)]
    assert (band == np.array(wanted)).all()


def test_the_band_is_three_pixels_wide_where_no_width_is_given() -> None:
    assert BOUNDARY_WIDTH == 3
    np.testing.assert_array_equal(boundary_band(halves()), boundary_band(halves(), 3))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(11, 14), (1, 9), (9, 1)], ids=str)
def test_a_band_equals_its_slow_loop(shape: tuple[int, int], width: int) -> None:
    rng = np.random.default_rng(width)
    labels = rng.choice(np.array([0, 0, 0, 0, 1, 255], np.uint8), shape)
    np.testing.assert_array_equal(boundary_band(labels, width), band_by_hand(labels, width))


def band_by_hand(labels: np.ndarray, width: int) -> np.ndarray:
    """For every labelled pixel: is a pixel that shares an edge with another class at most `width - 1` away?"""
    rows, columns = labels.shape
    border = []
    for y in range(rows):
        for x in range(columns):
            near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            beside = [labels[v, u] for v, u in near if 0 <= v < rows and 0 <= u < columns]
            if labels[y, x] != 255 and any(other not in (255, labels[y, x]) for other in beside):
                border.append((y, x))
    band = np.zeros(labels.shape, bool)
    for y in range(rows):
        for x in range(columns):
            close = any((y - v) ** 2 + (x - u) ** 2 <= (width - 1) ** 2 for v, u in border)
            band[y, x] = close and labels[y, x] != 255
    return band


def test_no_border_runs_along_void() -> None:
    labels = halves()
    labels[:, 8:12] = 255
    assert not boundary_band(labels, 5).any()


def test_a_picture_of_one_class_has_no_border() -> None:
    assert not boundary_band(np.full((4, 5), 7, np.uint8), 100).any()


def test_a_band_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a band of 0 pixels is empty; use a width of 1"):
        boundary_band(halves(), 0)


def test_near_borders_far_mistakes_do_not_count() -> None:
    predicted = halves()
    predicted[:, :5] = 1
    assert confusion(halves(), predicted, 2).mean_iou < 1
    assert boundary_confusion(halves(), predicted, 2).mean_iou == 1


def test_near_borders_a_shifted_border_counts_for_more() -> None:
    predicted = np.roll(halves(), 2, 1)
    predicted[:, :2] = 0
    near = boundary_confusion(halves(), predicted, 2)
    np.testing.assert_array_equal(near.matrix, [[18, 0], [12, 6]])  # 3 columns of 6 pixels a side, 2 of them wrong
    assert near.mean_iou < confusion(halves(), predicted, 2).mean_iou


def test_a_band_that_covers_all_counts_all() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 2, (6, 20), dtype=np.uint8)
    wide, whole = boundary_confusion(halves(), predicted, 2, 50), confusion(halves(), predicted, 2)
    np.testing.assert_array_equal(wide.matrix, whole.matrix)
