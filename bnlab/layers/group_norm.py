"""Group normalisation, drop-in for that of `torch.nn`."""

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import per_channel, statistics_dtype
from bnlab.layers.steps import centre, rescale, scale_and_shift


class GroupNorm(nn.Module):
    """Group norm: each example by groups of neighbouring channels (Wu & He 2018, equation 7, arXiv:1803.08494).

    A mean and a biased variance are taken over the channels of a group and all their positions. One group is layer norm
    over (c, *spatial), as many groups as channels are instance norm, but for the affine, which is per channel whatever
    the groups. No example meets another, so training and evaluation are the same. Constructor, attributes and
    state_dict are those of `torch.nn.GroupNorm`. Statistics are computed in float32, and in float64 for float64 input;
    the output has the input's dtype. A group of a single value gives exactly the shift.

    Args:
        num_groups: how many; they divide the channels evenly.
        num_channels: channels of the input, at least 1.
        eps: added to the variance, under the root.
        affine: whether to learn a scale (`weight`) for each channel.
        device: where the parameters live.
        dtype: floating dtype of the parameters.
        bias: whether `affine` also learns a shift.

    Raises:
        ValueError: at construction, `num_channels` is below 1 or `num_groups` do not divide them; in the forward pass,
            the input's shape or dtype does not fit, or `eps` is negative.

    Example:
        Four channels of one pixel, in two groups:

        >>> GroupNorm(2, 4)(torch.tensor([[1.0, 3.0, 10.0, 30.0]])).detach().round(decimals=4)
        tensor([[-1.,  1., -1.,  1.]])
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels < 1:
            raise ValueError(f"expected num_channels of at least 1, got {num_channels}")
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"expected num_groups that divide the {num_channels} channels evenly, got {num_groups}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, kept, start in (("weight", affine, 1.0), ("bias", affine and bias, 0.0)):
            value = torch.full((num_channels,), start, device=device, dtype=dtype)
            self.register_parameter(name, nn.Parameter(value) if kept else None)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0."""
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every group of `x`."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            expected = f"(n, c, *spatial) with c = {self.num_channels}"
            raise ValueError(f"GroupNorm expected x of shape {expected}, got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"GroupNorm expected x of a floating-point dtype, got {x.dtype}")
        wide = x.to(statistics_dtype(x.dtype))
        grouped = wide.reshape(len(x), self.num_groups, self.num_channels // self.num_groups, *x.shape[2:])
        axes = range(2, grouped.ndim)
        x_hat = rescale(centre(grouped, axes), axes, self.eps).flatten(1, 2)
        weight, bias = (p if p is None else per_channel(p, wide) for p in (self.weight, self.bias))
        return scale_and_shift(x_hat, weight, bias).to(x.dtype)
