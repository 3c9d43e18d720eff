"""METHODS: one literal row a method; each runs Captum on the call's own copy of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion, Saliency
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Grid
from segviz.attribution.probe import HEADROOM, PLAIN_MIB, Probe
from segviz.attribution.target import AttributionError, Baseline, Options

ROUNDING = 1e-5  # of a score, in float32 through a whole network
NOT_READ = (
    "Grad-CAM reads the features of a layer, and this one has none on the grid of its map; choose another layer, or a "
    "method that reads none, such as Saliency"
)
MethodOutput = tuple[Float[Tensor, "height width"], float | None]  # values, and the completeness error if known


@dataclass(frozen=True, eq=False)
class Task:
    """What a method gets: the score to explain, the working picture, and the baseline picture."""

    probe: Probe
    image: Float[Tensor, "1 3 height width"]
    baseline: Float[Tensor, "1 3 height width"]
    options: Options


def integrated_gradients(task: Task) -> MethodOutput:
    """`sum_c (x - x') * integral_0^1 d score(x' + a (x - x')) / dx da` (eq. 1), and the completeness error."""
    probe, image = task.probe, task.image
    probe(image.clone().requires_grad_())  # measures the memory that a picture needs
    found, delta = IntegratedGradients(probe).attribute(
        image,
        baselines=task.baseline,
        n_steps=task.options.steps,
        internal_batch_size=probe.batch(HEADROOM * probe.kept_mib),
        return_convergence_delta=True,
    )
    values = found[0].sum(0)
    return drop_rounding(values, values.abs().sum(), probe.score), float(delta)


def saliency(task: Task) -> MethodOutput:
    """`max_c |d score / dx_c|` (section 3)."""
    return Saliency(task.probe).attribute(task.image.clone().requires_grad_())[0].amax(0), None


def grad_cam_input(task: Task) -> MethodOutput:
    """Grad-CAM of the features that the block reads."""
    return grad_cam(task, task.probe.block.before)


def grad_cam_output(task: Task) -> MethodOutput:
    """Grad-CAM of the features that the block returns."""
    return grad_cam(task, task.probe.block.after)


def grad_cam(task: Task, layer: nn.Module) -> MethodOutput:
    """`sum_k alpha_k A_k`, alpha_k the mean over cells of `d score / dA_k` (eq. 1-2), stretched bilinearly.

    The ReLU of eq. 2 is an option: without it the map also shows what speaks against the class.

    Raises:
        AttributionError: the layer has no features on its map's grid.
    """
    calls: list[None] = []
    hook = layer.register_forward_hook(lambda *_: calls.append(None))
    try:
        found = LayerGradCam(task.probe, layer).attribute(task.image, relu_attributions=task.options.relu)
    except AssertionError as error:
        if calls:
            raise
        raise AttributionError(NOT_READ) from error
    finally:
        hook.remove()
    assert isinstance(found, Tensor)
    return F.interpolate(found.detach(), task.image.shape[2:], mode="bilinear")[0, 0], None


def occlusion(task: Task) -> MethodOutput:
    """What the score loses when the baseline covers a square: the mean over all squares on a pixel."""
    window = cut_window(task.options, shape_of(task.image))
    found = Occlusion(task.probe).attribute(
        task.image,
        sliding_window_shapes=(3, *window),
        strides=(3, task.options.stride, task.options.stride),
        baselines=task.baseline,
        perturbations_per_eval=task.probe.batch(PLAIN_MIB),
    )
    return drop_rounding(found[0, 0], found.abs().max(), task.probe.score), None


def drop_rounding(values: Tensor, effect: Tensor, score: float) -> Tensor:
    """Zeros where the effect on the score is rounding alone, as on a flat picture; colours would stretch it."""
    return torch.where(effect > ROUNDING * max(abs(score), 0.1), values, torch.zeros_like(values))


def cut_window(options: Options, size: Grid) -> Grid:
    """Occlusion's window, cut to the picture's size."""
    return min(options.window, size[0]), min(options.window, size[1])


def occlusion_evaluations(options: Options, size: Grid) -> int:
    """The picture itself, and once for each window."""
    counts = (
        math.ceil((side - window) / options.stride) + 1
        for side, window in zip(size, cut_window(options, size), strict=True)
    )
    return 1 + math.prod(counts)


def shape_of(image: Float[Tensor, "1 3 height width"]) -> Grid:
    """(height, width)."""
    return image.shape[2], image.shape[3]


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        title: the name for people.
        paper: where it comes from.
        unit: what a value means.
        counts: the unit in a word or two.
        run: computes the values at the working size, and the completeness error if the method has one.
        evaluations: how many pictures the model evaluates for it.
        signed: whether values below 0 occur.
        has_delta: whether it reports a completeness error.
        baseline: its default baseline; None if it uses none.
        at_block: whether it reads the block's features.
        needs_gradients: whether it runs the model backward too.
        heeds: the options that change its values.
    """

    title: str
    paper: str
    unit: str
    counts: str
    run: Callable[[Task], MethodOutput]
    evaluations: Callable[[Options, Grid], int] = lambda options, size: 1
    signed: bool = True
    has_delta: bool = False
    baseline: Baseline | None = None
    at_block: bool = False
    needs_gradients: bool = True
    heeds: tuple[str, ...] = ()


GRAD_CAM = "Selvaraju et al., ICCV 2017; for sets of pixels Vinogradova et al., AAAI 2020"
GRAD_CAM_UNIT = "logits; channels weighted by their mean gradient"
GRAD_CAM_COUNTS = "logits per cell"

METHODS: Mapping[str, Method] = MappingProxyType({
    "integrated_gradients": Method(
        "Integrated Gradients", "Sundararajan, Taly & Yan, ICML 2017",
        "logits; the pixels add up to the score less the baseline's score", "logits", integrated_gradients,
        lambda options, size: options.steps + 3, has_delta=True, baseline="black",
        heeds=("baseline", "steps"),
    ),
    "saliency": Method(
        "Saliency", "Simonyan, Vedaldi & Zisserman, ICLR Workshop 2014",
        "logits per unit of input, which spans -1 to 1; the steepest channel", "logits per unit",
        saliency, signed=False,
    ),
    "grad_cam_input": Method(
        "Grad-CAM at the block's input", GRAD_CAM, GRAD_CAM_UNIT, GRAD_CAM_COUNTS, grad_cam_input, at_block=True,
        heeds=("relu",),
    ),
    "grad_cam_output": Method(
        "Grad-CAM at the block's output", GRAD_CAM, GRAD_CAM_UNIT, GRAD_CAM_COUNTS, grad_cam_output, at_block=True,
        heeds=("relu",),
    ),
    "occlusion": Method(
        "Occlusion", "Zeiler & Fergus, ECCV 2014",
        "logits that the score loses when a square over the pixel is covered", "logits lost",
        occlusion, occlusion_evaluations,
        baseline="grey", needs_gradients=False, heeds=("baseline", "window", "stride"),
    ),
})  # fmt: skip
NO_BLOCK_TITLE = "Grad-CAM at the reduction's output (this model has no block)"


def method_of(name: str) -> Method:
    """A row of METHODS.

    Raises:
        AttributionError: there is no such method.
    """
    if name not in METHODS:
        raise AttributionError(f"method '{name}' is unknown; the methods are {', '.join(METHODS)}")
    return METHODS[name]
