"""Blocks, plain formulations and networks keep to one device: on fake CUDA tensors, which need no GPU.

A fake tensor has a shape, a type and a device, and no numbers; torch refuses an operation on two devices as a GPU does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segviz.benchmarks.blocks import BLOCKS, make_block
from segviz.benchmarks.plain_blocks import run_plainly
from segviz.models.blocks import ContextBlock
from segviz.models.blocks.layers import attention_softmax
from segviz.models.registry import NETWORK_NAMES, build
from tests.block_cases import CASES, C

DEEP = ("_r50", "_r101", "_hrnet48")  # as the others, but of so many layers that they take longer


class NothingOnTheCpu(TorchDispatchMode):
    """Refuses every tensor that an operation makes on the CPU: it would have to be copied to the GPU each time."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at what it makes."""
        result = func(*args, **(kwargs or {}))
        made = [one.device.type for one in tree_leaves(result) if isinstance(one, Tensor)]
        assert "cpu" not in made, f"{func} makes a tensor on the CPU"
        return result


class OperationNames(TorchDispatchMode):
    """Notes the names of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note its name."""
        self.found.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def on_cuda(make: Callable[[], nn.Module]) -> nn.Module:
    """A module in eval mode whose parameters and buffers are fake ones on the GPU; what else it holds stays behind."""
    with torch.device("meta"):
        module = make().eval()
    moved: dict[int, Tensor] = {}
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, one in held.items():
                if one is not None and id(one) not in moved:
                    fake = torch.empty(one.shape, dtype=one.dtype, device="cuda")
                    moved[id(one)] = nn.Parameter(fake) if isinstance(one, nn.Parameter) else fake
                held[name] = None if one is None else moved[id(one)]  # type: ignore[assignment]
    return module


def devices_of(value: object) -> set[str]:
    """The devices of all tensors in a result."""
    if isinstance(value, Tensor):
        return {value.device.type}
    parts = value if isinstance(value, tuple | list) else vars(value).values() if hasattr(value, "__dict__") else ()
    return set().union(*map(devices_of, parts)) if parts else set()


def test_a_tensor_made_on_the_cpu_is_found() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="two devices, cuda:0 and cpu"):
        torch.empty(2, device="cuda") + torch.zeros(2)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_denormal_weights_are_removed_where_they_are_slow(device: str) -> None:
    with FakeTensorMode(), torch.inference_mode():
        logits = torch.empty(3, 4, device=device)
        with OperationNames() as names:
            attention_softmax(logits)
    assert ("aten::threshold_" in names.found) == (device == "cpu")


@pytest.mark.parametrize("case", CASES)
def test_a_block_keeps_to_one_device(case: str) -> None:
    with FakeTensorMode(), torch.inference_mode():
        block = on_cuda(CASES[case])
        x = torch.empty(2, C, 5, 7, device="cuda")
        with NothingOnTheCpu():
            assert devices_of(block(x)) == devices_of(block(x, x) if isinstance(block, ContextBlock) else x) == {"cuda"}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_plain_formulation_keeps_to_one_device(name: str) -> None:
    with FakeTensorMode(), torch.inference_mode():
        block = on_cuda(lambda: make_block(name, (6, 8, 16)))
        x = torch.empty(1, 16, 6, 8, device="cuda")
        with NothingOnTheCpu():
            assert run_plainly(block, x).device.type == "cuda"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * name.endswith(DEEP)) for name in NETWORK_NAMES],
)
def test_a_network_keeps_to_one_device(name: str) -> None:
    with FakeTensorMode(), torch.inference_mode():
        network = on_cuda(lambda: build(name, 3))
        image = torch.empty(1, 3, 64, 96, device="cuda")
        with NothingOnTheCpu():
            result = network(image)
        assert devices_of(result) == {"cuda"}
