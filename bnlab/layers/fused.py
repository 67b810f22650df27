"""Batch norm and the ReLU behind it as one layer, with what a residual network adds in between."""

from types import MappingProxyType

import torch
from torch import Tensor

from bnlab.layers import compiled_auto
from bnlab.layers.batch_norm import BatchNorm
from bnlab.layers.functional import backend_named, check_input, check_per_channel, values_per_channel


class BatchNormReLU(BatchNorm):
    """`relu(batch_norm(x) + residual)`, for (n, c, *spatial) of any rank; arguments as for `BatchNorm`.

    The backends "numba" and "triton" compute it in the passes over memory that batch norm alone needs; the others
    compute one operation after the other. For the backward pass the input is kept, and with a residual the output,
    which the next layer keeps anyway. Checkpoints are those of `BatchNorm`.

    Example:
        >>> layer = BatchNormReLU(2)
        >>> x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> layer(x).detach().round(decimals=3) + 0
        tensor([[0., 0.],
                [1., 1.]])
        >>> layer(x, residual=torch.ones(2, 2)).detach().round(decimals=3) + 0
        tensor([[0., 0.],
                [2., 2.]])
    """

    layouts = MappingProxyType(dict.fromkeys(range(2, 6), "(n, c, *spatial)"))

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Normalise `x`, add the residual, clip at 0; in training, also move the running statistics.

        Raises:
            ValueError: as `BatchNorm`; or the residual's shape or dtype is not that of `x`.
        """
        if residual is not None and (residual.shape, residual.dtype) != (x.shape, x.dtype):
            like, got = (f"shape {tuple(one.shape)}, {one.dtype}" for one in (x, residual))
            raise ValueError(f"expected residual like x, of {like}, got {got}")
        backend = compiled_auto.fastest(x) if self.backend == "auto" else backend_named(self.backend)
        if not getattr(backend, "FUSES", False):
            unclipped = super().forward(x)
            return torch.relu(unclipped if residual is None else unclipped + residual)
        self._check_shape(x)
        by_batch = self.training or self.running_mean is None
        check_input(x, training=by_batch, eps=self.eps)
        check_per_channel(
            x, running_mean=self.running_mean, running_var=self.running_var, weight=self.weight, bias=self.bias
        )
        if not by_batch:
            evaluated: Tensor = backend.normalise_by(
                x, self.running_mean, self.running_var, self.weight, self.bias, self.eps, residual, relu=True
            )
            return evaluated
        y: Tensor
        y, mean, var = backend.normalise_by_batch(x, self.weight, self.bias, self.eps, residual, relu=True)
        tracking = self.training and self.track_running_stats
        if tracking and self.running_mean is not None and self.running_var is not None:
            count, momentum = values_per_channel(x), self._weight_of_new_batch()
            if count > 1:  # the step of `update_running_stats`, each in one operation
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
                self.running_var.lerp_((var * (count / (count - 1))).to(self.running_var.dtype), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return y
