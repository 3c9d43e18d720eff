"""Published networks are recognised by their tensors, and compute what plain formulas on these tensors compute."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import network_cases as cases
import network_reference as reference
import pytest
import torch
from network_cases import State
from torch import Tensor

from segviz.attention.maps import AxisChannelAttention, ChannelAttention, Gate
from segviz.models import blocks
from segviz.models.blocks import ContextBlock, PointWiseSpatialAttention
from segviz.models.networks import ContextNetwork, ForeignWeightsError, recognise_network
from segviz.models.networks.recognise import WEIGHTS_LAYOUTS
from segviz.training.initialise import attention_rates
from tests.block_cases import image, randomised

PAGE = (Path(__file__).parents[1] / "docs" / "published-weights.md").read_text().partition("\n## ")[0]
DOCUMENTED = dict(re.findall(r"^\| `([\w-]+)` \| .* \| ([\w, ]+) \|$", PAGE, re.MULTILINE))  # each layout's maps
Make = Callable[[], State]
Compute = Callable[[State, Tensor], reference.Answer]
ODD, MIXED = (33, 33), (33, 41)  # 5 x 5 and 5 x 6 cells at stride 8

CASES: dict[str, tuple[str, Make, Compute]] = {
    "semseg-psanet": ("semseg-psanet", cases.psanet_of_semseg, reference.psanet_of_semseg),
    "semseg-psanet, narrow masks": (
        "semseg-psanet",
        partial(cases.psanet_of_semseg, (3, 3)),
        partial(reference.psanet_of_semseg, sides=(3, 3)),
    ),
    "semseg-psanet, one branch": (
        "semseg-psanet",
        partial(cases.psanet_of_semseg, both=False),
        partial(reference.psanet_of_semseg, both=False),
    ),
    "mmsegmentation-psanet": ("mmsegmentation-psanet", cases.psanet_of_mmseg, reference.psanet_of_mmseg),
    "mmsegmentation-psanet, again": ("mmsegmentation-psanet", cases.psanet_of_mmseg, reference.psanet_of_mmseg),
    "mmsegmentation-psanet, even masks": (
        "mmsegmentation-psanet",
        partial(cases.psanet_of_mmseg, (4, 4)),
        partial(reference.psanet_of_mmseg, sides=(4, 4)),
    ),
    "mmsegmentation-nonlocal_net": (
        "mmsegmentation-nonlocal_net",
        cases.nonlocal_of_mmseg,
        reference.nonlocal_of_mmseg,
    ),
    "mmsegmentation-nonlocal_net, plain stem, not joined": (
        "mmsegmentation-nonlocal_net",
        partial(cases.nonlocal_of_mmseg, joined=False, deep_stem=False),
        reference.nonlocal_of_mmseg,
    ),
    "mmsegmentation-danet": ("mmsegmentation-danet", cases.danet_of_mmseg, reference.danet_of_mmseg),
    "mmsegmentation-ccnet": ("mmsegmentation-ccnet", cases.ccnet_of_mmseg, reference.ccnet_of_mmseg),
    "mmsegmentation-emanet": ("mmsegmentation-emanet", cases.emanet_of_mmseg, reference.emanet_of_mmseg),
    "mmsegmentation-dnlnet": ("mmsegmentation-dnlnet", cases.dnlnet_of_mmseg, reference.dnlnet_of_mmseg),
    "mmsegmentation-gcnet": ("mmsegmentation-gcnet", cases.gcnet_of_mmseg, reference.gcnet_of_mmseg),
    "mmsegmentation-gcnet, with a factor": (
        "mmsegmentation-gcnet",
        partial(cases.gcnet_of_mmseg, multiplied=True),
        reference.gcnet_of_mmseg,
    ),
    "mmsegmentation-ocrnet": ("mmsegmentation-ocrnet", cases.ocrnet_of_mmseg, reference.ocrnet_of_mmseg),
    "mmsegmentation-ocrnet, a 1x1 convolution first": (
        "mmsegmentation-ocrnet",
        partial(cases.ocrnet_of_mmseg, kernel=1),
        reference.ocrnet_of_mmseg,
    ),
    "mmsegmentation-isanet": ("mmsegmentation-isanet", cases.isanet_of_mmseg, reference.isanet_of_mmseg),
    "mmsegmentation-ann": ("mmsegmentation-ann", cases.ann_of_mmseg, reference.ann_of_mmseg),
    "mmsegmentation-ann, again": ("mmsegmentation-ann", cases.ann_of_mmseg, reference.ann_of_mmseg),
    "ccnet": ("ccnet", cases.ccnet, reference.ccnet),
    "ccnet of 2018": ("ccnet-2018", partial(cases.ccnet, older=True), reference.ccnet),
    "danet": ("danet", cases.danet, reference.danet),
    "danet, deep stem": ("danet", partial(cases.danet, deep_stem=True, auxiliary=False), reference.danet),
    "emanet": ("emanet", cases.emanet, reference.emanet),
    "attanet": ("attanet", cases.attanet, reference.attanet),
    "attanet, light": ("attanet-light", cases.light_attanet, reference.light_attanet),
    "flanet": ("flanet", cases.flanet, reference.flanet),
}


def make_state(make: Make) -> State:
    torch.manual_seed(5)
    return make()


@pytest.mark.parametrize(("case", "size"), [(case, (MIXED, ODD)[number % 2]) for number, case in enumerate(CASES)])
def test_a_network_computes_what_its_tensors_say(case: str, size: tuple[int, int]) -> None:
    name, make, compute = CASES[case]
    state = make_state(make)
    recognised = recognise_network(state)
    assert recognised is not None and recognised.name == name and recognised.classes == cases.CLASSES
    network = recognised.build().double()
    left_out = sum(int(sentence.split()[-2]) for sentence in recognised.left_out)
    assert count_tensors(dict(network.state_dict())) + left_out == count_tensors(state), "a tensor is lost in silence"
    picture = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.inference_mode():
        result = network(picture)
    exact = {key: value.double() for key, value in state.items()}
    logits, matrices = compute(exact, picture)
    torch.testing.assert_close(result.logits, logits, rtol=1e-5, atol=1e-5 * float(logits.abs().max()))
    maps = {one.name: one for one in result.attended.maps[0]}
    assert set(matrices) <= set(maps)
    assert DOCUMENTED[name] == ", ".join(maps) or "one branch" in case
    for key, matrix in matrices.items():
        torch.testing.assert_close(whole_matrix(maps[key]), matrix, rtol=1e-5, atol=1e-7)


def whole_matrix(one: object) -> Tensor:
    """A map's matrix: all rows, what relates channels, or a gate."""
    match one:
        case ChannelAttention():
            return one.matrix
        case AxisChannelAttention():
            return torch.stack([one.matrix(line) for line in range(one.grid[0])])
        case Gate():
            return one.alpha
    return one.rows(torch.arange(one.grid[0] * one.grid[1]))  # type: ignore[attr-defined,no-any-return]


