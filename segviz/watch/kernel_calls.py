"""Reads calls of attention kernels that return no weights: those of xformers, flash_attn, and `flex_attention`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from segviz.watch.build_map import MOST_BIASES
from segviz.watch.grids import DECLARE_IT, NotShownError
from segviz.watch.multi_head_call import additive

XFORMERS = {
    "memory_efficient_attention",
    "memory_efficient_attention_forward",
    "memory_efficient_attention_forward_requires_grad",
}
CACHED = "flash_attn_with_kvcache"
FLASH = {
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_unpadded_func",  # the names of the varlen functions before version 2
    "flash_attn_unpadded_kvpacked_func",
    "flash_attn_unpadded_qkvpacked_func",
    CACHED,
}
FLEX = "flex_attention"
FLEX_MODULE = "torch.nn.attention.flex_attention"
KERNEL_NAMES = XFORMERS | FLASH | {FLEX}

DROPPED = "it drops weights at random ({name}={chance}) in eval mode too; give it 0 where self.training is false"
IN_CACHE = f"its keys are read from a cache; {DECLARE_IT}"
UNREAD_OPTION = f"its option {{name}} is not read; call the kernel without it, or {DECLARE_IT}"
UNREAD_OPTIONS = (  # each None or false where it is not used
    "num_heads_q", "block_table", "page_table", "seqused_q", "seqused_k", "leftpad_k", "qv", "q_descale", "k_descale",
    "v_descale", "learnable_sink", "attention_chunk",
)  # fmt: skip
MODIFIED = f"its score_mod or mask_mod could not be evaluated for all pairs of tokens ({{error}}); {DECLARE_IT}"


@dataclass(frozen=True)
class KernelCall:
    """What a kernel was given, as `softmax(scale queries keys^T + bias) values`.

    Attributes:
        queries: (*leading, tokens, dim).
        keys: (*leading, key tokens, dim).
        values: (*leading, key tokens, value dim).
        scale: factor of the products.
        bias: what is added to them; it broadcasts to (*leading, tokens, key tokens).
        arrange: brings the kernel's output into the form of the queries.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    bias: Tensor | None
    arrange: Callable[[Tensor], Tensor]


def kernel_module(name: str) -> str | None:
    """What has the kernels of a module with this name: xformers, a package of flash_attn, torch's module; or None.

    Packages of flash_attn have several names: `flash_attn`, `flash_attn_interface`, and those of copies on a hub.
    """
    package = name.partition(".")[0]
    if package == "xformers" or "flash_attn" in package:
        return package
    return name if name == FLEX_MODULE else None


def is_kernel(frame: FrameType) -> bool:
    """Whether a running function with a name of `KERNEL_NAMES` is written where its kernel is."""
    name, found = frame.f_code.co_name, kernel_module(str(frame.f_globals.get("__name__", "")))
    if name == FLEX:
        return found == FLEX_MODULE
    return found is not None and found != FLEX_MODULE and (found == "xformers") == (name in XFORMERS)


def read_kernel(name: str, given: Mapping[str, Any]) -> KernelCall:
    """A kernel's call, by its name and its arguments.

    Raises:
        NotShownError: its weights cannot be computed from these.
    """
    if name in XFORMERS:
        return read_xformers(given)
    return read_flex(given) if name == FLEX else read_flash(name, given)


# ---- xformers ---------------------------------------------------------------------------------------------------


def read_xformers(given: Mapping[str, Any]) -> KernelCall:
    """`xformers.ops.memory_efficient_attention` of (batch, tokens, heads, dim).

    Without heads there is one, and groups of heads may stand before the heads.

    Raises:
        NotShownError: see `read_kernel`.
    """
    check_dropout("p", given.get("p"))
    queries, keys, values = (given[name] for name in ("query", "key", "value"))
    scale, leading = read_scale(given.get("scale"), queries), queries.shape[:1] + queries.shape[2:-1]
    bias: Any = given.get("attn_bias")
    sequences = 1
    if hasattr(bias, "block_tables"):
        raise NotShownError(IN_CACHE)
    if hasattr(bias, "materialize"):  # one of xformers' own, some of which are tensors as well
        own, others = (getattr(bias, side, None) for side in ("q_seqinfo", "k_seqinfo"))
        if own is not None and others is not None:
            sequences = count_sequences(own.seqstart_py, others.seqstart_py)
        shape = (*[1] * len(leading), queries.shape[1], keys.shape[1])
        check_bias_size(shape)
        bias = bias.materialize(shape, dtype=torch.float32, device=queries.device)
        bias = bias if sequences == 1 else diagonal_blocks(bias, sequences)[:, 0]
    if bias is not None and bias.dim() == 5:
        bias = (bias if bias.shape[1:3].numel() == 1 else bias.expand(-1, *leading[1:], -1, -1)).flatten(1, 2)

    def arrange(tensor: Tensor) -> Tensor:
        tensor = tensor if sequences == 1 else tensor[0].unflatten(0, (sequences, -1))
        return tensor if tensor.dim() == 3 else tensor.flatten(2, -2).transpose(1, 2)

    return KernelCall(arrange(queries), arrange(keys), arrange(values), scale, bias, arrange)


