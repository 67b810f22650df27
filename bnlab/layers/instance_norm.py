"""Instance normalisation modules, drop-in for those of `torch.nn`."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from bnlab.layers.channel_norm import ChannelNorm
from bnlab.layers.elementary import per_channel, statistics_dtype
from bnlab.layers.functional import batch_norm, update_running_stats
from bnlab.layers.steps import centre, rescale, scale_and_shift


class InstanceNorm(ChannelNorm):
    """What the three modules share: every channel of every example by itself (Ulyanov et al. 2016, arXiv:1607.08022).

    A mean and a biased variance are taken over the positions alone, so an image's contrast goes and no example meets
    another. Constructor, attributes and state_dict are those of `torch.nn.InstanceNorm*`, whose defaults are not those
    of batch norm: nothing is learned and nothing is tracked. If running statistics are tracked, they are the average
    over the examples, and normalise in evaluation. Statistics are computed in float32, and in float64 for float64
    input; the output has the input's dtype.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the variance, under the root.
        momentum: weight of the new batch, `running = (1 - momentum) * running + momentum * batch`; None for 0.
        affine: whether to learn a scale (`weight`) for each channel.
        track_running_stats: whether to keep running statistics for evaluation; without, evaluation is as training. As
            in torch, `num_batches_tracked` is kept then and not counted.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.
        bias: whether `affine` also learns a shift.

    Raises:
        ValueError: at construction, `num_features` is below 1; in the forward pass, the input's shape or dtype does not
            fit (where nothing is learned torch only warns of another number of channels), statistics of a single
            position were asked for, or `eps` is negative. Buffers stay as they were then.
    """

    layouts: ClassVar[Mapping[int, str]] = MappingProxyType({})  # number of axes -> the shape, the unbatched one first

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        track_running_stats: bool = False,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
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

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`, a batch or a single example without the batch's axis."""
        self._check_input(x)
        return self._normalise(x) if x.ndim == max(self.layouts) else self._normalise(x.unsqueeze(0)).squeeze(0)

    def _normalise(self, x: Tensor) -> Tensor:
        if not self.training and self.track_running_stats:
            statistics = (self.running_mean, self.running_var)
            return batch_norm(x, *statistics, self.weight, self.bias, training=False, eps=self.eps)
        wide = x.to(statistics_dtype(x.dtype))
        axes = range(2, x.ndim)
        centred = centre(wide, axes)
        x_hat = rescale(centred, axes, self.eps)
        self._track(wide, centred)
        weight, bias = (p if p is None else per_channel(p, wide) for p in (self.weight, self.bias))
        return scale_and_shift(x_hat, weight, bias).to(x.dtype)

    @torch.no_grad()
    def _track(self, x: Tensor, centred: Tensor) -> None:
        """Move what running statistics there are, as torch does even where `track_running_stats` was taken back."""
        if self.running_mean is None or self.running_var is None or x.numel() == 0:
            return
        all_but_channel = (0, *range(2, x.ndim))
        mean, var = x.mean(all_but_channel), centred.square().mean(all_but_channel)
        count, momentum = math.prod(x.shape[2:]), self.momentum or 0.0
        update_running_stats(self.running_mean, self.running_var, mean, var, count=count, momentum=momentum)

    def _check_input(self, x: Tensor) -> None:
        name, shape = type(self).__name__, tuple(x.shape)
        first_position = max(self.layouts) - 2
        if x.ndim not in self.layouts or shape[-first_position - 1] != self.num_features:
            expected = f"{' or '.join(self.layouts.values())} with c = {self.num_features}"
            raise ValueError(f"{name} expected x of shape {expected}, got {shape}")
        if not x.is_floating_point():
            raise ValueError(f"{name} expected x of a floating-point dtype, got {x.dtype}")
        own_statistics = self.training or not self.track_running_stats
        if own_statistics and math.prod(shape[-first_position:]) == 1:
            raise ValueError(f"{name} expected more than one position to take statistics of, got x of shape {shape}")


class InstanceNorm1d(InstanceNorm):
    """Instance norm over (c, length) or (n, c, length); see `InstanceNorm`.

    >>> InstanceNorm1d(2)(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).round(decimals=4)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    layouts = MappingProxyType({2: "(c, length)", 3: "(n, c, length)"})


class InstanceNorm2d(InstanceNorm):
    """Instance norm over (c, height, width) or (n, c, height, width); see `InstanceNorm`.

    >>> InstanceNorm2d(3)(torch.randn(8, 3, 5, 5)).mean((2, 3)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({3: "(c, height, width)", 4: "(n, c, height, width)"})


class InstanceNorm3d(InstanceNorm):
    """Instance norm over (c, depth, height, width) or (n, c, depth, height, width); see `InstanceNorm`.

    >>> InstanceNorm3d(3)(torch.randn(8, 3, 2, 5, 5)).mean((2, 3, 4)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({4: "(c, depth, height, width)", 5: "(n, c, depth, height, width)"})