def count_tensors(state: State) -> int:
    """All tensors but BatchNorm's counters."""
    return sum(not name.endswith("num_batches_tracked") for name in state)


def test_a_converted_psanet_is_our_own_block() -> None:
    network = built(cases.psanet_of_semseg)
    ours = PointWiseSpatialAttention(cases.DEEP, 5, (5, 5), outside="zero")
    ours.load_state_dict(network.block.state_dict())
    x = torch.rand(1, cases.DEEP, 5, 6)
    with torch.inference_mode():
        converted, own = network.block(x), ours.eval()(x)
    assert torch.equal(converted.features, own.features)
    for one, other in zip(converted.maps[0], own.maps[0], strict=True):
        assert torch.equal(one.attends_to(1, 2), other.attends_to(1, 2))


def built(make: Make, **options: object) -> ContextNetwork:
    recognised = recognise_network(make_state(make), options)
    assert recognised is not None
    return recognised.build()


def test_each_layout_is_told_from_all_others() -> None:
    names = {case: recognise_network(make_state(make)).name for case, (_, make, _) in CASES.items()}  # type: ignore[union-attr]
    assert names == {case: name for case, (name, _, _) in CASES.items()}


def test_other_tensors_are_no_network() -> None:
    assert recognise_network({}) is None
    assert (
        recognise_network(
            {"backbone.layer1.0.conv1.weight": torch.zeros(1), "decode_head.conv_seg.weight": torch.zeros(1)}
        )
        is None
    )