def diagonal_blocks(bias: Tensor, count: int) -> Tensor:
    """The blocks (count, *leading, rows, columns) on the diagonal of (*leading, count rows, count columns)."""
    pairs: Tensor = bias.unflatten(-1, (count, -1)).unflatten(-3, (count, -1))
    return pairs.diagonal(dim1=-4, dim2=-2).movedim(-1, 0)


# ---- flash_attn -------------------------------------------------------------------------------------------------


def read_flash(name: str, given: Mapping[str, Any]) -> KernelCall:
    """A function of flash_attn: (batch, tokens, heads, dim), or (tokens, heads, dim) of sequences one after the other.

    Raises:
        NotShownError: see `read_kernel`.
    """
    check_dropout("dropout_p", given.get("dropout_p"))
    if name == CACHED:
        raise NotShownError(IN_CACHE)
    for option in UNREAD_OPTIONS:
        if isinstance(given.get(option), Tensor) or given.get(option):
            raise NotShownError(UNREAD_OPTION.format(name=option))
    if "qkv" in given:
        queries, keys, values = given["qkv"].unbind(-3)
    elif "kv" in given:
        queries, (keys, values) = given["q"], given["kv"].unbind(-3)
    else:
        queries, keys, values = given["q"], given["k"], given["v"]
    sequences = None
    own = given.get("cu_seqlens_q", given.get("cu_seqlens"))
    if own is not None:
        sequences = count_sequences(own.tolist(), given.get("cu_seqlens_k", own).tolist())

    def arrange(tensor: Tensor) -> Tensor:
        tensor = tensor if sequences is None else tensor.unflatten(0, (sequences, -1))
        return tensor.transpose(1, 2)

    queries, keys, values = arrange(queries), arrange(keys), arrange(values)
    keys, values = (share_heads(one, queries.shape[1]) for one in (keys, values))
    scale = read_scale(given.get("softmax_scale"), queries)
    return KernelCall(queries, keys, values, scale, flash_bias(given, queries, keys, scale), arrange)


def flash_bias(given: Mapping[str, Any], queries: Tensor, keys: Tensor, scale: float) -> Tensor | None:
    """What flash_attn's options add to the products: causal and window, slopes of ALiBi, softcap.

    The last query is level with the last key. A window's sides are how many keys before and after the level one are
    allowed, all of them where -1 or None; causal allows none after it.

    Raises:
        NotShownError: it would have too many numbers.
    """
    tokens, key_tokens = queries.shape[-2], keys.shape[-2]
    before, after = (None if one is None or one < 0 else int(one) for one in given.get("window_size") or (None, None))
    if given.get("causal"):
        after = 0
    slopes, cap = given.get("alibi_slopes"), given.get("softcap") or 0.0
    windowed = before is not None or after is not None
    if cap > 0 or slopes is not None:
        check_bias_size((*queries.shape[:-1], key_tokens))
    elif windowed:
        check_bias_size((tokens, key_tokens))
    else:
        return None
    level = torch.arange(tokens, device=queries.device)[:, None] + key_tokens - tokens
    ahead = torch.arange(key_tokens, device=queries.device) - level  # how far each key is after the level one
    bias: Tensor | None = None
    if slopes is not None:
        bias = -slopes.float()[..., None, None] * ahead.abs()
    if cap > 0:
        logits = queries.float() @ keys.float().mT * scale
        bias = cap * (logits / cap).tanh() - logits + (0 if bias is None else bias)
    if not windowed:
        return bias
    allowed = torch.ones_like(ahead, dtype=torch.bool)
    if before is not None:
        allowed &= ahead >= -before
    if after is not None:
        allowed &= ahead <= after
    return forbid(bias, allowed)


