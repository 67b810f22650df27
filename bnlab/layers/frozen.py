"""Batch normalisation whose numbers no longer move."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bnlab.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.functional import batch_norm


class FrozenBatchNorm(nn.Module):
    """What the three modules share: batch norm as in evaluation, in either mode, with four constants.

    The same as `torchvision.ops.FrozenBatchNorm2d`, with which detectors fine-tune backbones on batches of one or two
    images: `weight`, `bias`, `running_mean` and `running_var` are buffers, so no optimizer and no batch changes them,
    and `train()` makes no difference. Each layer is then a fixed scale and shift per channel, through which gradients
    pass to the input alone. The checkpoint of a batch norm layer with an affine part and running statistics loads into
    it; `num_batches_tracked` is passed over. Computed in float32, and in float64 for float64 input.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the variance, under the root.
        device: where the buffers live.
        dtype: floating dtype of the buffers.

    Raises:
        ValueError: at construction, `num_features` is below 1; in the forward pass, the input's shape or dtype does not
            fit.
    """

    layouts: ClassVar[Mapping[int, str]] = MappingProxyType({})  # number of axes -> the shape, set by each subclass

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"expected num_features of at least 1, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((num_features,), start, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        """The channels and eps."""
        return f"{self.num_features}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` by the constants, whatever the mode."""
        if x.ndim not in self.layouts or x.shape[1] != self.num_features:
            expected = f"{' or '.join(self.layouts.values())} with c = {self.num_features}"
            raise ValueError(f"{type(self).__name__} expected x of shape {expected}, got {tuple(x.shape)}")
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class FrozenBatchNorm1d(FrozenBatchNorm):
    """Frozen batch norm over (n, c) or (n, c, length); see `FrozenBatchNorm`.

    >>> layer = FrozenBatchNorm1d(1, eps=0.0).train()
    >>> _ = layer.running_mean.fill_(2.0), layer.running_var.fill_(4.0)
    >>> layer(torch.tensor([[6.0], [8.0]])), list(layer.parameters())
    (tensor([[2.],
            [3.]]), [])
    """

    layouts = BatchNorm1d.layouts


class FrozenBatchNorm2d(FrozenBatchNorm):
    """Frozen batch norm over (n, c, height, width); see `FrozenBatchNorm`.

    >>> layer = FrozenBatchNorm2d(3)
    >>> layer.load_state_dict(nn.BatchNorm2d(3).state_dict())
    <All keys matched successfully>
    """

    layouts = BatchNorm2d.layouts


class FrozenBatchNorm3d(FrozenBatchNorm):
    """Frozen batch norm over (n, c, depth, height, width); see `FrozenBatchNorm`.

    >>> FrozenBatchNorm3d(3, eps=0.0)(torch.ones(1, 3, 2, 2, 2)).unique()
    tensor([1.])
    """

    layouts = BatchNorm3d.layouts
