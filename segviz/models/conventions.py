"""What the code of most networks has in common, and several of our modules rely on."""

from __future__ import annotations

COUNTER = "num_batches_tracked"  # of BatchNorm; only training reads it, and files of before PyTorch 0.4.1 lack it
PARALLEL_PREFIX = "module."  # what DataParallel puts before every name in a state dict
USUAL_STEP = 2 / 3  # of a crop's side, as in the code of PSANet's authors (hszhao/semseg); the paper names none
