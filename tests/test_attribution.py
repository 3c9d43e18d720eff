"""Attribution: each method against its formula, and a shared model that nobody can tell was asked."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_map_cases import NETWORK_MAPS
from torch import Tensor, nn

from segviz.attention.maps import Attended, DotProductAttention, PlacedMap
from segviz.attention.rank_correlation import correlate_with_map
from segviz.attribution import (
    METHODS,
    Attribution,
    AttributionError,
    Baseline,
    Options,
    Target,
    agreement,
    attribute,
    baseline_picture,
    methods,
    probe,
    rank_correlation,
)
from segviz.catalogue.record import Record
from segviz.image import to_tensor, working_size
from segviz.models.blocks import NoContext
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import Segmentation, Segmenter
from segviz.prediction.predictor import Predictor

SIZE = (32, 48)
CLASSES = ("sky", "road", "car")
QUICK = Options(steps=6, window=16, stride=16)
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models see pictures at 32 x 48 pixels instead of 360 x 480."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", SIZE[0] * SIZE[1])


def random_picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def random_model(name: str) -> Segmenter:
    """A model whose context counts."""
    model = build(name, len(CLASSES))
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("gamma"):
            nn.init.constant_(parameter, 0.7)
    return model


def assert_same(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-3) -> None:
    """Equal within a share of the largest value."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))


def predictor_of(model: Segmenter, device: str = "cpu") -> Predictor:
    return Predictor(model, Record("spatial_nl", CLASSES, "mobilenetv2_100", 8), device)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return predictor_of(random_model("spatial_nl"))


def score_by_hand(predictor: Predictor, image: Tensor, target: Target) -> Tensor:
    weights = torch.from_numpy(target.weights(SIZE, SIZE))
    return (predictor.model(image).logits[0, target.class_index] * weights).sum()


def state_of(model: nn.Module) -> list[object]:
    """All that a call could leave behind on a model."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    found: list[object] = [
        (name, module.training, sorted(vars(module)), [len(getattr(module, hook)) for hook in hooks])
        for name, module in model.named_modules()
    ]
    found += [(name, one.requires_grad, one.grad is None, one._version) for name, one in model.named_parameters()]
    return found + [(name, one.clone().tolist()) for name, one in model.named_buffers()]


def test_integrated_gradients_add_up_to_the_scores_difference_within_the_delta(predictor: Predictor) -> None:
    target, image = Target(1), random_picture()
    found = attribute(predictor, image, "integrated_gradients", target, options=Options(steps=32))
    with torch.no_grad():
        nothing = score_by_hand(predictor, to_tensor(np.zeros_like(image)), target).item()
        whole = score_by_hand(predictor, to_tensor(image), target).item()
    assert found.delta is not None
    assert found.values.sum() - (whole - nothing) == pytest.approx(found.delta, abs=1e-5)
    assert abs(found.delta) < 0.05 * abs(whole - nothing)
    assert found.score == pytest.approx(whole, abs=1e-4)


def test_more_steps_bring_integrated_gradients_closer_to_completeness(predictor: Predictor) -> None:
    few, many = (
        attribute(
            predictor,
            random_picture(),
            "integrated_gradients",
            Target(1),
            options=Options(steps=steps, baseline="blurred"),
        ).delta
        for steps in (2, 24)
    )
    assert few is not None and many is not None and abs(many) < abs(few)


def test_saliency_is_the_steepest_channel_of_autograds_gradient(predictor: Predictor) -> None:
    target = Target(2, pixel=(20, 25))
    image = to_tensor(random_picture()).requires_grad_()
    (gradient,) = torch.autograd.grad(score_by_hand(predictor, image, target), image)
    found = attribute(predictor, random_picture(), "saliency", target)
    assert_same(found.values, gradient[0].abs().amax(0).numpy())


def test_a_picture_is_explained_at_the_size_at_which_the_model_predicts_it(predictor: Predictor) -> None:
    image, target = random_picture(size=(64, 96)), Target(2, pixel=(60, 90))
    sees = predictor.at_size("own")
    found = attribute(sees, image, "saliency", target)
    assert found.values.shape == (64, 96)
    logits = sees.model(sees.model.expects.prepare(image, sees.device)).logits.detach()
    assert found.score == pytest.approx(float(logits[0, 2, 60, 90]), abs=1e-4)
    assert attribute(predictor, image, "saliency", target).values.shape == SIZE


@pytest.mark.parametrize("place", ["input", "output"])
@pytest.mark.parametrize("relu", [False, True])
def test_grad_cam_is_selvarajus_formula_on_the_blocks_features(predictor: Predictor, place: str, relu: bool) -> None:
    target, model = Target(0, mask=random_picture()[:, :, 0] > 128), predictor.model
    with torch.no_grad():
        pyramid = model.backbone(to_tensor(random_picture()))
        features = model.reduction(pyramid).features
        features = features if place == "input" else model.block(features).features
    features.requires_grad_()
    after = model.block(features).features if place == "input" else features
    logits = model.logits(after, pyramid, to_tensor(random_picture()))
    score = (logits[0, 0] * torch.from_numpy(target.weights(SIZE, SIZE))).sum()
    (gradient,) = torch.autograd.grad(score, features)
    expected = (gradient.mean((2, 3), keepdim=True) * features.detach()).sum(1, keepdim=True)
    expected = F.interpolate(expected.relu() if relu else expected, SIZE, mode="bilinear")[0, 0]
    found = attribute(predictor, random_picture(), f"grad_cam_{place}", target, options=Options(relu=relu))
    assert_same(found.values, expected.numpy())
    assert found.signed is not relu


def test_grad_cam_differs_between_the_blocks_input_and_output(predictor: Predictor) -> None:
    before, after = (
        attribute(predictor, random_picture(), f"grad_cam_{place}", Target(0)).values for place in ("input", "output")
    )
    assert np.abs(before - after).max() > 0.05 * np.abs(before).max()


def test_grad_cam_of_a_model_without_a_block_says_that_it_looks_at_the_reduction() -> None:
    without = predictor_of(random_model("fcn"))
    before, after = (
        attribute(without, random_picture(), f"grad_cam_{place}", Target(0)) for place in ("input", "output")
    )
    assert "reduction" in before.title and "no block" in after.title
    assert_same(before.values, after.values)


class PatchModel(Segmenter):
    """Class 0's logit is the mean of one patch, everywhere; it has no other class to speak of."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.block = NoContext()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Segmentation:
        patch = image[:, :, 16:32, 16:32].mean((1, 2, 3)) * self.scale
        logits = torch.stack((patch, 0 * patch, 0 * patch), 1)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return Segmentation(logits, Attended(logits, logits, ((),) * len(logits)), logits)