def test_an_ocrnet_on_an_hrnet_is_not_taken_for_one_on_a_resnet() -> None:
    state = make_state(cases.ocrnet_of_mmseg)
    hrnet = {name.replace("backbone.layer4", "backbone.stage4"): tensor for name, tensor in state.items()}
    assert recognise_network(hrnet) is None


@pytest.mark.parametrize("levels", [(), (1, 0), (1.5,)])
def test_a_pyramid_needs_bins(levels: tuple[object, ...]) -> None:
    with pytest.raises(
        ForeignWeightsError, match=r"option 'levels' is .*; give bins along a side, such as \(1, 3, 6, 8\)"
    ):
        recognise_network(make_state(cases.ann_of_mmseg), {"levels": levels})


@pytest.mark.parametrize("block", [(8,), (8, 0), (2.5, 2.5)])
def test_a_block_needs_rows_and_columns(block: tuple[object, ...]) -> None:
    with pytest.raises(ForeignWeightsError, match=r"option 'block' is .*; give rows and columns of a block"):
        recognise_network(make_state(cases.isanet_of_mmseg), {"block": block})


@pytest.mark.parametrize("block", [(2, 3), (5, 2), (1, 1), (9, 4)])
def test_blocks_of_any_size_interlace(block: tuple[int, int]) -> None:
    state, picture = make_state(cases.isanet_of_mmseg), torch.rand(1, 3, 33, 41, dtype=torch.float64)
    with torch.inference_mode():
        result = built(cases.isanet_of_mmseg, block=block).double()(picture)
    exact = {key: value.double() for key, value in state.items()}
    logits, matrices = reference.isanet_of_mmseg(exact, picture, block)
    torch.testing.assert_close(result.logits, logits, rtol=1e-5, atol=1e-5)
    (one,) = result.attended.maps[0]
    torch.testing.assert_close(whole_matrix(one), matrices["interlaced"], rtol=1e-5, atol=1e-7)
    columns = torch.stack([one.attended_by(*divmod(cell, 6)).flatten() for cell in range(30)], 1)
    torch.testing.assert_close(columns, matrices["interlaced"], rtol=1e-5, atol=1e-7)


def test_a_pyramid_of_other_bins_can_be_given() -> None:
    state, picture = make_state(cases.ann_of_mmseg), torch.rand(1, 3, 33, 41, dtype=torch.float64)
    network = built(cases.ann_of_mmseg, levels=[2, 5]).double()
    with torch.inference_mode():
        result = network(picture)
    exact = {key: value.double() for key, value in state.items()}
    logits, matrices = reference.ann_of_mmseg(exact, picture, (2, 5))
    torch.testing.assert_close(result.logits, logits, rtol=1e-5, atol=1e-5)
    (pyramid, _) = result.attended.maps[0]
    torch.testing.assert_close(whole_matrix(pyramid), matrices["pyramid"], rtol=1e-5, atol=1e-7)
    assert pyramid.remark == "29 bins of a pyramid of 2, 5"


def test_data_parallels_prefix_does_not_matter() -> None:
    state = {f"module.{name}": tensor for name, tensor in make_state(cases.psanet_of_semseg).items()}
    recognised = recognise_network(state)
    assert recognised is not None and recognised.build()


