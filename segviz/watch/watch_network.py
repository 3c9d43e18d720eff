"""`segviz.watch`: one forward pass of any network, and the attention that it computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from segviz.attention.grid_map import Grid
from segviz.data.classes import ClassSet, RgbColour
from segviz.image import ImageLike, Rgb, SeenSize, as_rgb, name_picture
from segviz.watch.findings import Findings
from segviz.watch.further_runs import FoundWindows, look_again
from segviz.watch.kernel_spy import spy_on_kernels
from segviz.watch.network_view import NetworkMaps, NetworkView
from segviz.watch.outputs import configured_classes, predict_classes
from segviz.watch.placement import FitMode, InputRules, Placement, given_rules, make_input
from segviz.watch.recipes.find_recipes import find_recipes
from segviz.watch.record import listen
from segviz.watch.recorder import Recorder
from segviz.watch.run_network import call_network, first_float, run_on_fitting_size


def watch(
    model: nn.Module,
    image: ImageLike,
    classes: str | Sequence[str] | None = None,
    palette: Sequence[RgbColour] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    layers: str | Sequence[str] | None = None,
    grid: Grid | None = None,
    *,
    size: SeenSize = None,
    fit: FitMode = "stretch",
    verify_places: bool = False,
    find_windows: bool = False,
) -> NetworkView:
    """Run any network once on a picture and find its attention. Nothing is left on the network.

    Seen are `scaled_dot_product_attention`, `nn.MultiheadAttention`, `flex_attention`, the kernels of xformers and
    flash_attn, and a softmax of a product, however it is written.
    Each call is checked: its factors must give what it returned, to 1e-4 of the largest value.

    Args:
        model: the network, in eval mode. For a network from torch.compile, give its `_orig_mod`.
        image: (H, W, 3) uint8 RGB, a PIL picture, or a path.
        classes: names of the output's classes, or the name of a class set such as "cityscapes"; by default those of
            the network's configuration, or numbers.
        palette: an RGB colour for each class.
        mean: mean of the input, in [0, 1], or in 0..255 where a value of it or of `std` is above 1; by default the
            network's or ImageNet's.
        std: standard deviation, in the same units.
        layers: which maps to keep: a pattern of paths such as "blocks.*.attn", or several; without one, all are listed
            and the last is kept.
        grid: rows and columns of the tokens, where they cannot be found.
        size: (height, width) at which the network sees the picture; by default, or "own", its own size, at most
            1024 x 2048, rounded to multiples of 32 or of the network's patches, or the size that the network demands.
        fit: "stretch" resizes both sides; "pad" keeps the picture's ratio and pads below and at the right.
        verify_places: whether to run the network once more, on the picture with four spots changed: cells at the spots
            must change most. Maps whose cells lie elsewhere are passed over; the table has what was found.
        find_windows: whether to run the network 24 times more, on the picture with changed stripes, if it has
            attention within windows that nothing describes: the tokens that change show where they lie.

    Raises:
        ImageError: the picture cannot be used.
        MemoryError: the memory does not suffice; the message names the size of the input.
        TypeError: the model is no `nn.Module`.
        ValueError: the network or a part of it is in training mode, was traced or compiled, or refuses the picture;
            `layers` chooses nothing; or mean, std, size or fit cannot be used.
    """
    rules = given_rules(mean, std, size, fit)
    view = view_network(
        model,
        as_rgb(image),
        rules,
        classes,
        palette,
        layers,
        grid,
        verify_places=verify_places,
        windows={} if find_windows else None,
    )
    return replace(view, picture=name_picture(image))


def view_network(
    model: nn.Module,
    picture: Rgb,
    rules: InputRules,
    classes: str | Sequence[str] | None = None,
    palette: Sequence[RgbColour] | None = None,
    layers: str | Sequence[str] | None = None,
    grid: Grid | None = None,
    known: ClassSet | None = None,
    *,
    verify_places: bool = False,
    windows: FoundWindows | None = None,
) -> NetworkView:
    """As `watch`, with rules for the input, classes that the network's source names, and windows found before.

    Raises:
        TypeError: the model is no `nn.Module`.
        ValueError, MemoryError: as `watch`.
    """
    check_network(model)
    rules = rules.complete(model)
    patterns = (layers,) if isinstance(layers, str) else tuple(layers or ())

    def run(placement: Placement, batch: Tensor) -> tuple[Findings, object]:
        findings = Findings(placement.seen, placement.covers, patterns, grid, find_recipes())
        findings.folded = None if windows is None else {}
        with torch.no_grad(), record_calls(model, findings):
            return findings, call_network(model, batch)

    placement, (findings, output) = run_on_fitting_size(model, picture, rules, run)

    def run_again(other: Rgb) -> Findings:
        return run(placement, make_input(other, placement, rules, first_float(model)))[0]

    look_again(findings, picture, run_again, windows, verify_places=verify_places)
    with torch.no_grad():
        prediction = predict_classes(output, placement, classes, palette, known or configured_classes(model))
    found = tuple(findings.rows.values())
    if found and patterns and not any(findings.is_chosen(one.path) for one in found):
        raise ValueError(f"no attention is at {', '.join(patterns)}; it is at {', '.join(findings.rows)}")
    return NetworkView(
        type(model).__name__, picture, placement, rules.origin, NetworkMaps(findings.maps, found), found, prediction
    )


def check_network(model: object) -> None:
    """Refuse what cannot be watched.

    Raises:
        TypeError: it is no `nn.Module`.
        ValueError: it or a part of it is in training mode, or it was traced, exported or compiled.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"segviz.watch needs an nn.Module, not {type(model).__name__}; give the network itself")
    if hasattr(model, "_orig_mod"):
        raise ValueError("the network was compiled, and its calls cannot be seen; watch model._orig_mod")
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("the network was traced or scripted, and its calls cannot be seen; watch the Python module")
    if model.training:
        raise ValueError("the network is in training mode; call model.eval() first")
    if learning := next((path for path, one in model.named_modules() if one.training), None):
        raise ValueError(
            f"the network's module {learning} is in training mode, in which a forward may change it; call model.eval() "
            "first"
        )


@contextmanager
def record_calls(model: nn.Module, findings: Findings) -> Iterator[None]:
    """Record a network's calls, and hear what its blocks declare, in this thread."""
    recorder = Recorder(model, findings, findings.recipes)
    with listen(recorder), recorder, spy_on_kernels(recorder):
        yield
    recorder.finish()
    findings.name_compiled(model)
