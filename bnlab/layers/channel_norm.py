"""What batch norm and instance norm hold alike: a scale, a shift and running statistics for each channel."""

from typing import Any

import torch
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Parameters, buffers and checkpoints of `torch.nn.BatchNorm*` and `torch.nn.InstanceNorm*`; no forward pass.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the variance, under the root.
        momentum: weight of the new batch in the running statistics.
        affine: whether to learn a scale (`weight`) for each channel.
        track_running_stats: whether to keep running statistics.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.
        bias: whether `affine` also learns a shift.

    Raises:
        ValueError: `num_features` is below 1.
    """

    _version = 2  # torch's: a checkpoint of version 1 has no num_batches_tracked

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        *,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
        bias: bool,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"expected num_features of at least 1, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        def per_channel() -> Tensor:
            return torch.empty(num_features, device=device, dtype=dtype)

        self.register_parameter("weight", nn.Parameter(per_channel()) if affine else None)
        self.register_parameter("bias", nn.Parameter(per_channel()) if affine and bias else None)
        count = torch.tensor(0, device=device)
        self.register_buffer("running_mean", per_channel() if track_running_stats else None)
        self.register_buffer("running_var", per_channel() if track_running_stats else None)
        self.register_buffer("num_batches_tracked", count if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget every batch: mean 0, variance 1, no batches."""
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

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if local_metadata.get("version", 1) < 2 and self.num_batches_tracked is not None and key not in state_dict:
            is_meta = self.num_batches_tracked.is_meta
            state_dict[key] = torch.tensor(0) if is_meta else self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