def test_occlusion_finds_the_patch_that_the_logit_depends_on() -> None:
    image = np.full((*SIZE, 3), 200, np.uint8)
    options = Options(window=16, stride=16, baseline="black")
    found = attribute(predictor_of(PatchModel()), image, "occlusion", Target(0, pixel=(0, 0)), options=options)
    expected = np.zeros(SIZE, np.float32)
    expected[16:32, 16:32] = 200 / 127.5
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


@pytest.mark.parametrize(("method", "baseline"), [("occlusion", "grey"), ("integrated_gradients", "blurred")])
def test_rounding_on_a_flat_picture_is_no_attribution(predictor: Predictor, method: str, baseline: Baseline) -> None:
    flat = np.full((*SIZE, 3), 93, np.uint8)
    answer = attribute(predictor, flat, method, Target(0), options=Options(baseline=baseline, steps=2))
    assert not answer.values.any()


@pytest.mark.parametrize(("effect", "kept"), [(3e-6, False), (3e-3, True)])
def test_only_rounding_is_dropped(effect: float, kept: bool) -> None:
    values = torch.tensor([effect, -effect])
    assert bool(methods.drop_rounding(values, values.abs().max(), 2.0).any()) == kept


def test_occlusion_averages_over_windows_that_overlap() -> None:
    image = np.full((*SIZE, 3), 200, np.uint8)
    options = Options(window=16, stride=8, baseline="black")
    found = attribute(predictor_of(PatchModel()), image, "occlusion", Target(0), options=options).values
    full = 200 / 127.5
    # The four windows on pixel (18, 18) start at rows 8, 16 and columns 8, 16: they cover 1/4, 1/2, 1/2 and all.
    assert found[18, 18] == pytest.approx(full * (1 / 4 + 1 / 2 + 1 / 2 + 1) / 4, rel=1e-4)
    assert found[0, 0] == 0


@every_method
def test_threads_get_the_answers_that_each_gets_alone(predictor: Predictor, method: str) -> None:
    asked = [(random_picture(1), Target(0, pixel=(5, 5))), (random_picture(2), Target(2, pixel=(30, 45)))]

    def ask(one: tuple[np.ndarray, Target]) -> np.ndarray:
        return attribute(predictor, one[0], method, one[1], options=QUICK).values

    alone = [ask(one) for one in asked]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(ask, asked * 2))
    assert np.abs(alone[0] - alone[1]).max() > 0.05 * np.abs(alone[0]).max()
    for found, expected in zip(together, alone * 2, strict=True):
        assert_same(found, expected)


