"""Convolution by standardised weights, drop-in for that of `torch.nn`."""

from typing import Any

from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.steps import centre, rescale


class WeightStandardisedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 when it is used (Qiao et al. 2019, arXiv:1903.10520).

    The weights that are trained are kept as they are, and each forward pass computes with `(weight - mean) / sqrt(var +
    eps)`, the statistics taken over a filter's fan-in (channels and kernel) and the variance biased. Activations are
    not looked at, so it goes with a norm that does, usually `GroupNorm`. Constructor, attributes and state_dict are
    those of `torch.nn.Conv2d`, with `eps` beside them. Statistics are computed in float32, and in float64 for float64
    weights.

    Args:
        options: those of `torch.nn.Conv2d`, by position or name.
        eps: added to the variance of a filter's weights, under the root.
        named: see `options`.

    Raises:
        ValueError: at construction, a filter has only one weight, which would be standardised to 0; in the forward
            pass, `eps` is negative.

    Example:
        >>> weight = WeightStandardisedConv2d(3, 8, kernel_size=3).standardised_weight()
        >>> weight.shape, weight.mean((1, 2, 3)).abs().max().item() < 1e-6
        (torch.Size([8, 3, 3, 3]), True)
    """

    def __init__(self, *options: Any, eps: float = 1e-5, **named: Any) -> None:
        super().__init__(*options, **named)
        if self.weight.shape[1:].numel() == 1:
            raise ValueError(f"expected filters of more than one weight, got a weight of {tuple(self.weight.shape)}")
        self.eps = eps

    def extra_repr(self) -> str:
        """The arguments of `torch.nn.Conv2d`, and eps."""
        return f"{super().extra_repr()}, eps={self.eps}"  # type: ignore[no-untyped-call]

    def standardised_weight(self) -> Tensor:
        """The weights that the convolution works with, in the dtype of those that are trained."""
        wide = self.weight.to(statistics_dtype(self.weight.dtype))
        fan_in = range(1, wide.ndim)
        return rescale(centre(wide, fan_in), fan_in, self.eps).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` by the standardised weights."""
        y: Tensor = self._conv_forward(x, self.standardised_weight(), self.bias)
        return y
