"""The number to explain, the options of the methods, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32

from segviz.attention.maps import Grid, cell_of_pixel
from segviz.attention.region import Region
from segviz.image import Rgb

Baseline = Literal["black", "grey", "blurred"]
BLUR = 20  # the blurred baseline's sigma is this part of the picture's shorter side
MOST_STEPS = 1000


class AttributionError(ValueError):
    """An attribution cannot be computed; the message names the cause and the cure."""


@dataclass(frozen=True, eq=False)
class Target:
    """The number that an attribution explains: the mean logit of one class over some of the picture's pixels.

    Logits are taken before the softmax, at the working size. `score = sum_p w_p z_p` with weights that sum to 1: for
    a pixel all on the working pixel that covers it, for a mask proportional to how much of each working pixel it
    covers, and with neither the same everywhere.

    Attributes:
        class_index: the class whose logits are explained.
        pixel: (y, x) in the picture's own pixels.
        mask: the pixels to average over, at the picture's own size.
    """

    class_index: int
    pixel: tuple[int, int] | None = None
    mask: Bool[np.ndarray, "height width"] | None = None

    def __post_init__(self) -> None:
        if self.pixel is not None and self.mask is not None:
            raise AttributionError("a target has a pixel or a mask, not both; give one of them or neither")

    def weights(self, size: Grid, working: Grid) -> Float32[np.ndarray, "rows columns"]:
        """The weights w of the working pixels.

        Args:
            size: the picture's (height, width).
            working: the (height, width) at which the model sees it.

        Raises:
            AttributionError: the mask is empty or of another size.
            ValueError: the pixel lies outside the picture.
        """
        weights = np.ones(working, np.float32)
        if self.pixel is not None:
            weights[:] = 0
            weights[cell_of_pixel(*self.pixel, size, working)] = 1
        elif self.mask is not None:
            weights = mask_weights(self.mask, size, working)
        shares: np.ndarray = weights / weights.sum(dtype=np.float64)
        return shares.astype(np.float32)


def mask_weights(mask: Bool[np.ndarray, "height width"], size: Grid, working: Grid) -> np.ndarray:
    """How much of each working pixel a mask covers, in [0, 1].

    Raises:
        AttributionError: the mask is empty or of another size.
    """
    if mask.shape != size:
        raise AttributionError(f"the mask is {mask.shape}, the picture {size}; give a mask of the picture's size")
    if not mask.any():
        raise AttributionError("the mask is empty; choose a class or a region that occurs in the picture")
    covered: np.ndarray = F.adaptive_avg_pool2d(torch.from_numpy(mask[None].astype(np.float32)), working)[0].numpy()
    return covered


@dataclass(frozen=True)
class Options:
    """Options of the methods.

    Attributes:
        baseline: what "no picture" means; None takes each method's default: black for Integrated Gradients
            (Sundararajan et al., section 3), grey for Occlusion (Zeiler & Fergus). Each is blind where the picture
            looks like it: black to dark places, grey to grey ones, blurred to smooth ones (Sturmfels et al., 2020).
        steps: Integrated Gradients' steps, placed by Gauss-Legendre's rule.
        window: side of Occlusion's square, in working pixels; cut to the picture's size where it is larger.
        stride: Occlusion's step between squares, in working pixels; at most the window, so every pixel is covered.
        relu: whether Grad-CAM keeps the positive part only, as in its paper.
        memory_mib: what a forward pass may keep for its backward pass, in MiB; it bounds how many pictures run at once.
    """

    baseline: Baseline | None = None
    steps: int = 32
    window: int = 60
    stride: int = 30
    relu: bool = False
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise AttributionError(f"{self.steps} steps are out of range; use 1 to {MOST_STEPS}")
        if not 1 <= self.stride <= self.window:
            raise AttributionError(
                f"stride {self.stride} leaves gaps between windows of {self.window}; use 1 to {self.window}"
            )
        if self.memory_mib < 1:
            raise AttributionError(f"a memory bound of {self.memory_mib} MiB is too small; use at least 1")


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each pixel of the working picture matters to the target's score.

    Attributes:
        method: the method's name in METHODS.
        title: the method's name for people, with where it was applied.
        model: the model's name.
        target: what is explained.
        score: the target's score for the picture, a mean logit.
        values: the attribution of each working pixel, in the unit.
        unit: what a value means.
        signed: whether values below 0 occur, which need a colour scale with a middle.
        delta: Integrated Gradients' completeness error, `values.sum() - (score - baseline's score)`; None elsewhere.
        baseline: the baseline used; None for methods without one.
        paper: where the method comes from.
        region: the crop of the picture that the model saw, where it saw one: the values lie over it.
    """

    method: str
    title: str
    model: str
    target: Target
    score: float
    values: Float32[np.ndarray, "height width"]
    unit: str
    signed: bool
    delta: float | None
    baseline: Baseline | None
    paper: str
    region: Region | None = None


def baseline_picture(picture: Rgb, kind: Baseline) -> Rgb:
    """The picture that stands for "nothing to see".

    Args:
        picture: the picture at the working size.
        kind: "black"; "grey", the mean of all the picture's values; "blurred", by a Gaussian whose sigma is a
            twentieth of the shorter side.
    """
    match kind:
        case "black":
            return np.zeros_like(picture)
        case "grey":
            return np.full_like(picture, round(float(picture.mean())))
        case "blurred":
            return np.asarray(cv2.GaussianBlur(picture, (0, 0), min(picture.shape[:2]) / BLUR))
