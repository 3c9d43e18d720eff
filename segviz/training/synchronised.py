"""BatchNorm and dropout as one process with the whole batch would have them, in several processes with parts of it.

torch's SyncBatchNorm works on GPUs only; `SharedNorm` works on CPUs, with the same sums.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn

from segviz.training.processes import Processes


class SharedNorm(nn.BatchNorm2d):
    """A BatchNorm over the pictures of all processes, each of which has as many.

    `share_over` makes one of a network's own BatchNorm, which keeps its parameters, buffers and place.
    """

    processes: Processes

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """The normalised features.

        Raises:
            ValueError: each channel has one value only.
        """
        return self.normalise(input) if self.training else super().forward(input)

    def normalise(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of all processes, and update the running ones.

        Raises:
            ValueError: a channel has a single value in all processes together.
        """
        values = x if x.dtype == torch.float64 else x.float()
        count = self.processes.count * values.numel() // values.shape[1]
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        mean = self.processes.total(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = self.processes.total(centred.square().sum((0, 2, 3))) / count
        self._update(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            out = centred * (scale * self.weight[:, None, None]) + self.bias[:, None, None]
        else:
            out = centred * scale
        return out.to(x.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class SharedNormAct(BatchNormAct2d):
    """The same for timm's BatchNorm with an activation."""

    processes: Processes

    def forward(self, x: Tensor) -> Tensor:
        """The normalised features, after dropout and activation."""
        if not self.training:
            return super().forward(x)  # type: ignore[no-any-return,no-untyped-call]
        return self.act(self.drop(SharedNorm.normalise(self, x)))  # type: ignore[no-any-return,arg-type]

    _update = SharedNorm._update


class SharedDropout(nn.Dropout):
    """Dropout that draws for the pictures of all processes, and keeps what it drew for its own."""

    processes: Processes

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """The features, some of them zero."""
        if not self.training:
            return input
        kept = F.dropout(torch.cat([torch.ones_like(input)] * self.processes.count), self.p)
        return input * self.processes.own_part(kept)


class SharedDropout2d(nn.Dropout2d):
    """The same for whole channels."""

    processes: Processes

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """The features, some channels of them zero."""
        if not self.training:
            return input
        whole = input.new_ones(self.processes.count * len(input), input.shape[1], 1, 1)
        return input * self.processes.own_part(F.dropout2d(whole, self.p))


SHARED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: SharedNorm,
    BatchNormAct2d: SharedNormAct,
    nn.Dropout: SharedDropout,
    nn.Dropout2d: SharedDropout2d,
}


def share_over(processes: Processes, networks: nn.ModuleDict, device: torch.device) -> None:
    """Let a network's BatchNorms and dropouts work over all processes; on a GPU, BatchNorm is torch's SyncBatchNorm.

    The names of its tensors stay. In a training in one process, nothing changes.
    """
    if processes.count == 1:
        return
    if device.type == "cuda":
        convert_sync_batchnorm(networks)
    for module in networks.modules():
        shared = SHARED.get(type(module))
        if shared is not None:
            module.__class__ = shared  # in place: other modules may refer to it
            module.__dict__["processes"] = processes