def test_an_unknown_tensor_is_named() -> None:
    state = make_state(cases.ccnet_of_mmseg) | {"decode_head.more.weight": torch.zeros(2), "ema.decay": torch.zeros(())}
    with pytest.raises(ForeignWeightsError, match=r"2 are unknown: 'decode_head.more.weight', 'ema.decay'"):
        recognise_network(state).build()  # type: ignore[union-attr]


def test_a_missing_tensor_is_named() -> None:
    state = make_state(cases.emanet)
    del state["emau.conv2.1.bias"]
    with pytest.raises(
        ForeignWeightsError, match=r"look like EMANet of XiaLiPKU/EMANet, but 1 is missing: 'emau.conv2.1.bias'"
    ):
        recognise_network(state).build()  # type: ignore[union-attr]


def test_a_wrong_shape_is_named() -> None:
    state = make_state(cases.psanet_of_semseg)
    state["psa.proj.0.weight"] = torch.zeros(cases.DEEP, 7, 1, 1)
    with pytest.raises(
        ForeignWeightsError, match=r"1 is of another shape: 'psa.proj.0.weight' is 40 x 7 x 1 x 1, not 40 x 10 x 1 x 1"
    ):
        recognise_network(state).build()  # type: ignore[union-attr]


def test_two_networks_in_one_file_are_refused() -> None:
    with pytest.raises(
        ForeignWeightsError, match="look like EMANet of XiaLiPKU/EMANet and PSANet of mmsegmentation at once"
    ):
        recognise_network(make_state(cases.emanet) | make_state(cases.psanet_of_mmseg))


def test_what_tensors_do_not_tell_is_said_and_can_be_given() -> None:
    recognised = recognise_network(make_state(cases.ccnet))
    assert recognised is not None
    assert {one.option: one.value for one in recognised.assumptions} == {"passes": 2, "crop": (769, 769)}
    once = recognise_network(make_state(cases.ccnet), {"passes": 1})
    assert once is not None and [one.option for one in once.assumptions] == ["crop"]
    (cross,) = once.build()(torch.rand(1, 3, 33, 33)).attended.maps[0]
    assert len(cross.queries) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 1}, "PSANet of hszhao/semseg has no option 'passes'; its options are"),
        ({"compact": 3}, "option 'compact' is 3; give a bool, such as False"),
        (
            {"mask": [4, 6]},
            r"the 25 numbers of PSANet's masks do not fit \(4, 6\); give mask=\(rows, columns\)",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ForeignWeightsError, match=message):
        recognise_network(make_state(cases.psanet_of_semseg), options)


def test_a_mask_of_unequal_sides_has_to_be_given() -> None:
    state = make_state(partial(cases.psanet_of_semseg, (3, 5)))
    with pytest.raises(ForeignWeightsError, match=r"15 numbers of PSANet's masks are not a square; give mask="):
        recognise_network(state)
    recognised = recognise_network(state, {"mask": (3, 5)})
    assert recognised is not None and recognised.build()


def test_half_precision_becomes_single_and_the_file_stays_as_it_is() -> None:
    state = {name: one.half() if one.is_floating_point() else one for name, one in make_state(cases.flanet).items()}
    before = state["conv.0.weight"].clone()
    recognised = recognise_network(state)
    assert recognised is not None
    network = recognised.build()
    assert {one.dtype for one in network.parameters()} == {torch.float32}
    with torch.no_grad():
        network.get_parameter("reduction.layers.0.0.weight").zero_()
    assert torch.equal(state["conv.0.weight"], before)


def test_ccnet_sees_blue_green_red_without_a_scale() -> None:
    recognised = recognise_network(make_state(cases.ccnet))
    assert recognised is not None
    picture = torch.rand(1, 3, 2, 2)
    seen = recognised.expects.normalise(picture)
    expected = picture.flip(1) * 255 - torch.tensor((104.00698793, 116.66876762, 122.67891434)).view(3, 1, 1)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)


