"""Instance normalisation modules, drop-in for those of `torch.nn`."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import per_channel, statistics_dtype
from bnlab.layers.functional import batch_norm, update_running_stats
from bnlab.layers.steps import centre, rescale, scale_and_shift


class InstanceNorm(nn.Module):
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
    _version = 2  # torch's: a checkpoint of version 1 has no num_batches_tracked

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

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
        super().__init__()
        if num_features < 1:
            raise ValueError(f"expected num_features of at least 1, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, kept in (("weight", affine), ("bias", affine and bias)):
            value = torch.empty(num_features, device=device, dtype=dtype)
            self.register_parameter(name, nn.Parameter(value) if kept else None)
        for name in ("running_mean", "running_var"):
            value = torch.empty(num_features, device=device, dtype=dtype)
            self.register_buffer(name, value if track_running_stats else None)
        count = torch.tensor(0, device=device)
        self.register_buffer("num_batches_tracked", count if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget every batch: mean 0, variance 1."""
        for buffer, start in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer.fill_(start)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, running statistics reset."""
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
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

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if local_metadata.get("version", 1) < 2 and self.num_batches_tracked is not None and key not in state_dict:
            is_meta = self.num_batches_tracked.is_meta
            state_dict[key] = torch.tensor(0) if is_meta else self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


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
