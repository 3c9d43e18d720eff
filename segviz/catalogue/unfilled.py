"""Networks built without values, to compare their tensors' shapes with a file's."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """Skips initialisation and normalisation: on the meta device there is nothing to fill or to normalise.

    Either would import torch's compiler there, 150 MiB that nothing uses.
    """

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Return the tensor itself where the function would only change its values; call any other function."""
        keywords = options or {}
        if function is F.normalize or getattr(function, "__module__", None) == nn.init.__name__:
            return (*arguments, *keywords.values())[0]
        return function(*arguments, **keywords)
