"""Published networks in plain formulas on their own tensors: whole matrices, one picture, in the tensors' precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Answer = tuple[Tensor, dict[str, Tensor]]  # logits of one picture, and each map's matrix
Grid = tuple[int, int]
THIRD_AND_FOURTH = ((2,), (4,))  # every block of the last two stages; mmsegmentation's first blocks have less
CONTRACTED = ((1, 2), (2, 4))


class Reader:
    """Applies the layers of a state dict by name."""

    def __init__(self, state: State, positive_norms: bool = False) -> None:
        self.state, self.positive_norms = state, positive_norms

    def conv(self, x: Tensor, name: str, stride: int = 1, dilation: int = 1, border: int = 0) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = border + dilation * (weight.shape[2] // 2)
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, padding, dilation)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = weight.abs() + 1e-5 if self.positive_norms else weight
        return (x - mean) / (variance + 1e-5).sqrt() * factor + bias

    def numbered(self, x: Tensor, name: str, slope: float = 0.0, border: int = 0) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x, f"{name}.0", border=border), f"{name}.1"), slope)

    def module(self, x: Tensor, name: str, border: int = 0) -> Tensor:
        return self.norm(self.conv(x, f"{name}.conv", border=border), f"{name}.bn").relu()

    def stem(self, x: Tensor, names: Sequence[tuple[str, str]], round_up: bool = False) -> Tensor:
        for number, (convolution, norm) in enumerate(names):
            x = self.norm(self.conv(x, convolution, 1 + (number == 0)), norm).relu()
        return F.max_pool2d(x, 3, 2, 1, ceil_mode=round_up)

    def stages(
        self,
        x: Tensor,
        layers: Sequence[str],
        dilations: Sequence[Sequence[int]] = THIRD_AND_FOURTH,
        strides: Sequence[int] = (1, 2, 1, 1),
    ) -> list[Tensor]:
        """The output of each stage."""
        found = []
        for layer, rates, stride in zip(layers, ((1,), (1,), *dilations), strides, strict=True):
            number = 0
            while f"{layer}.{number}.conv1.weight" in self.state:
                rate = rates[min(number, len(rates) - 1)]
                x = self.residual(x, f"{layer}.{number}", stride if number == 0 else 1, rate)
                number += 1
            found.append(x)
        return found

    def residual(self, x: Tensor, name: str, stride: int, rate: int) -> Tensor:
        shortcut = x
        if f"{name}.downsample.0.weight" in self.state:
            shortcut = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        if f"{name}.conv3.weight" in self.state:
            x = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
            x = self.norm(self.conv(x, f"{name}.conv2", stride, rate), f"{name}.bn2").relu()
            return (self.norm(self.conv(x, f"{name}.conv3"), f"{name}.bn3") + shortcut).relu()
        x = self.norm(self.conv(x, f"{name}.conv1", stride, rate), f"{name}.bn1").relu()
        return (self.norm(self.conv(x, f"{name}.conv2", 1, rate), f"{name}.bn2") + shortcut).relu()


def layers_of(prefix: str) -> list[str]:
    return [f"{prefix}layer{number}" for number in (1, 2, 3, 4)]


def resized(x: Tensor, size: Sequence[int], corners: bool) -> Tensor:
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=corners)


def gathered(matrix: Tensor, value: Tensor) -> Tensor:
    """`y_p = sum_j A[p, j] v_j`."""
    return torch.einsum("pj,cj->cp", matrix, value[0].flatten(1)).unflatten(1, value.shape[2:])[None]


def dense(query: Tensor, key: Tensor, scale: float = 1.0) -> Tensor:
    return (torch.einsum("cp,cj->pj", query[0].flatten(1), key[0].flatten(1)) * scale).softmax(1)


def mask_matrix(mask: Tensor, sides: Grid, grid: Grid, collect: bool) -> Tensor:
    """Pair by pair: the logit of the owner's mask at the other's offset, and 0 beyond the mask."""
    cells = list(product(range(grid[0]), range(grid[1])))
    energy = torch.zeros(len(cells), len(cells), dtype=mask.dtype)
    for (i, target), (j, source) in product(enumerate(cells), enumerate(cells)):
        owner, other = (target, source) if collect else (source, target)
        down, along = (b - a + (side - 1) // 2 for a, b, side in zip(owner, other, sides, strict=True))
        if 0 <= down < sides[0] and 0 <= along < sides[1]:
            energy[i, j] = mask[0, down * sides[1] + along, owner[0], owner[1]]
    return energy.softmax(1)


def point_wise(
    x: Tensor, apply: Callable[..., Tensor], names: Sequence[str], sides: Grid, size: Grid, corners: bool, border: int
) -> Answer:
    """PSA beside its input; `names` are those of the last convolutions, and the projection's."""
    maps, moved = {}, []
    for direction, last, ending in zip(("collect", "distribute"), names, ("", "_p"), strict=False):
        small = resized(apply(x, f"reduce{ending}"), size, corners)
        mask = apply(small, last)
        maps[direction] = mask_matrix(mask, sides, size, direction == "collect")
        moved.append(gathered(maps[direction], small))
    grown = resized(apply(torch.cat(moved, 1), "proj", border), x.shape[2:], corners)
    return torch.cat((x, grown), 1), maps


