"""`segviz.watch` on attention kernels that return no weights, by stand-ins that compute what their manuals define."""

from __future__ import annotations

import cProfile
import functools
import importlib.util
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from watch_cases import IMAGE, Attend, NonLocal, matrix_of

import segviz
from segviz.watch import kernel_spy, recorder
from segviz.watch.call import AttentionCall
from segviz.watch.grids import NotShownError
from segviz.watch.kernel_calls import read_kernel
from segviz.watch.network_view import NetworkView
from segviz.watch.placement import InputRules, make_input, place_picture

CELLS, HEADS = 24, 2
STAND_INS = Path(__file__).parent / "kernel_stand_ins"


def load_stand_in(name: str, file: str) -> types.ModuleType:
    """A stand-in as a module of a library's name."""
    spec = importlib.util.spec_from_file_location(name, STAND_INS / file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def libraries() -> Iterator[None]:
    """The stand-ins, imported before anything is watched, as a network's own file would."""
    before = {name: sys.modules.get(name) for name in ("flash_attn", "xformers", "xformers.ops")}
    load_stand_in("flash_attn", "flash_attn.py")
    sys.modules["xformers"] = types.ModuleType("xformers")
    sys.modules["xformers"].ops = load_stand_in("xformers.ops", "xformers_ops.py")  # type: ignore[attr-defined]
    yield
    for name, module in before.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


def split_heads(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(one.unflatten(-1, (HEADS, -1)) for one in tensors)  # (1, cells, heads, dim)


def flash(name: str = "flash_attn_func", **options: Any) -> Attend:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = getattr(sys.modules["flash_attn"], name)(*split_heads(q, k, v), **options)
        return (out[0] if isinstance(out, tuple) else out).flatten(2)

    return attend


def flash_packed(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_qkvpacked_func

    return flash_attn_qkvpacked_func(torch.stack(split_heads(q, k, v), 2), softmax_scale=0.7).flatten(2)


def flash_packed_keys(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_kvpacked_func

    q, k, v = split_heads(q, k, v)
    return flash_attn_kvpacked_func(q, torch.stack([k, v], 2), 0.0, None, True).flatten(2)


def flash_one_sequence(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_varlen_func

    starts = torch.tensor([0, CELLS], dtype=torch.int32)
    one = (part[0] for part in split_heads(q, k, v))
    return flash_attn_varlen_func(*one, starts, starts, CELLS, CELLS, window_size=(5, 2)).flatten(1)[None]


def flash_one_packed_sequence(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_varlen_qkvpacked_func

    starts = torch.tensor([0, CELLS], dtype=torch.int32)
    return flash_attn_varlen_qkvpacked_func(torch.stack(split_heads(*(one[0] for one in (q, k, v))), 1), starts,
                                            CELLS, causal=True).flatten(1)[None]  # fmt: skip


def flash_one_sequence_of_packed_keys(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_varlen_kvpacked_func

    starts = torch.tensor([0, CELLS], dtype=torch.int32)
    q, k, v = (part[0] for part in split_heads(q, k, v))
    kv = torch.stack([k, v], 1)
    return flash_attn_varlen_kvpacked_func(q, kv, starts, starts, CELLS, CELLS).flatten(1)[None]


def flash_shared_keys(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_func

    q, k, v = split_heads(q, k, v)
    return flash_attn_func(q, k[:, :, :1], v[:, :, :1]).flatten(2)


def flash_fewer_keys(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn import flash_attn_func

    return flash_attn_func(*split_heads(q, k[:, :6], v[:, :6]), causal=True).flatten(
        2
    )  # the last is level with the last


def xformers_with(bias: Callable[[NonLocal], Any] = lambda net: None, **options: Any) -> Attend:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        from xformers.ops import memory_efficient_attention

        return memory_efficient_attention(*split_heads(q, k, v), attn_bias=bias(net), **options).flatten(2)

    return attend


def ops() -> Any:
    return sys.modules["xformers.ops"]


def xformers_groups(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (one.unflatten(2, (HEADS, 1)) for one in split_heads(q, k, v))  # (1, cells, groups, heads, dim)
    bias = torch.stack([net.bias, net.bias.mT])[None, :, None]
    return ops().memory_efficient_attention(q, k, v, bias).flatten(2)


def xformers_groups_causal(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (one.unflatten(2, (1, HEADS)) for one in split_heads(q, k, v))
    return ops().memory_efficient_attention(q, k, v, ops().LowerTriangularMask()).flatten(2)


def xformers_folded_heads(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (one[0].transpose(0, 1) for one in split_heads(q, k, v))  # (heads, cells, dim), as diffusers folds them
    return ops().memory_efficient_attention(q, k, v, net.bias.expand(HEADS, -1, -1)).transpose(0, 1).flatten(1)[None]


def xformers_with_sums(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ops().memory_efficient_attention_forward_requires_grad(*split_heads(q, k, v))[0].flatten(2)


KERNELS = {
    "flash": flash(),
    "flash, scaled and causal": flash(softmax_scale=0.3, causal=True),
    "flash, window": flash(window_size=(3, 1)),
    "flash, causal window": flash(causal=True, window_size=(7, 7)),
    "flash, softcap": flash(softcap=0.5, softmax_scale=2.0),
    "flash, ALiBi": flash(alibi_slopes=torch.tensor([0.5, 0.1]), causal=True),
    "flash, ALiBi and softcap": flash(alibi_slopes=torch.tensor([0.5, 0.1]), softcap=0.5),
    "flash, also sums": flash(return_attn_probs=True),
    "flash, packed": flash_packed,
    "flash, packed keys": flash_packed_keys,
    "flash, one sequence": flash_one_sequence,
    "flash, one packed sequence": flash_one_packed_sequence,
    "flash, one sequence of packed keys": flash_one_sequence_of_packed_keys,
    "flash, shared keys": flash_shared_keys,
    "flash, fewer keys": flash_fewer_keys,
    "xformers": xformers_with(),
    "xformers, scaled": xformers_with(scale=0.3, op=None),
    "xformers, a bias": xformers_with(lambda net: net.bias.expand(1, HEADS, -1, -1)),
    "xformers, causal": xformers_with(lambda net: ops().LowerTriangularMask()),
    "xformers, causal with a bias": xformers_with(
        lambda net: ops().LowerTriangularMaskWithTensorBias(torch.stack([net.bias, net.bias.mT])[None])
    ),
    "xformers, one block": xformers_with(lambda net: ops().BlockDiagonalMask([CELLS])),
    "xformers, one causal block": xformers_with(lambda net: ops().BlockDiagonalCausalMask([CELLS])),
    "xformers, groups": xformers_groups,
    "xformers, a causal group": xformers_groups_causal,
    "xformers, folded heads": xformers_folded_heads,
    "xformers, also sums": xformers_with_sums,
}


def make_net(attend: Attend) -> NonLocal:
    torch.manual_seed(0)
    net = NonLocal(attend).eval()
    net.num_heads = HEADS
    return net


def own_weights(net: NonLocal, heads: int = HEADS) -> Tensor:
    """(heads, cells, key cells) from the network's own outputs, for values that are 1 in one cell of one head."""
    batch = make_input(IMAGE, place_picture((64, 96), None, 32, "stretch"), InputRules().complete(net), None)
    found = torch.zeros(heads, CELLS, CELLS)
    with torch.no_grad():
        q, k, v = net.factors(batch)
        dim = v.shape[2] // heads
        for cell in range(CELLS):
            values = torch.zeros_like(v).unflatten(2, (heads, dim))
            values[:, cell, :, 0] = 1
            found[:, :, cell] = net.attend(net, q, k, values.flatten(2))[0].unflatten(1, (heads, dim))[..., 0].mT
    return found


def assert_own_weights(view: NetworkView, net: NonLocal, spelling: str, heads: int = HEADS) -> None:
    assert [(one.path, one.state) for one in view.layers] == [("network", "kept")], view
    assert view.layers[0].spelling.startswith(spelling)
    (map_,) = view.maps.values()
    expected = own_weights(net, heads)[:, :, : map_.key_grid[0] * map_.key_grid[1]]
    for head in range(heads):
        torch.testing.assert_close(matrix_of(map_, head), expected[head], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernels_map_is_what_mixes_the_values(name: str) -> None:
    net = make_net(KERNELS[name])
    kind = "flash_attn_" if name.startswith("flash") else "memory_efficient_attention"
    assert_own_weights(segviz.watch(net, IMAGE), net, kind)


@pytest.mark.parametrize("name", ["flash, window", "xformers, causal"])
def test_a_kernel_changes_nothing_of_the_output(name: str) -> None:
    net = make_net(KERNELS[name])
    seen: list[Tensor] = []
    net.register_forward_hook(lambda module, args, output: seen.append(output))
    segviz.watch(net, IMAGE)
    batch = make_input(IMAGE, place_picture((64, 96), None, 32, "stretch"), InputRules().complete(net), None)
    with torch.no_grad():
        assert torch.equal(seen[0], net(batch))


def test_a_vit_whose_attention_calls_xformers_has_the_maps_of_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As DINOv2's authors write it: qkv of (batch, tokens, 3, heads, dim), the class token before the cells."""
    net = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=(64, 96), depth=2).eval()
    expected = segviz.watch(net, IMAGE, layers="*").maps

    def forward(self: Any, x: Tensor, **options: Any) -> Tensor:
        queries, keys, values = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        out: Tensor = self.proj(ops().memory_efficient_attention(queries, keys, values).flatten(2))
        return out

    monkeypatch.setattr(type(net.blocks[0].attn), "forward", forward)
    view = segviz.watch(net, IMAGE, layers="*")
    assert [(one.path, one.spelling, one.state) for one in view.layers] == [
        (f"blocks.{number}.attn", "memory_efficient_attention", "kept") for number in range(2)
    ]
    for path, map_ in expected.items():
        for head in range(3):
            torch.testing.assert_close(matrix_of(view.maps[path], head), matrix_of(map_, head), rtol=1e-3, atol=1e-6)
        assert view.maps[path].prefix_share(1, 2) == pytest.approx(map_.prefix_share(1, 2), rel=1e-3)


# ---- by whatever name it was imported ---------------------------------------------------------------------------


def bound_names() -> dict[str, Callable[..., Any]]:
    from flash_attn import flash_attn_func as attend

    holder = nn.Identity()
    holder.op = attend

    @functools.wraps(attend)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return attend(*args, **kwargs)

    return {
        "alias": attend,
        "partial": functools.partial(attend, softmax_scale=0.2),
        "attribute": lambda *args: holder.op(*args),
        "wrapped": wrapped,
        "table": {"flash": attend}["flash"],
    }


@pytest.mark.parametrize("name", ["alias", "partial", "attribute", "wrapped", "table"])
def test_names_that_were_bound_before_are_seen(name: str) -> None:
    bound = bound_names()[name]
    net = make_net(lambda net, q, k, v: bound(*split_heads(q, k, v)).flatten(2))
    assert_own_weights(segviz.watch(net, IMAGE), net, "flash_attn_func")


def test_functions_of_these_names_elsewhere_are_no_kernels() -> None:
    def memory_efficient_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (query @ key.mT).softmax(-1) @ value  # heads before tokens, as many files of their own have it

    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        factors = (one.transpose(1, 2) for one in split_heads(q, k, v))
        return memory_efficient_attention(*factors).transpose(1, 2).flatten(2)

    net = make_net(attend)
    assert_own_weights(segviz.watch(net, IMAGE), net, "softmax of a product")


def test_a_block_is_named_by_its_own_path() -> None:
    net = nn.Sequential(make_net(flash()), nn.Conv2d(4, 3, 1), nn.Upsample(scale_factor=16), make_net(xformers_with()))
    view = segviz.watch(net.eval(), IMAGE, layers="*")
    assert [(one.path, one.spelling) for one in view.layers] == [
        ("0", "flash_attn_func"), ("3", "memory_efficient_attention"),
    ]  # fmt: skip


def test_what_a_kernel_computes_with_torch_is_no_second_call() -> None:
    """Packages that stand in for flash_attn on other devices call torch's functions."""
    fake = types.ModuleType("flash_attn_fake")
    exec(
        "def flash_attn_func(q, k, v, softcap=0.0, learnable_sink=None):\n"
        "    import torch\n"
        "    q, k, v = (one.transpose(1, 2) for one in (q, k, v))\n"
        "    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)\n",
        fake.__dict__,
    )
    net = make_net(lambda net, q, k, v: fake.flash_attn_func(*split_heads(q, k, v)).flatten(2))
    assert_own_weights(segviz.watch(net, IMAGE), net, "flash_attn_func")
    sink = torch.zeros(HEADS)  # an option that is not read: what is called within is shown in its place
    net = make_net(lambda net, q, k, v: fake.flash_attn_func(*split_heads(q, k, v), learnable_sink=sink).flatten(2))
    assert_own_weights(segviz.watch(net, IMAGE), net, "scaled_dot_product_attention")


# ---- what cannot be recomputed ----------------------------------------------------------------------------------


def in_sequences(lengths: list[int]) -> Attend:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        starts = torch.tensor([sum(lengths[:count]) for count in range(len(lengths) + 1)], dtype=torch.int32)
        one = (part[0] for part in split_heads(q, k, v))
        out: Tensor = sys.modules["flash_attn"].flash_attn_varlen_func(*one, starts, starts, CELLS, CELLS)
        return out.flatten(1)[None]

    return attend


def paged(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    starts = torch.tensor([0, CELLS], dtype=torch.int32)
    one = (part[0] for part in split_heads(q, k, v))
    table = torch.zeros(1, 1, dtype=torch.int32)
    call = sys.modules["flash_attn"].flash_attn_varlen_func
    out: Tensor = call(*one, starts, starts, CELLS, CELLS, block_table=table)
    return out.flatten(1)[None]


REFUSED = {
    "dropout": (flash(dropout_p=0.1), "drops weights at random (dropout_p=0.1) in eval mode too; give it 0 where"),
    "dropout of torch": (
        lambda net, q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.2),
        "drops weights at random (dropout_p=0.2) in eval mode too; give it 0 where self.training is false",
    ),
    "dropout of xformers": (xformers_with(p=0.2), "drops weights at random (p=0.2)"),
    "cache": (flash("flash_attn_with_kvcache"), "read from a cache; declare it with segviz.record"),
    "pages": (paged, "option block_table is not read; call the kernel without it, or declare it"),
    "pages of xformers": (
        xformers_with(lambda net: ops().PagedBlockDiagonalPaddedKeysMask([CELLS])), "read from a cache; declare it",
    ),
    "windows": (in_sequences([12, 12]), "come in 2 x 2 groups, which are windows: find_windows=True, a recipe, or seg"),
    "blocks": (xformers_with(lambda net: ops().BlockDiagonalMask([8, 8, 8])), "come in 3 x 2 groups, which are"),
    "causal blocks": (
        xformers_with(lambda net: ops().BlockDiagonalCausalMask([8, 8, 8])), "come in 3 x 2 groups, which are windows",
    ),
    "several lengths": (in_sequences([10, 14]), "its 24 tokens are 2 sequences of 10 to 14 tokens, windows or"),
    "blocks of several lengths": (
        xformers_with(lambda net: ops().BlockDiagonalMask([4, 20])), "are 2 sequences of 4 to 20 tokens",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recomputed_is_passed_over_with_a_cure(name: str) -> None:
    attend, reason = REFUSED[name]
    view = segviz.watch(make_net(attend), IMAGE)
    assert not view.maps and [one.state for one in view.layers] == ["passed over"]
    assert reason in view.layers[0].reason, view


def test_windows_of_equal_length_are_what_each_sequence_computes() -> None:
    """So that a recipe can place them: the check of each call is made before its layout is known."""
    q = torch.randn(1, CELLS, HEADS, 4)
    mask = ops().BlockDiagonalCausalMask([8, 8, 8])
    one = read_kernel("memory_efficient_attention", {"query": q, "key": q * 2, "value": q, "attn_bias": mask})
    assert one.bias is not None and one.queries.shape == (3, HEADS, 8, 4)
    found = (one.queries @ one.keys.mT * one.scale + one.bias).softmax(-1) @ one.values
    torch.testing.assert_close(found, one.arrange(ops().memory_efficient_attention(q, q * 2, q, mask)))


def test_a_kernel_that_returns_something_else_is_not_shown() -> None:
    fake = types.ModuleType("flash_attn_other")
    exec("def flash_attn_func(q, k, v):\n    return q + v\n", fake.__dict__)
    view = segviz.watch(make_net(lambda net, q, k, v: fake.flash_attn_func(*split_heads(q, k, v)).flatten(2)), IMAGE)
    assert not view.maps and "its factors differ from what the call returned" in view.layers[0].reason


# ---- nothing is left behind -------------------------------------------------------------------------------------


def test_a_profiling_function_goes_on() -> None:
    calls = []

    def profile(frame: types.FrameType, event: str, value: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    net = make_net(flash())
    sys.setprofile(profile)
    try:
        view = segviz.watch(net, IMAGE)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert list(view.maps) == ["network"] and "flash_attn_func" in calls


def test_a_kernel_that_fails_leaves_nothing() -> None:
    def broken(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return flash(softmax_scale="none")(net, q, k, v)

    with pytest.raises(ValueError, match=r"NonLocal failed in .* on an input"):
        segviz.watch(make_net(broken), IMAGE)
    assert sys.getprofile() is None

    def caught(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        try:
            return broken(net, q, k, v)
        except TypeError:
            return F.scaled_dot_product_attention(q, k, v)

    net = make_net(caught)
    net.num_heads = 1
    assert_own_weights(segviz.watch(net, IMAGE), net, "scaled_dot_product_attention", heads=1)


@pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("kernel", ["flash", "flex"])
def test_beside_another_profiler_the_table_says_that_kernels_are_missed(kernel: str) -> None:
    net = make_net(flash() if kernel == "flash" else attend_flex(flex_attention))
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        takes_hook = sys.getprofile() is not None  # up to Python 3.11
        view = segviz.watch(net, IMAGE)
    finally:
        profiler.disable()
    reasons = [row.reason for row in view.layers if row.state == "passed over"]
    missed = [one for one in reasons if one.startswith("a profiler runs") and one.endswith("watch without it")]
    assert len(missed) == takes_hook and all("flex_attention" in one for one in missed)
    assert bool(view.maps) == (not takes_hook)


def test_a_network_that_sets_a_profiler_keeps_it_and_is_told() -> None:
    def other(frame: types.FrameType, event: str, value: object) -> None: ...

    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        sys.setprofile(other)
        return flash()(net, q, k, v)

    try:
        view = segviz.watch(make_net(attend), IMAGE)
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)
    (row,) = view.layers
    assert row.state == "passed over" and "sets or removes a profiler" in row.reason


def test_without_kernels_the_network_runs_without_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_spy, "find_kernel_modules", list)
    seen = []
    net = make_net(lambda net, q, k, v: seen.append(sys.getprofile()) or F.scaled_dot_product_attention(q, k, v))
    assert_own_weights(segviz.watch(net, IMAGE), net, "scaled_dot_product_attention", heads=1)
    assert seen[0] is None


def test_kernels_that_are_imported_while_the_network_runs_are_seen_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in kernel_spy.find_kernel_modules():
        for module in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)

    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if "flash_attn" not in sys.modules:
            load_stand_in("flash_attn", "flash_attn.py")
        return flash()(net, q, k, v)

    net = make_net(attend)
    (row,) = [one for one in segviz.watch(net, IMAGE).layers if one.spelling == "attention kernels"]
    assert row.state == "passed over" and row.reason.startswith("flash_attn was imported while the network ran")
    assert_own_weights(segviz.watch(net, IMAGE), net, "flash_attn_func")


@pytest.mark.parametrize("stage", ["read_kernel", "difference_to_output"])
def test_memory_that_runs_out_while_a_kernel_is_read_is_told(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    where = recorder if stage == "read_kernel" else AttentionCall
    monkeypatch.setattr(where, stage, fail)
    with pytest.raises(MemoryError, match="NonLocal ran out of memory on an input of 1 x 3 x"):
        segviz.watch(make_net(flash()), IMAGE)
    assert sys.getprofile() is None


@pytest.mark.parametrize("given", [{"causal": True}, {"window_size": (64, 64)}, {"softcap": 1.0}], ids=str)
def test_a_bias_that_is_too_large_is_refused_before_it_takes_memory(given: dict[str, Any]) -> None:
    q = torch.empty(1, 32768, 2, 8, device="meta")
    with pytest.raises(NotShownError, match="numbers and no simple form; show a smaller picture"):
        read_kernel("flash_attn_func", {"q": q, "k": q, "v": q, **given})
    assert read_kernel("flash_attn_func", {"q": q, "k": q, "v": q}).bias is None


def test_a_block_mask_that_is_too_large_is_refused_before_it_takes_memory() -> None:
    q = torch.empty(1, 2, 32768, 16, device="meta")
    mask = types.SimpleNamespace(shape=(1, 2, 32768, 32768), mask_mod=near)
    with pytest.raises(NotShownError, match="numbers and no simple form"):
        read_kernel("flex_attention", {"query": q, "key": q, "value": q, "block_mask": mask})


def test_a_causal_call_of_torch_that_is_too_large_is_refused_before_it_takes_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segviz.watch.kernel_calls.MOST_BIASES", 500)
    net = make_net(lambda net, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    (row,) = segviz.watch(net, IMAGE).layers
    assert row.reason == "its bias has 576 numbers and no simple form; show a smaller picture"


def test_kernels_of_other_threads_are_not_seen() -> None:
    def beside(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        other = threading.Thread(target=flash(), args=(net, q * 2, k, v))
        other.start()
        other.join()
        return flash()(net, q, k, v)

    net = make_net(beside)
    assert_own_weights(segviz.watch(net, IMAGE), net, "flash_attn_func")


# ---- flex_attention ---------------------------------------------------------------------------------------------


def add_distance(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    return torch.where(row > column, score - 1, score) + 0.1 * head * (column % 5)


def near(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    return (row - column).abs() < 7 + head


def attend_flex(call: Callable[..., Any], **options: Any) -> Attend:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = (F.pad(one, (0, 14)).transpose(1, 2) for one in split_heads(q, k, v))  # it takes 16 channels or more
        out: Tensor = call(*heads, **options)
        return out[..., :2].transpose(1, 2).flatten(2)

    return attend


@pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("options", [{}, {"scale": 0.9}, {"score_mod": add_distance}], ids=["", "scale", "score_mod"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("backend", [None, "aot_eager"])
def test_flex_attention_is_seen_with_its_functions(options: dict[str, Any], masked: bool, backend: str | None) -> None:
    torch._dynamo.reset()
    if masked:
        options = {**options, "block_mask": create_block_mask(near, 1, HEADS, CELLS, CELLS, device="cpu")}
    call = flex_attention if backend is None else torch.compile(flex_attention, backend=backend)
    net = make_net(attend_flex(call, **options))
    for _ in range(2):  # the first time, a compiler traces it
        assert_own_weights(segviz.watch(net, IMAGE), net, "flex_attention")


@pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile:UserWarning")
def test_a_function_of_flex_attention_that_cannot_be_evaluated_is_named() -> None:
    def of_one_pair(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return score.reshape(()) * 2

    net = make_net(attend_flex(flex_attention, score_mod=of_one_pair))
    (row,) = segviz.watch(net, IMAGE).layers
    assert row.state == "passed over" and "score_mod or mask_mod could not be evaluated" in row.reason
    assert "segviz.record" in row.reason


# ---- what is compiled -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["torch.compile", "Module.compile"])
def test_compiled_parts_are_named_with_the_cure(how: str) -> None:
    torch._dynamo.reset()
    first = make_net(flash())
    second = make_net(lambda net, q, k, v: F.scaled_dot_product_attention(q, k, v))
    if how == "torch.compile":
        second = torch.compile(second, backend="aot_eager")  # type: ignore[assignment]
    else:
        second.compile(backend="aot_eager")
    net = nn.Sequential(first, nn.Conv2d(4, 3, 1), nn.Upsample(scale_factor=16), second).eval()
    view = segviz.watch(net, IMAGE, layers="*")
    assert [(one.path, one.state) for one in view.layers] == [("0", "kept"), ("3", "passed over")], view
    assert "it was compiled" in view.layers[1].reason and "before torch.compile" in view.layers[1].reason


def test_compiled_parts_of_which_calls_are_seen_are_not_named() -> None:
    torch._dynamo.reset()
    net = make_net(lambda net, q, k, v: F.scaled_dot_product_attention(q, k, v))
    net.compile(backend="eager")
    assert [one.state for one in segviz.watch(net, IMAGE).layers] == ["kept"]
