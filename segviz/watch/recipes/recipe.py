"""What a recipe is: a class of modules by its full name, and how to read its call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule, is_one_of
from segviz.watch.layout import TokenLayout
from segviz.watch.record import Declaration
from segviz.watch.sampled_call import SampledCall

RESULT = "<result>"  # among the local variables that a recipe reads: what the function has just returned


@dataclass(frozen=True)
class LayoutRecipe:
    """Where the tokens of a call lie that ran inside a module of some class.

    Attributes:
        module_types: full names of classes, such as "timm.models.swin_transformer.SwinTransformerBlock"; "*.Name" is
            any class of that name.
        read: gives the layout, or None where the call has no windows; raises `NotShownError` with a reason.
    """

    module_types: tuple[str, ...]
    read: Callable[[AttentionCall, RunningModule], TokenLayout | None]


@dataclass(frozen=True)
class DeclarationRecipe:
    """The attention of a module without a softmax of a product: a declaration, or sampled points, which are checked.

    Attributes:
        module_types: full names of classes.
        functions: names of torch's functions after which to look.
        read: gives the attention from the module, the local variables of its running function (and `RESULT`), and all
            running functions of the network; None where it is not complete yet.
    """

    module_types: tuple[str, ...]
    functions: tuple[str, ...]
    read: Callable[[nn.Module, Mapping[str, Any], Sequence[RunningModule]], Declaration | SampledCall | None]


Recipe = LayoutRecipe | DeclarationRecipe


def read_layout(recipes: tuple[Recipe, ...], call: AttentionCall) -> TokenLayout | None:
    """The layout of a call by the first recipe that knows one of the running modules; None where none does.

    Raises:
        NotShownError: the recipe says that the call has no places.
    """
    for running in call.running:
        for recipe in recipes:
            if isinstance(recipe, LayoutRecipe) and is_one_of(running.module, recipe.module_types):
                layout = recipe.read(call, running)
                if layout is not None:
                    return layout
    return None
