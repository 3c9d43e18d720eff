"""`segviz.watch` on products written by hand: the axis that is summed, einsums, and what is changed in place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from watch_cases import IMAGE, Attend, NonLocal, matrix_of

import segviz
from segviz.watch.einsum import einsum_factors, read_equation
from segviz.watch.pending_call import move_axes
from segviz.watch.placement import InputRules, make_input, place_picture

OTHER_AXIS = "its weights sum to 1 along a different axis from the one that its product with the values sums over"


def logits_of(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT * 3


def mixing_matrix(net: NonLocal) -> Tensor:
    """M of `out_i = sum_j M_ij v_j`, from the network's own outputs for values that are the cells themselves."""
    batch = make_input(IMAGE, place_picture((64, 96), None, 32, "stretch"), InputRules().complete(net), None)
    with torch.no_grad():
        q, k, _ = net.factors(batch)
        return net.attend(net, q, k, torch.eye(24)[None])[0]


# ---- each mixes by weights that sum to 1 over the cells that are drawn from ------------------------------------


def to_the_right_of_values(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (v.mT @ logits_of(q, k).softmax(-1).permute(0, 2, 1)).mT


def over_first_axis(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (v.mT @ logits_of(k, q).softmax(1)).mT


def over_first_axis_then_swapped(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return logits_of(k, q).softmax(1).mT @ v


def swapped_twice(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return logits_of(q, k).softmax(-1).mT.transpose(1, 2) @ v


def among_leading_axes(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = logits_of(k, q).softmax(1).unsqueeze(0).permute(1, 3, 0, 2)
    return weights.reshape(1, 24, 24) @ v


def keys_in_rows_and_columns(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = logits_of(q, k).softmax(-1).unflatten(2, (4, 6))
    return torch.einsum("bnhw,bhwc->bnc", weights, v.unflatten(1, (4, 6)))


def squeezed_and_expanded(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (logits_of(q[0], k[0]).softmax(-1).unsqueeze(0).expand(2, -1, -1) @ v)[:1]


def in_place(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = logits_of(k, q).softmax(1)
    weights.transpose_(1, 2).unsqueeze_(0)
    return (weights @ v)[0]


def einsum_by_columns(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bmn,bmc->bnc", logits_of(k, q).softmax(1), v)


def einsum_with_dots(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.einsum("...nc,...mc->...nm", q, k) * 3).softmax(-1)
    return torch.einsum("...nm,...mc->...nc", weights, v)


def einsum_without_output(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.einsum("nc,mc", q[0], k[0]) * 3).softmax(-1)  # gives "mn": labels in order
    return torch.einsum("ab,bc", weights.mT.mT, v[0])[None]


def einsum_of_axes(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.einsum(q, [..., 0, 2], k[0], [1, 2], [..., 0, 1]) * 3).softmax(-1)
    return torch.einsum("bnm,bmc->bnc", [weights, v])


RIGHT = [
    to_the_right_of_values,
    over_first_axis,
    over_first_axis_then_swapped,
    swapped_twice,
    among_leading_axes,
    keys_in_rows_and_columns,
    squeezed_and_expanded,
    in_place,
    einsum_by_columns,
    einsum_with_dots,
    einsum_without_output,
    einsum_of_axes,
]


@pytest.mark.parametrize("attend", RIGHT, ids=lambda one: one.__name__)
def test_a_map_is_what_mixes_the_values(attend: Attend) -> None:
    net = NonLocal(attend).eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    expected = mixing_matrix(net)
    torch.testing.assert_close(expected.sum(1), torch.ones(24))
    torch.testing.assert_close(matrix_of(map_), expected, rtol=1e-4, atol=1e-6)


# ---- each sums over the cells that draw -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attend",
    [
        lambda net, q, k, v: (v.mT @ logits_of(q, k).softmax(-1)).mT,  # of many SAGAN and DANet copies
        lambda net, q, k, v: logits_of(q, k).softmax(1) @ v,
        lambda net, q, k, v: logits_of(q, k).softmax(-1).mT @ v,
        lambda net, q, k, v: logits_of(q, k).softmax(-1).permute(0, 2, 1).contiguous().view(24, 24) @ v,
        lambda net, q, k, v: torch.einsum("bnm,bnc->bmc", logits_of(q, k).softmax(-1), v),
        lambda net, q, k, v: torch.bmm(mat2=logits_of(q, k).softmax(-1), input=v.mT).mT,
        lambda net, q, k, v: torch.baddbmm(v, logits_of(q, k).softmax(1), v),
    ],
    ids=["right operand", "first axis", "mT", "permute", "einsum", "by name", "baddbmm"],
)
def test_weights_that_are_summed_over_the_other_axis_are_passed_over(attend: Attend) -> None:
    view = segviz.watch(NonLocal(attend).eval(), IMAGE)
    assert not view.maps and [one.state for one in view.layers] == ["passed over"]
    reason = view.layers[0].reason
    assert OTHER_AXIS in reason and "segviz.record(self, weights=...)" in reason


def test_axes_that_are_cut_or_joined_are_lost() -> None:
    assert move_axes("view", frozenset({1}), (), (4, 6), (2, 2, 6)) == {2}
    assert move_axes("view", frozenset({1}), (), (4, 6), (4, 2, 3)) == {1, 2}
    assert move_axes("view", frozenset({1}), (), (4, 6), (24,)) is None
    assert move_axes("view", frozenset({1}), (), (4, 6), (8, 3)) is None
    assert move_axes("view", frozenset({0, 2}), (), (2, 4, 3), (8, 3)) is None
    assert move_axes("expand", frozenset({1}), (), (4, 6), (5, 4, 6)) == {2}
    assert move_axes("permute", frozenset({1}), (None, 1, 0, 2), (4, 6, 1), (6, 4, 1)) == {0}


def test_a_tensor_that_takes_the_weights_type_or_shape_is_no_weights() -> None:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = logits_of(q, k).softmax(-1)
        mixed = weights @ v
        even = torch.full((24, 24), 1 / 24, dtype=torch.float64).type_as(weights).view_as(weights)
        return mixed + even @ v

    assert [one.path for one in segviz.watch(NonLocal(attend).eval(), IMAGE).layers] == ["network"]


# ---- einsums ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bhnc,hmc->bhnm", (2, 3, 5, 4), (3, 6, 4)),
        ("...nc,...mc->...mn", (2, 3, 5, 4), (3, 6, 4)),
        ("...nc,mc->...nm", (2, 3, 5, 4), (6, 4)),
        ("cn, mc", (4, 5), (6, 4)),
    ],
)
def test_einsums_are_read_as_products(equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    operands = torch.randn(left), torch.randn(right)
    factors = einsum_factors(read_equation(equation, operands), operands)
    assert factors is not None
    rows, columns, axes = factors
    torch.testing.assert_close((rows @ columns.mT).movedim((-2, -1), axes), torch.einsum(equation, *operands))


@pytest.mark.parametrize("equation", ["nlhd,nlhd->nlh", "nlhd,nshe->nhls", "nlhd,nshd->nls", "nlad,nsbd->nlasb"])
def test_other_einsums_are_not_misread(equation: str) -> None:
    operands = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    assert einsum_factors(read_equation(equation, operands), operands) is None


def test_an_einsum_that_is_not_read_is_named() -> None:
    def heads_summed(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = (one.unflatten(2, (2, -1)) for one in (q, k))
        return (torch.einsum("nlhd,nshd->nls", q, k) * 0.5).softmax(2) @ v

    view = segviz.watch(NonLocal(heads_summed).eval(), IMAGE)
    reason = view.layers[0].reason
    assert not view.maps and "nlhd,nshd->nls, which is read only where" in reason and "write it with matmul" in reason


# ---- axes in any order ------------------------------------------------------------------------------------------


def split_heads(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(one.unflatten(2, (2, -1)) for one in tensors)  # (1, cells, heads, dim)


def heads_last(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = split_heads(q, k, v)
    weights = (torch.einsum("bqhd,bkhd->bqkh", q, k) * 0.5).softmax(dim=2)
    return torch.einsum("bqkh,bkhd->bqhd", weights, v).flatten(2)


def heads_last_with_bias(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = split_heads(q, k, v)
    logits = torch.einsum("bqhd,bkhd->bqkh", q, k) / torch.tensor([2.0, 3.0]) + net.bias[None, :, :, None]
    return torch.einsum("bqkh,bkhd->bqhd", logits.float().contiguous().softmax(-2), v).flatten(2)


def heads_first_of_all(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = split_heads(q, k, v)
    weights = torch.einsum("bqhd,bkhd->hbqk", q, k).softmax(-1)
    return torch.einsum("hbqk,bkhd->bqhd", weights, v).flatten(2)


def keys_before_queries(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = split_heads(q, k, v)
    weights = torch.einsum("bkhd,bqhd->kbhq", k, q).softmax(0)
    return torch.einsum("kbhq,bkhd->bqhd", weights, v).flatten(2)


def moved_after_the_product(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (one.transpose(1, 2) for one in split_heads(q, k, v))
    weights = (q @ k.mT * 3).permute(0, 2, 3, 1).softmax(2)
    return (weights.permute(0, 3, 1, 2) @ v).transpose(1, 2).flatten(2)


def heads_split_after_the_product(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = split_heads(q, k, v)
    logits = torch.einsum("bqhd,bkhd->bqkh", q, k).view(1, 24, 24, 2, 1)
    return torch.einsum("bqkhi,bkhd->bqhd", logits.softmax(2), v).flatten(2)


@pytest.mark.parametrize(
    "attend",
    [
        heads_last,
        heads_last_with_bias,
        heads_first_of_all,
        keys_before_queries,
        moved_after_the_product,
        heads_split_after_the_product,
    ],
    ids=lambda one: one.__name__,
)
def test_heads_may_be_anywhere(attend: Attend) -> None:
    """Each head's map is what mixes the values of this head, by the network's own output."""
    net = NonLocal(attend).eval()
    net.num_heads = 2
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    batch = make_input(IMAGE, place_picture((64, 96), None, 32, "stretch"), InputRules().complete(net), None)
    for head in range(2):
        values = torch.zeros(1, 24, 2, 24)
        values[0, :, head] = torch.eye(24)
        with torch.no_grad():
            q, k, _ = net.factors(batch)
            expected = net.attend(net, q, k, values.flatten(2))[0].unflatten(1, (2, 24))[:, head]
        torch.testing.assert_close(expected.sum(1), torch.ones(24))
        torch.testing.assert_close(matrix_of(map_, head), expected, rtol=1e-4, atol=1e-6)


def test_heads_in_the_place_of_keys_are_no_keys() -> None:
    def over_heads(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = split_heads(q, k, v)
        return torch.einsum("bqkh,bkhd->bqhd", torch.einsum("bqhd,bkhd->bqkh", q, k).softmax(3), v).flatten(2)

    reason = segviz.watch(NonLocal(over_heads).eval(), IMAGE).layers[0].reason
    assert "over axis 3 of (1, 24, 24, 2), a product of which only axes 1 and 2 can be queries and keys" in reason


def test_a_softmax_over_the_heads_of_a_product_says_so() -> None:
    def over_heads(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (one.unflatten(2, (2, -1)).transpose(1, 2) for one in (q, k, v))
        return ((q @ k.mT).softmax(1) @ v).transpose(1, 2).flatten(2)

    reason = segviz.watch(NonLocal(over_heads).eval(), IMAGE).layers[0].reason
    assert "over axis 1 of (1, 2, 24, 24), a product of which only axes 2 and 3 can be queries and keys" in reason


# ---- changes in place -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1], ids=["queries", "keys"])
def test_factors_that_are_changed_after_the_softmax_are_kept_as_they_were(number: int) -> None:
    def reuse(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = logits_of(q, k).softmax(-1)
        (q, k)[number].mul_(0)
        return weights @ v

    net = NonLocal(reuse).eval()
    (map_,) = segviz.watch(net, IMAGE).maps.values()
    torch.testing.assert_close(matrix_of(map_), mixing_matrix(net), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pow_(2),
        lambda weights: weights[:, 0].fill_(0),
        lambda weights: weights[0].fill_diagonal_(0),
        lambda weights: torch.square(weights, out=weights),
    ],
    ids=["power", "a row", "the diagonal", "out="],
)
@pytest.mark.parametrize("view", [lambda weights: weights, lambda weights: weights.view(1, 24, 24)], ids=["", "view"])
def test_weights_that_are_changed_in_place_are_passed_over(
    change: Callable[[Tensor], object], view: Callable[[Tensor], Tensor]
) -> None:
    def attend(net: NonLocal, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = logits_of(q, k).softmax(-1)
        change(weights)
        return view(weights) @ v

    found = segviz.watch(NonLocal(attend).eval(), IMAGE)
    assert not found.maps and "weights are changed between the softmax and" in found.layers[0].reason


def test_inference_mode_is_watched_too() -> None:
    class Inferring(NonLocal):
        @torch.inference_mode()
        def forward(self, batch: Tensor) -> Tensor:
            return super().forward(batch)

    assert list(segviz.watch(Inferring(over_first_axis).eval(), IMAGE).maps) == ["network"]


def test_dropout_that_does_nothing_changes_nothing() -> None:
    drop = nn.Dropout(0.5, inplace=True).eval()
    net = NonLocal(lambda net, q, k, v: drop(logits_of(q, k).softmax(-1)) @ v).eval()
    assert list(segviz.watch(net, IMAGE).maps) == ["network"]
