"""What a map's numbers mean, with the papers' equations, for those who ask."""

from __future__ import annotations

import streamlit as st

from segviz.models.registry import SPECS

SPATIAL = r"every place weighs all places by query and key, $A_{pj} = \mathrm{softmax}_j(q_p^\top k_j)$ (DANet, eq. 1)"
CHANNEL = r"channels weigh channels, $A = \mathrm{softmax}(X X^\top)$, alike in every place (DANet, eq. 3)"
BLOCKS = {
    "fcn": "no attention: every place is classified from its own features.",
    "channel_nl": f"{CHANNEL}. So a point has no map of its own.",
    "spatial_nl": f"{SPATIAL}.",
    "dual_nl": f"two branches, added. In one {SPATIAL}; in the other {CHANNEL}.",
    "cs_nl": f"two steps. First {CHANNEL}; then {SPATIAL}.",
    "ema": r"places look at one another by way of 64 bases that are fitted to the picture, "
    r"$A_{pj} = \sum_k z_{pk} z_{jk} / \sum_n z_{nk}$ (EMANet, eq. 12-13).",
    "rcca": "every place weighs the places of its own row and column, and does so twice; after the second pass it has "
    "reached all of them (CCNet, eq. 1-3).",
    "fla": r"channels weigh channels, but in every row and column anew, $A = \mathrm{softmax}_i(\sum_s x_{js} q_{is})$ "
    "(FLANet, eq. 1-3).",
    "sam": r"every place weighs whole columns by their mean keys, $A_{pj} = \mathrm{softmax}_j(q_p^\top \bar k_j)$ "
    "(AttaNet, eq. 2).",
    "snl": r"every place reads 81 points $t_k = p + b_k + \Delta_k(p)$, a window moved by learned offsets, with "
    r"$S_{pk} = \mathrm{softmax}_k(\theta_p^\top \phi(t_k))$ (SSANet, eq. 3-6).",
    "psa": "two masks for every place: what it collects from the others, and what it distributes to them "
    "(PSANet, eq. 8-10).",
}
WEIGHTS = """
- **Weight**: the share that a place has in what the point receives, or in what it gives in maps that say "attended by",
  "who" or "distribute". Weights that a point receives sum to 1.
- **Even share**: what each place would have if all had the same; the tick below the colour bar. "36 × the even share"
  is a clear choice, "1.1 ×" hardly one.
- **Colour bar**: it begins at 0 or below, so a flat map looks flat. *One shared* range makes the colours of several
  maps comparable.
- A map shows where a block looks, not what the decision rests on: the block's context is only a part of it.
"""


def how_to_read(model: str) -> None:
    """A button that tells how the model's block attends, and how to read its maps."""
    with st.popover("How to read a map", icon=":material/help:"):
        st.markdown(f"**{SPECS[model].title}**: {BLOCKS[model]}")
        st.markdown(WEIGHTS)