def test_the_page_on_published_weights_lists_them_all() -> None:
    assert set(DOCUMENTED) == {name for name, _, _ in CASES.values()} == {layout.name for layout in WEIGHTS_LAYOUTS}


@pytest.mark.slow
def test_a_psanet_of_full_size_is_recognised_and_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WIDTHS": (64, 128, 256, 512), "BLOCKS": (3, 4, 6, 3), "DEEP": 2048, "MIDDLE": 1024}.items():
        monkeypatch.setattr(cases, name, value)
    recognised = recognise_network(cases.psanet_of_semseg((59, 59), stem=64, inner=512, width=512))
    assert recognised is not None
    assert recognised.title == "PSANet, ResNet-50" and recognised.expects.crop == (465, 465)
    network = recognised.build()
    count = sum(one.numel() for one in network.block.parameters())
    assert count / 1e6 == pytest.approx(8.28, abs=0.02)  # counted by hand from the paper's sizes
    with torch.inference_mode():
        result = network(torch.rand(1, 3, 105, 121))
    assert result.logits.shape == (1, cases.CLASSES, 105, 121)
    assert [one.grid for one in result.attended.maps[0]] == [(7, 8)] * 2


NEW_BLOCKS: dict[str, Callable[[], ContextBlock]] = {
    "embedded": lambda: blocks.EmbeddedNonLocal(4, 2),
    "embedded, not scaled": lambda: blocks.EmbeddedNonLocal(4, 2, scaled=False),
    "disentangled": lambda: blocks.DisentangledNonLocal(4, 2),
    "global": lambda: blocks.GlobalContext(4, 8),
    "global, with a factor": lambda: blocks.GlobalContext(4, 8, multiplied=True),
    "dual branches": lambda: blocks.DualBranches(4, 6, 2),
    "object context": lambda: blocks.ObjectContext(2, 2, 3),
    "interlaced": lambda: blocks.InterlacedNonLocal(4, 6, (2, 3)),
    "asymmetric": lambda: blocks.AsymmetricNonLocal(4, 2),
}


@pytest.mark.parametrize("case", NEW_BLOCKS)
def test_x_beside_the_context_can_be_given_apart(case: str) -> None:
    block, x = randomised(NEW_BLOCKS[case]()).eval(), image(2, 4, 3, 5)
    own, beside = block(x), block(x, x.clone())
    torch.testing.assert_close(beside.features, own.features)
    assert [[one.name for one in maps] for maps in beside.maps] == [[one.name for one in maps] for maps in own.maps]


@pytest.mark.parametrize("case", NEW_BLOCKS)
def test_switched_off_no_other_cell_is_read(case: str) -> None:
    torch.manual_seed(0)
    block, x = randomised(NEW_BLOCKS[case]()).eval(), image(1, 4, 7, 9).requires_grad_()
    (slopes,) = torch.autograd.grad(block(x).features[0, :, 3, 4].sum(), x)
    assert slopes[0, :, 0, 0].abs().max() > 0
    block.switch_off()
    (slopes,) = torch.autograd.grad(block(x).features[0, :, 3, 4].sum(), x)
    reach = 2 if case == "dual branches" else 0  # its two 3x3 convolutions stay
    slopes[:, :, 3 - reach : 4 + reach, 4 - reach : 5 + reach] = 0
    assert slopes.abs().max() == 0


@pytest.mark.parametrize("case", NEW_BLOCKS)
def test_the_layers_that_make_weights_are_the_block_s_own(case: str) -> None:
    block = NEW_BLOCKS[case]()
    inside = [one for one in block.modules() if isinstance(one, ContextBlock) and one is not block]
    own = set(block.modules()) - {layer for one in inside for layer in one.modules()}
    assert set(block.attention_layers()) <= own and attention_rates(block)