@every_method
def test_the_shared_model_shows_no_trace(predictor: Predictor, method: str) -> None:
    before = state_of(predictor.model)
    attribute(predictor, random_picture(), method, Target(1), options=QUICK)
    assert state_of(predictor.model) == before


class Cancelled(BaseException):
    """What Streamlit raises to end a script is no Exception either."""


def cancelling(done: int, total: int) -> None:
    """Ends a call while it runs, or at its end where it has one evaluation only."""
    if done >= min(2, total):
        raise Cancelled


@every_method
def test_a_cancelled_call_leaves_nothing_behind_and_the_next_one_answers(predictor: Predictor, method: str) -> None:
    expected = attribute(predictor, random_picture(), method, Target(1), options=QUICK)
    before = state_of(predictor.model)
    with pytest.raises(Cancelled):
        attribute(predictor, random_picture(), method, Target(1), options=QUICK, progress=cancelling)
    assert state_of(predictor.model) == before
    again = attribute(predictor, random_picture(), method, Target(1), options=QUICK)
    assert_same(again.values, expected.values)


@every_method
def test_progress_is_told_before_each_evaluation_and_ends_at_the_total(predictor: Predictor, method: str) -> None:
    told: list[tuple[int, int]] = []
    attribute(
        predictor,
        random_picture(),
        method,
        Target(1),
        options=QUICK,
        progress=lambda done, total: told.append((done, total)),
    )
    total = {"integrated_gradients": 9, "occlusion": 7}.get(method, 1)
    assert told == [(done, total) for done in range(total + 1)]


@every_method
def test_only_integrated_gradients_tells_an_error_of_its_own(predictor: Predictor, method: str) -> None:
    found = attribute(predictor, random_picture(), method, Target(1), options=QUICK)
    assert (found.delta is not None) == METHODS[method].has_delta == (method == "integrated_gradients")


@every_method
def test_only_signed_methods_give_values_below_0(predictor: Predictor, method: str) -> None:
    found = [attribute(predictor, random_picture(), method, Target(index), options=QUICK) for index in range(3)]
    assert (min(one.values.min() for one in found) < 0) == METHODS[method].signed
    assert all(one.signed == METHODS[method].signed for one in found)


@pytest.mark.parametrize("name", MODELS)
def test_every_block_lets_gradients_through_to_the_picture(name: str) -> None:
    found = attribute(predictor_of(random_model(name)), random_picture(), "saliency", Target(1, pixel=(15, 20)))
    assert np.isfinite(found.values).all() and found.values.max() > 0


@every_method
@pytest.mark.parametrize("size", [(50, 333), (700, 40)])
def test_values_have_the_working_size_of_any_picture(predictor: Predictor, method: str, size: tuple[int, int]) -> None:
    target = Target(1, pixel=(size[0] - 1, size[1] - 1))
    found = attribute(predictor, random_picture(size=size), method, target, options=QUICK)
    assert found.values.shape == working_size(*size)
    assert found.values.dtype == np.float32


def test_a_model_of_inference_tensors_is_explained_inside_inference_mode(predictor: Predictor) -> None:
    expected = attribute(predictor, random_picture(), "saliency", Target(1)).values
    with torch.inference_mode():
        weights = {name: one.clone() for name, one in predictor.model.state_dict().items()}
        other = build("spatial_nl", len(CLASSES))
        other.load_state_dict(weights, assign=True)
        found = attribute(predictor_of(other), random_picture(), "saliency", Target(1)).values
    assert next(other.parameters()).is_inference()
    assert_same(found, expected)


def test_a_model_in_training_mode_is_explained_as_in_use(predictor: Predictor) -> None:
    expected = attribute(predictor, random_picture(), "saliency", Target(1)).values
    other = predictor_of(deepcopy(predictor.model))
    other.model.train()
    assert_same(attribute(other, random_picture(), "saliency", Target(1)).values, expected)
    assert other.model.training


