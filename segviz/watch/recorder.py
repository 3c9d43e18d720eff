"""The recorder: sees every attention call of one forward pass in its own thread, and leaves nothing behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segviz.runtime.out_of_memory import is_out_of_memory
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule, class_names, local_values, running_modules, running_path
from segviz.watch.grids import DECLARE_IT, NotShownError
from segviz.watch.kernel_calls import DROPPED, FLEX, KernelCall, check_bias_size, read_kernel
from segviz.watch.multi_head_call import (
    additive,
    bind_multi_head,
    multi_head_bias,
    multi_head_difference,
    project_heads,
)
from segviz.watch.pending_call import PendingCall, axes_of, version_of
from segviz.watch.products import (
    CHANGES,
    DIVISORS,
    FACTORS,
    LAST_TWO,
    PRODUCTS,
    RESHAPES,
    SWAPS,
    Product,
    Tracks,
    UnreadProduct,
    follow,
    form_product,
    function_name,
    order_arguments,
)
from segviz.watch.recipes.recipe import RESULT, DeclarationRecipe, Recipe
from segviz.watch.record import Declaration
from segviz.watch.sampled_call import SampledCall

FOLLOWED = FACTORS | DIVISORS | CHANGES | RESHAPES | SWAPS
SOFTMAX = {"softmax", "softmax_", "special_softmax"}
SEEN = PRODUCTS | SOFTMAX | FOLLOWED | {"scaled_dot_product_attention", "multi_head_attention_forward"}
UNUSED = "nothing is multiplied by what its softmax gives, as far as it could be followed"
UNREAD = (
    "the einsum {equation}, which is read only where two tensors share one summed axis and each has one axis alone; "
    f"write it with matmul, or {DECLARE_IT}"
)
ALL_PAIRS = "its softmax is over all pairs of places at once, so that no place has weights of its own that sum to 1"
SAMPLED = (
    "it samples a few points for each query (deformable attention), and no recipe reads where; "
    "segviz/watch/recipes/deformable.py names the modules that are read"
)
OWN_KEYS = "it adds keys of its own to those of the picture"
SCALED = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


class Collector(Protocol):
    """Takes what a recorder sees."""

    def take_call(self, call: AttentionCall, difference: float) -> None:
        """An attention call, and how far its factors are from what it returned."""

    def take_samples(self, path: str, call: SampledCall) -> None:
        """A call of deformable attention."""

    def pass_over(self, path: str, what: str, reason: str) -> None:
        """Something that looks like attention and cannot be shown."""

    def take_declaration(self, path: str, module: nn.Module, declaration: Declaration) -> None:
        """What a block declared."""


@dataclass(frozen=True)
class OpenKernel:
    """A kernel that is running: its name, how it was called, or why that could not be read, and what runs around it."""

    name: str
    call: KernelCall | None
    reason: str
    running: tuple[RunningModule, ...]
    taken: int


class Recorder(TorchFunctionMode):
    """Sees the attention calls of a network while it is active. Calls run unchanged: their results are bit-identical.

    Args:
        model: the network, for the names of its modules.
        collector: takes the calls.
        recipes: how to read modules whose attention is no softmax of a product.
    """

    def __init__(self, model: nn.Module, collector: Collector, recipes: Iterable[Recipe] = ()) -> None:
        super().__init__()
        modules = list(model.named_modules())
        self.names = {id(module): path for path, module in modules}
        self.collector = collector
        self.tracks = Tracks()
        self.count = 0
        self.taken = 0  # calls so far
        self.kernel: OpenKernel | None = None  # the one that is running
        self.failure: Exception | None = None  # the memory ran out while a kernel was read
        self.quiet = False  # whether torch's functions are called by a kernel or by us
        self.unused: dict[int, str] = {}  # paths of softmaxes of products that have multiplied nothing yet
        kinds = frozenset[str]().union(*map(class_names, {type(module) for _, module in modules}))
        self.readers = [
            recipe
            for recipe in recipes
            if isinstance(recipe, DeclarationRecipe) and not kinds.isdisjoint(recipe.module_types)
        ]

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        """Run a function as it is, then look at it; the mode is off meanwhile."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if torch.compiler.is_dynamo_compiling():  # it traces what runs later, and is seen then
            return result
        if self.quiet:
            return result
        name = function_name(func)
        if name not in SEEN and not self.readers:
            return result
        try:
            self._look(name, args, kwargs, result)
        except NotShownError as error:
            self.collector.pass_over(self._path(), name, str(error))
        except Exception as error:  # the network runs on, whatever we fail to read
            if is_out_of_memory(error):
                raise
            self.collector.pass_over(self._path(), name, f"it could not be read: {error!r}")
        return result

    def _look(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Look at a call that has run."""
        if name in PRODUCTS:
            self._see_product(name, order_arguments(args, kwargs), kwargs, result)
        elif name in SOFTMAX:
            self._see_softmax(order_arguments(args, kwargs), result)
        elif name in FOLLOWED:
            if self.tracks:
                self._see_change(name, order_arguments(args, kwargs), result)
        elif name == "scaled_dot_product_attention":
            self._see_scaled(args, kwargs, result)
        elif name == "multi_head_attention_forward":
            self._see_multi_head(args, kwargs, result)
        for recipe in self.readers:
            if name in recipe.functions:
                self._read_recipe(recipe, result)

    def _read_recipe(self, recipe: DeclarationRecipe, result: object) -> None:
        """Let a recipe read its module, if that is running."""
        found = local_values(recipe.module_types)
        if found is not None:
            module, values = found
            read = recipe.read(module, {**values, RESULT: result}, running_modules(self.names))
            if isinstance(read, SampledCall):
                self.collector.take_samples(self.names.get(id(module), ""), read)
            elif read is not None:
                self.declare(module, read)

    def begin_kernel(self, frame: FrameType) -> None:
        """A kernel is called. What it calls in turn is of no interest, unless the kernel itself cannot be read."""
        if torch.compiler.is_dynamo_compiling():
            return
        name, call, reason = frame.f_code.co_name, None, ""
        running: tuple[RunningModule, ...] = ()
        self.quiet = True
        try:
            running = running_modules(self.names, frame.f_back)
            call = read_kernel(name, frame.f_locals)
        except NotShownError as error:
            reason = str(error)
        except Exception as error:  # the network runs on, whatever we fail to read
            reason = f"it could not be read: {error!r}"
            self._keep_lack_of_memory(error)
        self.kernel = OpenKernel(name, call, reason, running, self.taken)
        self.quiet = call is not None or name == FLEX

    def end_kernel(self, result: object) -> None:
        """The kernel has returned its output, perhaps with more; or None, where it raised."""
        kernel, self.kernel, self.quiet = self.kernel, None, True
        output = result[0] if isinstance(result, tuple | list) and result else result
        try:
            if kernel is not None and isinstance(output, Tensor):
                self._take_kernel(kernel, output)
        except Exception as error:
            self._keep_lack_of_memory(error)
        finally:
            self.quiet = False

    def _keep_lack_of_memory(self, error: Exception) -> None:
        """Keep an error for `finish` if memory ran out: a kernel's listener must not raise."""
        if self.failure is None and is_out_of_memory(error):
            self.failure = error

    def miss_kernels(self, reason: str) -> None:
        """Calls of kernels cannot be seen."""
        self.collector.pass_over("", "attention kernels", reason)

    def _take_kernel(self, kernel: OpenKernel, output: Tensor) -> None:
        """Take a kernel's call; or pass it over, unless what it called has been taken instead."""
        one, path = kernel.call, kernel.running[0].path if kernel.running else ""
        if one is None:
            if self.taken == kernel.taken:
                self.collector.pass_over(path, kernel.name, kernel.reason)
            return
        factors = one.queries, one.keys, one.scale, one.bias
        call = AttentionCall(path, kernel.name, *factors, kernel.running)
        try:
            self._take(call, call.difference_to_output(one.values, one.arrange(output)))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.collector.pass_over(path, kernel.name, f"it could not be read: {error!r}")

    def _take(self, call: AttentionCall, difference: float) -> None:
        self.taken += 1
        self.collector.take_call(call, difference)

    def finish(self) -> None:
        """Name the softmaxes of products that were no attention.

        Raises:
            Exception: the memory ran out while a kernel was read.
        """
        if self.failure is not None:
            raise self.failure
        for path in self.unused.values():
            self.collector.pass_over(path, "softmax of a product", UNUSED)

    def declare(self, module: nn.Module, declaration: Declaration) -> None:
        """Take what a block declared, if the block belongs to the network."""
        path = self.names.get(id(module))
        if path is not None:
            self.collector.take_declaration(path, module, declaration)

    def _path(self) -> str:
        return running_path(self.names) or ""

    def _see_product(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: object) -> None:
        """A product of a softmax is the end of an attention call; any other may be the beginning of one."""
        for value in (*args, *(args[1] if name == "einsum" and isinstance(args[1], list | tuple) else ())):
            pending = self.tracks.get(value)
            if isinstance(pending, PendingCall):
                self.unused.pop(pending.number, None)
                path = common_path(pending.call.path, self._path())
                reason = pending.why_not_shown(name, args, value)
                if reason:
                    self.collector.pass_over(path, "softmax of a product", reason)
                else:
                    self._take(pending.call.rename(path), pending.difference)
                return
        self.tracks.put(result, form_product(name, args, kwargs, self._path()))

    def _see_change(self, name: str, args: Sequence[Any], result: object) -> None:
        """Whatever is done to a product, or to the weights that a softmax made of one."""
        if name == "__setitem__":
            result = args[0]  # it changes in place, and the function returns nothing
        for value in args[:1] if name in RESHAPES | SWAPS else args:  # the others only lend a type or a shape
            known = self.tracks.get(value)
            if isinstance(known, Product):
                self.tracks.put(result, follow(name, known, args, value, result))
                return
            if isinstance(known, UnreadProduct):
                self.tracks.put(result, known)
                return
            if isinstance(known, PendingCall) and isinstance(result, Tensor):
                self.tracks.put(result, known.follow(name, args, value, result))
                return

    def _see_softmax(self, args: Sequence[Any], result: object) -> None:
        """The softmax of a product makes its two factors queries and keys; what was added to it is the bias."""
        logits, dim = args[0], args[1] if len(args) > 1 else None
        product = self.tracks.get(logits)
        if not isinstance(logits, Tensor) or not isinstance(result, Tensor):
            return
        if not isinstance(dim, int):  # F.softmax without an axis: this is the one that torch takes, with a warning
            dim = 0 if logits.dim() in (0, 1, 3) else 1
        axis = dim % logits.dim()
        if isinstance(product, Product) and product.flat:
            self.collector.pass_over(common_path(product.path, self._path()), "softmax of a product", ALL_PAIRS)
            return
        axes = [one + logits.dim() for one in product.axes] if isinstance(product, Product) else []
        if not isinstance(product, Product) or axis not in axes:
            if axis < logits.dim() - 1 or logits.dim() > 2:
                self._pass_over_softmax(product, axis, tuple(logits.shape))
            return
        queries, keys = (one.clone() for one in product.factors(tuple(logits.shape)))
        if axis == axes[0]:
            queries, keys, axes = keys, queries, axes[::-1]
        logits, weights = (one.movedim(axes, LAST_TWO) for one in (logits, result))
        bias = None
        if product.changed:
            bias = logits.float() - queries.float() @ keys.float().mT * product.scale
        path = common_path(product.path, self._path())
        running = running_modules(self.names)
        call = AttentionCall(path, "softmax of a product", queries, keys, product.scale, bias, running)
        self.count += 1
        self.unused[self.count] = path
        difference, shape = call.difference_to_weights(weights), tuple(result.shape)
        pending = PendingCall(call, difference, self.count, axes_of(result, axis), shape, version_of(result))
        self.tracks.put(result, pending)

    def _pass_over_softmax(self, product: object, axis: int, shape: tuple[int, ...]) -> None:
        """Say what a softmax is that belongs to no product, or not to its last two axes."""
        running = running_modules(self.names)
        if running and hasattr(running[0].module, "sampling_offsets"):  # the name that all of its writers use
            self.collector.pass_over(running[0].path, "softmax", SAMPLED)
            return
        why = "which is not a product of two tensors"
        if isinstance(product, UnreadProduct):
            why = UNREAD.format(equation=product.equation)
        elif isinstance(product, Product):
            first, second = sorted(one + len(shape) for one in product.axes)
            why = f"a product of which only axes {first} and {second} can be queries and keys; {DECLARE_IT}"
        self.collector.pass_over(self._path(), "softmax", f"its softmax is over axis {axis} of {shape}, {why}")

    def _see_scaled(self, args: Sequence[Any], kwargs: Mapping[str, Any], output: Tensor) -> None:
        """`F.scaled_dot_product_attention`."""
        given = {**dict(zip(SCALED, args, strict=False)), **kwargs}
        queries, keys, values = given["query"], given["key"], given["value"]
        if given.get("enable_gqa") and keys.shape[-3] != queries.shape[-3]:
            keys, values = (one.repeat_interleave(queries.shape[-3] // one.shape[-3], -3) for one in (keys, values))
        if queries.shape[:-2] != keys.shape[:-2]:
            leading = torch.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
            queries, keys, values = (one.expand(*leading, *one.shape[-2:]) for one in (queries, keys, values))
        bias = additive(given.get("attn_mask"))
        if given.get("is_causal"):
            check_bias_size((queries.shape[-2], keys.shape[-2]))
            allowed = torch.ones(queries.shape[-2], keys.shape[-2], dtype=torch.bool, device=queries.device).tril()
            bias = additive(allowed)
        scale = given.get("scale")
        scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else float(scale)
        running = running_modules(self.names)
        path = running[0].path if running else ""
        call = AttentionCall(path, "scaled_dot_product_attention", queries, keys, scale, bias, running)
        if given.get("dropout_p"):
            reason = DROPPED.format(name="dropout_p", chance=given["dropout_p"])
            self.collector.pass_over(call.path, call.spelling, reason)
            return
        self._take(call, call.difference_to_output(values, output))

    def _see_multi_head(self, args: Sequence[Any], kwargs: Mapping[str, Any], result: tuple[Tensor, object]) -> None:
        """`nn.MultiheadAttention`: its projections once more, since they happen inside one call."""
        call = bind_multi_head(args, kwargs)
        if (
            any(call[name] is not None for name in ("bias_k", "bias_v", "static_k", "static_v"))
            or call["add_zero_attn"]
        ):
            self.collector.pass_over(self._path(), "MultiheadAttention", OWN_KEYS)
            return
        queries, keys, values = project_heads(call)
        scale, bias = 1 / math.sqrt(queries.shape[-1]), multi_head_bias(call, tuple(queries.shape[:2]))
        one = AttentionCall(self._path(), "MultiheadAttention", queries, keys, scale, bias, running_modules(self.names))
        self._take(one, multi_head_difference(one, values, call, result[0]))


def common_path(first: str, second: str) -> str:
    """The innermost module that holds both: an attention module may call its softmax as a module of its own."""
    shared = []
    for one, other in zip(first.split("."), second.split("."), strict=False):
        if one != other:
            break
        shared.append(one)
    return ".".join(shared)
