"""State dicts as others publish them: their names and shapes at a small width, with random values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

State = dict[str, Tensor]
CLASSES = 3
WIDTHS = (4, 6, 8, 10)  # the narrow channels of a small body's stages
BLOCKS = (1, 1, 2, 2)
DEEP, MIDDLE = 4 * WIDTHS[3], 4 * WIDTHS[2]


def conv(name: str, outputs: int, inputs: int, kernel: int = 1, bias: bool = False) -> State:
    """A convolution's tensors, scaled so that features neither grow nor vanish."""
    state = {f"{name}.weight": torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5}
    return state | ({f"{name}.bias": torch.randn(outputs) / 4} if bias else {})


def norm(name: str, channels: int) -> State:
    """A BatchNorm's tensors, with statistics that are not those of a fresh one."""
    return {
        f"{name}.weight": 1 + torch.rand(channels),
        f"{name}.bias": torch.randn(channels) / 4,
        f"{name}.running_mean": torch.randn(channels) / 4,
        f"{name}.running_var": 0.5 + torch.rand(channels),
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def sequential(name: str, outputs: int, inputs: int, kernel: int = 1) -> State:
    """Convolution and BatchNorm, numbered."""
    return conv(f"{name}.0", outputs, inputs, kernel) | norm(f"{name}.1", outputs)


def module(name: str, outputs: int, inputs: int, kernel: int = 1) -> State:
    """Convolution and BatchNorm, called so."""
    return conv(f"{name}.conv", outputs, inputs, kernel) | norm(f"{name}.bn", outputs)


def numbered_stem(names: Iterable[tuple[str, str]], width: int = 4) -> State:
    """Three 3x3 convolutions to `2 width` channels, each with its BatchNorm."""
    state: State = {}
    for (convolution, normed), (inputs, outputs) in zip(names, pairwise((3, width, width, 2 * width)), strict=True):
        state |= conv(convolution, outputs, inputs, 3) | norm(normed, outputs)
    return state


def stages(layers: Iterable[str], stem: int = 8, wide: int = 4, widths: tuple[int, ...] = WIDTHS) -> State:
    """The four stages of a ResNet: bottlenecks, or with `wide=1` pairs of 3x3 convolutions."""
    state, inputs = State(), stem
    for layer, width, blocks in zip(layers, widths, BLOCKS, strict=True):
        for number in range(blocks):
            name, outputs = f"{layer}.{number}", width * wide
            if wide == 4:
                state |= conv(f"{name}.conv1", width, inputs) | norm(f"{name}.bn1", width)
                state |= conv(f"{name}.conv2", width, width, 3) | norm(f"{name}.bn2", width)
                state |= conv(f"{name}.conv3", outputs, width) | norm(f"{name}.bn3", outputs)
            else:
                state |= conv(f"{name}.conv1", width, inputs, 3) | norm(f"{name}.bn1", width)
                state |= conv(f"{name}.conv2", width, width, 3) | norm(f"{name}.bn2", width)
            if number == 0 and inputs != outputs:
                state |= sequential(f"{name}.downsample", outputs, inputs)
            inputs = outputs
    return state


LAYERS = ("layer1", "layer2", "layer3", "layer4")


def psanet_of_semseg(
    mask: tuple[int, int] = (5, 5), both: bool = True, stem: int = 4, inner: int = 5, width: int = 6
) -> State:
    """hszhao/semseg's PSANet."""
    state = numbered_stem([("layer0.0", "layer0.1"), ("layer0.3", "layer0.4"), ("layer0.6", "layer0.7")], stem)
    state |= stages(LAYERS, 2 * stem, widths=WIDTHS)
    for ending in ("", "_p") if both else ("",):
        state |= sequential(f"psa.reduce{ending}", inner, DEEP)
        state |= sequential(f"psa.attention{ending}", inner, inner)
        state |= conv(f"psa.attention{ending}.3", mask[0] * mask[1], inner)
    state |= sequential("psa.proj", DEEP, inner * (2 if both else 1))
    state |= sequential("cls", width, 2 * DEEP, 3) | conv("cls.4", CLASSES, width, bias=True)
    return state | sequential("aux", 4, MIDDLE, 3) | conv("aux.4", CLASSES, 4, bias=True)


def classified(name: str, inputs: int) -> State:
    """A classifier with a bias."""
    return conv(name, CLASSES, inputs, bias=True)


def mmseg_body(deep_stem: bool = True) -> State:
    """mmsegmentation's ResNet, and the auxiliary head."""
    names = [(f"backbone.stem.{number}", f"backbone.stem.{number + 1}") for number in (0, 3, 6)]
    plain = conv("backbone.conv1", 64, 3, 7) | norm("backbone.bn1", 64)
    state = numbered_stem(names) if deep_stem else plain
    state |= stages([f"backbone.{layer}" for layer in LAYERS], 8 if deep_stem else 64)
    return state | module("auxiliary_head.convs.0", 4, MIDDLE, 3) | classified("auxiliary_head.conv_seg", 4)


def mmseg_between(block: State, joined: bool = True, deep_stem: bool = True) -> State:
    """A head with a block between two convolutions of width 6."""
    state = mmseg_body(deep_stem) | module("decode_head.convs.0", 6, DEEP, 3) | block
    state |= module("decode_head.convs.1", 6, 6, 3)
    state |= module("decode_head.conv_cat", 6, DEEP + 6, 3) if joined else {}
    return state | classified("decode_head.conv_seg", 6)


def psanet_of_mmseg(mask: tuple[int, int] = (5, 5)) -> State:
    """mmsegmentation's PSANet."""
    inner, state = 5, mmseg_body()
    for ending in ("", "_p"):
        state |= module(f"decode_head.reduce{ending}", inner, DEEP)
        state |= module(f"decode_head.attention{ending}.0", inner, inner)
        state |= conv(f"decode_head.attention{ending}.1", mask[0] * mask[1], inner)
    state |= module("decode_head.proj", DEEP, 2 * inner) | module("decode_head.bottleneck", 6, 2 * DEEP, 3)
    return state | classified("decode_head.conv_seg", 6)


def non_local_block(name: str) -> State:
    """mmcv's non-local block."""
    state = State()
    for layer in ("theta", "phi", "g"):
        state |= conv(f"decode_head.{name}.{layer}.conv", 3, 6, bias=True)
    return state | module(f"decode_head.{name}.conv_out", 6, 3)


def nonlocal_of_mmseg(joined: bool = True, deep_stem: bool = True) -> State:
    """mmsegmentation's non-local network."""
    return mmseg_between(non_local_block("nl_block"), joined, deep_stem)


def dnlnet_of_mmseg() -> State:
    """mmsegmentation's DNLNet."""
    return mmseg_between(non_local_block("dnl_block") | conv("decode_head.dnl_block.conv_mask", 1, 6, bias=True))


def ccnet_of_mmseg() -> State:
    """mmsegmentation's CCNet."""
    block = {"decode_head.cca.gamma.scale": torch.tensor(0.7)}
    for layer, width in (("query", 2), ("key", 2), ("value", 6)):
        block |= conv(f"decode_head.cca.{layer}_conv", width, 6, bias=True)
    return mmseg_between(block)


def gcnet_of_mmseg(multiplied: bool = False) -> State:
    """mmsegmentation's GCNet."""
    block = conv("decode_head.gc_block.conv_mask", 1, 6, bias=True)
    for kind in ("add", "mul") if multiplied else ("add",):
        name = f"decode_head.gc_block.channel_{kind}_conv"
        block |= conv(f"{name}.0", 2, 6, bias=True) | conv(f"{name}.3", 6, 2, bias=True)
        block |= {f"{name}.1.weight": torch.randn(2, 1, 1), f"{name}.1.bias": torch.randn(2, 1, 1)}
    return mmseg_between(block)


def danet_of_mmseg() -> State:
    """mmsegmentation's DANet."""
    state = mmseg_body() | {f"decode_head.{kind}.gamma.scale": torch.tensor(0.6) for kind in ("pam", "cam")}
    for kind in ("pam", "cam"):
        state |= module(f"decode_head.{kind}_in_conv", 6, DEEP, 3) | module(f"decode_head.{kind}_out_conv", 6, 6, 3)
        state |= classified(f"decode_head.{kind}_conv_seg", 6)
    for layer, width in (("query", 2), ("key", 2), ("value", 6)):
        state |= conv(f"decode_head.pam.{layer}_project", width, 6, bias=True)
    return state | classified("decode_head.conv_seg", 6)


def emanet_of_mmseg() -> State:
    """mmsegmentation's EMANet."""
    state = mmseg_body() | {"decode_head.ema_module.bases": torch.randn(1, 5, 3)}
    state |= module("decode_head.ema_in_conv", 5, DEEP, 3) | conv("decode_head.ema_mid_conv.conv", 5, 5, bias=True)
    state |= module("decode_head.ema_out_conv", 5, 5) | module("decode_head.bottleneck", 6, 5, 3)
    return state | module("decode_head.conv_cat", 6, DEEP + 6, 3) | classified("decode_head.conv_seg", 6)


def ocrnet_of_mmseg(kernel: int = 3) -> State:
    """mmsegmentation's OCRNet: two decode heads."""
    state = {name: tensor for name, tensor in mmseg_body().items() if not name.startswith("auxiliary_head")}
    state |= module("decode_head.0.convs.0", 4, MIDDLE, kernel) | classified("decode_head.0.conv_seg", 4)
    regions = "decode_head.1.object_context_block"
    for name in ("query", "key"):
        state |= module(f"{regions}.{name}_project.0", 3, 6) | module(f"{regions}.{name}_project.1", 3, 3)
    state |= module(f"{regions}.value_project", 3, 6) | module(f"{regions}.out_project", 6, 3)
    state |= module(f"{regions}.bottleneck", 6, 12) | module("decode_head.1.bottleneck", 6, DEEP, 3)
    return state | classified("decode_head.1.conv_seg", 6)


def isanet_of_mmseg() -> State:
    """mmsegmentation's ISANet."""
    state = mmseg_body() | module("decode_head.in_conv", 6, DEEP, 3) | module("decode_head.out_conv", 6, 12)
    for kind in ("global", "local"):
        name = f"decode_head.{kind}_relation"
        for one in ("query", "key"):
            state |= module(f"{name}.{one}_project.0", 3, 6) | module(f"{name}.{one}_project.1", 3, 3)
        state |= conv(f"{name}.value_project", 6, 6, bias=True) | module(f"{name}.output_project", 6, 6)
    return state | classified("decode_head.conv_seg", 6)


def pyramid_block(name: str, outputs: int, source: int, shared: bool) -> State:
    """An asymmetric non-local block; where queries and keys share a layer, the file has it twice."""
    state = module(f"{name}.stages.0.key_project", 3, source)
    if shared:
        state |= {key.replace("key_project", "query_project"): tensor for key, tensor in state.items()}
    else:
        state |= module(f"{name}.stages.0.query_project", 3, outputs)
    state |= conv(f"{name}.stages.0.value_project", 3, source, bias=True)
    state |= conv(f"{name}.stages.0.out_project", outputs, 3, bias=True)
    return state | module(f"{name}.bottleneck", outputs, 2 * outputs)


def ann_of_mmseg() -> State:
    """mmsegmentation's ANN."""
    state = mmseg_body() | pyramid_block("decode_head.fusion", DEEP, MIDDLE, shared=False)
    state |= pyramid_block("decode_head.context", 6, 6, shared=True) | module("decode_head.bottleneck", 6, DEEP, 3)
    return state | classified("decode_head.conv_seg", 6)


def ccnet(older: bool = False) -> State:
    """speedinghzl/CCNet; the weights of its norms may be negative."""
    before, attention, after = ("conv1a", "pc", "conv1b") if older else ("conva", "cca", "convb")
    state = numbered_stem([("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")]) | stages(LAYERS)
    state |= sequential(f"head.{before}", 6, DEEP, 3) | sequential(f"head.{after}", 6, 6, 3)
    state |= {f"head.{attention}.gamma": torch.tensor([0.7])}
    for layer, width in (("query", 2), ("key", 2), ("value", 6)):
        state |= conv(f"head.{attention}.{layer}_conv", width, 6, bias=True)
    state |= sequential("head.bottleneck", 6, DEEP + 6, 3) | classified("head.bottleneck.3", 6)
    state |= sequential("dsn", 4, MIDDLE, 3) | {"dsn.0.bias": torch.zeros(4)} | classified("dsn.3", 4)
    signs = {name: torch.randn_like(one).sign() for name, one in state.items() if name.endswith("bn2.weight")}
    return state | {name: state[name] * sign for name, sign in signs.items()}


def danet(deep_stem: bool = False, auxiliary: bool = True) -> State:
    """junfu1115/DANet."""
    names = [(f"pretrained.conv1.{number}", f"pretrained.conv1.{number + 1}") for number in (0, 3)]
    plain = conv("pretrained.conv1", 64, 3, 7) | norm("pretrained.bn1", 64)
    state = numbered_stem([*names, ("pretrained.conv1.6", "pretrained.bn1")]) if deep_stem else plain
    state |= stages([f"pretrained.{layer}" for layer in LAYERS], 8 if deep_stem else 64)
    for before, after, logits in (("5a", "51", "6"), ("5c", "52", "7")):
        state |= sequential(f"head.conv{before}", 6, DEEP, 3) | sequential(f"head.conv{after}", 6, 6, 3)
        state |= classified(f"head.conv{logits}.1", 6) if auxiliary else {}
    for layer, width in (("query", 2), ("key", 2), ("value", 6)):
        state |= conv(f"head.sa.{layer}_conv", width, 6, bias=True)
    state |= {"head.sa.gamma": torch.tensor([0.7]), "head.sc.gamma": torch.tensor([0.4])}
    return state | classified("head.conv8.1", 6)


def emanet() -> State:
    """XiaLiPKU/EMANet."""
    stem = [("extractor.0.0", "extractor.0.1"), ("extractor.0.3", "extractor.0.4"), ("extractor.0.6", "extractor.1")]
    state = numbered_stem(stem) | stages([f"extractor.{number}" for number in (4, 5, 6, 7)])
    state |= module("fc0", 5, DEEP, 3) | {"emau.mu": torch.randn(1, 5, 3)} | conv("emau.conv1", 5, 5, bias=True)
    return state | sequential("emau.conv2", 5, 5) | module("fc1.0", 4, 5, 3) | classified("fc2", 4)


def attanet() -> State:
    """songqi-github/AttaNet on a ResNet of pairs of convolutions, with the classifier of ImageNet."""
    middle, deep = WIDTHS[2], WIDTHS[3]
    state = conv("head.resnet.conv1", 64, 3, 7) | norm("head.resnet.bn1", 64)
    state |= stages([f"head.resnet.{layer}" for layer in LAYERS], 64, wide=1)
    state |= {"head.resnet.fc.weight": torch.randn(7, deep), "head.resnet.fc.bias": torch.randn(7)}
    state |= module("head.afm.conv", 6, 6 + deep) | conv("head.afm.conv_atten", 6, 6) | norm("head.afm.bn_atten", 6)
    state |= module("head.conv_head32", 6, deep, 3) | module("head.conv_head16", 6, middle, 3)
    state |= module("head.conv_head1", 6, 6, 3) | module("head.conv_head2", 6, 6, 3)
    state |= module("head.sam.conv1", 2, 6) | module("head.sam.conv2", 2, 6) | module("head.sam.conv3", 6, 6)
    for name, inputs, width in (("conv_out", 6, 5), ("conv_out1", 6, 4), ("conv_out2", WIDTHS[1], 4)):
        state |= module(f"{name}.conv", width, inputs, 3) | conv(f"{name}.conv_out", CLASSES, width)
    return state


def light_attanet() -> State:
    """songqi-github/AttaNet's AttaNet_light."""
    state, widths = State(), (4, 5, 5, 5, 6, 7, 7, 8)
    names = ("S1_1", "S1_2", "S2_1", "S2_2", "S2_3", "S3_1", "S3_2", "S3_3")
    for name, (inputs, outputs) in zip(names, pairwise((3, *widths)), strict=True):
        state |= module(f"head.backbone.branch.{name}", outputs, inputs, 7 if name == "S1_1" else 3)
    for name, inputs in (("8", 6), ("16", 8), ("81", 5), ("161", 5), ("1", 5), ("2", 5)):
        state |= module(f"head.conv_head{name}", 5, inputs, 3)
    state |= module("head.afm.conv", 5, 10, 3) | conv("head.afm.conv_atten", 5, 5) | norm("head.afm.bn_atten", 5)
    for number in (1, 2, 3):
        state |= module(f"head.sam.conv{number}", 5, 5)
    for name, inputs in (("conv_out", 5), ("conv_out1", 5), ("conv_out2", 8)):
        state |= module(f"{name}.conv", 4, inputs, 3) | conv(f"{name}.conv_out", CLASSES, 4)
    return state


def flanet() -> State:
    """The authors' FLANet."""
    stem = [("backbone.conv1.0", "backbone.conv1.1"), ("backbone.conv1.3", "backbone.conv1.4")]
    state = numbered_stem([*stem, ("backbone.conv1.6", "backbone.bn1")])
    state |= stages([f"backbone.{layer}" for layer in LAYERS])
    state |= sequential("conv", 6, DEEP, 3) | conv("conv.3", 6, 6, 3) | norm("conv.4", 6)
    state |= {"fully.gamma": torch.tensor([0.7])}
    for name in ("fully.conv1", "fully.conv2"):
        state |= {f"{name}.weight": torch.randn(6, 6) / 3, f"{name}.bias": torch.randn(6) / 4}
    state |= sequential("fully.conv", 6, 6, 3)
    for name, inputs, width in (("conv_out1", DEEP + 6, 6), ("conv_out2", 4 * WIDTHS[1], 4), ("conv_out3", MIDDLE, 4)):
        state |= conv(f"{name}.conv.1", width, inputs, 3) | norm(f"{name}.conv.2", width)
        state |= classified(f"{name}.conv.5", width)
    return state