# ---- flex_attention ---------------------------------------------------------------------------------------------


def read_flex(given: Mapping[str, Any]) -> KernelCall:
    """`flex_attention` of (batch, heads, tokens, dim), also where it is compiled.

    Raises:
        NotShownError: see `read_kernel`.
    """
    queries: Tensor = given["query"]
    keys, values = (share_heads(given[name], queries.shape[1]) for name in ("key", "value"))
    scale = read_scale(given.get("scale"), queries)
    try:
        bias = flex_bias(given.get("score_mod"), given.get("block_mask"), queries, keys, scale)
    except NotShownError:
        raise
    except Exception as error:  # whatever the network's own functions raise
        raise NotShownError(MODIFIED.format(error=type(error).__name__)) from error
    return KernelCall(queries, keys, values, scale, bias, lambda output: output)


def flex_bias(score_mod: Any, block_mask: Any, queries: Tensor, keys: Tensor, scale: float) -> Tensor | None:
    """What the functions of `flex_attention` add to the products. They are elementwise, so that indices broadcast.

    Raises:
        NotShownError: it would have too many numbers.
    """
    sizes = (*queries.shape[:2], queries.shape[-2], keys.shape[-2])
    bias: Tensor | None = None
    if score_mod is not None:
        check_bias_size(sizes)
        logits = queries.float() @ keys.float().mT * scale
        bias = score_mod(logits, *index_grids(sizes, queries.device)) - logits
        bias = bias.masked_fill(bias.isnan(), -torch.inf)  # two infinite logits
    if block_mask is not None:
        shared = (*block_mask.shape[:2], *sizes[2:])  # 1 where it is the same for all pictures or heads
        check_bias_size(shared)
        bias = forbid(bias, block_mask.mask_mod(*index_grids(shared, queries.device)).expand(shared))
    return bias


def index_grids(sizes: Sequence[int], device: torch.device) -> list[Tensor]:
    """The index along each axis, of a shape that broadcasts to all sizes."""
    count = len(sizes)
    return [
        torch.arange(size, device=device).reshape([-1 if other == axis else 1 for other in range(count)])
        for axis, size in enumerate(sizes)
    ]


# ---- all of them ------------------------------------------------------------------------------------------------


def check_dropout(name: str, chance: object) -> None:
    """Refuse weights that are dropped at random.

    Raises:
        NotShownError: they are.
    """
    if chance:
        raise NotShownError(DROPPED.format(name=name, chance=chance))


def check_bias_size(sizes: Sequence[int]) -> None:
    """Refuse a bias that would have too many numbers, before it takes memory.

    Raises:
        NotShownError: it would.
    """
    count = math.prod(sizes)
    if count > MOST_BIASES:
        raise NotShownError(f"its bias has {count} numbers and no simple form; show a smaller picture")


def count_sequences(starts: Sequence[int], key_starts: Sequence[int]) -> int:
    """How many sequences of tokens, all of one length, lie one after the other.

    Args:
        starts: where each sequence of queries begins, and the last one ends.
        key_starts: the same of the keys.

    Raises:
        NotShownError: they have several lengths.
    """
    for one in (starts, key_starts):
        lengths = {end - start for start, end in pairwise(one)}
        if len(lengths) != 1:
            raise NotShownError(
                f"its {one[-1]} tokens are {len(one) - 1} sequences of {min(lengths)} to {max(lengths)} tokens, "
                "windows or pictures, and nothing tells where they lie; put its tokens in the picture's order, and "
                "declare them with segviz.record, with a bias of -inf between sequences"
            )
    return len(starts) - 1


def forbid(bias: Tensor | None, allowed: Tensor) -> Tensor | None:
    """A bias with -inf where a mask is false."""
    mask = additive(allowed)
    return mask if bias is None or mask is None else bias + mask


def share_heads(tensor: Tensor, heads: int) -> Tensor:
    """Keys or values (batch, fewer heads, tokens, dim) for so many heads; each serves as many, side by side."""
    return tensor if tensor.shape[1] == heads else tensor.repeat_interleave(heads // tensor.shape[1], 1)


def read_scale(scale: float | None, queries: Tensor) -> float:
    """The factor of the products, by default that of Transformers."""
    return 1 / math.sqrt(queries.shape[-1]) if scale is None else float(scale)
