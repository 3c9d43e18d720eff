"""The plain formulations that benchmarks measure ours against: the same features."""

from __future__ import annotations

import pytest
import torch

from segviz.benchmarks.blocks import BLOCKS, make_block
from segviz.benchmarks.plain_blocks import run_plainly
from segviz.models.blocks import GlobalContext, SparseNonLocal
from tests.block_cases import image, randomised

close = torch.testing.assert_close


@pytest.mark.parametrize("name", BLOCKS)
def test_a_plain_formulation_gives_what_our_block_gives(name: str) -> None:
    block, x = randomised(make_block(name, (7, 10, 16))), image(2, 16, 7, 10)
    close(run_plainly(block, x), block(x).features, rtol=1e-9, atol=1e-9)
    block, x = block.float(), x.float()
    wanted = block(x).features
    assert (run_plainly(block, x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_what_has_no_plain_formulation_is_refused() -> None:
    with pytest.raises(ValueError, match="GlobalContext has no plain formulation; leave --plain out"):
        run_plainly(GlobalContext(8), torch.zeros(1, 8, 2, 2))
    with pytest.raises(ValueError, match="use zeros"):
        run_plainly(SparseNonLocal(8, (3, 3), "mask"), torch.zeros(1, 8, 4, 4))
