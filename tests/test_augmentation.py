"""Views of pictures: labels stay on what they name, and chance comes from seed and step alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from segviz.data.sample import Sample
from segviz.training.augmentation import View, apply_views, crop_start, random_view
from segviz.training.sampling import Pool, Sampler, make_pool, shuffled_index
from segviz.training.view_range import Scales, ViewRange

CPU = torch.device("cpu")
UNCHANGED = np.eye(3, 4)


@pytest.fixture
def patches() -> Sample:
    """A picture of flat patches whose brightness tells their class."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.repeat(rng.integers(0, 11, (6, 8), np.uint8), 20, 0), 20, 1)
    return Sample("patches", np.repeat(labels[:, :, None] * 20 + 10, 3, 2), labels)


def view_of(sample: Sample, view: View, crop: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = apply_views([tensors(sample)], [view], crop)
    return images[0], labels[0]


def tensors(sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(sample.image), torch.from_numpy(sample.labels)


def test_the_plain_view_is_the_picture_itself(patches: Sample) -> None:
    view = View(patches.labels.shape, (0, 0), False, 1.0, UNCHANGED)  # type: ignore[arg-type]
    image, labels = view_of(patches, view, patches.labels.shape)  # type: ignore[arg-type]
    np.testing.assert_array_equal(labels.numpy(), patches.labels)
    np.testing.assert_allclose((image.numpy() + 1) * 127.5, patches.image.transpose(2, 0, 1), atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_labels_move_with_their_picture(patches: Sample, seed: int) -> None:
    view = random_view((120, 160), (64, 96), np.random.default_rng(seed))
    image, labels = view_of(patches, View(view.size, view.corner, view.flip, 1.0, UNCHANGED), (64, 96))
    assert image.shape == (3, 64, 96) and labels.dtype == torch.int64
    expected = (labels * 20 + 10) / 127.5 - 1
    inside = labels != 255
    off = ((image[0] - expected).abs() > 0.02) & inside  # only where patches meet may they differ
    assert off.sum() < 0.2 * inside.sum()


def test_pictures_of_several_sizes_give_the_views_that_each_gives_alone(patches: Sample) -> None:
    small = Sample("small", patches.image[:80, :100].copy(), patches.labels[:80, :100].copy())
    rng = np.random.default_rng(0)
    views = [random_view(sample.labels.shape, (64, 96), rng) for sample in (patches, small)]  # type: ignore[arg-type]
    together = apply_views([tensors(patches), tensors(small)], views, (64, 96))
    for number, sample in enumerate((patches, small)):
        alone = view_of(sample, views[number], (64, 96))
        assert torch.equal(together[0][number], alone[0]) and torch.equal(together[1][number], alone[1])


def test_a_view_larger_than_the_picture_is_filled_with_void_and_black(patches: Sample) -> None:
    view = View((60, 80), (-2, -8), False, 1.0, UNCHANGED)
    image, labels = view_of(patches, view, (64, 96))
    inside = labels != 255
    assert inside[2:62, 8:88].all() and inside.sum() == 60 * 80
    assert (image[:, ~inside] == -1).all()


def test_a_flip_mirrors_both(patches: Sample) -> None:
    plain, mirrored = (View((120, 160), (10, 20), flip, 1.3, UNCHANGED) for flip in (False, True))
    image, labels = view_of(patches, plain, (64, 96))
    flipped, flipped_labels = view_of(patches, mirrored, (64, 96))
    assert torch.equal(image.flip(2), flipped) and torch.equal(labels.flip(1), flipped_labels)


@pytest.mark.parametrize("seed", range(20))
def test_a_view_shows_its_focus(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((90, 120), np.uint8)
    y, x = rng.integers(90), rng.integers(120)
    labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 1  # three wide, so that half size still shows it
    sample = Sample("point", np.zeros((90, 120, 3), np.uint8), labels)
    view = random_view((90, 120), (48, 64), rng, (int(y), int(x)))
    assert (view_of(sample, view, (48, 64))[1] == 1).any()


def test_half_of_the_views_keep_every_pixel_as_it_is(patches: Sample) -> None:
    rng = np.random.default_rng(0)
    views = [random_view((120, 160), (64, 96), rng) for _ in range(200)]
    kept = [view for view in views if view.size == (120, 160)]
    assert 80 <= len(kept) <= 120
    for view in kept[:5]:
        plain = View(view.size, view.corner, view.flip, 1.0, UNCHANGED)
        image, labels = view_of(patches, plain, (64, 96))
        y, x = view.corner
        shown, truth = patches.image[y : y + 64, x : x + 96], patches.labels[y : y + 64, x : x + 96]
        if view.flip:
            shown, truth = shown[:, ::-1], truth[:, ::-1]
        np.testing.assert_array_equal(labels.numpy(), truth)
        np.testing.assert_allclose((image.numpy() + 1) * 127.5, shown.transpose(2, 0, 1), atol=1e-2)


def test_a_crop_starts_where_it_leaves_the_picture_least() -> None:
    rng = np.random.default_rng(0)
    assert {crop_start(10, 6, rng, None) for _ in range(100)} == set(range(5))
    assert {crop_start(6, 10, rng, None) for _ in range(100)} == set(range(-4, 1))
    assert all(crop_start(10, 6, rng, 9) == 4 for _ in range(10))


def test_colours_stay_in_the_network_s_range(patches: Sample) -> None:
    for seed in range(20):
        image, _ = view_of(patches, random_view((120, 160), (64, 64), np.random.default_rng(seed)), (64, 64))
        assert image.min() >= -1 and image.max() <= 1


def sampler(samples: list[Sample], **changes: object) -> Sampler:
    options: dict[str, object] = {"seed": 1, "batch": 2, "crop": (48, 64), "drawn_share": 0.0, "balance": 0.0}
    real, none = make_pool(samples, 11, CPU), make_pool([], 11, CPU)
    return Sampler(real, none, **{**options, **changes})  # type: ignore[arg-type]


def test_a_batch_depends_on_seed_and_step_alone(patches: Sample) -> None:
    first, again = (sampler([patches], balance=0.5)(5) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    other_step, other_seed = sampler([patches], balance=0.5)(6), sampler([patches], balance=0.5, seed=2)(5)
    assert not torch.equal(first[0], other_step[0]) and not torch.equal(first[0], other_seed[0])


def test_every_picture_comes_once_an_epoch() -> None:
    assert sorted(shuffled_index(0, number, 7) for number in range(7, 14)) == list(range(7))


def test_balanced_views_show_rare_classes_as_often_as_common_ones() -> None:
    labels = np.zeros((90, 120), np.uint8)
    rare = labels.copy()
    rare[40:43, 50:53] = 3
    samples = [Sample(str(n), np.zeros((90, 120, 3), np.uint8), labels) for n in range(9)]
    draw = sampler([*samples, Sample("rare", samples[0].image, rare)], balance=1.0, batch=1)
    shown = [bool((draw(step)[1] == 3).any()) for step in range(400)]
    assert 0.4 <= np.mean(shown) <= 0.6


def test_pools_keep_only_places_of_their_class(patches: Sample) -> None:
    pool: Pool = make_pool([patches], 11, CPU)
    for index, pictures in enumerate(pool.places):
        for number, places in pictures:
            assert number == 0 and (patches.labels[places[:, 0], places[:, 1]] == index).all()


# ---- recipes' views ---------------------------------------------------------------------------------------


def drawn_views(views: ViewRange, count: int = 60) -> list[View]:
    return [random_view((120, 160), (48, 64), np.random.default_rng((7, step)), None, views) for step in range(count)]


def test_a_recipe_s_views_depend_on_seed_and_step_alone(patches: Sample) -> None:
    views = ViewRange(Scales((0.5, 2.0), between=True), 0.0, "common", rotation=10, blur=0.5)
    first, again = (sampler([patches], draw_view=partial(random_view, views=views))(5) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], sampler([patches], draw_view=partial(random_view, views=views))(6)[0])


def test_scales_come_from_their_list_or_their_range() -> None:
    listed = {view.size for view in drawn_views(ViewRange(Scales((0.75, 1.5), between=False), 0.0))}
    assert listed == {(90, 120), (180, 240)}
    heights = [view.size[0] for view in drawn_views(ViewRange(Scales((0.5, 2.0), between=True), 0.0), 200)]
    assert min(heights) >= 60 and max(heights) <= 240 and len(set(heights)) > 50
    assert 0.35 <= np.mean([height < 120 for height in heights]) <= 0.65
    assert (str(Scales((0.5, 2.0), between=True)), str(Scales((0.75, 1.0), between=False))) == ("0.5-2", "0.75,1")


def test_what_a_recipe_leaves_out_is_never_drawn() -> None:
    for view in drawn_views(ViewRange(Scales((1.0,), between=False), 0.0, "none", mirror=False)):
        assert not view.flip and not view.blur and view.angle == 0 and view.gamma == 1
        np.testing.assert_array_equal(view.colour, UNCHANGED)
    turned = drawn_views(ViewRange(rotation=10, blur=0.5, colours="common"))
    angles = [view.angle for view in turned]
    assert -10 <= min(angles) < -5 and 5 < max(angles) <= 10
    assert 15 <= sum(view.blur for view in turned) <= 45 and all(view.gamma == 1 for view in turned)


def test_a_quarter_turn_is_the_picture_turned() -> None:
    labels = np.random.default_rng(0).integers(0, 11, (40, 40), np.uint8)
    square = Sample("square", np.repeat(labels[:, :, None] * 20, 3, 2), labels)
    view = View((40, 40), (0, 0), False, 1.0, UNCHANGED, angle=90.0)
    image, found = view_of(square, view, (40, 40))
    np.testing.assert_array_equal(found.numpy(), np.rot90(labels))
    np.testing.assert_allclose((image[0].numpy() + 1) * 127.5, np.rot90(labels) * 20.0, atol=1e-2)


def test_what_a_turn_brings_in_from_outside_is_void_and_black(patches: Sample) -> None:
    image, labels = view_of(patches, View((120, 160), (0, 0), False, 1.0, UNCHANGED, angle=10.0), (120, 160))
    corner = labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]
    assert all(int(one) == 255 for one in corner) and (image[:, labels == 255] == -1).all()
    assert 0 < (labels == 255).sum() < 0.3 * labels.numel()


@pytest.mark.parametrize("seed", range(10))
def test_a_turned_view_shows_its_focus(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = int(rng.integers(2, 88)), int(rng.integers(2, 118))
    labels = np.zeros((90, 120), np.uint8)
    labels[y - 1 : y + 2, x - 1 : x + 2] = 1
    view = random_view((90, 120), (48, 64), rng, (y, x), ViewRange(rotation=45))
    assert (view_of(Sample("point", np.zeros((90, 120, 3), np.uint8), labels), view, (48, 64))[1] == 1).any()


def test_a_blur_changes_colours_and_no_label(patches: Sample) -> None:
    sharp, blurred = (View((120, 160), (10, 20), False, 1.0, UNCHANGED, blur=blur) for blur in (False, True))
    image, labels = view_of(patches, sharp, (64, 96))
    soft, same = view_of(patches, blurred, (64, 96))
    weights = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 1.1**2))
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    expected = (image[1, 30:35, 40:45].numpy() * kernel).sum()
    assert float(soft[1, 32, 42]) == pytest.approx(expected, abs=1e-4)
    assert torch.equal(labels, same) and not torch.equal(image, soft)
    both, _ = apply_views([tensors(patches)] * 2, [sharp, blurred], (64, 96))
    assert torch.equal(both[0], image) and torch.equal(both[1], soft)


def test_processes_share_a_batch_in_order(patches: Sample) -> None:
    whole = sampler([patches], batch=4, balance=0.5)(3)
    parts = [sampler([patches], batch=4, balance=0.5, part=(index, 2))(3) for index in (0, 1)]
    assert torch.equal(torch.cat([part[0] for part in parts]), whole[0])
    assert torch.equal(torch.cat([part[1] for part in parts]), whole[1])
