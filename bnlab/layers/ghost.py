"""Batch normalisation over parts of the batch."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from bnlab.layers.batch_norm import BatchNorm, BatchNorm1d, BatchNorm2d
from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.functional import batch_norm


class GhostBatchNorm(BatchNorm):
    """What both modules share: ghost batch norm (Hoffer, Hubara & Soudry 2017, algorithm 1, arXiv:1705.08741).

    In training the batch is cut into consecutive ghost batches, and each is normalised by its own statistics. So the
    noise of the statistics is that of a small batch, while the gradient is that of a large one. Output and running
    statistics are what batch norm gives if it is fed the ghost batches one after another, and
    `num_batches_tracked` counts ghost batches. Evaluation is that of batch norm.

    Args:
        num_features: channels of the input, at least 1.
        ghost_size: examples of a ghost batch; the batch must be a multiple of it.
        options: those of `BatchNorm`.

    Raises:
        ValueError: at construction, `ghost_size` is below 1; in the forward pass in training, the batch is no multiple
            of it, or what batch norm refuses. Buffers stay as they were then.
    """

    def __init__(self, num_features: int, *, ghost_size: int, **options: Any) -> None:
        if ghost_size < 1:
            raise ValueError(f"expected ghost_size of at least 1, got {ghost_size}")
        super().__init__(num_features, **options)
        self.ghost_size = ghost_size

    def extra_repr(self) -> str:
        """The arguments of `BatchNorm`, and the ghost's size."""
        return f"{super().extra_repr()}, ghost_size={self.ghost_size}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`; in training by ghost batches, which also move the running statistics in their order."""
        if not self.training or len(x) == 0:
            return super().forward(x)
        self._check_shape(x)
        if len(x) % self.ghost_size:
            raise ValueError(f"expected a batch that is a multiple of ghost_size {self.ghost_size}, got {len(x)}")
        ghosts = x.reshape(-1, self.ghost_size, *x.shape[1:])
        # With a momentum of 1 each ghost leaves its own statistics in its own pair of buffers.
        means, variances = (
            None if buffer is None or not self.track_running_stats else buffer.expand(len(ghosts), -1).clone()
            for buffer in (self.running_mean, self.running_var)
        )
        tracked = 0 if means is not None else None
        normalise = partial(batch_norm, training=True, momentum=1.0, eps=self.eps, backend=self.backend)
        in_dims = (0, tracked, tracked, None, None)
        y = vmap(normalise, in_dims)(ghosts, means, variances, self.weight, self.bias)
        if means is not None and variances is not None:
            self._move(means, variances)
        return y.flatten(0, 1)

    @torch.no_grad()
    def _move(self, means: Tensor, variances: Tensor) -> None:
        """What moving the running statistics by one ghost after another, (ghosts, c), comes to: a weighted sum."""
        ghosts = len(means)
        for running, found in ((self.running_mean, means), (self.running_var, variances)):
            if running is None:
                continue
            wide = running.to(statistics_dtype(running.dtype))
            kept, weights = self._weights(ghosts, wide)
            running.copy_(kept * wide + weights @ found.to(wide.dtype))
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(ghosts)

    def _weights(self, ghosts: int, like: Tensor) -> tuple[float | Tensor, Tensor]:
        """The weight that the old running statistics keep, and those of the ghosts, the last one's largest."""
        if self.momentum is None and self.num_batches_tracked is not None:  # the plain average of all ghosts
            total = (self.num_batches_tracked + ghosts).to(like.dtype)
            return self.num_batches_tracked / total, (1 / total).expand(ghosts)
        momentum = self.momentum or 0.0
        later = torch.arange(ghosts - 1, -1, -1, dtype=like.dtype, device=like.device)  # ghosts that come after each
        return (1 - momentum) ** ghosts, momentum * (1 - momentum) ** later


class GhostBatchNorm1d(GhostBatchNorm, BatchNorm1d):
    """Ghost batch norm over (n, c) or (n, c, length); see `GhostBatchNorm`.

    >>> layer = GhostBatchNorm1d(1, ghost_size=2)
    >>> layer(torch.tensor([[1.0], [3.0], [10.0], [30.0]])).detach().ravel().round(decimals=4)
    tensor([-1.,  1., -1.,  1.])
    """


class GhostBatchNorm2d(GhostBatchNorm, BatchNorm2d):
    """Ghost batch norm over (n, c, height, width); see `GhostBatchNorm`.

    >>> y = GhostBatchNorm2d(3, ghost_size=4)(torch.randn(8, 3, 5, 5))
    >>> y.unflatten(0, (2, 4)).mean((1, 3, 4)).abs().max().item() < 1e-6
    True
    """
