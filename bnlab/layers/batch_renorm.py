"""Batch renormalisation: batch norm, corrected towards the running statistics that evaluation will use."""

from typing import Any

import torch
from torch import Tensor

from bnlab.layers.batch_norm import BatchNorm, BatchNorm1d, BatchNorm2d
from bnlab.layers.elementary import batch_statistics, statistics_dtype
from bnlab.layers.functional import batch_norm


class BatchRenorm(BatchNorm):
    """What both modules share: batch renorm (Ioffe 2017, algorithm 1, arXiv:1702.03275).

    In training the output of batch norm is scaled by `r`, the batch's standard deviation in running ones, and shifted
    by `d`, how many running standard deviations the batch's mean lies from the running one. Unlimited, that is what the
    running statistics alone would give, and training is evaluation; `r_max` and `d_max` limit it, and with 1 and 0 it
    is batch norm. The paper holds `r` and `d` constant in the backward pass, so `x` gets batch norm's gradient, times
    `r`. It trains with batch norm at first and then widens the limits to 3 and 5: a schedule that sets the two
    attributes. Evaluation is that of batch norm.

    Running statistics are kept, and move after they were used, as in `BatchNorm`: the unbiased *variance*, so that
    either loads the other's checkpoint. The paper averages the standard deviation `sqrt(var + eps)`, where here it is
    `sqrt(running_var + eps)`.

    Args:
        num_features: channels of the input, at least 1.
        r_max: limit of the scale: `r` stays from `1 / r_max` to `r_max`. At least 1.
        d_max: limit of the shift: `d` stays from `-d_max` to `d_max`. At least 0.
        options: those of `BatchNorm`; running statistics must be tracked.

    Raises:
        ValueError: at construction, a limit is too low or running statistics are not tracked; in the forward pass in
            training, the same, or what batch norm refuses. Buffers stay as they were then.
    """

    def __init__(self, num_features: int, *, r_max: float = 3.0, d_max: float = 5.0, **options: Any) -> None:
        super().__init__(num_features, **options)
        self.r_max = r_max
        self.d_max = d_max
        self._check_limits()

    def extra_repr(self) -> str:
        """The arguments of `BatchNorm`, and the limits."""
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`; in training by the batch and the corrections, and move the running statistics."""
        if not self.training:
            return super().forward(x)
        self._check_shape(x)
        self._check_limits()
        r, d = self._corrections(x)
        y = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            r if self.weight is None else r * self.weight,
            d if self.weight is None else d * self.weight if self.bias is None else d * self.weight + self.bias,
            training=True,
            momentum=self._weight_of_new_batch(),
            eps=self.eps,
            backend=self.backend,
        )
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # last, so that a rejected batch is not counted
        return y

    def _corrections(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`r` and `d` of every channel: where the batch's statistics lie, in running standard deviations.

        The gradient stops at `x`, by `detach`: computed under `no_grad`, torch.compile (2.13) lets it through.
        """
        mean, var = batch_statistics(x.detach().to(statistics_dtype(x.dtype)))
        if self.running_mean is None or self.running_var is None:
            raise ValueError(f"{type(self).__name__} expected running statistics to be tracked, got none")
        running_std = torch.sqrt(self.running_var.to(var.dtype) + self.eps)
        r = (torch.sqrt(var + self.eps) / running_std).clamp(1 / self.r_max, self.r_max)
        d = ((mean - self.running_mean.to(mean.dtype)) / running_std).clamp(-self.d_max, self.d_max)
        return r, d

    def _check_limits(self) -> None:
        if not (self.r_max >= 1 and self.d_max >= 0):
            raise ValueError(f"expected r_max of at least 1 and d_max of at least 0, got {self.r_max} and {self.d_max}")
        if not self.track_running_stats:
            raise ValueError("expected track_running_stats, since batch renorm corrects towards them, got False")


class BatchRenorm1d(BatchRenorm, BatchNorm1d):
    """Batch renorm over (n, c) or (n, c, length); see `BatchRenorm`.

    With wide limits, running mean 0 and running variance 1 give the input back; with narrow ones it is batch norm:

    >>> x, layer = torch.tensor([[1.0], [3.0]]), BatchRenorm1d(1)
    >>> layer(x).detach().ravel().round(decimals=4)
    tensor([1., 3.])
    >>> layer.r_max, layer.d_max = 1.0, 0.0
    >>> layer(x).detach().ravel().round(decimals=4)
    tensor([-1.,  1.])
    """


class BatchRenorm2d(BatchRenorm, BatchNorm2d):
    """Batch renorm over (n, c, height, width); see `BatchRenorm`.

    >>> layer = BatchRenorm2d(3, r_max=1.0, d_max=0.0)
    >>> layer(torch.randn(8, 3, 5, 5)).mean((0, 2, 3)).abs().max().item() < 1e-6
    True
    """
