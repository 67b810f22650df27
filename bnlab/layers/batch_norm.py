"""Batch normalisation modules, drop-in for those of `torch.nn`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from bnlab.layers.channel_norm import ChannelNorm
from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.functional import backend_named, batch_norm


class BatchNorm(ChannelNorm):
    """What the three modules share (Ioffe & Szegedy 2015, arXiv:1502.03167), around `functional.batch_norm`.

    Constructor, attributes and state_dict are those of `torch.nn.BatchNorm*`, with a choice of `backend` beside them:
    either loads the other's checkpoint.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the variance, under the root.
        momentum: weight of the new batch, `running = (1 - momentum) * running + momentum * batch`; None for
            `1 / num_batches_tracked`, which makes the running statistics the plain average over all batches.
        affine: whether to learn a scale (`weight`) for each channel.
        track_running_stats: whether to keep running statistics for evaluation; without, each batch is always
            normalised by its own.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.
        bias: whether `affine` also learns a shift.
        backend: "torch", "manual", "numba", "triton" or "auto": who computes, with the same result; see
            `functional.batch_norm`. It is no part of a checkpoint.

    Raises:
        ValueError: at construction, `num_features` is below 1 or `backend` is unknown; in the forward pass, the input's
            shape or dtype does not fit, or statistics of a single value per channel were asked for. Buffers stay as
            they were then.
    """

    layouts: ClassVar[Mapping[int, str]] = MappingProxyType({})  # number of axes -> the shape, set by each subclass

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        track_running_stats: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: str = "torch",
    ) -> None:
        backend_named(backend)
        super().__init__(
            num_features,
            eps=eps,
            momentum=momentum,
            affine=affine,
            track_running_stats=track_running_stats,
            device=device,
            dtype=dtype,
            bias=bias,
        )
        self.backend = backend

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them; a backend of one's own choice at the end."""
        return super().extra_repr() + ("" if self.backend == "torch" else f", backend={self.backend}")

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`; in training, also move the running statistics towards this batch's."""
        self._check_shape(x)
        tracking = self.training and self.track_running_stats
        y = batch_norm(
            x,
            self.running_mean if tracking or not self.training else None,
            self.running_var if tracking or not self.training else None,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=self._weight_of_new_batch(),
            eps=self.eps,
            backend=self.backend,
        )
        if tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # last, so that a rejected batch is not counted
        return y

    def _weight_of_new_batch(self) -> float | Tensor:
        if self.momentum is not None:
            return self.momentum
        if self.num_batches_tracked is None or self.running_mean is None:
            return 0.0  # nothing is tracked
        # A tensor, not a Python number: torch.compile and vmap cannot read one out of a tensor.
        return 1 / (self.num_batches_tracked + 1).to(statistics_dtype(self.running_mean.dtype))

    def _check_shape(self, x: Tensor) -> None:
        if x.ndim not in self.layouts or x.shape[1] != self.num_features:
            expected = f"{' or '.join(self.layouts.values())} with c = {self.num_features}"
            raise ValueError(f"{type(self).__name__} expected x of shape {expected}, got {tuple(x.shape)}")


class BatchNorm1d(BatchNorm):
    """Batch norm over (n, c) or (n, c, length): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm1d(2)(torch.tensor([[1.0, 10.0], [3.0, 30.0]])).detach().round(decimals=4)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """

    layouts = MappingProxyType({2: "(n, c)", 3: "(n, c, length)"})


class BatchNorm2d(BatchNorm):
    """Batch norm over (n, c, height, width): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm2d(3)(torch.randn(8, 3, 5, 5)).mean((0, 2, 3)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({4: "(n, c, height, width)"})


class BatchNorm3d(BatchNorm):
    """Batch norm over (n, c, depth, height, width): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm3d(3)(torch.randn(8, 3, 2, 5, 5)).mean((0, 2, 3, 4)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({5: "(n, c, depth, height, width)"})
