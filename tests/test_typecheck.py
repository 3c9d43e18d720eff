"""The check of shapes covers every module that states them, whatever imported it first."""

from __future__ import annotations

import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from typecheck import modules_with_shapes

from segviz.attention.maps import DotProductAttention


def test_no_module_that_states_shapes_was_imported_before_the_check() -> None:
    loaded = {name: sys.modules[name].__spec__ for name in modules_with_shapes() if name in sys.modules}
    assert "segviz.attention.dot_product" in loaded
    assert [name for name, spec in loaded.items() if "Jaxtyp" not in type(spec.loader).__name__] == []  # type: ignore[union-attr]


def test_a_wrong_shape_is_found() -> None:
    with pytest.raises(TypeCheckError, match="keys"):
        DotProductAttention("map", (2, 3), torch.randn(6, 4), torch.randn(6, 5))