def psanet_of_semseg(state: State, picture: Tensor, sides: Grid = (5, 5), both: bool = True) -> Answer:
    read = Reader(state)
    x = read.stem(picture, [("layer0.0", "layer0.1"), ("layer0.3", "layer0.4"), ("layer0.6", "layer0.7")])
    x = read.stages(x, layers_of(""))[3]
    size = ((x.shape[2] - 1) // 2 + 1, (x.shape[3] - 1) // 2 + 1)

    def apply(x: Tensor, name: str, border: int = 0) -> Tensor:
        if name.startswith("attention"):
            return read.conv(read.numbered(x, f"psa.{name}"), f"psa.{name}.3")
        return read.numbered(x, f"psa.{name}", border=border)

    names = ("attention", "attention_p") if both else ("attention",)
    joined, maps = point_wise(x, apply, names, sides, size, True, 0)
    logits = read.conv(read.numbered(joined, "cls"), "cls.4")
    return resized(logits, picture.shape[2:], True), maps


def mmseg_features(read: Reader, picture: Tensor) -> Tensor:
    return mmseg_stages(read, picture)[3]


def mmseg_stages(read: Reader, picture: Tensor) -> list[Tensor]:
    stem = [(f"backbone.stem.{number}", f"backbone.stem.{number + 1}") for number in (0, 3, 6)]
    if "backbone.conv1.weight" in read.state:
        stem = [("backbone.conv1", "backbone.bn1")]
    return read.stages(read.stem(picture, stem), layers_of("backbone."), CONTRACTED)


def psanet_of_mmseg(state: State, picture: Tensor, sides: Grid = (5, 5)) -> Answer:
    read = Reader(state)
    x = mmseg_features(read, picture)
    height, width = x.shape[2:]
    corners = bool(height % 2 and width % 2)
    size = ((height - 1) // 2 + 1, (width - 1) // 2 + 1) if corners else (height // 2, width // 2)

    def apply(x: Tensor, name: str, border: int = 0) -> Tensor:
        if name.startswith("attention"):
            return read.conv(read.module(x, f"decode_head.{name}.0"), f"decode_head.{name}.1")
        return read.module(x, f"decode_head.{name}", border)

    joined, maps = point_wise(x, apply, ("attention", "attention_p"), sides, size, corners, 1)
    logits = read.conv(read.module(joined, "decode_head.bottleneck"), "decode_head.conv_seg")
    return resized(logits, picture.shape[2:], False), maps


def between(state: State, picture: Tensor, block: Callable[[Reader, Tensor], Answer]) -> Answer:
    """mmsegmentation's heads with a block between two convolutions."""
    read = Reader(state)
    deep = mmseg_features(read, picture)
    x, maps = block(read, read.module(deep, "decode_head.convs.0"))
    x = read.module(x, "decode_head.convs.1")
    if "decode_head.conv_cat.conv.weight" in state:
        x = read.module(torch.cat((deep, x), 1), "decode_head.conv_cat")
    return resized(read.conv(x, "decode_head.conv_seg"), picture.shape[2:], False), maps


def out_of_non_local(read: Reader, name: str, y: Tensor) -> Tensor:
    return read.norm(read.conv(y, f"{name}.conv_out.conv"), f"{name}.conv_out.bn")


def nonlocal_of_mmseg(state: State, picture: Tensor) -> Answer:
    def block(read: Reader, x: Tensor) -> Answer:
        name = "decode_head.nl_block"
        query, key, value = (read.conv(x, f"{name}.{one}.conv") for one in ("theta", "phi", "g"))
        matrix = dense(query, key, query.shape[1] ** -0.5)
        return x + out_of_non_local(read, name, gathered(matrix, value)), {"spatial": matrix}

    return between(state, picture, block)


def dnlnet_of_mmseg(state: State, picture: Tensor) -> Answer:
    def block(read: Reader, x: Tensor) -> Answer:
        name = "decode_head.dnl_block"
        query, key, value = (read.conv(x, f"{name}.{one}.conv") for one in ("theta", "phi", "g"))
        query, key = query - query.mean((2, 3), keepdim=True), key - key.mean((2, 3), keepdim=True)
        pairwise = dense(query, key, query.shape[1] ** -0.5 / 0.05)
        alone = read.conv(x, f"{name}.conv_mask").flatten().softmax(0)
        unary = alone.expand_as(pairwise)
        parts = [out_of_non_local(read, name, gathered(one, value)) for one in (pairwise, unary)]
        return x + parts[0] + parts[1], {"pairwise": pairwise, "unary": unary}

    return between(state, picture, block)


def crossed(read: Reader, x: Tensor, names: Sequence[str], gamma: Tensor) -> Answer:
    """Two passes; the map is the product of both."""
    grid, product_of_passes = x.shape[2:], None
    row, column = (one.flatten() for one in torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij"))
    cross = (row[:, None] == row) | (column[:, None] == column)
    for _ in range(2):
        query, key, value = (read.conv(x, name) for name in names)
        energy = torch.einsum("cp,cj->pj", query[0].flatten(1), key[0].flatten(1))
        matrix = energy.masked_fill(~cross, -torch.inf).softmax(1)
        x = gamma * gathered(matrix, value) + x
        product_of_passes = matrix if product_of_passes is None else matrix @ product_of_passes
    assert product_of_passes is not None
    return x, {"cross": product_of_passes}


def ccnet_of_mmseg(state: State, picture: Tensor) -> Answer:
    names = [f"decode_head.cca.{one}_conv" for one in ("query", "key", "value")]
    return between(state, picture, lambda read, x: crossed(read, x, names, state["decode_head.cca.gamma.scale"]))


def gcnet_of_mmseg(state: State, picture: Tensor) -> Answer:
    def block(read: Reader, x: Tensor) -> Answer:
        name = "decode_head.gc_block"
        weights = read.conv(x, f"{name}.conv_mask").flatten().softmax(0)
        pooled = (x[0].flatten(1) @ weights)[None, :, None, None]
        terms = {}
        for kind in ("add", "mul"):
            if f"{name}.channel_{kind}_conv.0.weight" in read.state:
                inner = read.conv(pooled, f"{name}.channel_{kind}_conv.0")
                inner = (inner - inner.mean()) / (inner.var(unbiased=False) + 1e-5).sqrt()
                weight, bias = (read.state[f"{name}.channel_{kind}_conv.1.{part}"] for part in ("weight", "bias"))
                terms[kind] = read.conv((inner * weight + bias).relu(), f"{name}.channel_{kind}_conv.3")
        if "mul" in terms:
            x = x * terms["mul"].sigmoid()
        return x + terms["add"], {"global": weights.expand(len(weights), -1)}

    return between(state, picture, block)


def two_branches(deep: Tensor, apply: Callable[[Tensor, str], Tensor], gammas: Sequence[Tensor]) -> Answer:
    """DANet's branches; `apply` knows the names of their layers."""
    x = apply(deep, "before spatial")
    query, key, value = (apply(x, one) for one in ("query", "key", "value"))
    matrix = dense(query, key)
    spatial = apply(gammas[0] * gathered(matrix, value) + x, "after spatial")
    x = apply(deep, "before channel")
    flat = x[0].flatten(1)
    channels = (-(flat @ flat.T)).softmax(1)
    mixed = (channels @ flat).unflatten(1, x.shape[2:])[None]
    return spatial + apply(gammas[1] * mixed + x, "after channel"), {"spatial": matrix, "channel": channels}


def danet_of_mmseg(state: State, picture: Tensor) -> Answer:
    read = Reader(state)

    def apply(x: Tensor, what: str) -> Tensor:
        place, _, kind = what.partition(" ")
        if not kind:
            return read.conv(x, f"decode_head.pam.{what}_project")
        branch = {"spatial": "pam", "channel": "cam"}[kind]
        return read.module(x, f"decode_head.{branch}_{'in' if place == 'before' else 'out'}_conv")

    gammas = [state[f"decode_head.{kind}.gamma.scale"] for kind in ("pam", "cam")]
    x, maps = two_branches(mmseg_features(read, picture), apply, gammas)
    return resized(read.conv(x, "decode_head.conv_seg"), picture.shape[2:], False), maps


def danet(state: State, picture: Tensor) -> Answer:
    read = Reader(state)
    stem = [("pretrained.conv1", "pretrained.bn1")]
    if "pretrained.conv1.0.weight" in state:
        stem = [(f"pretrained.conv1.{number}", f"pretrained.conv1.{number + 1}") for number in (0, 3)]
        stem.append(("pretrained.conv1.6", "pretrained.bn1"))
    deep = read.stages(read.stem(picture, stem), layers_of("pretrained."), ((1, 2), (4, 8, 16)))[3]
    names = {"before spatial": "5a", "after spatial": "51", "before channel": "5c", "after channel": "52"}

    def apply(x: Tensor, what: str) -> Tensor:
        return read.numbered(x, f"head.conv{names[what]}") if " " in what else read.conv(x, f"head.sa.{what}_conv")

    x, maps = two_branches(deep, apply, (state["head.sa.gamma"], state["head.sc.gamma"]))
    return resized(read.conv(x, "head.conv8.1"), picture.shape[2:], True), maps


def fitted_bases(x: Tensor, bases: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Three EM steps: features rebuilt, and what each cell draws from each cell by way of the bases."""
    cells = x[0].flatten(1)
    z = cells.new_zeros(0)
    for _ in range(3):
        z = (cells.T @ bases).softmax(1)
        bases = cells @ (z / (epsilon + z.sum(0)))
        bases = bases / (epsilon + bases.norm(dim=0))
    return (bases @ z.T).unflatten(1, x.shape[2:])[None].relu(), z @ (z / z.sum(0)).T


def emanet_of_mmseg(state: State, picture: Tensor) -> Answer:
    read = Reader(state)
    deep = mmseg_features(read, picture)
    x = read.module(deep, "decode_head.ema_in_conv")
    projected = read.conv(x, "decode_head.ema_mid_conv.conv")
    rebuilt, matrix = fitted_bases(projected, state["decode_head.ema_module.bases"][0], 1e-12)
    out = read.norm(read.conv(rebuilt, "decode_head.ema_out_conv.conv"), "decode_head.ema_out_conv.bn")
    x = read.module((x + out).relu(), "decode_head.bottleneck")
    x = read.module(torch.cat((deep, x), 1), "decode_head.conv_cat")
    return resized(read.conv(x, "decode_head.conv_seg"), picture.shape[2:], False), {"bases": matrix}


def ocrnet_of_mmseg(state: State, picture: Tensor) -> Answer:
    """Region by region; a region's features are a mean over the cells."""
    read, name = Reader(state), "decode_head.1.object_context_block"
    _, _, middle, deep = mmseg_stages(read, picture)
    logits = read.conv(read.module(middle, "decode_head.0.convs.0"), "decode_head.0.conv_seg")[0]
    x = read.module(deep, "decode_head.1.bottleneck")
    shares = [one.exp() / one.exp().sum() for one in logits]
    means = [(share * x[0]).sum((1, 2))[None, :, None, None] for share in shares]

    def projected(x: Tensor, kind: str) -> Tensor:
        return read.module(read.module(x, f"{name}.{kind}_project.0"), f"{name}.{kind}_project.1")

    query = projected(x, "query")
    energy = torch.stack([(query * projected(mean, "key")).sum(1)[0] for mean in means])
    weights = (energy / query.shape[1] ** 0.5).softmax(0)
    y, matrix = torch.zeros_like(query), x.new_zeros(logits[0].numel(), logits[0].numel())
    for weight, share, mean in zip(weights, shares, means, strict=True):
        y = y + weight * read.module(mean, f"{name}.value_project")
        matrix += weight.flatten()[:, None] * share.flatten()
    x = read.module(torch.cat((read.module(y, f"{name}.out_project"), x), 1), f"{name}.bottleneck")
    return resized(read.conv(x, "decode_head.1.conv_seg"), picture.shape[2:], False), {"regions": matrix}


def among(read: Reader, x: Tensor, name: str, together: Tensor) -> tuple[Tensor, Tensor]:
    """Attention among those cells that are together, (cells, cells)."""
    query, key = (
        read.module(read.module(x, f"{name}.{one}_project.0"), f"{name}.{one}_project.1") for one in ("query", "key")
    )
    energy = torch.einsum("cp,cj->pj", query[0].flatten(1), key[0].flatten(1)) * query.shape[1] ** -0.5
    matrix = energy.masked_fill(~together, -torch.inf).softmax(1)
    return read.module(gathered(matrix, read.conv(x, f"{name}.value_project")), f"{name}.output_project"), matrix


def isanet_of_mmseg(state: State, picture: Tensor, block: Grid = (8, 8)) -> Answer:
    """Two masked matrices over the padded grid, and their product."""
    read = Reader(state)
    x = read.module(mmseg_stages(read, picture)[3], "decode_head.in_conv")
    grid = x.shape[2:]
    more = [-lines % side for lines, side in zip(grid, block, strict=True)]
    top, left = more[0] // 2, more[1] // 2
    padded = F.pad(x, (left, more[1] - left, top, more[0] - top))
    row, column = (
        one.flatten() for one in torch.meshgrid(*(torch.arange(lines) for lines in padded.shape[2:]), indexing="ij")
    )
    at = {(y, x): number for number, (y, x) in enumerate(zip(row.tolist(), column.tolist(), strict=True))}
    inside = torch.tensor([at[top + y, left + x] for y, x in product(range(grid[0]), range(grid[1]))])
    rows, columns = row[:, None] - row, column[:, None] - column
    y, far = among(read, padded, "decode_head.global_relation", (rows % block[0] == 0) & (columns % block[1] == 0))
    down, along = row // block[0], column // block[1]
    same = (down[:, None] == down) & (along[:, None] == along)
    y, near = among(read, y, "decode_head.local_relation", same)
    y = y[:, :, top : top + grid[0], left : left + grid[1]]
    logits = read.conv(read.module(torch.cat((y, x), 1), "decode_head.out_conv"), "decode_head.conv_seg")
    return resized(logits, picture.shape[2:], False), {"interlaced": (near @ far)[inside][:, inside]}


def bins(grid: Sequence[int], levels: Sequence[int]) -> list[Tensor]:
    """The cells of each bin of a pyramid; bins overlap where they do not divide the grid."""
    found = []
    for side in levels:
        for i, j in product(range(side), range(side)):
            inside = torch.zeros(*grid, dtype=torch.float64)
            (top, bottom), (left, right) = (
                (at * lines // side, -(-(at + 1) * lines // side)) for at, lines in zip((i, j), grid, strict=True)
            )
            inside[top:bottom, left:right] = 1
            found.append(inside)
    return found


def from_pyramid(read: Reader, x: Tensor, y: Tensor, name: str, levels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Bin by bin: x beside what it gathers from y, and each cell's weight on each cell."""
    own = f"{name}.stages.0"
    query, key = read.module(x, f"{own}.query_project"), read.module(y, f"{own}.key_project")
    value, pools = read.conv(y, f"{own}.value_project"), bins(x.shape[2:], levels)
    means = [(key * one).sum((2, 3), keepdim=True) / one.sum() for one in pools]
    energy = torch.stack([(query * mean).sum(1)[0] for mean in means])
    weights = (energy / query.shape[1] ** 0.5).softmax(0)
    matrix = sum(
        (weight.flatten()[:, None] * (one / one.sum()).flatten() for weight, one in zip(weights, pools, strict=True)),
        x.new_zeros(()),
    )
    joined = torch.cat((read.conv(gathered(matrix, value), f"{own}.out_project"), x), 1)
    return read.norm(read.conv(joined, f"{name}.bottleneck.conv"), f"{name}.bottleneck.bn"), matrix


def ann_of_mmseg(state: State, picture: Tensor, levels: Sequence[int] = (1, 3, 6, 8)) -> Answer:
    read = Reader(state)
    _, _, middle, deep = mmseg_stages(read, picture)
    x, fusion = from_pyramid(read, deep, middle, "decode_head.fusion", levels)
    x = read.module(x, "decode_head.bottleneck")
    x, pyramid = from_pyramid(read, x, x, "decode_head.context", levels)
    logits = read.conv(x.relu(), "decode_head.conv_seg")
    return resized(logits, picture.shape[2:], False), {"fusion": fusion, "pyramid": pyramid}


def emanet(state: State, picture: Tensor) -> Answer:
    read = Reader(state)
    stem = [("extractor.0.0", "extractor.0.1"), ("extractor.0.3", "extractor.0.4"), ("extractor.0.6", "extractor.1")]
    layers = [f"extractor.{number}" for number in (4, 5, 6, 7)]
    x = read.module(read.stages(read.stem(picture, stem), layers, ((1, 2), (2, 8, 16)))[3], "fc0")
    rebuilt, matrix = fitted_bases(read.conv(x, "emau.conv1"), state["emau.mu"][0], 1e-6)
    x = (x + read.norm(read.conv(rebuilt, "emau.conv2.0"), "emau.conv2.1")).relu()
    return resized(read.conv(read.module(x, "fc1.0"), "fc2"), picture.shape[2:], True), {"bases": matrix}


def ccnet(state: State, picture: Tensor) -> Answer:
    read, slope = Reader(state, positive_norms=True), 0.01
    newer = "head.cca.gamma" in state
    before, attention, after = ("conva", "cca", "convb") if newer else ("conv1a", "pc", "conv1b")
    x = read.stem(picture, [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")], round_up=True)
    deep = read.stages(x, layers_of(""))[3]
    names = [f"head.{attention}.{one}_conv" for one in ("query", "key", "value")]
    x, maps = crossed(read, read.numbered(deep, f"head.{before}", slope), names, state[f"head.{attention}.gamma"])
    x = read.numbered(torch.cat((deep, read.numbered(x, f"head.{after}", slope)), 1), "head.bottleneck", slope)
    return resized(read.conv(x, "head.bottleneck.3"), picture.shape[2:], True), maps


def attanet(state: State, picture: Tensor) -> Answer:
    read = Reader(state)
    x = read.stem(picture, [("head.resnet.conv1", "head.resnet.bn1")])
    _, eighth, middle, deep = read.stages(x, layers_of("head.resnet."), ((1,), (1,)), (1, 2, 2, 2))
    fine = read.module(middle, "head.conv_head16")
    joined = read.module(torch.cat((fine, F.interpolate(deep, fine.shape[2:])), 1), "head.afm.conv")
    alpha = read.norm(
        read.conv(joined.mean((2, 3), keepdim=True), "head.afm.conv_atten"), "head.afm.bn_atten"
    ).sigmoid()
    coarse = F.interpolate(read.module(deep, "head.conv_head32") * alpha, fine.shape[2:])
    x = read.module(coarse + fine * (1 - alpha), "head.conv_head1")
    return after_strips(read, x, eighth, picture.shape[2:], alpha)


def after_strips(read: Reader, x: Tensor, eighth: Tensor, size: Sequence[int], alpha: Tensor) -> Answer:
    """SAM, and what follows it in both AttaNets."""
    key, query, value = (read.module(x, f"head.sam.conv{number}") for number in (1, 2, 3))
    strips = torch.einsum("cp,cj->pj", query[0].flatten(1), key[0].mean(1)).softmax(1)
    matrix = (strips / x.new_tensor(x.shape[2])).repeat(1, x.shape[2])
    x = x + torch.einsum("pj,cj->cp", strips, value[0].mean(1)).unflatten(1, x.shape[2:])[None]
    x = read.module(F.interpolate(x, eighth.shape[2:]), "head.conv_head2")
    logits = read.conv(read.module(x, "conv_out.conv"), "conv_out.conv_out")
    return resized(logits, size, True), {"strip": matrix, "gate": alpha.flatten()}


def light_attanet(state: State, picture: Tensor) -> Answer:
    read, x, levels = Reader(state), picture, {}
    for name in ("S1_1", "S1_2", "S2_1", "S2_2", "S2_3", "S3_1", "S3_2", "S3_3"):
        layer = f"head.backbone.branch.{name}"
        stride = 2 if name in ("S1_1", "S1_2", "S2_1", "S3_1") else 1
        x = levels[name] = read.norm(read.conv(x, f"{layer}.conv", stride), f"{layer}.bn").relu()
    fine, coarse = read.module(levels["S2_3"], "head.conv_head8"), read.module(x, "head.conv_head16")
    joined = read.module(torch.cat((fine, F.interpolate(coarse, fine.shape[2:])), 1), "head.afm.conv")
    pooled = read.conv(joined.mean((2, 3), keepdim=True), "head.afm.conv_atten")
    alpha = read.norm(pooled, "head.afm.bn_atten").sigmoid()
    far = F.interpolate(read.module(coarse, "head.conv_head161") * alpha, fine.shape[2:])
    x = read.module(far + read.module(fine, "head.conv_head81") * (1 - alpha), "head.conv_head1")
    return after_strips(read, x, fine, picture.shape[2:], alpha)


def flanet(state: State, picture: Tensor) -> Answer:
    read = Reader(state)
    stem = [("backbone.conv1.0", "backbone.conv1.1"), ("backbone.conv1.3", "backbone.conv1.4")]
    deep = read.stages(read.stem(picture, [*stem, ("backbone.conv1.6", "backbone.bn1")]), layers_of("backbone."))[3]
    x = read.norm(read.conv(read.numbered(deep, "conv"), "conv.3"), "conv.4").relu()
    rows, columns = (
        F.linear(x[0].mean(axis).T, *weights(state, name)).T for axis, name in ((2, "conv1"), (1, "conv2"))
    )
    context, by_row = torch.zeros_like(x[0]), []
    for column in range(x.shape[3]):
        context[:, :, column] += (x[0, :, :, column] @ rows.T).softmax(1) @ x[0, :, :, column]
    for row in range(x.shape[2]):
        by_row.append((x[0, :, row] @ columns.T).softmax(1))
        context[:, row] += by_row[-1] @ x[0, :, row]
    x = read.numbered(state["fully.gamma"] * context[None] + x, "fully.conv")
    x = F.interpolate(torch.cat((deep, x), 1), scale_factor=2)
    x = read.norm(read.conv(x, "conv_out1.conv.1"), "conv_out1.conv.2").relu()
    return resized(read.conv(x, "conv_out1.conv.5"), picture.shape[2:], True), {"rows": torch.stack(by_row)}


def weights(state: State, name: str) -> tuple[Tensor, Tensor]:
    return state[f"fully.{name}.weight"], state[f"fully.{name}.bias"]