def watched_batches(model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all batches that the model's copies see from now on."""
    seen: list[int] = []
    forward = Segmenter.forward

    def watched(self: Segmenter, image: Tensor) -> Segmentation:
        seen.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(Segmenter, "forward", watched)
    return seen


@pytest.mark.parametrize(("memory_mib", "batch"), [(2048, 5), (17, 2)])
def test_memory_bounds_the_batches_of_integrated_gradients(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, memory_mib: int, batch: int
) -> None:
    options = Options(steps=6, memory_mib=memory_mib)
    expected = attribute(predictor, random_picture(), "integrated_gradients", Target(1), options=options).values
    monkeypatch.setitem(probe.LARGEST_BATCH, "cpu", 5)
    seen = watched_batches(predictor.model, monkeypatch)
    found = attribute(predictor, random_picture(), "integrated_gradients", Target(1), options=options).values
    assert max(seen) == batch
    assert_same(found, expected)


@pytest.mark.parametrize(("memory_mib", "batch"), [(2048, 5), (200, 2), (1, 1)])
def test_memory_bounds_the_batches_of_occlusion(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, memory_mib: int, batch: int
) -> None:
    options = Options(window=16, stride=16, memory_mib=memory_mib)
    expected = attribute(predictor, random_picture(), "occlusion", Target(1), options=options).values
    monkeypatch.setitem(probe.LARGEST_BATCH, "cpu", 5)
    seen = watched_batches(predictor.model, monkeypatch)
    found = attribute(predictor, random_picture(), "occlusion", Target(1), options=options).values
    assert max(seen) == batch
    assert_same(found, expected)


@pytest.mark.parametrize("method", ["integrated_gradients", "saliency"])
def test_gradients_beyond_the_memory_bound_are_refused_with_a_cure(predictor: Predictor, method: str) -> None:
    with pytest.raises(AttributionError, match="more than 2 MiB a picture; raise memory_mib"):
        attribute(predictor, random_picture(), method, Target(1), options=Options(memory_mib=2))


@pytest.mark.parametrize("progress", [None, cancelling], ids=["finished", "cancelled"])
@every_method
def test_what_was_kept_for_gradients_is_freed_at_once(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, method: str, progress: Callable[[int, int], None] | None
) -> None:
    kept: list[weakref.ref[Tensor]] = []
    pack = probe.KeptMemory.pack

    def watched(self: probe.KeptMemory, tensor: Tensor) -> Tensor:
        kept.append(weakref.ref(tensor))
        return pack(self, tensor)

    monkeypatch.setattr(probe.KeptMemory, "pack", watched)
    with suppress(Cancelled):
        attribute(predictor, random_picture(), method, Target(1), options=QUICK, progress=progress)
    assert METHODS[method].at_block or kept or method == "occlusion"
    assert [one for one in kept if one() is not None] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_method
def test_a_gpu_gives_the_cpus_answer(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its ten bits flip ReLUs of a random network
    expected = attribute(predictor, random_picture(), method, Target(1), options=QUICK).values
    there = predictor_of(deepcopy(predictor.model), "cuda")
    found = attribute(there, random_picture(), method, Target(1), options=QUICK).values
    assert_same(found, expected, 0.02)


def test_a_pixels_weight_lies_on_the_working_pixel_that_covers_it() -> None:
    weights = Target(0, pixel=(99, 0)).weights((100, 200), (10, 20))
    assert weights[9, 0] == 1 and weights.sum() == 1


def test_the_whole_picture_weighs_evenly() -> None:
    np.testing.assert_allclose(Target(0).weights((7, 9), (4, 5)), 1 / 20)


def test_a_mask_of_the_working_size_weighs_its_pixels_evenly() -> None:
    mask = random_picture(size=(6, 8))[:, :, 0] > 128
    np.testing.assert_allclose(Target(0, mask=mask).weights((6, 8), (6, 8)), mask / mask.sum(), rtol=1e-6)


def test_a_single_pixel_of_a_large_mask_is_not_lost() -> None:
    mask = np.zeros((101, 203), bool)
    mask[57, 131] = True
    weights = Target(0, mask=mask).weights(mask.shape, (10, 20))
    assert weights.sum() == pytest.approx(1)
    assert weights[5, 12] > 0 and np.count_nonzero(weights) <= 4


def test_the_score_is_the_mean_logit_over_the_mask(predictor: Predictor) -> None:
    mask = np.zeros(SIZE, bool)
    mask[10:20, 30:40] = True
    with torch.no_grad():
        expected = predictor.model(to_tensor(random_picture())).logits[0, 2, 10:20, 30:40].mean().item()
    found = attribute(predictor, random_picture(), "grad_cam_output", Target(2, mask=mask))
    assert found.score == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Target(0, pixel=(1, 1), mask=np.ones((2, 2), bool)), "give one of them"),
        (lambda: Options(steps=0), "0 steps are out of range"),
        (lambda: Options(window=10, stride=11), "leaves gaps"),
        (lambda: Options(memory_mib=0), "too small"),
        (lambda: Target(0, mask=np.zeros(SIZE, bool)).weights(SIZE, SIZE), "the mask is empty"),
        (lambda: Target(0, mask=np.ones((3, 3), bool)).weights(SIZE, SIZE), "give a mask of the picture's size"),
        (lambda: Target(0, pixel=(32, 0)).weights(SIZE, SIZE), "outside the picture of 48 x 32 pixels"),
    ],
)
def test_a_question_without_sense_is_refused_with_a_cure(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_method_is_refused_with_the_names_of_all(predictor: Predictor) -> None:
    with pytest.raises(AttributionError, match="'gradcam' is unknown; the methods are integrated_gradients, saliency"):
        attribute(predictor, random_picture(), "gradcam", Target(0))


@pytest.mark.parametrize("index", [-1, 3])
def test_an_unknown_class_is_refused(predictor: Predictor, index: int) -> None:
    with pytest.raises(AttributionError, match="classes 0 to 2"):
        attribute(predictor, random_picture(), "saliency", Target(index))


def test_the_baselines_are_what_they_are_called() -> None:
    picture = random_picture()
    assert baseline_picture(picture, "black").max() == 0
    grey = baseline_picture(picture, "grey")
    assert grey.min() == grey.max() == round(picture.mean())
    blurred = baseline_picture(picture, "blurred")
    assert blurred.std() < picture.std() / 3
    assert blurred.mean() == pytest.approx(picture.mean(), abs=3)


@pytest.mark.parametrize(
    ("method", "asked", "used"),
    [
        ("integrated_gradients", None, "black"),
        ("occlusion", None, "grey"),
        ("occlusion", "blurred", "blurred"),
        ("saliency", "blurred", None),
    ],
)
def test_an_attribution_tells_the_baseline_it_used(
    predictor: Predictor, method: str, asked: str | None, used: str | None
) -> None:
    options = Options(steps=1, window=48, stride=48, baseline=asked)  # type: ignore[arg-type]
    assert attribute(predictor, random_picture(), method, Target(0), options=options).baseline == used


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 21, 99], 1),
        ([1, 2, 3, 4], [4, 3, 2, -9], -1),
        ([1, 1, 2, 3], [1, 2, 3, 4], math.sqrt(0.9)),  # ranks 1/2, 1/2, 2, 3 against 0 to 3
        ([1, 2, 3], [3, 1, 2], -0.5),  # 1 - 6 * (4 + 1 + 1) / (3 * 8)
    ],
)
def test_rank_correlation_is_spearmans_with_shared_ranks(a: list[int], b: list[int], expected: float) -> None:
    assert rank_correlation(np.array(a, np.float64), np.array(b, np.float64)) == pytest.approx(expected)


