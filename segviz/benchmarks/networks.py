"""What any network costs at any size: the eleven and the papers' rows, by definitions that each row names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.benchmarks.measure import (
    MEGA,
    Report,
    count_gflops,
    describe_machine,
    measure_peak_memory,
    select_devices,
    select_names,
    time_calls,
)
from segviz.models.registry import MODELS, NETWORK_NAMES, build, read_options
from segviz.models.size import count_parameters

CLASSES = 19  # Cityscapes', on which both papers measure
DEFAULT_SIZE = (360, 480)  # height, width: that of the bundled models


@dataclass(frozen=True)
class Protocol:
    """What is timed, and on what.

    Attributes:
        definition: what a row says of it.
        size: (height, width) of the input.
        batch: pictures at a time.
        inner: the (height, width) that the network sees; None: the input's. The logits are resized back.
    """

    definition: str
    size: tuple[int, int]
    batch: int = 1
    inner: tuple[int, int] | None = None

    def at(self, size: tuple[int, int]) -> Protocol:
        """The same at another (height, width), as for a try on a small machine; its definition says so.

        The network sees pictures as much smaller as at the protocol's own size.
        """
        if size == self.size:
            return self
        inner = None
        if self.inner is not None:
            inner = (max(1, size[0] * self.inner[0] // self.size[0]), max(1, size[1] * self.inner[1] // self.size[1]))
        steps = f"resized to {inner[0]} x {inner[1]}, run, logits resized back" if inner else "run"
        paper = self.definition.partition(":")[0]
        return Protocol(
            f"{paper}, but of another size: {self.batch} x 3 x {size[0]} x {size[1]}, {steps}", size, self.batch, inner
        )

    def run(self, network: nn.Module, pictures: Tensor) -> Tensor:
        """The logits at the input's size; all that is timed."""
        if self.inner is None:
            return network(pictures).logits  # type: ignore[no-any-return]
        logits = network(F.interpolate(pictures, self.inner, mode="bilinear")).logits
        return F.interpolate(logits, self.size, mode="bilinear")


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({
    # "a full image of 1024 x 2048 as input which is resized into 512 x 1024 in the model. Then we resize the prediction
    # to the original size and the time of resizing is included" (AttaNet, experiments on Cityscapes).
    "attanet": Protocol(
        "AttaNet: 1 x 3 x 1024 x 2048, resized to 512 x 1024, run, logits resized back", (1024, 2048), 1, (512, 1024)
    ),
    # "we estimated the inference time with 2 x 3 x 1024 x 2048 input images" (SSANet, section 4.2).
    "ssanet": Protocol("SSANet: 2 x 3 x 1024 x 2048, run", (1024, 2048), 2),
})  # fmt: skip
FORWARD_NOTES = (
    f"Random weights, which cost the same, and {CLASSES} classes. Timed from normalised pictures on the device to "
    "logits at their size, maps kept, float32, batch norms not folded.",
    "latency: of the whole batch; fps: pictures a second; gflops: of the whole batch, 2 operations a multiply-add, "
    "elementwise ones and resizing not counted.",
)


def forward_protocol(size: tuple[int, int], batch: int) -> Protocol:
    """A forward pass at (height, width)."""
    return Protocol(f"forward: {batch} x 3 x {size[0]} x {size[1]}, run", size, batch)


def bench_networks(
    protocol: Protocol,
    only: Sequence[str] | None = None,
    options: Sequence[str] = (),
    rounds: int = 5,
    device: str = "auto",
) -> Report:
    """Latency, frames per second, memory, operations and parameters of networks with random weights.

    Args:
        protocol: what is timed: one of PROTOCOLS, or `forward_protocol`.
        only: names of NETWORK_NAMES; the eleven models by default.
        options: `NAME=VALUE` of each network's options.
        rounds: timed runs, after one to warm up; 0 counts operations and parameters alone, and runs nothing.
        device: "auto" measures the CPU, and the GPU if there is one.

    Raises:
        ValueError: a network is unknown, or this machine has no such device.
        NetworkOptionError: a network has no such option or value.
    """
    names = select_names(tuple(MODELS) if only is None else only, NETWORK_NAMES)
    settings = {name: read_options(name, options) for name in names}
    rows = []
    for place in select_devices(device) if rounds else [torch.device("meta")]:
        for name in names:
            known = count_network(name, protocol, settings[name])
            timed = time_network(name, protocol, settings[name], rounds, place) if rounds else {}
            row: dict[str, Any] = {"device": place.type} if rounds else {}
            row |= {"model": name, "options": " ".join(options) or None, "definition": protocol.definition}
            rows.append(row | {"sees": list(protocol.inner or protocol.size)} | timed | known)
    notes = (
        FORWARD_NOTES if rounds else (f"{CLASSES} classes; 2 operations a multiply-add, elementwise ones not counted.",)
    )
    return Report("models", describe_machine(), tuple(rows), {}, notes)


def count_network(name: str, protocol: Protocol, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """GFLOPs of a batch and parameters of a network, on tensors that have shapes and no numbers."""
    with torch.device("meta"):
        network = build(name, CLASSES, options=options).eval()
        pictures = torch.empty(protocol.batch, 3, *protocol.size)
    with torch.inference_mode():
        operations = count_gflops(lambda: protocol.run(network, pictures))
    return {"gflops": operations, "parameters": count_parameters(network)}


def time_network(
    name: str, protocol: Protocol, options: Mapping[str, Any] | None, rounds: int, device: torch.device
) -> dict[str, Any]:
    """The latency of a batch in milliseconds, frames per second, and the peak memory beyond weights and input."""
    torch.manual_seed(0)
    network = build(name, CLASSES, options=options).eval().to(device)
    pictures = torch.randn(protocol.batch, 3, *protocol.size, device=device)

    def call() -> object:
        with torch.inference_mode():
            return protocol.run(network, pictures)

    call()  # warms up
    (taken,) = time_calls([call], rounds, device)
    return {
        "latency_ms": median(taken),
        "min_ms": min(taken),
        "fps": 1000 * protocol.batch / median(taken),
        "peak_mib": measure_peak_memory(call, device) / MEGA,
    }