@pytest.mark.parametrize("flat", [[2.0, 2.0, 2.0], [1.0, math.nan, 2.0]])
def test_rank_correlation_of_a_map_without_an_order_is_nan(flat: list[float]) -> None:
    assert math.isnan(rank_correlation(np.array(flat), np.array([1.0, 2.0, 3.0])))


def test_rank_correlation_of_different_grids_is_refused() -> None:
    with pytest.raises(ValueError, match="bring both to the map's grid"):
        rank_correlation(np.ones((2, 3)), np.ones((3, 2)))


@pytest.mark.parametrize("size", [(60, 80), (4, 80)], ids=["every cell has pixels", "some cells have no pixel"])
@pytest.mark.parametrize("name", ["coarse keys", "covers", "tokens", "deformable", "shifted windows"])
def test_values_are_averaged_over_the_cells_of_a_network_s_keys(name: str, size: tuple[int, int]) -> None:
    map_ = NETWORK_MAPS[name]
    assert isinstance(map_, PlacedMap)
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    weights, cells = map_.attends_to(1, 2).numpy(), dict[tuple[int, int], list[float]]()
    for y, x in np.ndindex(size):
        cells.setdefault(map_.key_cell(y, x, *size), []).append(float(values[y, x]))
    means, drawn = np.array([np.mean(one) for one in cells.values()]), np.array([weights[at] for at in cells])
    assert correlate_with_map(values, map_, 1, 2) == pytest.approx(rank_correlation(means, drawn), abs=1e-6)


def test_an_attribution_that_follows_the_attention_agrees_with_it() -> None:
    map_ = DotProductAttention("spatial", (4, 6), torch.randn(24, 4), torch.randn(24, 4))
    weights = map_.attends_to(2, 3).numpy()
    values = np.kron(weights, np.ones((8, 8), np.float32))
    found = Attribution("saliency", "", "", Target(0), 0.0, values, "", False, None, None, "")
    assert agreement(found, map_, 2, 3) == pytest.approx(1)
    assert agreement(found, map_, 3, 5) < 0.9
